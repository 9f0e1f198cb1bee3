// sets.cc — Walk the Sets of a message: templates, options templates, data.
//
// Spec:     RFC 7011 §3.3, §3.4, §8; RFC 3954 §5.2, §5.3, §6.
// Bounds:   each step consumes at least 4 octets of the message, or a record's; a template whose
//           records could be empty is never decoded by.
// Failure:  a set that makes no sense is counted and its siblings are kept.
#include <algorithm>
#include <new>

#include "base/byte_order.h"
#include "decode/decoder_state.h"

namespace weir::decode {
namespace {

constexpr uint32_t kSetHeaderOctets = 4;
constexpr uint16_t kFirstDataSetId = 256;

enum SetId : uint16_t { kTemplatesV9 = 0, kOptionsV9 = 1, kTemplatesIpfix = 2, kOptionsIpfix = 3 };

constexpr uint16_t kEnterpriseBit = 0x8000;
constexpr uint32_t kPaddingOctetsMax = 3;  // to the next multiple of four

// Fields of no octets are legal, but a record of one octet must not cost thousands of steps.
constexpr uint32_t kEmptyFieldsMax = 64;

/// The templates that the lists of one message refer to.
class MessageTemplates final : public TemplateFinder {
 public:
  MessageTemplates(TemplateTable& table, const Message& m) noexcept : table_(table), m_(m) {}

  std::span<const FieldSpec> fields_of(uint16_t id) const noexcept override {
    Template* t = table_.find(*m_.domain, id, m_.source_port);
    if (t == nullptr || (t->kind != TemplateKind::data && t->kind != TemplateKind::options)) {
      return {};
    }
    table_.touch(*t);
    return t->plan.fields;
  }

 private:
  TemplateTable& table_;
  const Message& m_;
};

}  // namespace

void DecoderState::walk_sets(Message& m, std::span<const uint8_t> octets,
                             RecordSink& sink) noexcept {
  if (m.exporter->restore.is_active) [[unlikely]]
    restore_some(m, sink);
  const bool v9 = m.header.type == FlowType::netflow_v9;
  while (octets.size() >= kSetHeaderOctets) {
    const uint16_t id = load_be16(octets.data());
    const uint16_t length = load_be16(octets.data() + 2);
    if (length < kSetHeaderOctets || length > octets.size()) {
      // Palo Alto fills packets up with zeros.
      const bool tail = id == 0 && length == 0 && all_octets_zero(octets);
      if (tail) counters_.quirks[Quirk::zero_filled_tail].increment();
      ledger_.enter(*m.exporter,
                    tail ? SetOutcome::skipped_padding : SetOutcome::skipped_bad_length,
                    octets.size());
      m.all_known = m.all_known && tail;
      return;
    }
    const std::span<const uint8_t> body =
        octets.subspan(kSetHeaderOctets, length - kSetHeaderOctets);
    octets = octets.subspan(length);
    ++m.sets;
    if (id >= kFirstDataSetId) {
      data_set(m, id, body);
      continue;
    }
    SetOutcome outcome = SetOutcome::skipped_reserved_id;
    if (id <= kOptionsIpfix && (id <= kOptionsV9) != v9) {
      counters_.quirks[Quirk::set_of_other_version].increment();
    }
    switch (id) {
      case kTemplatesV9:
        outcome = learn_templates(m, body, TemplateFormat::netflow_v9, sink);
        break;
      case kOptionsV9: outcome = learn_options_v9(m, body, sink); break;
      case kTemplatesIpfix: outcome = learn_templates(m, body, TemplateFormat::ipfix, sink); break;
      case kOptionsIpfix: outcome = learn_options_ipfix(m, body, sink); break;
      default: break;
    }
    ledger_.enter(*m.exporter, outcome, length);
  }
  if (!octets.empty()) counters_.quirks[Quirk::trailing_octets].increment();
}

/// Reads `count` field specifiers into fields_ and moves `body` behind them. False if they are not
/// all there.
bool DecoderState::read_fields(const Message& m, std::span<const uint8_t>& body, uint32_t count,
                               TemplateFormat format) noexcept {
  const uint32_t fields_max = m.limits->template_fields_max;
  field_count_ = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (body.size() < 4) return false;
    FieldSpec f{0, load_be16(body.data()), load_be16(body.data() + 2)};
    body = body.subspan(4);
    // In v9 numbers from 32,768 on are vendors' types like any others.
    if (format == TemplateFormat::ipfix && (f.id & kEnterpriseBit) != 0) {
      if (body.size() < 4) return false;
      f.id = static_cast<uint16_t>(f.id & ~kEnterpriseBit);
      f.enterprise = load_be32(body.data());
      body = body.subspan(4);
    }
    if (i < fields_max) fields_[field_count_++] = f;
  }
  return true;
}

/// What a template of too many fields becomes.
TemplateKind DecoderState::refuse_fields(const Message& m, uint16_t id, TemplateKind kind,
                                         TemplateFormat format) noexcept {
  templates_.refuse(*m.domain, {id,
                                m.source_port,
                                0,
                                kind,
                                format,
                                {fields_.get(), field_count_},
                                m.times.received_ns,
                                *m.limits});
  field_count_ = 0;
  return TemplateKind::not_decodable;
}

bool DecoderState::fields_are_decodable() const noexcept {
  uint32_t least = 0;
  uint32_t empty = 0;
  for (uint32_t i = 0; i < field_count_; ++i) {
    least += fields_[i].length == kVariableLength ? 1u : fields_[i].length;
    empty += fields_[i].length == 0;
  }
  return least != 0 && empty <= kEmptyFieldsMax;
}

void DecoderState::define(Message& m, uint16_t id, TemplateKind kind, TemplateFormat format,
                          uint16_t scope_fields, RecordSink& sink) noexcept {
  ++m.templates;
  if (!fields_are_decodable()) {
    // Records without octets have no end.
    kind = TemplateKind::not_decodable;
    counters_.quirks[Quirk::template_not_decodable].increment();
  }
  Template* made = templates_.define(*m.domain, {id,
                                                 m.source_port,
                                                 scope_fields,
                                                 kind,
                                                 format,
                                                 {fields_.get(), field_count_},
                                                 m.times.received_ns,
                                                 *m.limits});
  if (made != nullptr && !made->pending.empty()) replay(*made, m, sink);
}

SetOutcome DecoderState::learn_templates(Message& m, std::span<const uint8_t> body,
                                         TemplateFormat format, RecordSink& sink) noexcept {
  while (body.size() >= 4) {
    if (all_octets_zero(body)) break;  // padding
    const uint16_t id = load_be16(body.data());
    const uint16_t count = load_be16(body.data() + 2);
    body = body.subspan(4);
    if (format == TemplateFormat::ipfix && count == 0) {
      // RFC 7011 §8.1: a withdrawal, of all templates if the id is the set's.
      if (id == kTemplatesIpfix) {
        templates_.withdraw_all(*m.domain, TemplateKind::data);
      } else {
        templates_.withdraw(*m.domain, id, m.source_port);
      }
      continue;
    }
    if (id < kFirstDataSetId) return SetOutcome::skipped_bad_template;
    if (!read_fields(m, body, count, format)) return SetOutcome::skipped_bad_template;
    TemplateKind kind = TemplateKind::data;
    if (count > field_count_) {
      kind = refuse_fields(m, id, kind, format);
    }
    define(m, id, kind, format, 0, sink);
  }
  return SetOutcome::decoded;
}

SetOutcome DecoderState::learn_options_v9(Message& m, std::span<const uint8_t> body,
                                          RecordSink& sink) noexcept {
  // 0 template id   2 length of scopes in octets   4 length of options in octets
  while (body.size() >= 6) {
    if (all_octets_zero(body)) break;  // padding
    const uint16_t id = load_be16(body.data());
    const uint32_t scope_octets = load_be16(body.data() + 2);
    const uint32_t option_octets = load_be16(body.data() + 4);
    body = body.subspan(6);
    if (id < kFirstDataSetId || scope_octets + option_octets > body.size()) {
      return SetOutcome::skipped_bad_template;
    }
    // Lengths that are no multiples of four hold padding.
    const uint32_t scopes = scope_octets / 4;
    const uint32_t options = option_octets / 4;
    const uint32_t fields_max = m.limits->template_fields_max;
    field_count_ = 0;
    for (uint32_t i = 0; i < scopes + options; ++i) {
      const uint8_t* p = body.data() + (i < scopes ? i * 4 : scope_octets + (i - scopes) * 4);
      if (field_count_ < fields_max) fields_[field_count_++] = {0, load_be16(p), load_be16(p + 2)};
    }
    body = body.subspan(scope_octets + option_octets);
    TemplateKind kind = TemplateKind::options;
    if (scopes + options > field_count_) {
      kind = refuse_fields(m, id, kind, TemplateFormat::netflow_v9);
    }
    define(m, id, kind, TemplateFormat::netflow_v9, static_cast<uint16_t>(scopes), sink);
  }
  return SetOutcome::decoded;
}

SetOutcome DecoderState::learn_options_ipfix(Message& m, std::span<const uint8_t> body,
                                             RecordSink& sink) noexcept {
  // 0 template id   2 field count   4 scope field count, absent in a withdrawal
  while (body.size() >= 4) {
    if (all_octets_zero(body)) break;  // padding
    const uint16_t id = load_be16(body.data());
    const uint16_t count = load_be16(body.data() + 2);
    if (count == 0) {
      if (id == kOptionsIpfix) {
        templates_.withdraw_all(*m.domain, TemplateKind::options);
      } else {
        templates_.withdraw(*m.domain, id, m.source_port);
      }
      body = body.subspan(4);
      continue;
    }
    if (body.size() < 6) return SetOutcome::skipped_bad_template;
    const uint16_t scopes = load_be16(body.data() + 4);
    body = body.subspan(6);
    if (id < kFirstDataSetId || scopes > count ||
        !read_fields(m, body, count, TemplateFormat::ipfix)) {
      return SetOutcome::skipped_bad_template;
    }
    TemplateKind kind = TemplateKind::options;
    if (count > field_count_) {
      kind = refuse_fields(m, id, kind, TemplateFormat::ipfix);
    }
    define(m, id, kind, TemplateFormat::ipfix, scopes, sink);
  }
  return SetOutcome::decoded;
}

void DecoderState::replay(Template& t, const Message& now, RecordSink& sink) noexcept {
  // The records of the message under way go first: their header is another.
  burst_.flush();
  while (PendingSet* set = t.pending.front()) {
    if (t.kind == TemplateKind::not_decodable) {
      templates_.settle(*set, SetOutcome::skipped_not_decodable);
      continue;
    }
    Message m(now.protocol);
    m.header = now.header;
    m.header.sequence_num = set->sequence_num;
    m.header.time_received_ns = set->received_ns;
    m.header.exporter_port = set->source_port;
    m.times = {set->received_ns, set->export_ns,        set->uptime_ms,
               set->has_uptime,  now.times.past_max_ns, now.times.future_max_ns};
    m.listener = set->listener;
    m.source_port = set->source_port;
    m.exporter = now.exporter;
    m.domain = now.domain;
    m.inline_names = has_inline_names(m.listener);
    m.limits = &limits_of(m.listener);
    set_system_init(m);
    burst_.begin(sink, m.header, m.listener);
    data_records(m, t, {set->body(), set->body_octets});
    burst_.flush();
    templates_.settle(*set, SetOutcome::decoded);
  }
  burst_.begin(sink, now.header, now.listener);
}

void DecoderState::data_set(Message& m, uint16_t id, std::span<const uint8_t> body) noexcept {
  const uint64_t octets = body.size() + kSetHeaderOctets;
  Template* t = templates_.find(*m.domain, id, m.source_port);
  if (t != nullptr && t->kind != TemplateKind::missing &&
      templates_.is_stale(*t, m.times.received_ns)) {
    templates_.expire_template(*t);
    t = nullptr;
  }
  if (body.empty()) {
    ledger_.enter(*m.exporter, SetOutcome::decoded, octets);
    return;
  }
  if (t == nullptr || t->kind == TemplateKind::missing) {
    m.all_known = false;
    counters_.template_events[TemplateEvent::missing].increment();
    ++m.exporter->stats.data_templates.misses;
    templates_.hold(*m.domain, id,
                    {m.times, m.header.sequence_num, m.source_port, m.listener, *m.limits}, body);
    return;
  }
  templates_.touch(*t);
  counters_.template_events[TemplateEvent::hit].increment();
  ++cache_of(*m.exporter, t->kind).hits;
  if (t->kind == TemplateKind::not_decodable) {
    m.all_known = false;
    ledger_.enter(*m.exporter, SetOutcome::skipped_not_decodable, octets);
    return;
  }
  data_records(m, *t, body);
  ledger_.enter(*m.exporter, SetOutcome::decoded, octets);
}

void DecoderState::padding(std::span<const uint8_t> rest) noexcept {
  if (rest.empty()) return;
  if (rest.size() > kPaddingOctetsMax) counters_.quirks[Quirk::long_padding].increment();
  if (!all_octets_zero(rest)) counters_.quirks[Quirk::nonzero_padding].increment();
}

void DecoderState::data_records(Message& m, const Template& t,
                                std::span<const uint8_t> body) noexcept {
  if (t.kind == TemplateKind::options) return options_records(m, t, body);
  const Plan& plan = t.plan;
  const MessageRates rates(rates_, *m.domain, t.id, default_rate(m), m.times.received_ns);
  const MessageTemplates templates(templates_, m);
  const bool v9 = t.format == TemplateFormat::netflow_v9;
  PlanContext context{m.times,          rates,         burst_.arena(), templates, v9,
                      counters_.quirks, config_.kernel};
  PlanRun run(plan, context);
  const uint32_t before = m.data_records;
  if (plan.fixed_length) {
    data_fixed(m, plan, body, run);
  } else {
    WalkBegin begin;  // what the first record tells of the fields that do not move holds for all
    while (body.size() >= plan.record_octets) {
      if (body.size() <= kPaddingOctetsMax && all_octets_zero(body)) break;
      if (m.data_records == kRecordsPerDatagramMax) [[unlikely]] {
        counters_.quirks[Quirk::record_limit].increment();
        body = {};
        break;
      }
      const uint32_t octets =
          walk_fields(plan.fields, body.data(), static_cast<uint32_t>(body.size()), begin,
                      offsets_.get(), widths_.get());
      if (octets == 0) {
        counters_.quirks[Quirk::truncated_record].increment();
        body = {};
        break;
      }
      FlowRecord& r = burst_.room(1, arena_octets_bound(plan, octets) + inline_octets(m)).front();
      begin = plan.first_variable;
      run.row({body.data(), offsets_.get(), widths_.get()}, r);
      if (m.inline_names) fill_names(m, {&r, 1});
      burst_.commit(1);
      ++m.data_records;
      body = body.subspan(octets);
    }
    padding(body);
  }
  count_records(m, m.data_records - before);
}

void DecoderState::data_fixed(Message& m, const Plan& plan, std::span<const uint8_t> body,
                              PlanRun& run) noexcept {
  const uint32_t octets = plan.record_octets;
  uint32_t count = static_cast<uint32_t>(body.size()) / octets;
  if (octets <= kPaddingOctetsMax) {
    // Records this short hide in the padding: what is zero at the end is not one.
    const auto tail = body.last(std::min<size_t>(body.size(), kPaddingOctetsMax));
    size_t zeros = 0;
    while (zeros < tail.size() && tail[tail.size() - 1 - zeros] == 0) ++zeros;
    count -= std::min(
        count,
        static_cast<uint32_t>(zeros - std::min<size_t>(zeros, body.size() % octets)) / octets);
  }
  padding(body.subspan(size_t{count} * octets));
  if (count > kRecordsPerDatagramMax - m.data_records) [[unlikely]] {
    counters_.quirks[Quirk::record_limit].add(count - (kRecordsPerDatagramMax - m.data_records));
    count = kRecordsPerDatagramMax - m.data_records;
  }
  m.data_records += count;
  const uint8_t* p = body.data();
  while (count != 0) {
    const std::span<FlowRecord> records =
        burst_.room(count, plan.arena_octets_max + inline_octets(m));
    const auto n = static_cast<uint32_t>(records.size());
    run.rows(p, n, records.data());
    if (m.inline_names) fill_names(m, records);
    burst_.commit(n);
    p += size_t{n} * octets;
    count -= n;
  }
}

void DecoderState::options_records(Message& m, const Template& t,
                                   std::span<const uint8_t> body) noexcept {
  const uint32_t before = m.options_records;
  uint32_t least = 0;
  for (const FieldSpec& f : t.plan.fields) least += f.length == kVariableLength ? 1u : f.length;
  while (body.size() >= least) {
    if (body.size() <= kPaddingOctetsMax && all_octets_zero(body)) break;
    const uint32_t octets =
        walk_fields(t.plan.fields, body.data(), static_cast<uint32_t>(body.size()), {},
                    offsets_.get(), widths_.get());
    if (octets == 0) {
      counters_.quirks[Quirk::truncated_record].increment();
      body = {};
      break;
    }
    options_record(m, t, {body.data(), offsets_.get(), widths_.get()});
    ++m.options_records;
    body = body.subspan(octets);
  }
  padding(body);
  const uint32_t records = m.options_records - before;
  counters_.options_records.add(records);
  m.exporter->stats.options_records += records;
}

void DecoderState::options_record(Message& m, const Template& t, const Row& row) noexcept {
  namespace bit = options_bit;
  const OptionsValues v = read_options(t, row);
  if ((v.present & bit::kSystemInit) != 0) {
    if (m.domain->system_init_ms != v.system_init_ms) counters_.rate_changes.increment();
    m.domain->system_init_ms = m.exporter->system_init_ms = v.system_init_ms;
    m.domain->has_system_init = m.exporter->has_system_init = true;
    set_system_init(m);
  }
  const uint64_t rate = rate_of(v);
  if (t.has_names) learn_names(*m.domain, read_names(t, row, rate));
  if (rate == 0) return;  // PTX says 0 where it does not know
  if (rate > kRatePlausibleMax) counters_.quirks[Quirk::implausible_rate].increment();
  Domain* domain = m.domain;
  if ((v.present & bit::kDomain) != 0) {
    Domain* named =
        exporters_.find_domain(*m.exporter, domain->version, static_cast<uint32_t>(v.scope_domain));
    if (named != nullptr) domain = named;
  }
  const RateEntry entry{rate, m.times.received_ns};
  if ((v.present & bit::kSampler) != 0) {
    rates_.set_keyed(*domain, RateKey::sampler, v.sampler_id, entry);
  } else if ((v.present & bit::kSelector) != 0) {
    rates_.set_keyed(*domain, RateKey::sampler, v.selector_id, entry);
  } else if ((v.present & bit::kInterface) != 0) {
    rates_.set_keyed(*domain, RateKey::interface, v.scope_interface, entry);
  } else if ((v.present & bit::kTemplate) != 0) {
    rates_.set_keyed(*domain, RateKey::template_, v.scope_template, entry);
  } else {
    rates_.set_domain(*domain, entry);
  }
}

}  // namespace weir::decode
