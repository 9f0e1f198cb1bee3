// compile_patterns.cc — What programs start themselves as to compile patterns, for tests.
#include <cstdlib>

#include "classify/pattern_compiler.h"

/// With fewer seconds than programs have: `compile_patterns 1`.
int main(int argc, char** argv) {
  weir::classify::CompileBounds bounds;
  if (argc > 1) bounds.cpu_seconds = std::strtoul(argv[1], nullptr, 10);
  return weir::classify::serve_patterns(bounds);
}
