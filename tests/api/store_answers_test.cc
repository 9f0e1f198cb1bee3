// What the installed programs answer, query by query, against what a test counts itself from the flows that it published.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>

#include "api/real_store.h"
#include "base/ip_address.h"
#include "query/fields.h"
#include "query/srql_queries.h"
#include "query/time_window.h"

namespace weir {
namespace {

using query::kUsPerSec;
constexpr int64_t kMinute = 60 * kUsPerSec, kHour = 60 * kMinute, kDay = 24 * kHour;

struct KnownFlow {
  int64_t time_us = 0, start_us = 0;
  std::string src, dst, exporter;
  uint32_t proto = 6, src_port = 0, dst_port = 0, tcp_flags = 0, in_if = 0, out_if = 0, src_as = 0, dst_as = 0, tos = 0;
  uint64_t bytes = 0, packets = 0, rate = 0;
  uint64_t src_mac = 0;
  std::string app, server;
  std::vector<uint32_t> as_path, communities;
  std::vector<std::string> labels;

  bool has_ports() const { return proto == 6 || proto == 17; }
  uint64_t scale() const { return rate > 1 ? rate : 1; }
  uint64_t bytes_total() const { return bytes * scale(); }
  uint64_t packets_total() const { return packets * scale(); }
};

/// None lies near the edge of a window that is asked for.
std::vector<KnownFlow> known_flows(int64_t now_us) {
  static constexpr int64_t kAgo[] = {kMinute, 2 * kMinute, 20 * kMinute, 40 * kMinute, 3 * kHour, 11 * kHour, 20 * kHour, 3 * kDay, 6 * kDay};
  static const char* const kSources[] = {"10.0.0.1", "10.0.0.2", "10.1.2.3", "192.168.7.9", "192.168.200.1", "203.0.113.9", "2001:db8::1", "2001:db8:0:1::2"};
  static const char* const kDestinations[] = {"8.8.8.8", "10.0.0.2", "198.51.100.7", "198.51.100.8", "10.0.0.1", "2001:db8:ffff::53", "203.0.113.9"};
  static constexpr uint32_t kPorts[] = {53, 443, 8443, 14430, 22, 3389, 80, 5353, 530};
  static constexpr uint32_t kFlags[] = {2, 18, 16, 24, 17};
  static const char* const kApps[] = {"", "https", "dns", "ssh", "web_mail", "webXmail"};
  uint64_t seed = 11;
  const auto below = [&](uint64_t n) {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<uint32_t>((seed >> 33) % n);
  };
  std::vector<KnownFlow> flows;
  for (uint32_t i = 0; i < 900; ++i) {
    KnownFlow f;
    f.time_us = now_us - kAgo[i % 9] + i * 1000;  // another each
    f.start_us = f.time_us - (1 + below(300)) * kUsPerSec;
    f.src = kSources[below(8)];
    f.dst = kDestinations[below(7)];
    f.exporter = fmt::format("192.0.2.{}", 1 + below(3));
    f.proto = std::array{6u, 17u, 1u, 47u, 6u}[below(5)];
    if (f.has_ports()) {
      f.src_port = kPorts[below(9)];
      f.dst_port = kPorts[below(9)];
    }
    if (f.proto == 6) f.tcp_flags = kFlags[below(5)];
    f.in_if = 1 + below(3);
    f.out_if = 1 + below(3);
    f.src_as = 64'500 + below(4);
    f.dst_as = 64'500 + below(4);
    f.tos = 4 * below(3);
    f.rate = std::array{0u, 1u, 100u, 100u}[below(4)];
    // Another each, scaled or not.
    f.bytes = (f.rate == 100 ? 100'000 : 1'000'001) + i;
    f.packets = 1 + below(1000);
    f.src_mac = 0x001b213c9d00 + below(4);
    f.app = kApps[below(6)];
    if (below(2) == 0) f.server = below(2) == 0 ? "www.example.com" : "db7.example.net";
    if (below(3) == 0) f.as_path = {3356, 64'512, below(3)};
    if (below(3) == 0) f.communities = {65'000u << 16 | 100, 7};
    if (below(2) == 0) f.labels = {"a", below(2) == 0 ? "b" : "xc"};
    flows.push_back(std::move(f));
  }
  return flows;
}

std::string octets_of(const std::string& address) {
  const auto parsed = IpAddress::parse(address);
  EXPECT_TRUE(parsed);
  const std::string all(parsed->octets.begin(), parsed->octets.end());
  return parsed->is_v4() ? all.substr(12) : all;
}

std::string batch_of(const std::vector<KnownFlow>& flows) {
  std::string batch;
  for (const KnownFlow& f : flows) {
    flowpb::FlowBatch one;
    flowpb::FlowMessage& m = *one.add_flows();
    m.set_type(flowpb::IPFIX);
    m.set_time_received_ns(static_cast<uint64_t>(f.time_us) * 1000);
    m.set_sampler_address(octets_of(f.exporter));
    m.set_src_addr(octets_of(f.src));
    m.set_dst_addr(octets_of(f.dst));
    m.set_proto(f.proto);
    m.set_src_port(f.src_port);
    m.set_dst_port(f.dst_port);
    m.set_tcp_flags(f.tcp_flags);
    m.set_in_if(f.in_if);
    m.set_out_if(f.out_if);
    m.set_src_as(f.src_as);
    m.set_dst_as(f.dst_as);
    m.set_ip_tos(f.tos);
    m.set_sampling_rate(f.rate);
    m.set_bytes(f.bytes);
    m.set_packets(f.packets);
    m.set_src_mac(f.src_mac);
    m.set_application_name(f.app);
    m.set_server_name(f.server);
    for (const uint32_t as : f.as_path) m.add_as_path(as);
    for (const uint32_t community : f.communities) m.add_bgp_communities(community);
    for (const std::string& label : f.labels) m.add_labels(label);
    batch += one.SerializeAsString();
  }
  return batch;
}

class StoreAnswers : public StoreAndAsk {
 protected:
  void SetUp() override {
    StoreAndAsk::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    start_all();
    now_us_ = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    flows_ = known_flows(now_us_);
    publish("flows.raw.a", batch_of(flows_));
    ASSERT_TRUE(eventually([&] { return is_all_done(); }));
    const json stored = ask("in:flows time:last_7d stats:\"count(*) as n\"");
    ASSERT_EQ(stored["results"][0]["n"], flows_.size()) << store_->err();
  }

  using Holds = std::function<bool(const KnownFlow&)>;
  using KeyOf = std::function<std::string(const KnownFlow&)>;
  using Flows = std::vector<const KnownFlow*>;
  using ValueOf = std::function<uint64_t(const Flows&)>;

  Flows those(int64_t ago_us, const Holds& holds) const {
    Flows found;
    for (const KnownFlow& f : flows_) {
      if (f.time_us >= now_us_ - ago_us && holds(f)) found.push_back(&f);
    }
    return found;
  }

  /// Rows have the columns that are promised, each with values of its type.
  void expect_form(const json& body) {
    ASSERT_TRUE(body["columns"].is_array() && body["results"].is_array()) << body.dump();
    const json& columns = body["columns"];
    for (const json& row : body["results"]) {
      ASSERT_EQ(row.size(), columns.size()) << row.dump();
      for (const json& column : columns) {
        ASSERT_TRUE(row.contains(column["name"].get<std::string>())) << row.dump();
        const json& cell = row[column["name"].get<std::string>()];
        const std::string type = column["type"];
        if (cell.is_null()) continue;
        const bool is_right = type == "integer"   ? cell.is_number_integer()
                              : type == "number"  ? cell.is_number()
                              : type == "boolean" ? cell.is_boolean()
                              : type == "list"    ? cell.is_array()
                              : type == "time"    ? cell.is_string() && cell.get<std::string>().ends_with('Z') && cell.get<std::string>()[10] == 'T'
                                                  : cell.is_string();
        EXPECT_TRUE(is_right) << column.dump() << ": " << cell.dump();
      }
    }
    EXPECT_EQ(body["count"], body["results"].size());
  }

  static uint32_t limit_in(std::string_view text) {
    const size_t at = text.find("limit:");
    return at == std::string_view::npos ? 100 : static_cast<uint32_t>(std::stoul(std::string(text.substr(at + 6))));
  }

  /// Single flows, newest or largest first.
  void expect_flows(const std::string& text, int64_t ago_us, const Holds& holds, bool by_bytes = false) {
    SCOPED_TRACE(text);
    Flows expected = those(ago_us, holds);
    std::sort(expected.begin(), expected.end(), [&](const KnownFlow* a, const KnownFlow* b) {
      return by_bytes ? a->bytes_total() > b->bytes_total() : a->time_us > b->time_us; });
    const json body = ask(text);
    expect_form(body);
    if (HasFatalFailure()) return;
    const size_t limit = limit_in(text);
    ASSERT_EQ(body["results"].size(), std::min(expected.size(), limit));
    EXPECT_EQ(body["truncated"], expected.size() > limit);
    for (size_t i = 0; i < body["results"].size(); ++i) {
      const json& row = body["results"][i];
      const KnownFlow& f = *expected[i];
      EXPECT_EQ(row["bytes_total"], f.bytes_total());
      EXPECT_EQ(row["packets_total"], f.packets_total());
      EXPECT_EQ(row["src_endpoint_ip"], f.src);
      EXPECT_EQ(row["dst_endpoint_ip"], f.dst);
      EXPECT_EQ(row["dst_endpoint_port"], f.has_ports() ? json(f.dst_port) : json());
      EXPECT_EQ(row["time"], time_text(f.time_us));
      EXPECT_EQ(row["app"], f.app.empty() ? json() : json(f.app));
      EXPECT_EQ(row["sampler_address"], f.exporter);
    }
  }

  static std::string text_of(const json& cell) { return cell.is_null() ? "" : cell.is_string() ? cell.get<std::string>() : cell.dump(); }

  std::map<std::string, Flows> groups_of(const Flows& flows, const KeyOf& key_of) const {
    std::map<std::string, Flows> groups;
    for (const KnownFlow* f : flows) groups[key_of(*f)].push_back(f);
    return groups;
  }

  /// Keys (those of several columns with | between) and the value of each; largest first, or by time.
  void expect_groups(const json& body, const Flows& flows, const KeyOf& key_of, const ValueOf& value_of, size_t keys, const char* value, bool is_series = false) {
    const auto groups = groups_of(flows, key_of);
    EXPECT_FALSE(groups.empty());
    ASSERT_EQ(body["results"].size(), groups.size());
    uint64_t before = UINT64_MAX;
    std::string time_before;
    for (const json& row : body["results"]) {
      std::string key;
      for (size_t i = 0; i < keys; ++i) key += (i == 0 ? "" : "|") + text_of(row[body["columns"][i]["name"].get<std::string>()]);
      ASSERT_TRUE(groups.count(key)) << key;
      ASSERT_TRUE(row[value].is_number()) << row.dump();
      EXPECT_EQ(row[value], value_of(groups.at(key))) << key;
      if (is_series) {
        EXPECT_LE(time_before, text_of(row["timestamp"]));
        time_before = text_of(row["timestamp"]);
      } else {
        EXPECT_LE(row[value].get<uint64_t>(), before);
        before = row[value].get<uint64_t>();
      }
    }
  }
  void expect_groups(const std::string& text, int64_t ago_us, size_t keys, const char* value, const KeyOf& key_of, const ValueOf& value_of, bool is_series = false,
                     const Holds& holds = any) {
    SCOPED_TRACE(text);
    const json body = ask(text);
    expect_form(body);
    if (HasFatalFailure()) return;
    expect_groups(body, those(ago_us, holds), key_of, value_of, keys, value, is_series);
  }

  static uint64_t sum_bytes(const Flows& flows) {
    uint64_t sum = 0;
    for (const KnownFlow* f : flows) sum += f->bytes_total();
    return sum;
  }
  static uint64_t sum_packets(const Flows& flows) {
    uint64_t sum = 0;
    for (const KnownFlow* f : flows) sum += f->packets_total();
    return sum;
  }
  static uint64_t count(const Flows& flows) { return flows.size(); }
  static bool any(const KnownFlow&) { return true; }
  static std::string src(const KnownFlow& f) { return f.src; }
  static std::string dst(const KnownFlow& f) { return f.dst; }
  static std::string dst_port(const KnownFlow& f) { return f.has_ports() ? std::to_string(f.dst_port) : ""; }
  static std::string src_port(const KnownFlow& f) { return f.has_ports() ? std::to_string(f.src_port) : ""; }
  static std::string time_text(int64_t us) { return fmt::format("{}.{:06}Z", query::instant_text(us).substr(0, 19), us % kUsPerSec); }
  static std::string bucket(const KnownFlow& f, int64_t width) { return time_text(f.time_us / width * width); }
  static std::string network_24(const std::string& address) {
    return address.find(':') != std::string::npos ? "2001:d00::/24" : address.substr(0, address.rfind('.')) + ".0/24";
  }
  static std::string group_of(const KnownFlow& f) { return f.proto == 6 ? "tcp" : f.proto == 17 ? "udp" : "other"; }
  static std::string flags_label(const KnownFlow& f) {
    if (f.proto != 6) return "";
    switch (f.tcp_flags) {
      case 2: return "SYN";
      case 16: return "ACK";
      case 17: return "FIN,ACK";
      case 18: return "SYN,ACK";
      default: return "PSH,ACK";
    }
  }
  static bool has(const std::vector<std::string>& list, const char* item) { return std::find(list.begin(), list.end(), item) != list.end(); }

  int64_t now_us_ = 0;
  std::vector<KnownFlow> flows_;
};

/// kQueries, one by one, in their order: those of docs/SRQL.md among them.
TEST_F(StoreAnswers, OfWhatPeopleTypeAreWhatWasPublished) {
  size_t asked = 0;
  const auto next = [&] { return std::string(query::kQueries[asked++]); };
  const auto nothing = [](const KnownFlow&) { return false; };

  expect_groups(next(), kDay, 1, "total_bytes", src, sum_bytes);
  expect_flows(next(), kDay, any);
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.proto == 17; }, /*by_bytes=*/true);
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.proto == 6; });
  expect_groups(next(), kHour, 1, "bytes", src, sum_bytes);
  expect_groups(next(), kHour, 1, "total_bytes", dst_port, sum_bytes);
  {
    // More than its limit: the largest of them.
    const json body = ask(next());
    expect_form(body);
    std::multiset<uint64_t, std::greater<>> sums;
    for (const auto& [key, flows] : groups_of(those(kHour, any), [](const KnownFlow& f) { return f.src + "|" + f.dst; })) sums.insert(sum_bytes(flows));
    ASSERT_EQ(body["results"].size(), 10u);
    auto largest = sums.begin();
    for (const json& row : body["results"]) EXPECT_EQ(row["total_bytes"], *largest++);
    EXPECT_EQ(body["truncated"], true);
  }
  expect_groups(next(), kHour, 3, "total_bytes", [](const KnownFlow& f) { return network_24(f.src) + "|" + dst_port(f) + "|" + network_24(f.dst); }, sum_bytes);
  expect_groups(next(), kHour, 1, "count", flags_label, count);
  next();  // durations need clocks that the collector has judged
  const auto distinct = [](const KeyOf& of) {
    return [of](const Flows& flows) {
      std::set<std::string> seen;
      for (const KnownFlow* f : flows) seen.insert(of(*f));
      seen.erase("");
      return static_cast<uint64_t>(seen.size());
    };
  };
  expect_groups(next(), kDay, 0, "unique_talkers", [](const KnownFlow&) { return ""; }, distinct(src));
  expect_groups(next(), 5 * kMinute, 1, "unique_ports", src, distinct(dst_port));
  expect_groups(next(), kHour, 1, "bytes_total", src, sum_bytes);
  expect_groups(next(), kHour, 2, "value", [](const KnownFlow& f) { return bucket(f, 5 * kMinute) + "|" + group_of(f); }, sum_bytes, true);
  expect_groups(next(), kDay, 2, "value", [](const KnownFlow& f) { return bucket(f, kHour) + "|" + dst_port(f); }, sum_packets, true);
  expect_groups(next(), kHour, 1, "total_bytes", [](const KnownFlow& f) { return f.app; }, sum_bytes);
  expect_flows(next(), kDay, [](const KnownFlow& f) { return dst_port(f).find("443") != std::string::npos; });
  expect_flows(next(), kHour, [](const KnownFlow& f) { return src_port(f).starts_with("53"); });
  expect_flows(next(), kHour, nothing);  // no countries without a file of them
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.src.starts_with("192.168."); });
  expect_groups(next(), kHour, 3, "bytes", [](const KnownFlow&) { return "||"; }, sum_bytes);
  expect_flows(next(), kHour, nothing);  // nor directions without networks of one's own
  expect_flows(next(), kHour, nothing);
  expect_flows(next(), kDay, [](const KnownFlow& f) { return f.dst == "8.8.8.8"; });
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.bytes_total() > 10'000'000; });
  {
    const json body = ask(next());
    expect_form(body);
    const auto groups = groups_of(those(kHour, any), src);
    ASSERT_EQ(body["results"].size(), groups.size());
    for (const json& row : body["results"]) {
      const Flows& flows = groups.at(row["src_endpoint_ip"]);
      EXPECT_EQ(row, (json{{"src_endpoint_ip", row["src_endpoint_ip"]}, {"count", flows.size()}, {"bytes", sum_bytes(flows)}, {"packets", sum_packets(flows)}}));
    }
  }
  expect_flows(next(), kHour, [](const KnownFlow& f) { return !f.as_path.empty() && !f.communities.empty(); });
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.src == "8.8.8.8" || f.dst == "8.8.8.8"; });
  expect_flows(next(), 7 * kDay, [](const KnownFlow& f) {
    const auto is_asked = [](uint32_t port) { return port == 22 || port == 3389; };
    return (is_asked(f.src_port) || is_asked(f.dst_port)) && !f.src.starts_with("10.") && !f.dst.starts_with("10."); });
  expect_form(ask(next()));
  EXPECT_EQ(asked, std::size(query::kQueries));

  for (const char* const query : query::kMoreQueries) {
    SCOPED_TRACE(query);
    expect_form(ask(query));
  }
}

/// Every kind of value, and nearly each of them in a list and negated.
TEST_F(StoreAnswers, OfEachKindOfConditionAreWhatWasPublished) {
  struct Case {
    const char* condition;
    Holds holds;
  };
  const Case cases[] = {
      {"tcp_flags:SYN", [](const KnownFlow& f) { return (f.tcp_flags & 2) != 0; }},
      {"tcp_flags:SYN,!ACK", [](const KnownFlow& f) { return f.tcp_flags == 2; }},
      {"tcp_flags:(SYN,FIN)", [](const KnownFlow& f) { return (f.tcp_flags & 3) != 0; }},
      {"tcp_flags:0x12", [](const KnownFlow& f) { return f.tcp_flags == 18; }},
      {"tcp_flags_label:SYN,ACK", [](const KnownFlow& f) { return f.tcp_flags == 18; }},
      {"as_path:[64512]", [](const KnownFlow& f) { return !f.as_path.empty(); }},
      {"as_path:[64512,1]", [](const KnownFlow& f) { return !f.as_path.empty() && f.as_path[2] == 1; }},
      {"as_path:(2,9999)", [](const KnownFlow& f) { return !f.as_path.empty() && f.as_path[2] == 2; }},
      {"bgp_community:[65000:100,7]", [](const KnownFlow& f) { return !f.communities.empty(); }},
      {"label:[a,b]", [](const KnownFlow& f) { return has(f.labels, "b"); }},
      {"label:(b,xc)", [](const KnownFlow& f) { return !f.labels.empty(); }},
      {"label:x%", [](const KnownFlow& f) { return has(f.labels, "xc"); }},
      {"label:~^x", [](const KnownFlow& f) { return has(f.labels, "xc"); }},
      {"tag:x%", [](const KnownFlow&) { return false; }},
      {"app:web_m%", [](const KnownFlow& f) { return f.app == "web_mail"; }},
      {"app:~^(dns|ssh)$", [](const KnownFlow& f) { return f.app == "dns" || f.app == "ssh"; }},
      {"app:(dns,https)", [](const KnownFlow& f) { return f.app == "dns" || f.app == "https"; }},
      {"server_name:%.example.com", [](const KnownFlow& f) { return f.server == "www.example.com"; }},
      {"dst_port:100-4000", [](const KnownFlow& f) { return f.dst_port >= 100 && f.dst_port <= 4000; }},
      {"dst_port:%443%", [](const KnownFlow& f) { return dst_port(f).find("443") != std::string::npos; }},
      {"src_ip:10.0.0.0/8", [](const KnownFlow& f) { return f.src.starts_with("10."); }},
      {"src_ip:192.168.%", [](const KnownFlow& f) { return f.src.starts_with("192.168."); }},
      {"dst_ip:10.0.0.2-198.51.100.7", [](const KnownFlow& f) { return f.dst == "10.0.0.2" || f.dst == "198.51.100.7"; }},
      {"ip:(10.0.0.1,2001:db8::/48)", [](const KnownFlow& f) { return f.src == "10.0.0.1" || f.dst == "10.0.0.1" || f.src == "2001:db8::1" || f.src == "2001:db8:0:1::2"; }},
      {"src_mac:00:1b:21:3c:9d:01", [](const KnownFlow& f) { return f.src_mac == 0x001b213c9d01; }},
      {"as:64501", [](const KnownFlow& f) { return f.src_as == 64'501 || f.dst_as == 64'501; }},
      {"proto_group:other", [](const KnownFlow& f) { return !f.has_ports(); }},
      {"dscp:1", [](const KnownFlow& f) { return f.tos == 4; }},
      {"flow_source:IPFIX", any},
      {"(src_ip:10.0.0.1 OR dst_port:53)", [](const KnownFlow& f) { return f.src == "10.0.0.1" || f.dst_port == 53; }},
  };
  for (const Case& c : cases) {
    expect_flows(fmt::format("in:flows {} time:last_24h", c.condition), kDay, c.holds);
    expect_flows(fmt::format("in:flows !{} time:last_24h", c.condition), kDay, [&](const KnownFlow& f) { return !c.holds(f); });
    if (those(kDay, c.holds).empty()) continue;
    expect_groups(fmt::format("in:flows {} time:last_24h groupby:src_ip", c.condition), kDay, 1, "bytes", src, sum_bytes, false, c.holds);
  }
}

TEST_F(StoreAnswers, OfDashboardsAreWhatWasPublished) {
  const auto netflow = [&](const std::string& parameters) {
    const auto answer = get("/api/netflow?limit=10000&" + parameters);
    EXPECT_EQ(answer.status, 200) << parameters << answer.body;
    return json::parse(answer.body, nullptr, false);
  };
  const std::map<std::string, KeyOf> known = {
      {"src_ip", src}, {"dst_ip", dst}, {"src_port", src_port}, {"dst_port", dst_port},
      {"src_cidr:24", [](const KnownFlow& f) { return network_24(f.src); }},
      {"protocol", [](const KnownFlow& f) { return std::to_string(f.proto); }},
      {"protocol_group", group_of}, {"tcp_flags_label", flags_label},
      {"app", [](const KnownFlow& f) { return f.app; }},
      {"server_name", [](const KnownFlow& f) { return f.server; }},
      {"exporter", [](const KnownFlow& f) { return f.exporter; }},
      {"in_if", [](const KnownFlow& f) { return std::to_string(f.in_if); }},
      {"src_as", [](const KnownFlow& f) { return std::to_string(f.src_as); }},
      {"src_mac", [](const KnownFlow& f) { return fmt::format("00:1b:21:3c:9d:{:02x}", f.src_mac & 255); }},
  };
  for (const auto& [name, key_of] : known) {
    SCOPED_TRACE(name);
    const json body = netflow("time_range=last_24h&group_by=" + name);
    expect_form(body);
    expect_groups(body, those(kDay, any), key_of, sum_bytes, 1, "bytes");
    const json some = netflow("time_range=last_24h&filter=tcp_flags=SYN,src_ip!=10.0.0.1&group_by=" + name);
    expect_form(some);
    expect_groups(some, those(kDay, [](const KnownFlow& f) { return (f.tcp_flags & 2) != 0 && f.src != "10.0.0.1"; }), key_of, sum_bytes, 1, "bytes");
  }
  // Whatever else flows can be grouped by: each is in one group.
  const uint64_t all = sum_bytes(those(kDay, any));
  for (const query::Field& field : query::fields()) {
    if (!field.can_group() || field.kind == query::FieldKind::network) continue;
    SCOPED_TRACE(field.name);
    const json body = netflow("time_range=last_24h&group_by=" + std::string(field.name));
    expect_form(body);
    uint64_t sum = 0;
    for (const json& row : body["results"]) sum += row["bytes"].get<uint64_t>();
    EXPECT_EQ(sum, all);
  }
  // Names that two columns would have.
  for (const char* const by : {"src_cidr:24,src_cidr:8", "bytes", "bytes,src_ip"}) {
    SCOPED_TRACE(by);
    const json body = netflow(std::string("time_range=last_24h&group_by=") + by);
    expect_form(body);
    uint64_t sum = 0;
    for (const json& row : body["results"]) sum += row["bytes"].get<uint64_t>();
    EXPECT_EQ(sum, all);
  }
  const json quoted = netflow("time_range=last_24h&filter=app=(\"a,b\",'dns'),server_name!=%60x%2Cy%60");
  expect_form(quoted);
  EXPECT_EQ(quoted["results"].size(), those(kDay, [](const KnownFlow& f) { return f.app == "dns"; }).size());
  const json single = netflow("time_range=last_24h&filter=dst_port=(443,8443),label=[a,b]");
  expect_form(single);
  EXPECT_EQ(single["results"].size(), those(kDay, [](const KnownFlow& f) { return (f.dst_port == 443 || f.dst_port == 8443) && has(f.labels, "b"); }).size());
}

}  // namespace
}  // namespace weir
