// Nothing of what is done for each flow asks the heap for memory: rules with all that they can do, everything that is known put to the flow,
// the event, a decision file's result, what a store keeps beside its columns.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "allocation_counter.h"
#include "rules/flow_maker.h"
#include "support/mmdb_writer.h"
#include "transform/decision_writer.h"
#include "transform/given_names.h"
#include "transform/ocsf_event.h"
#include "transform/remainder.h"

namespace weir::transform {
namespace {

using perf::allocations;
using test::MmdbWriter;

constexpr const char* kRules = R"yaml(version: 1
sets:
  local: [10.0.0.0/8, '2001:db8::/32']
  web: [80, 443, 8000-8999]
  names: [ssh, http]
dictionaries: {apps: apps.csv}
local_prefixes: "@local"
derive:
  is_web: proto == 6 and dst_port in @web
  rate: bytes / packets
rules:
  - {id: dropped, when: bytes == 99 and dst_port == 53, then: {drop: true}}
  - {id: sampled, when: proto == 17, then: {sample: 3}}
  - id: texts
    when: "len(site) >= 0 and not startsWith(upper(site), 'X')"
    then:
      set:
        message: "`${flow_type} ${trim(application_name)} from ${src_addr} ${bytes / 3}`"
        app_name: "lookup('apps', dst_port) ?? lower(in_if_name) + '!'"
        src_endpoint.hostname: "lookup('apps', application_name, 'owner')"
        unmapped.mac: "mac(bytes) ?? mac(application_name) ?? src_mac"
        unmapped.is_web: is_web
        unmapped.rate: "round(rate, 2)"
        severity_id: "bytes > 1000 ? 3 : 1"
      labels: [one, two]
  - {id: lists, when: "443 in as_path or contains(labels, 'ssh') or '2001:db8::1' in srv6_segments or len(as_path) > 2", then: {labels: [lists]}}
  - {id: errors, when: "number(application_name) > 5", then: {labels: [number]}}
  - {id: prefix, when: "cidr(src_addr, @local) and is_private(dst_addr) and ip_version(src_addr) == 4", then: {labels: [inside]}}
  - {id: bits, when: "bit_and(tcp_flags, 2) != 0 and src_port in [1..1023]", then: {labels: [syn]}}
  - {id: in-set, when: application_name in @names, then: {labels: [named]}}
  - {id: also, when: src_as == 1, then: {labels: [one-as]}}
  - {id: last, when: dst_port == 443, then: {set: {connection_info.direction_id: 2}}}
)yaml";

constexpr const char* kDecision =
    R"json({"nodes":[{"id":"i","type":"inputNode"},{"id":"o","type":"outputNode"},{"id":"e","type":"expressionNode","content":{"expressions":[)json"
    R"json({"key":"src.ip","value":"src_addr"},{"key":"text","value":"`${upper(application_name)} ${bytes / 7}`"},{"key":"list","value":"as_path"},)json"
    R"json({"key":"kind","value":"proto == 6 ? 'tcp' : proto == 17 ? 'udp' : null"},{"key":"labels","value":"labels"},{"key":"time","value":"floor(time_received_ns / 1000000)"}]}}],)json"
    R"json("edges":[{"sourceId":"i","targetId":"e"},{"sourceId":"e","targetId":"o"}]})json";

/// All that a worker has beside a flow.
struct Everything {
  Everything() {
    folder = std::filesystem::path(::testing::TempDir()) / ("weir_allocations_" + std::to_string(getpid()));
    std::filesystem::create_directory(folder);
    const auto put = [this](const char* name, const std::string& text) {
      std::ofstream(folder / name) << text;
      return (folder / name).string();
    };
    put("apps.csv", "key,name,owner\n443,https,web\n80,http,web\nssh,Secure Shell,\"ops, nights\"\n");
    put("d.json", kDecision);
    enrich::EnrichConfig files;
    MmdbWriter city("City"), as("ASN");
    for (const char* const prefix : {"10.0.0.0", "192.0.2.0", "198.51.100.0", "2001:db8::"}) {
      city.add(*IpAddress::parse(prefix), 8, MmdbWriter::city("DE", "Köln"));
      as.add(*IpAddress::parse(prefix), 8, MmdbWriter::as_number(64500, "Example"));
    }
    city.write(folder / "city.mmdb");
    as.write(folder / "as.mmdb");
    files.databases = {folder / "city.mmdb", folder / "as.mmdb"};
    files.cloud = {put("cloud.csv", "10.0.0.0/8,example-cloud\n198.51.100.0/24,other-cloud\n")};
    files.threats = {put("threats.csv", "192.0.2.0/24,bad\n2001:db8::/32,worse\n")};
    files.applications = put("applications.csv", "name,protocol,ports,prefix\nhttps,tcp,443,\npayroll,tcp,80 8443,10.0.0.0/8\n");
    files.mac_vendors = {put("manuf", "00:00:00\tExample\n02:00:00\tOther\n")};
    auto loaded = enrich::Enrichment::load(files);
    EXPECT_TRUE(loaded) << loaded.error().message;
    known = loaded ? std::move(*loaded) : nullptr;
    const std::string text = kRules;
    for (const bool decides : {false, true}) {
      auto read = rules::RuleSet::parse(text + (decides ? "decision: d.json\n" : ""), "rules.yaml", folder, event_targets());
      EXPECT_TRUE(read) << read.error().message;
      (decides ? deciding : rules) = read ? std::move(*read) : nullptr;
    }
    auto exporter = std::make_shared<enrich::ExporterNames>();
    exporter->set_name("edge1");
    exporter->set_site("fra");
    for (const uint32_t i : {1u, 6u, 80u, 443u}) exporter->add_interface(i, "xe-" + std::to_string(i));
    exporter->add_application(std::string_view("\x0d\0\0\1", 4), "payroll");
    for (const char* const address : {"10.0.0.1", "192.0.2.1"}) EXPECT_TRUE(names.put(*IpAddress::parse(address), exporter));
    rules::testing::FlowMaker maker(7);
    for (int i = 0; i < 2000; ++i) {
      flowpb::FlowMessage flow = maker.flow();
      if (i % 2 == 0) flow.set_time_received_ns(1'714'764'460'123'456'789);
      flow.set_application_id(std::string("\x0d\0\0\1", 4));
      flow.set_next_hop(maker.address());
      flow.set_inner_src_addr(maker.address());
      flow.set_post_nat_src_addr(maker.address());
      flow.set_firewall_event(static_cast<uint32_t>(maker.below(7)));
      messages.push_back(flow.SerializeAsString());
    }
  }
  ~Everything() { std::filesystem::remove_all(folder); }

  std::filesystem::path folder;
  std::shared_ptr<const enrich::Enrichment> known;
  std::unique_ptr<const rules::RuleSet> rules, deciding;
  enrich::NamesTable names;
  std::vector<std::string> messages;
};

class Allocations : public ::testing::Test {
 protected:
  void SetUp() override {
    const uint64_t before = allocations();
    volatile auto* const some = new std::string(100, 'x');
    delete some;
    if (allocations() == before) GTEST_SKIP() << "allocations are not counted here";
    ASSERT_NE(all_.known, nullptr);
    ASSERT_NE(all_.rules, nullptr);
    ASSERT_NE(all_.deciding, nullptr);
    counts_.resize(all_.rules->rules().size());
  }

  /// As a worker does it for each flow: `write` for those that rules keep. How many there were.
  size_t for_each_flow(const rules::RuleSet& rules, const std::function<void(const EventContext&)>& write) {
    size_t kept = 0;
    for (const std::string& message : all_.messages) {
      if (!parse_flow({reinterpret_cast<const uint8_t*>(message.data()), message.size()}, flow_)) std::abort();
      EventContext context{.processed_ms = 1'714'764'470'000, .message_id = "uuid.1.2.3", .index = 4};
      Decisions& decisions = context.decisions;
      decisions.exporter = exporter_.find(&all_.names, flow_[OctetsSlot::sampler_address]);
      if (decisions.exporter != nullptr) give_names(flow_, *decisions.exporter);
      Decisions::prefetch(flow_, all_.known.get());
      rules.program().run(flow_, scratch_, outcome_, counts_);
      decisions.outcome = &outcome_;
      decisions.program = &rules.program();
      decisions.local = rules.local_prefixes();
      if (outcome_.is_dropped) continue;
      decisions.look_up(flow_, all_.known.get());
      write(context);
      ++kept;
    }
    return kept;
  }
  /// The first pass warms up.
  void expect_none(const rules::RuleSet& rules, const std::function<void(const EventContext&)>& write) {
    for_each_flow(rules, write);
    const uint64_t before = allocations();
    const size_t kept = for_each_flow(rules, write);
    EXPECT_EQ(allocations() - before, 0u) << "for " << kept << " flows";
    EXPECT_GT(kept, all_.messages.size() / 2);
  }

  Everything all_;
  rules::Scratch scratch_;
  rules::Outcome outcome_;
  std::vector<rules::RuleCounts> counts_;
  NamesCursor exporter_;
  FlowView flow_;
  std::vector<char> room_ = std::vector<char>(kEventOctetsMax);
};

TEST_F(Allocations, AreNoneForAnEventWithEverythingInIt) {
  const OcsfWriter writer({.rules_name = all_.rules->name(), .rules_hash = all_.rules->hash(), .observables = true});
  uint64_t octets = 0;
  expect_none(*all_.rules, [&](const EventContext& context) { octets += writer.write(flow_, context, room_); });
  EXPECT_GT(octets, 1000u * all_.messages.size());
  // All of it took part.
  uint64_t hits = 0, errors = 0;
  for (const rules::RuleCounts& count : counts_) {
    EXPECT_GT(count.hits, 0u) << "rule " << &count - counts_.data();
    hits += count.hits, errors += count.errors;
  }
  EXPECT_GT(errors, 0u);
  EXPECT_GT(hits, all_.messages.size());
}

TEST_F(Allocations, AreNoneForAResultOfADecisionFile) {
  DecisionWriter writer;
  size_t written = 0;
  expect_none(*all_.deciding, [&](const EventContext& context) {
    auto end = DecisionEnd::written;
    writer.write(all_.deciding->decision()->program, flow_, context.decisions, room_, end);
    written += end == DecisionEnd::written ? 1 : 0;
  });
  EXPECT_GT(written, 0u);
}

TEST_F(Allocations, AreNoneForWhatAStoreKeepsBesideItsColumns) {
  size_t octets = 0;
  expect_none(*all_.rules, [&](const EventContext& context) {
    bool is_cut = false;
    octets += write_remainder(flow_, context.decisions, 0, room_, is_cut);
  });
  EXPECT_GT(octets, 0u);
}

}  // namespace
}  // namespace weir::transform
