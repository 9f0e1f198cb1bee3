#include "dataplane/exception_lane.h"

#include <gtest/gtest.h>

#include <numeric>

#include "support.h"

namespace weir::dataplane::testing {
namespace {

using lab::Octets;
using Outcome = ExceptionOutcome;

constexpr std::array<uint8_t, 6> kMac = {2, 0, 0, 0, 0, 7};
constexpr uint64_t kStartNs = 1000 * kNsPerSec;

Octets to(const std::array<uint8_t, 6>& mac, Octets frame) {
  std::copy(mac.begin(), mac.end(), frame.begin());
  return frame;
}
Octets arp() { return to({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, lab::ethernet(lab::kEtherTypeArp, Octets(46))); }
Octets ipv4(size_t octets = 100) {
  return to(kMac, lab::ethernet(lab::kEtherTypeIpv4, lab::ipv4_packet({.src = "192.0.2.1", .dst = "192.0.2.2", .proto = 1},
                                                                      Octets(octets))));
}
Octets udp() {
  return to(kMac, lab::udp_frame({.src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 9, .dst_port = 9}, Octets(20)));
}
Octets icmpv6(uint8_t type) {
  Octets message(24);
  message[0] = type;
  return to({0x33, 0x33, 0, 0, 0, 1},
            lab::ethernet(lab::kEtherTypeIpv6,
                          lab::ipv6_packet({.src = "2001:db8::1", .dst = "ff02::1", .next_header = 58}, message)));
}
Octets tagged(uint16_t vlan) {
  return to(kMac, lab::ethernet(lab::kTpid8021q,
                                lab::vlan(vlan, lab::kEtherTypeIpv4,
                                          lab::ipv4_packet({.src = "192.0.2.1", .dst = "192.0.2.2", .proto = 6}, Octets(20)))));
}

class Lane {
 public:
  explicit Lane(ExceptionLane::Config config = {}) : lane_(with_mac(config), waker_) { at(kStartNs); }

  void at(uint64_t steady_ns) {
    const RoleScope role(rx_lcore);
    lane_.begin_burst(steady_ns);
  }
  Outcome offer(const Octets& frame) {
    const RoleScope role(rx_lcore);
    return lane_.offer(frame, packet::parse_frame(frame, packet::LinkType::ethernet));
  }
  Outcome offer_joined(const Octets& headers, const Octets& rest) {
    const RoleScope role(rx_lcore);
    return lane_.offer_joined(headers, rest, packet::parse_frame(headers, packet::LinkType::ethernet));
  }
  size_t waiting() const { return lane_.waiting(); }
  /// How many of `frame` pass before one does not.
  size_t fill(const Octets& frame, Outcome until) {
    size_t passed = 0;
    Outcome outcome;
    while ((outcome = offer(frame)) == Outcome::passed) ++passed;
    EXPECT_EQ(outcome, until) << name_of(outcome);
    return passed;
  }
  Octets take() {
    const RoleScope role(exception_thread);
    const auto frame = lane_.front();
    Octets octets(frame.begin(), frame.end());
    if (!frame.empty()) lane_.pop();
    return octets;
  }

 private:
  static ExceptionLane::Config with_mac(ExceptionLane::Config config) {
    config.mac = kMac;
    return config;
  }
  Waker waker_;
  ExceptionLane lane_;
};

TEST(ExceptionLane, CarriesFramesInTheirOrder) {
  Lane lane;
  EXPECT_EQ(lane.take(), Octets());
  for (const Octets& frame : {arp(), ipv4(60), icmpv6(135)}) EXPECT_EQ(lane.offer(frame), Outcome::passed);
  EXPECT_EQ(lane.take(), arp());
  EXPECT_EQ(lane.take(), ipv4(60));
  EXPECT_EQ(lane.take(), icmpv6(135));
  EXPECT_EQ(lane.take(), Octets());
}

TEST(ExceptionLane, LeavesWhatTheKernelWouldNotTake) {
  const struct {
    const char* what;
    ExceptionLane::Config config;
    Octets frame;
    Outcome outcome;
  } cases[] = {
      {"to us", {}, ipv4(), Outcome::passed},
      {"to all", {}, arp(), Outcome::passed},
      {"to a group", {}, icmpv6(135), Outcome::passed},
      {"to another, as a mirror shows", {}, to({2, 0, 0, 0, 0, 8}, ipv4()), Outcome::other_mac},
      {"tagged, where tags are the kernel's", {}, tagged(5), Outcome::passed},
      {"of our VLAN", {.vlan = 5}, tagged(5), Outcome::passed},
      {"of another", {.vlan = 5}, tagged(6), Outcome::other_vlan},
      {"of none", {.vlan = 5}, ipv4(), Outcome::other_vlan},
      {"just not too long", {.frame_octets_max = 134}, ipv4(100), Outcome::passed},
      {"too long", {.frame_octets_max = 133}, ipv4(100), Outcome::too_long},
      {"not too long without its tag", {.vlan = 5, .frame_octets_max = 54}, tagged(5), Outcome::passed},
  };
  for (const auto& c : cases) EXPECT_EQ(Lane(c.config).offer(c.frame), c.outcome) << c.what;
}

TEST(ExceptionLane, TakesTheTagOfItsVlanAway) {
  Lane lane({.vlan = 5});
  ASSERT_EQ(lane.offer(tagged(5)), Outcome::passed);
  Octets plain = tagged(5);
  plain.erase(plain.begin() + 12, plain.begin() + 16);
  EXPECT_EQ(lane.take(), plain);
}

TEST(ExceptionLane, KeepsSharesOfItsRateForWhatSaysMore) {
  Lane lane({.frames_per_second = 1000});
  EXPECT_EQ(lane.fill(udp(), Outcome::rate_limited), FrameCredit::kBurst / 2);
  EXPECT_EQ(lane.fill(ipv4(), Outcome::rate_limited), FrameCredit::kBurst / 4) << "what UDP may not have";
  EXPECT_EQ(lane.offer(icmpv6(128)), Outcome::rate_limited) << "an echo request finds nobody";
  EXPECT_EQ(lane.offer(icmpv6(135)), Outcome::passed);
  EXPECT_EQ(lane.fill(arp(), Outcome::rate_limited), FrameCredit::kBurst / 4 - 1);
  // What comes back is first theirs.
  lane.at(kStartNs + 10 * kNsPerMs);
  EXPECT_EQ(lane.offer(ipv4()), Outcome::rate_limited);
  EXPECT_EQ(lane.fill(arp(), Outcome::rate_limited), 10u);
  while (!lane.take().empty()) {}
  lane.at(kStartNs + 3600 * kNsPerSec);
  EXPECT_EQ(lane.fill(ipv4(), Outcome::rate_limited), FrameCredit::kBurst * 3 / 4) << "no more than a burst";
}

TEST(FrameCredit, HasAlwaysSomeWhereThereIsNoLimit) {
  FrameCredit credit(0);
  for (uint64_t i = 0; i < 10 * FrameCredit::kBurst; ++i) ASSERT_TRUE(credit.take());
  EXPECT_TRUE(credit.has_any());
  EXPECT_EQ(credit.missing_ns(), 0u);
}

TEST(ExceptionLane, KeepsRoomForWhatSaysMoreWhereTheKernelIsSlow) {
  Lane lane({.frames_per_second = 1'000'000});
  uint64_t now_ns = kStartNs;
  const auto fill = [&](const Octets& frame) {
    size_t passed = 0;
    for (size_t i = 0; i < ExceptionLane::kFrames; ++i) {
      lane.at(now_ns += kNsPerMs);
      passed += lane.offer(frame) == Outcome::passed;
    }
    return passed;
  };
  EXPECT_EQ(fill(udp()), ExceptionLane::kFrames / 2);
  EXPECT_EQ(lane.offer(udp()), Outcome::no_room);
  EXPECT_EQ(fill(ipv4()), ExceptionLane::kFrames / 4);
  EXPECT_EQ(lane.offer(ipv4()), Outcome::no_room);
  EXPECT_EQ(fill(arp()), ExceptionLane::kFrames / 4);
  EXPECT_EQ(lane.offer(arp()), Outcome::no_room);
  EXPECT_EQ(lane.take(), udp());
  EXPECT_EQ(lane.offer(arp()), Outcome::passed);
}

TEST(ExceptionLane, ReadsNothingBehindAFrame) {
  for (const uint16_t vlan : {uint16_t{0}, uint16_t{5}}) {
    Lane lane({.vlan = vlan, .frames_per_second = 1'000'000});
    for (const Octets& whole : {arp(), ipv4(), udp(), icmpv6(135), tagged(5)}) {
      for (size_t octets = 14; octets <= whole.size(); ++octets) {
        // Of its own length on the heap, where a sanitizer sees its end.
        const Octets frame(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(octets));
        const auto verdict = packet::parse_frame(frame, packet::LinkType::ethernet).verdict;
        using packet::FrameVerdict;
        if (verdict != FrameVerdict::not_ip && verdict != FrameVerdict::not_udp && verdict != FrameVerdict::udp) continue;
        const bool is_passed = lane.offer(frame) == Outcome::passed;
        EXPECT_EQ(lane.take().size(), is_passed ? octets - (vlan != 0 ? 4 : 0) : 0u);
      }
    }
  }
}

TEST(ExceptionLane, CarriesWhatWasJoinedAlthoughItIsLongerThanAFrame) {
  // Laid over the end of the ring again and again, among frames.
  Lane lane({.frame_octets_max = 1500, .frames_per_second = 1'000'000});
  uint64_t now_ns = kStartNs;
  for (uint8_t round = 1; round < 100; ++round) {
    lane.at(now_ns += kNsPerMs);
    const Octets rest = lab::filled(65'400u - round, round);
    const size_t places = (ipv4().size() + rest.size() + 1499) / 1500;
    EXPECT_EQ(lane.offer(arp()), Outcome::passed);
    EXPECT_EQ(lane.offer_joined(ipv4(), rest), Outcome::passed);
    EXPECT_EQ(lane.offer(ipv4()), Outcome::passed);
    EXPECT_EQ(lane.waiting(), 1 + places + 1);
    EXPECT_EQ(lane.take(), arp());
    Octets whole = ipv4();
    whole.insert(whole.end(), rest.begin(), rest.end());
    ASSERT_EQ(lane.take(), whole);
    EXPECT_EQ(lane.take(), ipv4());
    EXPECT_EQ(lane.waiting(), 0u);
  }
}

TEST(ExceptionLane, CountsWhatWasJoinedForAsManyFramesAsItTakesPlacesOf) {
  Lane lane({.frame_octets_max = 1500, .frames_per_second = 1000});
  const Octets rest(65'000);  // 44 places
  size_t passed = 0;
  while (lane.offer_joined(ipv4(), rest) == Outcome::passed) ++passed;
  EXPECT_EQ(passed, FrameCredit::kBurst * 3 / 4 / 44);
  EXPECT_EQ(lane.offer(arp()), Outcome::passed);
  Lane slow({.frame_octets_max = 1500, .frames_per_second = 1'000'000});
  passed = 0;
  for (uint64_t i = 0; i < 20; ++i) {
    slow.at(kStartNs + i * kNsPerMs);
    passed += slow.offer_joined(ipv4(), rest) == Outcome::passed;
  }
  EXPECT_EQ(passed, ExceptionLane::kFrames * 3 / 4 / 44);
}

TEST(ExceptionLane, WakesWhoTakesOnceABurst) {
  Waker waker;
  ExceptionLane lane({.mac = kMac}, waker);
  const auto is_woken = [&] {
    pollfd p{waker.fd(), POLLIN, 0};
    return poll(&p, 1, 0) == 1;
  };
  const RoleScope role(rx_lcore);
  waker.lie_down();
  lane.begin_burst(kStartNs);
  lane.end_burst();
  EXPECT_FALSE(is_woken());
  lane.begin_burst(kStartNs);
  const Octets frame = arp();
  lane.offer(frame, packet::parse_frame(frame, packet::LinkType::ethernet));
  EXPECT_FALSE(is_woken());
  lane.end_burst();
  EXPECT_TRUE(is_woken());
  waker.get_up();
}

}  // namespace
}  // namespace weir::dataplane::testing
