// live_flows.h — Who looks at flow records while they pass: opened for a reader, fed from the cores, closed behind it.
//
// Runs on:  open and what a LiveReader has: http_thread; step: control_thread.
// Owns:     watches, with a lane for each core (dataplane/flow_tap.h), until no core goes by them any more.
// Bounds:   kTapWatchesMax watches at a time, one that is being closed included; kLiveFlowsWaitingMax flows wait for
//           a reader. Its lanes take 0.3 MiB a core.
// Failure:  no watch where there are too many. What a reader does not take in time is counted (no_room).
//
// A watch goes from thread to thread as a question does: the reader's thread makes it, the control thread lends its
// lanes to the cores and takes them back, and deletes it. Cores that have ended keep what they were lent, so this
// outlives the data plane.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/counter.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "control/exporters/exporter_directory.h"
#include "dataplane/data_plane.h"
#include "dataplane/flow_tap.h"

namespace weir::control {

/// A reader looks every 50 ms: what twenty cores save up while nothing matches, and what a hundred show until then.
inline constexpr size_t kLiveFlowsWaitingMax = 1024;

struct LiveFlow {
  std::vector<uint8_t> batch;  // a flowpb.FlowBatch of one
  ListenerId listener;
  // As the operator's list or options data gave them; empty: not known.
  std::string exporter_name;
  std::string in_interface_name;
  std::string out_interface_name;
};

/// seen ≥ matched = taken + sampled_away + too_large + no_room, and what is on its way.
struct LiveCounts {
  uint64_t seen = 0;
  uint64_t matched = 0;
  uint64_t sampled_away = 0;
  uint64_t too_large = 0;
  uint64_t no_room = 0;
};

class LiveWatch;

/// A watch in the hands of who reads it; its end closes the watch.
class LiveReader {
 public:
  explicit LiveReader(LiveWatch& watch) : watch_(watch) {}
  ~LiveReader();
  LiveReader(const LiveReader&) = delete;
  LiveReader& operator=(const LiveReader&) = delete;

  /// Every core looks.
  bool is_open() const noexcept;
  /// The appliance stops.
  bool is_ending() const noexcept;
  /// The next flow; null when there is none just now.
  std::unique_ptr<LiveFlow> take();
  LiveCounts counts() const noexcept;

 private:
  LiveWatch& watch_;
};

class LiveFlows {
 public:
  LiveFlows();
  ~LiveFlows();

  /// Null when kTapWatchesMax look already. Destroy it before this.
  std::unique_ptr<LiveReader> open(const dataplane::FlowFilter& filter);

  /// Takes watches up and back, moves flows; whether there were any.
  bool step(dataplane::DataPlane& plane, const ExporterDirectory& directory) WEIR_RUNS_ON(control_thread);
  /// Readers are told.
  void end() noexcept { is_ending_.store(true, std::memory_order_relaxed); }

 private:
  /// What the cores were told to serve: a set each, of the same watches.
  struct Round {
    std::vector<LiveWatch*> watches;
    std::vector<dataplane::TapSet> sets;  // by core; none: nobody looks
  };

  void begin_round(dataplane::DataPlane& plane) WEIR_RUNS_ON(control_thread);
  void settle_round(dataplane::DataPlane& plane) WEIR_RUNS_ON(control_thread);
  bool move_flows(const ExporterDirectory& directory) WEIR_RUNS_ON(control_thread);

  std::atomic<bool> is_ending_{false};
  uint64_t opened_ = 0;  // http_thread's
  Counter closed_;       // the control thread's
  SpscRing<LiveWatch*> asked_{dataplane::kTapWatchesMax};
  // The control thread's.
  std::vector<std::unique_ptr<LiveWatch>> watches_;
  std::unique_ptr<Round> round_;
  std::unique_ptr<Round> next_round_;  // null: no change is under way
  dataplane::TappedFlow flow_;         // being moved
};

}  // namespace weir::control
