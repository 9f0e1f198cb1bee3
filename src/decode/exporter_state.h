// exporter_state.h — What a decoder knows of each exporter: domains, templates, waiting sets,
// rates.
//
// Owns:     nothing: the nodes lie in the tables' slabs, and are linked here.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "decode/decoder.h"
#include "decode/events.h"
#include "decode/intrusive.h"
#include "decode/plan.h"
#include "decode/record_fuser.h"
#include "decode/sequence.h"
#include "decode/times.h"
#include "flow/export_header.h"

namespace weir::decode {

struct Domain;
struct Exporter;
struct Template;

/// A set that came before its template; its octets follow the struct.
struct PendingSet {
  ListLink<PendingSet> by_age;
  ListLink<PendingSet> by_exporter;
  ListLink<PendingSet> by_template;
  Template* owner;
  uint64_t received_ns;
  uint64_t aged_ns;  // then, by the clock that state ages by
  uint64_t ttl_ns;
  uint64_t export_ns;
  uint32_t uptime_ms;
  uint32_t sequence_num;
  uint32_t body_octets;  // without the set's header
  uint16_t source_port;
  bool has_uptime;
  ListenerId listener;

  uint32_t set_octets() const noexcept { return body_octets + 4; }
  uint8_t* body() noexcept { return reinterpret_cast<uint8_t*>(this + 1); }
};

enum class TemplateKind : uint8_t {
  missing,  // only sets that wait for it are known
  data,
  options,
  not_decodable,  // its records could not be told apart; its sets are skipped
};

/// Whether field types may carry an enterprise number.
enum class TemplateFormat : uint8_t { netflow_v9, ipfix };

/// A template, its plan and its fused form. Form, moves, fields, operations and arena operations follow the struct.
struct Template {
  uint64_t hash;
  Template* hash_next;
  ListLink<Template> by_use;     // the exporter's; not where it is missing, as by_domain
  ListLink<Template> by_domain;  // in the list of its kind
  List<PendingSet, &PendingSet::by_template> pending;
  Domain* domain;
  uint64_t defined_ns;
  uint64_t lifetime_ns;  // of the listener that the definition came by; 0: until evicted
  uint16_t id;
  uint16_t port;          // of the scope; 0: every port of the exporter's
  uint16_t defined_port;  // that sent the definition
  uint16_t scope_fields;  // options: so many of the fields are scope
  TemplateKind kind;
  TemplateFormat format;
  bool has_names;  // options: records may name interfaces and the like
  uint32_t saved;  // walk that saved it last
  FuseVerdict fuse_verdict;  // data only
  FuseRefusal fuse_refusal;  // of the set that was offered last
  uint8_t fuse_wait;         // so many sets go by before one is offered again
  uint8_t fuse_wait_next;    // where that is refused, too
  std::span<const uint8_t> form;  // RecordFuser's; empty: none
  Plan plan;       // data only, but `fields` always
};

/// The rate that options data name for one sampler or interface, or for a domain as a whole.
struct RateEntry {
  uint64_t rate = 0;  // 0: not known
  uint64_t changed_ns = 0;
};

struct Domain {
  uint64_t hash;
  Domain* hash_next;
  ListLink<Domain> by_use;
  ListLink<Domain> by_save;
  Exporter* exporter;
  uint32_t id;       // v9: source id; v5: engine; sFlow: sub-agent
  uint16_t version;  // 5, 9, 10; sFlow: 6343
  IpAddress agent;   // sFlow only
  uint32_t session;  // IPFIX over TCP: the transport session, with which the domain ends; 0: UDP
  uint16_t session_port;  // the exporter's
  bool split;        // ports of this exporter define templates that conflict
  bool has_system_init;
  uint64_t system_init_ms;  // element 160
  uint64_t last_seen_ns;
  uint32_t last_uptime_ms;
  bool has_last_uptime;
  uint32_t saved;  // walk that saved it last, twice the number: its templates too
  SequenceTracker sequence;
  uint64_t sequence_lost;  // for good
  RateEntry rate;
  List<Template, &Template::by_domain> templates;
  List<Template, &Template::by_domain> options_templates;

  auto& templates_of(TemplateKind kind) noexcept {
    return kind == TemplateKind::options ? options_templates : templates;
  }
};

/// Whose rate: a sampler's (or selector's), an interface's, a template's, a selection sequence's. Under the
/// last three, it is no rate but the id of the selector that a sequence has at that place.
enum class RateKey : uint8_t {
  sampler,
  interface,
  template_,
  sequence,
  first_selector,
  second_selector,
  third_selector,
  count_
};

struct KeyedRate {
  uint64_t hash;
  KeyedRate* hash_next;
  ListLink<KeyedRate> by_exporter;
  const Exporter* exporter;
  const Domain* domain;  // null: what all domains of the exporter say
  uint64_t key;
  RateEntry rate;
  const Domain* last_writer;
  uint64_t disagreed_ns;  // domains contradict each other since; 0: never
  uint32_t saved;         // walk that saved it last
  RateKey kind;
};

/// What of a StateImage an exporter has taken up: the records before `at`.
struct RestoreCursor {
  uint32_t piece = 0;
  uint32_t at = 0;
  uint32_t domain_id = 0;
  uint16_t domain_version = 0;  // 0: none yet
  bool is_active = false;
  bool was_active = false;
};

/// A name that options data gave; what it is, if records are to carry it, and else only its hash.
struct NameEntry {
  uint64_t hash;
  NameEntry* hash_next;
  ListLink<NameEntry> by_exporter;
  const Exporter* exporter;
  uint64_t said;  // hash of what was told of it; 0: nothing
  uint8_t* name;  // kNameOctetsMax octets; null: not kept
  NameKind kind;
  uint8_t key_octets;
  uint8_t name_octets;
  uint8_t key[kNameKeyOctetsMax];
};

struct Exporter {
  uint64_t hash;
  Exporter* hash_next;
  ListLink<Exporter> by_use;
  bool in_use;
  bool is_proven;                                           // was heard of for kProvenNs
  uint32_t rates_of[static_cast<size_t>(RateKey::count_)];  // by kind
  uint32_t rules_turn;                                      // whose rules the next three are of
  uint64_t rate_override;                                   // the operator's; 0: none
  uint64_t rate_default;
  const ExporterLabel* label;  // null: none
  std::string_view site;       // the rules'
  ExporterStats stats;  // gauges are filled in when copied
  Domain* last_domain;  // of the datagram before
  List<Domain, &Domain::by_use> domains;
  List<Domain, &Domain::by_save> domains_to_save;
  RestoreCursor restore;
  List<Template, &Template::by_use> templates;
  List<PendingSet, &PendingSet::by_exporter> pending;
  List<KeyedRate, &KeyedRate::by_exporter> rates;
  List<NameEntry, &NameEntry::by_exporter> names;
  uint64_t pending_octets;
  uint32_t session_domains;  // of its domains, those of TCP sessions that are open
  uint64_t state_octets;  // that its domains and templates take of the slab
  // What the domains say of the exporter as a whole.
  uint64_t any_rate;
  const Domain* any_rate_writer;
  uint64_t any_rate_disagreed_ns;
  uint64_t system_init_ms;
  bool has_system_init;
};

/// The counters of the cache that a template of `kind` is in.
inline TemplateCacheStats& cache_of(Exporter& exporter, TemplateKind kind) noexcept {
  return kind == TemplateKind::options ? exporter.stats.options_templates
                                       : exporter.stats.data_templates;
}

/// An event with what its exporter and domain say.
inline Event event_of(EventKind kind, const Domain& domain) noexcept {
  Event e;
  e.kind = kind;
  e.version = domain.version;
  e.domain = domain.id;
  e.exporter = domain.exporter->stats.address;
  e.exporter_since_ns = domain.exporter->stats.first_seen_ns;
  return e;
}

/// Keeps the ledger of sets and its copy by exporter.
class SetLedger {
 public:
  /// `faults`: of the datagram under way.
  SetLedger(DecoderCounters& counters, QuirkBook& quirks, Faults& faults) noexcept
      : counters_(counters), quirks_(quirks), faults_(faults) {}

  /// A set was met and has its outcome, for good or (waiting) for now.
  void enter(Exporter& exporter, SetOutcome outcome, uint64_t octets) noexcept {
    counters_.sets.increment();
    counters_.set_octets.add(octets);
    add(exporter, outcome, octets);
    if (outcome >= SetOutcome::skipped_reserved_id) [[unlikely]]
      faults_ |= bit_of(fault_of(outcome));
  }
  /// A set that waited has another outcome now.
  void settle(Exporter& exporter, SetOutcome outcome, uint64_t octets) noexcept {
    Counter& n = counters_.set_outcomes[SetOutcome::waiting_for_template];
    n.set(n.value() - 1);
    Counter& o = counters_.set_outcome_octets[SetOutcome::waiting_for_template];
    o.set(o.value() - octets);
    add(exporter, outcome, octets);
  }
  DecoderCounters& counters() const noexcept { return counters_; }
  QuirkBook& quirks() const noexcept { return quirks_; }

 private:
  void add(Exporter& exporter, SetOutcome outcome, uint64_t octets) noexcept {
    counters_.set_outcomes[outcome].increment();
    counters_.set_outcome_octets[outcome].add(octets);
    if (outcome != SetOutcome::decoded && outcome != SetOutcome::waiting_for_template &&
        outcome != SetOutcome::skipped_padding) {
      ++exporter.stats.sets_lost;
    }
  }
  DecoderCounters& counters_;
  QuirkBook& quirks_;
  Faults& faults_;
};

}  // namespace weir::decode
