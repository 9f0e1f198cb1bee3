#include "query/fields.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <vector>

#include "query/value_names.h"

namespace weir::query {
namespace {

using K = FieldKind;
constexpr int64_t kU8 = 255, kU16 = 65'535, kU32 = 4'294'967'295;
constexpr std::string_view kScaled = "bytes_in_raw bytes_out_raw packets_in_raw packets_out_raw sampling_rate";

// least and greatest leave NULLs out: they must not see any.
#define WEIR_SCALED(column)                                                                                               \
  "(CASE WHEN f." column " IS NOT NULL THEN CAST(least(CAST(f." column                                                  \
  " AS HUGEINT) * greatest(coalesce(f.sampling_rate, 0), 1), 9223372036854775807) AS BIGINT) END)"
#define WEIR_DURATION_MS \
  "(CASE WHEN f.end_time >= f.start_time THEN (epoch_us(f.end_time) - epoch_us(f.start_time)) // 1000 WHEN f.end_time < f.start_time THEN 0 END)"

constexpr Field kFields[] = {
    // addresses
    {"src_endpoint_ip", "src_ip connection.src_endpoint_ip src_addr", K::address, "f.src_endpoint_addr"},
    {"dst_endpoint_ip", "dst_ip connection.dst_endpoint_ip dst_addr", K::address, "f.dst_endpoint_addr"},
    {"ip", "endpoint_ip", K::address, "f.src_endpoint_addr", "f.dst_endpoint_addr"},
    {"src_cidr", "", K::network, "f.src_endpoint_addr"},
    {"dst_cidr", "", K::network, "f.dst_endpoint_addr"},
    {"cidr", "", K::network, "f.src_endpoint_addr", "f.dst_endpoint_addr"},
    {"conversation", "", K::conversation, "f.src_endpoint_addr", {}, "f.src_endpoint_addr f.dst_endpoint_addr"},
    // ports, protocol
    {.name = "src_endpoint_port", .aliases = "src_port connection.src_endpoint_port", .kind = K::number, .column = "f.src_endpoint_port", .largest = kU16},
    {.name = "dst_endpoint_port", .aliases = "dst_port connection.dst_endpoint_port", .kind = K::number, .column = "f.dst_endpoint_port", .largest = kU16},
    {.name = "port", .aliases = "endpoint_port", .kind = K::number, .column = "f.src_endpoint_port", .other_column = "f.dst_endpoint_port", .largest = kU16},
    {.name = "protocol_num", .aliases = "proto protocol", .kind = K::number, .column = "f.protocol_num", .largest = kU8, .names = kProtocolNames},
    {.name = "protocol_name", .aliases = "proto_name", .kind = K::named_number, .column = "f.protocol_num", .largest = kU8, .names = kProtocolNames},
    {.name = "protocol_group", .aliases = "proto_group", .kind = K::named_number,
     .column = "(CASE f.protocol_num WHEN 6 THEN 6 WHEN 17 THEN 17 ELSE 0 END)", .reads = "f.protocol_num", .largest = 17, .names = kProtocolGroups},
    // counters
    {.name = "bytes_total", .aliases = "bytes", .kind = K::counter, .column = "f.bytes_total", .raw_column = "f.bytes_raw", .unit = "bytes"},
    {.name = "packets_total", .aliases = "packets", .kind = K::counter, .column = "f.packets_total", .raw_column = "f.packets_raw", .unit = "packets"},
    {.name = "bytes_in", .aliases = "", .kind = K::counter, .column = WEIR_SCALED("bytes_in_raw"), .reads = kScaled, .raw_column = "f.bytes_in_raw", .unit = "bytes"},
    {.name = "bytes_out", .aliases = "", .kind = K::counter, .column = WEIR_SCALED("bytes_out_raw"), .reads = kScaled, .raw_column = "f.bytes_out_raw", .unit = "bytes"},
    {.name = "packets_in", .aliases = "", .kind = K::counter, .column = WEIR_SCALED("packets_in_raw"), .reads = kScaled, .raw_column = "f.packets_in_raw", .unit = "packets"},
    {.name = "packets_out", .aliases = "", .kind = K::counter, .column = WEIR_SCALED("packets_out_raw"), .reads = kScaled, .raw_column = "f.packets_out_raw", .unit = "packets"},
    {.name = "bytes_raw", .aliases = "", .kind = K::counter, .column = "f.bytes_raw", .unit = "bytes"},
    {.name = "packets_raw", .aliases = "", .kind = K::counter, .column = "f.packets_raw", .unit = "packets"},
    {.name = "duration_ms", .aliases = "duration", .kind = K::counter, .column = WEIR_DURATION_MS, .reads = "f.start_time f.end_time", .unit = "ms"},
    {.name = "duration_bucket", .aliases = "", .kind = K::named_number,
     .column = "(CASE WHEN " WEIR_DURATION_MS " < 1000 THEN 0 WHEN " WEIR_DURATION_MS " < 10000 THEN 1 WHEN " WEIR_DURATION_MS
               " < 60000 THEN 2 WHEN " WEIR_DURATION_MS " <= 300000 THEN 3 WHEN " WEIR_DURATION_MS " > 300000 THEN 4 END)",
     .reads = "f.start_time f.end_time", .largest = 4, .names = kDurationBuckets},
    {.name = "sampling_rate", .aliases = "", .kind = K::number, .column = "f.sampling_rate"},
    // flags and layer 3
    {.name = "tcp_flags", .aliases = "", .kind = K::tcp_flags, .column = "f.tcp_flags", .largest = kU16},
    {.name = "tcp_flags_label", .aliases = "tcp_flags_labels", .kind = K::flags_label, .column = "(f.tcp_flags & 511)", .reads = "f.tcp_flags", .largest = 511},
    {.name = "ip_tos", .aliases = "tos", .kind = K::number, .column = "f.ip_tos", .largest = kU8},
    {.name = "dscp", .aliases = "", .kind = K::number, .column = "(f.ip_tos >> 2)", .reads = "f.ip_tos", .largest = 63, .names = kDscps},
    {.name = "ip_ttl", .aliases = "ttl", .kind = K::number, .column = "f.ip_ttl", .largest = kU8},
    {.name = "icmp_type", .aliases = "", .kind = K::number, .column = "f.icmp_type", .largest = kU8},
    {.name = "icmp_code", .aliases = "", .kind = K::number, .column = "f.icmp_code", .largest = kU8},
    // layer 2
    {"src_mac", "", K::mac, "f.src_mac"},
    {"dst_mac", "", K::mac, "f.dst_mac"},
    {"mac", "", K::mac, "f.src_mac", "f.dst_mac"},
    {.name = "vlan_id", .aliases = "", .kind = K::number, .column = "f.vlan_id", .largest = kU16},
    {.name = "src_vlan", .aliases = "", .kind = K::number, .column = "f.src_vlan", .largest = kU16},
    {.name = "dst_vlan", .aliases = "", .kind = K::number, .column = "f.dst_vlan", .largest = kU16},
    {.name = "vlan", .aliases = "", .kind = K::number, .column = "f.src_vlan", .other_column = "f.dst_vlan", .largest = kU16},
    // routing
    {.name = "src_as", .aliases = "src_asn", .kind = K::number, .column = "f.src_as", .largest = kU32},
    {.name = "dst_as", .aliases = "dst_asn", .kind = K::number, .column = "f.dst_as", .largest = kU32},
    {.name = "as", .aliases = "asn", .kind = K::number, .column = "f.src_as", .other_column = "f.dst_as", .largest = kU32},
    {.name = "next_hop_as", .aliases = "", .kind = K::number, .column = "f.next_hop_as", .largest = kU32},
    {"next_hop", "", K::address, "f.next_hop"},
    {"bgp_next_hop", "", K::address, "f.bgp_next_hop"},
    {.name = "src_net", .aliases = "src_mask", .kind = K::number, .column = "f.src_net", .largest = 128},
    {.name = "dst_net", .aliases = "dst_mask", .kind = K::number, .column = "f.dst_net", .largest = 128},
    {.name = "as_path", .aliases = "", .kind = K::number_list, .column = "f.as_path", .largest = kU32},
    {.name = "bgp_communities", .aliases = "bgp_community", .kind = K::community_list, .column = "f.bgp_communities", .largest = kU32},
    // exporter
    {"sampler_address", "exporter exporter_ip", K::address, "f.sampler_address"},
    {"exporter_name", "", K::text, "e.name", {}, "f.sampler_address"},
    {.name = "in_if", .aliases = "input_snmp", .kind = K::number, .column = "f.in_if", .largest = kU32},
    {.name = "out_if", .aliases = "output_snmp", .kind = K::number, .column = "f.out_if", .largest = kU32},
    {.name = "if", .aliases = "interface", .kind = K::number, .column = "f.in_if", .other_column = "f.out_if", .largest = kU32},
    {"in_if_name", "", K::text, "i.name", {}, "f.sampler_address f.in_if"},
    {"out_if_name", "", K::text, "o.name", {}, "f.sampler_address f.out_if"},
    {.name = "flow_source", .aliases = "collector flow_type", .kind = K::named_number, .column = "f.flow_source", .names = kFlowSources},
    {.name = "observation_domain_id", .aliases = "", .kind = K::number, .column = "f.observation_domain_id", .largest = kU32},
    // meaning
    {.name = "direction", .aliases = "", .kind = K::named_number,
     .column = "(CASE f.direction_id WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 WHEN 4 THEN 3 ELSE 0 END)", .reads = "f.direction_id", .largest = 3, .names = kDirections},
    {.name = "direction_id", .aliases = "", .kind = K::number, .column = "f.direction_id", .largest = 99},
    {.name = "observed_direction", .aliases = "flow_direction", .kind = K::named_number, .column = "f.observed_direction", .largest = kU8, .names = kObservedDirections},
    {.name = "flow_end_reason", .aliases = "", .kind = K::named_number, .column = "f.flow_end_reason", .largest = kU8, .names = kFlowEndReasons},
    {.name = "forwarding_status", .aliases = "", .kind = K::number, .column = "f.forwarding_status", .largest = kU8},
    {"app", "app_name application", K::text, "f.app"},
    {"server_name", "", K::text, "f.server_name"},
    {"user_name", "user", K::text, "f.user_name"},
    {"partition", "", K::text, "f.partition"},
    {"site", "", K::text, "coalesce(e.site, f.site)", {}, "f.sampler_address f.site"},
    {"src_country_iso2", "src_country", K::text, "f.src_country"},
    {"dst_country_iso2", "dst_country", K::text, "f.dst_country"},
    {"country", "country_iso2", K::text, "f.src_country", "f.dst_country"},
    {"src_tag", "src_tags", K::text_list, "f.src_tags"},
    {"dst_tag", "dst_tags", K::text_list, "f.dst_tags"},
    {"tag", "tags", K::text_list, "f.src_tags", "f.dst_tags"},
    {"label", "labels", K::text_list, "f.labels"},
    {"threat_matched", "", K::boolean, "f.threat_matched"},
    {"nat_src_ip", "nat_src_addr post_nat_src_addr", K::address, "f.nat_src_addr"},
    {"nat_dst_ip", "nat_dst_addr post_nat_dst_addr", K::address, "f.nat_dst_addr"},
    {.name = "nat_src_port", .aliases = "post_nat_src_port", .kind = K::number, .column = "f.nat_src_port", .largest = kU16},
    {.name = "nat_dst_port", .aliases = "post_nat_dst_port", .kind = K::number, .column = "f.nat_dst_port", .largest = kU16},
    {.name = "nat_event", .aliases = "", .kind = K::number, .column = "f.nat_event", .largest = kU8},
    {.name = "firewall_event", .aliases = "", .kind = K::number, .column = "f.firewall_event", .largest = kU8},
    {.name = "event", .aliases = "", .kind = K::named_number,
     .column = "(CASE WHEN f.firewall_event BETWEEN 1 AND 5 THEN f.firewall_event WHEN f.nat_event BETWEEN 1 AND 18 THEN 100 + f.nat_event END)",
     .reads = "f.firewall_event f.nat_event", .largest = 118, .names = kEvents},
    // times
    {"time", "timestamp", K::instant, "f.time"},
    {"start_time", "", K::instant, "f.start_time"},
    {"end_time", "", K::instant, "f.end_time"},
    {"received_time", "", K::instant, "f.received_time"},
};

bool has_word(std::string_view words, std::string_view word) noexcept {
  while (!words.empty()) {
    const size_t blank = std::min(words.find(' '), words.size());
    if (words.substr(0, blank) == word) return true;
    words.remove_prefix(std::min(words.size(), blank + 1));
  }
  return false;
}

/// Letters and digits in lower case: "NetFlow v9" and netflow_v9 are one name.
bool same_name(std::string_view a, std::string_view b) noexcept {
  size_t i = 0, j = 0;
  const auto is_left_out = [](char c) { return c == ' ' || c == '_' || c == '-'; };
  const auto low = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  for (;;) {
    while (i < a.size() && is_left_out(a[i])) ++i;
    while (j < b.size() && is_left_out(b[j])) ++j;
    if (i == a.size() || j == b.size()) return i == a.size() && j == b.size();
    if (low(a[i++]) != low(b[j++])) return false;
  }
}

/// How many letters one must change, add or leave out.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t corner = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, corner + (a[i - 1] != b[j - 1])});
      corner = above;
    }
  }
  return row[b.size()];
}

constexpr size_t kNameOctetsMax = 64;  // of names that others are compared with
constexpr size_t kEditsMax = 3;
constexpr size_t kLikeMax = 4;

}  // namespace

bool Field::is_ordered() const noexcept {
  return kind == K::number || kind == K::counter || kind == K::instant || kind == K::address;
}
bool Field::is_numeric() const noexcept { return kind == K::number || kind == K::counter; }
bool Field::can_group() const noexcept {
  return !is_either_side() && kind != K::number_list && kind != K::community_list && kind != K::text_list && kind != K::instant;
}
bool Field::can_show() const noexcept { return !is_either_side() && kind != K::network && kind != K::conversation; }

std::span<const Field> fields() noexcept { return kFields; }

const Field* find_field(std::string_view name) noexcept {
  for (const Field& field : kFields) {
    if (field.name == name || has_word(field.aliases, name)) return &field;
  }
  return nullptr;
}

const Field& field_named(std::string_view name) noexcept {
  const Field* const field = find_field(name);
  assert(field != nullptr);
  return *field;
}

std::string fields_like(std::string_view name) {
  if (name.size() > kNameOctetsMax) return {};
  std::vector<std::pair<size_t, std::string_view>> close;
  for (const Field& field : kFields) {
    size_t best = edits(name, field.name);
    if (field.name.find(name) != std::string_view::npos && name.size() >= 3) best = std::min<size_t>(best, 1);
    std::string_view words = field.aliases;
    while (!words.empty()) {
      const size_t blank = std::min(words.find(' '), words.size());
      best = std::min(best, edits(name, words.substr(0, blank)));
      words.remove_prefix(std::min(words.size(), blank + 1));
    }
    if (best <= std::min(kEditsMax, name.size() / 2)) close.emplace_back(best, field.name);
  }
  std::stable_sort(close.begin(), close.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string out;
  for (size_t i = 0; i < close.size() && i < kLikeMax; ++i) out += (out.empty() ? "" : ", ") + std::string(close[i].second);
  return out;
}

std::optional<int64_t> number_named(const Field& field, std::string_view text) noexcept {
  for (const ValueName& value : field.names) {
    if (!value.name.empty() && same_name(value.name, text)) return value.number;
  }
  return std::nullopt;
}

std::string names_allowed(const Field& field) {
  constexpr size_t kNamesShown = 24;
  if (field.names.size() > kNamesShown) return "a name such as tcp, udp, icmp";
  std::string out;
  for (const ValueName& value : field.names) out += (out.empty() ? "" : ", ") + std::string(value.name);
  return out;
}

std::span<const FlagName> tcp_flag_names() noexcept { return kTcpFlags; }

}  // namespace weir::query
