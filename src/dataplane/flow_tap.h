// flow_tap.h — Some of a core's flow records, copied for whoever looks at them while they pass.
//
// Runs on:  rx_lcore looks at records; the control thread takes the copies.
// Owns:     a TapLane, its copies; it is one core's for one who looks.
// Bounds:   kTapFlowsPerSecond copies a second and lane, kTapFlowsAtOnce at once, of kTapMessageOctetsMax each;
//           kTapFlowsWaitingMax wait. A record that nobody gets costs its conditions.
// Failure:  what matches and is not copied is counted, by reason: seen ≥ matched = copied + sampled_away +
//           too_large + no_room.
//
// A lane is lent to a core by a TapSet and outlived by whoever lends it (Pipeline::set_tap). Nothing here touches
// records or books.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/clock.h"
#include "base/counter.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "dataplane/flow_filter.h"
#include "export/encoder.h"
#include "flow/export_header.h"

namespace weir::dataplane {

inline constexpr size_t kTapWatchesMax = 4;  // who look at a time: each costs a core its conditions
/// More than anybody reads; what a core spends on copying stays below a ten-thousandth of its time.
inline constexpr uint64_t kTapFlowsPerSecond = 200;
/// What a quiet exporter sends now and then is seen whole: one datagram's records.
inline constexpr uint64_t kTapFlowsAtOnce = kBurstRecords;
inline constexpr size_t kTapFlowsWaitingMax = 64;  // the control thread comes several hundred times a second
/// A record with all integers and addresses takes 0.8 KiB; the rest is for texts and lists.
inline constexpr size_t kTapMessageOctetsMax = 4096;

/// A record as flowpb.FlowMessage has it.
struct TappedFlow {
  IpAddress exporter;  // where the datagram came from
  uint32_t in_interface = 0;
  uint32_t out_interface = 0;
  ListenerId listener;
  uint16_t octets = 0;
  std::array<uint8_t, kTapMessageOctetsMax> framed;  // a flowpb.FlowBatch of one

  std::span<const uint8_t> batch() const noexcept { return std::span(framed).first(octets); }
};

struct TapCounters {
  Counter seen;  // records that passed by
  Counter matched;
  Counter copied;
  Counter sampled_away;  // more came than are shown in a second
  Counter too_large;
  Counter no_room;  // the control thread did not come in time
};

class TapLane {
 public:
  explicit TapLane(const FlowFilter& filter)
      : filter_(filter), has_numbers_(filter.has_numbers()), has_addresses_(filter.has_addresses()) {}

  /// Between two bursts.
  void tick(uint64_t steady_now_ns) noexcept WEIR_RUNS_ON(rx_lcore);
  void look(const RecordBurst& burst) noexcept WEIR_RUNS_ON(rx_lcore);

  bool take(TappedFlow& flow) noexcept WEIR_RUNS_ON(control_thread) { return copies_.pop(flow); }
  const TapCounters& counters() const noexcept { return counters_; }

 private:
  size_t find(std::span<const FlowRecord> records, std::span<uint8_t, kBurstRecords> places) const noexcept;
  void copy(const RecordBurst& burst, const outbound::HeaderPrefix& prefix, const FlowRecord& record) noexcept
      WEIR_RUNS_ON(rx_lcore);

  const FlowFilter filter_;
  const bool has_numbers_;
  const bool has_addresses_;
  const outbound::Encoder encoder_{Kernel::portable};
  TapCounters counters_;
  uint64_t credit_ns_ = 0;      // what may be shown now, kFlowNs each
  uint64_t last_tick_ns_ = 0;   // 0: none yet
  uint32_t turn_ = 0;           // where in a burst the next choice begins
  TappedFlow flow_;             // being made
  SpscRing<TappedFlow> copies_{kTapFlowsWaitingMax};
};

/// Whose lanes a core serves: immutable while it is lent.
struct TapSet {
  std::array<TapLane*, kTapWatchesMax> lanes{};
  size_t count = 0;

  void tick(uint64_t steady_now_ns) const noexcept WEIR_RUNS_ON(rx_lcore) {
    for (size_t i = 0; i < count; ++i) lanes[i]->tick(steady_now_ns);
  }
  void look(const RecordBurst& burst) const noexcept WEIR_RUNS_ON(rx_lcore) {
    for (size_t i = 0; i < count; ++i) lanes[i]->look(burst);
  }
};

}  // namespace weir::dataplane
