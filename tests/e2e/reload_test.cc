// reload_test.cc — A configuration changed while flows come in: nothing is lost, and what is wrong changes nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "appliance_fixture.h"
#include "lab/message_builder.h"

namespace weir {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class ReloadTest : public ApplianceTest {
 protected:
  /// The configuration with another listeners' list.
  void rewrite(const std::string& listeners, const std::string& more = "") {
    const std::string path = write_config(more);
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    std::string whole = text.str();
    const size_t begin = whole.find("listeners:");
    whole.replace(begin, whole.find("nats_url:") - begin, "listeners:\n" + listeners);
    std::ofstream(path) << whole;
  }
  std::string first_listener() const {
    return "  - {name: netflow, port: " + std::to_string(port_) +
           ", subject: flows.raw.netflow, buffer_size: 4194304}\n";
  }
  json reload(int expected_status = 0) {
    const Answer answer = ctl({"--json", "reload"});
    EXPECT_EQ(answer.status, expected_status) << answer.out << answer.err;
    return json::parse(answer.out, nullptr, false);
  }
};

TEST_F(ReloadTest, AListenerThatIsAddedDeliversOnASubjectOfItsOwnWhileAnotherLosesNothing) {
  auto weir = start();
  std::atomic<uint64_t> sent{0};
  std::jthread sender([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) sent.fetch_add(generate("v5", 100, 10, 1000));
  });
  const uint16_t second = free_udp_port();
  for (int i = 0; i < 3; ++i) {
    rewrite(first_listener() + "  - {name: late, port: " + std::to_string(second) +
            ", subject: flows.raw.late, protocol: netflow, sampling_rate_default: " + std::to_string(i + 1) +
            "}\n");
    EXPECT_EQ(reload()["state"], "applied");
    sent.fetch_add(generate("v5", 5, 10, 5000, second));
    ASSERT_TRUE(eventually([&] {
      const json status = json::parse(ctl({"--json", "status"}).out, nullptr, false);
      return status["ports"].size() == 2 && status["ports"][1]["packets"] == 5;
    }));
    rewrite(first_listener());
    EXPECT_EQ(reload()["state"], "applied");
  }
  sender.request_stop();
  sender.join();
  ASSERT_TRUE(eventually([&] { return acknowledged() == sent.load(); })) << sent << ledger().dump(2);
  expect_books_balance(ledger());
  EXPECT_EQ(weir->terminate(), 0) << weir->err();

  std::map<uint64_t, size_t> by_rate;
  const auto records = read_stream();
  for (const json& record : records) ++by_rate[record.value("sampling_rate", uint64_t{0})];
  EXPECT_EQ(records.size(), sent.load());
  for (uint64_t rate = 1; rate <= 3; ++rate) EXPECT_EQ(by_rate[rate], 50u) << rate;
}

TEST_F(ReloadTest, AWrongFileChangesNothingAndIsTold) {
  auto weir = start();
  rewrite("  - {name: netflow, port: 99999}\n");
  const json refused = reload(1);
  EXPECT_EQ(refused["state"], "refused");
  EXPECT_THAT(refused["error"].get<std::string>(), HasSubstr("weir.yaml"));
  EXPECT_THAT(refused["error"].get<std::string>(), HasSubstr("listeners[0].port"));
  rewrite("  - {name: netflow, port: 99999, subjects: x}\n");
  const Answer told = ctl({"reload"});
  EXPECT_EQ(told.status, 1);
  EXPECT_THAT(told.out, HasSubstr("listeners[0].port"));
  EXPECT_THAT(told.out, HasSubstr("listeners[0].subjects"));
  EXPECT_EQ(std::count(told.out.begin(), told.out.end(), '\n'), 3) << "a line for each finding:\n" << told.out;
  const uint64_t sent = generate("v5", 10, 10);
  EXPECT_TRUE(eventually([&] { return acknowledged() == sent; }));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  EXPECT_THAT(weir->err(), HasSubstr("reload refused"));
}

TEST_F(ReloadTest, SighupReloadsAndTheLogSaysWhatGoesAndWhatWaitsForARestart) {
  auto weir = start();
  write_config("log: {level: debug}\nbatch_bytes: 128KiB\n");
  weir->signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return ctl({"log-level"}).out == "debug\n"; }));
  EXPECT_TRUE(eventually([&] { return weir->err().find("only a restart takes up batch_bytes") != std::string::npos; }));
  EXPECT_THAT(weir->err(), HasSubstr("reload: now goes log.level"));
  write_config("log: {level: debug}\nbatch_bytes: 256KiB\nbatch_linger_ms: 70\n");
  EXPECT_THAT(ctl({"reload"}).out, HasSubstr("batch_linger_ms"));
  EXPECT_TRUE(eventually([&] { return weir->err().find("takes up batch_bytes, batch_linger_ms") != std::string::npos; }));
  EXPECT_EQ(weir->err().find("now goes \n"), std::string::npos) << "nothing goes, and nothing is said of it";
  EXPECT_EQ(ctl({"log-level", "warning"}).status, 0);
  EXPECT_EQ(ctl({"log-level"}).out, "warning\n");
  const Answer wrong = ctl({"log-level", "loud"});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("trace, debug, info, warning, error"));
  const Answer config = ctl({"config"});
  EXPECT_THAT(config.out, HasSubstr("log.level"));
  EXPECT_THAT(config.out, HasSubstr("weir.yaml:"));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(ReloadTest, ExportersThatAreDeniedAreRefusedFromThenOn) {
  auto weir = start();
  const uint64_t before = generate("v5", 10, 10);
  ASSERT_TRUE(eventually([&] { return acknowledged() == before; }));
  write_config("exporters: {deny: [127.0.0.0/8]}\n");
  EXPECT_EQ(reload()["applied"], json::array({"exporters.deny"}));
  generate("v5", 10, 10);
  EXPECT_TRUE(eventually([&] {
    return ledger()["datagrams"]["rejected"].value("exporter_not_allowed", 0) == 10;
  })) << ledger().dump(2);
  write_config();
  reload();
  const uint64_t after = generate("v5", 10, 10);
  EXPECT_TRUE(eventually([&] { return acknowledged() == before + after; }));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(ReloadTest, TopShowsWhatGoesOnWhileItGoesOn) {
  auto weir = start();
  std::jthread sender([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) generate("v5", 50, 10, 500);
  });
  std::string last;
  EXPECT_TRUE(eventually([&] {
    const Answer top = ctl({"top", "--interval", "0.5", "--count", "2"});
    EXPECT_EQ(top.status, 0) << top.err;
    last = top.out;
    return last.find("127.0.0.1") != std::string::npos && last.find("in a second: 0 records") == std::string::npos;
  })) << last;
  for (const char* words : {"ready", "lost in a second: 0 packets at ports", "host/netflow", "jetstream", "exporter"}) {
    EXPECT_THAT(last, HasSubstr(words));
  }
  EXPECT_EQ(last.find('\x1b'), std::string::npos) << "no escapes where there is no terminal";
  sender.request_stop();
  sender.join();
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  EXPECT_EQ(ctl({"top", "--count", "1"}).status, 3) << "nobody is there any more";
}

TEST_F(ReloadTest, WithoutAFileThereIsNothingToReload) {
  Process weir(folder_, {this->weir(), "run", "--listen", "netflow://127.0.0.1:" + std::to_string(port_)},
               {"WEIR_CONTROL_SOCKET_PATH=" + control_socket()});
  ASSERT_TRUE(eventually([&] { return ctl({"health"}).status == 0; }));
  const Answer answer = ctl({"reload"});
  EXPECT_EQ(answer.status, 1);
  EXPECT_THAT(answer.err, HasSubstr("there is nothing to reload"));
  EXPECT_EQ(weir.terminate(), 0);
}

TEST_F(ReloadTest, NamesOfTheOperatorsListAreShownAndTakenUpAnew) {
  const std::string list = folder_ / "exporters.csv";
  const auto write = [&](const std::string& rows) {
    std::ofstream(list + ".new") << "address,name,site,ifIndex,ifName,speed,boundary\n" << rows;
    std::filesystem::rename(list + ".new", list);
  };
  const auto name = [&] {
    const json page = json::parse(ctl({"--json", "exporters"}).out, nullptr, false);
    return page.is_object() && !page["exporters"].empty() ? page["exporters"][0]["name"] : json();
  };
  const std::string more = "exporter_info: {names_file: " + list + "}\n";
  write("127.0.0.66,edge1,Berlin,7,uplink,10G,yes\n127.0.0.66,,,9,lan,400M,no\n");
  auto weir = start(more);
  const lab::Octets octets = lab::NetflowV5Builder{}.record({.in_if = 7, .out_if = 9, .packets = 1, .octets = 64}).build();
  const std::string payload(octets.begin(), octets.end());
  Process tail(folder_, {test::built("weirctl"), "--socket", control_socket(), "tail", "-n", "1"});
  ASSERT_TRUE(eventually([&] { return tail.out().find("SOURCE -> DESTINATION\n") != std::string::npos; }));
  send_udp(port_, {payload});
  EXPECT_EQ(tail.wait(), 0);
  EXPECT_THAT(tail.out(), ContainsRegex("edge1 .* uplink +lan "));
  ASSERT_TRUE(eventually([&] { return name() == "edge1"; }));
  EXPECT_THAT(ctl({"exporters"}).out, ContainsRegex("exporter +name +site .*\n127.0.0.66 +edge1 +Berlin "));
  EXPECT_THAT(ctl({"exporters", "127.0.0.66"}).out,
              ContainsRegex("\n7 +uplink +- +external +10G\n9 +lan +- +internal +400M\n"));

  write("127.0.0.66,edge1 again,,,,,\n");
  EXPECT_EQ(reload()["applied"], json::array({"exporter_info.names_file"}));
  EXPECT_TRUE(eventually([&] { return name() == "edge1 again"; }));
  write("127.0.0.66,wrong,,,,1G,\n");
  EXPECT_THAT(reload(1)["error"].get<std::string>(), HasSubstr("exporters.csv:2:21: speed without an ifIndex"));
  EXPECT_EQ(name(), "edge1 again");
  const Answer check = run({this->weir(), "check", "-c", folder_ / "weir.yaml"});
  EXPECT_NE(check.status, 0);
  EXPECT_THAT(check.err, HasSubstr("exporters.csv:2:21: speed without an ifIndex"));

  write("127.0.0.66,by itself,,,,,\n");
  EXPECT_TRUE(eventually([&] { return name() == "by itself"; })) << weir->err();
  std::filesystem::remove(list);
  EXPECT_TRUE(eventually([&] { return weir->err().find("exporters.csv: No such file") != std::string::npos; }));
  EXPECT_EQ(name(), "by itself");
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  EXPECT_THAT(weir->err(), HasSubstr("was written anew: 1 exporters and 0 interfaces go by it"));
}

TEST_F(ReloadTest, RecordsCarryWhatTheOperatorsListSaysAsItIsThen) {
  const std::string list = folder_ / "exporters.csv";
  const auto write = [&](const std::string& rows) {
    std::ofstream(list + ".new") << "address,name,site,ifIndex,ifName\n" << rows;
    std::filesystem::rename(list + ".new", list);
  };
  write("127.0.0.66,edge1,Berlin,7,uplink\n");
  rewrite("  - {name: netflow, port: " + std::to_string(port_) + ", subject: flows.raw.netflow, inline_names: true}\n",
          "exporter_info: {names_file: " + list + "}\n");
  Process weir(folder_, {this->weir(), "run", "-c", folder_ / "weir.yaml"});
  ASSERT_TRUE(eventually([&] { return ctl({"ready"}).status == 0; })) << weir.err();
  const lab::Octets octets = lab::NetflowV5Builder{}.record({.in_if = 7, .out_if = 9, .packets = 1, .octets = 64}).build();
  const std::string payload(octets.begin(), octets.end());
  uint64_t sent = 0;
  const auto send = [&] {
    send_udp(port_, {payload});
    ++sent;
    return eventually([&] { return acknowledged() == sent; });
  };
  ASSERT_TRUE(send());
  write("127.0.0.66,edge1,Ulm,9,lan\n");
  ASSERT_TRUE(eventually([&] { return weir.err().find("was written anew") != std::string::npos; }));
  // Cores go by it a burst later.
  ASSERT_TRUE(eventually([&] {
    if (!send()) return true;
    return read_stream().back().value("site", "") == "Ulm";
  }));
  write("127.0.0.66,edge1,,,\n");
  EXPECT_EQ(reload()["applied"], json::array({"exporter_info.names_file"}));
  ASSERT_TRUE(send());
  EXPECT_EQ(weir.terminate(), 0) << weir.err();

  const auto records = read_stream();
  ASSERT_EQ(records.size(), sent);
  const json& first = records.front();
  EXPECT_EQ(first.value("site", ""), "Berlin");
  EXPECT_EQ(first.value("in_if_name", ""), "uplink");
  EXPECT_EQ(first.value("out_if_name", ""), "");
  const json& second = records[records.size() - 2];
  EXPECT_EQ(second.value("in_if_name", ""), "");
  EXPECT_EQ(second.value("out_if_name", ""), "lan");
  EXPECT_EQ(records.back().value("site", ""), "");
  EXPECT_EQ(records.back().value("out_if_name", ""), "");
}

}  // namespace
}  // namespace weir
