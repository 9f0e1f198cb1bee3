// Programs that make sessions of packets: Arkime, ipfixprobe. What they say of packets' headers is
// compared; what they say of payloads, geography and themselves is not ours, and counted as such.
#include <fstream>
#include <set>
#include <sstream>

#include "support/process.h"
#include "truth/golden_readers.h"

namespace weir::truth {
namespace {

using nlohmann::json;
using Op = Sum::Op;

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr const char* kBeyondHeaders = "(beyond headers)";

struct Ends {
  std::string src, dst, src_port, dst_port, proto;
};

Record filter_of(const Ends& e) {
  return {{"source", Kind::address, same_address(e.src), {{"@in_src"}}},
          {"destination", Kind::address, same_address(e.dst), {{"@in_dst"}}},
          {"source port", Kind::number, e.src_port, {{"@in_src_port"}}},
          {"destination port", Kind::number, e.dst_port, {{"@in_dst_port"}}},
          {"protocol", Kind::number, e.proto, {{"@in_proto"}}}};
}
Ends reversed(const Ends& e) { return {e.dst, e.src, e.dst_port, e.src_port, e.proto}; }

uint64_t leaves(const json& node) {
  if (!node.is_structured()) return 1;
  uint64_t n = 0;
  for (const json& child : node) n += leaves(child);
  return n;
}

uint64_t number_of(const json& v) {
  return v.is_string() ? std::stoull(v.get<std::string>()) : v.get<uint64_t>();
}

/// All values of a session's member that is a list or a single value.
std::vector<std::string> members(const json& body, const char* name) {
  std::vector<std::string> values;
  if (!body.contains(name)) return values;
  for (const json& v : body[name].is_array() ? body[name] : json::array({body[name]})) {
    values.push_back(v.is_string() ? v.get<std::string>() : v.dump());
  }
  return values;
}

void add_session(const json& body, std::vector<SumRecord>& records) {
  const json& source = body.at("source");
  const json& destination = body.at("destination");
  SumRecord rest;
  uint64_t beyond = leaves(body);
  if (source.contains("ip")) {
    const auto port = [](const json& side) { return number_text(number_of(side.at("port"))); };
    const Ends ends{source["ip"], destination.at("ip"), port(source), port(destination),
                    number_text(number_of(body.at("ipProtocol")))};
    const uint64_t first = number_of(body.at("firstPacket"));
    const uint64_t last = number_of(body.at("lastPacket"));
    const Expected time{"firstPacket",
                        Kind::number,
                        number_text(first * kNsPerMs),
                        {{"time_received_ns"}},
                        (last - first + 1) * kNsPerMs};
    for (const bool forward : {true, false}) {
      const json& from = forward ? source : destination;
      const std::string side = forward ? "source" : "destination";
      SumRecord r{filter_of(forward ? ends : reversed(ends)), {}};
      r.filter.push_back(time);
      r.sums.push_back({side + ".packets", Op::count, "", number_of(from.at("packets"))});
      r.sums.push_back({side + ".bytes", Op::total, "bytes", number_of(from.at("bytes"))});
      for (const std::string& ttl : members(body, forward ? "srcTTL" : "dstTTL")) {
        r.sums.push_back({forward ? "srcTTL" : "dstTTL", Op::seen, "ip_ttl", std::stoull(ttl)});
      }
      if (body.contains("network") && body["network"].contains("vlan") &&
          number_of(from.at("packets")) != 0) {
        for (const json& id : body["network"]["vlan"].at("id")) {
          r.sums.push_back({"vlan", Op::seen, "vlan_id", number_of(id)});
        }
      }
      beyond -= r.sums.size() + (forward ? 7 : 0);
      records.push_back(std::move(r));
    }
  }
  for (uint64_t i = 0; i < beyond; ++i) {
    rest.filter.push_back({kBeyondHeaders, Kind::text, "", {}});
  }
  records.push_back(std::move(rest));
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  return cells;
}

}  // namespace

std::vector<SumRecord> read_arkime(const std::filesystem::path& path) {
  std::vector<SumRecord> records;
  const json document = json::parse(test::contents_of(path.string()));
  for (const json& session : document.at("sessions3")) add_session(session.at("body"), records);
  return records;
}

std::vector<SumRecord> read_ipfixprobe(const std::filesystem::path& path) {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> rows;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    if (!line.starts_with("ipaddr ")) {
      rows.push_back(cells_of(line));
      continue;
    }
    for (const std::string& typed : cells_of(line))
      names.push_back(typed.substr(typed.find(' ') + 1));
  }
  // A biflow with several names (NetBIOS) has a row for each.
  std::set<std::string> told;
  // A biflow that timed out goes on in another row: rows of one key are taken together.
  struct Biflow {
    uint64_t packets[2] = {0, 0}, octets[2] = {0, 0}, flags[2] = {0, 0};
    uint64_t first = UINT64_MAX, last = 0;
    std::string mac[2];
  };
  std::map<std::vector<std::string>, Biflow> biflows;
  SumRecord rest;
  for (const auto& row : rows) {
    std::map<std::string, std::string> v;
    for (size_t i = 0; i < std::min(names.size(), row.size()); ++i) v[names[i]] = row[i];
    bool turned = false;
    std::vector<std::string> key{v["SRC_IP"], v["DST_IP"], v["SRC_PORT"], v["DST_PORT"],
                                 v["PROTOCOL"]};
    const std::vector<std::string> other{key[1], key[0], key[3], key[2], key[4]};
    if (biflows.contains(other)) {
      key = other;
      turned = true;
    }
    Biflow& b = biflows[key];
    std::string row_key;
    for (const std::string& k : key) append_word(row_key, k);
    const bool again =
        !told.insert(row_key + v["TIME_FIRST"] + v["TIME_LAST"] + v["PACKETS"]).second;
    const auto number = [&v, again](const char* name) {
      return !again && v.contains(name) && !v[name].empty() ? std::stoull(v[name]) : 0;
    };
    b.packets[turned] += number("PACKETS");
    b.packets[!turned] += number("PACKETS_REV");
    b.octets[turned] += number("BYTES");
    b.octets[!turned] += number("BYTES_REV");
    b.flags[turned] |= number("TCP_FLAGS");
    b.flags[!turned] |= number("TCP_FLAGS_REV");
    b.first = std::min(b.first, iso_time_ns(v["TIME_FIRST"]));
    b.last = std::max(b.last, iso_time_ns(v["TIME_LAST"]));
    b.mac[0] = v[turned ? "DST_MAC" : "SRC_MAC"];
    b.mac[1] = v[turned ? "SRC_MAC" : "DST_MAC"];
    static const std::set<std::string> kHeaders = {
        "SRC_IP",    "DST_IP",      "SRC_PORT",  "DST_PORT",      "PROTOCOL",
        "PACKETS",   "PACKETS_REV", "TCP_FLAGS", "TCP_FLAGS_REV", "BYTES",
        "BYTES_REV", "TIME_FIRST",  "TIME_LAST", "SRC_MAC",       "DST_MAC"};
    for (const auto& [name, value] : v) {
      if (kHeaders.contains(name)) continue;
      rest.filter.push_back({kBeyondHeaders, Kind::text, "", {}});
    }
  }
  std::vector<SumRecord> records;
  for (const auto& [key, b] : biflows) {
    const Ends ends{key[0], key[1], key[2], key[3], key[4]};
    for (const int way : {0, 1}) {
      SumRecord r{filter_of(way == 0 ? ends : reversed(ends)), {}};
      r.sums.push_back({"PACKETS", Op::count, "", b.packets[way]});
      if (b.packets[way] != 0)
        r.sums.push_back({"TCP_FLAGS", Op::any_bit, "tcp_flags", b.flags[way]});
      records.push_back(std::move(r));
      SumRecord octets{filter_of(way == 0 ? ends : reversed(ends)), {}};
      octets.of_ip = true;
      octets.sums.push_back({"BYTES", Op::total, "bytes", b.octets[way]});
      records.push_back(std::move(octets));
    }
    SumRecord both{filter_of(ends), {}};
    both.either_direction = true;
    both.sums.push_back({"TIME_FIRST", Op::first, "time_received_ns", b.first, 1000});
    both.sums.push_back({"TIME_LAST", Op::last, "time_received_ns", b.last, 1000});
    records.push_back(std::move(both));
    SumRecord macs{filter_of(ends), {}};
    macs.filter.push_back({"SRC_MAC", Kind::mac, b.mac[0], {{"src_mac"}}});
    macs.filter.push_back({"DST_MAC", Kind::mac, b.mac[1], {{"dst_mac"}}});
    records.push_back(std::move(macs));
  }
  records.push_back(std::move(rest));
  return records;
}

}  // namespace weir::truth
