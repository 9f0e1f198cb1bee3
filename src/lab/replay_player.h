// replay_player.h — Plays captures at a rate, for rounds or a time, with faults of every kind by the same dice.
//
// Runs on:  a thread of its own (run); counters on any.
// Bounds:   of each exporter one frame is held back at a time; rounds, a time or `stop` end it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/counter.h"
#include "base/result.h"
#include "lab/replay_frames.h"
#include "lab/replay_rewrite.h"
#include "lab/traffic.h"

namespace weir::lab {

/// How fast: as much as is taken, so many units a second, or as it was captured, so many times as fast.
struct ReplayRate {
  enum class Unit : uint8_t { unlimited, packets, bits, records, recorded };
  Unit unit = Unit::unlimited;
  double value = 0;  // a second, or the factor

  /// `max`, `200kpps`, `1.5Gbps`, `3Mrps`, `x1`, `x0.5`.
  static std::optional<ReplayRate> parse(std::string_view text);
};
inline constexpr const char* kReplayRateForms = "max, 200kpps, 1.5Gbps (of frames), 3Mrps (records) or x2 (times as captured)";

/// Of a million frames each; but for the first, of those that are not lost.
struct ReplayFaults {
  uint32_t lost = 0;
  uint32_t duplicated = 0;
  uint32_t reordered = 0;  // behind the next one of the same exporter: half of them at most
  uint32_t corrupted = 0;  // one octet of the payload is another; of duplicates, too
};

struct ReplayPlan {
  ReplayRate rate;
  uint64_t rounds = 1;       // 0: no bound
  uint64_t duration_ns = 0;  // 0: no bound
  uint32_t copies = 1;       // exporters for each of the captures'
  ReplayFaults faults;
  uint64_t seed = 1;
};

/// Single-writer.
struct ReplayCounters {
  Counter frames;  // given to the output: without those lost, with the duplicates
  Counter octets;
  Counter records;  // of the frames given, as they were captured
  Counter rounds;   // begun
  Counter lost;
  Counter lost_records;
  Counter lost_octets;
  Counter duplicated;
  Counter reordered;
  Counter corrupted;
  Counter behind_ns;  // gauge: how far behind its rate
};

/// Where frames go.
class ReplayOutput {
 public:
  virtual ~ReplayOutput() = default;
  /// Room for a frame of that exporter; null: there is none and never will be, for the run is over.
  virtual uint8_t* room(uint32_t exporter, size_t octets) = 0;
  /// The room has been written to.
  virtual void commit(size_t octets) = 0;
  /// What was committed goes now.
  virtual void flush() = 0;
};

class ReplayPlayer {
 public:
  ReplayPlayer(const ReplayFrames& frames, const ReplayPlan& plan);

  /// Returns when all has been played, or `stop` is set.
  void run(ReplayOutput& output, const std::atomic<bool>& stop);

  const ReplayCounters& counters() const noexcept { return counters_; }
  /// Of the frames played so far: when the first was due, and when the last had gone.
  uint64_t began_steady_ns() const noexcept { return began_ns_.load(std::memory_order_acquire); }
  uint64_t ended_steady_ns() const noexcept { return ended_ns_.load(std::memory_order_acquire); }
  /// 0 to 1, of the rounds or the time, whichever ends it first; 0 where neither is bounded.
  double progress(uint64_t steady_now_ns) const noexcept;

 private:
  struct Play {
    const ReplayFrame* frame = nullptr;
    uint32_t copy = 0;
    uint64_t round = 0;
  };

  bool play_round(uint64_t round, ReplayOutput& output, const std::atomic<bool>& stop);
  bool await(const Play& play, ReplayOutput& output, const std::atomic<bool>& stop);
  uint64_t due_ns(const Play& play) const noexcept;
  bool throw_dice(const Play& play, ReplayOutput& output);
  bool give_once_or_twice(const Play& play, ReplayOutput& output);
  bool give(const Play& play, ReplayOutput& output);
  void give_held(ReplayOutput& output);
  uint32_t exporter_of(const Play& play) const noexcept { return play.frame->source * plan_.copies + play.copy; }
  bool falls(uint32_t of_a_million) { return of_a_million != 0 && random_.below(1'000'000) < of_a_million; }

  const ReplayFrames& frames_;
  const ReplayPlan plan_;
  const ReplayRewriter rewriter_;
  ReplayCounters counters_;
  Random random_;
  const uint32_t held_of_a_million_;  // of frames whose exporter has none held
  std::vector<Play> held_;  // by exporter, until its next one has gone; empty where nothing is reordered
  uint64_t wall_ns_ = 0;
  uint64_t now_ns_ = 0;
  uint32_t until_look_ = 0;  // frames that may go before the clock is looked at
  std::atomic<uint64_t> began_ns_{0};
  std::atomic<uint64_t> ended_ns_{0};
};

}  // namespace weir::lab
