// shares.h — A bound that all exporters share: a part of it is kept for each of them, the rest is for whoever comes
// first.
//
// Without the kept parts, a handful of made-up sources that take all there is leave nothing for an exporter that
// comes later, for as long as they are remembered.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weir::decode {

class Shares {
 public:
  /// `own` is kept for each exporter; `common` is what they may take beyond that, together.
  constexpr Shares(uint64_t own, uint64_t common) noexcept : own_(own), common_(common) {}
  /// Half of `total` is kept, but no part above `own_max`, and none where parts would be below `own_min`.
  static constexpr Shares of(uint64_t total, uint32_t exporters, uint64_t own_min,
                             uint64_t own_max) noexcept {
    uint64_t own = std::min(total / 2 / exporters, own_max);
    if (own < own_min) own = 0;
    return {own, total - own * exporters};
  }

  /// What one exporter may have at most.
  constexpr uint64_t most() const noexcept { return own_ + common_; }
  /// Whether an exporter that has `had` may have `more` beyond it.
  constexpr bool admits(uint64_t had, uint64_t more) const noexcept {
    return taken_ + beyond(had + more) - beyond(had) <= common_;
  }
  constexpr void change(uint64_t before, uint64_t after) noexcept {
    taken_ += beyond(after) - beyond(before);
  }

 private:
  constexpr uint64_t beyond(uint64_t has) const noexcept { return has > own_ ? has - own_ : 0; }

  uint64_t own_;
  uint64_t common_;
  uint64_t taken_ = 0;  // of what is common
};

/// Of tables with a place for each rate or name: places kept for an exporter.
constexpr uint32_t places_kept(uint32_t exporters) noexcept {
  constexpr uint32_t kPlaces = 1u << 15;  // of all
  constexpr uint32_t kMost = 8;
  return std::clamp(kPlaces / exporters, 1u, kMost);
}

}  // namespace weir::decode
