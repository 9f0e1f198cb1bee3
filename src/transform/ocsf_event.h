// ocsf_event.h — A flow → an event of OCSF 1.7.0, class network_activity, as JSON.
//
// Spec:     docs/OCSF.md: which attribute each field becomes. Valid under the schema for every flow that can be
//           parsed; no nulls, no empty objects, integers within 63 bits.
// Runs on:  any thread; a writer is constant once made. Pure: no clock, no allocation.
// Bounds:   writes into the caller's octets. kEventOctetsMax is room for whatever the collector's decoder makes.
// Failure:  0 where an event does not fit, which only lists beyond the decoder's bounds can bring about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flow/flow_view.h"
#include "transform/decisions.h"

namespace weir::transform {

/// A decoder's record has at most 1 KiB of unmapped elements, some thirty strings of 256 octets (six characters each
/// where they are control characters) and 200 numbers in lists: half of this.
inline constexpr size_t kEventOctetsMax = 128 * 1024;

struct OcsfOptions {
  std::string product_name = "Weir";
  std::string product_vendor;           // empty: left out
  std::string product_version;          // empty: this build's, with its commit
  std::string cloud_provider = "on_prem";
  int timezone_offset_minutes = 0;      // of the events' times ahead of UTC, which ours are in
  std::string rules_name;  // of the rules that events go by, and their hash; empty: none
  std::string rules_hash;
  std::vector<std::pair<std::string, std::string>> data_sets;  // names and versions of what addresses are looked up in
  bool community_id = true;  // a name of the connection that other tools have for it, too; an eighth of an event's time
  bool observables = false;  // a list of the event's addresses, for search engines; 150 octets an event
};

/// What an event says beside what is in the flow.
struct EventContext {
  uint64_t processed_ms = 0;  // since the epoch; 0: left out
  uint64_t stored_ms = 0;     // when a stream took the message; 0: none did
  /// The record's identity: its message's id and its place in it. Without an id it is left out.
  std::string_view message_id;
  uint32_t index = 0;
  Decisions decisions;  // of rules
  /// Of a packet that sFlow's agent says it discarded: why, flowpb.SflowDropReason.
  std::optional<uint32_t> discard_reason;
};

class OcsfWriter {
 public:
  explicit OcsfWriter(const OcsfOptions& options);

  /// Writes the event, without a newline, and returns its octets.
  size_t write(const FlowView& flow, const EventContext& context, std::span<char> out) const noexcept;

 private:
  // Parts that are the same in every event, with the comma behind them.
  std::string head_;              // from the opening brace to category_name
  std::string metadata_;          // "metadata":{ … up to the product and what else never changes
  std::string cloud_;             // "cloud":{…},
  const bool community_id_;
  const bool observables_;
};

}  // namespace weir::transform
