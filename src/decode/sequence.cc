#include "decode/sequence.h"

namespace weir::decode {
namespace {

constexpr uint32_t kUnits = static_cast<uint32_t>(SequenceUnit::count_);

}  // namespace

uint32_t SequenceTracker::step_of(SequenceUnit unit, const SequenceMessage& m) noexcept {
  switch (unit) {
    case SequenceUnit::records: return m.data_records + m.options_records;
    case SequenceUnit::data_records: return m.data_records;
    case SequenceUnit::records_and_templates:
      return m.data_records + m.options_records + m.templates;
    case SequenceUnit::messages:
    case SequenceUnit::count_: break;
  }
  return 1;
}

uint64_t SequenceTracker::observe(const SequenceMessage& m) noexcept {
  ++messages_;
  uint64_t lost = gap_count_ != 0 ? settle(close_gaps(m.received_ns)) : 0;
  if (m.restarted) {
    ++restarts_;
    lost += settle(close_all());
    known_ = has_last_ = false;
  }
  if (has_last_) lost += learn(m);
  last_ = m;
  has_last_ = true;
  const uint32_t step = step_of(unit_, m);
  if (known_) {
    const uint32_t ahead = m.sequence - expected_;
    const uint32_t behind = 0u - ahead;
    if (ahead != 0 && ahead < kJumpMax) {
      lost += settle(open_gap(expected_, ahead, m.received_ns));
    } else if (ahead != 0 && behind <= kReorderMax) {
      if (fill_gaps(m.sequence, step)) {
        late_run_ = 0;
        return lost;  // `expected_` stays: later ones were here already
      }
      if (!began_anew(m, step)) {
        ++duplicates_;
        return lost;
      }
      ++restarts_;
      lost += settle(close_all());
    } else if (ahead != 0) {
      ++restarts_;
      lost += settle(close_all());
    }
    late_run_ = 0;
  }
  known_ = unit_ == SequenceUnit::messages || m.records_known;
  expected_ = m.sequence + step;
  return lost;
}

/// Compares the step from the message before with what each unit would have made it. Returns the
/// units of closed gaps that are certain by now.
uint64_t SequenceTracker::learn(const SequenceMessage& m) noexcept {
  const uint32_t step = m.sequence - last_.sequence;
  if (!last_.records_known) return 0;
  if (step == step_of(unit_, last_)) {
    for (uint32_t u = 0; u < kUnits; ++u) {
      if (step_of(static_cast<SequenceUnit>(u), last_) != step) votes_[u] = 0;
    }
    if (suspect_ == 0 || is_contested()) return 0;
    const uint64_t lost = suspect_;
    suspect_ = 0;
    return lost;
  }
  for (uint32_t u = 0; u < kUnits; ++u) {
    const auto unit = static_cast<SequenceUnit>(u);
    if (step_of(unit, last_) == step && ++votes_[u] >= kVotesToSwitch) {
      adopt(unit, m);
      return 0;
    }
  }
  return 0;
}

void SequenceTracker::adopt(SequenceUnit unit, const SequenceMessage& m) noexcept {
  unit_ = unit;
  for (uint8_t& v : votes_) v = 0;
  gap_count_ = 0;  // what seemed missing was counted in the wrong unit
  suspect_ = 0;
  late_run_ = 0;
  expected_ = m.sequence;
  known_ = true;
}

bool SequenceTracker::is_contested() const noexcept {
  uint8_t any = 0;
  for (const uint8_t v : votes_) any |= v;
  return any != 0;
}

/// Units are lost for good only if they were counted in the right unit.
uint64_t SequenceTracker::settle(uint64_t units) noexcept {
  if (units == 0 || !is_contested()) return units;
  suspect_ += units;
  return 0;
}

uint64_t SequenceTracker::close_gaps(uint64_t now_ns) noexcept {
  uint64_t lost = 0;
  while (gap_count_ != 0 && (messages_ - gaps_[0].message > kGapMessages ||
                             now_ns > gaps_[0].received_ns + kGapHoldNs)) {
    lost += close_first();
  }
  return lost;
}

uint64_t SequenceTracker::close_all() noexcept {
  uint64_t lost = 0;
  while (gap_count_ != 0) lost += close_first();
  return lost;
}

uint64_t SequenceTracker::close_first() noexcept {
  const uint64_t lost = gaps_[0].units();
  --gap_count_;
  for (uint32_t i = 0; i < gap_count_; ++i) gaps_[i] = gaps_[i + 1];
  return lost;
}

uint64_t SequenceTracker::open_gap(uint32_t begin, uint32_t units, uint64_t now_ns) noexcept {
  const uint64_t lost = gap_count_ == kOpenGaps ? close_first() : 0;
  gaps_[gap_count_++] = {begin, begin + units, messages_, now_ns};
  return lost;
}

/// Takes what a late message brings out of the gaps. False if nothing of it was missing.
bool SequenceTracker::fill_gaps(uint32_t sequence, uint32_t units) noexcept {
  bool filled = false;
  for (uint32_t i = 0; i < gap_count_;) {
    Gap& g = gaps_[i];
    const uint32_t offset = sequence - g.begin;
    uint32_t from = 0;
    uint32_t count = 0;
    if (offset < g.units()) {
      from = offset;
      count = units < g.units() - offset ? units : g.units() - offset;
    } else if (0u - offset < units) {  // begins before the gap
      const uint32_t within = units - (0u - offset);
      count = within < g.units() ? within : g.units();
    }
    filled |= count != 0;
    const Gap behind{g.begin + from + count, g.end, g.message, g.received_ns};
    if (count == 0) {
      ++i;
    } else if (from == 0) {
      g.begin += count;
      if (g.units() == 0) {
        --gap_count_;
        for (uint32_t k = i; k < gap_count_; ++k) gaps_[k] = gaps_[k + 1];
      } else {
        ++i;
      }
    } else if (behind.units() != 0 && gap_count_ < kOpenGaps) {
      g.end = g.begin + from;
      for (uint32_t k = gap_count_; k > i + 1; --k) gaps_[k] = gaps_[k - 1];
      gaps_[i + 1] = behind;
      ++gap_count_;
      i += 2;
    } else {
      g.end -= count;  // without room for two, the number is still right
      ++i;
    }
  }
  return filled;
}

/// Late messages that follow one another and fill no gap come from an exporter that counts anew.
bool SequenceTracker::began_anew(const SequenceMessage& m, uint32_t step) noexcept {
  late_run_ = late_run_ != 0 && m.sequence == late_next_ ? late_run_ + 1 : 1;
  late_next_ = m.sequence + step;
  return late_run_ >= kLateRunMax;
}

}  // namespace weir::decode
