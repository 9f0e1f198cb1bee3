// What was put together, as a packet that whoever takes whole ones understands.
#include "packet/joined_packet.h"

#include <gtest/gtest.h>

#include "lab/frame_builder.h"
#include "packet/reassembly.h"

namespace weir::packet {
namespace {

using namespace weir::lab;  // NOLINT: the pictures below are made of its words

const UdpEnds kV4 = {"192.0.2.1", "198.51.100.2", 40000, 53};
const UdpEnds kV6 = {"2001:db8::1", "2001:db8::2", 40000, 2049};
constexpr ChecksumPolicy kVerify = {.ip_header = ChecksumPolicy::Check::verify, .udp = ChecksumPolicy::Check::verify};

Octets telling(size_t size) {
  Octets octets(size);
  for (size_t i = 0; i < size; ++i) octets[i] = static_cast<uint8_t>(i * 7 + i / 256);
  return octets;
}

/// The packet that these frames make together; empty: none.
Octets joined(const std::vector<Octets>& frames) {
  Reassembler reassembler({}, 1234);
  for (const Octets& frame : frames) {
    FrameView view = parse_frame(frame, LinkType::ethernet);
    EXPECT_EQ(view.verdict, FrameVerdict::fragment);
    if (!reassembler.add(view, 1)) continue;
    std::array<uint8_t, kJoinedHeaderOctetsMax> headers{};
    const size_t octets = write_joined_headers(frame, view, reassembler.joined().size(), headers);
    Octets packet(headers.begin(), headers.begin() + static_cast<std::ptrdiff_t>(octets));
    packet.insert(packet.end(), reassembler.joined().begin(), reassembler.joined().end());
    return packet;
  }
  return {};
}

TEST(JoinedPacket, IsAWholePacketWithRightLengthsAndChecksums) {
  for (const UdpEnds& ends : {kV4, kV6}) {
    const bool is_v4 = ends.src.value.is_v4();
    const uint16_t type = is_v4 ? kEtherTypeIpv4 : kEtherTypeIpv6;
    const size_t most = 65535 - 8 - (is_v4 ? 20 : 0);
    for (const size_t size : {size_t{1473}, size_t{4000}, most}) {
      for (const size_t tags : {size_t{0}, size_t{1}, kVlanTagsMax}) {
        std::vector<Octets> frames;
        for (const Octets& piece : fragment_packets(ends, 7, udp_segment(ends, telling(size)), 1448)) {
          Octets inside = piece;
          uint16_t inside_type = type;
          for (size_t tag = 0; tag < tags; ++tag) {
            inside = vlan(static_cast<uint16_t>(tag + 1), inside_type, inside);
            inside_type = kTpid8021q;
          }
          frames.insert(frames.begin(), ethernet(inside_type, inside));  // the last piece first
        }
        const Octets packet = joined(frames);
        const FrameView whole = parse_frame(packet, LinkType::ethernet, kVerify);
        ASSERT_EQ(name_of(whole.verdict), name_of(FrameVerdict::udp)) << size << " octets, " << tags << " tags";
        EXPECT_EQ(whole.src, ends.src.value);
        EXPECT_EQ(whole.dst, ends.dst.value);
        EXPECT_EQ(whole.dst_port, ends.dst_port);
        EXPECT_EQ(whole.vlan_tags, tags);
        EXPECT_EQ(whole.dst_mac, parse_frame(frames[0], LinkType::ethernet).dst_mac);
        EXPECT_EQ(Octets(whole.payload.begin(), whole.payload.end()), telling(size));
        EXPECT_EQ(whole.payload.data() + whole.payload.size(), packet.data() + packet.size()) << "and nothing behind it";
      }
    }
  }
}

TEST(JoinedPacket, HasNoOptionsButWhatIsBehindTheFragmentHeader) {
  const Octets segment = udp_segment(kV4, telling(100));
  const auto with_options = [&](uint16_t flags_and_offset, size_t from, size_t to) {
    const Octets part(segment.begin() + static_cast<std::ptrdiff_t>(from), segment.begin() + static_cast<std::ptrdiff_t>(to));
    return ethernet(kEtherTypeIpv4,
                    ipv4_packet({.src = kV4.src, .dst = kV4.dst, .id = 7, .flags_and_offset = flags_and_offset, .options = zeros(8)}, part));
  };
  const Octets v4 = joined({with_options(0x2000, 0, 56), with_options(56 / 8, 56, segment.size())});
  EXPECT_EQ(parse_frame(v4, LinkType::ethernet, kVerify).verdict, FrameVerdict::udp);
  EXPECT_EQ(v4.size(), 14 + 20 + segment.size());

  const Octets options = ipv6_extension(kProtoUdp, filled(6, 1), udp_segment(kV6, telling(100)));
  std::vector<Octets> frames;
  for (size_t offset = 0; offset < options.size(); offset += 64) {
    const size_t size = std::min<size_t>(64, options.size() - offset);
    const auto begin = options.begin() + static_cast<std::ptrdiff_t>(offset);
    frames.push_back(ethernet(
        kEtherTypeIpv6,
        ipv6_packet({.src = kV6.src, .dst = kV6.dst, .next_header = kProtoHopByHop},
                    ipv6_extension(kProtoFragment, zeros(6),
                                   ipv6_fragment({.next_header = kProtoDestinationOptions,
                                                  .offset_octets = static_cast<uint16_t>(offset),
                                                  .more = offset + size < options.size(),
                                                  .id = 9},
                                                 Octets(begin, begin + static_cast<std::ptrdiff_t>(size)))))));
  }
  const Octets v6 = joined(frames);
  const FrameView whole = parse_frame(v6, LinkType::ethernet, kVerify);
  EXPECT_EQ(name_of(whole.verdict), name_of(FrameVerdict::udp));
  EXPECT_EQ(v6.size(), 14 + 40 + options.size());
}

}  // namespace
}  // namespace weir::packet
