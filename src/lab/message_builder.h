// message_builder.h — Export datagrams, built octet by octet for tests and for `weir generate`.
//
// Spec:     NetFlow v5 as Cisco documents it; RFC 3954 §5 to §6 (v9); RFC 7011 §3 (IPFIX).
// Failure:  none: a builder writes what it is told, wrong counts, lengths and widths included,
//           because half of the tests need messages that are wrong. Only an address literal that is
//           not one is an assertion.
//
// A message reads as it lies on the wire:
//
//     const Octets datagram = NetflowV9Builder{}
//         .source_id(7)
//         .templates({{.id = 256, .fields = {{8, 4}, {12, 4}, {1, 4}}}})
//         .data(256, {{ipv4("192.0.2.1"), ipv4("198.51.100.2"), u32(1500)},
//                     {ipv4("192.0.2.3"), ipv4("198.51.100.4"), u32(40)}})
//         .build();
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "base/ip_address.h"

namespace weir::lab {

using Octets = std::vector<uint8_t>;

// ---- Values, in network order ------------------------------------------------------------------

/// The low `width` octets of `value`, for widths 0 to 8; a wider one is zero-extended on the left.
Octets be(uint64_t value, size_t width);
inline Octets u8(uint64_t value) { return be(value, 1); }
inline Octets u16(uint64_t value) { return be(value, 2); }
inline Octets u24(uint64_t value) { return be(value, 3); }
inline Octets u32(uint64_t value) { return be(value, 4); }
inline Octets u64(uint64_t value) { return be(value, 8); }
Octets ipv4(std::string_view dotted_quad);  // 4 octets
Octets ipv6(std::string_view text);         // 16 octets
Octets mac(uint64_t low_48_bits);           // 6 octets
/// 4 or 16 octets, as the address is.
Octets address(const IpAddress& a);
/// The text as it is, or cut or padded with `fill` to `width` octets.
Octets text(std::string_view s);
Octets text(std::string_view s, size_t width, uint8_t fill = 0);
Octets filled(size_t count, uint8_t value);
inline Octets zeros(size_t count) { return filled(count, 0); }
/// An IPFIX variable-length value (RFC 7011 §7): one length octet below 255, else 255 and two.
Octets variable(const Octets& value);
/// The three-octet length whatever the length is, which is legal for short values too.
Octets variable_long_form(const Octets& value);
Octets join(std::initializer_list<Octets> parts);
void append(Octets& to, const Octets& more);

/// One record: its fields, one behind the other.
struct Record {
  Octets octets;
  Record(std::initializer_list<Octets> fields) : octets(join(fields)) {}
  explicit Record(Octets whole) : octets(std::move(whole)) {}
};

/// What follows the last record of a set and counts into the set's length.
struct Padding {
  uint16_t octets = 0;    // this many, then
  uint16_t align_to = 1;  // as many as the set needs to become a multiple of this
  uint8_t value = 0;
};
inline constexpr Padding kNoPadding{};
inline constexpr Padding kPadToFour{.octets = 0, .align_to = 4, .value = 0};
constexpr Padding padding(uint16_t octets, uint8_t value = 0) { return {octets, 1, value}; }

// ---- NetFlow v5 --------------------------------------------------------------------------------

/// An IPv4 address literal or number (0xC0000201 is 192.0.2.1).
struct Ipv4 {
  uint32_t value = 0;
  constexpr Ipv4() = default;
  constexpr Ipv4(uint32_t host_order) : value(host_order) {}  // NOLINT: by intent
  Ipv4(const char* dotted_quad);                              // NOLINT: by intent
};

struct NetflowV5Record {
  Ipv4 src_addr{};
  Ipv4 dst_addr{};
  Ipv4 next_hop{};
  uint16_t in_if = 0;
  uint16_t out_if = 0;
  uint32_t packets = 0;
  uint32_t octets = 0;
  uint32_t first_ms = 0;  // exporter's uptime
  uint32_t last_ms = 0;
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
  uint8_t pad1 = 0;
  uint8_t tcp_flags = 0;
  uint8_t proto = 0;
  uint8_t tos = 0;
  uint16_t src_as = 0;
  uint16_t dst_as = 0;
  uint8_t src_mask = 0;
  uint8_t dst_mask = 0;
  uint16_t pad2 = 0;
};

inline constexpr size_t kNetflowV5HeaderOctets = 24;
inline constexpr size_t kNetflowV5RecordOctets = 48;
inline constexpr size_t kNetflowV5RecordsMax = 30;  // what real exporters put into a datagram

class NetflowV5Builder {
 public:
  NetflowV5Builder& version(uint16_t v) {
    version_ = v;
    return *this;
  }
  /// Default: the records added.
  NetflowV5Builder& count(uint16_t v) {
    count_ = v;
    return *this;
  }
  NetflowV5Builder& uptime_ms(uint32_t v) {
    uptime_ms_ = v;
    return *this;
  }
  NetflowV5Builder& unix_time(uint32_t secs, uint32_t nsecs = 0) {
    secs_ = secs;
    nsecs_ = nsecs;
    return *this;
  }
  NetflowV5Builder& sequence(uint32_t v) {
    sequence_ = v;
    return *this;
  }
  NetflowV5Builder& engine(uint8_t type, uint8_t id) {
    engine_type_ = type;
    engine_id_ = id;
    return *this;
  }
  /// All 16 bits: the mode is in the top two.
  NetflowV5Builder& sampling(uint16_t v) {
    sampling_ = v;
    return *this;
  }
  NetflowV5Builder& record(const NetflowV5Record& r);
  /// Octets behind the records.
  NetflowV5Builder& raw(const Octets& octets) {
    append(body_, octets);
    return *this;
  }
  Octets build() const;

 private:
  uint16_t version_ = 5;
  std::optional<uint16_t> count_;
  uint16_t records_ = 0;
  uint32_t uptime_ms_ = 0;
  uint32_t secs_ = 0;
  uint32_t nsecs_ = 0;
  uint32_t sequence_ = 0;
  uint8_t engine_type_ = 0;
  uint8_t engine_id_ = 0;
  uint16_t sampling_ = 0;
  Octets body_;
};

// ---- NetFlow v9 and IPFIX ----------------------------------------------------------------------

inline constexpr uint16_t kVariableLength = 65535;

struct FieldSpecifier {
  uint16_t id = 0;  // information element, v9 field type or v9 scope type
  uint16_t length = 0;
  uint32_t enterprise = 0;  // IPFIX only: not 0 sets the enterprise bit and adds the number
};

struct Template {
  uint16_t id = 256;
  std::vector<FieldSpecifier> fields{};
  std::optional<uint16_t> field_count{};  // default: how many there are
};

struct OptionsTemplate {
  uint16_t id = 256;
  std::vector<FieldSpecifier> scopes{};
  std::vector<FieldSpecifier> fields{};
  // What the header says where it should say something else. v9: octets; IPFIX: scope fields, all
  // fields.
  std::optional<uint16_t> scope_length_or_count{};
  std::optional<uint16_t> option_length_or_total_count{};
};

/// The field specifiers' and the set's octets, where a test puts them together by itself.
Octets template_octets(const Template& t);  // v9
Octets ipfix_template_octets(const Template& t);
Octets options_template_octets(const OptionsTemplate& t);  // v9
Octets ipfix_options_template_octets(const OptionsTemplate& t);
Octets set_octets(uint16_t id, const Octets& content, Padding pad = kNoPadding,
                  std::optional<uint16_t> length = std::nullopt);

class NetflowV9Builder {
 public:
  NetflowV9Builder& version(uint16_t v) {
    version_ = v;
    return *this;
  }
  /// Default: templates, options templates and records added (RFC 3954 §5.1), raw sets not counted.
  NetflowV9Builder& count(uint16_t v) {
    count_ = v;
    return *this;
  }
  NetflowV9Builder& uptime_ms(uint32_t v) {
    uptime_ms_ = v;
    return *this;
  }
  NetflowV9Builder& unix_secs(uint32_t v) {
    secs_ = v;
    return *this;
  }
  NetflowV9Builder& sequence(uint32_t v) {
    sequence_ = v;
    return *this;
  }
  NetflowV9Builder& source_id(uint32_t v) {
    source_id_ = v;
    return *this;
  }

  /// One template FlowSet (id 0) with all of these.
  NetflowV9Builder& templates(const std::vector<Template>& all, Padding pad = kNoPadding);
  /// One options template FlowSet (id 1) with all of these.
  NetflowV9Builder& options_templates(const std::vector<OptionsTemplate>& all,
                                      Padding pad = kNoPadding);
  NetflowV9Builder& data(uint16_t template_id, const std::vector<Record>& records,
                         Padding pad = kNoPadding);
  /// A FlowSet of any id and content; `length` lies about its length.
  NetflowV9Builder& set(uint16_t id, const Octets& content,
                        std::optional<uint16_t> length = std::nullopt);
  /// Octets outside any set.
  NetflowV9Builder& raw(const Octets& octets) {
    append(body_, octets);
    return *this;
  }
  /// So far, header included.
  size_t size() const { return 20 + body_.size(); }
  Octets build() const;

 private:
  uint16_t version_ = 9;
  std::optional<uint16_t> count_;
  size_t counted_ = 0;
  uint32_t uptime_ms_ = 0;
  uint32_t secs_ = 0;
  uint32_t sequence_ = 0;
  uint32_t source_id_ = 0;
  Octets body_;
};

class IpfixBuilder {
 public:
  IpfixBuilder& version(uint16_t v) {
    version_ = v;
    return *this;
  }
  /// Default: the octets of the message.
  IpfixBuilder& length(uint16_t v) {
    length_ = v;
    return *this;
  }
  IpfixBuilder& export_time(uint32_t v) {
    export_time_ = v;
    return *this;
  }
  IpfixBuilder& sequence(uint32_t v) {
    sequence_ = v;
    return *this;
  }
  IpfixBuilder& domain(uint32_t v) {
    domain_ = v;
    return *this;
  }

  /// One Template Set (id 2) with all of these. A template without fields is a withdrawal.
  IpfixBuilder& templates(const std::vector<Template>& all, Padding pad = kNoPadding);
  /// One Options Template Set (id 3) with all of these.
  IpfixBuilder& options_templates(const std::vector<OptionsTemplate>& all,
                                  Padding pad = kNoPadding);
  IpfixBuilder& data(uint16_t template_id, const std::vector<Record>& records,
                     Padding pad = kNoPadding);
  /// A Set of any id and content; `length` lies about its length.
  IpfixBuilder& set(uint16_t id, const Octets& content,
                    std::optional<uint16_t> length = std::nullopt);
  /// Octets outside any set.
  IpfixBuilder& raw(const Octets& octets) {
    append(body_, octets);
    return *this;
  }
  /// So far, header included.
  size_t size() const { return 16 + body_.size(); }
  Octets build() const;

 private:
  uint16_t version_ = 10;
  std::optional<uint16_t> length_;
  uint32_t export_time_ = 0;
  uint32_t sequence_ = 0;
  uint32_t domain_ = 0;
  Octets body_;
};

}  // namespace weir::lab
