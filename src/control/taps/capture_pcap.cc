#include "control/taps/capture_pcap.h"

#include <algorithm>

#include "lab/capture_file.h"
#include "lab/frame_builder.h"

namespace weir::control {
namespace {

constexpr size_t kUdpOctets = 8;
constexpr size_t kIpv4Octets = 20;

lab::Octets packet_around(const dataplane::DatagramView& datagram) {
  const dataplane::DatagramNote& note = datagram.note;
  const bool is_v4 = note.source.is_v4();
  const lab::UdpEnds ends{.src = note.source,
                          .dst = is_v4 && note.destination == IpAddress{} ? IpAddress::from_v4(0u) : note.destination,
                          .src_port = note.source_port,
                          .dst_port = note.local_port};
  const lab::Octets payload(datagram.octets.begin(), datagram.octets.end());
  if (note.kept_octets == note.octets) return lab::udp_packet(ends, payload);
  const auto udp_octets = static_cast<uint16_t>(kUdpOctets + note.payload_octets);
  const lab::Octets segment =
      lab::udp_segment(ends, payload, {.length = udp_octets, .checksum = uint16_t{0}});
  if (!is_v4)
    return lab::ipv6_packet({.src = ends.src, .dst = ends.dst, .payload_length = udp_octets}, segment);
  return lab::ipv4_packet({.src = ends.src,
                           .dst = ends.dst,
                           .total_length = static_cast<uint16_t>(kIpv4Octets + udp_octets)},
                          segment);
}

}  // namespace

Result<std::string> pcap_of(std::vector<dataplane::DatagramView> datagrams) {
  std::stable_sort(datagrams.begin(), datagrams.end(), [](const auto& a, const auto& b) {
    return a.note.received_ns < b.note.received_ns;
  });
  Result<lab::CaptureWriter> writer = lab::CaptureWriter::in_memory(packet::LinkType::raw_ip);
  if (!writer) return writer.error();
  for (const dataplane::DatagramView& datagram : datagrams) {
    const uint32_t missing = datagram.note.octets - datagram.note.kept_octets;
    Result<void> written;
    if (datagram.note.header_octets != 0) {
      written = writer->write(datagram.octets, datagram.note.received_ns, datagram.note.octets);
    } else {
      const lab::Octets packet = packet_around(datagram);
      written = writer->write(packet, datagram.note.received_ns,
                              static_cast<uint32_t>(packet.size()) + missing);
    }
    if (!written) return written.error();
  }
  return writer->take();
}

}  // namespace weir::control
