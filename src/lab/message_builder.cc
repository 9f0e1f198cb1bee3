#include "lab/message_builder.h"

#include <cassert>
#include <cstdio>
#include <cstdlib>

namespace weir::lab {
namespace {

IpAddress parsed(std::string_view text) {
  const std::optional<IpAddress> a = IpAddress::parse(text);
  if (!a) {  // a bug of the caller's, in release builds too
    std::fprintf(stderr, "message builder: '%.*s' is not an address\n",
                 static_cast<int>(text.size()), text.data());
    std::abort();
  }
  return *a;
}

void put(Octets& to, uint64_t value, size_t width) { append(to, be(value, width)); }

void put_specifier(Octets& to, const FieldSpecifier& f) {
  put(to, f.id, 2);
  put(to, f.length, 2);
}

void put_ipfix_specifier(Octets& to, const FieldSpecifier& f) {
  put(to, f.enterprise == 0 ? f.id : f.id | 0x8000u, 2);
  put(to, f.length, 2);
  if (f.enterprise != 0) put(to, f.enterprise, 4);
}

Octets joined(const std::vector<Record>& records) {
  Octets out;
  for (const Record& r : records) append(out, r.octets);
  return out;
}

template <class T>
Octets joined(const std::vector<T>& all, Octets (*octets_of)(const T&)) {
  Octets out;
  for (const T& t : all) append(out, octets_of(t));
  return out;
}

}  // namespace

Octets be(uint64_t value, size_t width) {
  Octets out(width, 0);
  for (size_t i = 0; i < width && i < 8; ++i)
    out[width - 1 - i] = static_cast<uint8_t>(value >> (8 * i));
  return out;
}

Octets ipv4(std::string_view dotted_quad) {
  const IpAddress a = parsed(dotted_quad);
  assert(a.is_v4());
  return {a.octets.begin() + 12, a.octets.end()};
}

Octets ipv6(std::string_view text) {
  const IpAddress a = parsed(text);
  return {a.octets.begin(), a.octets.end()};
}

Octets mac(uint64_t low_48_bits) { return be(low_48_bits, 6); }

Octets address(const IpAddress& a) { return {a.wire_data(), a.wire_data() + a.wire_octets()}; }

Octets text(std::string_view s) { return {s.begin(), s.end()}; }

Octets text(std::string_view s, size_t width, uint8_t fill) {
  Octets out = text(s.substr(0, width));
  out.resize(width, fill);
  return out;
}

Octets filled(size_t count, uint8_t value) { return Octets(count, value); }

Octets variable(const Octets& value) {
  return value.size() < 255 ? join({u8(value.size()), value}) : variable_long_form(value);
}

Octets variable_long_form(const Octets& value) { return join({u8(255), u16(value.size()), value}); }

Octets join(std::initializer_list<Octets> parts) {
  Octets out;
  for (const Octets& p : parts) append(out, p);
  return out;
}

void append(Octets& to, const Octets& more) { to.insert(to.end(), more.begin(), more.end()); }

Ipv4::Ipv4(const char* dotted_quad) : value(load_be32(parsed(dotted_quad).octets.data() + 12)) {}

// ---- NetFlow v5 --------------------------------------------------------------------------------

//  0                   1                   2                   3
//  src_addr (4) | dst_addr (4) | next_hop (4) | input (2) | output (2) | dPkts (4) | dOctets (4) |
//  First (4) | Last (4) | srcport (2) | dstport (2) | pad1 | tcp_flags | prot | tos |
//  src_as (2) | dst_as (2) | src_mask | dst_mask | pad2 (2): 48 octets
NetflowV5Builder& NetflowV5Builder::record(const NetflowV5Record& r) {
  ++records_;
  const struct {
    uint64_t value;
    size_t width;
  } fields[] = {{r.src_addr.value, 4},
                {r.dst_addr.value, 4},
                {r.next_hop.value, 4},
                {r.in_if, 2},
                {r.out_if, 2},
                {r.packets, 4},
                {r.octets, 4},
                {r.first_ms, 4},
                {r.last_ms, 4},
                {r.src_port, 2},
                {r.dst_port, 2},
                {r.pad1, 1},
                {r.tcp_flags, 1},
                {r.proto, 1},
                {r.tos, 1},
                {r.src_as, 2},
                {r.dst_as, 2},
                {r.src_mask, 1},
                {r.dst_mask, 1},
                {r.pad2, 2}};
  for (const auto& f : fields) put(body_, f.value, f.width);
  return *this;
}

Octets NetflowV5Builder::build() const {
  return join({u16(version_), u16(count_.value_or(records_)), u32(uptime_ms_), u32(secs_),
               u32(nsecs_), u32(sequence_), u8(engine_type_), u8(engine_id_), u16(sampling_),
               body_});
}

// ---- NetFlow v9 and IPFIX ----------------------------------------------------------------------

// Template record: id, field count, then type and length of each field.
Octets template_octets(const Template& t) {
  Octets out =
      join({u16(t.id), u16(t.field_count.value_or(static_cast<uint16_t>(t.fields.size())))});
  for (const FieldSpecifier& f : t.fields) put_specifier(out, f);
  return out;
}

Octets ipfix_template_octets(const Template& t) {
  Octets out =
      join({u16(t.id), u16(t.field_count.value_or(static_cast<uint16_t>(t.fields.size())))});
  for (const FieldSpecifier& f : t.fields) put_ipfix_specifier(out, f);
  return out;
}

// RFC 3954 §6.1: id, octets of the scope fields, octets of the option fields, then the fields.
Octets options_template_octets(const OptionsTemplate& t) {
  Octets out = join(
      {u16(t.id), u16(t.scope_length_or_count.value_or(static_cast<uint16_t>(4 * t.scopes.size()))),
       u16(t.option_length_or_total_count.value_or(static_cast<uint16_t>(4 * t.fields.size())))});
  for (const FieldSpecifier& f : t.scopes) put_specifier(out, f);
  for (const FieldSpecifier& f : t.fields) put_specifier(out, f);
  return out;
}

// RFC 7011 §3.4.2.2: id, count of all fields, count of scope fields, then the fields, scopes first.
Octets ipfix_options_template_octets(const OptionsTemplate& t) {
  const size_t total = t.scopes.size() + t.fields.size();
  Octets out =
      join({u16(t.id), u16(t.option_length_or_total_count.value_or(static_cast<uint16_t>(total))),
            u16(t.scope_length_or_count.value_or(static_cast<uint16_t>(t.scopes.size())))});
  for (const FieldSpecifier& f : t.scopes) put_ipfix_specifier(out, f);
  for (const FieldSpecifier& f : t.fields) put_ipfix_specifier(out, f);
  return out;
}

Octets set_octets(uint16_t id, const Octets& content, Padding pad, std::optional<uint16_t> length) {
  Octets body = content;
  body.insert(body.end(), pad.octets, pad.value);
  while (pad.align_to > 1 && (4 + body.size()) % pad.align_to != 0) body.push_back(pad.value);
  return join({u16(id), u16(length ? *length : 4 + body.size()), body});
}

NetflowV9Builder& NetflowV9Builder::templates(const std::vector<Template>& all, Padding pad) {
  counted_ += all.size();
  return raw(set_octets(0, joined(all, template_octets), pad));
}

NetflowV9Builder& NetflowV9Builder::options_templates(const std::vector<OptionsTemplate>& all,
                                                      Padding pad) {
  counted_ += all.size();
  return raw(set_octets(1, joined(all, options_template_octets), pad));
}

NetflowV9Builder& NetflowV9Builder::data(uint16_t template_id, const std::vector<Record>& records,
                                         Padding pad) {
  counted_ += records.size();
  return raw(set_octets(template_id, joined(records), pad));
}

NetflowV9Builder& NetflowV9Builder::set(uint16_t id, const Octets& content,
                                        std::optional<uint16_t> length) {
  return raw(set_octets(id, content, kNoPadding, length));
}

Octets NetflowV9Builder::build() const {
  return join({u16(version_), u16(count_ ? *count_ : counted_), u32(uptime_ms_), u32(secs_),
               u32(sequence_), u32(source_id_), body_});
}

IpfixBuilder& IpfixBuilder::templates(const std::vector<Template>& all, Padding pad) {
  return raw(set_octets(2, joined(all, ipfix_template_octets), pad));
}

IpfixBuilder& IpfixBuilder::options_templates(const std::vector<OptionsTemplate>& all,
                                              Padding pad) {
  return raw(set_octets(3, joined(all, ipfix_options_template_octets), pad));
}

IpfixBuilder& IpfixBuilder::data(uint16_t template_id, const std::vector<Record>& records,
                                 Padding pad) {
  return raw(set_octets(template_id, joined(records), pad));
}

IpfixBuilder& IpfixBuilder::set(uint16_t id, const Octets& content,
                                std::optional<uint16_t> length) {
  return raw(set_octets(id, content, kNoPadding, length));
}

Octets IpfixBuilder::build() const {
  return join({u16(version_), u16(length_ ? *length_ : size()), u32(export_time_), u32(sequence_),
               u32(domain_), body_});
}

}  // namespace weir::lab
