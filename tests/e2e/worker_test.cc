// worker_test.cc — An appliance whose port has workers: all that looks into cores works with them as without.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "appliance_fixture.h"
#include "lab/capture_file.h"
#include "lab/frame_builder.h"
#include "lab/message_builder.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

class WorkerTest : public ApplianceTest {
 protected:
  static constexpr int kExporters = 30;

  /// Templates and flows of 30 exporters, and one that sends what nobody can decode.
  void make_capture() {
    const std::string good = folder_ / "good.pcap";
    const Answer made = run({weir(), "generate", "--protocol", "v9", "--pcap", good, "--count", "900", "--flows", "20",
                             "--exporters", std::to_string(kExporters), "--json"});
    ASSERT_EQ(made.status, 0) << made.err;
    records_ = json::parse(made.out).at("records");
    auto writer = lab::CaptureWriter::create(pcap(), packet::LinkType::ethernet);
    auto reader = lab::CaptureReader::open(good);
    ASSERT_TRUE(writer && reader);
    lab::CapturedFrame frame;
    uint64_t time_ns = 0;
    for (auto more = reader->next(frame); more && *more; more = reader->next(frame)) {
      time_ns = frame.timestamp_ns;
      ASSERT_TRUE(writer->write(frame.octets, time_ns));
      ++frames_;
    }
    const lab::UdpEnds ends{.src = "192.0.2.250", .dst = "198.51.100.1", .src_port = 9, .dst_port = 2055};
    for (int i = 0; i < 3; ++i, ++frames_) ASSERT_TRUE(writer->write(lab::udp_frame(ends, lab::zeros(40)), ++time_ns));
    ASSERT_TRUE(writer->write(lab::ethernet(lab::kEtherTypeArp, lab::zeros(46)), ++time_ns));
    ++frames_;
    ASSERT_TRUE(writer->close());
    port_ = 2055;  // where generated captures are addressed to
  }
  std::string pcap() const { return folder_ / "flows.pcap"; }
  std::string port(const std::string& arguments, const std::string& more) const {
    return "  - {name: replay, device: \"net_pcap0,rx_pcap=" + pcap() + arguments + "\", " + more + "}\n";
  }
  json answer(const std::vector<std::string>& command) { return json::parse(ctl(command).out, nullptr, false); }
  /// Two workers hold so many exporters each.
  std::vector<uint64_t> exporters_of_workers() {
    std::vector<uint64_t> found;
    const json said = answer({"--json", "cores"});
    for (const json& core : said["cores"])
      if (!core["worker"].is_null()) found.push_back(core["exporters"]);
    return found;
  }

  uint64_t records_ = 0;
  uint64_t frames_ = 0;
};

TEST_F(WorkerTest, DeliverACaptureToItsLastRecord) {
  make_capture();
  const std::string config = write_config("", port("", "workers: 2"));
  Process process(folder_, {weir(), "run", "-c", config, "--until-end"});
  EXPECT_EQ(process.wait(), 0) << process.err();
  EXPECT_THAT(process.err(), ::testing::Not(HasSubstr("accounted for")));
  EXPECT_EQ(read_stream().size(), records_) << process.err();
}

TEST_F(WorkerTest, AreSeenIntoLikeAnyCore) {
  make_capture();
  const std::string config = port(",infinite_rx=1", "workers: 2, mbufs: 8191");
  const std::string slowly = "limits: {records_per_second: 20000}\nstate_interval_secs: 1\n";
  auto weir = start(slowly, config);
  ASSERT_TRUE(eventually([&] {
    const auto held = exporters_of_workers();
    return held.size() == 2 && held[0] + held[1] == kExporters;
  })) << ctl({"cores"}).out;
  for (const uint64_t held : exporters_of_workers()) EXPECT_GT(held, 3u);
  EXPECT_THAT(ctl({"cores"}).out, HasSubstr("replay worker 1"));
  EXPECT_THAT(ctl({"cores"}).out, HasSubstr("too far behind"));
  EXPECT_THAT(ctl({"ledger"}).out, HasSubstr("for workers"));
  EXPECT_THAT(ctl({"queues"}).out, HasSubstr("frames for this worker"));

  EXPECT_TRUE(eventually([&] { return answer({"--json", "exporters"})["exporters"].size() == size_t{kExporters}; }))
      << "each once; " << ctl({"exporters"}).out;
  EXPECT_EQ(ctl({"tail", "-n", "20"}).status, 0);
  const std::string taken = folder_ / "taken.pcap";
  const Answer captured = ctl({"capture", "--count", "60", "-w", taken});
  EXPECT_EQ(captured.status, 0) << captured.err;
  EXPECT_THAT(captured.err, HasSubstr("60 datagrams"));
  EXPECT_TRUE(eventually([&] { return ctl({"quarantine"}).out.find("192.0.2.250") != std::string::npos; }))
      << ctl({"quarantine"}).out;

  // Listeners change between two bursts, of receive core and workers alike; cores need a restart.
  const auto rewrite = [&](const std::string& ports, const std::string& subject) {
    std::string text;
    {
      std::ifstream in(write_config(slowly, ports));
      text.assign(std::istreambuf_iterator<char>(in), {});
    }
    const std::string now = "subject: flows.raw.netflow";
    text.replace(text.find(now), now.size(), "subject: " + subject);
    std::ofstream(folder_ / "weir.yaml") << text;
  };
  rewrite(config, "flows.raw.other");
  EXPECT_EQ(answer({"--json", "reload"})["state"], "applied");
  EXPECT_TRUE(eventually([&] {
    const json status = answer({"--json", "listeners"});
    return status["listeners"].size() == 1;
  }));
  rewrite(port(",infinite_rx=1", "workers: 1, mbufs: 8191"), "flows.raw.other");
  const Answer refused = ctl({"reload"});
  EXPECT_THAT(refused.out + refused.err, HasSubstr("restart"));
  EXPECT_EQ(exporters_of_workers().size(), 2u);

  const json books = ledger();
  EXPECT_EQ(books["balanced"], true) << books["discrepancies"];
  EXPECT_EQ(books["frames"]["worker_full"]["datagram"], 0) << "a file waits";
  EXPECT_TRUE(eventually([&] { return answer({"--json", "status"})["state_kept"]["saved"]["exporters"] == kExporters; }))
      << answer({"--json", "status"})["state_kept"];
  EXPECT_EQ(weir->terminate(), 1) << "flows beyond the rate are dropped, as asked; " << weir->err();
  EXPECT_THAT(weir->err(), ::testing::Not(HasSubstr("accounted for")));

  weir = start(slowly, config);
  EXPECT_TRUE(eventually([&] {
    const Answer metrics = ctl({"metrics"});
    uint64_t restored = 0;
    std::istringstream lines(metrics.out);
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("weir_exporters_restored_total{")) restored += std::stoull(line.substr(line.rfind(' ') + 1));
    return restored == kExporters;
  })) << "whichever worker each of them meets now";
  EXPECT_EQ(weir->terminate(), 1) << "flows beyond the rate are dropped, as asked; " << weir->err();
}

class SocketThreadsTest : public ApplianceTest {
 protected:
  json answer(const std::vector<std::string>& command) { return json::parse(ctl(command).out, nullptr, false); }
  /// From 20 addresses of the loopback's network.
  uint64_t send(uint16_t port, int count) {
    const Answer made = run({weir(), "generate", "--to", "127.0.0.1:" + std::to_string(port), "--protocol", "v9", "--count",
                             std::to_string(count), "--flows", "10", "--exporters", "20", "--rate", "4000", "--json"});
    EXPECT_EQ(made.status, 0) << made.err;
    return json::parse(made.out).at("records");
  }
};

TEST_F(SocketThreadsTest, ShareExportersAndLoseNothingWhilePortsComeAndGo) {
  auto weir = start("socket_threads: 2\n");
  uint64_t sent = send(port_, 400);
  const uint16_t second = free_udp_port();
  const std::string one = write_config("socket_threads: 2\n");
  const auto reload_with = [&](const std::string& listeners) {
    std::string text;
    {
      std::ifstream in(write_config("socket_threads: 2\n"));
      text.assign(std::istreambuf_iterator<char>(in), {});
    }
    text.insert(text.find("nats_url:"), listeners);
    std::ofstream(one) << text;
    EXPECT_EQ(answer({"--json", "reload"})["state"], "applied");
  };
  for (int i = 0; i < 3; ++i) {
    reload_with("  - {name: late, port: " + std::to_string(second) + ", subject: flows.raw.late}\n");
    sent += send(second, 100);
    reload_with("");
    sent += send(port_, 100);
  }
  EXPECT_TRUE(eventually([&] { return acknowledged() == sent; })) << ledger().dump(2);
  expect_books_balance(ledger());
  EXPECT_TRUE(eventually([&] { return answer({"--json", "exporters"})["exporters"].size() == 20; }));
  const json cores = answer({"--json", "cores"});
  uint64_t exporters = 0;
  ASSERT_EQ(cores["cores"].size(), 2u);
  for (const json& core : cores["cores"]) {
    EXPECT_GT(core["datagrams"], 100) << cores;
    exporters += core["exporters"].get<uint64_t>();
  }
  EXPECT_EQ(exporters, 20u) << "each on one thread, whichever port";
  EXPECT_EQ(answer({"--json", "ports"})["ports"].size(), 1u) << "a row a port";
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

}  // namespace
}  // namespace weir
