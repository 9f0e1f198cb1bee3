#include "decode/exporter_table.h"

#include <algorithm>
#include <new>

#include "base/prefetch.h"

namespace weir::decode {

namespace {

constexpr int kPassedOverMax = 8;  // of those that must stay, on the way to one that may go

uint64_t longest_match(const std::vector<SamplingRule>& rules, const IpAddress& address) noexcept {
  const SamplingRule* best = nullptr;
  for (const SamplingRule& rule : rules) {
    if ((best == nullptr || rule.prefix_bits > best->prefix_bits) && rule.covers(address)) {
      best = &rule;
    }
  }
  return best != nullptr ? best->rate : 0;
}

}  // namespace

ExporterTable::ExporterTable(const DecoderLimits& limits, uint64_t hash_seed,
                             DecoderCounters& counters, TemplateTable& templates,
                             SamplingTable& rates, NameTable& names) noexcept
    : limits_(limits),
      exporters_max_(limits.exporters_max),
      seed_(hash_seed),
      counters_(counters),
      templates_(templates),
      rates_(rates),
      names_(names) {}

bool ExporterTable::reserve() noexcept {
  const size_t at_first = 2 * size_t{limits_.exporters_max}, at_most = 2 * size_t{limits_.exporters_most()};
  return memory_.reserve(size_t{limits_.exporters_most()} * sizeof(Exporter)) && chains_.reserve(at_first, at_most) &&
         domain_chains_.reserve(at_first, at_most);
}

Exporter* ExporterTable::find(const IpAddress& address) const noexcept {
  return chains_.find(hash_of(address, seed_),
                      [&](const Exporter& e) { return e.stats.address == address; });
}

Exporter* ExporterTable::find_or_add(const IpAddress& address, uint64_t now_ns) noexcept {
  if (Exporter* e = find(address); e != nullptr) {
    if (!e->is_proven && now_ns > e->stats.first_seen_ns + kProvenNs) [[unlikely]] {
      newcomers_.erase(e);
      e->is_proven = true;
      proven_.push_back(e);
    }
    list_of(*e).move_to_back(e);
    if (e->rules_turn != rules_turn_) [[unlikely]] apply_rules(*e);
    return e;
  }
  if (size() >= exporters_max_) {
    Exporter* silent = size() == exporters_max_ ? find_silent(now_ns) : nullptr;  // beyond it, meet_bound says who goes
    if (silent == nullptr) return nullptr;
    forget(*silent, ExporterEnd::made_room);
  }
  Exporter* e = free_;
  if (e != nullptr) {
    free_ = e->hash_next;
  } else {
    e = slots() + untouched_++;
  }
  e = new (e) Exporter{};
  e->in_use = true;
  e->hash = hash_of(address, seed_);
  e->stats.address = address;
  e->stats.first_seen_ns = now_ns;
  apply_rules(*e);
  chains_.insert(e);
  newcomers_.push_back(e);
  counters_.exporters.set(size());
  return e;
}

void ExporterTable::hear(Exporter& e, uint64_t now_ns) noexcept {
  e.stats.last_seen_ns = now_ns;
  list_of(e).move_to_back(&e);
}

void ExporterTable::set_rules(const DecoderRules& rules, uint64_t template_lifetime_ns) noexcept {
  rules_ = &rules;
  template_lifetime_ns_ = template_lifetime_ns;
  exporters_max_ = rules.exporters_max == 0 ? limits_.exporters_max : std::min(rules.exporters_max, limits_.exporters_most());
  ++rules_turn_;
}

/// Each exporter by itself, when it is heard of next: not all of them between two bursts.
void ExporterTable::apply_rules(Exporter& e) noexcept {
  e.rules_turn = rules_turn_;
  e.rate_override = longest_match(rules_->sampling_override, e.stats.address);
  e.rate_default = longest_match(rules_->sampling_default, e.stats.address);
  e.label = rules_->labels != nullptr ? rules_->labels->find(e.stats.address) : nullptr;
  e.site = e.label != nullptr && !e.label->site.empty() ? std::string_view(e.label->site)
                                                        : site_of(rules_->sites, e.stats.address);
  e.stats.sampling_rate_override = e.rate_override;
}

/// Of those that were silent for so long, who is silent longest. Who has a transport session open stays: it would not say
/// its templates again.
Exporter* ExporterTable::first_silent(ByUse& list, uint64_t now_ns, uint64_t for_ns) noexcept {
  for (int i = 0; i < kPassedOverMax; ++i) {
    Exporter* e = list.front();
    if (e == nullptr || now_ns < e->stats.last_seen_ns + for_ns) return nullptr;
    if (e->session_domains == 0) return e;
    list.move_to_back(e);
  }
  return nullptr;
}

Exporter* ExporterTable::find_silent(uint64_t now_ns) noexcept {
  if (Exporter* e = first_silent(newcomers_, now_ns, kIdleNs); e != nullptr) return e;
  return first_silent(proven_, now_ns, kProvenIdleNs);
}

/// By the time that a proven exporter has been silent for long enough, newcomers that were silent meanwhile have gone.
void ExporterTable::meet_bound(uint64_t now_ns) noexcept {
  static constexpr int kForgottenPerTick = 64;  // with a few hundred templates
  for (int i = 0; i < kForgottenPerTick && size() > exporters_max_; ++i) {
    Exporter* e = first_silent(newcomers_, now_ns, kIdleNs);
    if (e == nullptr) e = first_silent(proven_, now_ns, kProvenNs);
    if (e == nullptr) return;
    forget(*e, ExporterEnd::bound_lowered);
  }
}

void ExporterTable::forget(Exporter& exporter, ExporterEnd why) noexcept {
  drop(exporter, why == ExporterEnd::bound_lowered ? DomainEnd::exporter_silent : DomainEnd::made_room);
  counters_.exporters_forgotten[why].increment();
}

// PERF: with a thousand exporters the state of each has left the caches when its next datagram comes,
// and what is found by following pointers comes one line after the other. Those used last and longest
// ago are both templates of an exporter that has two, one for each family.
void ExporterTable::prefetch_state(const Exporter& exporter, bool may_fuse) noexcept {
  static constexpr size_t kPlanOctets = 768;  // moves, fields and ops of a plan of twenty fields
  if (exporter.last_domain != nullptr) prefetch(exporter.last_domain, sizeof(Domain));
  const Template* last = exporter.templates.back();
  const Template* first = exporter.templates.front();
  // PERF: of a template whose form is run only this is read; all lines of both would be more than the core can wait
  // for at a time (fused/ipfix).
  static constexpr size_t kHeadOctets = offsetof(Template, plan) + offsetof(Plan, starts);
  static constexpr size_t kFormOctets = 768;  // of twenty fields, without what is for ICMP alone
  for (const Template* t : {last, first == last ? nullptr : first}) {
    if (t == nullptr) continue;
    if (may_fuse) {
      prefetch(t, kHeadOctets);
      prefetch(t + 1, kFormOctets);
    } else {
      prefetch(t, sizeof(Template) + kPlanOctets);
    }
  }
}

uint64_t ExporterTable::hash_of_domain(const Exporter& exporter, uint16_t version, uint32_t id,
                                       const IpAddress& agent, uint32_t session) const noexcept {
  uint64_t h = mix_hash(exporter.hash ^ (uint64_t{version} << 32 | id) * 0x9E3779B97F4A7C15ull);
  if (session != 0) h = mix_hash(h ^ session);
  return agent == IpAddress{} ? h : mix_hash(h ^ hash_of(agent, seed_));
}

Domain* ExporterTable::find_domain(Exporter& exporter, uint16_t version, uint32_t id,
                                   const IpAddress& agent, uint32_t session) const noexcept {
  return domain_chains_.find(hash_of_domain(exporter, version, id, agent, session), [&](const Domain& d) {
    return d.exporter == &exporter && d.id == id && d.version == version && d.session == session && d.agent == agent;
  });
}

/// As with exporters: those of open transport sessions stay.
Domain* ExporterTable::find_silent_domain(Exporter& exporter, uint64_t now_ns) noexcept {
  for (int i = 0; i < kPassedOverMax; ++i) {
    Domain* d = exporter.domains.front();
    if (now_ns < d->last_seen_ns || now_ns - d->last_seen_ns < kIdleNs) return nullptr;
    if (d->session == 0) return d;
    exporter.domains.move_to_back(d);
  }
  return nullptr;
}

Domain* ExporterTable::find_or_add_domain(Exporter& exporter, uint16_t version, uint32_t id,
                                          uint64_t now_ns, const IpAddress& agent, TransportSession session) noexcept {
  Domain* d = exporter.last_domain;
  if (d == nullptr || d->id != id || d->version != version || d->session != session.number || d->agent != agent) {
    d = find_domain(exporter, version, id, agent, session.number);
  }
  if (d == nullptr) {
    if (exporter.domains.size() >= limits_.domains_per_exporter_max) {
      Domain* oldest = find_silent_domain(exporter, now_ns);
      if (oldest == nullptr) return nullptr;
      drop(*oldest);
    }
    d = add_domain(exporter, version, id, agent, session);
    if (d == nullptr) return nullptr;
  } else {
    exporter.domains.move_to_back(d);
  }
  d->last_seen_ns = now_ns;
  exporter.last_domain = d;
  return d;
}

Domain* ExporterTable::add_domain(Exporter& exporter, uint16_t version, uint32_t id, const IpAddress& agent,
                                  TransportSession session) noexcept {
  if (exporter.domains.size() >= limits_.domains_per_exporter_max) return nullptr;
  void* memory = templates_.allocate(exporter, sizeof(Domain));
  return memory != nullptr ? install_domain(exporter, memory, version, id, agent, session) : nullptr;
}

Domain* ExporterTable::add_named_domain(Exporter& exporter, uint16_t version, uint32_t id,
                                        uint64_t now_ns, TransportSession session) noexcept {
  if (exporter.domains.size() >= limits_.domains_per_exporter_max / 2) return nullptr;
  void* memory = templates_.allocate_free(exporter, sizeof(Domain));
  if (memory == nullptr) return nullptr;
  Domain* d = install_domain(exporter, memory, version, id, {}, session);
  d->last_seen_ns = now_ns;
  return d;
}

Domain* ExporterTable::install_domain(Exporter& exporter, void* memory, uint16_t version,
                                      uint32_t id, const IpAddress& agent, TransportSession session) noexcept {
  auto* d = new (memory) Domain{};
  d->exporter = &exporter;
  d->version = version;
  d->id = id;
  d->agent = agent;
  d->session = session.number;
  d->session_port = session.port;
  exporter.session_domains += session.number != 0;
  d->hash = hash_of_domain(exporter, version, id, agent, session.number);
  d->sequence = SequenceTracker(version == 9 ? SequenceUnit::messages : SequenceUnit::records);
  domain_chains_.insert(d);
  exporter.domains.push_back(d);
  exporter.domains_to_save.push_back(d);
  return d;
}

void ExporterTable::drop(Domain& domain, DomainEnd why) noexcept {
  Exporter& exporter = *domain.exporter;
  templates_.drop_domain(domain, why);
  rates_.drop_domain(domain);
  const uint64_t lost = domain.sequence.open_units();
  counters_.sequence_lost.add(lost);
  exporter.stats.sequence_lost += lost;
  domain_chains_.erase(&domain);
  exporter.domains.erase(&domain);
  exporter.domains_to_save.erase(&domain);
  exporter.session_domains -= domain.session != 0;
  if (exporter.last_domain == &domain) exporter.last_domain = nullptr;
  templates_.release(exporter, &domain);
}

void ExporterTable::end_session(const IpAddress& address, uint32_t session) noexcept {
  Exporter* const exporter = find(address);
  if (exporter == nullptr || exporter->session_domains == 0) return;
  for (Domain* d = exporter->domains.front(); d != nullptr;) {
    Domain* const following = exporter->domains.next(d);
    if (d->session == session) drop(*d, DomainEnd::session_over);
    d = following;
  }
}

void ExporterTable::drop(Exporter& exporter, DomainEnd why) noexcept {
  rates_.drop_exporter(exporter);
  names_.drop_exporter(exporter);
  while (Domain* d = exporter.domains.front()) drop(*d, why);
  chains_.erase(&exporter);
  list_of(exporter).erase(&exporter);
  exporter.in_use = false;
  exporter.hash_next = free_;
  free_ = &exporter;
  counters_.exporters.set(size());
}

void ExporterTable::tick(uint64_t now_ns) noexcept {
  meet_bound(now_ns);
  static constexpr uint32_t kExportersPerTick = 256;
  static constexpr uint32_t kTemplatesPerTick = 4096;
  uint32_t templates_left = kTemplatesPerTick;
  for (uint32_t n = std::min(kExportersPerTick, untouched_); n != 0; --n) {
    if (tick_cursor_ >= untouched_) tick_cursor_ = 0;
    Exporter& e = slots()[tick_cursor_++];
    if (!e.in_use) continue;
    for (Domain* d = e.domains.front(); d != nullptr; d = e.domains.next(d)) {
      const uint64_t lost = d->sequence.close_old(now_ns);
      d->sequence_lost += lost;
      counters_.sequence_lost.add(lost);
      e.stats.sequence_lost += lost;
    }
    if (template_lifetime_ns_ == 0) continue;  // of no listener
    for (Template* t = e.templates.front(); t != nullptr && templates_left != 0; --templates_left) {
      Template* following = e.templates.next(t);
      if (templates_.is_stale(*t, now_ns)) templates_.expire_template(*t);
      t = following;
    }
  }
}

size_t ExporterTable::copy(uint32_t& cursor, std::span<ExporterStats> out) const noexcept {
  size_t n = 0;
  for (; cursor < untouched_ && n < out.size(); ++cursor) {
    const Exporter& e = slots()[cursor];
    if (!e.in_use) continue;
    ExporterStats& s = out[n++];
    s = e.stats;
    s.first_seen_ns = told(s.first_seen_ns);
    s.last_seen_ns = told(s.last_seen_ns);
    s.sets_waiting = e.pending.size();
    s.templates = e.templates.size();
    s.domains = e.domains.size();
    s.session_domains = e.session_domains;
    for (const Domain* d = e.domains.front(); d != nullptr; d = e.domains.next(d)) {
      s.sequence_lost += d->sequence.open_units();
      s.data_templates.size += d->templates.size();
      s.options_templates.size += d->options_templates.size();
    }
  }
  while (cursor < untouched_ && !slots()[cursor].in_use) ++cursor;
  if (cursor >= untouched_) cursor = 0;
  return n;
}

size_t ExporterTable::copy_domains(uint32_t& cursor, std::span<DomainStats> out) const noexcept {
  size_t n = 0;
  for (; cursor < untouched_; ++cursor) {
    const Exporter& e = slots()[cursor];
    if (!e.in_use) continue;
    if (n != 0 && e.domains.size() > out.size() - n) return n;
    for (const Domain* d = e.domains.front(); d != nullptr && n < out.size();
         d = e.domains.next(d)) {
      out[n++] = {.exporter = e.stats.address,
                  .agent = d->agent,
                  .version = d->version,
                  .id = d->id,
                  .session_port = d->session_port,
                  .sequence_unit = d->sequence.unit(),
                  .last_seen_ns = told(d->last_seen_ns),
                  .templates = d->templates.size(),
                  .options_templates = d->options_templates.size(),
                  .sampling_rate = d->rate.rate,
                  .sequence_lost = d->sequence_lost + d->sequence.open_units(),
                  .sequence_duplicates = d->sequence.duplicates(),
                  .sequence_restarts = d->sequence.restarts()};
    }
  }
  cursor = 0;
  return n;
}

}  // namespace weir::decode
