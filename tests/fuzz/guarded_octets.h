// guarded_octets.h — Octets that end where the memory does, and that begin where ASan says so.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#if defined(__SANITIZE_ADDRESS__)
#define WEIR_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_ADDRESS_SANITIZER 1
#endif
#endif
#ifdef WEIR_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace weir::decode {

/// The page behind them cannot be read, by masked loads neither. The octets before them ASan refuses.
class GuardedOctets {
 public:
  static constexpr size_t kOctetsMax = 64 * 1024;
  GuardedOctets() {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void* p = mmap(nullptr, kOctetsMax + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
    if (p == MAP_FAILED) std::abort();
    end_ = static_cast<uint8_t*>(p) + kOctetsMax;
    if (mprotect(end_, page, PROT_NONE) != 0) std::abort();
  }
  ~GuardedOctets() {
#ifdef WEIR_ADDRESS_SANITIZER
    if (fence_ != nullptr) __asan_unpoison_memory_region(fence_, kFenceOctets);
#endif
    munmap(end_ - kOctetsMax, kOctetsMax + static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  }
  GuardedOctets(const GuardedOctets&) = delete;
  GuardedOctets& operator=(const GuardedOctets&) = delete;
  /// What was held before is overwritten.
  std::span<uint8_t> hold(std::span<const uint8_t> octets) noexcept {
    if (octets.size() > kOctetsMax) std::abort();
    uint8_t* const begin = end_ - octets.size();
#ifdef WEIR_ADDRESS_SANITIZER
    if (fence_ != nullptr) __asan_unpoison_memory_region(fence_, kFenceOctets);
    fence_ = nullptr;
    if (octets.size() + kFenceOctets <= kOctetsMax) {
      fence_ = begin - kFenceOctets;
      __asan_poison_memory_region(fence_, kFenceOctets);
    }
#endif
    if (!octets.empty()) std::memcpy(begin, octets.data(), octets.size());
    return {begin, octets.size()};
  }

 private:
  static constexpr size_t kFenceOctets = 64;
  uint8_t* end_;
#ifdef WEIR_ADDRESS_SANITIZER
  uint8_t* fence_ = nullptr;
#endif
};

}  // namespace weir::decode
