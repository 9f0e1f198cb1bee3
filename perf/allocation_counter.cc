#include "allocation_counter.h"

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace weir::perf {
namespace {
std::atomic<uint64_t> count{0};
}
uint64_t allocations() noexcept { return count.load(std::memory_order_relaxed); }
}  // namespace weir::perf

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// glibc's own names for what stands in front of them here.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

static void count_one() { weir::perf::count.fetch_add(1, std::memory_order_relaxed); }

void* malloc(size_t size) {
  count_one();
  return __libc_malloc(size);
}
void* calloc(size_t n, size_t size) {
  count_one();
  return __libc_calloc(n, size);
}
void* realloc(void* p, size_t size) {
  count_one();
  return __libc_realloc(p, size);
}
void* memalign(size_t alignment, size_t size) {
  count_one();
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  count_one();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** out, size_t alignment, size_t size) {
  count_one();
  *out = __libc_memalign(alignment, size);
  return *out == nullptr ? ENOMEM : 0;
}
}
#endif
