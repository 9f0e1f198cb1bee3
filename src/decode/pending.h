// pending.h — Sets that wait for their template.
//
// Bounds:   sets and octets for each exporter, sets for each template, octets in all; a full
//           exporter loses its own oldest sets, never another's. After the
//           listener's pending_ttl_ns a set expires.
#pragma once

#include <algorithm>
#include <memory>

#include "decode/exporter_state.h"
#include "decode/shares.h"
#include "decode/slab.h"

namespace weir::decode {

class PendingStore {
 public:
  PendingStore(const DecoderLimits& limits, uint32_t cores, SetLedger& ledger) noexcept;
  [[nodiscard]] bool reserve() noexcept;

  /// What a set needs to be decoded later as if it came with its own datagram.
  struct Origin {
    const TimeBase& times;
    uint32_t sequence_num;
    uint16_t source_port;
    ListenerId listener;
    const ExporterLimits& limits;  // the listener's
  };

  /// Whether a set of that size may wait at all.
  bool admits(const ExporterLimits& limits, uint32_t body_octets) const noexcept;
  /// Whether the exporter must give up its oldest set first.
  bool is_full(const Exporter& exporter, const ExporterLimits& limits,
               uint32_t body_octets) const noexcept;
  /// Keeps a copy; only where it is admitted and not full. False if there is no memory after all.
  bool hold(Template& owner, const Origin& origin, std::span<const uint8_t> body) noexcept;
  /// Takes the set out; its ledger entry becomes `outcome`.
  void release(PendingSet& set, SetOutcome outcome) noexcept;
  void release_all(Template& owner, SetOutcome outcome) noexcept;
  /// Moves what waits for `from` to `to`.
  void transfer(Template& from, Template& to) noexcept;

  /// The oldest set that has waited too long; null if there is none.
  PendingSet* expired(uint64_t now_ns) const noexcept;

 private:
  static uint64_t charge(uint32_t body_octets) noexcept { return body_octets + sizeof(PendingSet); }

  const DecoderLimits limits_;
  const uint64_t octets_max_;
  Shares shares_;
  SetLedger& ledger_;
  Slab slab_;
  using ByAge = List<PendingSet, &PendingSet::by_age>;
  ByAge& list_of(ListenerId listener) const noexcept {
    return by_age_[std::min<size_t>(listener.value, kListenersMax - 1)];
  }

  // A list for each listener, kListenersMax: within one, all wait equally long (or did, when they came).
  std::unique_ptr<ByAge[]> by_age_;
  size_t lists_used_ = 0;  // the first of them
};

}  // namespace weir::decode
