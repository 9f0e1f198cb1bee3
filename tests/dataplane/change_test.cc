// What an operator says anew while packets come: cores take it up between two bursts, sockets come and go.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "support.h"
#include "udp_sender.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::HasSubstr;

class ChangeTest : public ::testing::Test {
 protected:
  ChangeTest() { config_.pipeline = netflow_pipeline(); }

  /// Sockets of one listener, at ports that the kernel chooses.
  void start(size_t sockets) {
    const RoleScope role(control_thread);
    for (size_t i = 0; i < sockets; ++i) add_socket(0);
    Result<std::unique_ptr<DataPlane>> made = DataPlane::create(config_);
    ASSERT_TRUE(made) << made.error().message;
    plane_ = std::move(*made);
    const Result<void> started = plane_->start();
    ASSERT_TRUE(started) << started.error().message;
    for (SocketPort& port : config_.socket_ports) port.port = port_of(port.name);
  }
  void add_socket(uint16_t udp_port) {
    config_.socket_ports.push_back({.name = fmt::format("s{}", added_++),
                                    .address = *IpAddress::parse("127.0.0.1"),
                                    .port = udp_port,
                                    .listener = {0},
                                    .receive_buffer_octets = 4 << 20});
  }
  uint16_t port_of(const std::string& name) {
    const RoleScope role(control_thread);
    for (const PortStats& stats : plane_->port_stats()) {
      if (stats.name != name) continue;
      return static_cast<uint16_t>(std::stoul(stats.device.substr(stats.device.rfind(':') + 1)));
    }
    return 0;
  }
  size_t ports() {
    const RoleScope role(control_thread);
    return plane_->port_stats().size();
  }
  Result<void> change() {
    const RoleScope role(control_thread);
    return plane_->change(config_);
  }
  bool settle() {
    return run_until(*plane_, collected_, [&] {
      const RoleScope role(control_thread);
      return plane_->settle_change();
    });
  }
  /// Counted as decoded or rejected, which comes last.
  bool wait_for_datagrams(uint64_t count) {
    return run_until(*plane_, collected_, [&] {
      return sum(*plane_, [](Pipeline& p) {
               return p.decoder_counters().datagrams_decoded.value() + p.decoder_counters().datagram_errors.total();
             }) >= count;
    });
  }

  DataPlaneConfig config_;
  std::unique_ptr<DataPlane> plane_;
  Collected collected_;
  size_t added_ = 0;
};

/// While it lives this thread may not do what CAP_NET_ADMIN allows.
class WithoutNetAdmin {
 public:
  WithoutNetAdmin() {
    header_.version = _LINUX_CAPABILITY_VERSION_3;
    syscall(SYS_capget, &header_, had_);
    __user_cap_data_struct less[2] = {had_[0], had_[1]};
    less[0].effective &= ~(1u << CAP_NET_ADMIN);
    syscall(SYS_capset, &header_, less);
  }
  ~WithoutNetAdmin() { syscall(SYS_capset, &header_, had_); }
  bool had_it() const { return (had_[0].effective >> CAP_NET_ADMIN & 1u) != 0; }

 private:
  __user_cap_header_struct header_{};
  __user_cap_data_struct had_[2]{};
};

TEST_F(ChangeTest, ABufferThatTookARightToMakeIsNotMadeLessThanAskedWithoutIt) {
  std::ifstream file("/proc/sys/net/core/rmem_max");
  uint32_t rmem_max = 0;
  if (!(file >> rmem_max) || rmem_max > 64u << 20) GTEST_SKIP() << "needs net.core.rmem_max of 64 MiB at most";
  if (!WithoutNetAdmin().had_it()) GTEST_SKIP() << "needs CAP_NET_ADMIN";
  add_socket(0);
  config_.socket_ports[0].receive_buffer_octets = 4 * rmem_max;
  start(0);
  const auto note_with = [&](uint32_t octets) {
    const WithoutNetAdmin given_up;
    config_.socket_ports[0].receive_buffer_octets = octets;
    EXPECT_TRUE(change());
    EXPECT_TRUE(settle());
    const RoleScope role(control_thread);
    const PortStats stats = plane_->port_stats().at(0);
    EXPECT_EQ(stats.needs_attention, stats.note.find("raise net.core.rmem_max") != std::string::npos);
    return stats.note;
  };
  EXPECT_THAT(note_with(2 * rmem_max), HasSubstr(fmt::format("receive buffer stays at {} octets, {} asked", 4 * rmem_max, 2 * rmem_max)));
  EXPECT_THAT(note_with(8 * rmem_max), HasSubstr(fmt::format("receive buffer of {} octets, {} asked", 4 * rmem_max, 8 * rmem_max)));
  EXPECT_EQ(note_with(rmem_max / 2), "") << "which takes no right";
  EXPECT_THAT(note_with(2 * rmem_max), HasSubstr(fmt::format("receive buffer of {} octets, {} asked", rmem_max, 2 * rmem_max)));
}

TEST_F(ChangeTest, ASocketThatStaysLosesNothingWhileOthersComeAndGo) {
  start(1);
  const uint16_t port = config_.socket_ports[0].port;
  std::atomic<uint64_t> sent{0};
  std::jthread sender([&](const std::stop_token& stop) {
    const Sender to(AF_INET);
    const lab::Octets datagram = v5_datagram(1);
    while (!stop.stop_requested() || sent.load() < 2000) {
      // Never so many ahead that they would be lost while the receiver has no CPU.
      if (sent.load() < datagrams(*plane_) + 1000 && to.send(port, datagram)) sent.fetch_add(1);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  });
  const auto come_and_go = [&] {
    add_socket(0);
    const Result<void> changed = change();
    ASSERT_TRUE(changed) << changed.error().message;
    ASSERT_TRUE(settle());
    EXPECT_EQ(ports(), 2u);
    config_.socket_ports.pop_back();
    config_.pipeline.listeners[0].rules.sampling_rate_default += 1;
    ASSERT_TRUE(change());
    ASSERT_TRUE(settle());
    EXPECT_EQ(ports(), 1u);
  };
  for (int i = 0; i < 20 && !HasFatalFailure(); ++i) come_and_go();
  sender.request_stop();
  sender.join();
  EXPECT_TRUE(wait_for_datagrams(sent.load()));
  const RoleScope role(control_thread);
  plane_->stop();
  EXPECT_EQ(datagrams(*plane_), sent.load());
  expect_ledger(plane_->pipeline(0));
}

TEST_F(ChangeTest, HowManyExportersThereMayBeChangesWhileTheySend) {
  constexpr uint32_t kExporters = 60;
  config_.pipeline.decoder.limits.exporters_max = 4;
  config_.pipeline.decoder.limits.exporters_room = kExporters;
  start(1);
  const uint16_t port = config_.socket_ports[0].port;
  std::vector<std::unique_ptr<Sender>> exporters;
  for (uint32_t i = 0; i < kExporters; ++i) {
    exporters.push_back(std::make_unique<Sender>(0x7F00'0101u + i));
    ASSERT_TRUE(exporters.back()->is_open());
  }
  std::atomic<uint64_t> sent{0};
  std::jthread sender([&](const std::stop_token& stop) {
    const lab::Octets datagram = v5_datagram(1);
    for (size_t i = 0; !stop.stop_requested(); i = (i + 1) % kExporters) {
      if (sent.load() < datagrams(*plane_) + 1000 && exporters[i]->send(port, datagram)) sent.fetch_add(1);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  });
  const auto rejected = [&] {
    return sum(*plane_, [](Pipeline& p) {
      return p.decoder_counters().datagram_errors[decode::DatagramError::exporter_table_full].value();
    });
  };
  const auto known = [&] {
    return sum(*plane_, [](Pipeline& p) { return p.decoder_counters().exporters.value(); });
  };
  const auto wait = [&](const std::function<bool()>& done) { return run_until(*plane_, collected_, done); };
  EXPECT_TRUE(wait([&] { return rejected() > 100; }));
  EXPECT_EQ(known(), 4u);
  for (const uint32_t most : {20u, 10u, 2u, kExporters}) {
    config_.pipeline.decoder.limits.exporters_max = most;
    const Result<void> changed = change();
    ASSERT_TRUE(changed) << changed.error().message;
    ASSERT_TRUE(settle());
    const uint64_t before = sent.load();
    EXPECT_TRUE(wait([&] { return sent.load() > before + 5 * kExporters; }));
    EXPECT_TRUE(wait([&] { return known() >= most; })) << "who is at work stays";
    EXPECT_EQ(known(), most == kExporters ? kExporters : 20u);
  }
  const uint64_t rejected_before = rejected(), before = sent.load();
  EXPECT_TRUE(wait([&] { return sent.load() > before + 5 * kExporters; }));
  sender.request_stop();
  sender.join();
  EXPECT_TRUE(wait_for_datagrams(sent.load()));
  EXPECT_EQ(rejected(), rejected_before) << "there is room for all";
  const RoleScope role(control_thread);
  plane_->stop();
  EXPECT_EQ(datagrams(*plane_), sent.load());
  expect_ledger(plane_->pipeline(0));
}

TEST_F(ChangeTest, WhatASocketHasQueuedIsTakenBeforeItGoes) {
  start(2);
  const Sender to(AF_INET);
  const uint16_t leaving = config_.socket_ports[1].port;
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(to.send(leaving, v5_datagram(1)));
  config_.socket_ports.pop_back();
  ASSERT_TRUE(change());
  ASSERT_TRUE(settle());
  EXPECT_EQ(ports(), 1u);
  EXPECT_TRUE(wait_for_datagrams(500));
  ASSERT_TRUE(to.send(config_.socket_ports[0].port, v5_datagram(1)));
  EXPECT_TRUE(wait_for_datagrams(501));
}

TEST_F(ChangeTest, ASocketsListenerMayBecomeAnother) {
  start(1);
  Listener refusing = config_.pipeline.listeners[0];
  refusing.name = "sflow";
  refusing.port = 6343;
  refusing.rules.protocol = decode::ProtocolFilter::sflow;
  config_.pipeline.listeners.push_back(refusing);
  config_.socket_ports[0].listener = {1};
  ASSERT_TRUE(change());
  ASSERT_TRUE(settle());
  const Sender to(AF_INET);
  ASSERT_TRUE(to.send(config_.socket_ports[0].port, v5_datagram(1)));
  ASSERT_TRUE(wait_for_datagrams(1));
  const Ledger ledger = plane_->pipeline(0).ledger();
  EXPECT_EQ(ledger.datagram_errors[decode::DatagramError::protocol_not_allowed], 1u);
}

TEST_F(ChangeTest, APortInUseRefusesTheWhole) {
  start(1);
  const Sender to(AF_INET);
  DataPlaneConfig before = config_;
  config_.pipeline.listeners[0].rules.protocol = decode::ProtocolFilter::sflow;
  const int taken = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t octets = sizeof any;
  ASSERT_EQ(bind(taken, reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
  ASSERT_EQ(getsockname(taken, reinterpret_cast<sockaddr*>(&any), &octets), 0);
  add_socket(ntohs(any.sin_port));
  const Result<void> refused = change();
  close(taken);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("is in use by another program"));
  ASSERT_TRUE(to.send(before.socket_ports[0].port, v5_datagram(1)));
  ASSERT_TRUE(wait_for_datagrams(1));
  EXPECT_EQ(plane_->pipeline(0).ledger().records, 1u) << "it is still taken as NetFlow";
  EXPECT_EQ(ports(), 1u);
}

TEST_F(ChangeTest, ASocketsOwnAddressTakesARestart) {
  start(1);
  config_.socket_ports[0].address = *IpAddress::parse("0.0.0.0");
  const Result<void> refused = change();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("only a restart can change"));
  EXPECT_EQ(ports(), 1u);
}

TEST_F(ChangeTest, RefusesASecondChangeBeforeTheFirstIsTakenUp) {
  start(1);
  ASSERT_TRUE(change());
  // It is taken up at the next look only, which settle_change has not had.
  const Result<void> second = change();
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("still under way"));
  ASSERT_TRUE(settle());
  EXPECT_TRUE(change());
  EXPECT_TRUE(settle());
}

TEST_F(ChangeTest, TakesNoMoreListenersThanThereArePlaces) {
  start(1);
  while (config_.pipeline.listeners.size() <= decode::kListenersMax)
    config_.pipeline.listeners.push_back({.name = "more", .port = 0, .route = {}, .rules = {}});
  const Result<void> refused = change();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("257 listeners, limit 256"));
}

TEST(PipelineRules, DatagramsBeyondAnExportersRateAreRejectedBeforeTheyAreDecoded) {
  PipelineConfig config = netflow_pipeline();
  auto made = Pipeline::create(config);
  ASSERT_TRUE(made);
  Pipeline& pipeline = **made;
  uint64_t now_ns = kNsPerSec;
  const auto go_by = [&](uint64_t rate) {
    config.rate_limits.packets_per_exporter = rate;
    const auto rules = config.rules();
    {
      const RoleScope role(control_thread);
      pipeline.set_rules(**rules);
    }
    const RoleScope role(rx_lcore);
    pipeline.poll(now_ns, kCaptureTimeNs);
    return *rules;
  };
  const auto decoded_of = [&](const char* exporter, size_t datagrams) {
    const uint64_t before = pipeline.decoder_counters().records.value();
    const RoleScope role(rx_lcore);
    for (size_t i = 0; i < datagrams; ++i) {
      const lab::Octets octets = v5_datagram(1);
      pipeline.on_datagram({.payload = octets, .source = *IpAddress::parse(exporter), .source_port = 1, .listener = {0},
                            .received_ns = kCaptureTimeNs});
    }
    return pipeline.decoder_counters().records.value() - before;
  };
  EXPECT_EQ(decoded_of("192.0.2.1", 50), 50u) << "there is no limit yet";
  const auto limited = go_by(10);
  EXPECT_EQ(decoded_of("192.0.2.1", 50), 10u);
  EXPECT_EQ(decoded_of("192.0.2.2", 5), 5u) << "each has its own";
  now_ns += kNsPerSec / 2;
  const auto still = go_by(10);
  EXPECT_EQ(decoded_of("192.0.2.1", 50), 5u);
  const auto none = go_by(0);
  EXPECT_EQ(decoded_of("192.0.2.1", 50), 50u);
  EXPECT_EQ(pipeline.decoder_counters().datagram_errors[decode::DatagramError::rate_limited].value(), 85u);
  EXPECT_EQ(pipeline.decoder_counters().listeners[0].rejected.value(), 85u);
  expect_ledger(pipeline);
  const RoleScope role(rx_lcore);
  pipeline.finish();
}

TEST(PipelineRules, FramesGoByTheNewListenersFromTheNextBurstOn) {
  PipelineConfig config = netflow_pipeline();
  auto made = Pipeline::create(config);
  ASSERT_TRUE(made);
  Pipeline& pipeline = **made;
  const auto frame = [&](uint16_t port) {
    const RoleScope role(rx_lcore);
    pipeline.on_frame(v5_frame(1, 0, port), packet::LinkType::ethernet, kCaptureTimeNs);
  };
  frame(9995);
  EXPECT_EQ(pipeline.counters().no_listener.value(), 1u);

  config.listeners[0].port = 9995;
  config.rate_limits.per_exporter = 1;
  config.decoder.sampling_override = {{*IpAddress::parse("::"), 0, 77}};
  const auto rules = config.rules();
  ASSERT_TRUE(rules);
  {
    const RoleScope role(control_thread);
    pipeline.set_rules(**rules);
  }
  EXPECT_FALSE(pipeline.goes_by(**rules));
  frame(kNetflowPort);  // within the burst all stays as it was
  EXPECT_EQ(pipeline.decoder_counters().records.value(), 1u);
  {
    const RoleScope role(rx_lcore);
    pipeline.poll(kNsPerSec, kCaptureTimeNs);
  }
  EXPECT_TRUE(pipeline.goes_by(**rules));
  frame(kNetflowPort);
  EXPECT_EQ(pipeline.counters().no_listener.value(), 2u);
  frame(9995);
  frame(9995);
  EXPECT_EQ(pipeline.decoder_counters().records.value(), 3u);
  EXPECT_EQ(pipeline.batcher_counters().drops[outbound::RecordDrop::rate_limited].value(), 1u);
  expect_ledger(pipeline);
  const RoleScope role(rx_lcore);
  pipeline.finish();
}

}  // namespace
}  // namespace weir::dataplane::testing
