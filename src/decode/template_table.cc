#include "decode/template_table.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "decode/names.h"

namespace weir::decode {
namespace {

/// Of a transport session: as long as that (RFC 7011 §8, §10.4.3); nobody repeats it.
uint64_t lifetime_ns(const Domain& domain, const TemplateTable::Definition& d) noexcept {
  return domain.session != 0 ? 0 : d.limits.template_lifetime_ns;
}

template <class T>
std::span<const T> append(uint8_t*& at, std::span<const T> items) noexcept {
  auto* first = static_cast<T*>(static_cast<void*>(at));
  std::uninitialized_copy(items.begin(), items.end(), first);
  at += items.size_bytes();
  return {first, items.size()};
}

static_assert(alignof(Template) >= 8 && alignof(LineMove) <= 8, "forms are whole times 8");
static_assert(sizeof(Template) % alignof(LineMove) == 0 && sizeof(LineMove) % alignof(Op) == 0 &&
              alignof(FieldSpec) == alignof(Op) && sizeof(FieldSpec) % alignof(Op) == 0 &&
              sizeof(Op) % alignof(ArenaOp) == 0);

}  // namespace

TemplateTable::TemplateTable(const DecoderLimits& limits, uint64_t state_octets, uint64_t seed,
                             SetLedger& ledger, PendingStore& pending, EventOutlet& events,
                             RecordFuser* fuser) noexcept
    : limits_(limits),
      state_octets_(state_octets),
      share_octets_(std::max<uint64_t>(state_octets / kStateShareDivisor, Slab::kBlockOctetsMax)),
      seed_(seed),
      ledger_(ledger),
      counters_(ledger.counters()),
      quirks_(ledger.quirks()),
      pending_(pending),
      events_(events),
      fuser_(fuser),
      shares_(
          Shares::of(state_octets, limits.exporters_max, kStateOwnOctetsMin, kStateOwnOctetsMax)) {}

bool TemplateTable::reserve() noexcept {
  const size_t nodes = std::min<uint64_t>(state_octets_ / 1024, 1u << 18);
  const size_t fields = limits_.template_fields_max;
  if (!slab_.reserve(state_octets_) || !chains_.reserve(nodes) ||
      !draft_arena_ops_.reserve(fields * sizeof(ArenaOp))) {
    return false;
  }
  auto* first = static_cast<ArenaOp*>(static_cast<void*>(draft_arena_ops_.data()));
  draft_.arena_ops = {first, fields};
  return true;
}

uint64_t TemplateTable::hash_of_key(const Domain& domain, uint16_t id,
                                    uint16_t port) const noexcept {
  return mix_hash(domain.hash ^ (uint64_t{port} << 16 | id) * 0x9E3779B97F4A7C15ull ^ seed_);
}

Template* TemplateTable::find_exact(const Domain& domain, uint16_t id,
                                    uint16_t port) const noexcept {
  return chains_.find(hash_of_key(domain, id, port), [&](const Template& t) {
    return t.id == id && t.port == port && t.domain == &domain;
  });
}

Template* TemplateTable::find(const Domain& domain, uint16_t id, uint16_t port) const noexcept {
  if (domain.split && port != 0) {
    if (Template* t = find_exact(domain, id, port); t != nullptr) return t;
  } else {
    // PERF: an exporter that has two templates needs no look into the table.
    const auto& all = domain.exporter->templates;
    for (Template* t : {all.back(), all.front()}) {
      if (t != nullptr && t->id == id && t->port == 0 && t->domain == &domain) return t;
    }
  }
  return find_exact(domain, id, 0);
}

Template* TemplateTable::define(Domain& domain, const Definition& d) noexcept {
  Template* old = find(domain, d.id, d.port);
  uint16_t conflicting_port = 0;
  const bool known = old != nullptr && old->kind != TemplateKind::missing;
  uint16_t port = old != nullptr ? old->port : 0;
  if (known) {
    touch(*old);
    if (old->kind == d.kind && old->format == d.format && old->scope_fields == d.scope_fields &&
        std::ranges::equal(old->plan.fields, d.fields)) {
      old->defined_ns = d.now_ns;
      old->lifetime_ns = lifetime_ns(domain, d);
      // The definition is whoever's sent it last, unless it has a scope of its own.
      if (old->port == 0) old->defined_port = d.port;
      counters_.template_events[TemplateEvent::refreshed].increment();
      ++domain.exporter->stats.templates_known;
      return nullptr;
    }
    quirks_.note(Quirk::template_redefined);
    const bool recent = d.now_ns - old->defined_ns < kConflictWindowNs;
    if (old->port == 0 && old->defined_port != d.port && recent && old->defined_port != 0) {
      quirks_.note(Quirk::template_conflict);
      if (!domain.split) {
        domain.split = true;
        quirks_.note(Quirk::scope_split_by_port);
      }
      if (Template* previous = find_exact(domain, d.id, old->defined_port); previous != nullptr) {
        remove(*previous);
      }
      conflicting_port = old->defined_port;
      rekey(*old, old->defined_port);
      old = nullptr;
      port = 0;
    }
  }
  Template* made = build(domain, d);
  if (made == nullptr) {
    refuse(domain, d);
    return nullptr;
  }
  // Building may have evicted what was there.
  old = find_exact(domain, d.id, port);
  const bool redefined = old != nullptr && old->kind != TemplateKind::missing;
  counters_.template_events[redefined ? TemplateEvent::redefined : TemplateEvent::learned]
      .increment();
  ++domain.exporter->stats.templates_new;
  tell(conflicting_port != 0 ? EventKind::template_conflict
       : redefined           ? EventKind::template_redefined
                             : EventKind::template_learned,
       domain, {d.id, d.kind, d.fields.size(), d.port, conflicting_port});
  install(domain, *made, port, old);
  return made;
}

Template* TemplateTable::restore(Domain& domain, const Definition& d, uint16_t port) noexcept {
  const auto is_free = [](const Template* t) {
    return t == nullptr || t->kind == TemplateKind::missing;
  };
  if (!is_free(find_exact(domain, d.id, port))) return nullptr;
  if (domain.exporter->templates.size() >= d.limits.templates_max) return nullptr;
  Template* made = build(domain, d);
  if (made == nullptr) return nullptr;
  counters_.template_events[TemplateEvent::restored].increment();
  install(domain, *made, port, find_exact(domain, d.id, port));
  return made;
}

void TemplateTable::install(Domain& domain, Template& made, uint16_t port, Template* old) noexcept {
  made.port = port;
  made.hash = hash_of_key(domain, made.id, port);
  if (old != nullptr) {
    if (made.kind == TemplateKind::options) {
      domain.exporter->stats.options_templates.misses += old->pending.size();
    }
    pending_.transfer(*old, made);
    remove(*old);
  }
  chains_.insert(&made);
  domain.exporter->templates.push_back(&made);
  domain.templates_of(made.kind).push_back(&made);
  ++template_count_;
  count_gauge();
}

void TemplateTable::refuse(const Domain& domain, const Definition& d) noexcept {
  counters_.template_events[TemplateEvent::refused].increment();
  tell(EventKind::template_refused, domain, {d.id, d.kind, d.fields.size(), d.port});
}

Template* TemplateTable::build(Domain& domain, const Definition& d) noexcept {
  Exporter& exporter = *domain.exporter;
  draft_.op_count = draft_.move_count = draft_.arena_op_count = 0;
  draft_.plan = Plan{};
  RecordFuser::Compiled fused;
  if (d.kind == TemplateKind::data) {
    CompileQuirks q;
    compile_plan(d.fields, d.format == TemplateFormat::netflow_v9, draft_, q);
    quirks_.note(Quirk::repeated_element, q.repeated_element);
    quirks_.note(Quirk::odd_width, q.odd_width);
    quirks_.note(Quirk::zero_length_field, q.zero_length_field);
    if (d.format == TemplateFormat::netflow_v9) {
      quirks_.note(Quirk::variable_length_in_v9, q.variable_length);
    }
    if (fuser_ != nullptr) fused = fuser_->compile(draft_.plan);
  }
  const std::span<const Op> ops{draft_.ops, draft_.op_count};
  const std::span<const LineMove> moves{draft_.moves, draft_.move_count};
  const std::span<const ArenaOp> arena_ops = draft_.arena_ops.first(draft_.arena_op_count);
  const size_t octets = sizeof(Template) + moves.size_bytes() + fused.form.size() + d.fields.size_bytes() +
                        ops.size_bytes() + arena_ops.size_bytes();
  while (exporter.templates.size() >= d.limits.templates_max) {
    if (!evict_one(exporter)) return nullptr;
  }
  void* memory = allocate(exporter, octets);
  if (memory == nullptr) return nullptr;
  auto* t = new (memory) Template{};
  t->domain = &domain;
  t->id = d.id;
  t->kind = d.kind;
  t->format = d.format;
  t->has_names = d.kind == TemplateKind::options && has_name_fields(d.fields);
  t->scope_fields = d.scope_fields;
  t->defined_port = d.port;
  t->defined_ns = d.now_ns;
  t->lifetime_ns = lifetime_ns(domain, d);
  t->plan = draft_.plan;
  uint8_t* at = static_cast<uint8_t*>(memory) + sizeof(Template);
  t->form = append<uint8_t>(at, fused.form);
  t->plan.moves = append<LineMove>(at, moves);
  t->fuse_verdict = fused.verdict;
  t->plan.fields = append<FieldSpec>(at, d.fields);
  t->plan.ops = append<Op>(at, ops);
  t->plan.arena_ops = append<ArenaOp>(at, arena_ops);
  return t;
}

void TemplateTable::rekey(Template& t, uint16_t port) noexcept {
  chains_.erase(&t);
  t.port = port;
  t.hash = hash_of_key(*t.domain, t.id, port);
  chains_.insert(&t);
}

void TemplateTable::remove(Template& t) noexcept {
  Exporter& exporter = *t.domain->exporter;
  pending_.release_all(t, SetOutcome::evicted);
  chains_.erase(&t);
  if (t.kind != TemplateKind::missing) {
    exporter.templates.erase(&t);
    t.domain->templates_of(t.kind).erase(&t);
    --template_count_;
    count_gauge();
  }
  release(exporter, &t);
}

void TemplateTable::forget(Template& t, TemplateEvent how, EventKind kind) noexcept {
  counters_.template_events[how].increment();
  if (kind == EventKind::template_evicted) {
    ++cache_of(*t.domain->exporter, t.kind).evictions;
  }
  tell(kind, *t.domain, {t.id, t.kind, t.plan.fields.size(), t.defined_port});
  remove(t);
}

void TemplateTable::tell(EventKind kind, const Domain& domain, const Subject& about) noexcept {
  if (events_.is_closed()) return;
  Event e = event_of(kind, domain);
  e.port = about.port;
  e.other_port = about.other_port;
  e.template_id = about.id;
  e.fields = static_cast<uint16_t>(std::min<size_t>(about.fields, UINT16_MAX));
  switch (about.kind) {
    case TemplateKind::missing: e.use = TemplateUse::unknown; break;
    case TemplateKind::data: e.use = TemplateUse::data; break;
    case TemplateKind::options: e.use = TemplateUse::options; break;
    case TemplateKind::not_decodable: e.use = TemplateUse::not_decodable; break;
  }
  events_.emit(e);
}

bool TemplateTable::evict_one(Exporter& exporter) noexcept {
  Template* t = exporter.templates.front();
  if (t == nullptr) return false;
  forget(*t, TemplateEvent::evicted, EventKind::template_evicted);
  return true;
}

void* TemplateTable::allocate(Exporter& exporter, size_t octets) noexcept {
  const size_t block = Slab::block_octets_for(octets);
  if (block > share_octets_) return nullptr;
  // Where others have taken all there is, giving up much of one's own would not help.
  static constexpr int kGivenUpForOthers = 4;
  for (int given_up = 0;;) {
    if (void* p = allocate_free(exporter, octets); p != nullptr) return p;
    const bool within_share = exporter.state_octets + block <= share_octets_;
    if (within_share && ++given_up > kGivenUpForOthers) return nullptr;
    if (!evict_one(exporter)) return nullptr;
  }
}

void* TemplateTable::allocate_free(Exporter& exporter, size_t octets) noexcept {
  const uint64_t before = exporter.state_octets;
  const size_t block = Slab::block_octets_for(octets);
  if (before + block > share_octets_ || !shares_.admits(before, block)) return nullptr;
  void* p = slab_.allocate(octets);
  if (p == nullptr) return nullptr;
  shares_.change(before, before + block);
  exporter.state_octets = before + block;
  return p;
}

void TemplateTable::release(Exporter& exporter, void* block) noexcept {
  const uint64_t left = exporter.state_octets - slab_.block_octets(block);
  shares_.change(exporter.state_octets, left);
  exporter.state_octets = left;
  slab_.release(block);
}

void TemplateTable::withdraw(Domain& domain, uint16_t id, uint16_t port) noexcept {
  domain.exporter->restore.is_active = false;  // it says itself what holds
  Template* t = find(domain, id, port);
  if (t == nullptr || t->kind == TemplateKind::missing) return;
  forget(*t, TemplateEvent::withdrawn, EventKind::template_withdrawn);
}

void TemplateTable::withdraw_all(Domain& domain, TemplateKind kind) noexcept {
  domain.exporter->restore.is_active = false;
  // Each step removes one, so that withdrawals cost no more than the definitions did.
  while (Template* t = domain.templates_of(kind).front()) {
    forget(*t, TemplateEvent::withdrawn, EventKind::template_withdrawn);
  }
}

void TemplateTable::hold(Domain& domain, uint16_t id, const PendingStore::Origin& origin,
                         std::span<const uint8_t> body) noexcept {
  Exporter& exporter = *domain.exporter;
  const auto body_octets = static_cast<uint32_t>(body.size());
  const auto refuse_set = [&] {
    ledger_.enter(exporter, SetOutcome::skipped_pending_full, body_octets + 4);
  };
  if (!pending_.admits(origin.limits, body_octets)) return refuse_set();
  while (pending_.is_full(exporter, origin.limits, body_octets)) {
    if (exporter.pending.empty()) return refuse_set();
    settle(*exporter.pending.front(), SetOutcome::evicted);
  }
  Template* owner = find_exact(domain, id, 0);
  if (owner != nullptr && owner->pending.size() >= origin.limits.pending_sets_per_template) {
    settle(*owner->pending.front(), SetOutcome::evicted);
    owner = find_exact(domain, id, 0);
  }
  if (owner == nullptr) {
    void* memory = allocate(exporter, sizeof(Template));
    if (memory == nullptr) return refuse_set();
    owner = new (memory) Template{};
    owner->domain = &domain;
    owner->id = id;
    owner->kind = TemplateKind::missing;
    owner->hash = hash_of_key(domain, id, 0);
    chains_.insert(owner);
    tell(EventKind::template_missing, domain, {id, TemplateKind::missing, 0, origin.source_port});
  }
  if (!pending_.hold(*owner, origin, body)) {
    if (owner->kind == TemplateKind::missing && owner->pending.empty()) remove(*owner);
    return refuse_set();
  }
}

void TemplateTable::settle(PendingSet& set, SetOutcome outcome) noexcept {
  Template& owner = *set.owner;
  pending_.release(set, outcome);
  if (owner.kind == TemplateKind::missing && owner.pending.empty()) remove(owner);
}

void TemplateTable::drop_domain(Domain& domain, DomainEnd why) noexcept {
  Exporter& exporter = *domain.exporter;
  const bool is_over = why != DomainEnd::made_room;
  for (PendingSet* set = exporter.pending.front(); set != nullptr;) {
    PendingSet* following = exporter.pending.next(set);
    // Its template cannot come any more.
    if (set->owner->domain == &domain) settle(*set, is_over ? SetOutcome::expired : SetOutcome::evicted);
    set = following;
  }
  for (const TemplateKind kind : {TemplateKind::data, TemplateKind::options}) {
    while (Template* t = domain.templates_of(kind).front()) {
      switch (why) {
        case DomainEnd::made_room: forget(*t, TemplateEvent::evicted, EventKind::template_evicted); break;
        case DomainEnd::session_over: forget(*t, TemplateEvent::withdrawn, EventKind::template_withdrawn); break;
        case DomainEnd::exporter_silent: expire_template(*t); break;
      }
    }
  }
}

void TemplateTable::expire_template(Template& t) noexcept {
  forget(t, TemplateEvent::expired, EventKind::template_expired);
}

void TemplateTable::expire(uint64_t now_ns) noexcept {
  static constexpr int kSetsPerCall = 4096;
  for (int i = 0; i < kSetsPerCall; ++i) {
    PendingSet* set = pending_.expired(now_ns);
    if (set == nullptr) return;
    settle(*set, SetOutcome::expired);
  }
}

}  // namespace weir::decode
