// options_data.cc — What records of options data say: state of the exporter, not output.
//
// Spec:     RFC 7011 §3.4.2, RFC 3954 §6.2; sampling.h and names.h say which elements are read.
// Bounds:   each step consumes at least one octet of the set.
#include "decode/decoder_state.h"
#include "decode/sets.h"

namespace weir::decode {

void DecoderState::options_records(Message& m, const Template& t,
                                   std::span<const uint8_t> body) noexcept {
  const uint32_t before = m.options_records;
  uint32_t least = 0;
  for (const FieldSpec& f : t.plan.fields) least += f.length == kVariableLength ? 1u : f.length;
  while (body.size() >= least) {
    if (body.size() <= kPaddingOctetsMax && all_octets_zero(body)) break;
    if (m.options_records == kRecordsPerDatagramMax) [[unlikely]] {
      quirks_.note(Quirk::record_limit);
      body = {};
      break;
    }
    const uint32_t octets =
        walk_fields(t.plan.fields, body.data(), static_cast<uint32_t>(body.size()), {},
                    offsets_.get(), widths_.get());
    if (octets == 0) {
      quirks_.note(Quirk::truncated_record);
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
  Domain* domain = m.domain;
  if ((v.present & bit::kDomain) != 0) {
    // 0 means none in particular. The plan under way must not be evicted for a domain that nobody knows.
    const auto id = static_cast<uint32_t>(v.scope_domain);
    Domain* named = exporters_.find_domain(*m.exporter, domain->version, id, {}, domain->session);
    if (named == nullptr && id != 0) {
      named = exporters_.add_named_domain(*m.exporter, domain->version, id, m.times.aged_ns,
                                          {domain->session, domain->session_port});
    }
    if (named != nullptr) domain = named;
  }
  const bool has_sequence = (v.present & bit::kSequence) != 0;
  if (has_sequence && v.selector_count != 0) {
    const uint32_t n = v.selector_count <= std::size(v.selectors) ? v.selector_count : 0;
    rates_.set_sequence(*domain, v.sequence_id, {v.selectors, n}, m.times.aged_ns);
  }
  if (rate == 0) return;  // PTX says 0 where it does not know
  if (rate > kRatePlausibleMax) quirks_.note(Quirk::implausible_rate);
  const RateEntry entry{rate, m.times.aged_ns};
  if ((v.present & bit::kSampler) != 0) {
    rates_.set_keyed(*domain, RateKey::sampler, v.sampler_id, entry);
  } else if (has_sequence && v.selector_count != 1) {
    rates_.set_keyed(*domain, RateKey::sequence, v.sequence_id, entry);
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
