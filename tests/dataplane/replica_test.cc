// Datagrams go on to other collectors, and nobody who receives waits for them. What has the exporters' own addresses runs in
// network namespaces.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/thread_rights.h"
#include "dataplane/replica_lane.h"
#include "dataplane/replica_target.h"
#include "replica_collector.h"
#include "support.h"
#include "support/ports.h"
#include "udp_sender.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::HasSubstr;

class Replicas : public ::testing::Test {
 protected:
  void make() {
    const RoleScope role(control_thread);
    config_.pipeline = netflow_pipeline();
    config_.pipeline.listeners.push_back({.name = "other", .port = 0, .route = {}, .rules = {}});
    for (const uint16_t listener : {uint16_t{0}, uint16_t{1}})
      config_.socket_ports.push_back({.name = fmt::format("s{}", listener),
                                      .address = *IpAddress::parse("127.0.0.1"),
                                      .listener = {listener},
                                      .receive_buffer_octets = 4 << 20});
    Result<std::unique_ptr<DataPlane>> made = DataPlane::create(config_);
    ASSERT_TRUE(made) << made.error().message;
    plane_ = std::move(*made);
    const Result<void> started = plane_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  uint16_t port(size_t index = 0) {
    const RoleScope role(control_thread);
    const std::string device = plane_->port_stats().at(index).device;
    return static_cast<uint16_t>(std::stoul(device.substr(device.rfind(':') + 1)));
  }
  ReplicaStats stats(size_t target = 0) {
    const RoleScope role(control_thread);
    return plane_->replica_stats().at(target);
  }
  bool wait(const std::function<bool()>& done) { return run_until(*plane_, collected_, done); }

  DataPlaneConfig config_;
  std::unique_ptr<DataPlane> plane_;
  Collected collected_;
};

TEST_F(Replicas, GetWhatComesByTheirListenersWhateverWeMakeOfIt) {
  const Collector all, one;
  config_.replicas = {{.to = at("127.0.0.1", all.port()), .listeners = {}},
                      {.to = at("127.0.0.1", one.port()), .listeners = {ListenerId{1}}}};
  make();
  const Sender sender(AF_INET);
  const lab::Octets good = v5_datagram(3), bad = {1, 2, 3, 4, 5};
  ASSERT_TRUE(sender.send(port(0), good));
  EXPECT_EQ(all.receive().value_or(Collector::Received{}).octets, good);
  ASSERT_TRUE(sender.send(port(1), bad));
  EXPECT_EQ(all.receive().value_or(Collector::Received{}).octets, bad);
  EXPECT_EQ(one.receive().value_or(Collector::Received{}).octets, bad);
  stop(*plane_, collected_);
  EXPECT_FALSE(one.receive(0));
  EXPECT_EQ(collected_.records, 3u);
  EXPECT_EQ(stats(0).offered, 2u);
  EXPECT_EQ(stats(0).sent, 2u);
  EXPECT_EQ(stats(0).sent_octets, good.size() + bad.size());
  EXPECT_EQ(stats(1).sent, 1u);
  expect_ledger(*plane_);
}

TEST_F(Replicas, GetNothingOfWhomTheAccessListRefuses) {
  const Collector collector;
  config_.replicas = {{.to = at("127.0.0.1", collector.port()), .listeners = {}}};
  make();
  config_.pipeline.decoder.access = {{}, {{*IpAddress::parse("127.0.0.1"), 128}}};
  {
    const RoleScope role(control_thread);
    ASSERT_TRUE(plane_->change(config_));
  }
  ASSERT_TRUE(wait([&] {
    const RoleScope role(control_thread);
    return plane_->settle_change();
  }));
  ASSERT_TRUE(Sender(AF_INET).send(port(), v5_datagram(1)));
  ASSERT_TRUE(wait([&] { return datagrams(*plane_) == 1; }));
  stop(*plane_, collected_);
  EXPECT_EQ(stats().offered, 0u);
}

// One target's host answers that nobody is there, another never reads.
TEST_F(Replicas, TakeNothingFromWhoReceives) {
  uint16_t nobody = 0;
  {
    const Collector gone;
    nobody = gone.port();
  }
  const Collector never_reads(AF_INET, 4096);
  config_.replicas = {{.to = at("127.0.0.1", nobody), .listeners = {}},
                      {.to = at("127.0.0.1", never_reads.port()), .listeners = {}}};
  make();
  const Sender sender(AF_INET);
  constexpr uint32_t kDatagrams = 20'000;
  for (uint32_t i = 0; i < kDatagrams; ++i) {
    ASSERT_TRUE(sender.send(port(), v5_datagram(30, i * 30)));
    if (i % 64 == 0) {
      ASSERT_TRUE(wait([&] { return datagrams(*plane_) + 512 > i; }));
    }
  }
  ASSERT_TRUE(wait([&] { return datagrams(*plane_) == kDatagrams; }));
  stop(*plane_, collected_);
  for (size_t target : {0u, 1u}) {
    const ReplicaStats s = stats(target);
    EXPECT_EQ(s.offered, kDatagrams);
    EXPECT_EQ(s.offered, s.sent + s.dropped.total()) << s.to;
  }
  // The kernel says it for nobody's port; once for several that were sent before it was asked.
  EXPECT_GT(stats(0).returned, 0u);
  EXPECT_LE(stats(0).returned, stats(0).sent);
  EXPECT_EQ(stats(1).returned, 0u);
  expect_ledger(*plane_);
}

class ReloadedReplicas : public Replicas {
 protected:
  /// With every port where it is; whether all cores go by it and what is gone has got its last.
  void change(std::vector<ReplicaConfig> replicas) {
    config_.replicas = std::move(replicas);
    for (size_t i = 0; i < config_.socket_ports.size(); ++i) config_.socket_ports[i].port = port(i);
    {
      const RoleScope role(control_thread);
      const Result<void> changed = plane_->change(config_);
      ASSERT_TRUE(changed) << changed.error().message;
    }
    ASSERT_TRUE(wait([&] {
      const RoleScope role(control_thread);
      return plane_->settle_change();
    }));
  }
  static ReplicaConfig to(const Collector& collector, std::vector<ListenerId> listeners = {}) {
    return {.to = at("127.0.0.1", collector.port()), .listeners = std::move(listeners)};
  }
  size_t targets() {
    const RoleScope role(control_thread);
    return plane_->replica_stats().size();
  }
  const lab::Octets datagram_ = v5_datagram(3);
};

TEST_F(ReloadedReplicas, ComeChangeAndGoWhilePacketsCome) {
  const Collector first, second;
  make();
  const Sender sender(AF_INET);
  ASSERT_TRUE(sender.send(port(0), datagram_));
  ASSERT_TRUE(wait([&] { return datagrams(*plane_) == 1; }));
  EXPECT_EQ(targets(), 0u);

  change({to(first)});
  ASSERT_TRUE(sender.send(port(0), datagram_));
  EXPECT_TRUE(first.receive());

  change({to(second, {ListenerId{1}}), to(first)});
  ASSERT_TRUE(sender.send(port(0), datagram_));
  ASSERT_TRUE(sender.send(port(1), datagram_));
  EXPECT_TRUE(first.receive());
  EXPECT_TRUE(first.receive());
  EXPECT_TRUE(second.receive());
  EXPECT_FALSE(second.receive(0));
  EXPECT_TRUE(wait([&] { return stats(0).offered == 1; }));
  EXPECT_TRUE(wait([&] { return stats(1).offered == 3; })) << "it has gone on counting, whatever its place in the list";

  change({to(second)});  // of all listeners from now on
  ASSERT_TRUE(sender.send(port(0), datagram_));
  EXPECT_TRUE(second.receive());
  EXPECT_FALSE(first.receive(0));
  EXPECT_TRUE(wait([&] { return stats(0).sent == 2; })) << "which is counted once it has gone";
  EXPECT_EQ(stats(1).to, to(first).to.to_string());
  EXPECT_TRUE(stats(1).is_gone);
  EXPECT_EQ(stats(1).offered, 3u) << "what it got is not forgotten";
  EXPECT_EQ(stats(1).sent, 3u);

  change({to(first), to(second)});  // in a place that was another's, or its own before
  EXPECT_EQ(targets(), 2u);
  EXPECT_FALSE(stats(0).is_gone);
  EXPECT_EQ(stats(0).offered, 3u) << "it counts on";
  change({});
  ASSERT_TRUE(sender.send(port(0), datagram_));
  ASSERT_TRUE(wait([&] { return datagrams(*plane_) == 6; }));
  EXPECT_FALSE(second.receive(0));
  stop(*plane_, collected_);
  expect_ledger(*plane_);
}

TEST_F(ReloadedReplicas, LoseNothingAndGetNothingTwiceWhileOthersComeAndGo) {
  const Collector stays, comes_and_goes;
  config_.replicas = {to(stays)};
  make();
  const Sender sender(AF_INET);
  constexpr uint32_t kDatagrams = 4000;
  uint32_t got = 0;
  for (uint32_t i = 0; i < kDatagrams; ++i) {
    ASSERT_TRUE(sender.send(port(0), v5_datagram(30, i * 30)));
    if (i % 100 == 99) change(i % 200 == 99 ? std::vector{to(comes_and_goes), to(stays)} : std::vector{to(stays)});
    while (stays.receive(0)) ++got;
    while (comes_and_goes.receive(0)) {
    }
  }
  ASSERT_TRUE(wait([&] { return datagrams(*plane_) == kDatagrams; }));
  stop(*plane_, collected_);
  while (stays.receive(0)) ++got;
  EXPECT_EQ(got, kDatagrams);
  EXPECT_EQ(stats(0).offered, kDatagrams);
  EXPECT_EQ(stats(0).sent, kDatagrams);
}

TEST_F(ReloadedReplicas, AChangeThatCannotBeLeavesAllAsItIs) {
  const Collector first;
  config_.replicas = {to(first)};
  make();
  for (size_t i = 0; i < config_.socket_ports.size(); ++i) config_.socket_ports[i].port = port(i);
  DataPlaneConfig wrong = config_;
  wrong.replicas.push_back({.to = at("127.0.0.1", config_.socket_ports[0].port), .listeners = {}});
  {
    const RoleScope role(control_thread);
    ASSERT_FALSE(plane_->change(wrong));
  }
  ASSERT_TRUE(Sender(AF_INET).send(port(0), datagram_));
  EXPECT_TRUE(first.receive());
  EXPECT_EQ(targets(), 1u);
  stop(*plane_, collected_);
}

TEST_F(ReloadedReplicas, EveryPlaceCanBeAnothersAgain) {
  make();
  const Sender sender(AF_INET);
  for (int turn = 0; turn < 3; ++turn) {
    std::vector<std::unique_ptr<Collector>> collectors;
    std::vector<ReplicaConfig> all;
    for (size_t i = 0; i < kReplicaTargetsMax; ++i) {
      collectors.push_back(std::make_unique<Collector>());
      all.push_back(to(*collectors.back()));
    }
    change(all);
    ASSERT_TRUE(sender.send(port(0), datagram_));
    for (const auto& collector : collectors) EXPECT_TRUE(collector->receive());
    for (size_t i = 0; i < kReplicaTargetsMax; ++i) EXPECT_TRUE(wait([&] { return stats(i).offered > 0; })) << i;
    change({});
  }
  stop(*plane_, collected_);
}

// What was well when it started would come back by a listener that a reload brings.
TEST_F(Replicas, AreNotSentToAListenerThatAReloadBrings) {
  const uint16_t later = test::free_udp_port();
  config_.replicas = {{.to = at("127.0.0.1", later), .listeners = {}}};
  make();
  DataPlaneConfig changed = config_;
  changed.socket_ports[0].port = port(0);
  changed.socket_ports[1].port = later;
  const RoleScope role(control_thread);
  const Result<void> refused = plane_->change(changed);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("round for ever"));
}

TEST(ReplicaLane, DropsAndCountsWhatFindsNoRoomAndKeepsTheRestWhole) {
  Waker waker;
  ReplicaMasks masks{};
  masks[0] = 0b101;
  const ReplicaPlan plan{.masks = masks, .collectors = {}};
  ReplicaLane lane(plan, waker);
  size_t next_out = 0, next_in = 0, dropped = 0, taken = 0;
  std::vector<size_t> accepted;
  lab::Octets octets;
  const auto offer = [&](size_t size) {
    const RoleScope role(rx_lcore);
    octets.assign(size, static_cast<uint8_t>(next_in));
    const uint64_t before = lane.no_room(0);
    lane.offer({.payload = octets, .source = *IpAddress::parse("192.0.2.1"), .source_port = 7, .listener = {0}});
    lane.no_room(0) == before ? accepted.push_back(next_in) : void(++dropped);
    ++next_in;
  };
  const auto take = [&](size_t count) {
    size_t at = lane.first();
    for (size_t i = 0; i < count; ++i) {
      const ReplicaNote* const note = lane.next(at);
      if (note == nullptr) break;
      ++taken;
      EXPECT_EQ(note->targets, 0b101u);
      ASSERT_LT(next_out, accepted.size());
      for (const uint8_t octet : note->payload()) ASSERT_EQ(octet, static_cast<uint8_t>(accepted[next_out]));
      ++next_out;
    }
    lane.release(at);
  };
  uint32_t random = 1;
  for (int round = 0; round < 3000; ++round) {
    random = random * 1'664'525u + 1'013'904'223u;
    for (int i = 0; i < 4; ++i) offer((random >> 8) % (round % 100 == 0 ? 65'000 : 1500));
    take(random >> 30);
  }
  while (lane.has_waiting()) take(100);
  EXPECT_GT(dropped, 0u);
  EXPECT_EQ(taken + dropped, next_in);
  EXPECT_EQ(lane.offered(2), next_in);
  EXPECT_EQ(lane.no_room(2), dropped);
  EXPECT_EQ(lane.offered(1), 0u);
  const RoleScope role(rx_lcore);
  lane.offer({.payload = octets, .listener = {1}});
  EXPECT_FALSE(lane.has_waiting()) << "nobody wants it";
}

TEST(ReplicaLane, TakesNothingThatWasSeenOnItsWayToACollector) {
  Waker waker;
  ReplicaMasks masks{};
  masks[0] = 0b11;
  const ReplicaPlan plan{.masks = masks, .collectors = {at("192.0.2.20", 2055), at("2001:db8::20", 2055)}};
  ReplicaLane lane(plan, waker);
  const RoleScope role(rx_lcore);
  const lab::Octets octets = v5_datagram(1);
  const Datagram datagram{.payload = octets, .source = *IpAddress::parse("192.0.2.1"), .source_port = 7, .local_port = 2055, .listener = {0}};
  for (const char* collector : {"192.0.2.20", "2001:db8::20"}) {
    const IpAddress destination = *IpAddress::parse(collector);
    lane.offer(datagram, &destination);
  }
  EXPECT_FALSE(lane.has_waiting()) << "not even for the other one, who would send it on to the first";
  EXPECT_EQ(lane.offered(0), 2u);
  EXPECT_EQ(lane.on_its_way(0), 2u);
  EXPECT_EQ(lane.on_its_way(1), 2u);
  Datagram other_port = datagram;
  other_port.local_port = 2056;
  const IpAddress to_us = *IpAddress::parse("192.0.2.10"), to_them = *IpAddress::parse("192.0.2.20");
  lane.offer(datagram, &to_us);
  lane.offer(other_port, &to_them);
  lane.offer(datagram);
  size_t from = lane.first(), taken = 0;
  while (lane.next(from) != nullptr) ++taken;
  EXPECT_EQ(taken, 3u);
  EXPECT_EQ(lane.on_its_way(0), 2u);
}

TEST(ReplicaTarget, HasTheChecksumOfRfc768) {
  // Counted by hand: 192.0.2.1 to 192.0.2.2, ports 1 and 2, two octets.
  const lab::Octets header = {0, 1, 0, 2, 0, 10, 0, 0}, payload = {0x12, 0x34};
  const uint32_t sum = 2 * (0xC000u + 0x0200u) + 1 + 2 + 17 + 10 + 1 + 2 + 10 + 0x1234u;
  const auto expected = static_cast<uint16_t>(~((sum & 0xffff) + (sum >> 16)));
  EXPECT_EQ(udp_checksum(*IpAddress::parse("192.0.2.1"), *IpAddress::parse("192.0.2.2"), header, payload), expected);
}

// At the end of a migration the old collector's address is taken over, and replicas still go to it.
TEST(ReplicaLoop, EndsWhereTheTargetsAddressBecomesOurs) {
  if (!can_make_namespaces()) GTEST_SKIP() << "needs root and ip(8)";
  in_child([] {
    between_two_networks([] { return std::make_unique<Collector>(AF_INET); }, [](const std::unique_ptr<Collector>& collector) {
      const auto run = [](const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; };
      const RoleScope role(control_thread);
      DataPlaneConfig config;
      config.pipeline = netflow_pipeline();
      config.socket_ports.push_back({.name = "all", .address = {}, .port = collector->port(), .listener = {0}});
      config.replicas = {{.to = at("192.0.2.20", collector->port()), .listeners = {}}};
      Result<std::unique_ptr<DataPlane>> made = DataPlane::create(config);
      ASSERT_TRUE(made) << made.error().message;
      DataPlane& plane = **made;
      ASSERT_TRUE(plane.start());
      Collected collected;
      const auto stats = [&] { return plane.replica_stats().at(0); };
      const Sender sender(AF_INET);
      ASSERT_TRUE(sender.send(collector->port(), v5_datagram(1)));
      ASSERT_TRUE(collector->receive());

      ASSERT_TRUE(run("ip addr add 192.0.2.20/32 dev lo"));
      ASSERT_TRUE(sender.send(collector->port(), v5_datagram(1)));
      EXPECT_TRUE(run_until(plane, collected, [&] { return stats().dropped[ReplicaDrop::would_come_back] == 1; })) << "one goes round";
      const uint64_t before = datagrams(plane);
      ASSERT_TRUE(sender.send(collector->port(), v5_datagram(1)));
      EXPECT_TRUE(run_until(plane, collected, [&] { return stats().dropped[ReplicaDrop::would_come_back] == 2; }));
      EXPECT_EQ(datagrams(plane), before + 1);
      EXPECT_EQ(stats().offered, stats().sent + stats().dropped.total());

      ASSERT_TRUE(run("ip addr del 192.0.2.20/32 dev lo"));
      bool is_back = false;
      for (int i = 0; i < 50 && !is_back; ++i) {
        ASSERT_TRUE(sender.send(collector->port(), v5_datagram(1)));
        is_back = collector->receive(100).has_value();
      }
      EXPECT_TRUE(is_back) << "it is another's again";
      stop(plane, collected);
      expect_ledger(plane);
    });
  });
}

// ── with the exporters' own addresses ────────────────────────────────────────────────────────────

struct BothFamilies {
  static BothFamilies make() { return {std::make_unique<Collector>(AF_INET), std::make_unique<Collector>(AF_INET6)}; }
  std::unique_ptr<Collector> v4, v6;
};
struct BothTargets {
  static BothTargets of(const BothFamilies& collectors) {
    return {ReplicaTarget::open({.to = at("192.0.2.20", collectors.v4->port()), .listeners = {}, .spoof_source = true}),
            ReplicaTarget::open({.to = at("2001:db8::20", collectors.v6->port()), .listeners = {}, .spoof_source = true})};
  }
  Result<std::unique_ptr<ReplicaTarget>> v4, v6;
};

TEST(SpoofedReplica, ComesFromTheExportersAddressAndPort) {
  if (!can_make_namespaces()) GTEST_SKIP() << "needs root and ip(8)";
  in_child([] {
    between_two_networks(BothFamilies::make, [](const BothFamilies& collectors) {
      const RoleScope role(control_thread);
      auto [v4, v6] = BothTargets::of(collectors);
      ASSERT_TRUE(v4 && v6) << v4.error().message;
      Waker waker;
      ReplicaMasks masks{};
      masks[0] = 1;
      const ReplicaPlan plan{.masks = masks, .collectors = {}};
      ReplicaLane lane(plan, waker);
      const RoleScope receiving(rx_lcore);
      const RoleScope sending(exception_thread);
      const struct {
        ReplicaTarget& target;
        const Collector& collector;
        std::string exporter;
      } cases[] = {{**v4, *collectors.v4, "198.51.100.7"}, {**v6, *collectors.v6, "2001:db8:77::7"}};
      for (const auto& c : cases) {
        // Odd, empty, and longer than the wire carries whole.
        for (const size_t octets : {size_t{0}, size_t{1}, size_t{501}, size_t{1400}, size_t{9000}, size_t{60'000}}) {
          lab::Octets payload(octets);
          for (size_t i = 0; i < octets; ++i) payload[i] = static_cast<uint8_t>(i * 7);
          lane.offer({.payload = payload, .source = *IpAddress::parse(c.exporter), .source_port = 50'123, .listener = {0}});
          size_t at = lane.first();
          const ReplicaNote* const note = lane.next(at);
          ASSERT_NE(note, nullptr);
          c.target.add(*note);
          c.target.flush();
          lane.release(at);
          const auto received = c.collector.receive();
          ASSERT_TRUE(received) << c.exporter << ", " << octets << " octets: its checksum is wrong, or it did not come";
          EXPECT_EQ(received->from, c.exporter);
          EXPECT_EQ(received->port, 50'123);
          EXPECT_EQ(received->octets, payload);
        }
        EXPECT_EQ(c.target.stats().sent, 6u);
        EXPECT_EQ(c.target.stats().dropped.total(), 0u);
      }
      // Neither has an address of the other family.
      lane.offer({.payload = {}, .source = *IpAddress::parse("2001:db8:77::7"), .source_port = 1, .listener = {0}});
      size_t at = lane.first();
      (*v4)->add(*lane.next(at));
      (*v4)->flush();
      EXPECT_EQ((*v4)->stats().dropped[ReplicaDrop::other_family], 1u);
    });
  });
}

// Nobody's network is up when an appliance starts, and addresses change while it runs.
TEST(ReplicaTarget, IsTriedAgainWhereNoWayLed) {
  if (!can_make_namespaces()) GTEST_SKIP() << "needs root and ip(8)";
  in_child([] {
    between_two_networks([] { return std::make_unique<Collector>(AF_INET); }, [](const std::unique_ptr<Collector>& collector) {
      const auto run = [](const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; };
      ASSERT_TRUE(run("ip link set wire down"));
      const RoleScope role(control_thread);
      Result<std::unique_ptr<ReplicaTarget>> opened = ReplicaTarget::open({.to = at("192.0.2.20", collector->port()), .listeners = {}});
      ASSERT_TRUE(opened) << opened.error().message;
      ReplicaTarget& target = **opened;
      Waker waker;
      ReplicaMasks masks{};
      masks[0] = 1;
      const ReplicaPlan plan{.masks = masks, .collectors = {}};
      ReplicaLane lane(plan, waker);
      uint64_t offered = 0;
      const auto send_one = [&] {
        const RoleScope receiving(rx_lcore);
        const RoleScope sending(exception_thread);
        const lab::Octets octets = v5_datagram(1);
        lane.offer({.payload = octets, .source = *IpAddress::parse("198.51.100.7"), .source_port = 50'123, .listener = {0}});
        size_t from = lane.first();
        target.add(*lane.next(from));
        target.flush();
        lane.release(from);
        ++offered;
      };
      const auto comes_from = [&](const std::string& address) {
        for (int i = 0; i < 50; ++i) {
          send_one();
          const auto received = collector->receive(100);
          if (received && received->from == address) return true;
        }
        return false;
      };
      send_one();
      EXPECT_EQ(target.stats().dropped[ReplicaDrop::unreachable], 1u);
      EXPECT_EQ(target.stats().sent, 0u);
      ASSERT_TRUE(run("ip link set wire up"));
      EXPECT_TRUE(comes_from("192.0.2.10"));
      ASSERT_TRUE(run("ip addr del 192.0.2.10/24 dev wire") && run("ip addr add 192.0.2.11/24 dev wire"));
      EXPECT_TRUE(comes_from("192.0.2.11"));
      EXPECT_EQ(target.stats().sent + target.stats().dropped.total(), offered);
    });
  });
}

// Whoever sends them gives up what opening their sockets took: it lasts through the loss of the way and of our own address.
TEST(SpoofedReplica, NeedsNoRightsOnceItIsOpen) {
  if (!can_make_namespaces()) GTEST_SKIP() << "needs root and ip(8)";
  in_child([] {
    between_two_networks(BothFamilies::make, [](const BothFamilies& collectors) {
      const auto run = [](const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; };
      const RoleScope role(control_thread);
      auto [v4, v6] = BothTargets::of(collectors);
      ASSERT_TRUE(v4 && v6) << v4.error().message;
      ASSERT_TRUE(give_up_capabilities());
      ASSERT_LT(socket(AF_INET, SOCK_RAW, IPPROTO_UDP), 0) << "it could open another";
      Waker waker;
      ReplicaMasks masks{};
      masks[0] = 1;
      const ReplicaPlan plan{.masks = masks, .collectors = {}};
      ReplicaLane lane(plan, waker);
      const RoleScope receiving(rx_lcore);
      const RoleScope sending(exception_thread);
      const auto send_one = [&](ReplicaTarget& target, const std::string& exporter) {
        const lab::Octets octets = v5_datagram(1);
        lane.offer({.payload = octets, .source = *IpAddress::parse(exporter), .source_port = 50'123, .listener = {0}});
        size_t from = lane.first();
        target.add(*lane.next(from));
        target.flush();
        lane.release(from);
      };
      const struct {
        ReplicaTarget& target;
        const Collector& collector;
        std::string exporter;
      } cases[] = {{**v4, *collectors.v4, "198.51.100.7"}, {**v6, *collectors.v6, "2001:db8:77::7"}};
      const auto arrives = [&](const auto& c) {
        for (int i = 0; i < 50; ++i) {
          send_one(c.target, c.exporter);
          const auto received = c.collector.receive(100);
          if (received && received->from == c.exporter && received->port == 50'123) return true;
        }
        return false;
      };
      for (const auto& c : cases) EXPECT_TRUE(arrives(c)) << c.exporter;
      ASSERT_TRUE(run("ip link set wire down"));
      for (const auto& c : cases) {
        send_one(c.target, c.exporter);
        EXPECT_GT(c.target.stats().dropped[ReplicaDrop::unreachable], 0u) << c.exporter;
      }
      ASSERT_TRUE(run("ip addr del 192.0.2.10/24 dev wire") && run("ip addr add 192.0.2.11/24 dev wire") && run("ip link set wire up") &&
                  run("ip addr add 2001:db8::11/64 dev wire nodad"));  // an interface that goes down loses those of IPv6
      for (const auto& c : cases) EXPECT_TRUE(arrives(c)) << c.exporter;
    });
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
