#include "decode/header_columns.h"

#include <algorithm>
#include <cstring>

#include "base/byte_order.h"
#include "base/copy_short.h"

namespace weir::decode {
namespace {

using packet::SampledHeader;
using packet::SampledIp;

constexpr uint16_t kEtherTypeIpv4 = 0x0800;
constexpr uint16_t kEtherTypeIpv6 = 0x86dd;

/// Whether the record may have any of the packet's columns already.
enum class Columns : uint8_t { empty, some_filled };

// PERF: which columns are filled is gathered in registers and written once, so everything is in one
// function (decode_only/sflow_raw_header).
#define HEADER_INLINE inline __attribute__((always_inline))

template <Columns kColumns>
class HeaderFiller {
 public:
  HeaderFiller(FlowRecord& record, Arena& arena, QuirkBook& quirks) noexcept
      : r_(record), arena_(arena), quirks_(quirks) {}

  HEADER_INLINE void fill(const SampledHeader& h) noexcept {
    layers(h);
    if (h.ip_headers >= 1) outer(h.outer);
    if (h.ip_headers >= 2) inner(h.inner);
    const SampledIp& carrier = h.ip_headers >= 2 ? h.inner : h.outer;
    note_payload(h.payload, carrier.proto, h.ip_headers >= 2, arena_, r_);
    if (h.is_cut) [[unlikely]]
      quirks_.note(Quirk::arena_overflow);
    r_.blocks |= blocks_;
    r_.addresses |= addresses_;
    // PERF: word by word. Both at once would wait for the words that were just stored one by one.
    for (size_t i = 0; i < present_.words.size(); ++i) {
      uint64_t& word = r_.present.words[i];
      word = __atomic_load_n(&word, __ATOMIC_RELAXED) | present_.words[i];
    }
  }

 private:
  bool has(Field field) const noexcept {
    return kColumns == Columns::some_filled && r_.present.has(field);
  }

  template <class Column>
  void set(Column& column, uint64_t value, Field field, uint8_t blocks = 0) noexcept {
    if (has(field)) return;
    column = static_cast<Column>(value);
    blocks_ |= blocks;
    present_.set(field);
  }
  void set_address(IpAddress& column, const IpAddress& value, Field field,
                   address::Index index) noexcept {
    column = value;
    addresses_ |= address::bit(index);
    present_.set(field);
  }

  uint8_t* place(ArenaRef& ref, size_t octets, size_t count, Field field) noexcept {
    const uint32_t at = arena_.used();
    uint8_t* p = arena_.take(static_cast<uint32_t>(octets));
    if (p == nullptr) {
      quirks_.note(Quirk::arena_overflow);
      return nullptr;
    }
    ref = {static_cast<uint16_t>(at), static_cast<uint16_t>(count)};
    r_.arena_parts |= arena_part_of(r_, ref);
    r_.present.set(field);
    return p;
  }
  void put_numbers(ArenaRef& ref, const uint32_t* numbers, size_t count, Field field) noexcept {
    if (count == 0 || has(field)) return;
    const size_t octets = count * sizeof(uint32_t);
    if (uint8_t* p = place(ref, octets, count, field); p != nullptr) {
      copy_short(p, reinterpret_cast<const uint8_t*>(numbers), octets);
    }
  }
  /// Two lists of as many numbers, one behind the other.
  __attribute__((noinline)) void set_numbers(ArenaRef& first, const uint32_t* first_numbers,
                                             Field first_field, ArenaRef& second,
                                             const uint32_t* second_numbers, Field second_field,
                                             size_t count) noexcept {
    arena_.align4();
    put_numbers(first, first_numbers, count, first_field);
    put_numbers(second, second_numbers, count, second_field);
  }

  HEADER_INLINE void layers(const SampledHeader& h) noexcept {
    if (h.has_macs) {
      set(r_.src_mac, h.src_mac, Field::src_mac);
      set(r_.dst_mac, h.dst_mac, Field::dst_mac);
    }
    if (h.has_vlan) set(r_.vlan_id, h.vlan_id, Field::vlan_id, block::kSecond);
    if (h.ether_type != 0 && h.ip_headers == 0) set(r_.etype, h.ether_type, Field::etype);
    if (h.layers != 0) {
      set_numbers(r_.layer_stack, h.layer_stack.data(), Field::layer_stack, r_.layer_size,
                  h.layer_size.data(), Field::layer_size, h.layers);
    }
    if (h.mpls_labels != 0) {
      set_numbers(r_.mpls_label, h.mpls_label.data(), Field::mpls_label, r_.mpls_ttl,
                  h.mpls_ttl.data(), Field::mpls_ttl, h.mpls_labels);
    }
  }

  HEADER_INLINE void outer(const SampledIp& ip) noexcept {
    if (kColumns == Columns::empty ||
        (r_.src_addr.is_unspecified() && r_.dst_addr.is_unspecified())) {
      set_address(r_.src_addr, ip.src, Field::src_addr, address::k_src_addr);
      set_address(r_.dst_addr, ip.dst, Field::dst_addr, address::k_dst_addr);
      // The family that the template's zeros stood for is not this packet's.
      if (r_.etype == kEtherTypeIpv4 || r_.etype == kEtherTypeIpv6) r_.etype = ip.ether_type;
    }
    set(r_.etype, ip.ether_type, Field::etype);
    set(r_.proto, ip.proto, Field::proto);
    set(r_.ip_tos, ip.tos, Field::ip_tos, block::kBasic);
    set(r_.ip_ttl, ip.ttl, Field::ip_ttl, block::kHeaders);
    if (ip.ether_type == kEtherTypeIpv6) {
      set(r_.ipv6_flow_label, ip.flow_label, Field::ipv6_flow_label, block::kHeaders);
    }
    if (ip.has_fragment) {
      set(r_.ip_flags, ip.ip_flags, Field::ip_flags, block::kHeaders);
      set(r_.fragment_id, ip.fragment_id, Field::fragment_id, block::kHeaders);
      set(r_.fragment_offset, ip.fragment_offset, Field::fragment_offset, block::kHeaders);
    }
    if (ip.has_ports) {
      set(r_.src_port, ip.src_port, Field::src_port, block::kBasic);
      set(r_.dst_port, ip.dst_port, Field::dst_port, block::kBasic);
    }
    if (ip.has_tcp_flags) set(r_.tcp_flags, ip.tcp_flags, Field::tcp_flags, block::kBasic);
    if (ip.has_icmp) {
      set(r_.icmp_type, ip.icmp_type, Field::icmp_type, block::kSecond);
      set(r_.icmp_code, ip.icmp_code, Field::icmp_code, block::kSecond);
    }
    if (ip.has_routing) {
      set(r_.ipv6_routing_header_seg_left, ip.segments_left, Field::ipv6_routing_header_seg_left,
          block::kRare);
      routing(ip);
    }
  }

  __attribute__((noinline)) void routing(const SampledIp& ip) noexcept {
    size_t count = ip.routing_addresses.size() / sizeof(IpAddress);
    if (count > kSegmentsMax) {
      quirks_.note(Quirk::arena_overflow);
      count = kSegmentsMax;
    }
    if (count == 0 || has(Field::ipv6_routing_header_addresses)) return;
    const size_t octets = count * sizeof(IpAddress);
    uint8_t* p = place(r_.ipv6_routing_header_addresses, octets, count,
                       Field::ipv6_routing_header_addresses);
    if (p == nullptr) return;
    std::memcpy(p, ip.routing_addresses.data(), octets);
    if (ip.is_srv6 && !has(Field::srv6_segments)) {
      r_.srv6_segments = r_.ipv6_routing_header_addresses;
      r_.present.set(Field::srv6_segments);
    }
  }

  HEADER_INLINE void inner(const SampledIp& ip) noexcept {
    if (!has(Field::inner_src_addr) && !has(Field::inner_dst_addr)) {
      set_address(r_.inner_src_addr, ip.src, Field::inner_src_addr, address::k_inner_src_addr);
      set_address(r_.inner_dst_addr, ip.dst, Field::inner_dst_addr, address::k_inner_dst_addr);
    }
    set(r_.inner_proto, ip.proto, Field::inner_proto, block::kNat);
    if (!ip.has_ports) return;
    set(r_.inner_src_port, ip.src_port, Field::inner_src_port, block::kNat);
    set(r_.inner_dst_port, ip.dst_port, Field::inner_dst_port, block::kNat);
  }

  FlowRecord& r_;
  Arena& arena_;
  QuirkBook& quirks_;
  Presence present_;
  uint8_t blocks_ = 0;
  uint8_t addresses_ = 0;
};

}  // namespace

void fill_from_header(const SampledHeader& header, FlowRecord& record, Arena& arena,
                      QuirkBook& quirks) noexcept {
  HeaderFiller<Columns::some_filled>(record, arena, quirks).fill(header);
}

void fill_empty_from_header(const SampledHeader& header, FlowRecord& record, Arena& arena,
                            QuirkBook& quirks) noexcept {
  HeaderFiller<Columns::empty>(record, arena, quirks).fill(header);
}

}  // namespace weir::decode
