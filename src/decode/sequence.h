// sequence.h — What one stream of sequence numbers says was lost on the way here.
//
// Spec:     NetFlow v5 counts flows, v9 export packets (RFC 3954 §5.1), IPFIX data records, options
//           data included (RFC 7011 §3.1), sFlow datagrams. Some exporters count something else:
//           the unit is the one that leaves no gap most often.
// Runs on:  the decoder's thread; once a datagram.
// Bounds:   kOpenGaps gaps are open at a time. A gap is open while datagrams that were overtaken may
//           still fill it, then it is lost for good; a restart of the exporter loses nothing.
#pragma once

#include <cstdint>

#include "base/named_enum.h"

namespace weir::decode {

/// What an exporter counts: its messages, or what of their content. In the order of preference
/// where several fit alike.
#define WEIR_SEQUENCE_UNITS(X) X(messages) X(records) X(data_records) X(records_and_templates)
WEIR_NAMED_ENUM(SequenceUnit, uint8_t, WEIR_SEQUENCE_UNITS)

struct SequenceMessage {
  uint32_t sequence = 0;
  uint32_t data_records = 0;
  uint32_t options_records = 0;
  uint32_t templates = 0;
  bool records_known = true;  // false: sets wait for templates, so the next number cannot be told
  bool restarted = false;     // the exporter's uptime went back
  uint64_t received_ns = 0;
};

class SequenceTracker {
 public:
  static constexpr uint32_t kOpenGaps = 8;
  static constexpr uint32_t kGapMessages = 32;           // so many later messages close a gap
  static constexpr uint64_t kGapHoldNs = 2'000'000'000;  // so much time does, too
  static constexpr uint32_t kJumpMax = 1u << 20;         // a larger step is a restart, not a loss
  static constexpr uint32_t kReorderMax = 4096;  // so many units back a late message may lie
  static constexpr uint32_t kLateRunMax = 8;     // late ones in order that fill nothing: a restart
  static constexpr uint8_t kVotesToSwitch = 4;

  SequenceTracker() = default;
  explicit SequenceTracker(SequenceUnit unit) noexcept : unit_(unit) {}

  /// Returns how many units were found lost for good by now.
  uint64_t observe(const SequenceMessage& m) noexcept;

  /// Closes the gaps that are older than kGapHoldNs; returns the units lost.
  uint64_t close_old(uint64_t now_ns) noexcept {
    return gap_count_ == 0 ? 0 : settle(close_gaps(now_ns));
  }

  /// Missing, but perhaps only late, or counted in the wrong unit.
  uint64_t open_units() const noexcept {
    uint64_t units = suspect_;
    for (uint32_t i = 0; i < gap_count_; ++i) units += gaps_[i].units();
    return units;
  }
  SequenceUnit unit() const noexcept { return unit_; }
  /// Messages that came again, or far too late.
  uint32_t duplicates() const noexcept { return duplicates_; }
  uint32_t restarts() const noexcept { return restarts_; }
  bool is_new() const noexcept { return messages_ == 0; }

 private:
  struct Gap {
    uint32_t begin;  // first number missing
    uint32_t end;
    uint32_t message;
    uint64_t received_ns;
    uint32_t units() const noexcept { return end - begin; }
  };

  static uint32_t step_of(SequenceUnit unit, const SequenceMessage& m) noexcept;
  uint64_t learn(const SequenceMessage& m) noexcept;
  void adopt(SequenceUnit unit, const SequenceMessage& m) noexcept;
  bool is_contested() const noexcept;
  uint64_t settle(uint64_t units) noexcept;
  uint64_t close_gaps(uint64_t now_ns) noexcept;
  uint64_t close_all() noexcept;
  uint64_t close_first() noexcept;
  uint64_t open_gap(uint32_t begin, uint32_t units, uint64_t now_ns) noexcept;
  bool fill_gaps(uint32_t sequence, uint32_t units) noexcept;
  bool began_anew(const SequenceMessage& m, uint32_t step) noexcept;

  SequenceUnit unit_ = SequenceUnit::messages;
  bool known_ = false;  // expected_ is
  bool has_last_ = false;
  uint8_t votes_[static_cast<size_t>(SequenceUnit::count_)] = {};
  uint32_t expected_ = 0;
  uint32_t gap_count_ = 0;
  uint32_t messages_ = 0;
  uint32_t late_run_ = 0;
  uint32_t late_next_ = 0;
  uint32_t duplicates_ = 0;
  uint32_t restarts_ = 0;
  uint64_t suspect_ = 0;  // in closed gaps, while another unit may be the right one
  SequenceMessage last_;  // as they arrive
  Gap gaps_[kOpenGaps] = {};
};

}  // namespace weir::decode
