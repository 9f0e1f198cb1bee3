// compile_patterns.cc — What programs start themselves as to compile patterns, for tests.
#include <cstdlib>

#include "classify/pattern_compiler.h"

/// With fewer seconds and bytes than programs have: `compile_patterns 1 100000000`.
int main(int argc, char** argv) {
  weir::classify::CompileBounds bounds;
  if (argc > 1) bounds.cpu_seconds = std::strtoul(argv[1], nullptr, 10);
  if (argc > 2) bounds.address_bytes = std::strtoul(argv[2], nullptr, 10);
  return weir::classify::serve_patterns(bounds);
}
