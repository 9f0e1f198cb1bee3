// quarantine.h — The last datagrams that a core could not decode, some for each reason.
//
// Runs on:  rx_lcore. Memory is reserved when it is made.
// Bounds:   kQuarantinePerReason datagrams a reason, kQuarantineOctets of each. A flood costs a look at a number for
//           all but kQuarantinePerReason a reason and kQuarantineRefillNs.
// Failure:  none. What is not copied is counted under its reason, in the ledger as everything else.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/counter.h"
#include "base/thread_roles.h"
#include "dataplane/datagram_copy.h"
#include "decode/decoder.h"

namespace weir::dataplane {

inline constexpr size_t kQuarantinePerReason = 4;
inline constexpr size_t kQuarantineOctets = 2048;  // a datagram on Ethernet, as a whole
inline constexpr uint64_t kQuarantineRefillNs = 100 * kNsPerMs;
inline constexpr size_t kFaults = static_cast<size_t>(decode::Fault::count_);
inline constexpr size_t kQuarantineRowsMax = kFaults * kQuarantinePerReason;  // of a core

struct QuarantinedDatagram {
  decode::Fault reason = decode::Fault::count_;  // the first, where there are several
  DatagramNote note;
  std::array<uint8_t, kQuarantineOctets> octets;

  DatagramView view() const noexcept { return {note, {octets.data(), note.kept_octets}}; }
};

struct QuarantineCounters {
  CounterArray<decode::Fault> copied;
  CounterArray<decode::Fault> passed_over;  // came too fast to be copied
};

/// A request for copies of them, answered a reason between two bursts.
struct QuarantineQuery {
  std::vector<QuarantinedDatagram> rows;  // kQuarantineRowsMax, by the asker
  size_t filled = 0;
  size_t reason = 0;  // the next one

  void begin() noexcept { filled = reason = 0; }
};

class Quarantine {
 public:
  Quarantine();

  void take(decode::Faults faults, const Datagram& datagram, const Arrival& arrival) noexcept
      WEIR_RUNS_ON(rx_lcore) {
    const auto reason = static_cast<size_t>(std::countr_zero(faults));
    if (may_copy_[reason] == 0) {
      counters_.passed_over[static_cast<decode::Fault>(reason)].increment();
      return;
    }
    copy(reason, datagram, arrival);
  }
  void poll(uint64_t steady_now_ns) noexcept WEIR_RUNS_ON(rx_lcore) {
    if (steady_now_ns < refill_at_ns_) return;
    refill_at_ns_ = steady_now_ns + kQuarantineRefillNs;
    may_copy_.fill(kQuarantinePerReason);
  }
  /// True when all has been answered.
  bool answer_slice(QuarantineQuery& query) const noexcept WEIR_RUNS_ON(rx_lcore);

  const QuarantineCounters& counters() const noexcept { return counters_; }

 private:
  void copy(size_t reason, const Datagram& datagram, const Arrival& arrival) noexcept
      WEIR_RUNS_ON(rx_lcore);

  std::array<uint8_t, kFaults> may_copy_{};
  uint64_t refill_at_ns_ = 0;
  std::vector<QuarantinedDatagram> rows_;     // kQuarantinePerReason a reason
  std::array<uint64_t, kFaults> copied_{};    // the next one's place, modulo what a reason has
  QuarantineCounters counters_;
};

}  // namespace weir::dataplane
