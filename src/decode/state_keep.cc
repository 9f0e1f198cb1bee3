// state_keep.cc — What a decoder knows, out to be saved and in again after a restart.
//
// Out: a walk in slices, each of bounded work, over exporters that come and go meanwhile. Lists are
// turned as they are saved: what is in front and not marked with the walk's number is still to be
// done, so that no place in a list has to be remembered. What is learned during the walk may be left
// to the next one.
//
// In: nothing is done at start. When an exporter is heard of again, its part of the image is taken up:
// domains and rates with its first datagram, templates some with each datagram. Data that is ahead of
// them waits as any other. Whatever the exporter says itself is left as it is.
#include <algorithm>
#include <new>
#include <utility>

#include "decode/decoder_state.h"

namespace weir::decode {
namespace {

constexpr uint32_t kSaveSlots = 1024;  // looked at in a slice
constexpr uint32_t kSaveRecords = 64;
constexpr size_t kSaveOctets = 64 * 1024;  // so much ends a slice

// What taking up may cost a datagram: a template has to be compiled, all else is a few stores.
constexpr uint32_t kRestoreCostFirst = 8192;
constexpr uint32_t kRestoreCost = 4096;
constexpr uint32_t kRestoreCostTemplate = 64;
constexpr uint32_t kRestoreCostName = 8;

/// A transport session's is over before a restart is.
bool lasts(const Domain* d) noexcept { return d != nullptr && d->session == 0; }

bool has_templates(const Domain& d) noexcept { return d.version == 9 || d.version == 10; }

}  // namespace

size_t DecoderState::copy_state(StateCursor& cursor, std::span<uint8_t> out) noexcept {
  if (cursor.epoch == 0) {
    save_walk_ += 2;
    cursor = {save_walk_, 0, false};
  }
  StateWriter writer(out, wall_offset_ns_);
  uint32_t budget = kSaveRecords;
  for (uint32_t n = 0; n < kSaveSlots && cursor.slot < exporters_.slot_count(); ++n) {
    Exporter* e = exporters_.at_slot(cursor.slot);
    if (e != nullptr && !save_exporter(*e, writer, cursor.epoch, budget)) return writer.octets();
    ++cursor.slot;
    if (writer.octets() >= kSaveOctets) return writer.octets();
  }
  cursor.is_over = cursor.slot >= exporters_.slot_count();
  return writer.octets();
}

/// False if room or budget ran out first.
bool DecoderState::save_exporter(Exporter& e, StateWriter& writer, uint32_t walk,
                                 uint32_t& budget) noexcept {
  const bool says_something = !e.templates.empty() || !e.rates.empty() || e.any_rate != 0 ||
                              e.has_system_init || e.restore.was_active;
  if (!says_something) return true;
  const uint8_t flags = e.restore.is_active ? state_flag::kIncomplete : 0;
  bool begun = false;
  const Domain* domain = nullptr;
  // Each slice says anew whose its records are.
  const auto begin = [&](const Domain* of, size_t octets) {
    const size_t needed = octets + kStateExporterOctets + kStateDomainOctets;
    if (budget == 0 || writer.octets() >= kSaveOctets || !writer.has_room(needed)) return false;
    --budget;
    if (!begun) writer.exporter(e, flags);
    begun = true;
    if (of != nullptr && of != domain) writer.domain(*of);
    if (of != nullptr) domain = of;
    return true;
  };
  const uint32_t walk_with_templates = walk + 1;
  for (Domain* d = e.domains_to_save.front(); d != nullptr; d = e.domains_to_save.front()) {
    if (d->saved == walk_with_templates) break;
    if (d->saved != walk) {
      if (lasts(d) && !begin(has_templates(*d) ? d : nullptr, 0)) return false;
      d->saved = walk;
      e.domains_to_save.move_to_back(d);
      continue;
    }
    for (KeyedRate* r = e.rates.front(); r != nullptr && r->saved != walk; r = e.rates.front()) {
      if (!begin(lasts(r->domain) ? r->domain : nullptr, kStateRateOctets)) return false;
      if (lasts(r->domain)) writer.rate(*r);
      r->saved = walk;
      e.rates.move_to_back(r);
    }
    for (const TemplateKind kind : {TemplateKind::data, TemplateKind::options}) {
      auto& list = d->templates_of(kind);
      for (Template* t = list.front(); lasts(d) && t != nullptr && t->saved != walk; t = list.front()) {
        if (!begin(d, StateWriter::octets_of(*t))) return false;
        writer.template_(*t);
        t->saved = walk;
        list.move_to_back(t);
      }
    }
    d->saved = walk_with_templates;
    e.domains_to_save.move_to_back(d);
  }
  return true;
}

bool DecoderState::adopt(std::shared_ptr<const StateImage> image) noexcept {
  taken_up_.reset();
  if (image != nullptr) {
    taken_up_.reset(new (std::nothrow) uint8_t[image->pieces().size()]());
    if (taken_up_ == nullptr) return false;
  }
  restored_ = std::move(image);
  return true;
}

void DecoderState::begin_restore(Exporter& e) noexcept {
  if (restored_ == nullptr) return;
  const auto pieces = restored_->pieces();
  const uint32_t first = restored_->find(e.stats.address);
  // What was taken up once is no longer news, even if the exporter was pushed out since.
  if (first == pieces.size() || taken_up_[first] != 0) return;
  taken_up_[first] = 1;
  e.restore = {.piece = first, .at = pieces[first].begin, .is_active = true, .was_active = true};
  counters_.exporters_restored.increment();
}

void DecoderState::restore_some(Message& m, RecordSink& sink) noexcept {
  const StateImage& image = *restored_;
  Exporter& e = *m.exporter;
  uint32_t budget = e.restore.domain_version == 0 ? kRestoreCostFirst : kRestoreCost;
  while (e.restore.is_active && budget != 0) {
    RestoreCursor& cursor = e.restore;
    const StateImage::Piece& piece = image.pieces()[cursor.piece];
    if (cursor.at == piece.end) {
      const uint32_t next = cursor.piece + 1;
      cursor.is_active =
          next < image.pieces().size() && image.pieces()[next].address == piece.address;
      if (cursor.is_active) {
        cursor.piece = next;
        cursor.at = image.pieces()[next].begin;
      }
      continue;
    }
    const StateRecord r{image.octets().data() + cursor.at};
    cursor.at += r.octets();
    uint32_t cost = 1;
    Domain* domain = r.type() == StateRecordType::rate || r.type() == StateRecordType::template_
                         ? exporters_.find_domain(e, cursor.domain_version, cursor.domain_id)
                         : nullptr;
    switch (r.type()) {
      case StateRecordType::exporter:
        if ((r.flags() & state_flag::kHasBootTime) != 0 && !e.has_system_init) {
          e.has_system_init = true;
          e.system_init_ms = r.u64(32);
        }
        break;
      case StateRecordType::domain:
        cursor.domain_id = r.u32(8);
        cursor.domain_version = r.u16(12);
        restore_domain(e, r);
        break;
      case StateRecordType::rate: {
        const auto kind = static_cast<RateKey>(r.flags());
        const RateEntry rate{r.u64(16), aged(r.u64(24))};
        if (domain == nullptr || rate.rate == 0) break;
        if (rates_.find_keyed(*domain, kind, r.u64(8)) != 0) break;
        rates_.set_keyed(*domain, kind, r.u64(8), rate);
        counters_.rates_restored.increment();
        break;
      }
      case StateRecordType::template_:
        cost = kRestoreCostTemplate;
        if (domain != nullptr) restore_template(m, *domain, r, sink);
        break;
      case StateRecordType::name:
        cost = kRestoreCostName;
        restore_name(e, r);
        break;
    }
    budget -= std::min(budget, cost);
  }
  set_system_init(m);
}

void DecoderState::restore_domain(Exporter& e, const StateRecord& r) noexcept {
  Domain* d = exporters_.find_domain(e, r.u16(12), r.u32(8));
  if (d == nullptr) d = exporters_.add_domain(e, r.u16(12), r.u32(8));
  if (d == nullptr) return;
  if ((r.flags() & state_flag::kSplit) != 0) d->split = true;
  if ((r.flags() & state_flag::kHasBootTime) != 0 && !d->has_system_init) {
    d->has_system_init = true;
    d->system_init_ms = r.u64(16);
  }
  if (d->sequence.is_new()) d->sequence = SequenceTracker(static_cast<SequenceUnit>(r.u8(14)));
  const RateEntry rate{r.u64(24), aged(r.u64(32))};
  if (rate.rate != 0 && d->rate.rate == 0) {
    rates_.set_domain(*d, rate);
    counters_.rates_restored.increment();
  }
}

void DecoderState::restore_name(Exporter& e, const StateRecord& r) noexcept {
  const auto* texts = reinterpret_cast<const char*>(r.p + kStateNameOctets);
  const size_t key = r.u8(16);
  const size_t name = r.u8(17);
  NameValue value;
  value.key = NameKey::of({r.p + kStateNameOctets, key});
  value.rate = r.u64(8);
  if ((r.u8(19) & state_flag::kHasName) != 0) value.name = {texts + key, name};
  if ((r.u8(19) & state_flag::kHasDescription) != 0) {
    value.description = {texts + key + name, r.u8(18)};
  }
  if (value.says_something()) names_.restore(e, static_cast<NameKind>(r.flags()), value);
}

void DecoderState::restore_template(Message& m, Domain& domain, const StateRecord& r,
                                    RecordSink& sink) noexcept {
  const uint32_t count = r.field_count();
  if (count > m.limits->template_fields_max) return;
  for (uint32_t i = 0; i < count; ++i) fields_[i] = r.field(i);
  field_count_ = count;
  const auto kind =
      fields_are_decodable() ? static_cast<TemplateKind>(r.u8(14)) : TemplateKind::not_decodable;
  const TemplateTable::Definition d{.id = r.u16(8),
                                    .port = 0,  // whoever defines it now is not in conflict with it
                                    .scope_fields = r.u16(12),
                                    .kind = kind,
                                    .format = static_cast<TemplateFormat>(r.u8(15)),
                                    .fields = {fields_.get(), field_count_},
                                    .now_ns = aged(r.u64(16)),
                                    .limits = *m.limits};
  if (TemplateTable::is_stale(d.now_ns, m.limits->template_lifetime_ns, m.times.aged_ns)) {
    return;
  }
  Template* made = templates_.restore(domain, d, r.u16(10));
  if (made == nullptr || made->pending.empty()) return;
  // What waits may be another domain's than the message's.
  Message of = m;
  of.domain = &domain;
  of.header.observation_domain_id = domain.id;
  of.protocol = domain.version == 9 ? Protocol::netflow_v9 : Protocol::ipfix;
  of.header.type = domain.version == 9 ? FlowType::netflow_v9 : FlowType::ipfix;
  const uint8_t* const packets = burst_.arena().packets();
  replay(*made, of, sink);
  burst_.begin(sink, m.header, m.listener, packets);
}

}  // namespace weir::decode
