// tail_test.cc — Flows as they pass: weirctl tail against a running appliance.
#include <gmock/gmock.h>

#include <thread>

#include "appliance_fixture.h"
#include "lab/frame_builder.h"
#include "lab/message_builder.h"
#include "lab/sflow_builder.h"

namespace weir {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// From 127.0.0.66, beside what `weir generate` sends.
std::string rare_payload() {
  const lab::Octets octets = lab::NetflowV5Builder{}
                                 .record({.src_addr = "10.77.0.77",
                                          .dst_addr = "198.51.100.4",
                                          .in_if = 7,
                                          .out_if = 9,
                                          .packets = 3,
                                          .octets = 1234,
                                          .src_port = 5353,
                                          .dst_port = 443,
                                          .proto = 6})
                                 .build();
  return {octets.begin(), octets.end()};
}

class TailTest : public ApplianceTest {
 protected:
  /// A weirctl tail at whose beginning every core looks.
  std::unique_ptr<Process> tail(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {test::built("weirctl"), "--socket", control_socket(), "tail"});
    auto process = std::make_unique<Process>(folder_, std::move(arguments));
    EXPECT_TRUE(eventually([&] { return process->out().find("SOURCE -> DESTINATION\n") != std::string::npos; }))
        << process->err();
    return process;
  }
};

TEST_F(TailTest, IsWhyNothingIsFusedMeanwhile) {
  auto weir = start();
  generate("v9", 10, 30);
  const auto shown = [this] { return ctl({"exporters", "127.0.0.1"}).out; };
  EXPECT_TRUE(eventually([&] { return shown().find("256") != std::string::npos; }));
  if (shown().find("left_out") != std::string::npos) GTEST_SKIP() << "built without src/fuse";
  EXPECT_THAT(shown(), Not(HasSubstr("off now")));
  {
    auto tail = this->tail();
    EXPECT_THAT(shown(), HasSubstr("off now: live tail"));
  }
  EXPECT_TRUE(eventually([&] { return shown().find("off now") == std::string::npos; })) << "and on again";
}

TEST_F(TailTest, ShowsWhatPassesAndSaysAtTheEndWhatElseThereWas) {
  auto weir = start();
  auto tail = this->tail({"-n", "10"});
  generate("v5", 10, 30);
  EXPECT_EQ(tail->wait(), 0);
  const auto lines = lines_of(tail->out());
  ASSERT_EQ(lines.size(), 11u) << tail->out();
  EXPECT_THAT(lines[0], MatchesRegex("TIME .UTC. +EXPORTER +PROTOCOL +BYTES +PACKETS +SAMPLING +IN IF +OUT IF +SOURCE -> DESTINATION"));
  for (size_t i = 1; i < lines.size(); ++i) {
    EXPECT_THAT(lines[i], MatchesRegex("[0-9:.]+ +127.0.0.1 +[A-Z]+ .* [0-9.]+:[0-9]+ -> [0-9.]+:[0-9]+"));
  }
  EXPECT_THAT(tail->err(), ContainsRegex("[0-9]+ flows seen, [0-9]+ matched, 10 shown; "));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(TailTest, FindsTheOneFlowThatIsLookedForAmongMany) {
  auto weir = start();
  auto by_exporter = tail({"--exporter", "127.0.0.66", "-n", "1"});
  auto by_flow = tail({"--net", "10.77.0.64/26", "--port", "443", "--proto", "tcp", "--listener", "netflow", "--in-if",
                       "7", "--type", "netflow_v5", "-n", "1"});
  auto by_another = tail({"--src", "10.77.0.77", "--proto", "udp"});
  const uint64_t sent = generate("v9", 200, 50);
  send_udp(port_, {rare_payload()});
  for (Process* found : {by_exporter.get(), by_flow.get()}) {
    EXPECT_EQ(found->wait(), 0);
    const auto lines = lines_of(found->out());
    ASSERT_EQ(lines.size(), 2u) << found->out() << found->err();
    EXPECT_THAT(lines[1], MatchesRegex("[0-9:.]+ +127.0.0.66 +TCP +1234 +3 +- +7 +9  10.77.0.77:5353 -> 198.51.100.4:443"));
    EXPECT_THAT(found->err(), HasSubstr(std::to_string(sent + 1) + " flows seen, 1 matched, 1 shown\n"));
  }
  ASSERT_TRUE(eventually([&] { return acknowledged() == sent + 1; }));
  by_another->signal(SIGINT);
  EXPECT_EQ(by_another->wait(), 0) << "Ctrl-C is how it ends";
  EXPECT_EQ(lines_of(by_another->out()).size(), 1u) << by_another->out();
  EXPECT_THAT(by_another->err(), HasSubstr(std::to_string(sent + 1) + " flows seen, 0 matched, 0 shown\n"));
  expect_books_balance(ledger());
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(TailTest, FindsSamplesOfAnSflowAgentByTheAgentsAddress) {
  auto weir = start();
  auto by_agent = tail({"--exporter", "192.0.2.9", "-n", "1"});
  const lab::Octets frame = lab::udp_frame({"10.77.0.77", "198.51.100.4", 5353, 443}, lab::zeros(20));
  const lab::Octets octets = lab::SflowBuilder{}
                                 .agent("192.0.2.9")
                                 .flow({.sampling_rate = 512,
                                        .input = {.value = 7},
                                        .output = {.value = 9},
                                        .records = {lab::sflow::raw_header(frame, 1500)}})
                                 .build();
  send_udp(port_, {{octets.begin(), octets.end()}});
  EXPECT_EQ(by_agent->wait(), 0);
  const auto lines = lines_of(by_agent->out());
  ASSERT_EQ(lines.size(), 2u) << by_agent->out() << by_agent->err();
  // Who sent it is named as weirctl exporters names him.
  EXPECT_THAT(lines[1], MatchesRegex("[0-9:.]+ +127.0.0.66 +UDP +1500 +1 +512 +7 +9  10.77.0.77:5353 -> 198.51.100.4:443"));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(TailTest, AsJsonALineIsAFlowAndNothingElse) {
  auto weir = start();
  std::jthread sender([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) generate("ipfix", 20, 10, 500);
  });
  const Answer answer = ctl({"--json", "tail", "-n", "5"});
  sender.request_stop();
  sender.join();
  EXPECT_EQ(answer.status, 0) << answer.err;
  const auto lines = lines_of(answer.out);
  ASSERT_EQ(lines.size(), 5u) << answer.out;
  for (const std::string& line : lines) {
    const json flow = json::parse(line, nullptr, false);
    ASSERT_TRUE(flow.is_object()) << line;
    EXPECT_EQ(flow["listener"], "netflow");
    EXPECT_EQ(flow["flow"]["type"], "IPFIX");
    EXPECT_EQ(flow["flow"]["sampler_address"], "127.0.0.1");
  }
  EXPECT_THAT(answer.err, HasSubstr(" 5 shown"));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(TailTest, EndsWithTheTimeThatItWasGiven) {
  auto weir = start();
  const Answer answer = ctl({"tail", "--seconds", "1"});
  EXPECT_EQ(answer.status, 0) << answer.err;
  EXPECT_EQ(lines_of(answer.out).size(), 1u);
  EXPECT_EQ(answer.err, "0 flows seen, 0 matched, 0 shown\n");
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(TailTest, SaysWhatIsWrong) {
  EXPECT_EQ(ctl({"tail"}).status, 3) << "no appliance";
  auto weir = start();
  for (const auto& [arguments, words] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--net", "10.0.0.0/99"}, "net: '10.0.0.0/99' is not an address or a prefix"},
           {{"--src", "a&b=c"}, "src: 'a&b=c' is not an address or a prefix"},
           {{"--proto", "banana"}, "proto: 'banana' is not an IP protocol's number or its name"},
           {{"--listener", "nobody"}, "listener: 'nobody' is not one of the listeners: netflow"},
           {{"--port", "https"}, "port: 'https' is not a number from 0 to 65535"}}) {
    std::vector<std::string> command = {"tail"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const Answer answer = ctl(command);
    EXPECT_EQ(answer.status, 2) << words;
    EXPECT_THAT(answer.err, HasSubstr("weirctl: " + words));
    EXPECT_EQ(answer.out, "");
  }
  EXPECT_EQ(ctl({"tail", "-n", "1000001"}).status, 2);
  auto cut = tail();
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  EXPECT_EQ(cut->wait(), 3);
  EXPECT_THAT(cut->err(), HasSubstr("the appliance has ended"));
}

// Stopped in the middle of a flood: their pipes and sockets fill, and nothing else does.
TEST_F(TailTest, ReadersThatHangHoldNothingUpAndTheFifthIsTold) {
  auto weir = start();
  std::vector<std::unique_ptr<Process>> hanging;
  for (int i = 0; i < 4; ++i) {
    hanging.push_back(tail());
    hanging.back()->signal(SIGSTOP);
  }
  const Answer fifth = ctl({"tail"});
  EXPECT_EQ(fifth.status, 1);
  EXPECT_THAT(fifth.err, HasSubstr("4 look at live flows already"));
  const uint64_t sent = generate("v9", 2000, 20, 4000);
  EXPECT_TRUE(eventually([&] { return acknowledged() == sent; }));
  expect_books_balance(ledger());
  for (auto& process : hanging) {
    process->signal(SIGCONT);
    EXPECT_EQ(process->terminate(), 0);
  }
  EXPECT_TRUE(eventually([&] { return ctl({"tail", "--seconds", "1"}).status == 0; })) << "their places are free";
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

}  // namespace
}  // namespace weir
