// counter.h — Counters with one writer and any number of readers.
//
// Runs on:  the owning thread adds; any thread reads. Relaxed: a reader sees each counter whole, and
//           a set of counters only approximately at one moment.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace weir {

class Counter {
 public:
  Counter() = default;
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

  void add(uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void increment() noexcept { add(1); }
  /// For gauges (a depth, a size) and for mirrors of a counter kept elsewhere.
  void set(uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
  uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

/// One counter for each enumerator of `Enum` (which has a `count_` enumerator last).
template <class Enum>
class CounterArray {
 public:
  static constexpr size_t kSize = static_cast<size_t>(Enum::count_);

  Counter& operator[](Enum e) noexcept { return counters_[static_cast<size_t>(e)]; }
  const Counter& operator[](Enum e) const noexcept { return counters_[static_cast<size_t>(e)]; }

  uint64_t total() const noexcept {
    uint64_t sum = 0;
    for (const Counter& c : counters_) sum += c.value();
    return sum;
  }

 private:
  std::array<Counter, kSize> counters_;
};

}  // namespace weir
