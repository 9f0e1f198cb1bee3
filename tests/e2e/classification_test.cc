// classification_test.cc — Records classified by the programs as a user runs them: rules, their reload, their books.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <map>
#include <thread>

#include "appliance_fixture.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

class ClassificationTest : public ApplianceTest {
 protected:
  std::string rules_file() const { return folder_ / "rules.yaml"; }
  void write_rules(const std::string& rules) { std::ofstream(rules_file()) << "version: 1\nrules:\n" << rules; }
  std::string key() const { return "classification: {rules: [" + rules_file() + "]}\n"; }
  json reload(int expected_status = 0) {
    const Answer answer = ctl({"--json", "reload"});
    EXPECT_EQ(answer.status, expected_status) << answer.out << answer.err;
    return json::parse(answer.out, nullptr, false);
  }
  json rules() {
    const Answer answer = run({"curl", "-s", "--unix-socket", control_socket(), "http://weir/v1/rules"});
    return json::parse(answer.out, nullptr, false);
  }
};

TEST_F(ClassificationTest, RulesChangeUnderLoadAndEveryRecordIsInTheBooks) {
  write_rules("  - {id: udp, when: proto == 17, then: {labels: [datagrams]}}\n");
  auto weir = start(key());
  std::atomic<uint64_t> sent{0};
  std::jthread sender([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) sent.fetch_add(generate("v5", 100, 20, 2000));
  });
  for (int i = 0; i < 6; ++i) {
    write_rules(i % 2 == 0 ? "  - {id: drop, when: proto == 17, then: {drop: true}}\n  - {id: tcp, when: proto == 6, then: {route: flows.raw.tcp}}\n"
                           : "  - {id: half, when: proto == 6, then: {sample: 2, labels: [half]}}\n");
    const json reloaded = reload();
    EXPECT_EQ(reloaded["state"], "applied") << reloaded.dump();
    EXPECT_EQ(reloaded["applied"], json::array({"classification.rules"}));
    EXPECT_TRUE(eventually([&] { return rules()["rules"][0]["id"] == (i % 2 == 0 ? "drop" : "half"); }));
  }
  sender.request_stop();
  sender.join();
  json books;
  const auto dropped = [&] {
    const json& drops = books["records"]["dropped"];
    return drops["dropped_by_rule"].get<uint64_t>() + drops["sampled_by_rule"].get<uint64_t>();
  };
  ASSERT_TRUE(eventually([&] {
    books = ledger();
    return books.is_object() && acknowledged() + dropped() == sent.load();
  })) << sent << books.dump(2);
  EXPECT_GT(dropped(), 0u);
  expect_books_balance(books);
  EXPECT_EQ(books["mismatches"], 0);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  size_t labelled = 0;
  for (const json& record : read_stream()) {
    if (!record.contains("labels")) continue;
    ++labelled;
    EXPECT_EQ(record["sampling_rate"], record["labels"][0] == "half" ? 2 : record["sampling_rate"].get<int>());
  }
  EXPECT_GT(labelled, 0u);
}

TEST_F(ClassificationTest, AWrongRuleNamesFileAndLineAndLeavesTheOldOnesRunning) {
  write_rules("  - {id: all, then: {labels: [all]}}\n");
  auto weir = start(key());
  uint64_t sent = generate("v5", 10, 10);
  ASSERT_TRUE(eventually([&] { return rules()["rules"][0]["hits"] == sent; })) << rules().dump();
  const std::pair<const char*, const char*> kWrong[] = {
      {"  - {id: all, then: {labels: [all]}}\n  - {id: b, ports: [x], then: {drop: true}}\n", "rules.yaml:4:20: rule b: ports"},
      {"  - {id: b, colour: red, then: {drop: true}}\n", "rules.yaml:3:13: a rule has no key 'colour'"},
      {"  - {id: b, in: payload, pattern: '(a)\\1', then: {drop: true}}\n", "rules.yaml:3: rule b: pattern: "},
      {"  - {id: b, then: {route: 'flows raw'}}\n", "rules.yaml:3: rule b: route: flows raw is no NATS subject"},
  };
  for (const auto& [wrong, told] : kWrong) {
    write_rules(wrong);
    const json refused = reload(1);
    EXPECT_EQ(refused["state"], "refused");
    EXPECT_THAT(refused["error"].get<std::string>(), HasSubstr(told));
  }
  sent += generate("v5", 10, 10);
  EXPECT_TRUE(eventually([&] { return rules()["rules"][0]["hits"] == sent; })) << rules().dump();
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

// What a rule has counted goes on where the rule does, and survives whatever else is reloaded.
TEST_F(ClassificationTest, CountsGoOnOverReloads) {
  write_rules("  - {id: all, then: {labels: [all]}}\n");
  auto weir = start(key());
  uint64_t sent = generate("v5", 10, 10);
  ASSERT_TRUE(eventually([&] { return rules()["rules"][0]["hits"] == sent; }));
  write_rules("  - {id: none, when: proto == 200, then: {drop: true}}\n  - {id: all, then: {labels: [all]}}\n");
  reload();
  write_config(key() + "log: {level: debug}\n");
  reload();
  sent += generate("v5", 10, 10);
  EXPECT_TRUE(eventually([&] { return rules()["rules"][1]["hits"] == sent; })) << rules().dump();
  EXPECT_TRUE(eventually([&] { return rules()["records"] == sent; })) << rules().dump();
  write_config("");
  reload();
  generate("v5", 1, 10);
  EXPECT_TRUE(eventually([&] { return rules()["total"] == 0; })) << rules().dump();
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

// Traffic of real programs, sampled by a real agent: pmacct's sfprobe on the loopback interface.
TEST_F(ClassificationTest, RealProgramsSampledByARealAgentAreLabelled) {
  for (const char* program : {"pmacctd", "openssl", "curl", "dig", "ssh"}) {
    if (run({"sh", "-c", std::string("command -v ") + program}).status != 0) GTEST_SKIP() << program << " is not installed";
  }
  if (geteuid() != 0) GTEST_SKIP() << "needs root to sample packets";
  const char* const root = std::getenv("WEIR_SOURCE_ROOT");
  const std::string rules_folder = std::string(root != nullptr ? root : ".") + "/conf/rules";
  auto weir = start("classification: {rules: [" + rules_folder + "]}\n");

  constexpr const char* kHost = "127.0.0.77";  // nobody else's
  std::ofstream(folder_ / "agent.conf") << "daemonize: false\npcap_interface: lo\npcap_filter: host " << kHost
                                        << "\nplugins: sfprobe[x]\nsfprobe_receiver: 127.0.0.1:" << port_
                                        << "\nsfprobe_agentip: 192.0.2.1\nsampling_rate: 1\n";
  Process agent(folder_, {"pmacctd", "-f", folder_ / "agent.conf"});
  ASSERT_EQ(run({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder_ / "key.pem", "-out",
                 folder_ / "cert.pem", "-days", "2", "-subj", "/CN=www.example.test"}).status, 0);
  const std::string tls_port = std::to_string(test::free_udp_port());
  Process server(folder_, {"openssl", "s_server", "-accept", std::string(kHost) + ":" + tls_port, "-key", folder_ / "key.pem",
                           "-cert", folder_ / "cert.pem", "-www", "-quiet"});
  const int shell_server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  inet_pton(AF_INET, kHost, &address.sin_addr);
  ASSERT_EQ(bind(shell_server, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(shell_server, 16), 0);
  socklen_t size = sizeof address;
  getsockname(shell_server, reinterpret_cast<sockaddr*>(&address), &size);
  const std::string ssh_port = std::to_string(ntohs(address.sin_port));

  const auto hits = [this](const std::string& id) {
    const json all = rules();
    for (const json& rule : all["rules"])
      if (rule["id"] == id) return rule["hits"].get<uint64_t>();
    return uint64_t{0};
  };
  EXPECT_TRUE(eventually([&] {
    const std::string site = "www.example.test:" + tls_port;
    run({"curl", "-sk", "-o", "/dev/null", "--max-time", "2", "--resolve", site + ":" + kHost, "https://" + site + "/"});
    run({"curl", "-s", "-o", "/dev/null", "--max-time", "1", "--resolve", site + ":" + kHost, "http://" + site + "/page"});
    run({"dig", "+tries=1", "+time=1", std::string("@") + kHost, "db.prod.svc.cluster.local"});
    run({"timeout", "1", "ssh", "-o", "BatchMode=yes", "-p", ssh_port, kHost, "true"});
    return hits("tls-client-hello") > 0 && hits("tls-server-hello") > 0 && hits("http-request") > 0 && hits("dns-query") > 0 &&
           hits("ssh") > 0;
  }, std::chrono::seconds(60))) << rules().dump(1) << agent.err() << agent.out();
  close(shell_server);
  agent.signal(SIGINT);
  agent.wait();
  // The agent may have sent its own counters too.
  EXPECT_TRUE(eventually([&] { return ledger()["records"]["encoded"].get<uint64_t>() == acknowledged(); })) << ledger().dump(1);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();

  std::map<std::string, std::string> names;  // by application
  for (const json& record : read_stream()) {
    const std::string application = record.value("application_name", "");
    if (application.empty()) continue;
    if (const std::string name = record.value("server_name", ""); !name.empty()) names[application] = name;
    names.emplace(application, "");
    EXPECT_FALSE(record["rule_ids"].empty()) << record.dump();
    if (application == "dns") {
      EXPECT_EQ(record["labels"], json::array({"dns-query", "kubernetes"}));
    }
  }
  EXPECT_EQ(names["dns"], "db.prod.svc.cluster.local");
  EXPECT_EQ(names["http"], "www.example.test");
  EXPECT_TRUE(names.contains("tls"));
  EXPECT_TRUE(names.contains("ssh"));
}

}  // namespace
}  // namespace weir
