// view.h — weir-etl at one moment, between two of the etl_thread's steps: what its books say, and how its connections are.
//
// Owns:     everything it shows; immutable once published. The books are exact: one thread writes them all.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "enrich/enrichment.h"
#include "feed/names_reader.h"
#include "feed/source_message.h"
#include "feed/source_view.h"

namespace weir::etl {

using feed::DeadReason;
using feed::DeadTally;

/// Where every message and every record that came in has gone.
///
///   messages_in = done + Σ dead (of whole messages) + returned + in_hand
///   records_in  = dropped + sampled_out + acknowledged (events, decisions) + Σ dead (of records) + returned + in_flight
///
/// done: all that came of it is acknowledged, and so is it. returned: left to be delivered again, for what came of it was
/// refused, or the program stopped; so are records whose message was.
struct EtlBooks {
  uint64_t messages_in = 0;  // deliveries: one that comes again is another
  uint64_t messages_redelivered = 0;  // of these, those that had been delivered before
  uint64_t messages_done = 0;
  uint64_t messages_returned = 0;
  uint64_t messages_in_hand = 0;
  DeadTally messages_dead{};

  uint64_t records_in = 0;
  uint64_t records_dropped = 0;      // by a rule
  uint64_t records_sampled_out = 0;  // by a rule
  uint64_t events_acknowledged = 0;
  uint64_t decisions_acknowledged = 0;  // results of a decision file, instead
  uint64_t records_returned = 0;
  uint64_t records_in_flight = 0;
  DeadTally records_dead{};

  // No part of the sums.
  uint64_t octets_in = 0;
  uint64_t event_octets = 0;   // made; of decisions, too, as what follows
  uint64_t event_messages = 0; // acknowledged
  uint64_t event_messages_duplicate = 0;  // of these, those that the stream had already
  uint64_t rule_errors = 0;    // expressions without a value
  uint64_t labels_left_out = 0;  // of rules: a flow had as many as it may have

  uint64_t messages_dead_total() const noexcept;
  uint64_t records_dead_total() const noexcept;
  /// Empty, or the equation that does not hold.
  std::string discrepancy() const;
};

struct RuleView {
  std::string id;
  uint64_t matched = 0;
  uint64_t dropped = 0;  // sampled out ones too
  uint64_t errors = 0;
};

struct RulesView {
  uint64_t version = 0;  // 0: nothing was read yet
  std::string name;      // empty: none
  std::string hash;
  uint64_t read_ns = 0;
  std::vector<RuleView> rules;
  RuleView former;  // what rules did that are there no more
  std::vector<enrich::SourceLook> sources;  // of what is known of addresses
};

struct EventPublisherView {
  std::string name;  // events, decisions, dead
  std::string stream;
  bool is_connected = false;
  uint64_t in_flight = 0;
  uint64_t messages = 0;
  uint64_t octets = 0;
  uint64_t acknowledgements = 0;
  uint64_t negative_acknowledgements = 0;
  uint64_t retries = 0;
  uint64_t reconnects = 0;
  uint64_t streams_created = 0;
  std::string trouble;
};

struct EtlView {
  uint64_t taken_steady_ns = 0;
  uint64_t started_ns = 0;  // wall clock
  uint64_t taken_ns = 0;    // wall clock
  bool is_stopping = false;
  bool is_careful = false;  // one message at a time, for some were delivered before
  EtlBooks books;
  RulesView rules;
  feed::SourceView source;
  std::shared_ptr<const feed::NamesView> names;  // null: none are asked for
  std::vector<EventPublisherView> publishers;
  uint64_t buffers = 0;
  uint64_t buffers_free = 0;

  /// Empty, or why nothing can be worked on just now.
  std::string not_ready_because() const;
};

}  // namespace weir::etl
