// template_sets.cc — Templates and options templates as v9 and IPFIX define and withdraw them.
//
// Spec:     RFC 7011 §3.2, §3.4.1, §3.4.2, §8.1; RFC 3954 §5.2, §6.1.
// Bounds:   each step consumes at least 4 octets of the set; a template whose records could be empty is
//           never decoded by.
// Failure:  what follows a definition that makes no sense is not read; the set is counted.
#include "base/byte_order.h"
#include "decode/decoder_state.h"
#include "decode/sets.h"

namespace weir::decode {
namespace {

constexpr uint16_t kEnterpriseBit = 0x8000;

// Fields of no octets are legal, but a record of one octet must not cost thousands of steps.
constexpr uint32_t kEmptyFieldsMax = 64;

}  // namespace

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
                                m.times.aged_ns,
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
    quirks_.note(Quirk::template_not_decodable);
  }
  Template* made = templates_.define(*m.domain, {id,
                                                 m.source_port,
                                                 scope_fields,
                                                 kind,
                                                 format,
                                                 {fields_.get(), field_count_},
                                                 m.times.aged_ns,
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

}  // namespace weir::decode
