// known_flows.h — A few thousand flows that are known one by one: as rows of the store, and as what a test counts itself.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "query/time_window.h"
#include "store/store_database.h"

namespace weir::query {

inline constexpr int64_t kNowUs = 1'793'620'800'000'000;  // 2026-11-02T12:00:00Z

/// One of the flows. `bytes` is of no other: it names the flow.
struct KnownFlow {
  int64_t time_us = 0;
  std::optional<int64_t> duration_ms;
  std::string src, dst;
  std::optional<int> src_port, dst_port;
  int proto = 6;
  std::optional<int> tcp_flags;
  int64_t bytes = 0, packets = 0, sampling_rate = 0;
  std::string exporter;
  int64_t in_if = 0, out_if = 0;
  int source = 4, direction = 0;
  std::string app, src_country, dst_country;
  std::vector<int64_t> as_path, communities;
  int64_t src_as = 0, dst_as = 0;

  int64_t scale() const { return sampling_rate > 1 ? sampling_rate : 1; }
  int64_t bytes_total() const { return bytes * scale(); }
  int64_t packets_total() const { return packets * scale(); }
};

class KnownFlows {
 public:
  KnownFlows() {
    static const char* const kSources[] = {"10.0.0.1", "10.0.0.2", "10.1.2.3", "192.168.7.9", "192.168.200.1", "203.0.113.9", "2001:db8::1", "2001:db8:0:1::2"};
    static const char* const kDestinations[] = {"8.8.8.8", "10.0.0.2", "198.51.100.7", "198.51.100.8", "10.0.0.1", "2001:db8:ffff::53", "203.0.113.9"};
    static constexpr int kPorts[] = {53, 443, 8443, 14430, 22, 3389, 80, 5353, 530};
    static const char* const kApps[] = {"", "https", "dns", "ssh", "web_mail", "webXmail"};
    static const char* const kCountries[] = {"", "US", "DE", "FR"};
    for (int i = 0; i < 4000; ++i) {
      KnownFlow f;
      // Many in the last five minutes and hour, some on both sides of each edge, the others in hours of ten days.
      static constexpr int64_t kHoursAgo[] = {2, 3, 10, 23, 24, 25, 37, 60, 120, 168, 200, 208, 209, 239};
      const int64_t secs = below(3) == 0   ? static_cast<int64_t>(below(301))
                           : below(2) == 0 ? static_cast<int64_t>(below(3603))
                                           : kHoursAgo[below(14)] * 3600 - static_cast<int64_t>(below(900)) + static_cast<int64_t>(below(2));
      f.time_us = kNowUs - secs * kUsPerSec;
      if (below(10) != 0) f.duration_ms = below(8) == 0 ? int64_t(1000 * below(2)) : static_cast<int64_t>(below(600'000));
      f.src = kSources[below(8)];
      f.dst = kDestinations[below(7)];
      f.proto = static_cast<int>(std::array{6, 17, 1, 47, 6}[below(5)]);
      if (f.proto == 6 || f.proto == 17) {
        f.src_port = kPorts[below(9)];
        f.dst_port = kPorts[below(9)];
      }
      if (f.proto == 6) f.tcp_flags = std::array{2, 18, 16, 24, 0, 17}[below(6)];
      f.bytes = int64_t{1'000'003} * (i + 1) % 30'000'001;  // a prime: each is another
      f.packets = 1 + static_cast<int64_t>(below(1000));
      f.sampling_rate = std::array<int64_t, 4>{0, 1, 10, 100}[below(4)];
      f.exporter = std::array{"192.0.2.1", "192.0.2.2", "192.0.2.3"}[below(3)];
      f.in_if = static_cast<int64_t>(below(3) + 1);
      f.out_if = static_cast<int64_t>(below(3) + 1);
      f.source = static_cast<int>(below(4) + 1);
      f.direction = static_cast<int>(below(5));
      f.app = kApps[below(6)];
      f.src_country = kCountries[below(4)];
      f.dst_country = kCountries[below(4)];
      if (below(3) == 0) f.as_path = {3356, 64'512, static_cast<int64_t>(below(3))};
      if (below(3) == 0) f.communities = {65'000ll << 16 | 100, 7};
      f.src_as = static_cast<int64_t>(64'500 + below(4));
      f.dst_as = static_cast<int64_t>(64'500 + below(4));
      while (!bytes_.insert(f.bytes_total()).second) ++f.bytes;
      flows_.push_back(std::move(f));
    }
  }

  const std::vector<KnownFlow>& all() const { return flows_; }

  /// eth1 … of the first exporter, xe-1 … of the second, and the third has no names.
  static std::string exporter_name(const KnownFlow& f) { return f.exporter == "192.0.2.1" ? "edge" : f.exporter == "192.0.2.2" ? "core" : ""; }
  static std::string interface_name(const KnownFlow& f, int64_t index) {
    return f.exporter == "192.0.2.1" ? fmt::format("eth{}", index) : f.exporter == "192.0.2.2" ? fmt::format("xe-{}", index) : "";
  }

  void store(store::StoreDatabase& db) const {
    std::map<int64_t, std::string> by_hour;
    for (const KnownFlow& f : flows_) {
      std::string& rows = by_hour[f.time_us / store::kMicrosPerHour];
      rows += (rows.empty() ? "" : ",") + row_of(f);
    }
    std::vector<int64_t> hours;
    for (const auto& [hour, rows] : by_hour) hours.push_back(hour);
    ASSERT_TRUE(store::open_hours(*db.connection, hours));
    for (const auto& [hour, rows] : by_hour) {
      db.run(fmt::format("INSERT INTO {} (time, start_time, end_time, received_time, src_endpoint_addr, dst_endpoint_addr, src_endpoint_port, "
                         "dst_endpoint_port, protocol_num, tcp_flags, bytes_total, packets_total, bytes_raw, packets_raw, bytes_in_raw, "
                         "sampling_rate, sampler_address, in_if, out_if, flow_source, direction_id, app, src_country, dst_country, "
                         "as_path, bgp_communities, src_as, dst_as) VALUES {}",
                         store::hour_table(hour), rows));
    }
    for (int index = 1; index <= 3; ++index) {
      db.run(fmt::format("INSERT INTO exporter_interfaces VALUES (ip_parse('192.0.2.1'), {0}, 'eth{0}', '', 0), (ip_parse('192.0.2.2'), {0}, 'xe-{0}', '', 0)", index));
    }
    db.run("INSERT INTO exporters VALUES (ip_parse('192.0.2.1'), 'edge', 'lab'), (ip_parse('192.0.2.2'), 'core', NULL)");
  }

 private:
  uint64_t below(uint64_t n) {
    seed_ = seed_ * 6364136223846793005ull + 1442695040888963407ull;
    return (seed_ >> 33) % n;
  }

  static std::string list_of(const std::vector<int64_t>& numbers) {
    std::string text;
    for (const int64_t n : numbers) text += fmt::format("{}{}", text.empty() ? "[" : ",", n);
    return text.empty() ? "NULL" : text + "]";
  }
  template <class T>
  static std::string or_null(const std::optional<T>& value) {
    return value ? fmt::format("{}", *value) : "NULL";
  }
  static std::string text_or_null(const std::string& text) { return text.empty() ? "NULL" : fmt::format("'{}'", text); }

  static std::string row_of(const KnownFlow& f) {
    const std::string start = f.duration_ms ? fmt::format("make_timestamptz({})", f.time_us - *f.duration_ms * 1000) : "NULL";
    return fmt::format("(make_timestamptz({0}), {1}, {2}, make_timestamptz({0}), ip_parse('{3}'), ip_parse('{4}'), {5}, {6}, {7}, {8}, {9}, {10}, "
                       "{11}, {12}, {13}, {14}, ip_parse('{15}'), {16}, {17}, {18}, {19}, {20}, {21}, {22}, {23}, {24}, {25}, {26})",
                       f.time_us, start, f.duration_ms ? fmt::format("make_timestamptz({})", f.time_us) : "NULL", f.src, f.dst,
                       or_null(f.src_port), or_null(f.dst_port), f.proto, or_null(f.tcp_flags), f.bytes_total(), f.packets_total(), f.bytes,
                       f.packets, f.bytes / 2, f.sampling_rate, f.exporter, f.in_if, f.out_if, f.source, f.direction, text_or_null(f.app),
                       text_or_null(f.src_country), text_or_null(f.dst_country), list_of(f.as_path), list_of(f.communities), f.src_as, f.dst_as);
  }

  uint64_t seed_ = 7;
  std::set<int64_t> bytes_;
  std::vector<KnownFlow> flows_;
};

}  // namespace weir::query
