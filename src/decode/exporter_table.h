// exporter_table.h — The exporters that this core has met, and their observation domains.
//
// Bounds:   DecoderRules::exporters_max exporters, domains_per_exporter_max domains each. The
//           least recently seen goes, but only if it has been silent for kIdleNs: a flood of
//           made-up sources is refused rather than let it push out those that are at work. Small
//           routers are silent for minutes: those that were heard of for kProvenNs go after all
//           others, and not before kProvenIdleNs.
//           A bound that is lowered is met as those beyond it fall silent, for kIdleNs or, proven, kProvenNs: who is at
//           work loses nothing by it. Room is reserved for DecoderLimits::exporters_most() from the start.
#pragma once

#include "decode/exporter_state.h"
#include "decode/names.h"
#include "decode/sampling.h"
#include "decode/slab.h"
#include "decode/template_table.h"

namespace weir::decode {

inline constexpr uint64_t kIdleNs = 10ull * 1'000'000'000;
inline constexpr uint64_t kProvenNs = 60ull * 1'000'000'000;
inline constexpr uint64_t kProvenIdleNs =
    3600ull * 1'000'000'000;  // twice the slowest refresh of templates

/// Of a domain that lasts as long as a transport session does. Default: it lasts.
struct TransportSession {
  uint32_t number = 0;
  uint16_t port = 0;
};

class ExporterTable {
 public:
  ExporterTable(const DecoderLimits& limits, uint64_t hash_seed, DecoderCounters& counters,
                TemplateTable& templates, SamplingTable& rates, NameTable& names) noexcept;
  [[nodiscard]] bool reserve() noexcept;
  /// Before the first exporter, and again when the operator says other things. `template_lifetime_ns`: the
  /// longest of any listener; 0: none grows too old.
  void set_rules(const DecoderRules& rules, uint64_t template_lifetime_ns) noexcept;

  Exporter* find(const IpAddress& address) const noexcept;
  /// Something of the exporter's came that makes no entry. It is at work all the same, and goes behind those that are silent
  /// longer: they make room by their order.
  void hear(Exporter& exporter, uint64_t now_ns) noexcept;
  /// Null when the table is full of exporters at work.
  Exporter* find_or_add(const IpAddress& address, uint64_t now_ns) noexcept;
  /// Asks for the domain and the templates that the exporter's next datagram will probably need.
  static void prefetch_state(const Exporter& exporter, bool may_fuse) noexcept;

  Domain* find_domain(Exporter& exporter, uint16_t version, uint32_t id, const IpAddress& agent = {},
                      uint32_t session = 0) const noexcept;
  /// Null when the exporter has too many domains at work, or no memory is left for one.
  Domain* find_or_add_domain(Exporter& exporter, uint16_t version, uint32_t id, uint64_t now_ns,
                             const IpAddress& agent = {}, TransportSession session = {}) noexcept;

  /// Null when there is no room.
  Domain* add_domain(Exporter& exporter, uint16_t version, uint32_t id, const IpAddress& agent = {},
                     TransportSession session = {}) noexcept;
  /// Its domains go.
  void end_session(const IpAddress& exporter, uint32_t session) noexcept;
  /// One that data is still to come of, known by what is said of it. Takes half of the places at most, and
  /// nobody's.
  Domain* add_named_domain(Exporter& exporter, uint16_t version, uint32_t id,
                           uint64_t now_ns, TransportSession session) noexcept;

  /// The exporter in a slot, null if it is free; slots below slot_count() may have one.
  uint32_t slot_count() const noexcept { return untouched_; }
  Exporter* at_slot(uint32_t slot) const noexcept {
    return slots()[slot].in_use ? slots() + slot : nullptr;
  }

  /// Closes gaps and expires templates of a few exporters at a time, and forgets a few beyond a lowered bound.
  void tick(uint64_t now_ns) noexcept;
  /// From the clock that state ages by to the wall clock, which copies tell.
  void set_wall_offset(uint64_t ns) noexcept { wall_offset_ns_ = ns; }
  size_t copy(uint32_t& cursor, std::span<ExporterStats> out) const noexcept;
  size_t copy_domains(uint32_t& cursor, std::span<DomainStats> out) const noexcept;

 private:
  uint64_t hash_of_domain(const Exporter& exporter, uint16_t version, uint32_t id,
                          const IpAddress& agent, uint32_t session) const noexcept;
  Exporter* slots() const noexcept {
    return static_cast<Exporter*>(static_cast<void*>(memory_.data()));
  }
  using ByUse = List<Exporter, &Exporter::by_use>;
  ByUse& list_of(const Exporter& e) noexcept { return e.is_proven ? proven_ : newcomers_; }
  /// Whoever may make room; null if nobody.
  Exporter* find_silent(uint64_t now_ns) noexcept;
  static Exporter* first_silent(ByUse& list, uint64_t now_ns, uint64_t for_ns) noexcept;
  void forget(Exporter& exporter, ExporterEnd why) noexcept;
  void meet_bound(uint64_t now_ns) noexcept;
  Domain* find_silent_domain(Exporter& exporter, uint64_t now_ns) noexcept;
  size_t size() const noexcept { return proven_.size() + newcomers_.size(); }
  Domain* install_domain(Exporter& exporter, void* memory, uint16_t version, uint32_t id,
                         const IpAddress& agent, TransportSession session) noexcept;
  void apply_rules(Exporter& exporter) noexcept;
  using DomainEnd = TemplateTable::DomainEnd;
  void drop(Exporter& exporter, DomainEnd why) noexcept;
  void drop(Domain& domain, DomainEnd why = DomainEnd::made_room) noexcept;
  /// By the wall clock; 0, which is not yet, stays that.
  uint64_t told(uint64_t aged_ns) const noexcept { return aged_ns != 0 ? aged_ns + wall_offset_ns_ : 0; }

  const DecoderLimits limits_;
  const DecoderRules* rules_ = nullptr;
  uint32_t exporters_max_;  // as the rules have it
  uint64_t template_lifetime_ns_ = 0;
  uint32_t rules_turn_ = 0;
  const uint64_t seed_;
  DecoderCounters& counters_;
  TemplateTable& templates_;
  SamplingTable& rates_;
  NameTable& names_;
  Reservation memory_;
  HashChains<Exporter> chains_;
  HashChains<Domain> domain_chains_;
  ByUse newcomers_;
  ByUse proven_;
  Exporter* free_ = nullptr;
  uint32_t untouched_ = 0;
  uint32_t tick_cursor_ = 0;
  uint64_t wall_offset_ns_ = 0;
};

}  // namespace weir::decode
