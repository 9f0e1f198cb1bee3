#include "packet/sampled_header.h"

#include <algorithm>
#include <cstring>

#include "base/byte_order.h"

namespace weir::packet {
namespace {

using Span = std::span<const uint8_t>;

namespace ether_type {
constexpr uint16_t kIpv4 = 0x0800;
constexpr uint16_t kIpv6 = 0x86dd;
constexpr uint16_t kMpls = 0x8847;
constexpr uint16_t kMplsUpstream = 0x8848;
constexpr uint16_t kPppoeSession = 0x8864;
constexpr uint16_t kBridging = 0x6558;  // Ethernet, in GRE and Geneve
constexpr uint16_t kFirst = 0x0600;     // smaller ones are lengths
}  // namespace ether_type

namespace proto {
constexpr uint8_t kHopByHop = 0;
constexpr uint8_t kIcmp = 1;
constexpr uint8_t kIpv4 = 4;
constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;
constexpr uint8_t kIpv6 = 41;
constexpr uint8_t kRouting = 43;
constexpr uint8_t kFragment = 44;
constexpr uint8_t kGre = 47;
constexpr uint8_t kAuthentication = 51;
constexpr uint8_t kIcmpv6 = 58;
constexpr uint8_t kDestinationOptions = 60;
constexpr uint8_t kSctp = 132;
constexpr uint8_t kUdpLite = 136;
constexpr uint8_t kDccp = 33;
constexpr uint8_t kEthernet = 143;  // RFC 8986
}  // namespace proto

bool is_vlan(uint16_t type) noexcept { return type == 0x8100 || type == 0x88a8 || type == 0x9100; }

/// What the octets that are left begin with.
enum class Next : uint8_t { nothing, ethernet, tagged, ipv4, ipv6, ip, mpls, transport };

class Walker {
 public:
  Walker(Span octets, SampledHeader& header) noexcept : rest_(octets), h_(header) {}

  void run(Next next) noexcept {
    for (size_t step = 0; step < 2 * kSampledLayersMax && next != Next::nothing; ++step) {
      switch (next) {
        case Next::ethernet: next = ethernet(); break;
        case Next::tagged: next = tagged(); break;
        case Next::ipv4: next = ipv4(); break;
        case Next::ipv6: next = ipv6(); break;
        case Next::ip: next = ip_by_version(); break;
        case Next::mpls: next = mpls(); break;
        case Next::transport: next = transport(); break;
        case Next::nothing: break;
      }
    }
  }

 private:
  /// Names the layer and moves behind it; what is not there of it cannot be moved over.
  void pass(Layer layer, size_t octets) noexcept {
    if (h_.layers < kSampledLayersMax) {
      h_.layer_stack[h_.layers] = static_cast<uint32_t>(layer);
      h_.layer_size[h_.layers++] = static_cast<uint32_t>(octets);
    } else {
      h_.is_cut = true;
    }
    skip(octets);
  }
  /// Moves over octets that belong to the layer before.
  void widen(size_t octets) noexcept {
    if (h_.layers != 0) h_.layer_size[h_.layers - 1u] += static_cast<uint32_t>(octets);
    skip(octets);
  }
  void skip(size_t octets) noexcept { rest_ = rest_.subspan(std::min(octets, rest_.size())); }
  bool has(size_t octets) const noexcept { return rest_.size() >= octets; }
  bool before_ip() const noexcept { return h_.ip_headers == 0; }

  Next ethernet() noexcept {
    if (!has(14)) return Next::nothing;
    const uint8_t* p = rest_.data();
    if (before_ip() && !h_.has_macs) {
      h_.has_macs = true;
      h_.dst_mac = load_be48(p);
      h_.src_mac = load_be48(p + 6);
    }
    type_ = load_be16(p + 12);
    pass(Layer::ethernet, 14);
    return Next::tagged;
  }

  /// Tags, then what the EtherType says.
  Next tagged() noexcept {
    while (is_vlan(type_)) {
      if (!has(4)) return Next::nothing;
      if (before_ip() && !h_.has_vlan) {
        h_.has_vlan = true;
        h_.vlan_id = load_be16(rest_.data()) & 0x0fff;
      }
      type_ = load_be16(rest_.data() + 2);
      pass(Layer::dot1q, 4);
    }
    if (before_ip() && h_.ether_type == 0 && type_ >= ether_type::kFirst) h_.ether_type = type_;
    return by_ether_type(type_);
  }

  Next by_ether_type(uint16_t type) noexcept {
    switch (type) {
      case ether_type::kIpv4: return Next::ipv4;
      case ether_type::kIpv6: return Next::ipv6;
      case ether_type::kMpls:
      case ether_type::kMplsUpstream: return Next::mpls;
      case ether_type::kPppoeSession: return pppoe();
      case ether_type::kBridging: return Next::ethernet;
      default: return Next::nothing;
    }
  }

  Next pppoe() noexcept {
    if (!has(8)) return Next::nothing;
    const uint16_t protocol = load_be16(rest_.data() + 6);
    pass(Layer::pppoe, 8);
    if (protocol == 0x0021) return Next::ipv4;
    if (protocol == 0x0057) return Next::ipv6;
    return protocol == 0x0281 ? Next::mpls : Next::nothing;
  }

  Next mpls() noexcept {
    size_t octets = 0;
    bool bottom = false;
    while (!bottom && rest_.size() - octets >= 4) {
      const uint32_t entry = load_be32(rest_.data() + octets);
      octets += 4;
      bottom = (entry & 0x100) != 0;
      if (!before_ip()) continue;
      if (h_.mpls_labels == kSampledMplsLabelsMax) {
        h_.is_cut = true;
        continue;
      }
      h_.mpls_label[h_.mpls_labels] = entry >> 12;
      h_.mpls_ttl[h_.mpls_labels++] = entry & 0xff;
    }
    if (octets == 0) return Next::nothing;
    pass(Layer::mpls, octets);
    if (!bottom || rest_.empty()) return Next::nothing;
    // Nothing says what a label stack carries but its first four bits.
    if (rest_[0] >> 4 != 0) return Next::ip;
    if (!has(4)) return Next::nothing;
    widen(4);  // a pseudowire's control word
    return Next::ethernet;
  }

  Next ip_by_version() noexcept {
    if (rest_.empty()) return Next::nothing;
    switch (rest_[0] >> 4) {
      case 4: return Next::ipv4;
      case 6: return Next::ipv6;
      default: return Next::nothing;
    }
  }

  /// The header that is being told of; null when there are too many.
  SampledIp* next_ip(uint16_t type) noexcept {
    if (h_.ip_headers == kSampledIpHeadersMax) return nullptr;
    ip_ = h_.ip_headers++ == 0 ? &h_.outer : &h_.inner;
    *ip_ = SampledIp{};
    ip_->ether_type = type;
    return ip_;
  }

  Next ipv4() noexcept {
    if (!has(20)) return Next::nothing;
    const uint8_t* p = rest_.data();
    const size_t header = size_t{4} * (p[0] & 0x0f);
    if (p[0] >> 4 != 4 || header < 20) return Next::nothing;
    SampledIp* ip = next_ip(ether_type::kIpv4);
    if (ip == nullptr) return Next::nothing;
    const uint16_t fragment = load_be16(p + 6);
    ip->src = IpAddress::from_v4(p + 12);
    ip->dst = IpAddress::from_v4(p + 16);
    ip->tos = p[1];
    ip->ttl = p[8];
    ip->proto = p[9];
    ip->has_fragment = true;
    ip->fragment_id = load_be16(p + 4);
    ip->ip_flags = static_cast<uint8_t>(fragment >> 13);
    ip->fragment_offset = fragment & 0x1fff;
    // Ethernet fills short frames up; a length of 0 is a segment that the NIC was to cut (TSO).
    const size_t total = load_be16(p + 2);
    if (total >= header && total < rest_.size()) rest_ = rest_.first(total);
    pass(Layer::ipv4, header);
    return ip->fragment_offset == 0 ? Next::transport : Next::nothing;
  }

  Next ipv6() noexcept {
    if (!has(40)) return Next::nothing;
    const uint8_t* p = rest_.data();
    if (p[0] >> 4 != 6) return Next::nothing;
    SampledIp* ip = next_ip(ether_type::kIpv6);
    if (ip == nullptr) return Next::nothing;
    const uint32_t first = load_be32(p);
    ip->src = IpAddress::from_v6(p + 8);
    ip->dst = IpAddress::from_v6(p + 24);
    ip->tos = static_cast<uint8_t>(first >> 20);
    ip->flow_label = first & 0xf'ffff;
    ip->ttl = p[7];
    ip->proto = p[6];
    const size_t length = load_be16(p + 4);
    if (length != 0 && length < rest_.size() - 40) rest_ = rest_.first(40 + length);
    pass(Layer::ipv6, 40);
    return extensions(*ip);
  }

  /// Each takes at least eight octets; after the last, `proto` is the transport's.
  Next extensions(SampledIp& ip) noexcept {
    for (;;) {
      const uint8_t type = ip.proto;
      if (type != proto::kHopByHop && type != proto::kDestinationOptions &&
          type != proto::kRouting && type != proto::kFragment && type != proto::kAuthentication) {
        return Next::transport;
      }
      if (!has(8)) return Next::nothing;
      const uint8_t* p = rest_.data();
      size_t octets = (size_t{p[1]} + 1) * 8;
      ip.proto = p[0];
      if (type == proto::kFragment) {
        const uint16_t offset = load_be16(p + 2);
        ip.has_fragment = true;
        ip.fragment_id = load_be32(p + 4);
        ip.fragment_offset = static_cast<uint16_t>(offset >> 3);
        ip.ip_flags = offset & 7;
        pass(Layer::ipv6_fragment, 8);
        if (ip.fragment_offset != 0) return Next::nothing;
        continue;
      }
      if (type == proto::kAuthentication) octets = (size_t{p[1]} + 2) * 4;
      if (type == proto::kRouting) {
        routing(ip, octets);
        continue;
      }
      if (octets > rest_.size()) {
        widen(octets);
        return Next::nothing;
      }
      widen(octets);
    }
  }

  void routing(SampledIp& ip, size_t octets) noexcept {
    const uint8_t* p = rest_.data();
    const bool srv6 = p[2] == 4;
    if (!ip.has_routing) {
      ip.has_routing = true;
      ip.is_srv6 = srv6;
      ip.segments_left = p[3];
      size_t addresses = (octets - 8) / 16;
      // A segment routing header may carry TLVs behind its last entry.
      if (srv6) addresses = std::min(addresses, size_t{p[4]} + 1);
      addresses = std::min(addresses, (rest_.size() - 8) / 16);
      // Types 0 (source route), 2 (mobility) and 4 (segment routing) hold whole addresses.
      if (p[2] == 0 || p[2] == 2 || srv6) ip.routing_addresses = rest_.subspan(8, addresses * 16);
    }
    pass(srv6 ? Layer::srv6 : Layer::ipv6_routing, octets);
  }

  Next transport() noexcept {
    const bool v6 = ip_->ether_type == ether_type::kIpv6;
    switch (ip_->proto) {
      case proto::kTcp: return tcp();
      case proto::kUdp: return udp();
      case proto::kSctp:
      case proto::kDccp:
      case proto::kUdpLite: ports(); return Next::nothing;
      case proto::kIcmp: return v6 ? Next::nothing : icmp(Layer::icmp);
      case proto::kIcmpv6: return v6 ? icmp(Layer::icmpv6) : Next::nothing;
      case proto::kGre: return gre();
      case proto::kIpv4: pass(Layer::ipip, 0); return Next::ipv4;
      case proto::kIpv6: pass(Layer::ipip, 0); return Next::ipv6;
      case proto::kEthernet: return Next::ethernet;
      default: return Next::nothing;
    }
  }

  bool ports() noexcept {
    if (!has(4)) return false;
    ip_->has_ports = true;
    ip_->src_port = load_be16(rest_.data());
    ip_->dst_port = load_be16(rest_.data() + 2);
    return true;
  }

  Next icmp(Layer layer) noexcept {
    if (!has(2)) return Next::nothing;
    ip_->has_icmp = true;
    ip_->icmp_type = rest_[0];
    ip_->icmp_code = rest_[1];
    pass(layer, 8);
    return Next::nothing;
  }

  Next tcp() noexcept {
    if (!ports()) return Next::nothing;
    size_t header = 20;
    if (has(14)) {
      const uint16_t word = load_be16(rest_.data() + 12);
      ip_->has_tcp_flags = true;
      ip_->tcp_flags = word & 0x0fff;
      header = size_t{4} * (word >> 12);
    }
    pass(Layer::tcp, header);
    if (header >= 20) h_.payload = rest_;
    return Next::nothing;
  }

  Next udp() noexcept {
    if (!ports()) return Next::nothing;
    const uint16_t port = ip_->dst_port;
    pass(Layer::udp, 8);
    switch (port) {
      case kVxlanPort: return vxlan();
      case kGenevePort: return geneve();
      case kGtpuPort: return gtpu();
      default: h_.payload = rest_; return Next::nothing;
    }
  }

  Next vxlan() noexcept {
    if (!has(8) || (rest_[0] & 0x08) == 0) return Next::nothing;
    pass(Layer::vxlan, 8);
    return Next::ethernet;
  }

  Next geneve() noexcept {
    if (!has(8) || rest_[0] >> 6 != 0) return Next::nothing;
    const size_t octets = 8 + size_t{4} * (rest_[0] & 0x3f);
    const uint16_t type = load_be16(rest_.data() + 2);
    if (!has(octets)) return Next::nothing;
    pass(Layer::geneve, octets);
    return by_ether_type(type);
  }

  Next gtpu() noexcept {
    static constexpr uint8_t kUserData = 255;
    // Version 1, protocol type GTP.
    if (!has(8) || (rest_[0] & 0xf0) != 0x30 || rest_[1] != kUserData) return Next::nothing;
    const uint8_t options = rest_[0] & 0x07;
    size_t octets = 8;
    if (options != 0) {
      if (!has(12)) return Next::nothing;
      octets = 12;
      // A chain of extension headers, each of at least four octets, the last of which names the
      // next.
      uint8_t extension = (options & 0x04) != 0 ? rest_[11] : 0;
      while (extension != 0) {
        if (!has(octets + 1)) return Next::nothing;
        const size_t length = size_t{4} * rest_[octets];
        if (length == 0 || !has(octets + length)) return Next::nothing;
        octets += length;
        extension = rest_[octets - 1];
      }
    }
    pass(Layer::gtpu, octets);
    return Next::ip;
  }

  Next gre() noexcept {
    static constexpr uint16_t kChecksum = 0x8000;
    static constexpr uint16_t kRoutingBit = 0x4000;
    static constexpr uint16_t kKey = 0x2000;
    static constexpr uint16_t kSequence = 0x1000;
    if (!has(4)) return Next::nothing;
    const uint16_t flags = load_be16(rest_.data());
    const uint16_t type = load_be16(rest_.data() + 2);
    const size_t octets = 4u + ((flags & kChecksum) != 0 ? 4u : 0u) +
                          ((flags & kKey) != 0 ? 4u : 0u) + ((flags & kSequence) != 0 ? 4u : 0u);
    pass(Layer::gre, octets);
    // Version 1 is PPTP's; source routes are obsolete and of unknown length.
    if ((flags & 0x0007) != 0 || (flags & kRoutingBit) != 0) return Next::nothing;
    return by_ether_type(type);
  }

  Span rest_;
  SampledHeader& h_;
  SampledIp* ip_ = nullptr;
  uint16_t type_ = 0;
};

Next first_of(SampledLink link) noexcept {
  switch (link) {
    case SampledLink::ethernet: return Next::ethernet;
    case SampledLink::ipv4: return Next::ipv4;
    case SampledLink::ipv6: return Next::ipv6;
    case SampledLink::mpls: return Next::mpls;
  }
  return Next::nothing;
}

}  // namespace

void parse_sampled_header(Span octets, SampledLink link, SampledHeader& header) noexcept {
  header.has_macs = header.has_vlan = header.is_cut = false;
  header.ip_headers = header.layers = header.mpls_labels = 0;
  header.vlan_id = header.ether_type = 0;
  header.payload = {};
  Walker(octets, header).run(first_of(link));
}

}  // namespace weir::packet
