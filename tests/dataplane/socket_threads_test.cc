// Several receive threads, each with a socket of every port: an exporter meets one of them. Loopback; what needs
// addresses of its own and fragments runs in a network namespace.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <thread>

#include "dataplane/placement.h"
#include "dataplane/source_steering.h"
#include "support.h"
#include "support/process.h"
#include "udp_sender.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// From an address of the loopback's network, and each time from another port.
class Exporter {
 public:
  explicit Exporter(std::string address) : address_(std::move(address)), is_v4_(address_.find(':') == std::string::npos) {}

  bool send(uint16_t port, const lab::Octets& payload) const {
    const int fd = socket(is_v4_ ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool sent = bind_to(fd, address_, 0, true) && bind_to(fd, is_v4_ ? "127.0.0.1" : "::1", port, false) &&
                      ::send(fd, payload.data(), payload.size(), 0) == static_cast<ssize_t>(payload.size());
    close(fd);
    return sent;
  }

 private:
  bool bind_to(int fd, const std::string& address, uint16_t port, bool is_ours) const {
    sockaddr_storage storage{};
    socklen_t octets = sizeof(sockaddr_in);
    if (is_v4_) {
      sockaddr_in v4{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
      inet_pton(AF_INET, address.c_str(), &v4.sin_addr);
      std::memcpy(&storage, &v4, sizeof v4);
    } else {
      sockaddr_in6 v6{};
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr);
      std::memcpy(&storage, &v6, sizeof v6);
      octets = sizeof v6;
    }
    const auto* const name = reinterpret_cast<const sockaddr*>(&storage);
    return (is_ours ? bind(fd, name, octets) : connect(fd, name, octets)) == 0;
  }

  std::string address_;
  bool is_v4_;
};

std::vector<std::string> v4_exporters(size_t count) {
  std::vector<std::string> found;
  for (size_t i = 0; i < count; ++i) found.push_back(fmt::format("127.0.3.{}", i + 1));
  return found;
}

class SocketThreads : public ::testing::Test {
 protected:
  void make(size_t sockets, uint16_t threads, const std::string& address = "127.0.0.1", uint32_t buffer_octets = 0) {
    const RoleScope role(control_thread);
    config_.pipeline = netflow_pipeline();
    config_.pipeline.decoder.hash_seed = 0x1234'5678'9abc'def0;
    config_.socket_threads = threads;
    for (size_t i = 0; i < sockets; ++i) add_socket(address, 0, buffer_octets);
    Result<std::unique_ptr<DataPlane>> made = DataPlane::create(config_);
    ASSERT_TRUE(made) << made.error().message;
    plane_ = std::move(*made);
    for (size_t i = 0; i < sockets; ++i) config_.socket_ports[i].port = port(i);
  }
  void add_socket(const std::string& address, uint16_t udp_port, uint32_t buffer_octets = 4 << 20) {
    config_.socket_ports.push_back({.name = fmt::format("s{}", added_++),
                                    .address = *IpAddress::parse(address),
                                    .port = udp_port,
                                    .listener = {0},
                                    .receive_buffer_octets = buffer_octets});
  }
  void start() {
    const RoleScope role(control_thread);
    const Result<void> started = plane_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  PortStats stats(size_t index = 0) {
    const RoleScope role(control_thread);
    return plane_->port_stats().at(index);
  }
  uint16_t port(size_t index = 0) {
    const std::string device = stats(index).device;
    return static_cast<uint16_t>(std::stoul(device.substr(device.rfind(':') + 1)));
  }
  bool wait_for_datagrams(uint64_t count) {
    return run_until(*plane_, collected_, [&] { return datagrams(*plane_) >= count; });
  }
  void change() {
    const RoleScope role(control_thread);
    const Result<void> changed = plane_->change(config_);
    ASSERT_TRUE(changed) << changed.error().message;
    ASSERT_TRUE(run_until(*plane_, collected_, [&] {
      const RoleScope inner(control_thread);
      return plane_->settle_change();
    }));
  }
  /// Which threads know each exporter. They have ended.
  std::map<std::string, std::vector<size_t>> threads_by_exporter() {
    std::map<std::string, std::vector<size_t>> found;
    for (size_t core = 0; core < plane_->cores().size(); ++core) {
      ExporterQuery query;
      query.rows.resize(64);
      const RoleScope role(control_thread);
      EXPECT_TRUE(plane_->pipeline(core).ask_exporters(query));
      const RoleScope ended(rx_lcore);
      plane_->pipeline(core).finish();
      ExporterQuery* answer = nullptr;
      EXPECT_TRUE(plane_->pipeline(core).take_answer(answer));
      for (size_t i = 0; i < query.filled; ++i) found[query.rows[i].address.to_string()].push_back(core);
    }
    return found;
  }
  void expect_one_thread_each(size_t exporters) {
    const auto found = threads_by_exporter();
    EXPECT_EQ(found.size(), exporters);
    for (const auto& [address, threads] : found) EXPECT_EQ(threads.size(), 1u) << address;
    for (size_t core = 0; core < plane_->cores().size(); ++core) {
      EXPECT_THAT(plane_->pipeline(core).counters().datagrams.value(), Gt(0u)) << "thread " << core;
      EXPECT_THAT(plane_->pipeline(core).ledger().discrepancies(), IsEmpty());
    }
  }

  DataPlaneConfig config_;
  std::unique_ptr<DataPlane> plane_;
  Collected collected_;
  size_t added_ = 0;
};

/// What the kernel lets this process's thread of that name run on; empty: there is none.
std::string cpus_of_thread(const std::string& name) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (test::contents_of(task.path() / "comm") != name + "\n") continue;
    const std::string status = test::contents_of(task.path() / "status");
    const std::string key = "Cpus_allowed_list:\t";
    const size_t at = status.find(key) + key.size();
    return status.substr(at, status.find('\n', at) - at);
  }
  return {};
}

TEST_F(SocketThreads, RunWhereTheyAreToldTo) {
  const std::vector<unsigned> usable = usable_cpus();
  config_.socket_lcores = {usable.back()};
  make(1, 2);
  start();
  for (const size_t thread : {0u, 1u}) {
    EXPECT_EQ(plane_->cores()[thread].cpu, static_cast<int>(usable.back()));
    EXPECT_EQ(cpus_of_thread(fmt::format("weir-rx-{}", thread)), fmt::format("{}", usable.back()));
  }
  stop(*plane_, collected_);
}

TEST_F(SocketThreads, AreRefusedACpuThatIsNotThere) {
  const RoleScope role(control_thread);
  config_.pipeline = netflow_pipeline();
  config_.socket_lcores = {1023};
  add_socket("127.0.0.1", 0);
  const auto made = DataPlane::create(config_);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("CPU 1023 cannot be used here"));
}

TEST_F(SocketThreads, AnExporterMeetsOneThreadFromWhateverPortToWhateverListener) {
  make(2, 3);
  start();
  ASSERT_EQ(plane_->cores().size(), 3u);
  EXPECT_EQ(plane_->cores()[0].serves, "s0, s1 (thread 1 of 3)");
  EXPECT_EQ(plane_->cores()[2].serves, "s0, s1 (thread 3 of 3)");
  uint64_t sent = 0;
  for (int round = 0; round < 5; ++round)
    for (const std::string& address : v4_exporters(40))
      for (const size_t listener : {0, 1}) {
        ASSERT_TRUE(Exporter(address).send(port(listener), v5_datagram(1)));
        ++sent;
      }
  ASSERT_TRUE(wait_for_datagrams(sent));
  stop(*plane_, collected_);
  EXPECT_EQ(datagrams(*plane_), sent);
  EXPECT_EQ(stats(0).packets + stats(1).packets, sent) << "a row a port, whatever threads";
  EXPECT_EQ(stats(0).missed, 0u);
  expect_one_thread_each(40);
}

TEST_F(SocketThreads, KnowATemplateWhicheverListenerItCameTo) {
  make(2, 4);
  start();
  lab::NetflowV9Builder templates, data;
  templates.unix_secs(1'700'000'000).templates({{.id = 256, .fields = {{8, 4}, {1, 4}}}});
  data.unix_secs(1'700'000'000).sequence(1).data(256, {{lab::ipv4("192.0.2.1"), lab::u32(64)}});
  for (const std::string& address : v4_exporters(20)) ASSERT_TRUE(Exporter(address).send(port(0), templates.build()));
  ASSERT_TRUE(wait_for_datagrams(20));
  for (const std::string& address : v4_exporters(20)) ASSERT_TRUE(Exporter(address).send(port(1), data.build()));
  ASSERT_TRUE(wait_for_datagrams(40));
  stop(*plane_, collected_);
  EXPECT_EQ(records_decoded(*plane_), 20u);
}

TEST_F(SocketThreads, WhatFoundABufferFullIsCountedForEachSocket) {
  make(1, 2, "127.0.0.1", 4096);
  uint64_t sent = 0;  // bound, but nobody receives yet
  for (int round = 0; round < 20; ++round)
    for (const std::string& address : v4_exporters(20)) {
      ASSERT_TRUE(Exporter(address).send(port(), v5_datagram(30)));
      ++sent;
    }
  const uint64_t missed = *stats().missed;
  EXPECT_GT(missed, 0u);
  start();
  ASSERT_TRUE(wait_for_datagrams(sent - missed));
  stop(*plane_, collected_);
  EXPECT_EQ(stats().packets + *stats().missed, sent);
  EXPECT_EQ(datagrams(*plane_), stats().packets);
  for (const size_t core : {0, 1}) EXPECT_GT(plane_->pipeline(core).counters().datagrams.value(), 0u);
}

TEST_F(SocketThreads, APortThatStaysLosesNothingAndMovesNobodyWhileOthersComeAndGo) {
  make(1, 3);
  start();
  std::atomic<uint64_t> sent{0};
  std::jthread sender([&, to = port()](const std::stop_token& stop) {
    const std::vector<std::string> exporters = v4_exporters(16);
    for (size_t i = 0; !stop.stop_requested() || sent.load() < 2000; ++i) {
      // Never so many ahead that they would be lost while a thread has no CPU.
      if (sent.load() < datagrams(*plane_) + 1000 && Exporter(exporters[i % exporters.size()]).send(to, v5_datagram(1))) sent.fetch_add(1);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  });
  for (int i = 0; i < 15 && !HasFatalFailure(); ++i) {
    add_socket("127.0.0.1", 0);
    change();
    const uint16_t coming = port(1);
    for (const std::string& address : v4_exporters(16)) {
      ASSERT_TRUE(Exporter(address).send(coming, v5_datagram(1)));
      sent.fetch_add(1);
    }
    config_.socket_ports.pop_back();
    change();
  }
  sender.request_stop();
  sender.join();
  EXPECT_TRUE(wait_for_datagrams(sent.load()));
  stop(*plane_, collected_);
  EXPECT_EQ(datagrams(*plane_), sent.load()) << "what had come to a port that goes was taken, too";
  expect_one_thread_each(16);
}

TEST_F(SocketThreads, APortThatGoesIsNotOpenToOthersBeforeAndIsAfterwards) {
  make(2, 2);
  start();
  const uint16_t taken = port(1);
  const auto refusal_of = [&](uint16_t threads) {
    const RoleScope role(control_thread);
    DataPlaneConfig other;
    other.pipeline = netflow_pipeline();
    other.socket_threads = threads;
    other.socket_ports.push_back({.name = "again", .address = *IpAddress::parse("127.0.0.1"), .port = taken, .listener = {0}});
    const auto made = DataPlane::create(other);
    return made ? "" : made.error().message;
  };
  for (const uint16_t threads : {uint16_t{1}, uint16_t{2}})
    EXPECT_THAT(refusal_of(threads), HasSubstr("is in use by another program")) << threads;
  config_.socket_ports.pop_back();
  change();
  for (const uint16_t threads : {uint16_t{1}, uint16_t{2}}) EXPECT_EQ(refusal_of(threads), "") << threads;
}

TEST(SourceSteering, SpreadsOtherwiseWithAnotherSeed) {
  const std::vector<sock_filter> one = steering_program(4, 1), two = steering_program(4, 2);
  ASSERT_EQ(one.size(), two.size());
  EXPECT_EQ(one[0].k, 1u);
  EXPECT_EQ(two[0].k, 2u);
  EXPECT_LT(one.size(), size_t{BPF_MAXINSNS});
}

#define SKIP_WITHOUT_ROOT()   \
  if (!can_make_namespaces()) \
  GTEST_SKIP() << "needs root and ip(8): a network namespace with addresses of its own"

TEST_F(SocketThreads, SteerIpv6AndIpv4AndDatagramsInFragments) {
  SKIP_WITHOUT_ROOT();
  in_child([this] {
    const auto run = [](const std::string& command) { return std::system(command.c_str()) == 0; };
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    ASSERT_TRUE(run("ip link set lo up mtu 1500"));
    std::vector<std::string> exporters = v4_exporters(20);
    for (int i = 1; i <= 20; ++i) {
      exporters.push_back(fmt::format("2001:db8:{:x}::{:x}", i % 4, i));
      ASSERT_TRUE(run("ip addr add " + exporters.back() + "/128 dev lo nodad"));
    }
    make(2, 3, "::");
    start();
    // Of the second datagram five fragments are made.
    const lab::Octets small = v5_datagram(1);
    const lab::Octets large = lab::zeros(6000);
    uint64_t sent = 0;
    for (int round = 0; round < 4; ++round)
      for (const std::string& address : exporters)
        for (const lab::Octets* payload : {&small, &large}) {
          ASSERT_TRUE(Exporter(address).send(port(round % 2), *payload)) << address;
          ++sent;
        }
    ASSERT_TRUE(wait_for_datagrams(sent));
    stop(*plane_, collected_);
    EXPECT_EQ(datagrams(*plane_), sent);
    expect_one_thread_each(40);
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
