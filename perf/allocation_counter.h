// allocation_counter.h — How often this program asked the heap for memory.
//
// Counts malloc, calloc, realloc and aligned allocation (operator new comes to malloc) in every
// thread. Under a sanitizer, which has an allocator of its own, it counts nothing.
#pragma once

#include <cstdint>

namespace weir::perf {

uint64_t allocations() noexcept;

}  // namespace weir::perf
