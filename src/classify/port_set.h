// port_set.h — Ports of TCP or UDP that a rule is for: few ranges, looked through one by one.
//
// Runs on:  made when rules are read; asked on rx_lcore.
// Bounds:   kPortRangesMax.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::classify {

inline constexpr size_t kPortRangesMax = 64;

struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;

  bool has_either(uint32_t a, uint32_t b) const noexcept {
    return (a >= first && a <= last) || (b >= first && b <= last);
  }
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

class PortSet {
 public:
  /// `53`, `8000-8999`.
  Result<void> add(std::string_view text);
  bool has_either(uint32_t a, uint32_t b) const noexcept {
    for (const PortRange& range : ranges_)
      if (range.has_either(a, b)) return true;
    return false;
  }
  const std::vector<PortRange>& ranges() const noexcept { return ranges_; }

 private:
  std::vector<PortRange> ranges_;
};

}  // namespace weir::classify
