// Datagrams cut in every way, put together again; and every way in which that is refused.
#include "packet/reassembly.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>

#include "lab/frame_builder.h"

namespace weir::packet {
namespace {

using namespace weir::lab;  // NOLINT: the pictures below are made of its words

const UdpEnds kV4 = {"192.0.2.1", "198.51.100.2", 40000, 2055};
const UdpEnds kV6 = {"2001:db8::1", "2001:db8::2", 40000, 4739};
const UdpEnds kOther = {"192.0.2.77", "198.51.100.2", 40000, 2055};

/// Octets that tell where they are.
Octets telling(size_t size) {
  Octets octets(size);
  for (size_t i = 0; i < size; ++i) octets[i] = static_cast<uint8_t>(i * 7 + i / 256);
  return octets;
}

class ReassemblyTest : public ::testing::Test {
 protected:
  void make(const ReassemblyLimits& limits) {
    reassembler_ = std::make_unique<Reassembler>(limits, 1234);
    given_ = 0;
  }
  /// What the packet completes, if anything; its octets are copied.
  std::optional<FrameView> give(const Octets& packet, Standing standing = Standing::stranger) {
    FrameView view = parse_frame(packet, LinkType::raw_ip);
    EXPECT_EQ(view.verdict, FrameVerdict::fragment);
    ++given_;
    const bool is_whole = reassembler_->add(view, now_ns_, standing);
    const ReassemblyCounters& c = reassembler_->counters();
    EXPECT_EQ(given_, c.fragments.total() + c.waiting.value());
    if (!is_whole) return std::nullopt;
    payload_.assign(view.payload.begin(), view.payload.end());
    return view;
  }
  uint64_t counted(FragmentOutcome outcome) {
    return reassembler_->counters().fragments[outcome].value();
  }
  uint64_t waiting() { return reassembler_->counters().waiting.value(); }
  /// All but these are zero.
  void expect_outcomes(std::vector<std::pair<FragmentOutcome, uint64_t>> expected, uint64_t waits = 0) {
    for (size_t i = 0; i < static_cast<size_t>(FragmentOutcome::count_); ++i) {
      const auto e = static_cast<FragmentOutcome>(i);
      uint64_t wanted = 0;
      for (const auto& [outcome, count] : expected) wanted += outcome == e ? count : 0;
      EXPECT_EQ(counted(e), wanted) << name_of(e);
    }
    EXPECT_EQ(waiting(), waits);
  }

  std::unique_ptr<Reassembler> reassembler_ =
      std::make_unique<Reassembler>(ReassemblyLimits{}, 1234);
  uint64_t now_ns_ = 1'760'000'000 * kNsPerSec;
  uint64_t given_ = 0;
  Octets payload_;
};

/// `frame` in pieces: offset and size of each, in the order in which they come.
struct Cut {
  size_t offset;
  size_t size;
};
Octets piece_of(const UdpEnds& ends, const Octets& segment, Cut cut, uint32_t id = 1) {
  const auto begin = segment.begin() + static_cast<std::ptrdiff_t>(cut.offset);
  return fragment_packet(
      ends, {.id = id, .offset_octets = cut.offset, .is_last = cut.offset + cut.size == segment.size()},
      Octets(begin, begin + static_cast<std::ptrdiff_t>(cut.size)));
}

TEST_F(ReassemblyTest, PutsADatagramTogetherInWhateverOrderItsPiecesCome) {
  for (const UdpEnds& ends : {kV4, kV6}) {
    const Octets payload = telling(400);
    const std::vector<Octets> pieces = fragment_packets(ends, 9, udp_segment(ends, payload), 104);
    ASSERT_EQ(pieces.size(), 4u);
    std::vector<size_t> order(pieces.size());
    std::iota(order.begin(), order.end(), size_t{0});
    do {
      std::optional<FrameView> whole;
      for (size_t i = 0; i < order.size(); ++i) {
        EXPECT_FALSE(whole) << "before the last piece";
        whole = give(pieces[order[i]]);
      }
      ASSERT_TRUE(whole);
      EXPECT_EQ(whole->verdict, FrameVerdict::udp);
      EXPECT_EQ(whole->src, ends.src.value);
      EXPECT_EQ(whole->dst, ends.dst.value);
      EXPECT_EQ(whole->src_port, ends.src_port);
      EXPECT_EQ(whole->dst_port, ends.dst_port);
      EXPECT_EQ(payload_, payload);
    } while (std::next_permutation(order.begin(), order.end()));
  }
  expect_outcomes({{FragmentOutcome::joined, 2 * 24 * 4}});
  EXPECT_EQ(reassembler_->counters().datagrams[FrameVerdict::udp].value(), 2u * 24);
}

TEST_F(ReassemblyTest, TakesEverySizeUpToTheLargestDatagram) {
  for (const UdpEnds& ends : {kV4, kV6}) {
    const size_t most = ends.src.value.is_v4() ? 65535 - 20 - 8 : 65535 - 8;
    for (const size_t size : {size_t{41}, size_t{1473}, size_t{9000}, size_t{65000}, most}) {
      const Octets payload = telling(size);
      std::optional<FrameView> whole;
      for (const Octets& packet : fragment_packets(ends, 1, udp_segment(ends, payload), size < 48 ? 48 : 1448)) {
        whole = give(packet);
      }
      ASSERT_TRUE(whole) << size;
      EXPECT_EQ(whole->verdict, FrameVerdict::udp);
      EXPECT_EQ(payload_, payload);
    }
  }
}

TEST_F(ReassemblyTest, KeepsDatagramsOfOtherSourcesDestinationsAndIdentificationsApart) {
  UdpEnds elsewhere = kV4;
  elsewhere.dst = "198.51.100.3";
  struct Stream {
    UdpEnds ends;
    uint32_t id;
    Octets payload;
  };
  const std::vector<Stream> streams = {{kV4, 1, telling(200)},
                                       {kV4, 2, filled(200, 0xa2)},
                                       {elsewhere, 1, filled(200, 0xa3)},
                                       {kOther, 1, filled(200, 0xa4)},
                                       {kV6, 1, filled(200, 0xa5)},
                                       {kV6, 0x10001, filled(200, 0xa6)}};
  size_t whole = 0;
  for (size_t piece = 0; piece < 3; ++piece) {
    for (const Stream& s : streams) {
      const auto pieces = fragment_packets(s.ends, s.id, udp_segment(s.ends, s.payload), 72);
      if (!give(pieces[piece])) continue;
      ++whole;
      EXPECT_EQ(payload_, s.payload);
    }
  }
  EXPECT_EQ(whole, streams.size());
}

TEST_F(ReassemblyTest, WalksTheHeadersBehindAnIpv6FragmentHeader) {
  const Octets payload = telling(300);
  const Octets inside = ipv6_extension(kProtoUdp, filled(14, 1), udp_segment(kV6, payload));
  const auto piece = [&](size_t offset, size_t size, uint8_t next_header, bool more) {
    const auto begin = inside.begin() + static_cast<std::ptrdiff_t>(offset);
    return ipv6_packet({.src = kV6.src, .dst = kV6.dst, .next_header = kProtoFragment},
                       ipv6_fragment({.next_header = next_header,
                                      .offset_octets = static_cast<uint16_t>(offset),
                                      .more = more,
                                      .id = 5},
                                     Octets(begin, begin + static_cast<std::ptrdiff_t>(size))));
  };
  // RFC 8200 §4.5: only the first fragment's Next Header counts, whichever comes first.
  const Octets first = piece(0, 160, kProtoDestinationOptions, true);
  const Octets last = piece(160, inside.size() - 160, kProtoUdp, false);
  for (const auto& [earlier, later] : {std::pair(first, last), std::pair(last, first)}) {
    EXPECT_FALSE(give(earlier));
    const auto whole = give(later);
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->verdict, FrameVerdict::udp);
    EXPECT_EQ(payload_, payload);
  }
}

TEST_F(ReassemblyTest, DoesNotFollowFragmentsInsideOfFragmentsNorWhatIsStillUnderWay) {
  const Octets udp = udp_segment(kV6, telling(100));
  const struct {
    FrameVerdict verdict;
    uint8_t next_header;
    Octets inside;
  } cases[] = {
      {FrameVerdict::fragment, kProtoFragment, ipv6_fragment({.more = 1, .id = 3}, udp)},
      {FrameVerdict::udp, kProtoFragment, ipv6_fragment({.more = 0, .id = 3}, udp)},  // RFC 6946
      {FrameVerdict::not_udp, kProtoRouting,
       ipv6_extension(kProtoUdp, join({{4, 1, 0, 0, 0, 0}, ipv6("2001:db8::9")}), udp)},
      {FrameVerdict::udp, kProtoRouting,
       ipv6_extension(kProtoUdp, join({{4, 0, 0, 0, 0, 0}, ipv6("2001:db8::9")}), udp)},
  };
  uint32_t id = 0;
  for (const auto& c : cases) {
    ++id;
    for (size_t offset = 0; offset < c.inside.size(); offset += 64) {
      const size_t size = std::min<size_t>(64, c.inside.size() - offset);
      const auto begin = c.inside.begin() + static_cast<std::ptrdiff_t>(offset);
      const auto whole = give(ipv6_packet(
          {.src = kV6.src, .dst = kV6.dst, .next_header = kProtoFragment},
          ipv6_fragment({.next_header = c.next_header,
                         .offset_octets = static_cast<uint16_t>(offset),
                         .more = offset + size < c.inside.size(),
                         .id = id},
                        Octets(begin, begin + static_cast<std::ptrdiff_t>(size)))));
      ASSERT_EQ(whole.has_value(), offset + size == c.inside.size());
      if (!whole) continue;
      EXPECT_EQ(name_of(whole->verdict), name_of(c.verdict));
      EXPECT_EQ(whole->payload.empty(), c.verdict != FrameVerdict::udp);
    }
  }
}

TEST_F(ReassemblyTest, KeepsVlansApart) {
  const Octets payloads[] = {telling(100), filled(100, 0xa2)};
  const auto in_vlan = [&](uint16_t vlan_id, size_t piece) {
    const auto pieces = fragment_packets(kV4, 1, udp_segment(kV4, payloads[vlan_id - 1]), 56);
    const Octets frame = ethernet(kTpid8021q, vlan(vlan_id, kEtherTypeIpv4, pieces[piece]));
    FrameView view = parse_frame(frame, LinkType::ethernet);
    const bool is_whole = reassembler_->add(view, now_ns_);
    return is_whole ? Octets(view.payload.begin(), view.payload.end()) : Octets{};
  };
  EXPECT_TRUE(in_vlan(1, 0).empty());
  EXPECT_TRUE(in_vlan(2, 0).empty());
  EXPECT_EQ(in_vlan(1, 1), payloads[0]);
  EXPECT_EQ(in_vlan(2, 1), payloads[1]);
}

TEST_F(ReassemblyTest, CountsWhatItMadeByWhatItTurnedOutToBe) {
  const struct {
    FrameVerdict verdict;
    Octets segment;
  } cases[] = {
      {FrameVerdict::udp, udp_segment(kV4, telling(100))},
      {FrameVerdict::udp, udp_segment(kV4, telling(100), {.checksum = 0})},  // none
      {FrameVerdict::bad_udp_checksum, udp_segment(kV4, telling(100), {.checksum = 0xbeef})},
      {FrameVerdict::bad_udp_length, udp_segment(kV4, telling(100), {.length = 300})},
  };
  uint32_t id = 0;
  for (const auto& c : cases) {
    const uint64_t before = reassembler_->counters().datagrams[c.verdict].value();
    const auto pieces = fragment_packets(kV4, ++id, c.segment, 56);
    EXPECT_FALSE(give(pieces[0]));
    const auto whole = give(pieces[1]);
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->verdict, c.verdict);
    EXPECT_EQ(whole->payload.empty(), c.verdict != FrameVerdict::udp);
    EXPECT_EQ(reassembler_->counters().datagrams[c.verdict].value(), before + 1);
  }
}

TEST_F(ReassemblyTest, DoesNotMakeOneDatagramOfTwoThatShareAnIdentification) {
  const auto first = fragment_packets(kV4, 7, udp_segment(kV4, telling(100)), 56);
  const auto second = fragment_packets(kV4, 7, udp_segment(kV4, filled(100, 0xee)), 56);
  EXPECT_FALSE(give(first[0]));
  const auto mixed = give(second[1]);
  ASSERT_TRUE(mixed);
  EXPECT_EQ(mixed->verdict, FrameVerdict::bad_udp_checksum);
}

// ---- What is refused -----------------------------------------------------------------------------

TEST_F(ReassemblyTest, GivesUpADatagramWhosePiecesOverlap) {
  // The segment is 208 octets. Its octets agree wherever pieces meet: that they meet is enough.
  const Octets segment = udp_segment(kV4, telling(200));
  const std::vector<std::vector<Cut>> cases = {
      {{0, 104}, {96, 112}},             // into the one before
      {{96, 112}, {0, 104}},             // the same, turned
      {{48, 48}, {0, 160}},              // around one
      {{0, 160}, {48, 48}, {152, 56}},   // beside one that repeats what is there
      {{0, 48}, {48, 48}, {0, 160}},     // over two
  };
  uint64_t id = 0;
  for (const auto& cuts : cases) {
    const uint64_t before = reassembler_->counters().datagrams_given_up.value();
    ++id;
    for (const Cut& cut : cuts) EXPECT_FALSE(give(piece_of(kV4, segment, cut, static_cast<uint32_t>(id))));
    EXPECT_EQ(reassembler_->counters().datagrams_given_up.value(), before + 1) << "case " << id;
    EXPECT_EQ(waiting(), 0u);
    // RFC 5722: what still comes of it is not the beginning of another.
    for (const Octets& late : fragment_packets(kV4, static_cast<uint32_t>(id), segment, 104)) {
      EXPECT_FALSE(give(late));
    }
    EXPECT_EQ(waiting(), 0u);
  }
  EXPECT_EQ(counted(FragmentOutcome::joined), 0u);
}

TEST_F(ReassemblyTest, GivesUpADatagramWhosePiecesDisagree) {
  const Octets segment = udp_segment(kV4, telling(200));
  Octets other = segment;
  other[60] ^= 1;
  EXPECT_FALSE(give(piece_of(kV4, segment, {0, 104})));
  EXPECT_FALSE(give(piece_of(kV4, other, {0, 104})));
  EXPECT_FALSE(give(piece_of(kV4, segment, {104, 104})));
  expect_outcomes({{FragmentOutcome::overlapping, 3}});
}

TEST_F(ReassemblyTest, ForgivesAPieceThatSaysMoreFollowsWhereTheEndIs) {
  // Cut again by a tunnel that sets the bit wrongly: its octets are the same.
  const Octets payload = telling(200);
  const Octets segment = udp_segment(kV4, payload);
  EXPECT_FALSE(give(piece_of(kV4, segment, {104, 104})));
  const auto begin = segment.begin() + 104;
  EXPECT_FALSE(give(fragment_packet(kV4, {.offset_octets = 104}, Octets(begin, segment.end()))));
  expect_outcomes({{FragmentOutcome::duplicate, 1}}, 1);
  EXPECT_TRUE(give(piece_of(kV4, segment, {0, 104})));
}

TEST_F(ReassemblyTest, GivesUpADatagramThatEndsInTwoPlaces) {
  const Octets longer = udp_segment(kV4, telling(200));
  const Octets shorter(longer.begin(), longer.begin() + 152);
  const struct {
    Cut first;
    bool first_of_longer;
    Cut second;
    bool second_of_longer;
  } cases[] = {
      {{104, 48}, false, {104, 104}, true},  // two last ones
      {{104, 48}, false, {152, 56}, true},   // the last one again, further on
      {{104, 48}, false, {160, 40}, true},   // one beyond the end
      {{160, 40}, true, {104, 48}, false},   // the end before what is here
      {{96, 56}, true, {96, 56}, false},     // the same octets, once as the last
  };
  uint32_t id = 0;
  for (const auto& c : cases) {
    ++id;
    EXPECT_FALSE(give(piece_of(kV4, c.first_of_longer ? longer : shorter, c.first, id)));
    EXPECT_FALSE(give(piece_of(kV4, c.second_of_longer ? longer : shorter, c.second, id)));
    EXPECT_EQ(counted(FragmentOutcome::overlapping), 2u * id) << "case " << id;
  }
  EXPECT_EQ(waiting(), 0u);
}

TEST_F(ReassemblyTest, IgnoresAPieceThatCameTwice) {
  const Octets payload = telling(200);
  const auto pieces = fragment_packets(kV4, 1, udp_segment(kV4, payload), 104);
  EXPECT_FALSE(give(pieces[1]));
  EXPECT_FALSE(give(pieces[1]));
  ASSERT_TRUE(give(pieces[0]));
  EXPECT_EQ(payload_, payload);
  expect_outcomes({{FragmentOutcome::duplicate, 1}, {FragmentOutcome::joined, 2}});
  EXPECT_FALSE(give(pieces[0])) << "late: it waits like the first of another";
  EXPECT_EQ(waiting(), 1u);
}

TEST_F(ReassemblyTest, RefusesTinyOnes) {
  const Octets segment = udp_segment(kV4, telling(3000));
  EXPECT_FALSE(give(piece_of(kV4, segment, {0, kFirstFragmentOctetsMin - 8})));
  expect_outcomes({{FragmentOutcome::tiny, 1}});

  // As many pieces as are allowed wait, one more ends it.
  for (size_t i = 0; i < kFragmentsPerDatagramMax; ++i) {
    EXPECT_FALSE(give(piece_of(kV4, segment, {48 + i * 8, 8})));
  }
  EXPECT_EQ(waiting(), kFragmentsPerDatagramMax);
  EXPECT_FALSE(give(piece_of(kV4, segment, {48 + kFragmentsPerDatagramMax * 8, 8})));
  expect_outcomes({{FragmentOutcome::tiny, 1 + kFragmentsPerDatagramMax + 1}});
}

TEST_F(ReassemblyTest, PutsTogetherAsManyPiecesAsAreAllowed) {
  const Octets payload = telling(kFragmentsPerDatagramMax * 48 - 8 - 3);
  std::optional<FrameView> whole;
  const auto pieces = fragment_packets(kV4, 1, udp_segment(kV4, payload), 48);
  ASSERT_EQ(pieces.size(), kFragmentsPerDatagramMax);
  for (const Octets& packet : pieces) whole = give(packet);
  ASSERT_TRUE(whole);
  EXPECT_EQ(payload_, payload);
}

TEST_F(ReassemblyTest, RefusesMalformedOnes) {
  EXPECT_FALSE(give(fragment_packet(kV4, {.offset_octets = 8}, {}))) << "empty";
  EXPECT_FALSE(give(fragment_packet(kV4, {.offset_octets = 8}, zeros(47)))) << "no multiple of 8";
  // 65535 octets, of which IPv4's header takes 20.
  EXPECT_FALSE(give(fragment_packet(kV4, {.offset_octets = 65512, .is_last = true}, zeros(4))));
  EXPECT_FALSE(give(fragment_packet(kV6, {.offset_octets = 65528, .is_last = true}, zeros(8))));
  expect_outcomes({{FragmentOutcome::malformed, 4}});
  EXPECT_FALSE(give(fragment_packet(kV4, {.offset_octets = 65512, .is_last = true}, zeros(3))));
  EXPECT_FALSE(give(fragment_packet(kV6, {.offset_octets = 65528, .is_last = true}, zeros(7))));
  EXPECT_EQ(waiting(), 2u) << "just within them";
}

TEST_F(ReassemblyTest, AStrangersMalformedOrTinyFragmentDoesNotEndADatagram) {
  const Octets payload = telling(200);
  const Octets segment = udp_segment(kV4, payload);
  const auto pieces = fragment_packets(kV4, 1, segment, 104);
  EXPECT_FALSE(give(pieces[0]));
  EXPECT_FALSE(give(fragment_packet(kV4, {.offset_octets = 104}, zeros(47))));
  EXPECT_FALSE(give(piece_of(kV4, segment, {0, 40})));
  ASSERT_TRUE(give(pieces[1]));
  EXPECT_EQ(payload_, payload);
}

TEST_F(ReassemblyTest, OfTruncatedFragmentsMakesNothing) {
  const auto pieces = fragment_packets(kV6, 1, udp_segment(kV6, telling(100)), 56);
  for (size_t size = 0; size < pieces[0].size(); ++size) {
    const Octets cut(pieces[0].begin(), pieces[0].begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_NE(parse_frame(cut, LinkType::raw_ip).verdict, FrameVerdict::fragment) << size;
  }
}

// ---- Bounds --------------------------------------------------------------------------------------

TEST_F(ReassemblyTest, GivesUpWhatWaitsForTooLong) {
  make({.timeout_ns = 2 * kNsPerSec});
  const auto pieces = fragment_packets(kV4, 1, udp_segment(kV4, telling(300)), 104);
  EXPECT_FALSE(give(pieces[0]));
  now_ns_ += 2 * kNsPerSec;
  EXPECT_FALSE(give(pieces[1])) << "just in time; but the time runs from the first";
  expect_outcomes({}, 2);
  ++now_ns_;
  EXPECT_FALSE(give(pieces[2])) << "begins another, which lacks the first two";
  expect_outcomes({{FragmentOutcome::expired, 2}}, 1);
  reassembler_->expire(now_ns_ + 3 * kNsPerSec);
  expect_outcomes({{FragmentOutcome::expired, 3}});
  EXPECT_EQ(reassembler_->counters().datagrams_given_up.value(), 2u);
}

TEST_F(ReassemblyTest, WaitsOnWhenTheClockGoesALittleBack) {
  const auto pieces = fragment_packets(kV4, 1, udp_segment(kV4, telling(100)), 56);
  EXPECT_FALSE(give(pieces[0]));
  now_ns_ -= kNsPerSec;
  EXPECT_TRUE(give(pieces[1]));
}

TEST_F(ReassemblyTest, AClockThatWasFarAheadHoldsUpNothing) {
  const auto stray = fragment_packets(kOther, 9, udp_segment(kOther, telling(100)), 56);
  const auto pieces = fragment_packets(kV4, 1, udp_segment(kV4, telling(100)), 56);
  EXPECT_FALSE(give(stray[0]));
  EXPECT_FALSE(give(pieces[1]));  // of another datagram than the two below, with the same identification
  now_ns_ -= 3600 * kNsPerSec;
  EXPECT_FALSE(give(pieces[0])) << "an hour apart: another datagram";
  EXPECT_TRUE(give(pieces[1]));
  // What came before the step is given up a timeout after it, not an hour.
  reassembler_->expire(now_ns_);
  expect_outcomes({{FragmentOutcome::expired, 1}, {FragmentOutcome::joined, 2}}, 1);
  reassembler_->expire(now_ns_ + 3 * kNsPerSec);
  expect_outcomes({{FragmentOutcome::expired, 2}, {FragmentOutcome::joined, 2}});
}

TEST_F(ReassemblyTest, SourcesWhoseClocksDifferDoNotEndEachOthersDatagrams) {
  // As in a capture merged of two: nobody calls expire.
  const auto one = fragment_packets(kV4, 1, udp_segment(kV4, telling(100)), 56);
  const auto other = fragment_packets(kOther, 1, udp_segment(kOther, telling(100)), 56);
  EXPECT_FALSE(give(one[0]));
  now_ns_ += 10 * kNsPerSec;
  EXPECT_FALSE(give(other[0]));
  now_ns_ -= 10 * kNsPerSec;
  EXPECT_TRUE(give(one[1]));
  now_ns_ += 10 * kNsPerSec;
  EXPECT_TRUE(give(other[1]));
}

TEST_F(ReassemblyTest, AFloodOfOneSourceEndsItsOwnDatagramsOnly) {
  make({.datagrams_max = 8, .datagrams_per_source_max = 3});
  const auto good = fragment_packets(kOther, 1, udp_segment(kOther, telling(100)), 56);
  EXPECT_FALSE(give(good[0]));
  const auto bad = [](uint32_t id) { return fragment_packets(kV4, id, udp_segment(kV4, telling(100)), 56)[0]; };
  for (uint32_t id = 0; id < 100; ++id) EXPECT_FALSE(give(bad(id)));
  expect_outcomes({{FragmentOutcome::source_limit, 97}}, 1 + 3);
  EXPECT_TRUE(give(good[1]));
  // The newest of the flood are what is left of it.
  EXPECT_TRUE(give(fragment_packets(kV4, 98, udp_segment(kV4, telling(100)), 56)[1]));
  EXPECT_FALSE(give(fragment_packets(kV4, 96, udp_segment(kV4, telling(100)), 56)[1]));
}

TEST_F(ReassemblyTest, AFullTableLosesItsOldest) {
  make({.datagrams_max = 4, .datagrams_per_source_max = 4});
  const auto ends_of = [](uint32_t n) {
    return UdpEnds{IpAddress::from_v4(0xC0000200 + n), "198.51.100.2", 1, 2055};
  };
  const auto piece = [&](uint32_t source, size_t which) {
    return fragment_packets(ends_of(source), 1, udp_segment(ends_of(source), telling(100)), 56)[which];
  };
  for (uint32_t source = 1; source <= 6; ++source) EXPECT_FALSE(give(piece(source, 0)));
  expect_outcomes({{FragmentOutcome::table_limit, 2}}, 4);
  for (uint32_t source = 3; source <= 6; ++source) EXPECT_TRUE(give(piece(source, 1))) << source;
  EXPECT_EQ(waiting(), 0u);
}

TEST_F(ReassemblyTest, AFloodOfStrangersDoesNotEndDatagramsOfThoseWhoAreKnown) {
  make({.datagrams_max = 8, .datagrams_per_source_max = 3});
  const auto ends_of = [](uint32_t n) {
    return UdpEnds{IpAddress::from_v4(0xC0000200 + n), "198.51.100.2", 1, 2055};
  };
  const auto piece = [&](uint32_t source, size_t which, uint32_t id = 1) {
    return fragment_packets(ends_of(source), id, udp_segment(ends_of(source), telling(100)), 56)[which];
  };
  for (uint32_t source = 1; source <= 3; ++source) EXPECT_FALSE(give(piece(source, 0), Standing::known));
  for (uint32_t source = 10; source < 200; ++source) EXPECT_FALSE(give(piece(source, 0)));
  expect_outcomes({{FragmentOutcome::table_limit, 190 - 5}}, 8);
  // Who is known takes a stranger's place, until there are none.
  for (uint32_t source = 4; source <= 8; ++source) EXPECT_FALSE(give(piece(source, 0), Standing::known));
  expect_outcomes({{FragmentOutcome::table_limit, 190}}, 8);
  EXPECT_FALSE(give(piece(200, 0))) << "refused, and nobody's end";
  EXPECT_FALSE(give(piece(200, 1)));
  expect_outcomes({{FragmentOutcome::table_limit, 192}}, 8);
  EXPECT_FALSE(give(piece(9, 0), Standing::known)) << "among those who are known the oldest goes";
  expect_outcomes({{FragmentOutcome::table_limit, 193}}, 8);
  EXPECT_FALSE(give(piece(1, 1), Standing::known)) << "that was the first's, whose second piece is the next oldest's end";
  for (uint32_t source = 3; source <= 9; ++source) EXPECT_TRUE(give(piece(source, 1), Standing::known)) << source;
  // One that was given up for want of time holds up nobody.
  make({.datagrams_max = 1, .datagrams_per_source_max = 1});
  EXPECT_FALSE(give(piece(1, 0), Standing::known));
  now_ns_ += 3 * kNsPerSec;
  EXPECT_FALSE(give(piece(10, 0)));
  EXPECT_TRUE(give(piece(10, 1)));
}

TEST_F(ReassemblyTest, AtTheEndWhatWaitsIsCounted) {
  const auto pieces = fragment_packets(kV4, 1, udp_segment(kV4, telling(300)), 104);
  EXPECT_FALSE(give(pieces[0]));
  EXPECT_FALSE(give(pieces[1]));
  reassembler_->give_up_all();
  expect_outcomes({{FragmentOutcome::expired, 2}});
}

TEST_F(ReassemblyTest, UnderAnyMixtureDeliversWhatWasSentOrNothing) {
  // Many datagrams at once, their pieces shuffled, lost, repeated and laid over each other, in a table
  // too small for them.
  make({.datagrams_max = 16, .datagrams_per_source_max = 6});
  std::mt19937 random(20261120);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  size_t delivered = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<Octets> wire;
    const size_t datagrams = 1 + below(24);
    for (size_t d = 0; d < datagrams; ++d) {
      const UdpEnds ends{IpAddress::from_v4(static_cast<uint32_t>(0xC0000200 + below(5))), "198.51.100.2", 1, 2055};
      const auto id = static_cast<uint32_t>(random() & 0xffff);
      Octets payload = telling(100 + below(3000));
      store_be32(payload.data(), static_cast<uint32_t>(payload.size()));
      const Octets segment = udp_segment(ends, payload);
      const size_t each = 48 + 8 * below(60);
      for (const Octets& piece : fragment_packets(ends, id, segment, each)) {
        if (parse_frame(piece, LinkType::raw_ip).verdict != FrameVerdict::fragment) continue;
        if (below(40) != 0) wire.push_back(piece);
        if (below(40) == 0) wire.push_back(piece);
      }
      if (below(8) == 0 && segment.size() > 160) wire.push_back(piece_of(ends, segment, {48, 104}, id));
    }
    for (size_t i = wire.size(); i-- > 1;) {
      if (below(2) == 0) std::swap(wire[i], wire[i - below(std::min<size_t>(i, 4)) - 1]);
    }
    for (const Octets& packet : wire) {
      const auto whole = give(packet);
      if (!whole) continue;
      ++delivered;
      EXPECT_EQ(whole->verdict, FrameVerdict::udp);
      ASSERT_GE(payload_.size(), 4u);
      Octets expected = telling(load_be32(payload_.data()));
      store_be32(expected.data(), static_cast<uint32_t>(expected.size()));
      EXPECT_EQ(payload_, expected);
    }
    now_ns_ += kNsPerSec;
  }
  EXPECT_GT(delivered, 1000u);
  reassembler_->give_up_all();
  EXPECT_EQ(waiting(), 0u);
  EXPECT_EQ(given_, reassembler_->counters().fragments.total());
}

}  // namespace
}  // namespace weir::packet
