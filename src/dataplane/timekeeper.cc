#include "dataplane/timekeeper.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace weir::dataplane {

bool SystemClocks::has_even_ticks() noexcept {
#if defined(__x86_64__)
  constexpr unsigned kLeaf = 0x8000'0007, kInvariantTsc = 1u << 8;  // of EDX
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(kLeaf, &a, &b, &c, &d) != 0 && (d & kInvariantTsc) != 0;
#else
  return false;
#endif
}

}  // namespace weir::dataplane
