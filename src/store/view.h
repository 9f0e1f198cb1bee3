// view.h — weir-store at one moment, between two of the ingest thread's steps: what its books say, and how its connections are.
//
// Owns:     everything it shows; immutable once published. The books are exact: one thread writes them all.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "feed/names_reader.h"
#include "feed/source_view.h"
#include "store/committer.h"

namespace weir::store {

/// Where every message and every record that came in has gone.
///
///   messages_in = stored + repeated + Σ dead (of whole messages) + returned + in_hand
///   records_in  = rows + dropped + sampled_out + Σ dead (of records) + returned + in_flight
///
/// stored: its rows are committed, and it is acknowledged. repeated: it was stored before. returned: left to be delivered again, for
/// what was dead of it was refused, or the program stopped; so are records that were not committed then.
struct StoreBooks {
  uint64_t messages_in = 0;           // deliveries: one that comes again is another
  uint64_t messages_redelivered = 0;  // of these, those that had been delivered before
  uint64_t messages_stored = 0;
  uint64_t messages_repeated = 0;
  uint64_t messages_returned = 0;
  uint64_t messages_in_hand = 0;
  feed::DeadTally messages_dead{};

  uint64_t records_in = 0;
  uint64_t records_dropped = 0;      // by a rule
  uint64_t records_sampled_out = 0;  // by a rule
  uint64_t rows = 0;                 // committed
  uint64_t records_returned = 0;
  uint64_t records_in_flight = 0;
  feed::DeadTally records_dead{};

  // No part of the sums.
  uint64_t messages_unsure = 0;   // stored, though they are older than what is remembered of them
  uint64_t octets_in = 0;
  uint64_t times_replaced = 0;    // rows whose flow said a time that cannot be
  uint64_t remainders_cut = 0;    // rows without one, for it was too long
  uint64_t rule_errors = 0;       // expressions without a value
  uint64_t labels_left_out = 0;   // of rules: a flow had as many as it may have
  uint64_t decisions = 0;         // results of a decision file
  uint64_t decisions_missing = 0; // rows without one, for an expression had no value, or it was too long

  uint64_t messages_dead_total() const noexcept;
  uint64_t records_dead_total() const noexcept;
  /// Empty, or the equation that does not hold.
  std::string discrepancy() const;
};

struct IdentityView {
  uint64_t sources = 0;
  uint64_t ids = 0;
  uint64_t runs_most = 0;
  uint64_t sources_forgotten = 0;
  uint64_t ids_forgotten = 0;
};

struct StoreView {
  uint64_t taken_steady_ns = 0;
  uint64_t started_ns = 0;  // wall clock
  uint64_t taken_ns = 0;    // wall clock
  bool is_stopping = false;
  bool is_careful = false;  // one message at a time, for one may be what killed whoever had it
  StoreBooks books;
  IdentityView identities;
  uint64_t rules_version = 0;
  std::string rules_name;  // empty: none
  std::string rules_hash;
  feed::SourceView source;
  bool is_dead_connected = false;
  std::string dead_trouble;  // of the stream of dead letters
  std::shared_ptr<const feed::NamesView> names;  // null: none are asked for
  CommitterView committer;
  uint64_t newest_row_us = 0;       // the largest time received of what is committed; 0: none yet
  uint64_t oldest_open_ns = 0;      // how long the batch that is filled has been open
  uint64_t chunks = 0;              // memory for rows

  /// Empty, or why nothing can be stored just now.
  std::string not_ready_because() const;
};

}  // namespace weir::store
