#include "control/taps/live_query.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "control/config/config.h"
#include "export/protocol_names.h"

namespace weir::control {
namespace {

using dataplane::FlowFilter;
using dataplane::PrefixMatch;

constexpr std::array<std::pair<std::string_view, FlowType>, 7> kTypes = {{
    {"netflow_v1", FlowType::netflow_v1},
    {"netflow_v5", FlowType::netflow_v5},
    {"netflow_v7", FlowType::netflow_v7},
    {"netflow_v9", FlowType::netflow_v9},
    {"ipfix", FlowType::ipfix},
    {"sflow_5", FlowType::sflow_5},
    {"sflow", FlowType::sflow_5},
}};

// What people call otherwise than IANA's registry.
constexpr std::array<std::pair<std::string_view, uint16_t>, 3> kProtocolsByOtherNames = {{
    {"icmp6", 58},
    {"icmpv6", 58},
    {"ospf", 89},
}};

bool is_same_word(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

template <class Number>
std::optional<Number> number_of(std::string_view text, Number least, Number most) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) return std::nullopt;
  return value;
}

std::optional<uint16_t> protocol_of(std::string_view text) {
  if (const auto number = number_of<uint16_t>(text, 0, 255)) return number;
  for (uint16_t i = 0; i < 256; ++i) {
    const std::string_view name = outbound::protocol_name(static_cast<uint8_t>(i));
    if (!name.empty() && is_same_word(name, text)) return i;
  }
  for (const auto& [name, number] : kProtocolsByOtherNames) {
    if (is_same_word(name, text)) return number;
  }
  return std::nullopt;
}

std::string joined(std::span<const std::string> words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
  return all;
}

/// Sets what one parameter says; what it may be where it is wrong, and nothing where it is right.
class Reader {
 public:
  explicit Reader(std::span<const std::string> listeners) : listeners_(listeners) {}

  using Set = std::string (Reader::*)(std::string_view);
  struct Parameter {
    std::string_view name;
    Set set;
  };
  static std::span<const Parameter> parameters();

  LiveQuery query;

 private:
  template <std::optional<PrefixMatch> FlowFilter::*kMember>
  std::string prefix(std::string_view text) {
    const auto parsed = AddressPrefix::parse(text);
    if (!parsed) return "an address or a prefix, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32";
    query.filter.*kMember = PrefixMatch(parsed->address, parsed->bits);
    return {};
  }
  template <std::optional<uint16_t> FlowFilter::*kMember>
  std::string port(std::string_view text) {
    query.filter.*kMember = number_of<uint16_t>(text, 0, 65'535);
    return query.filter.*kMember ? "" : "a number from 0 to 65535";
  }
  template <std::optional<uint32_t> FlowFilter::*kMember>
  std::string interface(std::string_view text) {
    query.filter.*kMember = number_of<uint32_t>(text, 0, UINT32_MAX);
    return query.filter.*kMember ? "" : "an interface's index, a number from 0 to 4294967295";
  }
  std::string protocol(std::string_view text) {
    query.filter.protocol = protocol_of(text);
    return query.filter.protocol ? "" : "an IP protocol's number or its name, such as 6, tcp, udp, icmp or gre";
  }
  std::string type(std::string_view text) {
    for (const auto& [name, type] : kTypes) {
      if (is_same_word(name, text)) query.filter.type = type;
    }
    return query.filter.type ? "" : "one of netflow_v1, netflow_v5, netflow_v7, netflow_v9, ipfix, sflow_5";
  }
  std::string listener(std::string_view text) {
    const auto it = std::find(listeners_.begin(), listeners_.end(), text);
    if (it == listeners_.end()) return "one of the listeners: " + joined(listeners_);
    query.filter.listener = ListenerId{static_cast<uint16_t>(it - listeners_.begin())};
    return {};
  }
  std::string seconds(std::string_view text) {
    const auto number = number_of<uint32_t>(text, 1, kLiveSecondsMax);
    query.seconds = number.value_or(0);
    return number ? "" : fmt::format("a number from 1 to {}", kLiveSecondsMax);
  }
  std::string flows_max(std::string_view text) {
    const auto number = number_of<uint32_t>(text, 1, kLiveFlowsMax);
    query.flows_max = number.value_or(0);
    return number ? "" : fmt::format("a number from 1 to {}", kLiveFlowsMax);
  }

  const std::span<const std::string> listeners_;
};

std::span<const Reader::Parameter> Reader::parameters() {
  using F = FlowFilter;
  static constexpr Parameter kAll[] = {
      {"exporter", &Reader::prefix<&F::exporter>},
      {"src", &Reader::prefix<&F::source>},
      {"dst", &Reader::prefix<&F::destination>},
      {"net", &Reader::prefix<&F::either>},
      {"src_port", &Reader::port<&F::source_port>},
      {"dst_port", &Reader::port<&F::destination_port>},
      {"port", &Reader::port<&F::either_port>},
      {"proto", &Reader::protocol},
      {"listener", &Reader::listener},
      {"in_if", &Reader::interface<&F::in_interface>},
      {"out_if", &Reader::interface<&F::out_interface>},
      {"if", &Reader::interface<&F::either_interface>},
      {"type", &Reader::type},
      {"seconds", &Reader::seconds},
      {"max", &Reader::flows_max},
  };
  return kAll;
}

}  // namespace

std::vector<std::string> live_query_parameters() {
  std::vector<std::string> names;
  for (const auto& parameter : Reader::parameters()) names.emplace_back(parameter.name);
  return names;
}

Result<LiveQuery> read_live_query(const std::map<std::string, std::string>& parameters,
                                  std::span<const std::string> listeners) {
  Reader reader(listeners);
  for (const auto& [name, value] : parameters) {
    const auto known = Reader::parameters();
    const auto it = std::find_if(known.begin(), known.end(), [&name = name](const auto& p) { return p.name == name; });
    if (it == known.end()) return Error{fmt::format("there is no parameter '{}', only {}", name, joined(live_query_parameters()))};
    if (const std::string wanted = (reader.*it->set)(value); !wanted.empty()) {
      return Error{fmt::format("{}: '{}' is not {}", name, value, wanted)};
    }
  }
  return reader.query;
}

}  // namespace weir::control
