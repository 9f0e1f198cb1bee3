// ledger.h — What one core received and what became of it, as plain numbers that must add up.
//
// Runs on:  Pipeline fills them in, the control thread judges them.
//
// A core's counters change while others read them. Its books are copied by the core itself between
// two bursts, when nothing is under way: there every equation holds exactly, whatever the load, and a
// difference is a mistake of ours however small it is.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/counter.h"
#include "dataplane/exception_lane.h"
#include "dataplane/worker_lane.h"
#include "decode/decoder.h"
#include "export/batcher.h"
#include "packet/frame.h"
#include "packet/reassembly.h"

namespace weir::dataplane {

/// The values of a CounterArray at one moment.
template <class Enum>
struct Tally {
  std::array<uint64_t, CounterArray<Enum>::kSize> values{};

  Tally() = default;
  explicit Tally(const CounterArray<Enum>& counters) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = counters[static_cast<Enum>(i)].value();
  }
  uint64_t operator[](Enum e) const { return values[static_cast<size_t>(e)]; }
  uint64_t& operator[](Enum e) { return values[static_cast<size_t>(e)]; }
  uint64_t total() const {
    uint64_t sum = 0;
    for (uint64_t v : values) sum += v;
    return sum;
  }
  Tally& operator+=(const Tally& other) {
    for (size_t i = 0; i < values.size(); ++i) values[i] += other.values[i];
    return *this;
  }
};

/// An equation of the ledger that does not hold.
struct Discrepancy {
  std::string equation;    // `core 0: records`
  int64_t difference = 0;  // what came in less what is accounted for

  std::string text() const;
  friend bool operator==(const Discrepancy&, const Discrepancy&) = default;
};

/// What one core (or all of them) received, and what became of it: DESIGN's three ledgers up to the
/// encoder.
struct Ledger {
  uint64_t frames = 0;
  Tally<packet::FrameVerdict> verdicts;
  Tally<packet::FragmentOutcome> fragments;  // of the frames that are fragments
  uint64_t fragments_waiting = 0;
  Tally<packet::FrameVerdict> reassembled;  // datagrams made of fragments
  uint64_t no_listener = 0;
  Tally<ExceptionOutcome> exceptions;  // frames that are sound and no export traffic
  Tally<HandedKind> handed;            // frames given to workers
  Tally<HandedKind> worker_full;       // that were for workers which were too far behind
  Tally<HandedKind> taken;             // by this worker
  uint64_t datagrams = 0;
  uint64_t datagrams_decoded = 0;
  Tally<decode::DatagramError> datagram_errors;
  uint64_t sets = 0;
  uint64_t set_octets = 0;
  Tally<decode::SetOutcome> set_outcomes;
  Tally<decode::SetOutcome> set_outcome_octets;
  uint64_t sequence_lost = 0;  // before they arrived, in the exporters' own units
  uint64_t records = 0;        // flows
  uint64_t counter_records = 0;
  uint64_t discard_records = 0;
  uint64_t encoded = 0;
  Tally<outbound::RecordDrop> record_drops;

  Ledger& operator+=(const Ledger& other);

  /// The equations that do not hold; none when the books balance. Read from another thread while the
  /// core works, a ledger may be off by a burst for a moment.
  std::vector<Discrepancy> discrepancies() const;
  /// Of all cores together, when none of them works any more: what was handed over has been taken.
  std::vector<Discrepancy> handover_discrepancies() const;
};

/// A core's ledger between two bursts, and where the records are that it encoded.
struct CoreBooks {
  Ledger ledger;
  uint64_t records_open = 0;    // in batches that are being filled, counted there
  uint64_t records_sealed = 0;  // in batches handed on since the start

  /// Exact: none of them passes.
  std::vector<Discrepancy> discrepancies() const;
};

}  // namespace weir::dataplane
