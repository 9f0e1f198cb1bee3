// pending.h — Sets that wait for their template.
//
// Bounds:   sets and octets for each exporter, sets for each template, octets in all; a full
//           exporter loses its own oldest sets, never another's. After
//           DecoderLimits::pending_ttl_ns a set expires.
#pragma once

#include "decode/exporter_state.h"
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
  };

  /// Whether a set of that size may wait at all.
  bool admits(uint32_t body_octets) const noexcept;
  /// Whether the exporter must give up its oldest set first.
  bool is_full(const Exporter& exporter, uint32_t body_octets) const noexcept;
  /// Keeps a copy; only where it is admitted and not full. False if there is no memory after all.
  bool hold(Template& owner, const Origin& origin, std::span<const uint8_t> body) noexcept;
  /// Takes the set out; its ledger entry becomes `outcome`.
  void release(PendingSet& set, SetOutcome outcome) noexcept;
  void release_all(Template& owner, SetOutcome outcome) noexcept;
  /// Moves what waits for `from` to `to`.
  void transfer(Template& from, Template& to) noexcept;

  PendingSet* oldest() const noexcept { return by_age_.front(); }
  bool is_expired(const PendingSet& set, uint64_t now_ns) const noexcept {
    return now_ns >= set.received_ns && now_ns - set.received_ns >= limits_.pending_ttl_ns;
  }

 private:
  static uint64_t charge(uint32_t body_octets) noexcept { return body_octets + sizeof(PendingSet); }

  const DecoderLimits limits_;
  const uint64_t octets_max_;
  SetLedger& ledger_;
  Slab slab_;
  List<PendingSet, &PendingSet::by_age> by_age_;
};

}  // namespace weir::decode
