// ocsf_endpoints.cc — Who talked to whom, over what, and how much.
#include <array>

#include "export/protocol_names.h"
#include "transform/community_id.h"
#include "transform/flow_facts.h"
#include "transform/ocsf_parts.h"

namespace weir::transform::parts {
namespace {

using N = NumberSlot;
using O = OctetsSlot;

/// The fields of one end of a flow.
struct End {
  O address, interface_name;
  N port, mac, vlan, interface_index, as_number, prefix_length;
  EventTarget name, hostname, svc_name, zone;
  const enrich::AddressFacts* Decisions::* facts;
};
constexpr End kSource = {O::src_addr, O::in_if_name, N::src_port, N::src_mac,
                         N::src_vlan, N::in_if,      N::src_as,   N::src_net,
                         EventTarget::src_name, EventTarget::src_hostname, EventTarget::src_svc_name, EventTarget::src_zone, &Decisions::src};
constexpr End kDestination = {O::dst_addr, O::out_if_name, N::dst_port, N::dst_mac,
                              N::dst_vlan, N::out_if,      N::dst_as,   N::dst_net,
                              EventTarget::dst_name, EventTarget::dst_hostname, EventTarget::dst_svc_name, EventTarget::dst_zone, &Decisions::dst};

void put_subnet(TextBuffer& out, std::string_view address, uint64_t length) {
  std::array<char, 16> network{};
  std::copy(address.begin(), address.end(), network.begin());
  for (size_t bit = length; bit < 8 * address.size(); bit = (bit / 8 + 1) * 8) {
    network[bit / 8] = static_cast<char>(network[bit / 8] & ~(0xff >> bit % 8));
  }
  out.put("\"subnet_uid\":\"");
  out.put_address({network.data(), address.size()});
  out.put('/');
  out.put_number(length);
  out.put("\",");
}

/// Something that OCSF takes for an endpoint's name.
bool is_named(const FlowView& flow, const End& end, const Decisions& decisions) noexcept {
  return is_address(flow[end.address]) || !decisions.text(end.name).empty() || !decisions.text(end.hostname).empty() ||
         !decisions.text(end.svc_name).empty() || flow[end.interface_index] != 0 || !flow[end.interface_name].empty();
}

uint64_t vlan_of(const FlowView& flow, const End& end) noexcept {
  return flow[end.vlan] == 0 && end.vlan == N::src_vlan ? flow[N::vlan_id] : flow[end.vlan];
}

/// What the exporter says goes first; a database's name belongs to its own number only.
void put_autonomous_system(TextBuffer& out, uint64_t said, const enrich::AddressFacts* facts) {
  const uint64_t known = facts != nullptr ? facts->as_number : 0;
  const uint64_t number = said != 0 ? said : known;
  if (number == 0) return;
  const Scope system(out, "\"autonomous_system\":{");
  put_number(out, "\"number\":", number);
  if (number == known) put_text_if_any(out, "\"name\":", facts->as_name);
}

void put_location(TextBuffer& out, const enrich::AddressFacts& facts) {
  const Scope location(out, "\"location\":{");
  if (!facts.country.empty()) put_plain(out, "\"country\":", facts.country);
  put_text_if_any(out, "\"city\":", facts.city);
}

/// Who made the interface.
void put_vendor(TextBuffer& out, uint64_t mac, const Decisions& decisions) {
  const enrich::VendorTable* const vendors = decisions.known != nullptr ? decisions.known->mac_vendors() : nullptr;
  if (vendors == nullptr) return;
  const Scope hardware(out, "\"hw_info\":{");
  put_text_if_any(out, "\"vendor_name\":", vendors->find(mac));
}

/// OCSF wants a name in every endpoint, and an endpoint in every event. On layer 2 a MAC address is one; where there is
/// only more about an end than its name, the name is "unknown".
void put_endpoint(TextBuffer& out, std::string_view opening, const FlowView& flow, const End& end,
                  const Decisions& decisions, bool is_inside) {
  const Scope endpoint(out, opening);
  const uint64_t mac = flow[end.mac];
  const uint64_t vlan = vlan_of(flow, end);
  if (const std::string_view address = flow[end.address]; is_address(address)) put_address(out, "\"ip\":", address);
  if (!is_named(flow, end, decisions)) {
    if (mac != 0) {
      put_mac(out, "\"uid\":", mac);
    } else if (is_port(flow, end.port) || vlan != 0 || flow[end.as_number] != 0) {
      out.put("\"name\":\"unknown\",");
    }
  }
  if (is_port(flow, end.port)) put_number(out, "\"port\":", flow[end.port]);
  if (mac != 0) {
    put_mac(out, "\"mac\":", mac);
    put_vendor(out, mac, decisions);
  }
  if (vlan != 0) put_quoted_number(out, "\"vlan_uid\":", vlan);
  if (flow[end.interface_index] != 0) put_quoted_number(out, "\"interface_uid\":", flow[end.interface_index]);
  if (!flow[end.interface_name].empty()) put_text(out, "\"interface_name\":", flow[end.interface_name]);
  if (decisions.outcome != nullptr) {
    put_text_if_any(out, "\"name\":", decisions.text(end.name));
    put_text_if_any(out, "\"hostname\":", decisions.text(end.hostname));
    put_text_if_any(out, "\"svc_name\":", decisions.text(end.svc_name));
    if (const std::string_view zone = decisions.text(end.zone); !zone.empty() && is_named(flow, end, decisions)) {
      put_text(out, "\"zone\":", zone);
    }
  }
  if (decisions.local != nullptr && is_address(flow[end.address])) {
    out.put(is_inside ? "\"network_scope_id\":1,\"network_scope\":\"Internal\","
                                                   : "\"network_scope_id\":2,\"network_scope\":\"External\",");
  }
  const uint64_t length = flow[end.prefix_length];
  if (const std::string_view address = flow[end.address];
      is_address(address) && length != 0 && length <= 8 * address.size()) {
    put_subnet(out, address, length);
  }
  put_autonomous_system(out, flow[end.as_number], decisions.*end.facts);
  if (const enrich::AddressFacts* const facts = decisions.*end.facts; facts != nullptr) put_location(out, *facts);
}

/// Number and name of each protocol as events have them: the keywords in lower case.
struct ProtocolTexts {
  struct Text {
    char members[64];
    uint8_t octets, name_at;
  };
  std::array<Text, 256> texts{};
  constexpr ProtocolTexts() {
    for (size_t i = 0; i < texts.size(); ++i) {
      Text& text = texts[i];
      const auto put = [&text](std::string_view part) {
        for (const char c : part) text.members[text.octets++] = c;
      };
      put("\"protocol_num\":");
      for (size_t power = i < 10 ? 1 : i < 100 ? 10 : 100; power > 0; power /= 10) text.members[text.octets++] = static_cast<char>('0' + i / power % 10);
      put(",");
      text.name_at = text.octets;
      const std::string_view keyword = outbound::protocol_name(static_cast<uint8_t>(i));
      if (keyword.empty()) continue;
      put("\"protocol_name\":\"");
      for (const char c : keyword) text.members[text.octets++] = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      put("\",");
    }
  }
};
constexpr ProtocolTexts kProtocols;

/// The name is what the message says where that is another one than the number's; a number without a keyword has none.
void put_protocol(TextBuffer& out, std::string_view said, uint64_t number, bool has_number) {
  if (number < kProtocols.texts.size() && (number != 0 || !said.empty())) {
    const std::string_view keyword = outbound::protocol_name(static_cast<uint8_t>(number));
    if (!keyword.empty() && (said.empty() || said == keyword)) {
      const ProtocolTexts::Text& text = kProtocols.texts[number];
      const size_t begin = has_number ? 0 : text.name_at;
      return out.put({text.members + begin, size_t{text.octets} - begin});
    }
  }
  if (has_number) put_number(out, "\"protocol_num\":", number);
  if (said.empty()) return;
  std::array<char, kStringOctetsMax> lower;
  const size_t octets = std::min(said.size(), lower.size());
  std::transform(said.begin(), said.begin() + static_cast<std::ptrdiff_t>(octets), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  put_text(out, "\"protocol_name\":", {lower.data(), octets});
}

__attribute__((always_inline)) inline void put_base64(TextBuffer& out, std::string_view key, const Sha1Digest& digest) {
  put_member(out, key, kBase64Room + 2, [&digest](char* p) {
    write_base64(digest, p);
    p += kBase64Octets;
    *p++ = '"';
    *p++ = ',';
    return p;
  });
}

constexpr uint64_t kEtypeIpv4 = 0x0800;
constexpr uint64_t kEtypeIpv6 = 0x86dd;

char ip_version_of(const FlowView& flow) noexcept {
  if (flow[N::etype] == kEtypeIpv4) return '4';
  if (flow[N::etype] == kEtypeIpv6) return '6';
  const std::string_view address = is_address(flow[O::src_addr]) ? flow[O::src_addr] : flow[O::dst_addr];
  return address.size() == 4 ? '4' : address.size() == 16 ? '6' : '0';
}

}  // namespace

void put_endpoints(TextBuffer& out, const FlowView& flow, const Decisions& decisions, const Inside& inside) {
  const size_t before = out.used();
  put_endpoint(out, "\"src_endpoint\":{", flow, kSource, decisions, inside.source);
  put_endpoint(out, "\"dst_endpoint\":{", flow, kDestination, decisions, inside.destination);
  if (out.used() == before) out.put("\"src_endpoint\":{\"name\":\"unknown\"},");
}

void put_connection(TextBuffer& out, const FlowView& flow, const Decisions& decisions, const Inside& inside, bool with_community_id) {
  const std::string_view source = flow[O::src_addr];
  const std::string_view destination = flow[O::dst_addr];
  out.put("\"connection_info\":{");
  if (Sha1Digest digest; with_community_id && community_digest_of(flow, digest)) {
    put_base64(out, "\"uid\":\"1:", digest);
    put_base64(out, "\"community_uid\":\"1:", digest);
  }
  const uint64_t protocol = flow[N::proto];
  put_protocol(out, flow[O::protocol_name], protocol, protocol != 0 || is_address(source) || is_address(destination));
  switch (ip_version_of(flow)) {
    case '4': out.put("\"protocol_ver_id\":4,"); break;
    case '6': out.put("\"protocol_ver_id\":6,"); break;
    default: out.put("\"protocol_ver_id\":0,");
  }
  if (flow[N::tcp_flags] != 0) put_number(out, "\"tcp_flags\":", flow[N::tcp_flags]);
  const Way way = way_of(flow, decisions, inside);
  out.put(direction_members(decisions.number(EventTarget::direction_id, way.direction)));
  out.put(boundary_members(decisions.number(EventTarget::boundary_id, way.boundary)));
  close_object(out);
}

void put_volumes(TextBuffer& out, const Volume& bytes, const Volume& packets) {
  const auto put = [&](Volume v, std::string_view sum_key, std::string_view there_key, std::string_view back_key) {
    if ((v.forth | v.back) == 0) return;
    put_number(out, sum_key, v.sum());
    if (v.forth != 0) put_number(out, there_key, v.forth);
    if (v.back != 0) put_number(out, back_key, v.back);
  };
  put(bytes, "\"bytes\":", "\"bytes_out\":", "\"bytes_in\":");
  put(packets, "\"packets\":", "\"packets_out\":", "\"packets_in\":");
}

void put_traffic(TextBuffer& out, const FlowView& flow) {
  const Scope traffic(out, "\"traffic\":{");
  put_volumes(out, bytes_of(flow), packets_of(flow));
}

}  // namespace weir::transform::parts
