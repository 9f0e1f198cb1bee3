// tshark_flows.h — What tshark makes of the exports in a capture, record by record.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace weir::truth {

/// The values of one flow record: `cflow.srcaddr` → the texts that tshark shows, in order.
using TsharkFlow = std::multimap<std::string, std::string>;

struct TsharkMessage {
  uint64_t time_ns = 0;  // of the packet
  uint32_t sequence = 0;
  uint16_t version = 0;  // 0: sFlow
  uint64_t export_ns = 0;
  uint64_t uptime_ms = 0;
  std::vector<TsharkFlow> flows;
  bool has_undecoded_sets = false;  // of templates that it does not know (yet)
};

/// `Jul 25, 2017 12:38:01.035371000 UTC` → ns since the epoch; 0 where it is not of that form.
uint64_t parse_time(const std::string& text);
/// `1500986281.035371000` → ns.
uint64_t parse_seconds(const std::string& text);

/// `document` is tshark's `-T json --no-duplicate-keys -J "frame cflow sflow"`. Records of options
/// templates are left out, and of sFlow all but flow samples.
std::vector<TsharkMessage> read_tshark(const nlohmann::ordered_json& document);

}  // namespace weir::truth
