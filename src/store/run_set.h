// run_set.h — Which places of a numbered sequence have been taken: runs of them, and beneath a floor nothing that is known.
//
// Runs on:  any thread, one at a time. Pure.
// Bounds:   kRunsMax runs; beyond, the oldest is forgotten and the floor rises above it.
// Failure:  a text that is no set is none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::store {

/// The message of a batch that became several, or the whole.
struct BatchPlace {
  static constexpr uint32_t kWhole = UINT32_MAX;
  uint64_t sequence = 0;
  uint32_t part = kWhole;
};

/// fresh: was not there. repeated: was. unsure: it is older than what is remembered, or a part of it was there.
enum class Verdict : uint8_t { fresh, repeated, unsure };

class RunSet {
 public:
  /// A gap is room for what comes late. Numbers that other consumers take leave gaps as well, so there may be many.
  static constexpr size_t kRunsMax = 16'384;

  Verdict add(BatchPlace place, size_t runs_max = kRunsMax);
  /// What add would say: repeated, or another.
  bool has(BatchPlace place) const noexcept;

  /// Sequences up to which something was taken; 0: none.
  uint64_t high() const noexcept { return runs_.empty() ? 0 : sequence_of(runs_.back().last); }
  size_t runs() const noexcept { return runs_.size(); }
  bool has_forgotten() const noexcept { return floor_ != 0; }

  /// `floor 17; 17-900 902.0-902.17`
  std::string to_text() const;
  static std::optional<RunSet> parse(std::string_view text);
  friend bool operator==(const RunSet&, const RunSet&) = default;

 private:
  // A sequence has 2^32 parts: 96 bits number all of them.
  __extension__ typedef unsigned __int128 Position;
  static constexpr Position kPartMask = UINT32_MAX;
  static uint64_t sequence_of(Position p) noexcept { return static_cast<uint64_t>(p >> 32); }

  struct Run {
    Position first = 0, last = 0;
    friend bool operator==(const Run&, const Run&) = default;
  };

  static Run run_of(BatchPlace place) noexcept {
    const bool is_whole = place.part == BatchPlace::kWhole;
    const Position first = Position{place.sequence} << 32 | (is_whole ? 0 : place.part);
    return {first, is_whole ? first | kPartMask : first};
  }

  std::vector<Run> runs_;  // ascending, with a gap between each two
  Position floor_ = 0;
};

}  // namespace weir::store
