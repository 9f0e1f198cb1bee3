#include "decode/pending.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace weir::decode {
namespace {

/// Kept for each exporter: what comes while its templates are on their way.
constexpr uint64_t kPendingOwnOctetsMin = 2048;
constexpr uint64_t kPendingOwnOctetsMax = 16 * 1024;

}  // namespace

PendingStore::PendingStore(const DecoderLimits& limits, uint32_t cores, SetLedger& ledger) noexcept
    : limits_(limits),
      octets_max_(limits.pending_octets_total / cores),
      shares_(Shares::of(octets_max_, limits.exporters_max, kPendingOwnOctetsMin,
                         kPendingOwnOctetsMax)),
      ledger_(ledger) {}

bool PendingStore::reserve() noexcept {
  by_age_.reset(new (std::nothrow) ByAge[kListenersMax]);
  if (by_age_ == nullptr) return false;
  // Blocks are powers of two of at least 256 octets: they take less than 2.5 times what is charged.
  return slab_.reserve(octets_max_ / 2 * 5 + Slab::kBlockOctetsMax);
}

bool PendingStore::admits(const ExporterLimits& limits, uint32_t body_octets) const noexcept {
  return body_octets + 4 <= limits.pending_set_octets_max &&
         charge(body_octets) <= std::min(limits_.pending_octets_per_exporter, shares_.most()) &&
         limits.pending_sets_max != 0 && limits.pending_sets_per_template != 0;
}

bool PendingStore::is_full(const Exporter& exporter, const ExporterLimits& limits,
                           uint32_t body_octets) const noexcept {
  return exporter.pending.size() >= limits.pending_sets_max ||
         exporter.pending_octets + charge(body_octets) > limits_.pending_octets_per_exporter ||
         !shares_.admits(exporter.pending_octets, charge(body_octets));
}

bool PendingStore::hold(Template& owner, const Origin& origin,
                        std::span<const uint8_t> body) noexcept {
  void* memory = slab_.allocate(sizeof(PendingSet) + body.size());
  if (memory == nullptr) return false;
  auto* set = new (memory) PendingSet{};
  set->owner = &owner;
  set->received_ns = origin.times.received_ns;
  set->aged_ns = origin.times.aged_ns;
  set->export_ns = origin.times.export_ns;
  set->uptime_ms = origin.times.uptime_ms;
  set->has_uptime = origin.times.has_uptime;
  set->sequence_num = origin.sequence_num;
  set->source_port = origin.source_port;
  set->listener = origin.listener;
  set->ttl_ns = origin.limits.pending_ttl_ns;
  set->body_octets = static_cast<uint32_t>(body.size());
  std::memcpy(set->body(), body.data(), body.size());
  Exporter& exporter = *owner.domain->exporter;
  list_of(set->listener).push_back(set);
  lists_used_ = std::max(lists_used_, std::min<size_t>(set->listener.value, kListenersMax - 1) + 1);
  exporter.pending.push_back(set);
  owner.pending.push_back(set);
  shares_.change(exporter.pending_octets, exporter.pending_octets + charge(set->body_octets));
  exporter.pending_octets += charge(set->body_octets);
  Counter& gauge = ledger_.counters().pending_octets;
  gauge.add(charge(set->body_octets));
  ledger_.enter(exporter, SetOutcome::waiting_for_template, set->set_octets());
  return true;
}

void PendingStore::release(PendingSet& set, SetOutcome outcome) noexcept {
  Exporter& exporter = *set.owner->domain->exporter;
  ledger_.settle(exporter, outcome, set.set_octets());
  shares_.change(exporter.pending_octets, exporter.pending_octets - charge(set.body_octets));
  exporter.pending_octets -= charge(set.body_octets);
  Counter& gauge = ledger_.counters().pending_octets;
  gauge.set(gauge.value() - charge(set.body_octets));
  list_of(set.listener).erase(&set);
  exporter.pending.erase(&set);
  set.owner->pending.erase(&set);
  slab_.release(&set);
}

PendingSet* PendingStore::expired(uint64_t now_ns) const noexcept {
  for (size_t i = 0; i < lists_used_; ++i) {
    PendingSet* set = by_age_[i].front();
    if (set == nullptr || now_ns < set->aged_ns) continue;
    if (now_ns - set->aged_ns >= set->ttl_ns) return set;
  }
  return nullptr;
}

void PendingStore::release_all(Template& owner, SetOutcome outcome) noexcept {
  while (PendingSet* set = owner.pending.front()) release(*set, outcome);
}

void PendingStore::transfer(Template& from, Template& to) noexcept {
  while (PendingSet* set = from.pending.front()) {
    from.pending.erase(set);
    to.pending.push_back(set);
    set->owner = &to;
  }
}

}  // namespace weir::decode
