// What tcpdump prints: of sFlow datagrams, and of packets.
#include <fstream>
#include <regex>

#include "truth/golden_readers.h"

namespace weir::truth {
namespace {

/// `…, idx 55, records 2` → 55; empty where the word is not there.
std::string number_behind(const std::string& line, const std::string& word) {
  const size_t at = line.find(word + " ");
  if (at == std::string::npos) return "";
  const size_t from = at + word.size() + 1;
  return line.substr(from, line.find_first_not_of("0123456789", from) - from);
}

void add(Record& record, const std::string& line, const char* word, const char* column) {
  std::string value = number_behind(line, word);
  if (!value.empty()) record.push_back({word, Kind::number, std::move(value), {{column}}});
}

/// A line of a counter sample's blocks.
void add_counters(Record& r, const std::string& line) {
  if (line.find("ifindex") != std::string::npos) {
    add(r, line, "ifindex", "interface.if_index");
    add(r, line, "iftype", "interface.if_type");
    add(r, line, "ifspeed", "interface.if_speed");
    add(r, line, "ifdirection", "interface.if_direction");
  } else if (line.find("ifstatus") != std::string::npos) {
    add(r, line, "ifstatus", "interface.if_status");
  } else if (line.find("In octets") != std::string::npos) {
    add(r, line, "In octets", "interface.if_in_octets");
    add(r, line, "unicast pkts", "interface.if_in_ucast_pkts");
    add(r, line, "multicast pkts", "interface.if_in_multicast_pkts");
    add(r, line, "broadcast pkts", "interface.if_in_broadcast_pkts");
    add(r, line, "discards", "interface.if_in_discards");
  } else if (line.find("In errors") != std::string::npos) {
    add(r, line, "In errors", "interface.if_in_errors");
    add(r, line, "unknown protos", "interface.if_in_unknown_protos");
  } else if (line.find("Out octets") != std::string::npos) {
    add(r, line, "Out octets", "interface.if_out_octets");
    add(r, line, "unicast pkts", "interface.if_out_ucast_pkts");
    add(r, line, "multicast pkts", "interface.if_out_multicast_pkts");
    add(r, line, "broadcast pkts", "interface.if_out_broadcast_pkts");
    add(r, line, "discards", "interface.if_out_discards");
  } else if (line.find("Out errors") != std::string::npos) {
    add(r, line, "Out errors", "interface.if_out_errors");
    add(r, line, "promisc mode", "interface.if_promiscuous_mode");
  } else if (line.find("align errors") != std::string::npos) {
    add(r, line, "align errors", "ethernet.alignment_errors");
    add(r, line, "fcs errors", "ethernet.fcs_errors");
    add(r, line, "single collision", "ethernet.single_collision_frames");
    add(r, line, "multiple collision", "ethernet.multiple_collision_frames");
    add(r, line, "test error", "ethernet.sqe_test_errors");
  } else if (line.find("deferred") != std::string::npos) {
    add(r, line, "deferred", "ethernet.deferred_transmissions");
    add(r, line, "late collision", "ethernet.late_collisions");
    add(r, line, "excessive collision", "ethernet.excessive_collisions");
    add(r, line, "mac trans error", "ethernet.internal_mac_transmit_errors");
  } else if (line.find("carrier error") != std::string::npos) {
    add(r, line, "carrier error", "ethernet.carrier_sense_errors");
    add(r, line, "frames too long", "ethernet.frame_too_longs");
    add(r, line, "mac receive errors", "ethernet.internal_mac_receive_errors");
    add(r, line, "symbol errors", "ethernet.symbol_errors");
  }
}

constexpr const char* kAddress = R"(([0-9a-fA-F]*[.:][0-9a-fA-F.:]*))";

bool is_mac(const std::string& text) {
  static const std::regex mac("([0-9a-f]{2}:){5}[0-9a-f]{2}");
  return std::regex_match(text, mac);
}

/// `192.0.2.1.53` → 192.0.2.1 and 53; `2001:db8::1.53` likewise.
void split_port(const std::string& text, std::string& address, std::string& port) {
  const bool v6 = text.find(':') != std::string::npos;
  const size_t dots = static_cast<size_t>(std::count(text.begin(), text.end(), '.'));
  address = text;
  port.clear();
  if (dots != (v6 ? 1u : 4u)) return;
  const size_t dot = text.rfind('.');
  address = text.substr(0, dot);
  port = text.substr(dot + 1);
}

void add_pair(Record& r, const std::string& from, const std::string& to,
              const std::string& prefix) {
  for (const bool source : {true, false}) {
    std::string address;
    std::string port;
    split_port(source ? from : to, address, port);
    const std::string side = prefix + (source ? "src" : "dst");
    r.push_back({side, Kind::address, same_address(address), {{side + "_addr"}}});
    if (!port.empty()) r.push_back({side + " port", Kind::number, port, {{side + "_port"}}});
  }
}

/// The text of one packet, its lines joined.
void add_packet(const std::string& text, std::vector<Record>& records) {
  static const std::regex stamp(R"(^\s*\d+\s+(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{6}) )");
  static const std::regex pair(std::string(kAddress) + " > " + kAddress + ":");
  static const std::regex label(R"(label (\d+), tc (\d+), (?:\[S\], )?ttl (\d+)\))");
  std::smatch m;
  if (!std::regex_search(text, m, stamp)) return;
  Record r;
  r.push_back({"time",
               Kind::number,
               number_text(iso_time_ns(m[1].str() + "T" + m[2].str() + "Z")),
               {{"time_received_ns"}}});
  std::string rest = m.suffix();
  // What an ICMP error quotes is no packet of its own.
  for (const char* quoting : {"ICMP time exceeded", "unreachable, length"}) {
    rest.resize(std::min(rest.size(), rest.find(quoting)));
  }
  int labels = 0;
  for (std::sregex_iterator at(rest.begin(), rest.end(), label), end; at != end; ++at, ++labels) {
    r.push_back({"label", Kind::number, (*at)[1], {{"mpls_label/" + std::to_string(labels)}}});
    r.push_back({"label ttl", Kind::number, (*at)[3], {{"mpls_ttl/" + std::to_string(labels)}}});
  }
  std::vector<std::pair<std::string, std::string>> pairs;
  for (std::sregex_iterator at(rest.begin(), rest.end(), pair), end; at != end; ++at) {
    if (is_mac((*at)[1]) || is_mac((*at)[2])) continue;
    pairs.emplace_back((*at)[1], (*at)[2]);
  }
  static const std::regex macs(R"(^(\S+) > (\S+), ethertype)");
  if (std::regex_search(rest, m, macs)) {
    r.push_back({"src mac", Kind::mac, m[1], {{"src_mac"}}});
    r.push_back({"dst mac", Kind::mac, m[2], {{"dst_mac"}}});
    if (const std::string n = number_behind(rest, "length"); !n.empty()) {
      r.push_back({"frame length", Kind::number, n, {{"bytes"}}});
    }
  }
  const bool valid = rest.find("(invalid)") == std::string::npos;
  if (!pairs.empty() && valid) {
    add_pair(r, pairs.front().first, pairs.front().second, "");
    if (pairs.size() > 1) add_pair(r, pairs.back().first, pairs.back().second, "inner_");
    static const std::regex v4(
        R"(tos (0x[0-9a-f]+).*?ttl (\d+), id (\d+), offset (\d+),.*?proto \S+ \((\d+)\))");
    static const std::regex v6(
        R"(IP6 \((?:class (0x[0-9a-f]+), )?(?:flowlabel (0x[0-9a-f]+), )?hlim (\d+))");
    if (std::regex_search(rest, m, v4)) {
      r.push_back({"tos", Kind::number, number_text(std::stoull(m[1], nullptr, 16)), {{"ip_tos"}}});
      r.push_back({"ttl", Kind::number, m[2], {{"ip_ttl"}}});
      r.push_back({"id", Kind::number, m[3], {{"fragment_id"}}});
      r.push_back({"proto", Kind::number, m[5], {{"proto"}}});
    } else if (std::regex_search(rest, m, v6)) {
      const auto hex = [](const std::string& t) {
        return number_text(t.empty() ? 0 : std::stoull(t, nullptr, 16));
      };
      r.push_back({"class", Kind::number, hex(m[1]), {{"ip_tos"}}});
      r.push_back({"flowlabel", Kind::number, hex(m[2]), {{"ipv6_flow_label"}}});
      r.push_back({"hlim", Kind::number, m[3], {{"ip_ttl"}}});
    }
  }
  records.push_back(std::move(r));
}

}  // namespace

void read_tcpdump_sflow(const std::filesystem::path& path, Golden& golden) {
  std::ifstream file(path);
  Record datagram;
  Record* sample = nullptr;
  bool counters = false;
  for (std::string line; std::getline(file, line);) {
    if (const size_t at = line.find("sFlowv5, "); at != std::string::npos) {
      const size_t agent = line.find("agent ", at) + 6;
      datagram.clear();
      sample = nullptr;
      if (line.find("(invalid)") != std::string::npos) continue;
      const std::string address = line.substr(agent, line.find(',', agent) - agent);
      datagram.push_back({"agent", Kind::address, address, {{"sampler_address"}}});
      add(datagram, line, "agent-id", "sub_agent_id");
      add(datagram, line, "seqnum", "sequence_num");
    } else if (line.find("counter sample (") != std::string::npos) {
      sample = &golden.counters.emplace_back(datagram);
      counters = true;
      add(*sample, line, "seqnum", "sample_sequence");
      add(*sample, line, "type", "source_class");
      add(*sample, line, "idx", "source_index");
    } else if (line.find("flow sample (") != std::string::npos) {
      sample = &golden.flows.emplace_back(datagram);
      counters = false;
      add(*sample, line, "idx", "source_id");
      add(*sample, line, "rate", "sampling_rate");
      add(*sample, line, "input", "in_if");
      add(*sample, line, "output", "out_if");
      ++golden.events;
    } else if (sample != nullptr && counters) {
      add_counters(*sample, line);
    } else if (sample != nullptr && line.find("stripped bytes") != std::string::npos) {
      add(*sample, line, "length", "bytes");
    }
  }
}

std::vector<Record> read_tcpdump_traffic(const std::filesystem::path& path) {
  std::vector<Record> records;
  std::ifstream file(path);
  static const std::regex first(R"(^\s*\d+\s+\d{4}-\d\d-\d\d .*)");
  std::string packet;
  for (std::string line; std::getline(file, line);) {
    if (std::regex_match(line, first) && !packet.empty()) {
      add_packet(packet, records);
      packet.clear();
    }
    packet += packet.empty() ? line : " " + line;
  }
  add_packet(packet, records);
  return records;
}

}  // namespace weir::truth
