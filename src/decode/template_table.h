// template_table.h — Templates by exporter, domain and id, and the sets that wait for them.
//
// Spec:     RFC 7011 §8, RFC 3954 §9. The scope leaves out the exporter's port, so that an exporter
//           that restarts continues. When two ports contradict each other, the definition that was
//           there moves to a scope of its own port, and the newcomer's serves the rest.
// Bounds:   DecoderLimits: templates for each exporter, octets in all and for each exporter. The
//           least recently used of the exporter's own goes. Of the octets a part is kept for each
//           exporter (shares.h).
#pragma once

#include "decode/events.h"
#include "decode/exporter_state.h"
#include "decode/pending.h"
#include "decode/shares.h"
#include "decode/slab.h"

namespace weir::decode {

/// Contradicting definitions farther apart than this are a redefinition by an exporter that moved.
inline constexpr uint64_t kConflictWindowNs = 3600ull * 1'000'000'000;

/// An exporter may take this part of all that is reserved for state.
inline constexpr uint64_t kStateShareDivisor = 8;
/// Kept for each exporter: its domain and a few templates of usual length.
inline constexpr uint64_t kStateOwnOctetsMin = 2048;
inline constexpr uint64_t kStateOwnOctetsMax = 16 * 1024;

class TemplateTable {
 public:
  TemplateTable(const DecoderLimits& limits, uint64_t state_octets, uint64_t seed,
                SetLedger& ledger, PendingStore& pending, EventOutlet& events,
                RecordFuser* fuser = nullptr) noexcept;
  [[nodiscard]] bool reserve() noexcept;

  /// The template that data of `id` from `port` means; null if nothing is known of it.
  Template* find(const Domain& domain, uint16_t id, uint16_t port) const noexcept;
  void touch(Template& t) noexcept { t.domain->exporter->templates.move_to_back(&t); }

  struct Definition {
    uint16_t id;
    uint16_t port;
    uint16_t scope_fields;  // options
    TemplateKind kind;      // data, options, not_decodable
    TemplateFormat format;
    std::span<const FieldSpec> fields;
    uint64_t now_ns;
    const ExporterLimits& limits;
  };
  /// Learns, refreshes or redefines. Returns the template if it is new or changed and sets may wait
  /// for it; null if nothing is to be replayed (a refresh, or refused).
  Template* define(Domain& domain, const Definition& d) noexcept;
  /// Counts and tells of a definition that is not kept, or not as what it is.
  void refuse(const Domain& domain, const Definition& d) noexcept;
  /// Learns what was known before a restart, of the scope of `port`; nothing that the exporter has
  /// said anew is touched. Returns the template, null if it was not taken up.
  Template* restore(Domain& domain, const Definition& d, uint16_t port) noexcept;
  void withdraw(Domain& domain, uint16_t id, uint16_t port) noexcept;
  void withdraw_all(Domain& domain, TemplateKind kind) noexcept;

  /// Has `body` wait for template `id`; counts its outcome.
  void hold(Domain& domain, uint16_t id, const PendingStore::Origin& origin,
            std::span<const uint8_t> body) noexcept;
  /// Takes out a set; forgets the placeholder that it leaves empty.
  void settle(PendingSet& set, SetOutcome outcome) noexcept;

  /// Forgets everything of the domain. What a session that is over takes with it (RFC 7011 §8), or a silent exporter for whom
  /// a lowered bound leaves no place, nobody has to do anything about.
  enum class DomainEnd : uint8_t { made_room, session_over, exporter_silent };
  void drop_domain(Domain& domain, DomainEnd why) noexcept;
  /// Bounded work: sets that waited too long, templates past their lifetime.
  void expire(uint64_t now_ns) noexcept;
  bool is_stale(const Template& t, uint64_t now_ns) const noexcept {
    return is_stale(t.defined_ns, t.lifetime_ns, now_ns);
  }
  static bool is_stale(uint64_t defined_ns, uint64_t lifetime_ns, uint64_t now_ns) noexcept {
    return lifetime_ns != 0 && now_ns > defined_ns && now_ns - defined_ns > lifetime_ns;
  }
  void expire_template(Template& t) noexcept;

  /// Memory for the state of one exporter, within its share.
  void* allocate(Exporter& exporter, size_t octets) noexcept;
  /// Likewise, but nothing is evicted for it.
  void* allocate_free(Exporter& exporter, size_t octets) noexcept;
  void release(Exporter& exporter, void* block) noexcept;

 private:
  uint64_t hash_of_key(const Domain& domain, uint16_t id, uint16_t port) const noexcept;
  Template* find_exact(const Domain& domain, uint16_t id, uint16_t port) const noexcept;
  Template* build(Domain& domain, const Definition& d) noexcept;
  /// Puts what was built into the place of what is there.
  void install(Domain& domain, Template& made, uint16_t port, Template* old) noexcept;
  void rekey(Template& t, uint16_t port) noexcept;
  void remove(Template& t) noexcept;
  bool evict_one(Exporter& exporter) noexcept;
  void forget(Template& t, TemplateEvent how, EventKind kind) noexcept;
  struct Subject {
    uint16_t id;
    TemplateKind kind;
    size_t fields;
    uint16_t port;
    uint16_t other_port = 0;
  };
  void tell(EventKind kind, const Domain& domain, const Subject& about) noexcept;
  void count_gauge() noexcept { counters_.templates.set(template_count_); }

  const DecoderLimits limits_;
  const uint64_t state_octets_;
  const uint64_t share_octets_;
  const uint64_t seed_;
  SetLedger& ledger_;
  DecoderCounters& counters_;
  QuirkBook& quirks_;
  PendingStore& pending_;
  EventOutlet& events_;
  RecordFuser* const fuser_;  // null: templates have no forms
  Slab slab_;
  Shares shares_;
  HashChains<Template> chains_;
  uint64_t template_count_ = 0;
  PlanDraft draft_;
  Reservation draft_arena_ops_;
};

}  // namespace weir::decode
