// A flow's row: every column against what the flow says, and what is not there is NULL.
#include "store/row_writer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "flow.pb.h"
#include "flow/flow_parser.h"
#include "rules/rule_set.h"
#include "store/row_source.h"
#include "store/store_database.h"
#include "support/process.h"
#include "transform/decisions.h"

namespace weir::store {
namespace {

constexpr int64_t kNow = 1'755'636'400'000'000;  // 2025-08-19 20:46:40
constexpr uint64_t kReceivedNs = 1'755'636'366'839'794'752;

std::string octets(std::initializer_list<int> list) {
  std::string text;
  for (const int o : list) text += static_cast<char>(o);
  return text;
}

flowpb::FlowMessage plain_flow() {
  flowpb::FlowMessage flow;
  flow.set_type(flowpb::NETFLOW_V5);
  flow.set_time_received_ns(kReceivedNs);
  flow.set_time_flow_start_ns(kReceivedNs - 3'000'000'000);
  flow.set_time_flow_end_ns(kReceivedNs - 1'000'000'000);
  flow.set_time_source(flowpb::TIME_UPTIME);
  flow.set_sampler_address(octets({192, 0, 2, 1}));
  flow.set_src_addr(octets({192, 0, 2, 77}));
  flow.set_dst_addr(octets({198, 51, 100, 7}));
  flow.set_proto(6);
  flow.set_src_port(443);
  flow.set_bytes(1000);
  flow.set_packets(10);
  flow.set_sampling_rate(100);
  return flow;
}

const std::vector<Column> kAllColumns = [] {
  std::vector<Column> all;
  for (size_t i = 0; i < kColumns; ++i) all.push_back(Column{static_cast<uint8_t>(i)});
  return all;
}();

class RowWriterTest : public ::testing::Test {
 protected:
  void add(const flowpb::FlowMessage& flow, const transform::Decisions& decisions = {}) {
    const std::string message = flow.SerializeAsString();
    FlowView view;
    ASSERT_TRUE(parse_flow({reinterpret_cast<const uint8_t*>(message.data()), message.size()}, view));
    writer_.write(view, decisions, times_of(view, kNow), chunk_);
  }
  void store() {
    const int64_t hour = hour_of(kNow);
    ASSERT_TRUE(open_hours(*db_.connection, {&hour, 1}));
    auto source = RowSource::make(*db_.connection);
    ASSERT_TRUE(source) << source.error().message;
    const auto inserted = source->insert(*db_.connection, hour_table(hour), kAllColumns, {&rows_, 1});
    ASSERT_TRUE(inserted) << inserted.error().message;
    chunk_.clear();
  }
  std::string ask(const std::string& columns, const std::string& from = "flow_rows") {
    return db_.ask("SELECT " + columns + " FROM " + from + " ORDER BY bytes_raw");
  }

  StoreDatabase db_;
  RowWriter writer_;
  std::unique_ptr<RowChunk> rows_ = std::make_unique<RowChunk>();
  RowChunk& chunk_ = *rows_;
};

TEST_F(RowWriterTest, WritesWhatTheFlowSays) {
  add(plain_flow());
  store();
  EXPECT_EQ(ask("time, start_time, end_time, received_time"),
            "2025-08-19 20:46:05.839794+00|2025-08-19 20:46:03.839794+00|2025-08-19 20:46:05.839794+00|2025-08-19 20:46:06.839794+00\n");
  EXPECT_EQ(ask("ip_text(src_endpoint_addr), ip_text(dst_endpoint_addr), ip_text(sampler_address), src_endpoint_port, dst_endpoint_port"),
            "192.0.2.77|198.51.100.7|192.0.2.1|443|0\n");
  EXPECT_EQ(ask("bytes_raw, packets_raw, bytes_total, packets_total, sampling_rate, flow_source, direction_id, protocol_num"),
            "1000|10|100000|1000|100|2|0|6\n");
  EXPECT_EQ(db_.ask("SELECT len(list_filter([" + [&] {
              std::string list;
              for (const std::string& name : {"in_if", "src_as", "vlan_id", "src_mac", "nat_event", "observation_domain_id", "icmp_type",
                                              "src_net", "observed_direction"}) {
                list += (list.empty() ? "" : ",") + name + "::BIGINT";
              }
              return list;
            }() + "], x -> x IS NOT NULL)) FROM flow_rows"), "0\n");
  EXPECT_EQ(ask("next_hop IS NULL AND as_path IS NULL AND labels IS NULL AND app IS NULL AND remainder IS NULL"), "true\n");
}

TEST_F(RowWriterTest, FillsTheRarerColumns) {
  flowpb::FlowMessage flow = plain_flow();
  flow.set_type(flowpb::IPFIX);
  flow.set_src_addr(octets({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}));
  flow.set_next_hop(octets({0, 0, 0, 0}));
  flow.set_bgp_next_hop(octets({203, 0, 113, 1}));
  flow.set_in_if(7);
  flow.set_src_as(4'200'000'000u);
  flow.set_src_mac(0x0200'5e00'5301);
  flow.set_vlan_id(12);
  flow.set_bytes_in(24);
  flow.set_bytes_out(1000);
  for (const uint32_t as : {64496u, 64511u}) flow.add_as_path(as);
  flow.add_bgp_communities(65536);
  flow.add_labels("web");
  flow.add_labels("\xff" "bad");
  flow.set_user_name("ann");
  flow.set_application_name("dns");
  flow.set_post_nat_src_addr(octets({203, 0, 113, 9}));
  flow.set_post_nat_src_port(4000);
  flow.set_nat_event(1);
  flow.set_ip_flags(2);
  flow.add_mpls_label(16);
  add(flow);
  store();
  EXPECT_EQ(ask("ip_text(src_endpoint_addr), ip_text(next_hop), ip_text(bgp_next_hop), in_if, src_as, mac_text(src_mac), vlan_id"),
            "2001:db8::9||203.0.113.1|7|4200000000|02:00:5e:00:53:01|12\n");
  EXPECT_EQ(ask("bytes_raw, bytes_in_raw, bytes_out_raw, as_path, bgp_communities, labels, user_name, app"),
            "1024|24|1000|[64496, 64511]|[65536]|[web, ?bad]|ann|dns\n");
  EXPECT_EQ(ask("ip_text(nat_src_addr), nat_src_port, nat_event, observation_domain_id, remainder"),
            "203.0.113.9|4000|1|0|{\"ip_flags\":2,\"mpls_label\":[16]}\n");
}

TEST_F(RowWriterTest, BelievesNoTimeThatCannotBe) {
  const auto time_of = [&](const std::function<void(flowpb::FlowMessage&)>& change) {
    flowpb::FlowMessage flow = plain_flow();
    change(flow);
    const std::string message = flow.SerializeAsString();
    FlowView view;
    EXPECT_TRUE(parse_flow({reinterpret_cast<const uint8_t*>(message.data()), message.size()}, view));
    return times_of(view, kNow);
  };
  const auto received = static_cast<int64_t>(kReceivedNs / 1000);
  EXPECT_EQ(time_of([](auto& f) { f.set_time_source(flowpb::TIME_EXPORT); }).time, received);
  EXPECT_FALSE(time_of([](auto& f) { f.set_time_source(flowpb::TIME_EXPORT); }).is_replaced);
  const RowTimes late = time_of([](auto& f) { f.set_time_flow_end_ns(kReceivedNs + 2 * 3'600'000'000'000ull); });
  EXPECT_EQ(late.time, received);
  EXPECT_TRUE(late.is_replaced);
  EXPECT_EQ(late.end, 0);
  EXPECT_EQ(time_of([](auto& f) { f.set_time_flow_end_ns(1); }).time, received);
  EXPECT_EQ(time_of([](auto& f) { f.set_time_received_ns(~0ull); f.set_time_flow_end_ns(~0ull); }).time, kNow);
  EXPECT_EQ(time_of([](auto& f) { f.clear_time_received_ns(); f.clear_time_source(); }).time, received - 1'000'000);
  EXPECT_EQ(time_of([](auto& f) { f.clear_time_received_ns(); f.clear_time_flow_end_ns(); }).time, kNow);
  EXPECT_EQ(time_of([](auto& f) { f.set_time_flow_start_ns(kReceivedNs); }).start, 0);  // behind the end
}

TEST_F(RowWriterTest, SaturatesCounters) {
  flowpb::FlowMessage flow = plain_flow();
  flow.set_bytes(~0ull);
  flow.set_packets(1ull << 60);
  add(flow);
  store();
  EXPECT_EQ(ask("bytes_raw, bytes_total, packets_raw, packets_total"),
            "9223372036854775807|9223372036854775807|1152921504606846976|9223372036854775807\n");
}

TEST_F(RowWriterTest, KeepsPortsAndTypesWhereTheProtocolHasThem) {
  flowpb::FlowMessage flow = plain_flow();
  flow.set_proto(1);
  flow.clear_src_port();
  add(flow);
  flow.set_proto(47);
  flow.set_bytes(2000);
  add(flow);
  store();
  EXPECT_EQ(ask("src_endpoint_port, dst_endpoint_port, icmp_type, icmp_code, tcp_flags"), "||0|0|\n||||\n");
}

TEST_F(RowWriterTest, TakesWhatRulesSay) {
  auto rules = rules::RuleSet::parse(
      "version: 1\n"
      "local_prefixes: [192.0.2.0/24]\n"
      "rules:\n"
      "  - {id: a, then: {set: {app_name: \"'web'\", unmapped.src_country: \"'DE'\", unmapped.threat_matched: 'true', unmapped.own: 7,\n"
      "     severity_id: 3, unmapped.src_tags: \"'a,b'\"}, labels: [heavy]}}\n",
      "test", "", transform::event_targets());
  ASSERT_TRUE(rules) << rules.error().message;
  writer_.take_rules(&(*rules)->program());
  rules::Scratch scratch;
  rules::Outcome outcome;
  const std::string message = plain_flow().SerializeAsString();
  FlowView view;
  ASSERT_TRUE(parse_flow({reinterpret_cast<const uint8_t*>(message.data()), message.size()}, view));
  (*rules)->program().run(view, scratch, outcome);
  writer_.write(view, {&outcome, &(*rules)->program(), (*rules)->local_prefixes()}, times_of(view, kNow), chunk_);
  store();
  EXPECT_EQ(ask("app, src_country, threat_matched, src_tags, labels, direction_id, remainder"),
            "web|DE|true|[a, b]|[heavy]|2|{\"own\":7,\"severity_id\":3}\n");
}

TEST_F(RowWriterTest, SaysWhatIsKnownOfAddresses) {
  const enrich::AddressFacts inside{.country = "DE", .as_number = 64496};
  const enrich::AddressFacts outside{.country = "AU", .cloud = "aws", .threat = "botnet", .as_number = 64511};
  flowpb::FlowMessage flow = plain_flow();
  flow.set_dst_as(65000);
  transform::Decisions decisions;
  decisions.src = &inside;
  decisions.dst = &outside;
  add(flow, decisions);
  store();
  EXPECT_EQ(ask("src_country, dst_country, src_tags, dst_tags, threat_matched, src_as, dst_as"),
            "DE|AU||[aws, botnet]|true|64496|65000\n");
}

TEST_F(RowWriterTest, NamesTheApplicationByItsPortsWhereNobodyElseDoes) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "applications.csv";
  std::ofstream(path) << "name,protocol,ports,prefix\nweb,6,443,\n";
  enrich::EnrichConfig config;
  config.applications = path;
  const auto known = enrich::Enrichment::load(config);
  ASSERT_TRUE(known) << known.error().message;
  transform::Decisions decisions;
  decisions.known = known->get();
  flowpb::FlowMessage flow = plain_flow();
  flow.set_proto(6);
  flow.set_dst_port(443);
  flow.clear_application_name();
  add(flow, decisions);
  flow.set_application_name("tls");
  flow.set_bytes(2000);
  add(flow, decisions);
  store();
  EXPECT_EQ(ask("app"), "web\ntls\n");
}

TEST_F(RowWriterTest, FillsChunkAfterChunk) {
  flowpb::FlowMessage flow = plain_flow();
  uint64_t rows = 0;
  for (int round = 0; round < 3; ++round) {
    while (!chunk_.is_full()) {
      flow.set_bytes(++rows);
      flow.clear_labels();
      for (uint64_t i = 0; i < rows % 4; ++i) flow.add_labels("label " + std::to_string(i) + " that is longer than twelve octets");
      add(flow);
    }
    store();
  }
  EXPECT_EQ(db_.ask("SELECT count(*), sum(bytes_raw), sum(coalesce(len(labels), 0)), count(labels), min(labels[1]), max(labels[3]) FROM flow_rows"),
            std::to_string(rows) + "|" + std::to_string(rows * (rows + 1) / 2) + "|" + std::to_string(rows / 4 * 6) + "|" +
                std::to_string(rows / 4 * 3) + "|label 0 that is longer than twelve octets|label 2 that is longer than twelve octets\n");
}

}  // namespace
}  // namespace weir::store
