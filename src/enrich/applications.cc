#include "enrich/applications.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>
#include <optional>

#include "base/utf8.h"
#include "enrich/csv.h"
#include "enrich/data_set.h"

namespace weir::enrich {
namespace {

constexpr std::array<std::pair<std::string_view, uint8_t>, 14> kProtocols = {{{"tcp", 6},
                                                                              {"udp", 17},
                                                                              {"sctp", 132},
                                                                              {"dccp", 33},
                                                                              {"udp-lite", 136},
                                                                              {"icmp", 1},
                                                                              {"igmp", 2},
                                                                              {"ipip", 4},
                                                                              {"gre", 47},
                                                                              {"esp", 50},
                                                                              {"ah", 51},
                                                                              {"ipv6-icmp", 58},
                                                                              {"ospf", 89},
                                                                              {"vrrp", 112}}};
constexpr std::array<uint8_t, 5> kWithPorts = {6, 17, 132, 33, 136};

template <class T>
std::optional<T> number_of(std::string_view text) noexcept {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::optional<uint8_t> protocol_of(std::string_view text) noexcept {
  for (const auto& [name, number] : kProtocols) {
    if (name == text) return number;
  }
  return number_of<uint8_t>(text);
}

bool is_under(const IpAddress& address, const Prefix& prefix) noexcept {
  const size_t whole = prefix.length / 8u;
  if (!std::equal(address.octets.begin(), address.octets.begin() + static_cast<std::ptrdiff_t>(whole), prefix.address.octets.begin())) return false;
  const unsigned rest = prefix.length % 8u;
  return rest == 0 || ((address.octets[whole] ^ prefix.address.octets[whole]) >> (8 - rest)) == 0;
}

}  // namespace

/// Reads one file into a table.
class ApplicationReader {
 public:
  ApplicationReader(std::string_view text, const std::string& path) : csv_(text, path), path_(path) {}

  Result<ApplicationTable> read() {
    std::vector<std::string> cells;
    auto heading = csv_.next(cells);
    if (!heading) return heading.error();
    const std::vector<std::string> columns = {"name", "protocol", "ports", "prefix"};
    if (!*heading || cells != columns) return Error{fmt::format("{}: the first line is to be name,protocol,ports,prefix", path_)};
    for (;;) {
      auto next = csv_.next(cells);
      if (!next) return next.error();
      if (!*next) break;
      if (auto added = add(cells); !added) return Error{fmt::format("{}: {}", csv_.where(), added.error().message)};
    }
    table_.index_ports();
    if (auto indexed = table_.index_prefixes(prefixes_, path_); !indexed) return indexed.error();
    return std::move(table_);
  }

 private:
  Result<void> add(const std::vector<std::string>& cells) {
    if (cells.size() != 4) return Error{fmt::format("{} columns, the heading has 4", cells.size())};
    if (table_.rows() == kApplicationRowsMax) return Error{fmt::format("more than {} lines", kApplicationRowsMax)};
    ApplicationTable::Row row;
    row.name = cells[0];
    if (row.name.empty() || row.name.size() > kNameOctetsMax) return Error{fmt::format("a name has 1 to {} octets", kNameOctetsMax)};
    make_utf8(reinterpret_cast<uint8_t*>(row.name.data()), row.name.size());
    if (!cells[1].empty()) {
      const auto protocol = protocol_of(cells[1]);
      if (!protocol) return Error{fmt::format("{} is no protocol; tcp, udp, sctp, dccp, udp-lite, icmp, … or a number are", cells[1].substr(0, 60))};
      row.protocol = *protocol;
    }
    if (!cells[2].empty()) {
      if (cells[2].size() > kPortsTextMax || !ApplicationTable::read_ports(cells[2], row.ports)) {
        return Error{fmt::format("'{}' are no ports, as 443, 80 8080 and 6000-6063 are", cells[2].substr(0, 60))};
      }
      if (row.protocol >= 0 && std::find(kWithPorts.begin(), kWithPorts.end(), row.protocol) == kWithPorts.end()) {
        return Error{fmt::format("{} has no ports", cells[1])};
      }
    }
    if (!cells[3].empty()) {
      auto prefix = parse_prefix(cells[3]);
      if (!prefix) return Error{fmt::format("{} is no prefix, as 192.0.2.0/24 and 2001:db8::/32 are", cells[3].substr(0, 60))};
      prefix->value = static_cast<uint32_t>(table_.rows_.size());
      row.prefix_length = prefix->length;
      prefixes_.push_back(*prefix);
    } else if (row.protocol < 0 && row.ports.empty()) {
      return Error{"it needs a protocol, ports or a prefix"};
    }
    table_.rows_.push_back(std::move(row));
    return {};
  }

  CsvReader csv_;
  const std::string& path_;
  ApplicationTable table_;
  std::vector<Prefix> prefixes_;  // their values are rows
};

Result<ApplicationTable> ApplicationTable::parse(std::string_view text, const std::string& path) {
  return ApplicationReader(text, path).read();
}

bool ApplicationTable::read_ports(std::string_view text, std::vector<PortRange>& ports) {
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view item = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (item.empty()) continue;
    const size_t dash = item.find('-');
    const auto first = number_of<uint16_t>(item.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number_of<uint16_t>(item.substr(dash + 1));
    if (!first || !last || *first == 0 || *first > *last) return false;
    ports.push_back({*first, *last});
  }
  return !ports.empty();
}

int ApplicationTable::place_of(uint8_t protocol) noexcept {
  switch (protocol) {
    case 6: return 0;
    case 17: return 1;
    case 132: return 2;
    case 33: return 3;
    case 136: return 4;
    default: return -1;
  }
}

/// Of lines that fit alike the first one holds.
void ApplicationTable::index_ports() {
  constexpr size_t kPorts = 65536;
  const auto put = [&](size_t place, size_t port, uint16_t row) {
    uint16_t& page = page_of_[place][port >> 8];
    if (page == 0) {
      page = static_cast<uint16_t>(pages_.size());
      pages_.emplace_back();
    }
    pages_[page][port & 0xff] = row;
  };
  // From a port to the next that nobody has: however many lines are about the same ports, each port is taken once.
  std::array<std::vector<uint32_t>, kWithPorts.size()> next;
  for (std::vector<uint32_t>& ports : next) {
    ports.resize(kPorts + 1);
    std::iota(ports.begin(), ports.end(), 0u);
  }
  const auto free_from = [](std::vector<uint32_t>& ports, uint32_t port) {
    while (ports[port] != port) port = ports[port] = ports[ports[port]];
    return port;
  };
  for (size_t i = 1; i < rows_.size(); ++i) {
    const Row& row = rows_[i];
    if (row.prefix_length >= 0) continue;
    const auto number = static_cast<uint16_t>(i);
    if (row.ports.empty()) {
      uint16_t& there = by_protocol_[static_cast<size_t>(row.protocol)];
      if (there == 0) there = number;
      continue;
    }
    for (size_t place = 0; place < kWithPorts.size(); ++place) {
      if (row.protocol >= 0 && row.protocol != kWithPorts[place]) continue;
      for (const PortRange& range : row.ports) {
        for (uint32_t port = free_from(next[place], range.first); port <= range.last; port = free_from(next[place], port)) {
          put(place, port, number);
          next[place][port] = port + 1;
        }
      }
    }
  }
}

/// A prefix has its own lines, and behind them those of the prefixes that it lies in.
Result<void> ApplicationTable::index_prefixes(const std::vector<Prefix>& prefixes, const std::string& path) {
  if (prefixes.empty()) return {};
  const auto masked = [](Prefix prefix) {
    for (size_t bit = prefix.length; bit < 128; bit = (bit / 8 + 1) * 8) {
      prefix.address.octets[bit / 8] = static_cast<uint8_t>(prefix.address.octets[bit / 8] & ~(0xff >> bit % 8));
    }
    return prefix;
  };
  std::map<std::pair<IpAddress, uint8_t>, std::vector<uint16_t>> own;
  for (const Prefix& each : prefixes) {
    const Prefix prefix = masked(each);
    own[{prefix.address, prefix.length}].push_back(static_cast<uint16_t>(prefix.value));
  }
  std::vector<Prefix> numbered;  // their values are groups
  std::vector<Prefix> open;      // those that hold the one that is looked at
  for (const auto& [key, rows] : own) {
    while (!open.empty() && !is_under(key.first, open.back())) open.pop_back();
    std::vector<uint16_t> group = rows;
    if (!open.empty()) {
      const std::vector<uint16_t>& outer = groups_[open.back().value];
      group.insert(group.end(), outer.begin(), outer.end());
    }
    const Prefix prefix{key.first, key.second, static_cast<uint32_t>(groups_.size())};
    if (group.size() > kRowsOfAddressMax) {
      return Error{fmt::format("{}: {} lines are about {}; at most {} can be", path, group.size(), key.first.to_string(), kRowsOfAddressMax)};
    }
    groups_.push_back(std::move(group));
    numbered.push_back(prefix);
    open.push_back(prefix);
  }
  const std::vector<Prefix> sets[] = {numbered};
  auto table = AddressTable::build(sets);
  if (!table) return table.error();
  addresses_ = std::move(*table);
  return {};
}

uint16_t ApplicationTable::by_address(uint8_t protocol, const FlowEnd& end) const noexcept {
  for (const uint16_t row : groups_[addresses_.combinations()[addresses_.find(end.address)][0]]) {
    if (rows_[row].fits(protocol, end.port)) return row;
  }
  return 0;
}

std::string_view ApplicationTable::find(uint8_t protocol, const FlowEnd& one, const FlowEnd& other) const noexcept {
  const FlowEnd& low = one.port <= other.port ? one : other;
  const FlowEnd& high = one.port <= other.port ? other : one;
  if (groups_.size() > 1) {
    const uint16_t a = by_address(protocol, low), b = by_address(protocol, high);
    if ((a | b) != 0) {
      const int length_a = rows_[a].prefix_length, length_b = rows_[b].prefix_length;
      if (length_a != length_b) return rows_[length_a > length_b ? a : b].name;
      return rows_[low.port != high.port ? a : std::min(a, b)].name;
    }
  }
  if (const int place = place_of(protocol); place >= 0) {
    if (const uint16_t row = by_port(place, low.port); row != 0) return rows_[row].name;
    if (const uint16_t row = by_port(place, high.port); row != 0) return rows_[row].name;
  }
  return rows_[by_protocol_[protocol]].name;
}

}  // namespace weir::enrich
