// capture_test.cc — Datagrams as an operator gets to see them: weirctl capture and weirctl quarantine against a running
// appliance, and what weir decode and tshark make of the files.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "appliance_fixture.h"
#include "lab/message_builder.h"

namespace weir {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class CaptureTest : public ApplianceTest {
 protected:
  std::string file() const { return folder_ / "taken.pcap"; }

  /// A weirctl capture that every core has heard of.
  std::unique_ptr<Process> capture(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {test::built("weirctl"), "--socket", control_socket(), "capture"});
    auto process = std::make_unique<Process>(folder_, std::move(arguments));
    EXPECT_TRUE(eventually([&] { return states() == "running" || !process->is_running(); })) << process->err();
    return process;
  }
  /// Of the captures that there are.
  std::string states() {
    const json answer = json::parse(ctl({"--json", "captures"}).out, nullptr, false);
    std::string all;
    if (answer.is_object())
      for (const json& c : answer["captures"]) all += (all.empty() ? "" : " ") + c["state"].get<std::string>();
    return all;
  }
  /// weir decode's rows, `datagrams 20 netflow_v9 20` and the like.
  std::string decoded(const std::vector<std::string>& options = {}) {
    std::vector<std::string> command = {weir(), "decode", "--format", "json", "--verify-checksums", file()};
    command.insert(command.end(), options.begin(), options.end());
    return run(std::move(command)).err;
  }
  /// A line a packet: checksums of IP and UDP (1 is good), the version that tshark finds.
  void expect_that_tshark_agrees(size_t packets, const std::string& port, const std::string& line) {
    if (std::system("tshark --version >/dev/null 2>&1") != 0) return;
    const Answer seen = run({"tshark", "-r", file(), "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-d",
                             "udp.port==" + port + ",cflow", "-T", "fields", "-e", "ip.checksum.status", "-e",
                             "udp.checksum.status", "-e", "cflow.version"});
    std::istringstream lines(seen.out);
    size_t count = 0;
    for (std::string one; std::getline(lines, one); ++count) EXPECT_EQ(one, line);
    EXPECT_EQ(count, packets) << seen.err;
  }
};

TEST_F(CaptureTest, TakesWhatAnExporterSendsToAKernelSocket) {
  auto weir = start();
  auto taken = capture({"--exporter", "127.0.0.1", "--count", "20", "-w", file()});
  send_udp(port_, {std::string(40, '\xee')});  // another exporter's
  const uint64_t sent = generate("v9", 60, 10);
  EXPECT_EQ(taken->wait(), 0) << taken->err();
  EXPECT_THAT(taken->err(), ContainsRegex("20 datagrams, [0-9]+ octets, [1-9][0-9]* with templates, 0 rejected; ended by count"));
  EXPECT_THAT(decoded(), HasSubstr("datagrams          20  netflow_v9 20\n"));
  EXPECT_THAT(decoded(), ContainsRegex("records  +[1-9][0-9]*  netflow_v9"));
  expect_that_tshark_agrees(20, std::to_string(port_), "1\t1\t9");
  EXPECT_EQ(states(), "") << "nothing is left behind";
  EXPECT_EQ(std::filesystem::status(file()).permissions() & std::filesystem::perms::others_all, std::filesystem::perms::none);
  ASSERT_TRUE(eventually([&] { return acknowledged() == sent; }));
  expect_books_balance(ledger());
}

TEST_F(CaptureTest, TakesFramesOfADpdkPortAsTheyCame) {
  const std::string pcap = folder_ / "flows.pcap";
  ASSERT_EQ(run({this->weir(), "generate", "--protocol", "v5", "--pcap", pcap, "--count", "100", "--flows", "20",
                 "--exporters", "5"})
                .status,
            0);
  port_ = 2055;  // where generated captures are addressed to
  auto weir = start("", "  - {name: replay, device: \"net_pcap0,infinite_rx=1,rx_pcap=" + pcap + "\"}\n");
  const Answer taken = ctl({"--json", "capture", "--count", "40", "-w", file()});
  ASSERT_EQ(taken.status, 0) << taken.err;
  const json capture = json::parse(taken.out);
  EXPECT_EQ(capture["ended_by"], "count");
  EXPECT_EQ(capture["datagrams"]["kept"], 40);
  EXPECT_THAT(decoded(), HasSubstr("datagrams          40  netflow_v5 40\n"));
  EXPECT_THAT(decoded(), HasSubstr("records           800  netflow_v5 800\n"));
  expect_that_tshark_agrees(40, "2055", "1\t1\t5");
}

TEST_F(CaptureTest, ACtrlCEndsItWithWhatThereIs) {
  auto weir = start();
  auto taken = capture({"--count", "1000", "-w", file()});
  generate("v5", 7, 10);
  ASSERT_TRUE(eventually([&] { return ledger()["datagrams"]["received"] == 7; }));
  taken->signal(SIGINT);
  EXPECT_EQ(taken->wait(), 0) << taken->err();
  EXPECT_THAT(taken->err(), HasSubstr("7 datagrams"));
  EXPECT_THAT(taken->err(), HasSubstr("ended by request"));
  EXPECT_THAT(decoded(), HasSubstr("datagrams           7  netflow_v5 7\n"));
  EXPECT_EQ(states(), "");
}

TEST_F(CaptureTest, WaitsForTemplatesSoThatTheFileCanBeRead) {
  auto weir = start();
  auto taken = capture({"--count", "1", "--until-templates", "-w", file()});
  // The first datagram of `generate` has templates; what is sent before has none.
  const lab::Octets data = lab::NetflowV9Builder{}.data(300, {{lab::u32(1)}}).build();
  send_udp(port_, {std::string(data.begin(), data.end())});
  ASSERT_TRUE(eventually([&] { return ledger()["datagrams"]["received"] == 1; }));
  EXPECT_EQ(states(), "running");
  generate("v9", 30, 10);
  EXPECT_EQ(taken->wait(), 0) << taken->err();
  EXPECT_THAT(taken->err(), ContainsRegex("[2-9] datagrams, [0-9]+ octets, [1-9][0-9]* with templates"));
  EXPECT_THAT(decoded(), ContainsRegex("templates +[1-9][0-9]*  learned"));
}

TEST_F(CaptureTest, GoesIntoAPipe) {
  auto weir = start();
  const Answer taken = ctl({"capture", "--seconds", "1"});
  EXPECT_EQ(taken.status, 0);
  EXPECT_EQ(taken.out.size(), 24u) << "a pcap of nothing";
  EXPECT_EQ(taken.out.substr(0, 4), "\x4d\x3c\xb2\xa1");
  EXPECT_THAT(taken.err, HasSubstr("nothing matched"));
}

TEST_F(CaptureTest, WhatCannotBeDoneIsSaidAndLeavesNoFile) {
  auto weir = start();
  const Answer wrong = ctl({"capture", "--exporter", "router", "-w", file()});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("exporter is \"router\", must be an address or a prefix"));
  EXPECT_FALSE(std::filesystem::exists(file()));
  EXPECT_EQ(ctl({"capture", "-w", folder_ / "no/such/folder"}).status, 1);
  EXPECT_EQ(ctl({"--json", "capture"}).status, 2);
  EXPECT_EQ(ctl({"captures", "--remove", "77"}).status, 1);
  EXPECT_EQ(states(), "");
  weir->terminate();
  EXPECT_EQ(ctl({"capture", "-w", file()}).status, 3);
  EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(CaptureTest, TheQuarantineNamesExportersAsTheOperatorDoes) {
  std::ofstream(folder_ / "exporters.csv") << "address,name\n127.0.0.66,edge1\n";
  auto weir = start("exporter_info: {names_file: " + (folder_ / "exporters.csv") + "}\n");
  send_udp(port_, {std::string(40, '\xee')});
  std::string table;
  EXPECT_TRUE(eventually([&] {
    table = ctl({"quarantine"}).out;
    return table.find(" edge1 ") != std::string::npos;
  })) << table;
  EXPECT_THAT(table, ContainsRegex("127.0.0.66 [0-9]+ edge1 +netflow +40 +eeee"));
}

TEST_F(CaptureTest, WhatCouldNotBeDecodedIsWrongForTheSameReasonsInAFile) {
  auto weir = start();
  EXPECT_THAT(ctl({"quarantine"}).out, HasSubstr("nothing"));
  const auto text = [](const lab::Octets& octets) { return std::string(octets.begin(), octets.end()); };
  generate("v9", 5, 10);
  send_udp(port_, {"", "ab", std::string(40, '\xee'), text(lab::join({lab::u16(8), lab::zeros(30)})),
                   text(lab::join({lab::u16(5), lab::u16(0), lab::zeros(20)})),
                   text(lab::NetflowV9Builder{}.set(7, lab::u32(0)).build()),
                   text(lab::NetflowV9Builder{}.set(300, lab::u32(1), 900).build())});
  ASSERT_TRUE(eventually([&] {
    const json answer = json::parse(ctl({"--json", "quarantine"}).out, nullptr, false);
    return answer.is_object() && answer["datagrams"].size() == 7;
  })) << ctl({"quarantine"}).out;
  const std::string table = ctl({"quarantine"}).out;
  EXPECT_THAT(table, ContainsRegex("unknown_version +20[0-9T:.Z-]+ +127.0.0.66 [0-9]+ +netflow +40 +eeee"));

  ASSERT_EQ(ctl({"quarantine", "-w", file()}).status, 0);
  const std::string summary = decoded({"--port", std::to_string(port_)});
  EXPECT_THAT(summary, HasSubstr("rejected: empty 1, truncated_header 1, unknown_version 1, unsupported_version 1, bad_count 1\n"));
  EXPECT_THAT(summary, HasSubstr("skipped_reserved_id 1, skipped_bad_length 1"));
  const json rejected = ledger()["datagrams"]["rejected"];
  for (const char* reason : {"empty", "truncated_header", "unknown_version", "unsupported_version", "bad_count"})
    EXPECT_EQ(rejected[reason], 1) << reason;

  ASSERT_EQ(ctl({"quarantine", "--reason", "bad_count", "-w", file()}).status, 0);
  EXPECT_THAT(decoded({"--port", std::to_string(port_)}), HasSubstr("datagrams           1  ; rejected: bad_count 1"));
  const Answer wrong = ctl({"quarantine", "--reason", "no such"});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("must be one of empty"));
}

}  // namespace
}  // namespace weir
