#include "truth/tshark_flows.h"

#include <cstdlib>
#include <ctime>
#include <regex>

namespace weir::truth {
namespace {

using json = nlohmann::ordered_json;

void flatten(const json& node, TsharkFlow& flow) {
  for (const auto& [key, value] : node.items()) {
    if (value.is_object()) {
      flatten(value, flow);
    } else if (value.is_array()) {
      for (const json& item : value) {
        if (item.is_string()) flow.emplace(key, item.get<std::string>());
        if (item.is_object()) flatten(item, flow);
      }
    } else if (value.is_string()) {
      flow.emplace(key, value.get<std::string>());
    }
  }
}

std::string text_of(const json& node, const char* key) {
  const auto it = node.find(key);
  return it != node.end() && it->is_string() ? it->get<std::string>() : std::string();
}

/// Template ids that are options templates', by observation domain.
using OptionsIds = std::set<std::pair<std::string, int>>;

/// Template sets have a node for each template, named with its id: remembers which are options'.
void learn(const json& set, const std::string& domain, OptionsIds& options) {
  static const std::regex named("(Options )?Template \\(Id = ([0-9]+)[ ,)].*");
  for (const auto& [key, value] : set.items()) {
    std::smatch match;
    if (!std::regex_match(key, match, named)) continue;
    const std::pair id(domain, std::atoi(match[2].str().c_str()));
    if (match[1].matched) {
      options.insert(id);
    } else {
      options.erase(id);
    }
  }
}

void read_message(const json& cflow, TsharkMessage& message, OptionsIds& options) {
  message.version = static_cast<uint16_t>(std::atoi(text_of(cflow, "cflow.version").c_str()));
  message.sequence =
      static_cast<uint32_t>(std::strtoul(text_of(cflow, "cflow.sequence").c_str(), nullptr, 10));
  message.export_ns = parse_time(text_of(cflow, "cflow.timestamp"));
  message.uptime_ms = parse_seconds(text_of(cflow, "cflow.sysuptime")) / 1'000'000;
  const std::string domain = text_of(cflow, "cflow.source_id") + text_of(cflow, "cflow.od_id");
  static const std::regex pdu("pdu [0-9]+/[0-9]+");
  static const std::regex flow("Flow [0-9]+");
  for (const auto& [key, value] : cflow.items()) {
    if (!value.is_object()) continue;
    if (std::regex_match(key, pdu)) {
      flatten(value, message.flows.emplace_back());
      continue;
    }
    if (!key.starts_with("FlowSet ") && !key.starts_with("Set ")) continue;
    learn(value, domain, options);
    const std::string id_text = text_of(value, "cflow.flowset_id");
    const int id = std::atoi(id_text.c_str());
    if (id < 256 || options.contains({domain, id})) continue;
    bool any = false;
    for (const auto& [name, node] : value.items()) {
      if (!node.is_object() || !std::regex_match(name, flow)) continue;
      flatten(node, message.flows.emplace_back());
      any = true;
    }
    message.has_undecoded_sets = message.has_undecoded_sets || !any;
  }
}

void read_datagram(const json& sflow, TsharkMessage& message) {
  message.sequence = static_cast<uint32_t>(
      std::strtoul(text_of(sflow, "sflow_245.sequence_number").c_str(), nullptr, 10));
  const auto read = [&](const std::string& name, const json& sample) {
    if (!sample.is_object()) return;
    if (name.starts_with("Flow sample") || name.starts_with("Expanded flow sample")) {
      flatten(sample, message.flows.emplace_back());
    }
  };
  for (const auto& [key, value] : sflow.items()) {
    if (value.is_array()) {
      for (const json& one : value) read(key, one);
    } else {
      read(key, value);
    }
  }
}

}  // namespace

uint64_t parse_seconds(const std::string& text) {
  char* end = nullptr;
  const uint64_t seconds = std::strtoull(text.c_str(), &end, 10);
  uint64_t nanoseconds = 0;
  if (*end == '.') {
    // Nine digits; ten where a capture's fraction is a whole second.
    std::string digits(end + 1);
    if (digits.size() < 9) digits.resize(9, '0');
    nanoseconds = std::strtoull(digits.c_str(), nullptr, 10);
  }
  return seconds * 1'000'000'000 + nanoseconds;
}

uint64_t parse_time(const std::string& text) {
  tm when{};
  const char* rest = ::strptime(text.c_str(), "%b %d, %Y %H:%M:%S", &when);
  if (rest == nullptr) return 0;
  const time_t seconds = timegm(&when);
  if (seconds < 0) return 0;
  std::string digits;
  if (*rest == '.') {
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest) digits += *rest;
  }
  digits.resize(9, '0');
  return static_cast<uint64_t>(seconds) * 1'000'000'000 +
         std::strtoull(digits.c_str(), nullptr, 10);
}

std::vector<TsharkMessage> read_tshark(const json& document) {
  std::vector<TsharkMessage> messages;
  OptionsIds options;
  for (const json& packet : document) {
    const json& layers = packet["_source"]["layers"];
    const uint64_t time_ns = parse_seconds(text_of(layers["frame"], "frame.time_epoch"));
    const auto read = [&](const json& one, bool is_sflow) {
      if (!one.is_object()) return;
      TsharkMessage message;
      message.time_ns = time_ns;
      if (is_sflow) {
        read_datagram(one, message);
      } else {
        read_message(one, message, options);
      }
      messages.push_back(std::move(message));
    };
    for (const char* layer : {"cflow", "sflow"}) {
      const auto found = layers.find(layer);
      if (found == layers.end()) continue;
      const bool is_sflow = *layer == 's';
      if (found->is_array()) {
        for (const json& one : *found) read(one, is_sflow);
      } else {
        read(*found, is_sflow);
      }
    }
  }
  return messages;
}

}  // namespace weir::truth
