// set_aside.h — Hours of which a piece of work failed: left alone for a while, so that the others go on.
//
// Runs on:  the keeper's thread.
// Bounds:   hours that there are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>

namespace weir::store {

inline constexpr int64_t kAsideFirstMicros = 60'000'000;
inline constexpr int64_t kAsideMaxMicros = 16 * kAsideFirstMicros;
/// So many may fail at a time.
inline constexpr int kAsideAStepMax = 4;

class SetAside {
 public:
  bool has(int64_t hour, int64_t now_micros) const {
    const auto at = failed_.find(hour);
    if (at == failed_.end()) return false;
    const int64_t left = at->second.until_micros - now_micros;
    return left > 0 && left <= at->second.wait_micros;  // not for ever where a clock was set back
  }
  /// Longer each time.
  void failed(int64_t hour, const std::string& why, int64_t now_micros) {
    Failed& failed = failed_[hour];
    failed.wait_micros = failed.wait_micros == 0 ? kAsideFirstMicros : std::min(2 * failed.wait_micros, kAsideMaxMicros);
    failed.until_micros = now_micros + failed.wait_micros;
    failed.why = why;
  }
  void done(int64_t hour) { failed_.erase(hour); }
  /// Others are no more.
  template <class IsThere>
  void keep_only(const IsThere& is_there) {
    for (auto at = failed_.begin(); at != failed_.end();) at = is_there(at->first) ? std::next(at) : failed_.erase(at);
  }
  /// Of one of them; empty: there is none.
  std::string trouble() const { return failed_.empty() ? std::string() : failed_.begin()->second.why; }

 private:
  struct Failed {
    std::string why;
    int64_t until_micros = 0;
    int64_t wait_micros = 0;
  };
  std::map<int64_t, Failed> failed_;
};

}  // namespace weir::store
