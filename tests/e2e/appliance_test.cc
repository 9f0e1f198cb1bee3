// appliance_test.cc — The programs as a user runs them, against a real nats-server: what was sent is
// what is acknowledged and read back, or it is counted under a reason.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>
#include <random>

#include "export/jetstream_reader.h"
#include "exporter.pb.h"
#include "lab/message_builder.h"
#include "appliance_fixture.h"

namespace weir {
namespace {

using namespace std::chrono_literals;

size_t lines_with(const std::string& text, const std::string& word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

TEST_F(ApplianceTest, DeliversWhatExportersSendAndEndsWithStatusZero) {
  auto weir = start();
  uint64_t sent = 0;
  for (const char* protocol : {"v5", "v9"}) sent += generate(protocol, 200, 20);
  ASSERT_TRUE(eventually([&] { return acknowledged() == sent; })) << ledger().dump(2);
  expect_books_balance(ledger());
  const auto records = read_stream();
  EXPECT_EQ(records.size(), sent);
  EXPECT_EQ(
      static_cast<size_t>(std::count_if(records.begin(), records.end(),
                                        [](const json& r) { return r["type"] == "NETFLOW_V9"; })),
      sent / 2);
  for (const json& record : records) {
    ASSERT_EQ(record["sampler_address"], "127.0.0.1") << record;
    ASSERT_GT(record["time_received_ns"].get<uint64_t>(), 0u);
    ASSERT_GT(record["bytes"].get<uint64_t>(), 0u);
  }
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  EXPECT_NE(weir->err().find("acknowledged " + std::to_string(sent)), std::string::npos)
      << weir->err();
  EXPECT_FALSE(std::filesystem::exists(control_socket()));
}

TEST_F(ApplianceTest, ReplaysACaptureThroughDpdkToItsEnd) {
  const std::string pcap = folder_ / "flows.pcap";
  const Answer made = run({weir(), "generate", "--protocol", "v9", "--pcap", pcap, "--count", "300",
                           "--flows", "20", "--exporters", "7", "--json"});
  ASSERT_EQ(made.status, 0) << made.err;
  const uint64_t written = json::parse(made.out).at("records");
  port_ = 2055;  // where generated captures are addressed to
  const std::string config =
      write_config("", "  - {name: replay, device: \"net_pcap0,rx_pcap=" + pcap + "\"}\n");
  Process process(folder_, {weir(), "run", "-c", config, "--until-end"});
  EXPECT_EQ(process.wait(), 0) << process.err();
  const auto records = read_stream();
  EXPECT_EQ(records.size(), written) << process.err();
  std::vector<std::string> exporters;
  for (const json& r : records) exporters.push_back(r["sampler_address"]);
  std::sort(exporters.begin(), exporters.end());
  exporters.erase(std::unique(exporters.begin(), exporters.end()), exporters.end());
  EXPECT_EQ(exporters.size(), 7u);
}

TEST_F(ApplianceTest, SaysThatAReplayedCaptureWasCut) {
  const std::string pcap = folder_ / "flows.pcap";
  ASSERT_EQ(run({weir(), "generate", "--protocol", "v5", "--pcap", pcap, "--count", "10", "--flows",
                 "20", "--json"})
                .status,
            0);
  std::filesystem::resize_file(pcap, std::filesystem::file_size(pcap) - 100);
  port_ = 2055;
  const std::string config =
      write_config("", "  - {name: replay, device: \"net_pcap0,rx_pcap=" + pcap + "\"}\n");
  Process process(folder_, {weir(), "run", "-c", config, "--until-end"});
  EXPECT_EQ(process.wait(), 1) << process.err();
  EXPECT_NE(process.err().find("port replay: 1 packets could not be read"), std::string::npos)
      << process.err();
  EXPECT_EQ(read_stream().size(), 9u * 20);
}

TEST_F(ApplianceTest, SurvivesABrokerThatIsKilledAndStoresEveryRecordOnce) {
  auto weir = start("publish_timeout_ms: 1000\n");
  uint64_t sent = generate("v5", 100, 30);
  for (int round = 0; round < 2; ++round) {
    nats_.kill();
    sent += generate("v5", 300, 30, 1000);
    ASSERT_TRUE(nats_.start());
    sent += generate("v5", 100, 30);
  }
  ASSERT_TRUE(eventually([&] { return acknowledged() == sent; }, 60s)) << ledger().dump(2);
  expect_books_balance(ledger());
  EXPECT_EQ(read_stream().size(), sent);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(ApplianceTest, CountsWhatItCouldNotDeliverWhenTheBrokerIsAway) {
  auto weir = start("shutdown_deadline_ms: 1000\npublish_timeout_ms: 500\n");
  nats_.kill();
  const uint64_t sent = generate("v5", 50, 30);
  ASSERT_TRUE(eventually([&] {
    const json l = ledger();
    return l.is_object() && l["records"]["decoded"] == sent;
  }));
  expect_books_balance(ledger());
  EXPECT_EQ(ctl({"ready"}).status, 1);
  EXPECT_EQ(weir->terminate(), 1);
  EXPECT_NE(weir->err().find(std::to_string(sent) + " records were not delivered"),
            std::string::npos)
      << weir->err();
}

TEST_F(ApplianceTest, ASecondSignalEndsTheWaitForTheBroker) {
  auto weir = start("shutdown_deadline_ms: 600000\n");
  nats_.kill();
  const uint64_t sent = generate("v5", 50, 30);
  ASSERT_TRUE(eventually([&] {
    const json l = ledger();
    return l.is_object() && l["records"]["decoded"] == sent;
  }));
  weir->signal(SIGTERM);
  ASSERT_TRUE(eventually(
      [&] { return weir->err().find("no more packets are taken") != std::string::npos; }));
  std::this_thread::sleep_for(500ms);
  EXPECT_TRUE(weir->is_running()) << "it waits for the broker";
  EXPECT_EQ(weir->terminate(), 1) << weir->err();
  EXPECT_NE(weir->err().find(std::to_string(sent) + " records were not delivered"),
            std::string::npos)
      << weir->err();
}

TEST_F(ApplianceTest, StartsWithoutItsBrokerAndDeliversOnceItIsThere) {
  nats_.kill();
  auto weir = std::make_unique<Process>(
      folder_, std::vector<std::string>{this->weir(), "run", "-c", write_config()});
  ASSERT_TRUE(eventually([&] { return ledger().is_object(); })) << weir->err();
  const uint64_t sent = generate("v5", 20, 30);
  ASSERT_TRUE(nats_.start());
  EXPECT_TRUE(eventually([&] { return acknowledged() == sent; }, 60s)) << ledger().dump(2);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(ApplianceTest, StandsAFloodOfGarbageAndKeepsServingGoodExporters) {
  auto weir = start();
  std::mt19937 random(7);
  std::vector<std::string> garbage;
  for (int i = 0; i < 20'000; ++i) {
    std::string payload(random() % 200, '\0');
    for (char& c : payload) c = static_cast<char>(random());
    if (payload.size() >= 2 && i % 2 == 0) {
      payload[0] = 0;
      payload[1] = static_cast<char>(std::array{5, 9, 10}[random() % 3]);  // looks like an export
    }
    garbage.push_back(std::move(payload));
  }
  send_udp(port_, garbage);
  // What the kernel had no room for is counted as missed, so the sum is exact.
  const auto seen = [&] {
    const json l = ledger();
    return l.is_object()
               ? l["ports"][0]["packets"].get<uint64_t>() + l["ports"][0]["missed"].get<uint64_t>()
               : 0;
  };
  ASSERT_TRUE(eventually([&] { return seen() == garbage.size(); })) << ledger().dump(2);
  const uint64_t decoded_of_garbage = ledger()["records"]["decoded"];
  const uint64_t sent = generate("v5", 50, 20);
  ASSERT_TRUE(eventually([&] { return acknowledged() == decoded_of_garbage + sent; }))
      << ledger().dump(2);
  const json l = ledger();
  expect_books_balance(l);
  uint64_t rejected = 0;
  for (const auto& [reason, count] : l["datagrams"]["rejected"].items())
    rejected += count.get<uint64_t>();
  EXPECT_GT(rejected, 0u);
  EXPECT_EQ(l["datagrams"]["received"].get<uint64_t>(),
            rejected + l["datagrams"]["decoded"].get<uint64_t>());
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(ApplianceTest, TellsOfWhatIsAcknowledgedAndRefusesWhatIsWrong) {
  auto weir = start("metrics_addr: 127.0.0.1:0\n");
  const uint64_t sent = generate("v9", 20, 10);
  ASSERT_TRUE(eventually([&] { return acknowledged() == sent; }));
  EXPECT_NE(ctl({"ledger"}).out.find("the books balance"), std::string::npos);
  EXPECT_NE(ctl({"metrics"})
                .out.find("weir_publisher_records_acknowledged_total{publisher=\"jetstream\",kind="
                          "\"jetstream\"} " +
                          std::to_string(sent)),
            std::string::npos);
  EXPECT_EQ(ctl({"exporters", "192.0.2.99"}).status, 1);
  EXPECT_EQ(ctl({"exporters", "nonsense"}).status, 2);
  const Answer mistyped = ctl({"statsu"});
  EXPECT_EQ(mistyped.status, 2);
  EXPECT_NE(mistyped.err.find("there is no command statsu; is it status?"), std::string::npos) << mistyped.err;
  EXPECT_EQ(ctl({"--json", "metrics"}).status, 2) << "a script must not take text for JSON";
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  const Answer folder = run({test::built("weirctl"), "--socket", "/tmp", "status"});
  EXPECT_EQ(folder.status, 3);
  EXPECT_NE(folder.err.find("/tmp: a folder, not a socket"), std::string::npos) << folder.err;
  const Answer nobody = ctl({"status"});
  EXPECT_EQ(nobody.status, 3);
  EXPECT_NE(nobody.err.find("no such socket"), std::string::npos) << nobody.err;
}

TEST_F(ApplianceTest, ASecondInstanceOnTheSamePortsIsRefusedClearly) {
  auto weir = start();
  const std::string config = write_config("", "");
  const Answer second = run({this->weir(), "run", "-c", config});
  EXPECT_EQ(second.status, 1);
  EXPECT_NE(second.err.find(control_socket()), std::string::npos) << second.err;
  EXPECT_EQ(ctl({"status"}).status, 0) << "the first one must not have been disturbed";
  EXPECT_EQ(weir->terminate(), 0);
}

// ── what exporters say of themselves ─────────────────────────────────────────────────────────────

std::string text_of(const lab::Octets& octets) { return {octets.begin(), octets.end()}; }

/// IOS's interface and VRF tables, NBAR's applications; `name` is that of interface 7.
std::string names_datagram(const char* name) {
  using lab::text;
  using lab::u32;
  const lab::OptionsTemplate interfaces{300, {{1, 4}}, {{10, 4}, {82, 16}, {83, 16}}};
  const lab::OptionsTemplate vrfs{301, {{1, 4}}, {{234, 4}, {236, 16}}};
  const lab::OptionsTemplate applications{302, {{1, 4}}, {{95, 4}, {96, 16}, {94, 16}}};
  const lab::OptionsTemplate samplers{303, {{1, 4}}, {{48, 4}, {50, 4}, {84, 16}}};
  return text_of(lab::NetflowV9Builder{}
                     .source_id(7)
                     .unix_secs(static_cast<uint32_t>(std::time(nullptr)))
                     .options_templates({interfaces, vrfs, applications, samplers})
                     .data(300, {{u32(1), u32(7), text(name, 16), text("uplink", 16)},
                                 {u32(1), u32(8), text("Gi0/0/8", 16), text("", 16)}})
                     .data(301, {{u32(1), u32(5), text("red", 16)}})
                     .data(302, {{u32(1), u32(0x03000050), text("http", 16), text("WWW", 16)}})
                     .data(303, {{u32(1), u32(2), u32(100), text("FS", 16)}})
                     .build());
}

/// A template and a flow through interface 7 of VRF 5.
std::string flow_datagram() {
  using lab::u32;
  const lab::Template t{400,
                        {{8, 4}, {12, 4}, {10, 4}, {14, 4}, {234, 4}, {95, 4}, {1, 4}, {2, 4}}};
  return text_of(lab::NetflowV9Builder{}
                     .source_id(7)
                     .unix_secs(static_cast<uint32_t>(std::time(nullptr)))
                     .templates({t})
                     .data(400, {{lab::ipv4("192.0.2.1"), lab::ipv4("192.0.2.2"), u32(7), u32(8),
                                  u32(5), u32(0x03000050), u32(100), u32(1)}})
                     .build());
}

TEST_F(ApplianceTest, PublishesWhatExportersCallTheirInterfaces) {
  auto weir = start("exporter_info: {stream_max_bytes: 16MiB}\n");
  // What the stream holds. Whoever reads while a newer table comes sees both.
  const auto tables = [&] {
    std::vector<std::pair<std::string, flowpb::ExporterInfo>> all;
    outbound::ReaderConfig config;
    config.nats.urls = {nats_.url()};
    config.stream = "flow_meta";
    config.subject = "flows.meta.*";
    auto reader = outbound::JetStreamReader::open(config);
    if (!reader) return all;
    for (;;) {
      const auto message = (*reader)->next(200);
      if (!message || !*message) return all;
      flowpb::ExporterInfo info;
      EXPECT_TRUE(info.ParseFromString((*message)->payload));
      all.emplace_back((*message)->subject, info);
    }
  };
  send_udp(port_, {names_datagram("Gi0/0/7"), names_datagram("Gi0/0/7")});
  ASSERT_TRUE(eventually([&] { return tables().size() == 1; })) << weir->err();
  const auto [subject, first] = tables().at(0);
  EXPECT_EQ(subject, "flows.meta.127-0-0-66");
  EXPECT_EQ(first.exporter_address(), std::string("\x7F\0\0\x42", 4));
  EXPECT_EQ(first.partition(), "default");
  EXPECT_GT(first.first_seen_ns(), 0u);
  ASSERT_EQ(first.interfaces_size(), 2);
  EXPECT_EQ(first.interfaces(0).if_index(), 7u);
  EXPECT_EQ(first.interfaces(0).name(), "Gi0/0/7");
  EXPECT_EQ(first.interfaces(0).description(), "uplink");
  EXPECT_EQ(first.interfaces(1).name(), "Gi0/0/8");
  ASSERT_EQ(first.vrfs_size(), 1);
  EXPECT_EQ(first.vrfs(0).id(), 5u);
  EXPECT_EQ(first.vrfs(0).name(), "red");
  ASSERT_EQ(first.applications_size(), 1);
  EXPECT_EQ(first.applications(0).id(), std::string("\x03\0\0\x50", 4));
  EXPECT_EQ(first.applications(0).name(), "http");
  ASSERT_EQ(first.samplers_size(), 1);
  EXPECT_EQ(first.samplers(0).name(), "FS");
  EXPECT_EQ(first.samplers(0).rate(), 100u);

  send_udp(port_, {names_datagram("renamed")});
  flowpb::ExporterInfo second;
  ASSERT_TRUE(eventually([&, version = first.version()] {
    const auto all = tables();
    if (all.size() != 1 || all[0].second.version() == version) return false;
    second = all[0].second;
    return true;
  }));
  EXPECT_EQ(second.interfaces(0).name(), "renamed");
  EXPECT_EQ(second.interfaces_size(), 2) << "the whole table each time";
  EXPECT_GT(second.version(), first.version());
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(ApplianceTest, KnowsNamesOverARestart) {
  auto weir = start();
  send_udp(port_, {names_datagram("Gi0/0/7")});
  const auto names = [&] {
    const json s = json::parse(ctl({"--json", "status"}).out, nullptr, false);
    return s.is_object() ? s["exporter_info"]["names"].get<uint64_t>() : 0;
  };
  ASSERT_TRUE(eventually([&] { return names() == 5; }));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  weir = start();
  EXPECT_EQ(names(), 5u) << weir->err();
  // It says the whole table again, and no other when the exporter repeats it.
  send_udp(port_, {names_datagram("Gi0/0/7")});
  ASSERT_TRUE(eventually([&] {
    const json s = json::parse(ctl({"--json", "status"}).out, nullptr, false);
    return s.is_object() && s["exporter_info"]["acknowledged"] == 1 &&
           s["exporter_info"]["waiting"] == 0;
  }));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(ApplianceTest, KnowsNamesAfterACrash) {
  auto weir = start("state_interval_secs: 1\n");
  send_udp(port_, {names_datagram("Gi0/0/7")});
  const auto names = [&] {
    const json s = json::parse(ctl({"--json", "status"}).out, nullptr, false);
    return s.is_object() ? s["exporter_info"]["names"].get<uint64_t>() : 0;
  };
  ASSERT_TRUE(eventually([&] { return names() == 5; }));
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(folder_ / "state/exporter_names"); }));
  weir->signal(SIGKILL);
  weir->wait();
  weir = start();
  EXPECT_EQ(names(), 5u) << weir->err();
}

TEST_F(ApplianceTest, SaysWhatHappensToExportersAndTemplates) {
  auto weir = start();
  send_udp(port_, {text_of(lab::NetflowV9Builder{}.source_id(7).data(300, {{lab::u32(1)}}).build()),
                   flow_datagram()});
  for (const char* line : {
           "Exporter seen for the first time - Exporter: 127.0.0.66, Protocol: V9, Domain: 7",
           "Missing template - ID: 300, Protocol: V9, Exporter: 127.0.0.66, Domain: 7",
           "Template learned - ID: 400, Protocol: V9, Exporter: 127.0.0.66, Domain: 7",
       }) {
    EXPECT_TRUE(eventually([&] { return weir->err().find(line) != std::string::npos; })) << line;
  }
  ASSERT_TRUE(eventually([&] {
    const json e = json::parse(ctl({"--json", "exporters", "127.0.0.66"}).out, nullptr, false);
    return e.is_object() && e["template_cache"]["data"]["size"] == 1;
  }));
  const json e = json::parse(ctl({"--json", "exporters", "127.0.0.66"}).out);
  EXPECT_EQ(e["template_cache"]["data"]["hits"], 1);
  EXPECT_EQ(e["template_cache"]["data"]["misses"], 1);
  EXPECT_EQ(e["template_cache"]["max"], 2000);
  EXPECT_NE(ctl({"metrics"})
                .out.find("weir_exporter_template_misses_total{exporter=\"127.0.0.66\","
                          "kind=\"data\"} 1"),
            std::string::npos);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(ApplianceTest, PrintsTablesAndNamesInRecordsWhereAskedTo) {
  const std::string path = folder_ / "lines.yaml";
  std::ofstream(path) << "listeners: [{protocol: netflow, listen_addr: '127.0.0.1:" << port_
                      << "', inline_names: true}]\n"
                      << "publishers: [{kind: stdout, exporter_info: true}]\n"
                      << "control_socket: {path: " << control_socket() << "}\nstate_dir: \"\"\n";
  Process weir(folder_, {this->weir(), "run", "-c", path});
  ASSERT_TRUE(eventually([&] { return ctl({"ready"}).status == 0; })) << weir.err();
  send_udp(port_, {names_datagram("Gi0/0/7"), flow_datagram()});
  ASSERT_TRUE(eventually([&] {
    return weir.out().find("EXPORTER_INFO") != std::string::npos &&
           weir.out().find("NETFLOW_V9") != std::string::npos;
  })) << weir.out();
  EXPECT_EQ(weir.terminate(), 0) << weir.err();
  std::istringstream lines(weir.out());
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const json o = json::parse(line);
    if (o["type"] == "EXPORTER_INFO") {
      EXPECT_EQ(o["interfaces"][0]["name"], "Gi0/0/7");
      continue;
    }
    EXPECT_EQ(o["in_if_name"], "Gi0/0/7");
    EXPECT_EQ(o["out_if_name"], "Gi0/0/8");
    EXPECT_EQ(o["ingress_vrf_name"], "red");
    EXPECT_EQ(o["application_name"], "http");
  }
  EXPECT_EQ(count, 2u);
}

TEST_F(ApplianceTest, PutsNamesOfBeforeARestartIntoRecords) {
  const std::string path = folder_ / "lines.yaml";
  std::ofstream(path) << "listeners: [{protocol: netflow, listen_addr: '127.0.0.1:" << port_
                      << "', inline_names: true}]\n"
                      << "publishers: [{kind: stdout}]\ncontrol_socket: {path: " << control_socket()
                      << "}\nstate_dir: " << (folder_ / "state") << "\n";
  for (const bool is_first : {true, false}) {
    Process weir(folder_, {this->weir(), "run", "-c", path});
    ASSERT_TRUE(eventually([&] { return ctl({"ready"}).status == 0; })) << weir.err();
    send_udp(port_, {is_first ? names_datagram("Gi0/0/7") : flow_datagram()});
    ASSERT_TRUE(eventually([&] {
      const json l = ledger();
      return l.is_object() && l["datagrams"]["decoded"] == 1;
    }));
    EXPECT_EQ(weir.terminate(), 0) << weir.err();
    if (is_first) continue;
    const json record = json::parse(weir.out());
    EXPECT_EQ(record["in_if_name"], "Gi0/0/7");
    EXPECT_EQ(record["ingress_vrf_name"], "red");
    EXPECT_EQ(record["application_name"], "http");
  }
}

TEST(WeirRun, PrintsJsonLinesWithoutFileOrBroker) {
  TemporaryFolder folder;
  const uint16_t port = free_udp_port();
  const std::string weir = test::built("weir");
  Process run(folder, {weir, "run", "--listen", "netflow://127.0.0.1:" + std::to_string(port),
                       "--format", "json"});
  // Nothing says that it listens but that it answers: datagrams are sent until one is printed.
  ASSERT_TRUE(eventually([&] {
    Process(folder, {weir, "generate", "--to", "127.0.0.1:" + std::to_string(port), "--protocol",
                     "v5", "--count", "1", "--flows", "3"})
        .wait();
    return lines_with(run.out(), "NETFLOW_V5") >= 3;
  })) << run.err();
  const size_t before = lines_with(run.out(), "NETFLOW_V5");
  Process generate(folder, {weir, "generate", "--to", "127.0.0.1:" + std::to_string(port),
                            "--protocol", "v5", "--count", "5", "--flows", "3"});
  ASSERT_EQ(generate.wait(), 0) << generate.err();
  EXPECT_TRUE(eventually([&] { return lines_with(run.out(), "NETFLOW_V5") >= before + 15; }));
  EXPECT_EQ(run.terminate(), 0) << run.err();
  std::istringstream lines(run.out());
  for (std::string line; std::getline(lines, line);) {
    const json record = json::parse(line);
    EXPECT_EQ(record["type"], "NETFLOW_V5");
    EXPECT_TRUE(record.contains("src_mac"));
  }
}

TEST(WeirRun, EndsWhenNobodyReadsItsOutputAnyMore) {
  TemporaryFolder folder;
  const std::string to = std::to_string(free_udp_port());
  const std::string weir = test::built("weir");
  // The shell's status is weir's: 1, because flows could not be delivered.
  Process run(folder, {"bash", "-c",
                       "'" + weir + "' run --listen netflow://127.0.0.1:" + to +
                           " --format json | head -n 1; exit ${PIPESTATUS[0]}"});
  ASSERT_TRUE(eventually([&] {
    Process(folder, {weir, "generate", "--to", "127.0.0.1:" + to, "--count", "1", "--flows", "3"})
        .wait();
    return !run.is_running();
  })) << run.err();
  EXPECT_EQ(run.wait(), 1) << run.err();
  EXPECT_EQ(lines_with(run.out(), "NETFLOW_V5"), 1u);
  EXPECT_NE(run.err().find("no publisher can deliver"), std::string::npos) << run.err();
}

TEST(WeirRun, RefusesAWrongConfigurationBeforeAnythingStarts) {
  TemporaryFolder folder;
  const std::string path = folder / "wrong.yaml";
  std::ofstream(path) << "listeners:\n  - {name: netflow, port: 70000}\nno_such_key: 1\n";
  for (const char* command : {"run", "check"}) {
    Process process(folder, {test::built("weir"), command, "-c", path});
    EXPECT_EQ(process.wait(), 1);
    const std::string said = process.err() + process.out();
    EXPECT_NE(said.find("wrong.yaml:2"), std::string::npos) << said;
    EXPECT_NE(said.find("70000"), std::string::npos) << said;
    EXPECT_NE(said.find("no_such_key"), std::string::npos) << said;
  }
}

TEST(WeirRun, RefusesLikeCheckWhatTheMachineCannotDo) {
  TemporaryFolder folder;
  const std::string path = folder / "cannot.yaml";
  std::ofstream(path) << "listeners: [{name: netflow, port: 2055}]\n"
                      << "ports: [{device: 'net_pcap0,rx_pcap=/nowhere/a.pcap'}]\n"
                      << "state_dir: /dev/null/state\ncontrol_socket: {path: ''}\n";
  std::string said;
  for (const char* command : {"check", "run"}) {
    Process process(folder, {test::built("weir"), command, "-c", path},
                    {"WEIR_SOURCE_ROOT=", "WEIR_BUILD_ROOT="});
    EXPECT_EQ(process.wait(), 1);
    EXPECT_NE(process.err().find("cannot.yaml:2:18: ports[0].device: /nowhere/a.pcap: No such file"),
              std::string::npos)
        << process.err();
    EXPECT_NE(process.err().find("cannot.yaml:3:12: state_dir: "), std::string::npos);
    if (said.empty()) said = process.err();
    EXPECT_EQ(process.err(), said) << "the same words";
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "state"));
}

TEST(WeirRun, RefusesToWaitForAnEndThatDoesNotCome) {
  TemporaryFolder folder;
  const std::string path = folder / "endless.yaml";
  std::ofstream(path) << "listeners: [{protocol: netflow, listen_addr: '127.0.0.1:" << free_udp_port()
                      << "'}]\nstate_dir: ''\ncontrol_socket: {path: ''}\n";
  for (const auto& [command, status] : {std::pair{"check", 1}, {"run", 2}}) {
    Process process(folder, {test::built("weir"), command, "-c", path, "--until-end"});
    EXPECT_EQ(process.wait(), status);
    EXPECT_NE(process.err().find("--until-end: there is no end: netflow is a kernel socket"),
              std::string::npos)
        << process.err();
  }
}

TEST(WeirProgram, ExplainsItself) {
  TemporaryFolder folder;
  const auto expect_help = [&](std::vector<std::string> command, const std::string& word) {
    command.push_back("--help");
    Process help(folder, command);
    EXPECT_EQ(help.wait(), 0) << word;
    EXPECT_NE(help.out().find(word), std::string::npos) << help.out();
  };
  expect_help({test::built("weir")}, "Try it");
  expect_help({test::built("weirctl")}, "Examples:");
  for (const char* command : {"run", "check", "decode", "generate", "read"}) {
    expect_help({test::built("weir"), command}, "Examples:");
  }
  for (const char* program : {"weir", "weirctl"}) {
    Process wrong(folder, {test::built(program), "--no-such-option"});
    EXPECT_EQ(wrong.wait(), 2) << program;
  }
}

}  // namespace
}  // namespace weir
