#include "export/json_lines.h"

#include <bit>

#include "base/utf8.h"
#include "export/json_parts.h"
#include "export/protocol_names.h"
#include "export/text_buffer.h"

namespace weir::outbound {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

void put_escape(TextBuffer& out, unsigned code) {
  switch (code) {
    case '"': return out.put("\\\"");
    case '\\': return out.put("\\\\");
    case '\n': return out.put("\\n");
    case '\r': return out.put("\\r");
    case '\t': return out.put("\\t");
    default: break;
  }
  const char octet[] = {static_cast<char>(code)};
  out.put("\\u00");
  out.put_hex({octet, 1});
}

/// Characters that stand for themselves, of one octet each: nearly all of nearly every text.
struct PlainOctets {
  bool is_plain[256] = {};
  constexpr PlainOctets() {
    for (unsigned c = 0x20; c < 0x7f; ++c) is_plain[c] = c != '"' && c != '\\';
  }
};
constexpr PlainOctets kPlain;

constexpr size_t kLanes = 16;
using Lanes = signed char __attribute__((vector_size(kLanes)));
using Halves = uint64_t __attribute__((vector_size(kLanes)));

template <class T>
T moved(char* to, const char* from) noexcept {
  T v;
  std::memcpy(&v, from, sizeof v);
  std::memcpy(to, &v, sizeof v);
  return v;
}

/// Not 0 in the places of octets that do not stand for themselves. Of a character of several octets each is below 0.
Lanes special_of(Lanes c) noexcept { return (c < 0x20) | (c == '"') | (c == '\\') | (c == 0x7f); }

/// Copies text in which every octet stands for itself, and returns its end; null where one does not.
// PERF: asked of sixteen octets at once, which lie in a register for being copied; the ends of short texts overlap, as copy_short has it
// (event, perf/bench_transform).
char* copy_plain(char* to, std::string_view text) noexcept {
  const char* const from = text.data();
  const size_t octets = text.size();
  Lanes special = {};
  if (octets >= kLanes) {
    for (size_t i = 0; i + kLanes < octets; i += kLanes) special |= special_of(moved<Lanes>(to + i, from + i));
    special |= special_of(moved<Lanes>(to + octets - kLanes, from + octets - kLanes));
  } else if (octets != 0) {
    uint64_t first = 0, last = 0;
    if (octets >= 8) {
      first = moved<uint64_t>(to, from);
      last = moved<uint64_t>(to + octets - 8, from + octets - 8);
    } else if (octets >= 4) {
      first = last = moved<uint32_t>(to, from) | uint64_t{moved<uint32_t>(to + octets - 4, from + octets - 4)} << 32;
    } else {
      constexpr uint64_t kPlainRest = 0x2020202020000000;
      first = last = moved<uint8_t>(to, from) | uint64_t{moved<uint8_t>(to + octets / 2, from + octets / 2)} << 8 |
                     uint64_t{moved<uint8_t>(to + octets - 1, from + octets - 1)} << 16 | kPlainRest;
    }
    special = special_of(std::bit_cast<Lanes>(Halves{first, last}));  // never through memory, where two halves are slow to become a whole
  }
  const auto found = std::bit_cast<Halves>(special);
  return (found[0] | found[1]) == 0 ? to + octets : nullptr;
}

}  // namespace

namespace parts {

/// C1 control characters (U+0080 to U+009F) are escaped as well: terminals obey them.
void put_string(TextBuffer& out, std::string_view text) {
  if (char* const at = out.room_for(text.size() + 2); at != nullptr) {
    if (char* const end = copy_plain(at + 1, text); end != nullptr) {
      *at = '"';
      *end = '"';
      return out.end_at(end + 1);
    }
  }
  out.put('"');
  const auto* const p = reinterpret_cast<const uint8_t*>(text.data());
  size_t plain = 0;  // where what is copied as it is begins
  const auto flush = [&](size_t end) { out.put(text.substr(plain, end - plain)); };
  for (size_t i = 0; i < text.size();) {
    if (kPlain.is_plain[p[i]]) {
      ++i;
      continue;
    }
    const size_t octets = utf8_character_octets(p + i, text.size() - i);
    const bool control =
        p[i] < 0x20 || p[i] == 0x7f || (octets == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0);
    const size_t next = i + (octets != 0 ? octets : 1);
    if (octets == 0 || control || p[i] == '"' || p[i] == '\\') {
      flush(i);
      if (octets == 0) {
        out.put(kReplacement);
      } else {
        put_escape(out, octets == 2 ? p[i + 1] : p[i]);
      }
      plain = next;
    }
    i = next;
  }
  flush(text.size());
  out.put('"');
}

void put_quoted_address(TextBuffer& out, std::string_view octets) {
  out.put('"');
  out.put_address(octets);
  out.put('"');
}

void put_quoted_hex(TextBuffer& out, std::string_view octets) {
  out.put('"');
  out.put_hex(octets);
  out.put('"');
}

}  // namespace parts

namespace {

using parts::put_quoted_address;
using parts::put_quoted_hex;
using parts::put_sflow_record;
using parts::put_string;
using parts::put_unmapped;

/// An enumerator's name, or its number where the schema that this was built with has none.
void put_name_or_number(TextBuffer& out, std::string_view name, uint64_t number) {
  if (name.empty()) return out.put_number(number);
  out.put('"');
  out.put(name);
  out.put('"');
}

std::string_view type_name(flowpb::FlowType type) {
  switch (type) {  // those of nearly every line, without a search
    case flowpb::NETFLOW_V5: return "NETFLOW_V5";
    case flowpb::NETFLOW_V9: return "NETFLOW_V9";
    case flowpb::IPFIX: return "IPFIX";
    case flowpb::SFLOW_5: return "SFLOW_5";
    default: return flowpb::FlowType_Name(type);
  }
}

std::string_view etype_name(uint32_t etype) {
  switch (etype) {
    case 0x0800: return "IPv4";
    case 0x86dd: return "IPv6";
    case 0x0806: return "ARP";
    default: return {};
  }
}

std::string_view proto_name(uint32_t proto) {
  return proto < 256 ? protocol_name(static_cast<uint8_t>(proto)) : std::string_view();
}

/// The network of an address, 192.0.2.0/24; "" where address and length do not make one.
void put_prefix(TextBuffer& out, std::string_view address, uint32_t length) {
  out.put('"');
  const bool is_address = address.size() == 4 || address.size() == 16;
  if (is_address && length != 0 && length <= 8 * address.size()) {
    char network[16] = {};
    std::memcpy(network, address.data(), address.size());
    for (size_t bit = length; bit < 8 * address.size(); bit = (bit / 8 + 1) * 8) {
      network[bit / 8] = static_cast<char>(network[bit / 8] & ~(0xff >> bit % 8));
    }
    out.put_address({network, address.size()});
    out.put('/');
    out.put_number(length);
  }
  out.put('"');
}

template <class List, class PutItem>
void put_list(TextBuffer& out, const List& list, PutItem&& put_item) {
  out.put('[');
  bool first = true;
  for (const auto& item : list) {
    if (!first) out.put(',');
    first = false;
    put_item(item);
  }
  out.put(']');
}

template <class List>
void put_numbers(TextBuffer& out, const List& list) {
  put_list(out, list, [&](uint32_t v) { out.put_number(v); });
}
template <class List>
void put_addresses(TextBuffer& out, const List& list) {
  put_list(out, list, [&](const std::string& a) { put_quoted_address(out, a); });
}
template <class List>
void put_strings(TextBuffer& out, const List& list) {
  put_list(out, list, [&](const std::string& s) { put_string(out, s); });
}

// A key and its value by the kind of the value; the first key of a line stands in append_json_line.
#define WEIR_KEY_(field)       out.put(",\"" #field "\":")
#define WEIR_NUMBER_(field)    WEIR_KEY_(field), out.put_number(f.field())
#define WEIR_ADDRESS_(field)   WEIR_KEY_(field), put_quoted_address(out, f.field())
#define WEIR_NUMBERS_(field)   WEIR_KEY_(field), put_numbers(out, f.field())
#define WEIR_ADDRESSES_(field) WEIR_KEY_(field), put_addresses(out, f.field())

void put_table_keys(TextBuffer& out, const flowpb::FlowMessage& f) {
  out.put("{\"type\":");
  put_name_or_number(out, type_name(f.type()), static_cast<uint32_t>(f.type()));
  WEIR_NUMBER_(time_received_ns);
  WEIR_NUMBER_(sequence_num);
  WEIR_NUMBER_(sampling_rate);
  WEIR_ADDRESS_(sampler_address);
  WEIR_NUMBER_(time_flow_start_ns);
  WEIR_NUMBER_(time_flow_end_ns);
  WEIR_NUMBER_(bytes);
  WEIR_NUMBER_(packets);
  WEIR_NUMBER_(bytes_in);
  WEIR_NUMBER_(bytes_out);
  WEIR_NUMBER_(packets_in);
  WEIR_NUMBER_(packets_out);
  WEIR_ADDRESS_(src_addr);
  WEIR_ADDRESS_(dst_addr);
  WEIR_KEY_(etype);
  put_name_or_number(out, etype_name(f.etype()), f.etype());
  WEIR_KEY_(proto);
  put_name_or_number(out, proto_name(f.proto()), f.proto());
  WEIR_NUMBER_(src_port);
  WEIR_NUMBER_(dst_port);
  WEIR_NUMBER_(in_if);
  WEIR_NUMBER_(out_if);
  out.put(",\"src_mac\":\"");
  out.put_mac(f.src_mac());
  out.put("\",\"dst_mac\":\"");
  out.put_mac(f.dst_mac());
  out.put('"');
  WEIR_NUMBER_(src_vlan);
  WEIR_NUMBER_(dst_vlan);
  WEIR_NUMBER_(vlan_id);
  WEIR_NUMBER_(ip_tos);
  WEIR_NUMBER_(forwarding_status);
  WEIR_NUMBER_(ip_ttl);
  WEIR_NUMBER_(ip_flags);
  WEIR_NUMBER_(tcp_flags);
  WEIR_NUMBER_(icmp_type);
  WEIR_NUMBER_(icmp_code);
  WEIR_NUMBER_(ipv6_flow_label);
  WEIR_NUMBER_(fragment_id);
  WEIR_NUMBER_(fragment_offset);
  WEIR_NUMBER_(src_as);
  WEIR_NUMBER_(dst_as);
  WEIR_ADDRESS_(next_hop);
  WEIR_NUMBER_(next_hop_as);
  WEIR_KEY_(src_net);
  put_prefix(out, f.src_addr(), f.src_net());
  WEIR_KEY_(dst_net);
  put_prefix(out, f.dst_addr(), f.dst_net());
  WEIR_ADDRESS_(bgp_next_hop);
  WEIR_NUMBERS_(bgp_communities);
  WEIR_NUMBERS_(as_path);
  WEIR_NUMBERS_(mpls_ttl);
  WEIR_NUMBERS_(mpls_label);
  WEIR_ADDRESSES_(mpls_ip);
  WEIR_NUMBER_(observation_domain_id);
  WEIR_NUMBER_(observation_point_id);
  WEIR_KEY_(layer_stack);
  put_list(out, f.layer_stack(), [&](int layer) {
    put_name_or_number(out, flowpb::LayerStack_Name(static_cast<flowpb::LayerStack>(layer)),
                       static_cast<uint32_t>(layer));
  });
  WEIR_NUMBERS_(layer_size);
  WEIR_ADDRESSES_(ipv6_routing_header_addresses);
  WEIR_NUMBER_(ipv6_routing_header_seg_left);
  WEIR_KEY_(protocol_name);
  put_string(out, f.protocol_name());
}

#define WEIR_IF_NUMBER_(field) \
  if (f.field() != 0) WEIR_NUMBER_(field)
#define WEIR_IF_ADDRESS_(field) \
  if (!f.field().empty()) WEIR_ADDRESS_(field)
#define WEIR_IF_TEXT_(field) \
  if (!f.field().empty()) WEIR_KEY_(field), put_string(out, f.field())
#define WEIR_IF_TEXTS_(field) \
  if (!f.field().empty()) WEIR_KEY_(field), put_strings(out, f.field())

void put_additions(TextBuffer& out, const flowpb::FlowMessage& f) {
  WEIR_IF_NUMBER_(flow_direction);
  WEIR_IF_NUMBER_(flow_end_reason);
  if (f.sampling_source() != 0) {
    WEIR_KEY_(sampling_source);
    put_name_or_number(out, flowpb::SamplingSource_Name(f.sampling_source()),
                       static_cast<uint32_t>(f.sampling_source()));
  }
  if (f.time_source() != 0) {
    WEIR_KEY_(time_source);
    put_name_or_number(out, flowpb::TimeSource_Name(f.time_source()),
                       static_cast<uint32_t>(f.time_source()));
  }
  WEIR_IF_ADDRESS_(exporter_address);
  WEIR_IF_NUMBER_(exporter_port);
  WEIR_IF_NUMBER_(engine);
  WEIR_IF_NUMBER_(sampler_id);
  WEIR_IF_NUMBER_(ingress_vrf_id);
  WEIR_IF_NUMBER_(egress_vrf_id);
  if (!f.application_id().empty())
    WEIR_KEY_(application_id), put_quoted_hex(out, f.application_id());
  WEIR_IF_TEXT_(application_name);
  WEIR_IF_ADDRESS_(post_nat_src_addr);
  WEIR_IF_ADDRESS_(post_nat_dst_addr);
  WEIR_IF_NUMBER_(post_nat_src_port);
  WEIR_IF_NUMBER_(post_nat_dst_port);
  WEIR_IF_NUMBER_(nat_event);
  WEIR_IF_NUMBER_(firewall_event);
  WEIR_IF_TEXT_(user_name);
  WEIR_IF_NUMBER_(sub_agent_id);
  WEIR_IF_NUMBER_(source_id);
  WEIR_IF_ADDRESS_(inner_src_addr);
  WEIR_IF_ADDRESS_(inner_dst_addr);
  WEIR_IF_NUMBER_(inner_proto);
  WEIR_IF_NUMBER_(inner_src_port);
  WEIR_IF_NUMBER_(inner_dst_port);
  WEIR_IF_NUMBER_(port_range_start);
  WEIR_IF_NUMBER_(port_range_end);
  WEIR_IF_NUMBER_(port_range_step);
  WEIR_IF_NUMBER_(port_range_num);
  if (!f.srv6_segments().empty()) WEIR_ADDRESSES_(srv6_segments);
  WEIR_IF_TEXT_(server_name);
  WEIR_IF_TEXTS_(labels);
  WEIR_IF_TEXTS_(rule_ids);
  WEIR_IF_TEXT_(partition);
  WEIR_IF_TEXT_(site);
  if (!f.unmapped().empty()) {
    WEIR_KEY_(unmapped);
    const bool is_sflow = f.type() == flowpb::SFLOW_5;  // whose formats are no elements
    put_list(out, f.unmapped(), [&](const flowpb::UnmappedElement& e) {
      const parts::ElementText element{e.enterprise(), e.id(), e.value()};
      is_sflow ? put_sflow_record(out, element) : put_unmapped(out, element);
    });
  }
  WEIR_IF_TEXT_(in_if_name);
  WEIR_IF_TEXT_(out_if_name);
  WEIR_IF_TEXT_(ingress_vrf_name);
  WEIR_IF_TEXT_(egress_vrf_name);
  if (!f.bgp_extended_communities().empty()) {
    WEIR_KEY_(bgp_extended_communities);
    put_list(out, f.bgp_extended_communities(),
             [&](const std::string& octets) { put_quoted_hex(out, octets); });
  }
}

}  // namespace

void append_json_line(const flowpb::FlowMessage& flow, std::string& out) {
  TextBuffer text(out);
  put_table_keys(text, flow);
  put_additions(text, flow);
  text.put("}\n");
}

void append_json_string(std::string_view string, std::string& out) {
  TextBuffer text(out);
  put_string(text, string);
}

}  // namespace weir::outbound
