// rate_limiter.h — At most so many records a second of each exporter, and of all together.
//
// Runs on:  rx_lcore (admit, tick); set_total_rate: control_thread.
// Owns:     a table of buckets, with room for as many exporters as there may come to be; an exporter that is heard of
//           after the table is full takes the place of the one near by that has been silent longest, and starts with a
//           full bucket.
// Bounds:   the table; kProbes looks for each datagram's records.
//
// A token bucket that holds a second's worth. Records of a datagram are admitted together while it is not
// empty, so it may be overdrawn by one datagram.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/ip_address.h"
#include "base/thread_roles.h"
#include "decode/slab.h"

namespace weir::dataplane {

struct RateLimits {
  uint64_t per_exporter = 0;  // records a second; 0: no limit
  uint64_t total = 0;         // of this core to begin with
  uint64_t packets_per_exporter = 0;  // datagrams a second, before they are decoded; 0: no limit
};

class RateLimiter {
 public:
  /// `exporters_most`: so far set_exporters_max may go; less than exporters_max: as far as that.
  RateLimiter(const RateLimits& limits, size_t exporters_max, uint64_t hash_seed, size_t exporters_most = 0) noexcept;
  /// There was address space for it; else it must not be used.
  bool is_ready() const noexcept { return memory_.data() != nullptr; }

  /// What goes from now on; of the total, whether there is one: how much set_total_rate says.
  void set_limits(const RateLimits& limits) noexcept WEIR_RUNS_ON(rx_lcore) { limits_ = limits; }
  /// Buckets for so many. Where that changes their number, who finds his in another place has a full one again.
  void set_exporters_max(size_t exporters_max) noexcept WEIR_RUNS_ON(rx_lcore);
  bool is_off() const noexcept { return limits_.per_exporter == 0 && limits_.total == 0; }
  /// The time for what follows.
  void tick(uint64_t steady_now_ns) noexcept WEIR_RUNS_ON(rx_lcore) { now_ns_ = steady_now_ns; }
  /// Whether the records may pass; if so they are counted.
  bool admit(const IpAddress& exporter, uint64_t records) noexcept WEIR_RUNS_ON(rx_lcore);

  /// What this core may take of the total from now on.
  void set_total_rate(uint64_t records_per_second) noexcept WEIR_RUNS_ON(control_thread) {
    total_rate_.store(records_per_second, std::memory_order_relaxed);
  }

 private:
  static constexpr size_t kProbes = 8;

  struct Bucket {
    IpAddress exporter;
    uint64_t filled_ns = 0;  // when its tokens were last reckoned; 0: never
    double tokens = 0;
  };

  static size_t buckets_for(size_t exporters) noexcept;
  void fill(Bucket& bucket, uint64_t rate) const noexcept;
  Bucket* buckets() const noexcept { return static_cast<Bucket*>(static_cast<void*>(memory_.data())); }
  Bucket& bucket_of(const IpAddress& exporter) noexcept;

  RateLimits limits_;
  const uint64_t hash_seed_;
  const size_t buckets_most_;  // a power of two
  size_t mask_ = 0;            // of those that are in use, less one
  decode::Reservation memory_;
  Bucket total_;
  std::atomic<uint64_t> total_rate_;
  uint64_t now_ns_ = 1;
};

}  // namespace weir::dataplane
