// weir-etl as it is run: instances that share the work, are killed, are told to reload, are looked at with weirctl.
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>

#include "etl/etl_fixture.h"
#include "exporter.pb.h"
#include "export/framing.h"
#include "support/program.h"
#include "support/silent_mount.h"
#include "support/web_client.h"

namespace weir {
namespace {

using test::built;
using test::eventually;
using test::flow_batch;
using test::flow_message;
using test::json;
using test::Outcome;
using test::Process;
using test::StoredMessage;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using namespace std::chrono_literals;

class EtlInstances : public test::EtlFixture {
 protected:
  std::string socket_of(int instance) const { return folder_ / ("etl" + std::to_string(instance) + ".sock"); }
  std::string config_of(int instance, const std::string& more = "") {
    const std::string path = folder_ / ("etl" + std::to_string(instance) + ".yaml");
    std::ofstream(path) << "nats_url: " << nats_.url() << "\n"
                        << "source: {ack_wait_secs: 2}\n"
                        << "events: {buffer_bytes: 16MiB, stream: {name: events_ocsf, max_bytes: 256MiB}}\n"
                        << "decisions: {stream: {name: flows_decisions, max_bytes: 256MiB}}\n"
                        << "dead: {stream: {name: flows_dead, max_bytes: 64MiB}}\n"
                        << "control_socket: {path: " << socket_of(instance) << "}\n"
                        << "shutdown_deadline_ms: 3000\n"
                        << (more.find("watch_files_secs") == std::string::npos ? "watch_files_secs: 0\n" : "")
                        << more;
    return path;
  }
  std::unique_ptr<Process> start(int instance, const std::string& more = "") {
    return std::make_unique<Process>(folder_, std::vector<std::string>{built("weir-etl"), "run", "-c", config_of(instance, more)});
  }
  Outcome ctl(int instance, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {built("weirctl"), "--socket", socket_of(instance)});
    Process process(folder_, std::move(arguments));
    const int status = process.wait();
    return {status, process.out(), process.err()};
  }
  bool is_ready(int instance) { return ctl(instance, {"ready"}).status == 0; }
  std::string reload_state() {
    const auto answer = test::fetch({.url = "http://weir/v1/reload", .unix_path = socket_of(0)});
    const json body = json::parse(answer.body, nullptr, false);
    return body.is_object() ? body["state"].get<std::string>() : "";
  }
  void kill_under_load(int messages, const std::string& more, const std::string& stream);
  json ledger(int instance) { return json::parse(ctl(instance, {"--json", "ledger"}).out, nullptr, false); }
};

/// `more`: of their configuration; `stream`: where every flow has to come to, once.
void EtlInstances::kill_under_load(int messages, const std::string& more, const std::string& stream) {
  constexpr int kInstances = 3, kRecords = 40;
  std::vector<std::unique_ptr<Process>> instances;
  for (int i = 0; i < kInstances; ++i) instances.push_back(start(i, more));
  for (int i = 0; i < kInstances; ++i) ASSERT_TRUE(eventually([&] { return is_ready(i); })) << instances[static_cast<size_t>(i)]->err();
  int kills = 0;
  for (int m = 0; m < messages; ++m) {
    publish("flows.raw.netflow", flow_batch(static_cast<uint64_t>(m) * kRecords, kRecords), {{"Nats-Msg-Id", "m" + std::to_string(m)}});
    if (m % 150 != 149) continue;
    const int which = kills++ % kInstances;
    auto& victim = instances[static_cast<size_t>(which)];
    victim->signal(SIGKILL);
    victim->wait();
    victim = start(which, more);
  }
  EXPECT_EQ(kills, messages / 150);
  ASSERT_TRUE(eventually([&] { return is_all_done(); }, 90s)) << consumer().dump();
  EXPECT_EQ(messages_in("flows_dead"), 0u);
  const auto records = static_cast<uint32_t>(messages * kRecords);
  const auto numbers = numbers_of(events(stream));
  EXPECT_EQ(numbers.size(), records);
  EXPECT_TRUE(numbers == run_of(0, records));
  for (auto& instance : instances) EXPECT_EQ(instance->terminate(), 0) << instance->err();
}

TEST_F(EtlInstances, LoseNothingAndStoreNothingTwiceWhenTheyAreKilledUnderLoad) { kill_under_load(1500, "", "events_ocsf"); }

TEST_F(EtlInstances, LoseNoResultOfADecisionFileAndStoreNoneTwiceWhenTheyAreKilledUnderLoad) {
  write_decision_file({{"traffic.bytes_out", "bytes"}});
  std::ofstream(folder_ / "rules.yaml") << "version: 1\ndecision: d.json\nrules: []\n";
  kill_under_load(450, "rules: " + (folder_ / "rules.yaml") + "\n", "flows_decisions");
  EXPECT_EQ(messages_in("events_ocsf"), 0u);
}

/// A message that takes its worker seconds, during which it can be killed, among small ones.
TEST_F(EtlInstances, GiveUpAMessageThatKillsThemAndKeepItsNeighbours) {
  constexpr uint32_t kLarge = 400'000;
  std::string batch;
  const std::string message = flow_message(7);
  batch.reserve(kLarge * (message.size() + 2));
  for (uint32_t i = 0; i < kLarge; ++i) {
    batch += '\x0a';
    batch += static_cast<char>(message.size());
    batch += message;
  }
  outbound::OutboundBatch out;
  out.data = reinterpret_cast<uint8_t*>(batch.data());
  out.octets = static_cast<uint32_t>(batch.size());
  out.records = kLarge;
  outbound::MessageFormer former(outbound::Framing::batch, outbound::Compression::zstd);
  const auto packed = former.form(out, {0, out.octets, out.records, 0});
  for (uint64_t i = 0; i < 20; ++i) publish("flows.raw.netflow", flow_batch(i, 1));
  publish("flows.raw.netflow", {packed.begin(), packed.end()},
          {{"Weir-Framing", "batch"}, {"Weir-Compression", "zstd"}, {"Nats-Msg-Id", "killer"}});
  for (uint64_t i = 20; i < 60; ++i) publish("flows.raw.netflow", flow_batch(i, 1));

  // Rules that take their time, and drop what is in the large one: nothing of it is ever published.
  {
    std::ofstream rules(folder_ / "rules.yaml");
    rules << "version: 1\nrules:\n";
    for (int i = 0; i < 300; ++i) {
      rules << "  - {id: slow" << i << ", when: \"number(string(bytes)) == " << 100'000'000 + i << "\", then: {labels: [never]}}\n";
    }
    rules << "  - {id: drop-killer, when: bytes == 1007 and src_port == 1031, then: {drop: true}}\n";
  }
  int kills = 0;
  auto instance = start(0, "rules: " + (folder_ / "rules.yaml") + "\n");
  const bool given_up = eventually(
      [&] {
        if (messages_in("flows_dead") > 0) return true;
        const json l = ledger(0);
        if (!l.is_object() || l["records"]["dropped"].get<uint64_t>() < 1000) return false;
        if (l["messages"]["in_hand"] == 0) return false;
        instance->signal(SIGKILL);
        instance->wait();
        ++kills;
        instance = start(0, "rules: " + (folder_ / "rules.yaml") + "\n");
        return false;
      },
      100s);
  ASSERT_TRUE(given_up) << kills << " kills; " << consumer().dump();
  // On a slow machine a delivery may end by its time and not by a kill; how many there were stands in the letter.
  EXPECT_LE(kills, 5);
  EXPECT_GE(kills, 3);
  ASSERT_TRUE(eventually([&] { return is_all_done(); }, 60s)) << consumer().dump();
  const auto dead = read_stream("flows_dead");
  ASSERT_THAT(dead, SizeIs(1)) << "its neighbours were given up with it";
  EXPECT_EQ(dead[0].subject, "flows.dead.max_deliver");
  EXPECT_EQ(dead[0].header("Weir-Dead-Id"), "killer");
  EXPECT_EQ(dead[0].header("Weir-Dead-Deliveries"), "6");
  EXPECT_EQ(dead[0].header("Weir-Framing"), "batch");
  EXPECT_EQ(dead[0].header("Weir-Compression"), "zstd");
  EXPECT_EQ(dead[0].body, std::string(packed.begin(), packed.end()));
  auto expected = run_of(0, 60);
  expected.erase(7);  // the rule's
  EXPECT_EQ(numbers_of(events()), expected);
}

/// As the collector publishes it.
flowpb::ExporterInfo edge_router() {
  flowpb::ExporterInfo info;
  info.set_exporter_address(std::string("\xCB\x00\x71\x01", 4));
  info.set_name("edge1");
  info.set_site("fra");
  for (uint32_t i = 1; i <= 3; ++i) {
    auto* const interface = info.add_interfaces();
    interface->set_if_index(i);
    interface->set_name("xe-0/0/" + std::to_string(i));
  }
  auto* const vrf = info.add_vrfs();
  vrf->set_id(4);
  vrf->set_name("customers");
  auto* const application = info.add_applications();
  application->set_id(std::string("\x0d\x00\x00\x01", 4));
  application->set_name("payroll");
  return info;
}

/// A flow of that router's; the third interface it names itself.
std::string named_batch(uint64_t number) {
  flowpb::FlowBatch batch;
  auto* const flow = batch.add_flows();
  EXPECT_TRUE(flow->ParseFromString(flow_message(number)));
  flow->set_sampler_address(edge_router().exporter_address());
  flow->set_in_if(2);
  flow->set_out_if(3);
  flow->set_out_if_name("uplink");
  flow->set_ingress_vrf_id(4);
  flow->set_application_id(std::string("\x0d\x00\x00\x01", 4));
  flow->set_application_name("tls");  // a classification's
  return batch.SerializeAsString();
}

TEST_F(EtlInstances, SayWhatExportersCallWhatTheyHave) {
  make_stream("flow_meta", "flows.meta.*", {{"max_msgs_per_subject", 1}});
  publish("flows.meta.203-0-113-1", edge_router().SerializeAsString());
  publish("flows.meta.192-0-2-9", "\xff\xff");  // no message of ours
  publish("flows.raw.a", named_batch(0));        // before there is anybody who could know the names
  std::ofstream(folder_ / "rules.yaml") << "version: 1\nrules:\n  - {id: by-name, when: in_if_name == 'xe-0/0/2', then: {labels: [customer]}}\n";
  auto instance = start(0, "rules: " + (folder_ / "rules.yaml") + "\n");
  ASSERT_TRUE(eventually([&] { return events().size() == 1; })) << instance->err();
  json event = events()[0];
  EXPECT_EQ(event["device"]["name"], "edge1");
  EXPECT_EQ(event["src_endpoint"]["interface_name"], "xe-0/0/2");
  EXPECT_EQ(event["dst_endpoint"]["interface_name"], "uplink") << "what a flow says itself stays";
  EXPECT_EQ(event["unmapped"]["ingress_vrf_name"], "customers");
  EXPECT_EQ(event["unmapped"]["site"], "fra");
  EXPECT_EQ(event["app_name"], "payroll") << "an exporter's own name goes before a classification's";
  EXPECT_EQ(event["metadata"]["labels"], json({"customer"})) << "rules see names";

  auto renamed = edge_router();
  renamed.mutable_interfaces(1)->set_name("ae2");
  publish("flows.meta.203-0-113-1", renamed.SerializeAsString());
  const auto exporters = [&] { return json::parse(ctl(0, {"--json", "status"}).out, nullptr, false)["names"]; };
  ASSERT_TRUE(eventually([&] { return exporters().value("messages", 0) == 2; })) << exporters().dump();
  std::this_thread::sleep_for(500ms);  // the next look at the stream publishes them
  publish("flows.raw.a", named_batch(1));
  ASSERT_TRUE(eventually([&] { return events().size() == 2; }));
  EXPECT_EQ(events()[1]["src_endpoint"]["interface_name"], "ae2");
  EXPECT_EQ(exporters()["exporters"], 1);
  EXPECT_EQ(exporters()["malformed"], 1);
  const Outcome metrics = ctl(0, {"metrics"});
  for (const char* line : {"weir_etl_names_exporters 1", "weir_etl_names_connected 1", "weir_etl_names_malformed_total 1"}) {
    EXPECT_THAT(metrics.out, HasSubstr(line));
  }
  EXPECT_EQ(instance->terminate(), 0) << instance->err();
}

TEST_F(EtlInstances, GoWithoutNamesWhereNobodyPublishesThem) {
  publish("flows.raw.a", named_batch(0));
  auto instance = start(0);
  ASSERT_TRUE(eventually([&] { return events().size() == 1; })) << instance->err();
  const json event = events()[0];
  EXPECT_FALSE(event["device"].contains("name"));
  EXPECT_EQ(event["src_endpoint"]["interface_uid"], "2");
  EXPECT_EQ(event["app_name"], "tls");
  ASSERT_TRUE(eventually([&] { return is_ready(0); })) << "names are no condition";
  EXPECT_EQ(instance->terminate(), 0);
  const std::string log = instance->err();
  const size_t first = log.find("no names of exporters");
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find("no names of exporters", first + 1), std::string::npos) << log;
}

TEST_F(EtlInstances, StartWithoutAServerAndCatchUp) {
  publish("flows.raw.netflow", flow_batch(0, 5));
  nats_.kill();
  auto instance = start(0);
  ASSERT_TRUE(eventually([&] { return ctl(0, {"health"}).status == 0; })) << instance->err();
  const Outcome ready = ctl(0, {"ready"});
  EXPECT_EQ(ready.status, 1);
  ASSERT_TRUE(nats_.start());
  ASSERT_TRUE(eventually([&] { return is_ready(0); }, 30s)) << instance->err();
  connect();
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));
  EXPECT_EQ(numbers_of(events()), run_of(0, 5));
  // A server that goes is told, and that it is there again.
  const auto is_said = [&](const char* before, const char* behind) {
    const std::string log = instance->err();
    const size_t at = log.find(before);
    return at != std::string::npos && log.find(behind, at) != std::string::npos;
  };
  ASSERT_TRUE(eventually([&] { return is_said("ready: flows.raw.*", "\n"); })) << instance->err();
  nats_.kill();
  ASSERT_TRUE(eventually([&] { return is_said("ready: flows.raw.*", "not ready: "); })) << instance->err();
  ASSERT_TRUE(nats_.start());
  EXPECT_TRUE(eventually([&] { return is_said("ready: flows.raw.*", "ready again: flows.raw.*"); }, 30s)) << instance->err();
  EXPECT_EQ(instance->terminate(), 0);
  EXPECT_THAT(instance->err(), HasSubstr("1 messages in: 1 done"));
}

TEST_F(EtlInstances, ReloadRulesAndKeepTheLastGoodOnes) {
  const std::string rules = folder_ / "rules.yaml";
  const auto write = [&](const std::string& text) { std::ofstream(rules) << "version: 1\n" << text; };
  write("rules:\n  - {id: one, then: {labels: [one]}}\n");
  auto instance = start(0, "rules: " + rules + "\n");
  ASSERT_TRUE(eventually([&] { return is_ready(0); })) << instance->err();
  publish("flows.raw.netflow", flow_batch(0, 1));
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));

  EXPECT_THAT(ctl(0, {"reload"}).out, HasSubstr("nothing has changed"));
  write("rules:\n  - {id: two, when: no_such_field == 1, then: {drop: true}}\n");
  const Outcome refused = ctl(0, {"reload"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.out + refused.err, HasSubstr("no_such_field"));
  publish("flows.raw.netflow", flow_batch(1, 1));
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));

  write("rules:\n  - {id: two, then: {labels: [two]}}\n");
  const Outcome good = ctl(0, {"reload"});
  EXPECT_EQ(good.status, 0) << good.out << good.err;
  EXPECT_THAT(good.out, HasSubstr("rules ("));
  publish("flows.raw.netflow", flow_batch(2, 1));
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));

  write("rules:\n  - {id: three, then: {labels: [three]}}\n");
  instance->signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return ctl(0, {"metrics"}).out.find("weir_etl_rules_version 3") != std::string::npos; }));
  publish("flows.raw.netflow", flow_batch(3, 1));
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));

  std::vector<std::string> labels, hashes;
  for (const json& event : events()) {
    labels.push_back(event["metadata"]["labels"][0]);
    hashes.push_back(event["metadata"]["transformation_info_list"][0].dump());
  }
  EXPECT_THAT(labels, ::testing::ElementsAre("one", "one", "two", "three"));
  // What each rule has done, and those that are there no more.
  EXPECT_TRUE(eventually([&] {
    const std::string rows = ctl(0, {"rules"}).out;
    return rows.find("three                           1         0       0") != std::string::npos &&
           rows.find("(of rules that are gone)        3         0       0") != std::string::npos;
  })) << ctl(0, {"rules"}).out << ctl(0, {"rules", "hits"}).err;
  EXPECT_EQ(hashes[0], hashes[1]);
  EXPECT_NE(hashes[1], hashes[2]);
  std::string metrics;
  EXPECT_TRUE(eventually([&] {
    metrics = ctl(0, {"metrics"}).out;
    return metrics.find("weir_etl_rule_matched_total{rule=\"three\"} 1") != std::string::npos;
  })) << metrics;
  EXPECT_THAT(metrics, HasSubstr("weir_etl_rule_matched_total{rule=\"\"} 3"));
  EXPECT_THAT(metrics, HasSubstr("weir_etl_ledger_balanced 1"));
}

TEST_F(EtlInstances, SayAllThatAReloadTookUp) {
  const std::string list = folder_ / "threats.csv", rules = folder_ / "rules.yaml";
  std::ofstream(list) << "192.0.2.0/24,one\n";
  std::ofstream(rules) << "version: 1\n";
  auto instance = start(0, "rules: " + rules + "\nenrichment: {threats: [" + list + "]}\n");
  ASSERT_TRUE(eventually([&] { return is_ready(0); })) << instance->err();
  publish("flows.raw.netflow", flow_batch(0, 1));
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));
  std::ofstream(list) << "192.0.2.0/24,two\n";
  std::ofstream(rules) << "version: 1\nrules: [{id: a, then: {labels: [x]}}]\n";
  const auto both = ctl(0, {"reload"});
  EXPECT_EQ(both.status, 0) << both.err;
  EXPECT_THAT(both.out, HasSubstr("rules ("));
  EXPECT_THAT(both.out, HasSubstr("enrichment"));
  publish("flows.raw.netflow", flow_batch(1, 1));
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));
  // What flows go by is in them: what was known of addresses, of which version, and the rules, whose hash the metrics have, too.
  const auto all = events();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0]["osint"].at(0).at("name"), "one");
  EXPECT_EQ(all[1]["osint"].at(0).at("name"), "two");
  const json before = all[0]["metadata"]["transformation_info_list"], after = all[1]["metadata"]["transformation_info_list"];
  ASSERT_THAT(after, SizeIs(2)) << after.dump();
  for (size_t i = 0; i < 2; ++i) EXPECT_NE(before.at(i), after.at(i));
  EXPECT_THAT(ctl(0, {"metrics"}).out, HasSubstr("weir_etl_rules_info{name=\"rules.yaml\",hash=\"" + after.at(0).at("uid").get<std::string>().substr(7)));
  std::ofstream(rules) << "version: 1\n";
  const auto one = ctl(0, {"reload"});
  EXPECT_THAT(one.out, HasSubstr("rules ("));
  EXPECT_EQ(one.out.find("enrichment"), std::string::npos) << one.out;
}

TEST_F(EtlInstances, SayWhichRulesGoAsSoonAsAReloadIsOver) {
  const std::string rules = folder_ / "rules.yaml";
  const auto write = [&](int n) { std::ofstream(rules) << "version: 1\nrules: [{id: r" << n << ", then: {labels: [x]}}]\n"; };
  write(0);
  auto instance = start(0, "rules: " + rules + "\n");
  ASSERT_TRUE(eventually([&] { return is_ready(0); })) << instance->err();
  const auto status = [&] { return json::parse(test::fetch({.url = "http://weir/v1/status", .unix_path = socket_of(0)}).body, nullptr, false); };
  std::string before = status()["rules"]["hash"];
  for (int n = 1; n <= 15; ++n) {
    write(n);
    instance->signal(SIGHUP);
    ASSERT_TRUE(eventually([&] {
      const json body = json::parse(test::fetch({.url = "http://weir/v1/reload", .unix_path = socket_of(0)}).body, nullptr, false);
      return body["number"] == n && body["state"] == "applied";
    }));
    const json now = status();
    EXPECT_NE(now["rules"]["hash"], before) << n;
    EXPECT_EQ(now["rules"]["version"], n + 1);
    EXPECT_TRUE(now["rules"]["pending"].is_null()) << now["rules"].dump();
    before = now["rules"]["hash"];
  }
  EXPECT_EQ(instance->terminate(), 0);
}

/// Files are renamed into their place and written over while flows come; one of them is wrong.
TEST_F(EtlInstances, TakeRulesThatWereWrittenAnewUnderLoadByThemselves) {
  const std::string rules = folder_ / "rules.yaml";
  const auto write = [&](const std::string& text) {
    std::ofstream(rules + ".new") << "version: 1\ndictionaries: {who: who.csv}\n" << text;
    std::filesystem::rename(rules + ".new", rules);
  };
  const auto rules_of = [](const std::string& label) {
    return "rules:\n  - {id: a, then: {labels: [" + label + "]}}\n  - {id: b, then: {set: {unmapped.who: \"lookup('who', 'me')\"}, labels: [" + label + "-too]}}\n";
  };
  std::ofstream(folder_ / "who.csv") << "key,name\nme,Ann\n";
  write(rules_of("one"));
  auto instance = start(0, "watch_files_secs: 1\nrules: " + rules + "\n");
  ASSERT_TRUE(eventually([&] { return is_ready(0); })) << instance->err();
  uint64_t flows = 0;
  const auto status = [&] { return json::parse(ctl(0, {"--json", "status"}).out, nullptr, false); };
  const auto publish_until = [&](const auto& until) {
    const auto end = std::chrono::steady_clock::now() + 30s;
    for (int turn = 0; std::chrono::steady_clock::now() < end; ++turn) {
      publish("flows.raw.netflow", flow_batch(flows, 40), {{"Nats-Msg-Id", "m" + std::to_string(flows)}});
      flows += 40;
      if (turn % 20 == 0 && until()) return true;
    }
    return false;
  };
  ASSERT_TRUE(publish_until([&] { return ledger(0)["records"]["events"] > 100; }));
  write(rules_of("two"));
  ASSERT_TRUE(publish_until([&] { return status()["rules"]["version"] == 2; })) << status().dump();
  write("rules: [{id: a, when: no_such_field == 1, then: {drop: true}}]\n");
  ASSERT_TRUE(publish_until([&] { return status()["files_read"]["error"].get<std::string>().find("no_such_field") != std::string::npos; }));
  EXPECT_THAT(ctl(0, {"status"}).out, HasSubstr("FILES NOT TAKEN as they are now"));
  EXPECT_THAT(ctl(0, {"metrics"}).out, HasSubstr("weir_etl_files_read_good 0"));
  const auto health = test::fetch({.url = "http://weir/healthz", .unix_path = socket_of(0)});
  EXPECT_EQ(health.status, 200) << "a restart would mend nothing";
  EXPECT_THAT(health.body, HasSubstr("files of rules or enrichment do not go as they are now"));
  EXPECT_THAT(ctl(0, {"health"}).out, HasSubstr("DEGRADED: files of rules or enrichment do not go as they are now"));
  EXPECT_EQ(status()["rules"]["version"], 2);
  EXPECT_TRUE(is_ready(0)) << "what was read before goes on";
  write(rules_of("two"));
  ASSERT_TRUE(publish_until([&] { return status()["files_read"]["error"] == ""; }));
  std::ofstream(folder_ / "who.csv") << "key,name\nme,Bob\n";
  ASSERT_TRUE(publish_until([&] { return status()["rules"]["version"] == 3; })) << status().dump();
  publish("flows.raw.netflow", flow_batch(flows, 40));
  flows += 40;
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));
  EXPECT_THAT(ctl(0, {"metrics"}).out, HasSubstr("weir_etl_files_read_anew_total 2"));

  const auto all = events();
  EXPECT_TRUE(numbers_of(all) == run_of(0, flows)) << all.size() << " events of " << flows << " flows";
  std::set<std::string> ways;
  for (const json& event : all) ways.insert(event["metadata"]["labels"].dump() + event["unmapped"]["who"].dump());
  EXPECT_THAT(ways, ::testing::ElementsAre(R"(["one","one-too"]"Ann")", R"(["two","two-too"]"Ann")", R"(["two","two-too"]"Bob")"));
  EXPECT_EQ(instance->terminate(), 0) << instance->err();
  const std::string log = instance->err();
  const size_t first = log.find("no_such_field");
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find("refused", first), std::string::npos) << "said once: " << log;
}

TEST_F(EtlInstances, TakeAFileThatSomebodyPutsIntoTheFolderOfRules) {
  const std::string rules = folder_ / "rules.d";
  std::filesystem::create_directory(rules);
  std::ofstream(rules + "/a.yaml") << "version: 1\nrules: [{id: a, then: {labels: [one]}}]\n";
  auto instance = start(0, "rules: " + rules + "\nwatch_files_secs: 1\n");
  ASSERT_TRUE(eventually([&] { return is_ready(0); })) << instance->err();
  const auto status = [&] { return json::parse(test::fetch({.url = "http://weir/v1/status", .unix_path = socket_of(0)}).body, nullptr, false); };
  std::ofstream(rules + "/b.yaml") << "version: 1\nrules: [{id: b, then: {labels: [two]}}]\n";
  ASSERT_TRUE(eventually([&] { return status()["rules"]["version"] == 2; })) << status().dump();
  publish("flows.raw.netflow", flow_batch(0, 1));
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));
  EXPECT_EQ(events().at(0)["metadata"]["labels"], json({"one", "two"}));
  // What editors and volumes put beside them is nobody's business.
  std::ofstream(rules + "/.b.yaml.swp") << "an editor's";
  std::ofstream(rules + "/b.yaml~") << "another's";
  std::this_thread::sleep_for(3500ms);
  EXPECT_EQ(status()["files_read"]["taken"], 1);
  std::filesystem::remove(rules + "/b.yaml");
  ASSERT_TRUE(eventually([&] { return status()["rules"]["version"] == 3; })) << status().dump();
  EXPECT_EQ(instance->terminate(), 0) << instance->err();
  EXPECT_EQ(instance->err().find("refused"), std::string::npos) << instance->err();
}

// A disk that does not answer keeps nobody from working, from answering and from stopping.
TEST_F(EtlInstances, ReadFilesAsideWhileTheyWork) {
  const std::string data = folder_ / "data", list = data + "/cloud.csv";
  std::filesystem::create_directory(data);
  std::ofstream(list) << "192.0.2.0/24,one\n";
  if (!test::SilentMount(data).is_there()) GTEST_SKIP() << "no file system of the test's own: needs root and FUSE";
  auto instance = start(0, "enrichment: {cloud: [" + list + "]}\n");
  ASSERT_TRUE(eventually([&] { return is_ready(0); })) << instance->err();
  std::optional<test::SilentMount> hangs(std::in_place, data);
  instance->signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return reload_state() == "running"; }));
  publish("flows.raw.netflow", flow_batch(0, 1));
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));
  EXPECT_NE(ctl(0, {"reload"}).status, 0) << "one at a time";
  hangs.reset();
  ASSERT_TRUE(eventually([&] { return reload_state() == "unchanged"; })) << reload_state() << ": the drive is there again, with what was read before";
  std::ofstream(list) << "192.0.2.0/24,two\n";
  EXPECT_EQ(ctl(0, {"reload"}).status, 0);
  // And it stops while it waits.
  hangs.emplace(data);
  instance->signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return reload_state() == "running"; }));
  EXPECT_EQ(instance->terminate(20s), 0) << instance->err();
  EXPECT_THAT(instance->err(), HasSubstr("that thread is left behind"));
}

// What was asked for while a look hangs is under way, not done.
TEST_F(EtlInstances, DoNotSayOfAReloadThatItIsDoneBeforeItHasBegun) {
  const std::string data = folder_ / "data", list = data + "/cloud.csv";
  std::filesystem::create_directory(data);
  std::ofstream(list) << "192.0.2.0/24,one\n";
  if (!test::SilentMount(data).is_there()) GTEST_SKIP() << "no file system of the test's own: needs root and FUSE";
  auto instance = start(0, "enrichment: {cloud: [" + list + "]}\nwatch_files_secs: 1\n");
  ASSERT_TRUE(eventually([&] { return is_ready(0); })) << instance->err();
  EXPECT_EQ(ctl(0, {"reload"}).status, 0);
  std::optional<test::SilentMount> hangs(std::in_place, data);
  std::this_thread::sleep_for(1500ms);  // one look at least
  Process reload(folder_, {built("weirctl"), "--socket", socket_of(0), "reload"});
  ASSERT_TRUE(eventually([&] { return reload_state() == "running"; }));
  std::this_thread::sleep_for(500ms);
  EXPECT_TRUE(reload.is_running()) << reload.out();
  hangs.reset();
  EXPECT_EQ(reload.wait(), 0) << reload.err();
  EXPECT_EQ(instance->terminate(), 0) << instance->err();
}

// A pipe that nobody writes to is refused, not waited for.
TEST_F(EtlInstances, RefuseWhatIsNoRegularFile) {
  const std::string list = folder_ / "cloud.csv";
  std::ofstream(list) << "192.0.2.0/24,one\n";
  auto instance = start(0, "enrichment: {cloud: [" + list + "]}\nwatch_files_secs: 1\n");
  ASSERT_TRUE(eventually([&] { return is_ready(0); })) << instance->err();
  std::filesystem::remove(list);
  ASSERT_EQ(mkfifo(list.c_str(), 0600), 0);
  const Outcome refused = ctl(0, {"reload"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.out + refused.err, HasSubstr(list + ": is no regular file"));
  ASSERT_TRUE(eventually([&] { return test::fetch({.url = "http://weir/v1/status", .unix_path = socket_of(0)}).body.find("cloud.csv: is no regular file") != std::string::npos; }));
  EXPECT_EQ(instance->terminate(), 0) << instance->err();
}

TEST_F(EtlInstances, AreLookedAtWithWeirctl) {
  auto instance = start(0, "metrics_addr: 127.0.0.1:0\n");
  ASSERT_TRUE(eventually([&] { return is_ready(0); })) << instance->err();
  publish("flows.raw.netflow", flow_batch(0, 30));
  publish("flows.raw.netflow", "no flow", {{"Weir-Framing", "delimited"}});
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));
  ASSERT_TRUE(eventually([&] { return ledger(0)["messages"]["in_hand"] == 0 && ledger(0)["messages"]["in"] == 2; }));

  const Outcome status = ctl(0, {"status"});
  EXPECT_EQ(status.status, 0) << status.err;
  EXPECT_THAT(status.out, HasSubstr("running, ready"));
  EXPECT_THAT(status.out, HasSubstr("flows.raw.*  weir-etl-flows-raw-any  yes"));
  EXPECT_THAT(status.out, HasSubstr("events_ocsf"));
  EXPECT_THAT(status.out, HasSubstr("no rules"));
  const Outcome books = ctl(0, {"ledger"});
  EXPECT_EQ(books.status, 0) << books.err;
  EXPECT_THAT(books.out, HasSubstr("dead: undecodable"));
  EXPECT_THAT(books.out, HasSubstr("the books balance"));
  EXPECT_EQ(ctl(0, {"health"}).out, "alive\n");
  EXPECT_EQ(ctl(0, {"ready"}).out, "ready\n");
  EXPECT_THAT(ctl(0, {"config"}).out, HasSubstr("source.ack_wait_secs"));
  EXPECT_EQ(ctl(0, {"log-level", "debug"}).status, 0);
  EXPECT_THAT(ctl(0, {"log-level"}).out, HasSubstr("debug"));
  EXPECT_EQ(json::parse(ctl(0, {"--json", "status"}).out)["rules"]["version"], 1);
  EXPECT_THAT(ctl(0, {"rules"}).out, HasSubstr("no rules: each flow becomes an event"));
  // What only an appliance has is not there, and weirctl says so.
  EXPECT_EQ(ctl(0, {"ports"}).status, 1);
  EXPECT_EQ(instance->terminate(), 0);
}

TEST_F(EtlInstances, SayWhatIsWrongWithAConfigurationAndDoNotStart) {
  const std::string path = folder_ / "bad.yaml";
  std::ofstream(path) << "source:\n  consumr: x\nrules: " << (folder_ / "absent.yaml") << "\n";
  for (const char* command : {"run", "check-config"}) {
    const Outcome outcome = test::run_program({built("weir-etl"), command, "-c", path});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("bad.yaml:2:3: source.consumr"));
  }
  std::ofstream(path) << "rules: " << (folder_ / "absent.yaml") << "\ncontrol_socket: {path: " << socket_of(0) << "}\n";
  for (const char* command : {"run", "check-config"}) {
    const Outcome outcome = test::run_program({built("weir-etl"), command, "-c", path});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("absent.yaml"));
  }
}

}  // namespace
}  // namespace weir
