// sequence.h — What one stream of sequence numbers says was lost on the way here.
//
// Spec:     NetFlow v5 counts flows, v9 export packets (RFC 3954 §5.1), IPFIX data records (RFC
//           7011 §3.1); some exporters count the other thing, so the unit is learned from what
//           fits.
// Bounds:   kOpenGaps gaps are open at a time. A gap is open while datagrams that overtook each
//           other may still fill it, then it is lost for good; a restart of the exporter loses
//           nothing.
#pragma once

#include <cstdint>

namespace weir::decode {

enum class SequenceUnit : uint8_t { messages, records };

class SequenceTracker {
 public:
  static constexpr uint32_t kOpenGaps = 4;
  static constexpr uint32_t kGapMessages = 32;           // so many later messages close a gap
  static constexpr uint64_t kGapHoldNs = 2'000'000'000;  // so much time does, too
  static constexpr uint32_t kJumpMax = 1u << 20;         // a larger step is a restart, not a loss
  static constexpr int kVotesToSwitch = 4;

  SequenceTracker() = default;
  explicit SequenceTracker(SequenceUnit unit) : unit_(unit) {}

  struct Message {
    uint32_t sequence;
    uint32_t records;
    bool records_known;  // false: sets wait for templates, so the next number cannot be told
    bool restarted;      // the exporter's uptime went back
    uint64_t received_ns;
  };

  /// Returns how many units were found lost for good by now.
  uint64_t observe(const Message& m) noexcept {
    ++messages_;
    uint64_t lost = close_old(m.received_ns);
    if (known_ && !m.restarted) vote(m);
    const uint32_t step = unit_ == SequenceUnit::messages ? 1 : m.records;
    if (known_ && !m.restarted) {
      const uint32_t ahead = m.sequence - expected_;
      if (ahead == 0) {
        // As it should be.
      } else if (ahead < kJumpMax) {
        lost += open_gap(expected_, ahead, m.received_ns);
      } else if (0u - ahead <= kReorderMax) {
        fill_gap(m.sequence, step);
        return lost;  // `expected_` stays: later ones were here already
      } else {
        lost += close_all();
      }
    } else if (m.restarted) {
      lost += close_all();
    }
    known_ = unit_ == SequenceUnit::messages || m.records_known;
    expected_ = m.sequence + step;
    last_sequence_ = m.sequence;
    last_records_ = m.records;
    last_known_ = true;
    return lost;
  }

  /// Closes the gaps that are older than kGapHoldNs; returns the units lost.
  uint64_t close_old(uint64_t now_ns) noexcept {
    uint64_t lost = 0;
    while (gap_count_ != 0 && (messages_ - gaps_[0].message > kGapMessages ||
                               now_ns > gaps_[0].received_ns + kGapHoldNs)) {
      lost += close_first();
    }
    return lost;
  }

  /// Missing, but perhaps only late.
  uint64_t open_units() const noexcept {
    uint64_t units = 0;
    for (uint32_t i = 0; i < gap_count_; ++i) units += gaps_[i].units;
    return units;
  }
  SequenceUnit unit() const noexcept { return unit_; }

 private:
  // How far back a late message may lie: many messages of many records.
  static constexpr uint32_t kReorderMax = 4096;

  struct Gap {
    uint32_t begin;  // first number missing
    uint32_t end;
    uint32_t units;  // still missing of them
    uint64_t message;
    uint64_t received_ns;
  };

  uint64_t open_gap(uint32_t begin, uint32_t units, uint64_t now_ns) noexcept {
    const uint64_t lost = gap_count_ == kOpenGaps ? close_first() : 0;
    gaps_[gap_count_++] = {begin, begin + units, units, messages_, now_ns};
    return lost;
  }
  uint64_t close_first() noexcept {
    const uint64_t lost = gaps_[0].units;
    --gap_count_;
    for (uint32_t i = 0; i < gap_count_; ++i) gaps_[i] = gaps_[i + 1];
    return lost;
  }
  uint64_t close_all() noexcept {
    uint64_t lost = 0;
    while (gap_count_ != 0) lost += close_first();
    return lost;
  }
  void fill_gap(uint32_t sequence, uint32_t units) noexcept {
    for (uint32_t i = 0; i < gap_count_; ++i) {
      Gap& g = gaps_[i];
      if (sequence - g.begin < g.end - g.begin) {
        g.units -= units < g.units ? units : g.units;
        return;
      }
    }
  }
  void vote(const Message& m) noexcept {
    if (!last_known_ || last_records_ == 1) return;
    const uint32_t step = m.sequence - last_sequence_;
    const bool fits_messages = step == 1;
    const bool fits_records = step == last_records_;
    const bool fits = unit_ == SequenceUnit::messages ? fits_messages : fits_records;
    const bool other_fits = unit_ == SequenceUnit::messages ? fits_records : fits_messages;
    if (fits) {
      votes_ = 0;
    } else if (other_fits && ++votes_ >= kVotesToSwitch) {
      votes_ = 0;
      gap_count_ = 0;  // what seemed missing was counted in the wrong unit
      unit_ = unit_ == SequenceUnit::messages ? SequenceUnit::records : SequenceUnit::messages;
      expected_ = m.sequence;
    }
  }

  SequenceUnit unit_ = SequenceUnit::messages;
  bool known_ = false;
  bool last_known_ = false;
  int votes_ = 0;
  uint32_t expected_ = 0;
  uint32_t last_sequence_ = 0;
  uint32_t last_records_ = 0;
  uint32_t gap_count_ = 0;
  uint64_t messages_ = 0;
  Gap gaps_[kOpenGaps] = {};
};

}  // namespace weir::decode
