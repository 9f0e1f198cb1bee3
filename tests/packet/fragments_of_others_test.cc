// Whose fragments are somebody else's, and for how long that is remembered.
#include "packet/fragments_of_others.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "lab/frame_builder.h"

namespace weir::packet {
namespace {

using namespace weir::lab;  // NOLINT: the pictures below are made of its words

constexpr uint64_t kNowNs = 1'760'000'000 * kNsPerSec;
constexpr uint64_t kTimeoutNs = 2 * kNsPerSec;
const UdpEnds kV4 = {"192.0.2.1", "198.51.100.2", 40000, 53};
const UdpEnds kV6 = {"2001:db8::1", "2001:db8::2", 40000, 2049};

FrameView view_of(const Octets& packet) { return parse_frame(packet, LinkType::raw_ip); }
std::vector<Octets> pieces(const UdpEnds& ends, uint32_t id) {
  return fragment_packets(ends, id, udp_segment(ends, zeros(200)), 104);
}

TEST(PortOfFirst, IsThereWhereTheUdpHeaderIs) {
  EXPECT_EQ(port_of_first(view_of(pieces(kV4, 1)[0])), 53);
  EXPECT_EQ(port_of_first(view_of(pieces(kV6, 1)[0])), 2049);
  EXPECT_EQ(port_of_first(view_of(pieces(kV4, 1)[1])), std::nullopt) << "a later one";
  EXPECT_EQ(port_of_first(view_of(fragment_packet(kV4, {.offset_octets = 0}, zeros(8)))), 0);
  EXPECT_EQ(port_of_first(view_of(fragment_packet(kV4, {.offset_octets = 0}, zeros(7)))), std::nullopt) << "cut";
  const Octets behind_options = ipv6_packet(
      {.src = kV6.src, .dst = kV6.dst, .next_header = kProtoFragment},
      ipv6_fragment({.next_header = kProtoDestinationOptions, .more = 1}, ipv6_extension(kProtoUdp, zeros(6), zeros(64))));
  ASSERT_EQ(view_of(behind_options).verdict, FrameVerdict::fragment);
  EXPECT_EQ(port_of_first(view_of(behind_options)), std::nullopt);
}

TEST(FragmentsOfOthers, AreThoseOfADatagramThatWasNoted) {
  FragmentsOfOthers others(kTimeoutNs, 1234);
  UdpEnds elsewhere = kV4;
  elsewhere.dst = "198.51.100.3";
  for (const UdpEnds& ends : {kV4, kV6}) {
    EXPECT_EQ(others.owner_of(view_of(pieces(ends, 7)[1]), kNowNs), std::nullopt);
    others.note(view_of(pieces(ends, 7)[0]), FragmentOwner::host, kNowNs);
    EXPECT_EQ(others.owner_of(view_of(pieces(ends, 7)[1]), kNowNs + 1), FragmentOwner::host);
    EXPECT_EQ(others.owner_of(view_of(pieces(ends, 8)[1]), kNowNs), std::nullopt);
  }
  EXPECT_EQ(others.owner_of(view_of(pieces(elsewhere, 7)[1]), kNowNs), std::nullopt);
  const auto in_vlan = [](uint16_t id) {
    return parse_frame(ethernet(kTpid8021q, vlan(id, kEtherTypeIpv4, pieces(kV4, 9)[0])), LinkType::ethernet);
  };
  others.note(in_vlan(5), FragmentOwner::host, kNowNs);
  EXPECT_EQ(others.owner_of(in_vlan(5), kNowNs), FragmentOwner::host);
  EXPECT_EQ(others.owner_of(in_vlan(6), kNowNs), std::nullopt);
}

TEST(FragmentsOfOthers, AreForgottenInTimeAndWhenAnotherDatagramHasTheIdentification) {
  FragmentsOfOthers others(kTimeoutNs, 1234);
  const FrameView first = view_of(pieces(kV4, 7)[0]), later = view_of(pieces(kV4, 7)[1]);
  others.note(first, FragmentOwner::host, kNowNs);
  EXPECT_EQ(others.owner_of(later, kNowNs + kTimeoutNs), FragmentOwner::host);
  EXPECT_EQ(others.owner_of(later, kNowNs + kTimeoutNs + 1), std::nullopt);
  EXPECT_EQ(others.owner_of(later, kNowNs - kTimeoutNs - 1), std::nullopt) << "a clock that was far ahead";
  others.note(first, FragmentOwner::host, kNowNs + kNsPerSec);
  EXPECT_EQ(others.owner_of(later, kNowNs + kNsPerSec + kTimeoutNs), FragmentOwner::host) << "anew";
  others.forget(first);
  EXPECT_EQ(others.owner_of(later, kNowNs + kNsPerSec), std::nullopt);
  others.forget(first);
}

TEST(FragmentsOfOthers, AreOneOwnersAtATime) {
  FragmentsOfOthers others(kTimeoutNs, 1234);
  const FrameView first = view_of(pieces(kV4, 7)[0]), later = view_of(pieces(kV4, 7)[1]);
  others.note(later, FragmentOwner::worker, kNowNs);
  EXPECT_EQ(others.owner_of(first, kNowNs), FragmentOwner::worker);
  others.note(first, FragmentOwner::host, kNowNs + kNsPerSec);
  EXPECT_EQ(others.owner_of(later, kNowNs + kNsPerSec + kTimeoutNs), FragmentOwner::host);
}

TEST(FragmentsOfOthers, InAFloodTheNewestAreRemembered) {
  FragmentsOfOthers others(kTimeoutNs, 1234);
  constexpr uint32_t kFlood = 20 * FragmentsOfOthers::kDatagrams;
  FrameView first = view_of(pieces(kV6, 0)[0]);
  for (uint32_t id = 0; id < kFlood; ++id) {
    first.fragment.id = id;
    others.note(first, FragmentOwner::host, kNowNs + id);
  }
  size_t remembered = 0, of_the_last = 0;
  FrameView later = view_of(pieces(kV6, 0)[1]);
  for (later.fragment.id = 0; later.fragment.id < kFlood; ++later.fragment.id) {
    if (!others.owner_of(later, kNowNs + kFlood)) continue;
    ++remembered;
    of_the_last += later.fragment.id >= kFlood - FragmentsOfOthers::kSets;
  }
  EXPECT_EQ(remembered, FragmentsOfOthers::kDatagrams) << "every place is used";
  EXPECT_GT(of_the_last, FragmentsOfOthers::kSets * 95 / 100);
}

}  // namespace
}  // namespace weir::packet
