// rate_balancer.h — Divides the limit of records in all among the cores, by what each was offered.
//
// Runs on:  control_thread.
//
// A tenth is divided evenly, so that a core to which traffic moves has something until the next look.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::control {

class RateBalancer {
 public:
  explicit RateBalancer(uint64_t records_per_second) : total_(records_per_second) {}

  void set_total(uint64_t records_per_second) noexcept { total_ = records_per_second; }
  bool is_off() const noexcept { return total_ == 0; }

  /// `offered` is what each core has been offered since it started; each core's share of the limit.
  std::vector<uint64_t> shares(const std::vector<uint64_t>& offered) {
    seen_.resize(offered.size());
    uint64_t since = 0;
    for (size_t i = 0; i < offered.size(); ++i) since += offered[i] - seen_[i];
    const uint64_t even = since == 0 ? total_ : total_ / 10;
    std::vector<uint64_t> shares(offered.size());
    for (size_t i = 0; i < offered.size(); ++i) {
      shares[i] = even / offered.size();
      if (since != 0) {
        const double part =
            static_cast<double>(offered[i] - seen_[i]) / static_cast<double>(since);
        shares[i] += static_cast<uint64_t>(static_cast<double>(total_ - even) * part);
      }
      if (shares[i] == 0) shares[i] = 1;  // a rate of nothing would never refill
      seen_[i] = offered[i];
    }
    return shares;
  }

 private:
  uint64_t total_;
  std::vector<uint64_t> seen_;
};

}  // namespace weir::control
