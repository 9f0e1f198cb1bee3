// tcp_test.cc — IPFIX over TCP, from exporters to the stream: the same messages give the same records by TCP as by UDP.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>

#include "appliance_fixture.h"
#include "support/payloads.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

class TcpTest : public ApplianceTest {
 protected:
  /// The fixture's listener, which takes TCP as well.
  std::unique_ptr<Process> start_tcp(const std::string& more = "") {
    std::string text;
    {
      std::ifstream in(write_config(more));
      text.assign(std::istreambuf_iterator<char>(in), {});
    }
    const std::string key = "subject: flows.raw.netflow,";
    text.insert(text.find(key), "tcp: true, ");
    std::ofstream(folder_ / "weir.yaml") << text;
    auto process = std::make_unique<Process>(folder_, std::vector<std::string>{weir(), "run", "-c", folder_ / "weir.yaml"});
    EXPECT_TRUE(eventually([&] { return ctl({"ready"}).status == 0 || !process->is_running(); }));
    EXPECT_TRUE(process->is_running()) << process->err();
    return process;
  }
  /// One stream of them, cut anyhow, from 127.0.0.66.
  void send_tcp(const std::vector<std::string>& payloads, size_t piece) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(0x7F000042);
    ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    std::string all;
    for (const std::string& payload : payloads) all += payload;
    for (size_t at = 0; at < all.size(); at += piece)
      ASSERT_GT(send(fd, all.data() + at, std::min(piece, all.size() - at), MSG_NOSIGNAL), 0);
    close(fd);
  }
  json answer(const std::vector<std::string>& command) { return json::parse(ctl(command).out, nullptr, false); }
  /// Records without what says when and by which port they came, sorted.
  static std::vector<std::string> what_they_say(std::vector<json> records) {
    std::vector<std::string> said;
    for (json& record : records) {
      for (const char* key : {"time_received_ns", "exporter_port"}) record.erase(key);
      said.push_back(record.dump());
    }
    std::sort(said.begin(), said.end());
    return said;
  }
};

TEST_F(TcpTest, GivesTheRecordsThatTheSameMessagesGiveByUdp) {
  const std::string pcap = folder_ / "flows.pcap";
  ASSERT_EQ(run({weir(), "generate", "--protocol", "ipfix", "--pcap", pcap, "--count", "300", "--flows", "20"}).status, 0);
  const auto payloads = test::read_payloads(pcap);
  ASSERT_TRUE(payloads);
  std::vector<std::string> messages;
  for (const test::Payload& p : *payloads) messages.emplace_back(p.octets.begin(), p.octets.end());
  ASSERT_GE(messages.size(), 300u);

  auto weir = start_tcp();
  send_udp(port_, messages);
  uint64_t by_udp = 0;
  ASSERT_TRUE(eventually([&] {
    const uint64_t now = acknowledged();
    return now > 0 && std::exchange(by_udp, now) == now;
  }));
  const auto first = read_stream();
  ASSERT_EQ(first.size(), by_udp);
  // One after the other: two connections are read in turn, and their records would lie in one another.
  send_tcp(messages, 100'000);
  ASSERT_TRUE(eventually([&] { return acknowledged() == 2 * by_udp; })) << ledger().dump(2);
  send_tcp(messages, 1000);
  ASSERT_TRUE(eventually([&] { return acknowledged() == 3 * by_udp; })) << ledger().dump(2);
  auto all = read_stream();
  ASSERT_EQ(all.size(), 3 * by_udp);
  const auto begin = all.begin() + static_cast<ptrdiff_t>(by_udp);
  const auto said = what_they_say(first);
  EXPECT_EQ(what_they_say({begin, begin + static_cast<ptrdiff_t>(by_udp)}), said);
  EXPECT_EQ(what_they_say({begin + static_cast<ptrdiff_t>(by_udp), all.end()}), said);
  expect_books_balance(ledger());

  const json ports = answer({"--json", "ports"})["ports"];
  ASSERT_EQ(ports.size(), 2u) << ports;
  EXPECT_EQ(ports[0]["sessions"], nullptr);
  EXPECT_EQ(ports[1]["driver"], "tcp");
  EXPECT_EQ(ports[1]["packets"], 2 * messages.size());
  EXPECT_EQ(ports[1]["sessions"]["opened"], 2);
  EXPECT_THAT(ctl({"ports"}).out, HasSubstr("by_exporter"));
  EXPECT_THAT(ctl({"metrics"}).out, HasSubstr("weir_tcp_sessions_opened_total{port=\"host/netflow/tcp\"} 2"));
  EXPECT_THAT(ctl({"exporters"}).out, HasSubstr("127.0.0.66"));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(TcpTest, TakesWhatSoftflowdExports) {
  if (run({"softflowd", "-h"}).status == 127) GTEST_SKIP() << "softflowd is not installed";
  // The traffic that it looks at: ten exporters' datagrams are ten flows of UDP.
  const std::string pcap = folder_ / "traffic.pcap";
  const Answer made = run({weir(), "generate", "--protocol", "v5", "--pcap", pcap, "--count", "500", "--exporters", "10", "--json"});
  ASSERT_EQ(made.status, 0);
  auto weir = start_tcp();
  // Without a control socket, on which it may wait for ever when it reads a file.
  const Answer exported = run({"softflowd", "-r", pcap, "-d", "-v", "10", "-P", "tcp", "-n", "127.0.0.1:" + std::to_string(port_), "-p",
                               folder_ / "softflowd.pid", "-c", "none"});
  ASSERT_EQ(exported.status, 0) << exported.err;
  ASSERT_TRUE(eventually([&] { return acknowledged() >= 10; })) << ledger().dump(2);
  const auto records = read_stream();
  ASSERT_EQ(records.size(), 10u);
  uint64_t packets = 0;
  for (const json& record : records) {
    EXPECT_EQ(record["proto"], "UDP") << record;
    EXPECT_EQ(record["dst_port"], 2055) << record;
    packets += record["packets"].is_string() ? std::stoull(record["packets"].get<std::string>()) : record["packets"].get<uint64_t>();
  }
  EXPECT_EQ(packets, json::parse(made.out).at("datagrams").get<uint64_t>());
  const json ports = answer({"--json", "ports"})["ports"];
  EXPECT_EQ(ports[1]["sessions"]["ended"]["by_exporter"], 1) << ports;
  expect_books_balance(ledger());
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(TcpTest, TakesASessionOfEachGeneratedExporter) {
  auto weir = start_tcp();
  const Answer sent = run({this->weir(), "generate", "--tcp", "--to", "127.0.0.1:" + std::to_string(port_), "--protocol", "ipfix", "--count",
                           "400", "--flows", "10", "--exporters", "20", "--rate", "0", "--json"});
  ASSERT_EQ(sent.status, 0) << sent.err;
  const uint64_t records = json::parse(sent.out).at("records").get<uint64_t>();
  EXPECT_EQ(records, 4000u);
  ASSERT_TRUE(eventually([&] { return acknowledged() == records; })) << ledger().dump(2);
  const json ports = answer({"--json", "ports"})["ports"];
  EXPECT_EQ(ports[1]["sessions"]["opened"], 20) << ports;
  EXPECT_TRUE(eventually([&] { return answer({"--json", "exporters"})["exporters"].size() == 20; })) << ctl({"exporters"}).out;
  expect_books_balance(ledger());
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

/// A connection from 127.0.0.66 that sends that, and what it then sees: that it is closed.
class HalfSession {
 public:
  explicit HalfSession(uint16_t port, const std::string& octets) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    EXPECT_EQ(send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL), static_cast<ssize_t>(octets.size()));
  }
  ~HalfSession() { close(fd_); }
  bool drips(const std::string& octet) const { return send(fd_, octet.data(), 1, MSG_NOSIGNAL) == 1; }

 private:
  int fd_;
};

TEST_F(TcpTest, CountsWhoDiesInMidMessageAndEndsWhoDripsAndKeepsTemplatesApart) {
  const std::string pcap = folder_ / "flows.pcap";
  ASSERT_EQ(run({weir(), "generate", "--protocol", "ipfix", "--pcap", pcap, "--count", "1", "--flows", "20"}).status, 0);
  const auto payloads = test::read_payloads(pcap);
  ASSERT_TRUE(payloads);
  ASSERT_EQ(payloads->size(), 2u);
  const auto text = [&](size_t i) { return std::string((*payloads)[i].octets.begin(), (*payloads)[i].octets.end()); };
  const std::string templates = text(0), flows = text(1);

  auto weir = start_tcp("limits: {tcp_message_timeout_secs: 1}\n");
  const auto sessions = [&] { return answer({"--json", "ports"})["ports"][1]["sessions"]; };
  {
    const HalfSession dies(port_, templates + flows.substr(0, flows.size() / 2));
  }
  EXPECT_TRUE(eventually([&] { return ledger()["datagrams"]["rejected"]["truncated_message"] == 1; })) << ledger().dump(2);
  EXPECT_EQ(acknowledged(), 0u) << "no record of a message that did not come whole";

  // An octet now and then keeps nobody's place.
  const HalfSession dripping(port_, flows.substr(0, 20));
  EXPECT_TRUE(eventually([&] { return !dripping.drips(std::string(1, '\0')) || sessions()["ended"]["message_late"] == 1; }));
  EXPECT_TRUE(eventually([&] { return sessions()["ended"]["message_late"] == 1; })) << sessions();

  // What one session says of templates is not another's: these flows wait, those of the one that knows them do not.
  const HalfSession knows_none(port_, flows);
  EXPECT_TRUE(eventually([&] { return ledger()["sets"]["outcomes"]["waiting_for_template"] > 0; })) << ledger().dump(2);
  const HalfSession knows(port_, templates + flows);
  EXPECT_TRUE(eventually([&] { return acknowledged() == 20; })) << ledger().dump(2);
  EXPECT_EQ(sessions()["open"], 2) << sessions();
  expect_books_balance(ledger());
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(TcpTest, IsSwitchedByAReload) {
  auto weir = start();
  EXPECT_EQ(answer({"--json", "ports"})["ports"].size(), 1u);
  std::string text;
  {
    std::ifstream in(folder_ / "weir.yaml");
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  const std::string without = text;
  text.insert(text.find("subject: flows"), "tcp: true, ");
  std::ofstream(folder_ / "weir.yaml") << text;
  EXPECT_EQ(answer({"--json", "reload"})["state"], "applied");
  EXPECT_TRUE(eventually([&] { return answer({"--json", "ports"})["ports"].size() == 2; }));
  std::ofstream(folder_ / "weir.yaml") << without;
  EXPECT_EQ(answer({"--json", "reload"})["state"], "applied");
  EXPECT_TRUE(eventually([&] { return answer({"--json", "ports"})["ports"].size() == 1; }));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

}  // namespace
}  // namespace weir
