// latency_histogram.h — How long things took: a count for each span of time, from nanoseconds to minutes.
//
// Runs on:  one thread adds; others read copies.
// Bounds:   kBuckets counters. A time is told to a sixteenth; the largest exactly.
//
// Buckets are sixteenths of powers of two: those of 16 ns are 1 ns wide, those of 1 s about 60 ms.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace weir {

class LatencyHistogram {
 public:
  static constexpr unsigned kPartsBits = 4;
  static constexpr unsigned kPowers = 40;  // up to 2^40 ns, 18 minutes; what is longer counts there
  static constexpr size_t kBuckets = size_t{kPowers - kPartsBits + 1} << kPartsBits;

  void add(uint64_t ns) noexcept {
    ++counts_[bucket_of(ns)];
    ++count_;
    sum_ns_ += ns;
    max_ns_ = std::max(max_ns_, ns);
  }

  uint64_t count() const noexcept { return count_; }
  uint64_t sum_ns() const noexcept { return sum_ns_; }
  uint64_t max_ns() const noexcept { return max_ns_; }
  /// How many took at most `ns`, give or take the bucket that `ns` falls into.
  uint64_t count_up_to(uint64_t ns) const noexcept {
    uint64_t n = 0;
    for (size_t i = 0, end = bucket_of(ns); i <= end; ++i) n += counts_[i];
    return n;
  }
  /// What the share `q` (0 to 1) did not exceed; 0 where there was nothing.
  uint64_t quantile_ns(double q) const noexcept {
    const auto wanted = static_cast<uint64_t>(q * static_cast<double>(count_));
    uint64_t n = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      n += counts_[i];
      if (n != 0 && n >= wanted) return std::min(last_of(i), max_ns_);
    }
    return max_ns_;
  }

  LatencyHistogram& operator+=(const LatencyHistogram& other) noexcept {
    for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    sum_ns_ += other.sum_ns_;
    max_ns_ = std::max(max_ns_, other.max_ns_);
    return *this;
  }

 private:
  static constexpr uint64_t kParts = uint64_t{1} << kPartsBits;

  static size_t bucket_of(uint64_t ns) noexcept {
    if (ns < kParts) return static_cast<size_t>(ns);
    const unsigned power = static_cast<unsigned>(std::bit_width(ns)) - 1;
    if (power >= kPowers) return kBuckets - 1;
    const uint64_t part = (ns >> (power - kPartsBits)) & (kParts - 1);
    return (size_t{power - kPartsBits + 1} << kPartsBits) + static_cast<size_t>(part);
  }
  /// The longest time of a bucket.
  static uint64_t last_of(size_t bucket) noexcept {
    if (bucket < kParts) return bucket;
    const unsigned shift = static_cast<unsigned>(bucket >> kPartsBits) - 1;
    return ((kParts + (bucket & (kParts - 1)) + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t count_ = 0;
  uint64_t sum_ns_ = 0;
  uint64_t max_ns_ = 0;
};

}  // namespace weir
