#include "decode/sflow_v5.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "decode/decoder_state.h"
#include "decode/xdr.h"
#include "packet/sampled_header.h"

namespace weir::decode {
namespace {

using Octets = std::span<const uint8_t>;
using packet::SampledHeader;
using packet::SampledIp;
using packet::SampledLink;

// Sequences are the agents'; the number keeps their domains apart from NetFlow v5's engines.
constexpr uint16_t kDomainVersion = 6343;

/// Sample types and flow record types: enterprise << 12 | format. The enterprise is 0, sFlow's own.
enum SampleType : uint32_t {
  kFlowSample = 1,
  kCounterSample = 2,
  kExpandedFlowSample = 3,
  kExpandedCounterSample = 4,
  kDiscardSample = 5,
};

enum FlowRecordType : uint32_t {
  kRawHeader = 1,
  kSampledEthernet = 2,
  kSampledIpv4 = 3,
  kSampledIpv6 = 4,
  kExtendedSwitch = 1001,
  kExtendedRouter = 1002,
  kExtendedGateway = 1003,
  kExtendedUser = 1004,
  kExtendedUrl = 1005,
  kExtendedNat = 1007,
  kExtendedNatPort = 1020,
};

enum HeaderProtocol : uint32_t { kEthernet = 1, kIpv4 = 11, kIpv6 = 12, kMpls = 13 };

constexpr uint16_t kEtherTypeIpv4 = 0x0800;
constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
constexpr uint32_t kSampleHeaderOctets = 8;  // type, length
constexpr uint32_t kRecordHeaderOctets = 8;
constexpr uint32_t kVlanIdMax = 4095;
constexpr uint32_t kPrefixMax = 128;

/// Interfaces: what the two bits above a compact form's value say.
enum class InterfaceFormat : uint32_t { index = 0, discarded = 1, several = 2 };
struct Interface {
  uint32_t format = 0;
  uint32_t value = 0;
};
constexpr uint32_t kInterfaceValueMask = 0x3fff'ffff;

Interface compact_interface(uint32_t word) noexcept {
  return {word >> 30, word & kInterfaceValueMask};
}

/// 0 where the packet came from or went to the device itself, or nobody knows.
uint32_t index_of(const Interface& i) noexcept {
  if (i.format != static_cast<uint32_t>(InterfaceFormat::index)) return 0;
  return i.value == kInterfaceValueMask || i.value == 0xffff'ffff ? 0 : i.value;
}

/// sFlow's reasons of discarding as RFC 7270 §4.12 numbers them; the first are ICMP's codes of
/// destination unreachable.
uint32_t dropped_status(uint32_t reason) noexcept {
  enum : uint32_t {
    kUnknown = 128,
    kAclDeny = 129,
    kUnroutable = 131,
    kFragmentation = 133,
    kBadTtl = 137,
    kPoliced = 138,
    kRandomEarly = 139,
  };
  switch (reason) {
    case 0:
    case 1:
    case 6:
    case 7:
    case 11:
    case 12: return kUnroutable;
    case 4:
    case 262: return kFragmentation;
    case 9:
    case 10:
    case 13:
    case 258: return kAclDeny;
    case 257: return kBadTtl;
    case 260: return kRandomEarly;
    case 261: return kPoliced;
    default: return kUnknown;
  }
}
constexpr uint32_t kForwarded = 64;

/// The first flow record of each kind that a sample holds; empty where there is none.
struct Parts {
  Octets raw_header, ethernet, ipv4, ipv6, vlan, router, gateway, user, url, nat, nat_port;

  Octets* place(uint32_t type) noexcept {
    switch (type) {
      case kRawHeader: return &raw_header;
      case kSampledEthernet: return &ethernet;
      case kSampledIpv4: return &ipv4;
      case kSampledIpv6: return &ipv6;
      case kExtendedSwitch: return &vlan;
      case kExtendedRouter: return &router;
      case kExtendedGateway: return &gateway;
      case kExtendedUser: return &user;
      case kExtendedUrl: return &url;
      case kExtendedNat: return &nat;
      case kExtendedNatPort: return &nat_port;
      default: return nullptr;
    }
  }
};

class SampleFiller {
 public:
  SampleFiller(const SampleContext& context, FlowRecord& record) noexcept
      : context_(context), r_(record) {}

  void fill(const Parts& p) noexcept {
    if (!p.raw_header.empty()) raw_header(p.raw_header);
    if (!p.ipv4.empty()) sampled_ip(p.ipv4, kEtherTypeIpv4);
    if (!p.ipv6.empty()) sampled_ip(p.ipv6, kEtherTypeIpv6);
    if (!p.ethernet.empty()) sampled_ethernet(p.ethernet);
    if (!p.vlan.empty()) extended_switch(p.vlan);
    if (!p.router.empty()) extended_router(p.router);
    if (!p.gateway.empty()) extended_gateway(p.gateway);
    if (!p.user.empty()) extended_user(p.user);
    if (!p.url.empty()) extended_url(p.url);
    if (!p.nat.empty()) extended_nat(p.nat);
    if (!p.nat_port.empty()) extended_nat_port(p.nat_port);
  }

 private:
  void quirk(Quirk q) noexcept { context_.quirks[q].increment(); }
  void check(const XdrReader& in) noexcept {
    if (!in.ok()) quirk(Quirk::truncated_record);
  }

  template <class Column>
  void set(Column& column, uint32_t value, Field field, uint8_t blocks = 0) noexcept {
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
  void set_address(IpAddress& column, const XdrReader::Address& value, Field field,
                   address::Index index) noexcept {
    if (value.known) set_address(column, value.value, field, index);
  }
  void set_bytes(uint32_t value) noexcept {
    if (r_.present.has(Field::bytes)) return;
    r_.bytes = value;
    r_.present.set(Field::bytes);
  }

  uint8_t* place(ArenaRef& ref, size_t octets, size_t count, Field field) noexcept {
    const uint32_t at = context_.arena.used();
    uint8_t* p = context_.arena.take(static_cast<uint32_t>(octets));
    if (p == nullptr) {
      quirk(Quirk::arena_overflow);
      return nullptr;
    }
    ref = {static_cast<uint16_t>(at), static_cast<uint16_t>(count)};
    r_.has_arena = 1;
    r_.present.set(field);
    return p;
  }
  void set_numbers(ArenaRef& ref, const uint32_t* numbers, size_t count, Field field) noexcept {
    if (count == 0) return;
    context_.arena.align4();
    const size_t octets = count * sizeof(uint32_t);
    if (uint8_t* p = place(ref, octets, count, field); p != nullptr) {
      std::memcpy(p, numbers, octets);
    }
  }
  void set_text(ArenaRef& ref, Octets text, Field field) noexcept {
    while (!text.empty() && text.back() == 0) text = text.first(text.size() - 1);
    if (text.size() > kStringOctetsMax) {
      quirk(Quirk::arena_overflow);
      text = text.first(kStringOctetsMax);
    }
    if (text.empty()) return;
    if (uint8_t* p = place(ref, text.size(), text.size(), field); p != nullptr) {
      std::memcpy(p, text.data(), text.size());
    }
  }

  // ---- the packet ----

  void raw_header(Octets body) noexcept {
    XdrReader in(body);
    const uint32_t protocol = in.u32();
    const uint32_t frame_length = in.u32();
    in.u32();  // octets taken off the end, such as the frame check sequence
    uint32_t octets = in.u32();
    if (!in.ok()) return check(in);
    set_bytes(frame_length);
    if (octets > in.left()) {
      quirk(Quirk::truncated_record);
      octets = static_cast<uint32_t>(in.left());
    }
    SampledLink link = SampledLink::ethernet;
    switch (protocol) {
      case kEthernet: break;
      case kIpv4: link = SampledLink::ipv4; break;
      case kIpv6: link = SampledLink::ipv6; break;
      case kMpls: link = SampledLink::mpls; break;
      default: quirk(Quirk::unknown_flow_record); return;
    }
    SampledHeader header;
    packet::parse_sampled_header(in.fixed(octets), link, header);
    layers(header);
    if (header.ip_headers >= 1) outer(header.outer);
    if (header.ip_headers >= 2) inner(header.inner);
  }

  void layers(const SampledHeader& h) noexcept {
    if (h.has_macs) set_macs(h.src_mac.data(), h.dst_mac.data());
    if (h.has_vlan) set(r_.vlan_id, h.vlan_id, Field::vlan_id, block::kSecond);
    if (h.ether_type != 0) set(r_.etype, h.ether_type, Field::etype);
    set_numbers(r_.layer_stack, h.layer_stack.data(), h.layers, Field::layer_stack);
    set_numbers(r_.layer_size, h.layer_size.data(), h.layers, Field::layer_size);
    set_numbers(r_.mpls_label, h.mpls_label.data(), h.mpls_labels, Field::mpls_label);
    set_numbers(r_.mpls_ttl, h.mpls_ttl.data(), h.mpls_labels, Field::mpls_ttl);
  }
  void set_macs(const uint8_t* src, const uint8_t* dst) noexcept {
    r_.src_mac = load_be(src, 6);
    r_.dst_mac = load_be(dst, 6);
    r_.present.set(Field::src_mac);
    r_.present.set(Field::dst_mac);
  }

  void outer(const SampledIp& ip) noexcept {
    set_address(r_.src_addr, ip.src, Field::src_addr, address::k_src_addr);
    set_address(r_.dst_addr, ip.dst, Field::dst_addr, address::k_dst_addr);
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

  void routing(const SampledIp& ip) noexcept {
    set(r_.ipv6_routing_header_seg_left, ip.segments_left, Field::ipv6_routing_header_seg_left,
        block::kRare);
    size_t count = ip.routing_addresses.size() / sizeof(IpAddress);
    if (count > kSegmentsMax) {
      quirk(Quirk::arena_overflow);
      count = kSegmentsMax;
    }
    if (count == 0) return;
    const size_t octets = count * sizeof(IpAddress);
    uint8_t* p = place(r_.ipv6_routing_header_addresses, octets, count,
                       Field::ipv6_routing_header_addresses);
    if (p == nullptr) return;
    std::memcpy(p, ip.routing_addresses.data(), octets);
    if (ip.is_srv6) {
      r_.srv6_segments = r_.ipv6_routing_header_addresses;
      r_.present.set(Field::srv6_segments);
    }
  }

  void inner(const SampledIp& ip) noexcept {
    set_address(r_.inner_src_addr, ip.src, Field::inner_src_addr, address::k_inner_src_addr);
    set_address(r_.inner_dst_addr, ip.dst, Field::inner_dst_addr, address::k_inner_dst_addr);
    set(r_.inner_proto, ip.proto, Field::inner_proto, block::kNat);
    if (!ip.has_ports) return;
    set(r_.inner_src_port, ip.src_port, Field::inner_src_port, block::kNat);
    set(r_.inner_dst_port, ip.dst_port, Field::inner_dst_port, block::kNat);
  }

  /// sampled_ipv4, sampled_ipv6: what the agent parsed itself. A raw header knows better.
  void sampled_ip(Octets body, uint16_t ether_type) noexcept {
    XdrReader in(body);
    const uint32_t length = in.u32();
    const uint32_t protocol = in.u32();
    const uint32_t address_octets = ether_type == kEtherTypeIpv4 ? 4 : 16;
    const Octets src = in.fixed(address_octets);
    const Octets dst = in.fixed(address_octets);
    const uint32_t src_port = in.u32();
    const uint32_t dst_port = in.u32();
    const uint32_t tcp_flags = in.u32();
    const uint32_t tos = in.u32();
    if (!in.ok()) return check(in);
    set_bytes(length);
    if (r_.present.has(Field::src_addr)) return;
    const auto load = [&](Octets o) {
      return address_octets == 4 ? IpAddress::from_v4(o.data()) : IpAddress::from_v6(o.data());
    };
    set_address(r_.src_addr, load(src), Field::src_addr, address::k_src_addr);
    set_address(r_.dst_addr, load(dst), Field::dst_addr, address::k_dst_addr);
    set(r_.etype, ether_type, Field::etype);
    set(r_.proto, protocol & 0xff, Field::proto);
    set(r_.ip_tos, tos & 0xff, Field::ip_tos, block::kBasic);
    // Agents differ in what they write as an ICMP packet's ports; it is not told as ports.
    if (is_icmp(r_.proto)) return;
    set(r_.src_port, src_port & 0xffff, Field::src_port, block::kBasic);
    set(r_.dst_port, dst_port & 0xffff, Field::dst_port, block::kBasic);
    set(r_.tcp_flags, tcp_flags & 0xfff, Field::tcp_flags, block::kBasic);
  }

  void sampled_ethernet(Octets body) noexcept {
    XdrReader in(body);
    const uint32_t length = in.u32();
    const Octets src = in.fixed(6);
    const Octets dst = in.fixed(6);
    const uint32_t type = in.u32();
    if (!in.ok()) return check(in);
    set_bytes(length);
    if (!r_.present.has(Field::src_mac)) set_macs(src.data(), dst.data());
    if (!r_.present.has(Field::etype)) set(r_.etype, type & 0xffff, Field::etype);
  }

  // ---- what the device knew of it ----

  void extended_switch(Octets body) noexcept {
    XdrReader in(body);
    const uint32_t src_vlan = in.u32();
    in.u32();  // priority
    const uint32_t dst_vlan = in.u32();
    in.u32();
    if (!in.ok()) return check(in);
    if (src_vlan <= kVlanIdMax) set(r_.src_vlan, src_vlan, Field::src_vlan, block::kHeaders);
    if (dst_vlan <= kVlanIdMax) set(r_.dst_vlan, dst_vlan, Field::dst_vlan, block::kHeaders);
  }

  void extended_router(Octets body) noexcept {
    XdrReader in(body);
    const XdrReader::Address next_hop = in.address();
    const uint32_t src_mask = in.u32();
    const uint32_t dst_mask = in.u32();
    if (!in.ok()) return check(in);
    set_address(r_.next_hop, next_hop, Field::next_hop, address::k_next_hop);
    if (src_mask <= kPrefixMax) set(r_.src_net, src_mask, Field::src_net, block::kSecond);
    if (dst_mask <= kPrefixMax) set(r_.dst_net, dst_mask, Field::dst_net, block::kSecond);
  }

  /// A record that is cut off keeps what came before: the path so far is not a path, though, and
  /// its last AS is not the destination's.
  void extended_gateway(Octets body) noexcept {
    XdrReader in(body);
    const XdrReader::Address next_hop = in.address();
    in.u32();  // the router's own AS
    const uint32_t src_as = in.u32();
    in.u32();  // the source's peer AS
    if (!in.ok()) return check(in);
    set_address(r_.bgp_next_hop, next_hop, Field::bgp_next_hop, address::k_bgp_next_hop);
    set(r_.src_as, src_as, Field::src_as, block::kBasic);

    std::array<uint32_t, kAsPathMax> path;
    size_t path_length = 0;
    uint32_t first = 0;
    uint32_t last = 0;
    uint64_t seen = 0;
    // Segments: sets and sequences, told one behind the other.
    for (uint32_t segments = in.u32(); segments != 0 && in.ok(); --segments) {
      in.u32();  // set or sequence
      for (uint32_t n = in.u32(); n != 0 && in.ok(); --n) {
        const uint32_t as = in.u32();
        if (!in.ok()) break;
        if (seen++ == 0) first = as;
        last = as;
        if (path_length < kAsPathMax) path[path_length++] = as;
      }
    }
    if (!in.ok()) return check(in);
    if (seen > kAsPathMax) quirk(Quirk::arena_overflow);
    if (seen != 0) {
      set(r_.dst_as, last, Field::dst_as, block::kBasic);
      set(r_.next_hop_as, first, Field::next_hop_as, block::kContext);
    }
    set_numbers(r_.as_path, path.data(), path_length, Field::as_path);

    std::array<uint32_t, kCommunitiesMax> communities;
    size_t count = 0;
    const uint32_t promised = in.u32();
    for (uint32_t left = promised; left != 0 && in.ok(); --left) {
      const uint32_t community = in.u32();
      if (in.ok() && count < kCommunitiesMax) communities[count++] = community;
    }
    if (!in.ok()) return check(in);
    if (promised > kCommunitiesMax) quirk(Quirk::arena_overflow);
    set_numbers(r_.bgp_communities, communities.data(), count, Field::bgp_communities);
  }

  /// The source's user; the destination's where the source has none.
  void extended_user(Octets body) noexcept {
    XdrReader in(body);
    in.u32();  // character set
    const Octets src = in.variable();
    in.u32();
    const Octets dst = in.variable();
    check(in);
    set_text(r_.user_name, src.empty() ? dst : src, Field::user_name);
  }

  void extended_url(Octets body) noexcept {
    XdrReader in(body);
    in.u32();  // which side the server is
    in.variable();
    const Octets host = in.variable();
    if (!in.ok()) return check(in);
    set_text(r_.server_name, host, Field::server_name);
  }

  void extended_nat(Octets body) noexcept {
    XdrReader in(body);
    const XdrReader::Address src = in.address();
    const XdrReader::Address dst = in.address();
    if (!in.ok()) return check(in);
    set_address(r_.post_nat_src_addr, src, Field::post_nat_src_addr, address::k_post_nat_src_addr);
    set_address(r_.post_nat_dst_addr, dst, Field::post_nat_dst_addr, address::k_post_nat_dst_addr);
  }

  void extended_nat_port(Octets body) noexcept {
    XdrReader in(body);
    const uint32_t src = in.u32();
    const uint32_t dst = in.u32();
    if (!in.ok()) return check(in);
    set(r_.post_nat_src_port, src & 0xffff, Field::post_nat_src_port, block::kContext);
    set(r_.post_nat_dst_port, dst & 0xffff, Field::post_nat_dst_port, block::kNat);
  }

  const SampleContext& context_;
  FlowRecord& r_;
};

}  // namespace

bool read_flow_sample(Octets sample, SampleForm form, const SampleContext& context,
                      FlowRecord& r) noexcept {
  XdrReader in(sample);
  in.u32();  // sequence of the data source
  uint32_t source_id = in.u32();
  if (form == SampleForm::expanded) source_id = source_id << 24 | in.u32();
  const uint32_t rate = in.u32();
  in.u32();  // pool
  in.u32();  // drops
  Interface input;
  Interface output;
  if (form == SampleForm::compact) {
    input = compact_interface(in.u32());
    output = compact_interface(in.u32());
  } else {
    input.format = in.u32();
    input.value = in.u32();
    output.format = in.u32();
    output.value = in.u32();
  }
  uint32_t promised = in.u32();
  if (!in.ok()) return false;

  r.packets = 1;
  r.sampling_rate = rate != 0 ? rate : context.default_rate;
  SamplingSource source = SamplingSource::unknown;
  if (r.sampling_rate != 0) {
    source = rate != 0 ? SamplingSource::record : SamplingSource::default_;
  }
  r.sampling_source = static_cast<uint32_t>(source);
  r.time_source = static_cast<uint32_t>(TimeSource::sampled);
  r.time_flow_start_ns = r.time_flow_end_ns = context.received_ns;
  r.in_if = index_of(input);
  r.out_if = index_of(output);
  r.source_id = source_id;
  if (output.format == static_cast<uint32_t>(InterfaceFormat::discarded)) {
    r.forwarding_status = dropped_status(output.value);
  } else if (output.format == static_cast<uint32_t>(InterfaceFormat::several)) {
    r.forwarding_status = kForwarded;
  }
  r.blocks = block::kBasic | block::kSecond | block::kRare;
  if (r.forwarding_status != 0) {
    r.blocks |= block::kHeaders;
    r.present.set(Field::forwarding_status);
  }
  for (const Field f : {Field::packets, Field::in_if, Field::out_if, Field::source_id,
                        Field::time_flow_start_ns, Field::time_flow_end_ns}) {
    r.present.set(f);
  }
  if (rate != 0) r.present.set(Field::sampling_rate);

  Parts parts;
  if (promised > kSflowRecordsMax) {
    context.quirks[Quirk::count_mismatch].increment();
    promised = kSflowRecordsMax;
  }
  for (; promised != 0 && in.left() >= kRecordHeaderOctets; --promised) {
    const uint32_t type = in.u32();
    const Octets body = in.variable();
    if (!in.ok()) break;
    Octets* place = parts.place(type);
    if (place == nullptr) {
      context.quirks[Quirk::unknown_flow_record].increment();
    } else if (place->empty()) {
      *place = body;
    }
  }
  if (promised != 0) context.quirks[Quirk::truncated_record].increment();
  SampleFiller(context, r).fill(parts);
  return true;
}

bool DecoderState::decode_sflow_v5(const Datagram& d, RecordSink& sink) noexcept {
  XdrReader in(d.payload);
  in.u32();  // version
  const uint32_t address_type = in.left() >= 4 ? load_be32(d.payload.data() + 4) : 0;
  if (address_type > 2) return reject(d, DatagramError::bad_agent_address);
  const XdrReader::Address agent = in.address();
  const uint32_t sub_agent = in.u32();
  const uint32_t sequence = in.u32();
  const uint32_t uptime_ms = in.u32();
  const uint32_t promised = in.u32();
  if (!in.ok()) return reject(d, DatagramError::truncated_header);

  Message m(Protocol::sflow_5);
  m.header.sequence_num = sequence;
  m.header.sub_agent_id = sub_agent;
  if (!begin(d, kDomainVersion, sub_agent, m, agent.value)) return false;
  // An agent that does not know its address is known by the datagram's.
  if (agent.known && !agent.value.is_unspecified()) m.header.sampler_address = agent.value;
  m.times.uptime_ms = uptime_ms;
  m.times.has_uptime = true;
  m.times.export_ns = d.received_ns;

  burst_.begin(sink, m.header, d.listener);
  walk_samples(m, d.payload.last(in.left()), promised);
  burst_.flush();

  count_records(m, m.data_records);
  if (m.domain != nullptr) {
    observe_sequence(m, sequence, 1, true);
  } else {
    counters_.quirks[Quirk::sequence_untracked].increment();
  }
  return true;
}

void DecoderState::walk_samples(Message& m, Octets octets, uint32_t promised) noexcept {
  for (uint32_t sample = 0; sample != promised; ++sample) {
    if (octets.empty()) {
      counters_.quirks[Quirk::count_mismatch].increment();
      return;
    }
    const size_t body_octets =
        octets.size() < kSampleHeaderOctets ? 0 : load_be32(octets.data() + 4);
    if (octets.size() < kSampleHeaderOctets || body_octets > octets.size() - kSampleHeaderOctets) {
      ledger_.enter(*m.exporter, SetOutcome::skipped_bad_length, octets.size());
      return;
    }
    const uint32_t type = load_be32(octets.data());
    const Octets body = octets.subspan(kSampleHeaderOctets, body_octets);
    // What is opaque to XDR fills words up.
    const size_t whole = std::min(kSampleHeaderOctets + (body_octets + 3) / 4 * 4, octets.size());
    octets = octets.subspan(whole);
    ledger_.enter(
        *m.exporter,
        sample < kSflowSamplesMax ? read_sample(m, type, body) : SetOutcome::skipped_sample_limit,
        whole);
  }
  if (octets.empty()) return;
  counters_.quirks[all_octets_zero(octets) ? Quirk::zero_filled_tail : Quirk::trailing_octets]
      .increment();
}

SetOutcome DecoderState::read_sample(Message& m, uint32_t type, Octets body) noexcept {
  SampleForm form = SampleForm::compact;
  switch (type) {
    case kFlowSample: break;
    case kExpandedFlowSample: form = SampleForm::expanded; break;
    case kCounterSample:
    case kExpandedCounterSample: return SetOutcome::skipped_counter_sample;
    case kDiscardSample: return SetOutcome::skipped_discard_sample;
    default: return SetOutcome::skipped_unknown_format;
  }
  FlowRecord& record = burst_.room(1, kSflowArenaOctets).front();
  std::memset(static_cast<void*>(&record), 0, sizeof record);
  const SampleContext context{m.times.received_ns, default_rate(m), burst_.arena(),
                              counters_.quirks};
  if (!read_flow_sample(body, form, context, record)) return SetOutcome::skipped_bad_length;
  if (m.exporter->rate_override != 0) {
    record.sampling_rate = m.exporter->rate_override;
    record.sampling_source = static_cast<uint32_t>(SamplingSource::override_);
  }
  burst_.commit(1);
  ++m.data_records;
  return SetOutcome::decoded;
}

}  // namespace weir::decode
