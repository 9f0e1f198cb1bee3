// Kernel sockets: no EAL, no privileges; datagrams over loopback.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "support.h"
#include "udp_sender.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::HasSubstr;

class SocketPortTest : public ::testing::Test {
 protected:
  void make(std::vector<std::string> addresses, uint32_t buffer_octets = 0,
            IdlePolicy idle = IdlePolicy::adaptive) {
    const RoleScope role(control_thread);
    DataPlaneConfig config;
    config.idle = idle;
    config.pipeline = pipeline_;
    for (const std::string& address : addresses)
      config.socket_ports.push_back({.name = fmt::format("s{}", config.socket_ports.size()),
                                     .address = *IpAddress::parse(address),
                                     .port = 0,  // the kernel chooses
                                     .listener = {0},
                                     .receive_buffer_octets = buffer_octets});
    Result<std::unique_ptr<DataPlane>> made = DataPlane::create(config);
    ASSERT_TRUE(made) << made.error().message;
    plane_ = std::move(*made);
    const Result<void> started = plane_->start();
    ASSERT_TRUE(started) << started.error().message;
  }

  PortStats stats(size_t port = 0) {
    const RoleScope role(control_thread);
    return plane_->port_stats().at(port);
  }
  uint16_t port(size_t index = 0) {
    const std::string device = stats(index).device;
    return static_cast<uint16_t>(std::stoul(device.substr(device.rfind(':') + 1)));
  }
  bool wait_for_datagrams(uint64_t count) {
    return run_until(*plane_, collected_, [&] { return datagrams(*plane_) >= count; });
  }

  PipelineConfig pipeline_ = netflow_pipeline();
  std::unique_ptr<DataPlane> plane_;
  Collected collected_;
};

bool has_ipv6() {
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_in6 loopback{};
  loopback.sin6_family = AF_INET6;
  loopback.sin6_addr = in6addr_loopback;
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&loopback), sizeof loopback) == 0;
  close(fd);
  return bound;
}

/// What is sealed meanwhile is collected too.
std::vector<decode::ExporterStats> exporters_of(DataPlane& plane, Collected& collected) {
  const RoleScope role(control_thread);
  ExporterQuery query;
  query.rows.resize(16);
  ExporterQuery* answer = nullptr;
  EXPECT_TRUE(plane.pipeline(0).ask_exporters(query));
  EXPECT_TRUE(run_until(plane, collected, [&] {
    const RoleScope inner(control_thread);
    return plane.pipeline(0).take_answer(answer);
  }));
  query.rows.resize(query.filled);
  return query.rows;
}

TEST_F(SocketPortTest, TakesIpv4AndIpv6OnOneSocketAndNormalisesAddresses) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 on this machine";
  make({"::"});
  const Sender v4(AF_INET), v6(AF_INET6);
  for (uint32_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(v4.send(port(), v5_datagram(2, i * 2)));
    ASSERT_TRUE(v6.send(port(), v5_datagram(3, i * 3)));
  }
  ASSERT_TRUE(wait_for_datagrams(200));
  std::vector<std::string> addresses;
  for (const decode::ExporterStats& row : exporters_of(*plane_, collected_))
    addresses.push_back(row.address.to_string());
  EXPECT_THAT(addresses, ::testing::UnorderedElementsAre("127.0.0.1", "::1"));

  stop(*plane_, collected_);
  EXPECT_EQ(collected_.records, 500u);
  const PortStats port = stats();
  EXPECT_EQ(port.packets, 200u);
  EXPECT_EQ(port.octets, 100u * (24 + 2 * 48) + 100u * (24 + 3 * 48));
  EXPECT_EQ(port.missed, 0u);
  EXPECT_EQ(port.errors, 0u);
  EXPECT_EQ(port.kind, "socket");
  expect_ledger(*plane_);
}

TEST_F(SocketPortTest, StampsDatagramsWithTheTimeOfTheirArrival) {
  make({"127.0.0.1"});
  const uint64_t before_ns = wall_clock_ns();
  ASSERT_TRUE(Sender(AF_INET).send(port(), v5_datagram(1)));
  ASSERT_TRUE(wait_for_datagrams(1));
  stop(*plane_, collected_);
  EXPECT_GE(collected_.first_received_ns, before_ns - kNsPerMs);
  EXPECT_LE(collected_.first_received_ns, wall_clock_ns());
}

TEST_F(SocketPortTest, ReceivesTheLargestDatagramWhole) {
  make({"127.0.0.1"});
  lab::NetflowV9Builder builder;
  builder.unix_secs(1'700'000'000)
      .templates({{.id = 256, .fields = {{8, 4}, {12, 4}, {1, 4}}}})
      .data(256, std::vector<lab::Record>(
                     5450, {lab::ipv4("192.0.2.1"), lab::ipv4("198.51.100.2"), lab::u32(1500)}));
  const lab::Octets datagram = builder.build();
  ASSERT_GT(datagram.size(), 65'400u);
  ASSERT_TRUE(Sender(AF_INET).send(port(), datagram));
  ASSERT_TRUE(Sender(AF_INET).send(port(), {}));  // and an empty one
  ASSERT_TRUE(wait_for_datagrams(2));
  stop(*plane_, collected_);
  EXPECT_EQ(collected_.records, 5450u);
  EXPECT_EQ(stats().octets, datagram.size());
  expect_ledger(*plane_);
}

// Exporters exist that send templates to one port and data to another.
TEST_F(SocketPortTest, KnowsATemplateWhicheverSocketItCameTo) {
  make({"127.0.0.1", "127.0.0.1"});
  ASSERT_EQ(plane_->cores().size(), 1u);
  EXPECT_EQ(plane_->cores()[0].serves, "s0, s1");
  EXPECT_EQ(plane_->cores()[0].cpu, -1);
  lab::NetflowV9Builder templates, data;
  templates.unix_secs(1'700'000'000).templates({{.id = 256, .fields = {{8, 4}, {1, 4}}}});
  data.unix_secs(1'700'000'000).sequence(1).data(256, {{lab::ipv4("192.0.2.1"), lab::u32(64)}});
  const Sender sender(AF_INET);
  ASSERT_TRUE(sender.send(port(0), templates.build()));
  ASSERT_TRUE(wait_for_datagrams(1));
  ASSERT_TRUE(sender.send(port(1), data.build()));
  ASSERT_TRUE(wait_for_datagrams(2));
  stop(*plane_, collected_);
  EXPECT_EQ(plane_->pipeline(0).decoder_counters().records.value(), 1u);
  EXPECT_FALSE(plane_->at_end());
}

// Whatever was sent was received or counted as missed, also when it is stopped in the middle of it.
TEST_F(SocketPortTest, StopsUnderLoadWithItsBooksInOrder) {
  for (const IdlePolicy idle : {IdlePolicy::adaptive, IdlePolicy::poll}) {
    make({"127.0.0.1"}, 4096, idle);  // a small buffer: drops are likely
    const uint16_t to = port();
    std::atomic<bool> enough{false};
    std::atomic<bool> stopping{false};
    std::atomic<bool> noticed{false};
    uint64_t sent_before_stop = 0;
    std::thread sending([&] {
      const Sender sender(AF_INET);
      const lab::Octets datagram = v5_datagram(30);
      while (!enough.load()) {
        const bool is_before = !stopping.load();
        noticed.store(!is_before);
        if (sender.send(to, datagram) && is_before) ++sent_before_stop;
      }
    });
    EXPECT_TRUE(wait_for_datagrams(1000));
    stopping.store(true);
    EXPECT_TRUE(run_until(*plane_, collected_, [&] { return noticed.load(); }));
    stop(*plane_, collected_);
    enough.store(true);
    sending.join();
    EXPECT_EQ(stats().packets, datagrams(*plane_));
    EXPECT_GE(stats().packets + stats().missed.value_or(0), sent_before_stop);
    expect_ledger(*plane_);
    plane_.reset();
  }
}

// A core that would rather wait than drop: what its socket holds when it is stopped is taken as buffers come back,
// and not dropped for want of them.
TEST_F(SocketPortTest, WaitsForBuffersAtAStopToo) {
  const StandingClock clock;  // however late we give them back, it is not later than it waits
  pipeline_.batcher.buffers = 64;
  pipeline_.batcher.batch_octets = 4096;
  pipeline_.batcher.buffers_in_reserve = 40;  // a burst fills 32 at most
  make({"127.0.0.1"}, 4 << 20);
  const Sender sender(AF_INET);
  const uint16_t to = port();
  uint64_t sent = 0;
  const auto is_held = [&] { return plane_->pipeline(0).counters().holds.value() != 0; };
  // Nobody takes batches: it waits in the end, and what is sent then stays in the socket.
  for (; !is_held() && sent < 10'000; ++sent) ASSERT_TRUE(sender.send(to, v5_datagram(30)));
  ASSERT_TRUE(is_held());
  for (int i = 0; i < 200; ++i, ++sent) ASSERT_TRUE(sender.send(to, v5_datagram(30)));
  EXPECT_LT(datagrams(*plane_), sent);

  stop(*plane_, collected_);
  EXPECT_EQ(stats().packets, sent);
  EXPECT_EQ(stats().missed, 0u);
  EXPECT_EQ(plane_->pipeline(0).batcher_counters().drops.total(), 0u);
  EXPECT_EQ(collected_.records, sent * 30);
  expect_ledger(plane_->pipeline(0));
  plane_.reset();  // it goes by that clock
}

TEST_F(SocketPortTest, EndsWhereBuffersDoNotComeBackAndCountsWhatFoundNone) {
  pipeline_.batcher.buffers = 8;
  pipeline_.batcher.batch_octets = 4096;
  pipeline_.batcher.buffers_in_reserve = 8;
  make({"127.0.0.1"}, 4 << 20);
  const Sender sender(AF_INET);
  const uint16_t to = port();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(sender.send(to, v5_datagram(30)));
  const RoleScope role(control_thread);
  plane_->request_stop();
  const uint64_t give_up_ns = steady_clock_ns() + 60 * kNsPerSec;
  while (!plane_->has_ended() && steady_clock_ns() < give_up_ns) usleep(1000);
  ASSERT_TRUE(plane_->has_ended());
  plane_->stop();
  EXPECT_EQ(stats().packets, 100u);
  EXPECT_GT(plane_->pipeline(0).batcher_counters().drops.total(), 0u);
  expect_ledger(plane_->pipeline(0));
}

/// One each 50 µs, for so long, however far behind the receiver is.
uint64_t send_steadily(const Sender& sender, uint16_t port, uint64_t for_ns) {
  const lab::Octets datagram = v5_datagram(1);
  const uint64_t began_ns = steady_clock_ns();
  uint64_t sent = 0;
  while (sent * 50 * kNsPerUs < for_ns) {
    while (steady_clock_ns() < began_ns + sent * 50 * kNsPerUs) {
    }
    sent += sender.send(port, datagram);
  }
  return sent;
}

TEST_F(SocketPortTest, TakesSeveralAtATimeWhereManyCome) {
  make({"127.0.0.1"});
  const uint64_t sent = send_steadily(Sender(AF_INET), port(), 300 * kNsPerMs);
  ASSERT_TRUE(wait_for_datagrams(sent));
  EXPECT_LT(plane_->pipeline(0).counters().bursts.value(), sent / 4);
  EXPECT_EQ(stats().missed, 0u);
  stop(*plane_, collected_);
  EXPECT_EQ(collected_.records, sent);
}

// A flood may begin while they gather. It fits into the buffer beside what is waiting by then, so that all of it must come through, and a
// buffer that would be full before a pause is over has none.
TEST_F(SocketPortTest, LetsNoMoreGatherThanItsBufferHolds) {
  const Sender sender(AF_INET);
  const auto pauses = [&] { return plane_->pipeline(0).counters().pauses.value(); };
  // One each 20 µs, never so many ahead of the receiver that they would be lost whenever it comes to have a CPU.
  const auto send_until = [&](uint64_t ahead_max, uint64_t& sent, const std::function<bool()>& done) {
    const lab::Octets datagram = v5_datagram(1);
    const uint16_t to = port();
    const uint64_t give_up_ns = true_clock_ns() + 60 * kNsPerSec;
    while (!done() && true_clock_ns() < give_up_ns) {
      collected_.take(*plane_);
      const uint64_t next_ns = true_clock_ns() + 20 * kNsPerUs;
      if (sent - datagrams(*plane_) < ahead_max) sent += sender.send(to, datagram);
      while (true_clock_ns() < next_ns) {
      }
    }
    return done();
  };
  make({"127.0.0.1"}, 256 << 10);
  uint64_t sent = 0;
  for (int flood = 0; flood < 5; ++flood) {
    const uint64_t paused = pauses();
    ASSERT_TRUE(send_until(64, sent, [&] { return pauses() >= paused + 10; }));
    for (int i = 0; i < 400; ++i) sent += sender.send(port(), v5_datagram(1));
    ASSERT_TRUE(wait_for_datagrams(sent));
  }
  EXPECT_EQ(stats().missed, 0u);
  stop(*plane_, collected_);
  EXPECT_EQ(collected_.records, sent);
  expect_ledger(*plane_);

  make({"127.0.0.1"}, 4096);
  uint64_t sent_to_small = 0;
  ASSERT_TRUE(send_until(2, sent_to_small, [&] { return sent_to_small >= 4000; }));
  ASSERT_TRUE(wait_for_datagrams(sent_to_small));
  EXPECT_EQ(pauses(), 0u);
  EXPECT_EQ(stats().missed, 0u);
  stop(*plane_, collected_);
}

TEST_F(SocketPortTest, CountsWhatTheKernelDropped) {
  const RoleScope role(control_thread);
  DataPlaneConfig config;
  config.pipeline = netflow_pipeline();
  config.socket_ports.push_back({.name = "s0",
                                 .address = *IpAddress::parse("127.0.0.1"),
                                 .listener = {0},
                                 .receive_buffer_octets = 4096});
  Result<std::unique_ptr<DataPlane>> made = DataPlane::create(config);
  ASSERT_TRUE(made) << made.error().message;
  plane_ = std::move(*made);
  // Bound, but nobody receives yet.
  const Sender sender(AF_INET);
  constexpr uint64_t kSent = 200;
  for (uint64_t i = 0; i < kSent; ++i) ASSERT_TRUE(sender.send(port(), v5_datagram(30)));
  EXPECT_GT(stats().missed.value_or(0), 0u);
  ASSERT_TRUE(plane_->start());
  ASSERT_TRUE(wait_for_datagrams(kSent - *stats().missed));
  stop(*plane_, collected_);
  EXPECT_EQ(stats().packets + stats().missed.value_or(0), kSent);
}

TEST_F(SocketPortTest, SaysWhenAPortIsTaken) {
  make({"127.0.0.1"});
  const RoleScope role(control_thread);
  DataPlaneConfig config;
  config.pipeline = netflow_pipeline();
  config.socket_ports.push_back({.name = "again",
                                 .address = *IpAddress::parse("127.0.0.1"),
                                 .port = port(),
                                 .listener = {0}});
  const Result<std::unique_ptr<DataPlane>> second = DataPlane::create(config);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message,
            fmt::format("port again: UDP 127.0.0.1:{} is in use by another program", port()));

  config.socket_ports[0].address = *IpAddress::parse("203.0.113.77");  // not this machine's
  config.socket_ports[0].port = 0;
  const Result<std::unique_ptr<DataPlane>> elsewhere = DataPlane::create(config);
  ASSERT_FALSE(elsewhere);
  EXPECT_THAT(elsewhere.error().message, HasSubstr("port again: UDP 203.0.113.77:0"));

  config.socket_ports[0].listener = {5};
  const Result<std::unique_ptr<DataPlane>> no_listener = DataPlane::create(config);
  ASSERT_FALSE(no_listener);
  EXPECT_THAT(no_listener.error().message, HasSubstr("no listener 5"));
}

}  // namespace
}  // namespace weir::dataplane::testing
