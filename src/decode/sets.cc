// sets.cc — Walk the Sets of a message, and the records of data; template_sets.cc reads what defines
// them, options_data.cc what options say.
//
// Spec:     RFC 7011 §3.3, §3.4.3; RFC 3954 §5.3, §9.
// Bounds:   each step consumes at least 4 octets of the message, or a record's.
// Failure:  a set that makes no sense is counted and its siblings are kept.
#include "decode/sets.h"

#include <algorithm>
#include <optional>

#include "base/byte_order.h"
#include "decode/decoder_state.h"

namespace weir::decode {
namespace {

/// Sets of a template between two that are offered to the fuser, at most.
constexpr int kFuseWaitMax = 31;

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

/// Makes ready to run a plan for the first record that wants it.
class PlanReader final : public RecordReader {
 public:
  PlanReader(const Plan& plan, PlanContext& context) noexcept : plan_(plan), context_(context) {}
  void read(const uint8_t* octets, FlowRecord& record) noexcept override {
    if (!run_) run_.emplace(plan_, context_);
    context_.arena.clear();
    run_->rows(octets, 1, &record);
  }

 private:
  const Plan& plan_;
  PlanContext& context_;
  std::optional<PlanRun> run_;
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
      if (tail) quirks_.note(Quirk::zero_filled_tail);
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
      quirks_.note(Quirk::set_of_other_version);
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
  if (!octets.empty()) quirks_.note(Quirk::trailing_octets);
}

void DecoderState::replay(Template& t, const Message& now, RecordSink& sink) noexcept {
  // The records of the message under way go first: their header is another.
  burst_.flush();
  const uint8_t* const packets = burst_.arena().packets();
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
    m.times = {.received_ns = set->received_ns,
               .aged_ns = set->aged_ns,
               .export_ns = set->export_ns,
               .uptime_ms = set->uptime_ms,
               .has_uptime = set->has_uptime,
               .past_max_ns = now.times.past_max_ns,
               .future_max_ns = now.times.future_max_ns};
    m.listener = set->listener;
    m.source_port = set->source_port;
    m.exporter = now.exporter;
    m.domain = now.domain;
    m.inline_names = has_inline_names(m.listener);
    m.limits = &limits_of(m.listener);
    set_system_init(m);
    burst_.begin(sink, m.header, m.listener, set->body());
    data_records(m, t, {set->body(), set->body_octets});
    burst_.flush();
    templates_.settle(*set, SetOutcome::decoded);
  }
  burst_.begin(sink, now.header, now.listener, packets);
}

void DecoderState::data_set(Message& m, uint16_t id, std::span<const uint8_t> body) noexcept {
  const uint64_t octets = body.size() + kSetHeaderOctets;
  Template* t = templates_.find(*m.domain, id, m.source_port);
  if (t != nullptr && t->kind != TemplateKind::missing &&
      templates_.is_stale(*t, m.times.aged_ns)) {
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
  if (rest.size() > kPaddingOctetsMax) quirks_.note(Quirk::long_padding);
  if (!all_octets_zero(rest)) quirks_.note(Quirk::nonzero_padding);
}

void DecoderState::data_records(Message& m, Template& t,
                                std::span<const uint8_t> body) noexcept {
  if (t.kind == TemplateKind::options) return options_records(m, t, body);
  const Plan& plan = t.plan;
  const MessageRates rates(rates_, *m.domain, t.id, default_rate(m), m.times.aged_ns);
  const MessageTemplates templates(templates_, m);
  const bool v9 = t.format == TemplateFormat::netflow_v9;
  PlanContext context{m.times,          rates,         burst_.arena(), templates, v9,
                      quirks_, config_.kernel};
  const uint32_t before = m.data_records;
  if (plan.fixed_length) {
    data_fixed(m, t, body, context);
  } else {
    PlanRun run(plan, context);
    WalkBegin begin;  // what the first record tells of the fields that do not move holds for all
    while (body.size() >= plan.record_octets) {
      if (body.size() <= kPaddingOctetsMax && all_octets_zero(body)) break;
      if (m.data_records == kRecordsPerDatagramMax) [[unlikely]] {
        quirks_.note(Quirk::record_limit);
        body = {};
        break;
      }
      const uint32_t octets =
          walk_fields(plan.fields, body.data(), static_cast<uint32_t>(body.size()), begin,
                      offsets_.get(), widths_.get());
      if (octets == 0) {
        quirks_.note(Quirk::truncated_record);
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

/// Offers records to the fuser; false where they go the ordinary way. What refuses one set of a template mostly refuses
/// the next, so that ever fewer are offered.
bool DecoderState::data_fused(Message& m, Template& t, const uint8_t* octets, uint32_t count,
                              PlanContext& context) noexcept {
  if (t.form.empty() || !may_fuse(m)) return false;
  if (t.fuse_verdict == FuseVerdict::fused_with_elements && fusing_ != Fusing::all) return false;
  if (t.fuse_wait != 0) {
    --t.fuse_wait;
    return false;
  }
  t.fuse_refusal = offer(m, t, octets, count, context);
  if (t.fuse_refusal == FuseRefusal::none) {
    t.fuse_wait_next = 0;
    return true;
  }
  t.fuse_wait = t.fuse_wait_next;
  t.fuse_wait_next = static_cast<uint8_t>(std::min(2 * t.fuse_wait_next + 1, kFuseWaitMax));
  return false;
}

FuseRefusal DecoderState::offer(const Message& m, const Template& t, const uint8_t* octets,
                                uint32_t count, PlanContext& context) noexcept {
  if (t.plan.metered_if && context.rates.by_interface()) return FuseRefusal::rates_by_interface;
  burst_.flush();  // what was before goes first
  PlanReader reader(t.plan, context);
  const FuseRefusal refusal = config_.fuser->on_laid_out(
      {.header = m.header,
       .listener = m.listener,
       .times = m.times,
       .rate = context.rates.resolve(SamplerKind::none, 0, false, 0),
       .rates = &context.rates,
       .sampler = t.plan.sampler,
       .form = t.form,
       .octets = octets,
       .count = count,
       .arena = context.arena.data(),
       .reader = reader});
  context.arena.clear();
  return refusal;
}

void DecoderState::data_fixed(Message& m, Template& t, std::span<const uint8_t> body,
                              PlanContext& context) noexcept {
  const Plan& plan = t.plan;
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
    quirks_.note(Quirk::record_limit, count - (kRecordsPerDatagramMax - m.data_records));
    count = kRecordsPerDatagramMax - m.data_records;
  }
  m.data_records += count;
  const uint8_t* p = body.data();
  if (count == 0 || data_fused(m, t, p, count, context)) return;
  PlanRun run(plan, context);
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

}  // namespace weir::decode
