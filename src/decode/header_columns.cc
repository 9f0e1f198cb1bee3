#include "decode/header_columns.h"

#include <algorithm>
#include <cstring>

#include "base/byte_order.h"

namespace weir::decode {
namespace {

constexpr uint16_t kEtherTypeIpv4 = 0x0800;
constexpr uint16_t kEtherTypeIpv6 = 0x86dd;

class HeaderFiller {
 public:
  HeaderFiller(FlowRecord& record, Arena& arena, CounterArray<Quirk>& quirks) noexcept
      : r_(record), arena_(arena), quirks_(quirks) {}

  void fill(const packet::SampledHeader& h) noexcept {
    layers(h);
    if (h.ip_headers >= 1) outer(h.outer);
    if (h.ip_headers >= 2) inner(h.inner);
  }

 private:
  bool has(Field field) const noexcept { return r_.present.has(field); }

  template <class Column>
  void set(Column& column, uint32_t value, Field field, uint8_t blocks = 0) noexcept {
    if (has(field)) return;
    column = static_cast<Column>(value);
    r_.blocks |= blocks;
    r_.present.set(field);
  }
  void set_address(IpAddress& column, const IpAddress& value, Field field,
                   address::Index index) noexcept {
    column = value;
    r_.addresses |= address::bit(index);
    r_.present.set(field);
  }

  uint8_t* place(ArenaRef& ref, size_t octets, size_t count, Field field) noexcept {
    const uint32_t at = arena_.used();
    uint8_t* p = arena_.take(static_cast<uint32_t>(octets));
    if (p == nullptr) {
      quirks_[Quirk::arena_overflow].increment();
      return nullptr;
    }
    ref = {static_cast<uint16_t>(at), static_cast<uint16_t>(count)};
    r_.has_arena = 1;
    r_.present.set(field);
    return p;
  }
  void set_numbers(ArenaRef& ref, const uint32_t* numbers, size_t count, Field field) noexcept {
    if (count == 0 || has(field)) return;
    arena_.align4();
    const size_t octets = count * sizeof(uint32_t);
    if (uint8_t* p = place(ref, octets, count, field); p != nullptr) {
      std::memcpy(p, numbers, octets);
    }
  }

  void layers(const packet::SampledHeader& h) noexcept {
    if (h.has_macs) {
      set_mac(r_.src_mac, h.src_mac, Field::src_mac);
      set_mac(r_.dst_mac, h.dst_mac, Field::dst_mac);
    }
    if (h.has_vlan) set(r_.vlan_id, h.vlan_id, Field::vlan_id, block::kSecond);
    if (h.ether_type != 0 && h.ip_headers == 0) set(r_.etype, h.ether_type, Field::etype);
    set_numbers(r_.layer_stack, h.layer_stack.data(), h.layers, Field::layer_stack);
    set_numbers(r_.layer_size, h.layer_size.data(), h.layers, Field::layer_size);
    set_numbers(r_.mpls_label, h.mpls_label.data(), h.mpls_labels, Field::mpls_label);
    set_numbers(r_.mpls_ttl, h.mpls_ttl.data(), h.mpls_labels, Field::mpls_ttl);
  }
  void set_mac(uint64_t& column, uint64_t value, Field field) noexcept {
    if (has(field)) return;
    column = value;
    r_.present.set(field);
  }

  void outer(const packet::SampledIp& ip) noexcept {
    if (r_.src_addr.is_unspecified() && r_.dst_addr.is_unspecified()) {
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
    if (ip.has_routing) routing(ip);
  }

  void routing(const packet::SampledIp& ip) noexcept {
    set(r_.ipv6_routing_header_seg_left, ip.segments_left, Field::ipv6_routing_header_seg_left,
        block::kRare);
    size_t count = ip.routing_addresses.size() / sizeof(IpAddress);
    if (count > kSegmentsMax) {
      quirks_[Quirk::arena_overflow].increment();
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

  void inner(const packet::SampledIp& ip) noexcept {
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
  CounterArray<Quirk>& quirks_;
};

}  // namespace

void fill_from_header(const packet::SampledHeader& header, FlowRecord& record, Arena& arena,
                      CounterArray<Quirk>& quirks) noexcept {
  HeaderFiller(record, arena, quirks).fill(header);
}

}  // namespace weir::decode
