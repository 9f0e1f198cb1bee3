#include "dataplane/rate_limiter.h"

#include <algorithm>
#include <bit>

#include "base/clock.h"

namespace weir::dataplane {

RateLimiter::RateLimiter(const RateLimits& limits, size_t exporters_max, uint64_t hash_seed, size_t exporters_most) noexcept
    : limits_(limits),
      hash_seed_(hash_seed),
      buckets_most_(buckets_for(std::max(exporters_max, exporters_most))),
      mask_(buckets_for(exporters_max) - 1),
      total_rate_(limits.total) {
  static_cast<void>(memory_.reserve(buckets_most_ * sizeof(Bucket)));  // zeros: they were never filled
}

size_t RateLimiter::buckets_for(size_t exporters) noexcept { return std::bit_ceil(std::max(2 * exporters, kProbes)); }

void RateLimiter::set_exporters_max(size_t exporters_max) noexcept {
  mask_ = std::min(buckets_for(exporters_max), buckets_most_) - 1;
}

void RateLimiter::fill(Bucket& bucket, uint64_t rate) const noexcept {
  const auto most = static_cast<double>(rate);
  if (bucket.filled_ns == 0) {
    bucket.tokens = most;
  } else if (now_ns_ > bucket.filled_ns) {
    const double seconds =
        static_cast<double>(now_ns_ - bucket.filled_ns) / static_cast<double>(kNsPerSec);
    bucket.tokens = std::min(most, bucket.tokens + seconds * most);
  }
  bucket.filled_ns = now_ns_;
}

RateLimiter::Bucket& RateLimiter::bucket_of(const IpAddress& exporter) noexcept {
  Bucket* const all = buckets();
  const size_t first = hash_of(exporter, hash_seed_) & mask_;
  Bucket* oldest = all + first;
  for (size_t i = 0; i < kProbes; ++i) {
    Bucket& bucket = all[(first + i) & mask_];
    if (bucket.exporter == exporter && bucket.filled_ns != 0) return bucket;
    if (bucket.filled_ns < oldest->filled_ns) oldest = &bucket;
  }
  *oldest = Bucket{};
  oldest->exporter = exporter;
  return *oldest;
}

bool RateLimiter::admit(const IpAddress& exporter, uint64_t records) noexcept {
  Bucket* own = nullptr;
  if (limits_.per_exporter != 0) {
    own = &bucket_of(exporter);
    fill(*own, limits_.per_exporter);
    if (own->tokens <= 0) return false;
  }
  if (limits_.total != 0) {
    fill(total_, total_rate_.load(std::memory_order_relaxed));
    if (total_.tokens <= 0) return false;
    total_.tokens -= static_cast<double>(records);
  }
  if (own != nullptr) own->tokens -= static_cast<double>(records);
  return true;
}

}  // namespace weir::dataplane
