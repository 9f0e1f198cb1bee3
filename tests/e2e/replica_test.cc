// replica_test.cc — Other collectors get what an appliance receives, octet for octet, and cost it nothing.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sched.h>

#include <fstream>
#include <map>
#include <thread>

#include "appliance_fixture.h"
#include "support/payloads.h"
#include "support/udp_collector.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using test::UdpCollector;

class ReplicaTest : public ApplianceTest {
 protected:
  json answer(const std::vector<std::string>& command) { return json::parse(ctl(command).out, nullptr, false); }
  json replicas() { return answer({"--json", "status"})["replicate"]; }

  /// Export datagrams of a protocol, as `weir generate` makes them.
  std::vector<std::string> datagrams(const std::string& protocol, int count) {
    const std::string pcap = folder_ / (protocol + ".pcap");
    EXPECT_EQ(run({weir(), "generate", "--protocol", protocol, "--pcap", pcap, "--count", std::to_string(count), "--flows", "20"}).status, 0);
    std::vector<std::string> octets;
    const auto payloads = test::read_payloads(pcap);
    for (const test::Payload& p : payloads.value_or(std::vector<test::Payload>{})) octets.emplace_back(p.octets.begin(), p.octets.end());
    EXPECT_GE(octets.size(), static_cast<size_t>(count));
    return octets;
  }
  static std::string text_of(const UdpCollector::Received& received) { return {received.octets.begin(), received.octets.end()}; }

  struct Checked {
    int status;
    std::string said;
  };
  /// What `weir check` and `weir run` say of it.
  Checked check(const std::string& more) {
    const Answer a = run({weir(), "check", "-c", write_config(more)});
    return {a.status, a.out + a.err};
  }
  int run_status(const std::string& more) { return run({weir(), "run", "-c", write_config(more)}).status; }
};

TEST_F(ReplicaTest, GivesOthersOctetForOctetWhatCameInWhateverBecomesOfThem) {
  const UdpCollector old_one;
  uint16_t nobody = 0;
  {
    const UdpCollector gone;
    nobody = gone.port();
  }
  // A second appliance, which has to make of it what the first one does.
  const uint16_t second_port = free_udp_port();
  const std::string second_socket = folder_ / "second.sock";
  std::ofstream(folder_ / "second.yaml") << fmt::format(
      "ports:\n  - {{name: host, kind: socket, address: 127.0.0.1}}\n"
      "listeners:\n  - {{name: netflow, port: {}, subject: flows.raw.netflow, buffer_size: 4194304}}\n"
      "publishers:\n  - {{name: nowhere, kind: discard}}\n"
      "state_dir: {}\ncontrol_socket: {{path: {}}}\n",
      second_port, folder_ / "second-state", second_socket);
  Process second(folder_, {weir(), "run", "-c", folder_ / "second.yaml"});
  const auto of_second = [&](const std::string& command) {
    return json::parse(run({test::built("weirctl"), "--socket", second_socket, "--json", command}).out, nullptr, false);
  };
  ASSERT_TRUE(eventually([&] { return run({test::built("weirctl"), "--socket", second_socket, "ready"}).status == 0; })) << second.err();

  const auto weir = start(fmt::format("replicate:\n"
                                      "  - {{to: \"127.0.0.1:{}\", listeners: [netflow]}}\n"
                                      "  - {{to: \"127.0.0.1:{}\"}}\n"
                                      "  - {{to: \"127.0.0.1:{}\"}}\n",
                                      old_one.port(), second_port, nobody));
  std::vector<std::string> sent = datagrams("ipfix", 300);
  for (const std::string& more : datagrams("v9", 300)) sent.push_back(more);
  sent.emplace_back("\0\x07garbage", 9);
  send_udp(port_, sent);
  for (const std::string& datagram : sent) {
    const auto received = old_one.receive();
    ASSERT_TRUE(received);
    ASSERT_TRUE(text_of(*received) == datagram);
    EXPECT_EQ(received->from, "127.0.0.1");
  }
  EXPECT_FALSE(old_one.receive(100));
  ASSERT_TRUE(eventually([&] { return of_second("ledger")["datagrams"]["received"] == sent.size(); })) << of_second("ledger").dump(2);
  uint64_t records = 0;
  ASSERT_TRUE(eventually([&] { return (records = acknowledged()) > 0 && records == ledger()["records"]["encoded"]; }));
  EXPECT_EQ(of_second("ledger")["records"]["encoded"], records);
  expect_books_balance(ledger());
  EXPECT_EQ(answer({"--json", "ports"})["ports"][0]["missed"], 0) << "the one that is away holds nobody up";

  ASSERT_TRUE(eventually([&] { return replicas()[2]["sent"] == sent.size(); })) << replicas().dump(2);
  const json rows = replicas();
  uint64_t octets = 0;
  for (const std::string& datagram : sent) octets += datagram.size();
  for (size_t i : {0u, 1u, 2u}) {
    EXPECT_EQ(rows[i]["offered"], sent.size());
    EXPECT_EQ(rows[i]["sent"], sent.size());
    EXPECT_EQ(rows[i]["sent_octets"], octets);
  }
  EXPECT_EQ(rows[0]["returned"], 0);
  EXPECT_GT(rows[2]["returned"], sent.size() / 2);
  const std::string to = fmt::format("127.0.0.1:{}", old_one.port());
  EXPECT_THAT(ctl({"status"}).out, HasSubstr(to));
  EXPECT_THAT(ctl({"ledger"}).out, HasSubstr(to));
  const std::string metrics = ctl({"metrics"}).out;
  EXPECT_THAT(metrics, HasSubstr(fmt::format("weir_replica_sent_total{{to=\"{}\"}} {}", to, sent.size())));
  EXPECT_THAT(metrics, HasSubstr(fmt::format("weir_replica_dropped_total{{to=\"{}\",reason=\"no_room\"}} 0", to)));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  EXPECT_EQ(second.terminate(), 0) << second.err();
}

TEST_F(ReplicaTest, IsRefusedWhereItCannotBeMeant) {
  const struct {
    std::string targets;
    const char* says;
  } cases[] = {
      {fmt::format("[{{to: \"127.0.0.1:{}\"}}]", port_), "it would go round for ever"},
      {fmt::format("[{{to: \"[::ffff:127.0.0.1]:{}\"}}]", port_), "it would go round for ever"},
      {"[{to: \"192.0.2.20:0\"}]", "replicate[0].to"},
      {"[{to: \":2055\"}]", "no collector's address and port"},
      {"[{to: \"239.1.2.3:2055\"}]", "a multicast address"},
      {"[{to: \"[ff02::1]:2055\"}]", "a multicast address"},
      {"[{to: \"255.255.255.255:2055\"}]", "a broadcast address"},
      {"[{to: \"192.0.2.20:2055\"}, {to: \"192.0.2.20:2055\", spoof_source: true}]", "replicate[1].to"},
      {"[{listeners: [netflow]}]", "is missing"},
      {"[{to: \"192.0.2.20:2055\", listeners: [nothing]}]", "no listener is called nothing"},
      {"[{to: \"192.0.2.20:1\"}, {to: \"192.0.2.20:2\"}, {to: \"192.0.2.20:3\"}, {to: \"192.0.2.20:4\"}, {to: \"192.0.2.20:5\"}, "
       "{to: \"192.0.2.20:6\"}, {to: \"192.0.2.20:7\"}, {to: \"192.0.2.20:8\"}, {to: \"192.0.2.20:9\"}]",
       "9 targets, limit 8"},
  };
  for (const auto& c : cases) {
    const Checked checked = check("replicate: " + c.targets + "\n");
    EXPECT_EQ(checked.status, 1) << c.targets << checked.said;
    EXPECT_THAT(checked.said, HasSubstr(c.says)) << c.targets;
    EXPECT_NE(run_status("replicate: " + c.targets + "\n"), 0) << c.targets;
  }
}

// What it was well to send somebody is not when we listen there ourselves.
TEST_F(ReplicaTest, RefusesAReloadThatWouldSendItToItself) {
  const uint16_t later = free_udp_port();
  const std::string more = fmt::format("replicate: [{{to: \"127.0.0.1:{}\"}}]\n", later);
  const auto weir = start(more);
  std::string text = test::contents_of(folder_ / "weir.yaml");
  text.insert(text.find("nats_url:"), fmt::format("  - {{name: late, port: {}, subject: flows.raw.late}}\n", later));
  std::ofstream(folder_ / "weir.yaml") << text;
  const Answer refused = ctl({"--json", "reload"});
  EXPECT_THAT(refused.out + refused.err, HasSubstr("it would go round for ever"));
  EXPECT_EQ(answer({"--json", "ports"})["ports"].size(), 1u);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(ReplicaTest, ExporterRatesAndSitesGoByAReload) {
  const auto weir = start("exporters: {sites: [{exporters: 127.0.0.0/8, site: Loops}]}\n");
  const std::vector<std::string> sent = datagrams("v5", 200);
  const auto rejected = [&] { return ledger()["datagrams"]["rejected"]["rate_limited"].get<uint64_t>(); };
  const auto received = [&] { return ledger()["datagrams"]["received"].get<uint64_t>(); };
  send_udp(port_, sent);
  ASSERT_TRUE(eventually([&] { return received() == sent.size(); })) << ledger().dump(2);
  EXPECT_EQ(rejected(), 0u);
  const auto site = [&] { return answer({"--json", "exporters"})["exporters"][0]["site"]; };
  EXPECT_TRUE(eventually([&] { return site() == "Loops"; })) << answer({"--json", "exporters"}).dump(2);

  write_config("exporters: {sites: [{exporters: 127.0.0.0/8, site: Loops}, {exporters: 127.0.0.64/26, site: Harbour}]}\n"
               "limits: {packets_per_second_per_exporter: 50}\n");
  ASSERT_EQ(answer({"--json", "reload"})["state"], "applied");
  EXPECT_TRUE(eventually([&] { return site() == "Harbour"; }));
  send_udp(port_, sent);
  ASSERT_TRUE(eventually([&] { return received() == 2 * sent.size(); })) << ledger().dump(2);
  EXPECT_GE(rejected(), 100u);
  EXPECT_LE(rejected(), 150u) << "a second's worth passes";
  const uint64_t by_rate = rejected();
  EXPECT_THAT(ctl({"metrics"}).out, HasSubstr(fmt::format("reason=\"rate_limited\"}} {}", by_rate)));
  expect_books_balance(ledger());

  write_config();
  ASSERT_EQ(answer({"--json", "reload"})["state"], "applied");
  EXPECT_TRUE(eventually([&] { return site().is_null(); })) << site();
  send_udp(port_, sent);
  ASSERT_TRUE(eventually([&] { return received() == 3 * sent.size(); })) << ledger().dump(2);
  EXPECT_EQ(rejected(), by_rate);

  uint64_t encoded = ledger()["records"]["encoded"].get<uint64_t>();
  ASSERT_TRUE(eventually([&] { return acknowledged() == encoded; }));
  std::map<std::string, size_t> by_site;
  for (const json& record : read_stream()) ++by_site[record.value("site", "")];
  EXPECT_EQ(by_site.size(), 3u);
  EXPECT_EQ(by_site["Loops"], by_site[""]);
  EXPECT_GT(by_site["Harbour"], 0u);
  EXPECT_LT(by_site["Harbour"], by_site["Loops"]);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

// ── with the exporters' own addresses ────────────────────────────────────────────────────────────

/// Three networks: an exporter's, ours, and another collector's, with wires from ours to both. Of the thread that makes it,
/// which is left in ours. Needs root and ip(8).
class ThreeNetworks {
 public:
  bool lay() {
    if (geteuid() != 0 || !enter_new(ours_) || !enter_new(exporter_) || !enter_new(collector_)) return false;
    bool is_laid = setns(ours_, CLONE_NEWNET) == 0 && run("ip link set lo up");
    is_laid = is_laid && wire("exports", "exporter", exporter_, "198.51.100.1/24", "2001:db8:77::1/64");
    is_laid = is_laid && wire("copies", "collector", collector_, "192.0.2.10/24", "2001:db8::10/64");
    is_laid = is_laid && far_end(exporter_, "exporter", "198.51.100.7/24", "2001:db8:77::7/64", "198.51.100.1", "2001:db8:77::1");
    is_laid = is_laid && far_end(collector_, "collector", "192.0.2.20/24", "2001:db8::20/64", "192.0.2.10", "2001:db8::10");
    return is_laid && setns(ours_, CLONE_NEWNET) == 0;
  }
  ~ThreeNetworks() {
    for (const int fd : {ours_, exporter_, collector_})
      if (fd >= 0) close(fd);
  }
  template <class Body>
  auto at_collector(Body body) const {
    setns(collector_, CLONE_NEWNET);
    auto made = body();
    setns(ours_, CLONE_NEWNET);
    return made;
  }
  template <class Body>
  auto at_exporter(Body body) const {
    setns(exporter_, CLONE_NEWNET);
    auto made = body();
    setns(ours_, CLONE_NEWNET);
    return made;
  }
  static bool run(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

 private:
  static bool enter_new(int& fd) {
    if (unshare(CLONE_NEWNET) != 0) return false;
    fd = open("/proc/thread-self/ns/net", O_RDONLY);  // ip(8) gets it, too
    return fd >= 0;
  }
  static bool wire(const std::string& near, const std::string& far, int network, const std::string& v4, const std::string& v6) {
    return run("ip link add " + near + " type veth peer name " + far) &&
           run(fmt::format("ip link set {} netns /proc/self/fd/{}", far, network)) && run("ip link set " + near + " up") &&
           run("ip addr add " + v4 + " dev " + near) && run("ip addr add " + v6 + " dev " + near + " nodad");
  }
  static bool far_end(int network, const std::string& far, const std::string& v4, const std::string& v6, const std::string& by_v4,
                      const std::string& by_v6) {
    return setns(network, CLONE_NEWNET) == 0 && run("ip link set lo up") && run("ip link set " + far + " up") &&
           run("ip addr add " + v4 + " dev " + far) && run("ip addr add " + v6 + " dev " + far + " nodad") &&
           run("ip route add default via " + by_v4) && run("ip -6 route add default via " + by_v6);
  }
  int ours_ = -1, exporter_ = -1, collector_ = -1;
};

/// From one port, which is returned.
uint16_t send_to(const std::string& address, uint16_t port, const std::vector<std::string>& datagrams) {
  const bool is_v4 = address.find(':') == std::string::npos;
  const int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  inet_pton(is_v4 ? AF_INET : AF_INET6, address.c_str(), is_v4 ? static_cast<void*>(&v4.sin_addr) : &v6.sin6_addr);
  const sockaddr* const to = is_v4 ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6);
  for (const std::string& d : datagrams) sendto(fd, d.data(), d.size(), 0, to, is_v4 ? sizeof v4 : sizeof v6);
  sockaddr_in6 from{};
  socklen_t octets = sizeof from;
  getsockname(fd, reinterpret_cast<sockaddr*>(&from), &octets);
  close(fd);
  return ntohs(from.sin6_port);
}

TEST_F(ReplicaTest, ComesFromTheExportersOwnAddressesWhereAsked) {
  bool is_laid = false;
  std::thread([&] {  // networks are a thread's
    ThreeNetworks lab;
    if (!(is_laid = lab.lay())) return;
    const auto made = [](int family) { return std::make_unique<UdpCollector>(family); };
    const auto v4 = lab.at_collector([&] { return made(AF_INET); });
    const auto v6 = lab.at_collector([&] { return made(AF_INET6); });
    std::ofstream(folder_ / "lab.yaml") << fmt::format(
        "ports:\n  - {{name: host, kind: socket}}\n"
        "listeners:\n  - {{name: netflow, port: {}, subject: flows.raw.netflow, buffer_size: 4194304}}\n"
        "publishers:\n  - {{name: nowhere, kind: discard}}\n"
        "state_dir: {}\ncontrol_socket: {{path: {}}}\n"
        "replicate:\n  - {{to: \"192.0.2.20:{}\", spoof_source: true}}\n  - {{to: \"[2001:db8::20]:{}\", spoof_source: true}}\n",
        port_, folder_ / "lab-state", control_socket(), v4->port(), v6->port());
    Process weir(folder_, {this->weir(), "run", "-c", folder_ / "lab.yaml"});
    ASSERT_TRUE(eventually([&] { return ctl({"ready"}).status == 0 || !weir.is_running(); }));
    ASSERT_TRUE(weir.is_running()) << weir.err();
    const std::vector<std::string> sent = datagrams("ipfix", 100);
    const struct {
      const char* us;
      const char* exporter;
      const UdpCollector& collector;
    } cases[] = {{"198.51.100.1", "198.51.100.7", *v4}, {"2001:db8:77::1", "2001:db8:77::7", *v6}};
    for (const auto& c : cases) {
      // Kernels hold back little for a neighbour whom they do not know yet.
      lab.at_exporter([&] { return send_to(c.us, port_, {sent[0]}); });
      ASSERT_TRUE(c.collector.receive()) << c.exporter;
      const uint16_t port = lab.at_exporter([&] { return send_to(c.us, port_, sent); });
      for (const std::string& datagram : sent) {
        const auto received = c.collector.receive();
        ASSERT_TRUE(received) << c.exporter << replicas().dump(2);
        EXPECT_EQ(received->from, c.exporter);
        EXPECT_EQ(received->port, port);
        ASSERT_TRUE(text_of(*received) == datagram);
      }
      EXPECT_FALSE(c.collector.receive(100));
    }
    EXPECT_TRUE(eventually([&] { return replicas()[0]["sent"] == sent.size() + 1 && replicas()[1]["sent"] == sent.size() + 1; }));
    EXPECT_EQ(replicas()[0]["dropped"]["other_family"], sent.size() + 1);
    EXPECT_EQ(replicas()[1]["dropped"]["other_family"], sent.size() + 1);
    EXPECT_THAT(ctl({"status"}).out, HasSubstr("exporter's"));
    EXPECT_EQ(weir.terminate(), 0) << weir.err();
  }).join();
  if (!is_laid) GTEST_SKIP() << "needs root and ip(8)";
}

// A port that sees a wire in both directions sees what we send there as well.
TEST_F(ReplicaTest, DoesNotSendOnWhatItSeesOnItsWay) {
  bool is_laid = false;
  std::thread([&] {
    ThreeNetworks lab;
    if (!(is_laid = lab.lay())) return;
    const auto collector = lab.at_collector([] { return std::make_unique<UdpCollector>(AF_INET); });
    std::ofstream(folder_ / "lab.yaml") << fmt::format(
        "eal: {{hugepages: false, memory_mb: 256}}\nports:\n  - {{name: wire, device: \"net_pcap0,rx_iface=copies\"}}\n"
        "listeners:\n  - {{name: netflow, port: {}, subject: flows.raw.netflow}}\n"
        "publishers:\n  - {{name: nowhere, kind: discard}}\n"
        "state_dir: {}\ncontrol_socket: {{path: {}}}\n"
        "replicate:\n  - {{to: \"192.0.2.20:{}\"}}\n",
        collector->port(), folder_ / "lab-state", control_socket(), collector->port());
    Process weir(folder_, {this->weir(), "run", "-c", folder_ / "lab.yaml"});
    ASSERT_TRUE(eventually([&] { return ctl({"ready"}).status == 0 || !weir.is_running(); }, std::chrono::seconds(60)));
    ASSERT_TRUE(weir.is_running()) << weir.err();
    const std::vector<std::string> sent = datagrams("ipfix", 20);
    const auto copies = [&] {
      size_t count = 0;
      while (collector->receive(300)) ++count;
      return count;
    };
    lab.at_collector([&] { return send_to("192.0.2.10", 1, {"to know each other"}); });
    // To us: once more as a copy, which the port sees too.
    lab.at_collector([&] { return send_to("192.0.2.10", collector->port(), sent); });
    EXPECT_EQ(copies(), sent.size());
    EXPECT_TRUE(eventually([&] { return replicas()[0]["dropped"]["on_its_way"] == sent.size(); })) << replicas().dump(2);
    EXPECT_EQ(replicas()[0]["sent"], sent.size());
    EXPECT_EQ(weir.terminate(), 0) << weir.err();
  }).join();
  if (!is_laid) GTEST_SKIP() << "needs root and ip(8)";
}

}  // namespace
}  // namespace weir
