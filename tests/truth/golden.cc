#include "truth/golden.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "base/ip_address.h"
#include "export/element_names.h"
#include "sflow.pb.h"

namespace weir::truth {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool ends_with(std::string_view text, std::string_view end) { return text.ends_with(end); }

/// RFC 6759: the engine, an enterprise where the engine is 20 (PANA-L7-PEN), the selector.
std::string application_text(const std::string& octets) {
  const auto number = [&octets](size_t from, size_t to) {
    uint64_t n = 0;
    for (size_t i = from; i < std::min(to, octets.size()); ++i) {
      n = n << 8 | static_cast<uint8_t>(octets[i]);
    }
    return number_text(n);
  };
  if (octets.empty()) return "";
  if (octets[0] != 20) return number(0, 1) + ".." + number(1, octets.size());
  return "20.." + number(1, 5) + ".." + number(5, octets.size());
}

std::string octets_text(const std::string& column, const std::string& octets) {
  if (column == "application_id") return application_text(octets);
  return address_text(octets);
}

template <class List>
std::string list_text(const List& numbers) {
  std::string text;
  for (const uint32_t n : numbers) append_word(text, number_text(n));
  return text;
}

std::string prefix_text(std::string address, uint32_t bits) {
  for (size_t i = 0; i < address.size(); ++i) {
    const size_t keep = std::min<size_t>(8, bits > 8 * i ? bits - 8 * i : 0);
    address[i] = static_cast<char>(address[i] & (0xff00 >> keep));
  }
  return address_text(address);
}

/// What is made of several columns.
std::string computed(const flowpb::FlowMessage& m, const std::string& what) {
  if (what == "@duration_ms") {
    return number_text((m.time_flow_end_ns() - m.time_flow_start_ns()) / 1'000'000);
  }
  const bool inner = !m.inner_src_addr().empty();
  if (what == "@in_src") return address_text(inner ? m.inner_src_addr() : m.src_addr());
  if (what == "@in_dst") return address_text(inner ? m.inner_dst_addr() : m.dst_addr());
  if (what == "@in_src_port") return number_text(inner ? m.inner_src_port() : m.src_port());
  if (what == "@in_dst_port") return number_text(inner ? m.inner_dst_port() : m.dst_port());
  if (what == "@in_proto") return number_text(inner ? m.inner_proto() : m.proto());
  if (what == "@ip_version") return m.etype() == 0x86dd ? "6" : "4";
  if (what == "@icmp") {
    const bool icmp = m.proto() == 1 || m.proto() == 58;
    return icmp ? number_text(m.icmp_type() << 8 | m.icmp_code()) : "none";
  }
  // IOS-XR's, of neighbour discovery: ICMPv6 has no type 0 (RFC 4443 §2.1).
  if (what == "@icmpv6_type_alone") {
    return m.proto() == 58 && m.icmp_code() == 0 ? number_text(m.icmp_type()) : "none";
  }
  if (what == "@src_prefix") return prefix_text(m.src_addr(), m.src_net());
  if (what == "@dst_prefix") return prefix_text(m.dst_addr(), m.dst_net());
  if (what == "@mpls_labels") return list_text(m.mpls_label());
  if (what == "@segments") {
    std::string text;
    for (const std::string& s : m.srv6_segments()) append_word(text, address_text(s));
    return text;
  }
  if (what == "@engine_type") return number_text(m.engine() >> 8);
  if (what == "@engine_id") return number_text(m.engine() & 255);
  throw std::logic_error("no column " + what);
}

/// One value of a column; a list's member with `index` from 0 on.
std::string column_text(const Message& m, const FieldDescriptor& f, int index) {
  const auto& r = *m.GetReflection();
  const bool list = f.is_repeated();
  switch (f.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return number_text(list ? r.GetRepeatedUInt32(m, &f, index) : r.GetUInt32(m, &f));
    case FieldDescriptor::CPPTYPE_UINT64: {
      const uint64_t n = list ? r.GetRepeatedUInt64(m, &f, index) : r.GetUInt64(m, &f);
      return ends_with(f.name(), "_mac") ? mac_text(n) : number_text(n);
    }
    case FieldDescriptor::CPPTYPE_ENUM:
      return number_text(static_cast<uint64_t>(list ? r.GetRepeatedEnumValue(m, &f, index)
                                                    : r.GetEnumValue(m, &f)));
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string s = list ? r.GetRepeatedString(m, &f, index) : r.GetString(m, &f);
      return f.type() == FieldDescriptor::TYPE_BYTES ? octets_text(f.name(), s) : s;
    }
    default: return "";
  }
}

/// `path`: a field's name, a list's with `/index`, one of a message with a dot.
void add_column(const Message& m, const std::string& path, std::vector<std::string>& values) {
  const std::string name = path.substr(0, path.find_first_of("./"));
  const FieldDescriptor* field = m.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr) throw std::logic_error("no column " + path);
  if (name.size() < path.size() && path[name.size()] == '.') {
    add_column(m.GetReflection()->GetMessage(m, field), path.substr(name.size() + 1), values);
    return;
  }
  const int index = name.size() == path.size() ? 0 : std::atoi(path.c_str() + name.size() + 1);
  if (field->is_repeated() && m.GetReflection()->FieldSize(m, field) <= index) return;
  values.push_back(column_text(m, *field, index));
}

std::string element_text(Kind kind, std::string octets) {
  uint64_t n = 0;
  for (const char c : octets) n = n << 8 | static_cast<uint8_t>(c);
  switch (kind) {
    case Kind::number: return octets.size() <= 8 ? number_text(n) : hex_text(octets);
    case Kind::label: return number_text(n >> (octets.size() == 4 ? 12 : 4));
    case Kind::mac: return octets.size() == 6 ? mac_text(n) : hex_text(octets);
    case Kind::address: return address_text(octets);
    case Kind::octets: return hex_text(octets);
    case Kind::application: return application_text(octets);
    case Kind::text:
      while (!octets.empty() && (octets.back() == '\0' || octets.back() == ' ')) octets.pop_back();
      return octets;
  }
  return "";
}

const std::multimap<uint32_t, const char*>& columns_of_iana() {
  // docs/FLOW_MESSAGE.md, "From the wire to the field".
  static const std::multimap<uint32_t, const char*> all = {
      {1, "bytes"},
      {2, "packets"},
      {4, "proto"},
      {5, "ip_tos"},
      {6, "tcp_flags"},
      {7, "src_port"},
      {8, "src_addr"},
      {9, "src_net"},
      {10, "in_if"},
      {11, "dst_port"},
      {12, "dst_addr"},
      {13, "dst_net"},
      {14, "out_if"},
      {15, "next_hop"},
      {16, "src_as"},
      {17, "dst_as"},
      {18, "bgp_next_hop"},
      {23, "bytes_in"},
      {23, "bytes"},
      {24, "packets_in"},
      {24, "packets"},
      {27, "src_addr"},
      {28, "dst_addr"},
      {29, "src_net"},
      {30, "dst_net"},
      {31, "ipv6_flow_label"},
      {34, "sampling_rate"},
      {47, "mpls_ip/0"},
      {48, "sampler_id"},
      {52, "ip_ttl"},
      {54, "fragment_id"},
      {56, "src_mac"},
      {57, "dst_mac"},
      {58, "src_vlan"},
      {59, "dst_vlan"},
      {60, "@ip_version"},
      {61, "flow_direction"},
      {62, "next_hop"},
      {63, "bgp_next_hop"},
      {80, "dst_mac"},
      {81, "src_mac"},
      {85, "bytes"},
      {86, "packets"},
      {89, "forwarding_status"},
      {95, "application_id"},
      {96, "application_name"},
      {136, "flow_end_reason"},
      {140, "mpls_ip/0"},
      {176, "icmp_type"},
      {177, "icmp_code"},
      {178, "icmp_type"},
      {179, "icmp_code"},
      {192, "ip_ttl"},
      {225, "post_nat_src_addr"},
      {226, "post_nat_dst_addr"},
      {227, "post_nat_src_port"},
      {228, "post_nat_dst_port"},
      {230, "nat_event"},
      {231, "bytes_out"},
      {232, "bytes_in"},
      {233, "firewall_event"},
      {234, "ingress_vrf_id"},
      {235, "egress_vrf_id"},
      {243, "src_vlan"},
      {256, "etype"},
      {298, "packets_out"},
      {299, "packets_in"},
      {302, "sampler_id"},
      {371, "user_name"},
      // NSEL's types of before (NetFlow v9).
      {40000, "user_name"},
      {40001, "post_nat_src_addr"},
      {40002, "post_nat_dst_addr"},
      {40003, "post_nat_src_port"},
      {40004, "post_nat_dst_port"},
      {40005, "firewall_event"},
  };
  return all;
}

}  // namespace

std::string number_text(uint64_t n) { return std::to_string(n); }

std::string address_text(const std::string& octets) {
  const auto* p = reinterpret_cast<const uint8_t*>(octets.data());
  if (octets.size() == 4) return IpAddress::from_v4(p).to_string();
  if (octets.size() == 16) return IpAddress::from_v6(p).to_string();
  return "";
}

std::string mac_text(uint64_t mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x",
                static_cast<unsigned>(mac >> 40 & 255), static_cast<unsigned>(mac >> 32 & 255),
                static_cast<unsigned>(mac >> 24 & 255), static_cast<unsigned>(mac >> 16 & 255),
                static_cast<unsigned>(mac >> 8 & 255), static_cast<unsigned>(mac & 255));
  return text;
}

std::string hex_text(const std::string& octets) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : octets) {
    text += kDigits[static_cast<uint8_t>(c) >> 4];
    text += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return text;
}

void append_word(std::string& text, const std::string& word) {
  if (!text.empty()) text.push_back(' ');
  text += word;
}

std::string same_address(const std::string& text) {
  const auto a = IpAddress::parse(text);
  return a ? a->to_string() : text;
}

uint64_t iso_time_ns(const std::string& text) {
  tm when{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &when);
  if (rest == nullptr) return 0;
  std::string digits;
  if (*rest == '.') {
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest) digits += *rest;
  }
  digits.resize(9, '0');
  return static_cast<uint64_t>(timegm(&when)) * 1'000'000'000 +
         std::strtoull(digits.c_str(), nullptr, 10);
}

bool is_nothing(const std::string& text) {
  return text.find_first_not_of("0.:") == std::string::npos;
}

std::vector<std::string> values_at(const Message& m, const Expected& e) {
  std::vector<std::string> values;
  const auto* flow = dynamic_cast<const flowpb::FlowMessage*>(&m);
  if (const auto* discard = dynamic_cast<const flowpb::SflowDiscard*>(&m))
    flow = &discard->packet();
  for (const Place& place : e.places) {
    if (place.column.empty()) {
      if (flow == nullptr) continue;
      for (const flowpb::UnmappedElement& u : flow->unmapped()) {
        if (u.enterprise() == place.enterprise && u.id() == place.id) {
          values.push_back(element_text(e.kind, u.value()));
        }
      }
    } else if (place.column == "@agent_version") {
      std::vector<std::string> agent;
      add_column(m, flow == nullptr ? "sampler_address" : "packet.sampler_address", agent);
      values.push_back(agent[0].find(':') == std::string::npos ? "4" : "6");
    } else if (place.column[0] == '@') {
      values.push_back(computed(*flow, place.column));
    } else {
      add_column(m, place.column, values);
    }
  }
  return values;
}

bool agrees(const Message& m, const Expected& e) {
  Expected columns = e;
  std::erase_if(columns.places, [](const Place& p) { return p.column.empty(); });
  const std::vector<std::string> in_columns = values_at(m, columns);
  const auto is_equal = [&e](const std::string& v) {
    if (v == e.value) return true;
    if (e.tolerance == 0) return false;
    const uint64_t difference =
        std::strtoull(v.c_str(), nullptr, 10) - std::strtoull(e.value.c_str(), nullptr, 10);
    return difference + e.tolerance_before < e.tolerance + e.tolerance_before;
  };
  if (std::any_of(in_columns.begin(), in_columns.end(), is_equal)) return true;
  // What has a column travels unmapped only where another source took it.
  if (!in_columns.empty() && std::all_of(in_columns.begin(), in_columns.end(), is_nothing)) {
    return is_nothing(e.value);
  }
  const std::vector<std::string> values = values_at(m, e);
  return std::any_of(values.begin(), values.end(), is_equal) ||
         (is_nothing(e.value) && std::all_of(values.begin(), values.end(), is_nothing));
}

uint32_t element_named(const std::string& name) {
  static const std::map<std::string, uint32_t, std::less<>> all = [] {
    std::map<std::string, uint32_t, std::less<>> ids;
    for (uint32_t id = 1; id < 32'768; ++id) {
      if (const auto e = outbound::find_element(0, id)) ids.emplace(e->name, id);
    }
    return ids;
  }();
  const auto found = all.find(name);
  return found == all.end() ? 0 : found->second;
}

std::vector<Place> places_of(uint32_t enterprise, uint32_t id) {
  std::vector<Place> places;
  if (enterprise == 0) {
    for (auto [at, end] = columns_of_iana().equal_range(id); at != end; ++at) {
      places.push_back({at->second});
    }
    if (id >= 70 && id <= 79) places.push_back({"mpls_label/" + std::to_string(id - 70)});
  }
  places.push_back({"", enterprise, id});
  return places;
}

Kind kind_of(uint32_t enterprise, uint32_t id) {
  using T = outbound::ElementDataType;
  if (enterprise == 0 && id == 95) return Kind::octets;
  const auto element = outbound::find_element(enterprise, id);
  if (!element) return Kind::number;
  switch (element->type) {
    case T::ipv4Address:
    case T::ipv6Address: return Kind::address;
    case T::macAddress: return Kind::mac;
    case T::string: return Kind::text;
    case T::octetArray: return Kind::octets;
    default: return Kind::number;
  }
}

}  // namespace weir::truth
