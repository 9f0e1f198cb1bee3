#include "lab/replay_rewrite.h"

#include <cstring>

#include "base/byte_order.h"
#include "base/clock.h"
#include "packet/checksum.h"

namespace weir::lab {

namespace {

constexpr uint32_t kExportersV4 = 0xC6120000;  // 198.18.0.0/15, RFC 2544
constexpr uint8_t kExportersV6[12] = {0x20, 0x01, 0x0d, 0xb8, 0, 0xe, 0, 0, 0, 0, 0, 0};  // 2001:db8:e::/96
constexpr size_t kUdpOctets = 8;

bool is_v4(const uint8_t* ip) noexcept { return ip[0] >> 4 == 4; }

void store_exporter(uint8_t* at, size_t octets, uint32_t exporter) noexcept {
  if (octets == 4) return store_be32(at, kExportersV4 + exporter);
  std::memcpy(at, kExportersV6, sizeof kExportersV6);
  store_be32(at + sizeof kExportersV6, exporter);
}

}  // namespace

void renew_checksums(std::span<uint8_t> frame, size_t ip_at, size_t payload_at) noexcept {
  uint8_t* const ip = frame.data() + ip_at;
  uint8_t* const udp = frame.data() + payload_at - kUdpOctets;
  store_be16(udp + 6, 0);
  if (is_v4(ip)) {
    const size_t header_octets = size_t{ip[0] & 0xfu} * 4;
    store_be16(ip + 10, 0);
    store_be16(ip + 10, packet::ChecksumSum().add({ip, header_octets}).complement());
    return;
  }
  const uint16_t udp_octets = load_be16(udp + 4);
  const uint16_t sum = packet::ChecksumSum()
                           .add_pseudo_header(IpAddress::from_v6(ip + 8), IpAddress::from_v6(ip + 24), 17, udp_octets)
                           .add({udp, udp_octets})
                           .complement();
  store_be16(udp + 6, sum == 0 ? 0xffff : sum);
}

void ReplayRewriter::write_source(const ReplayFrame& frame, uint32_t copy, uint8_t* out) const noexcept {
  const uint32_t exporter = frame.source * copies_ + copy;
  uint8_t* const ip = out + frame.ip_at;
  store_exporter(ip + (is_v4(ip) ? 12 : 8), is_v4(ip) ? 4 : 16, exporter);
  const ReplayHeader& h = frame.header;
  if (h.agent_at != ReplayHeader::kNone) store_exporter(out + frame.payload_at + h.agent_at, h.agent_octets, exporter);
}

void ReplayRewriter::write(const ReplayFrame& frame, uint32_t copy, uint64_t round, uint64_t wall_ns,
                           uint8_t* out) const noexcept {
  const auto octets = frames_.octets_of(frame);
  std::memcpy(out, octets.data(), octets.size());
  if (copies_ > 1) write_source(frame, copy, out);
  uint8_t* const payload = out + frame.payload_at;
  const ReplayHeader& h = frame.header;
  if (frame.stream != ReplayFrame::kNoStream) {
    const ReplayStream& stream = frames_.stream(frame.stream);
    const uint32_t sequence = load_be32(payload + h.sequence_at);
    store_be32(payload + h.sequence_at, sequence + static_cast<uint32_t>(round * (stream.end - stream.first)));
  }
  if (h.seconds_at != ReplayHeader::kNone) store_be32(payload + h.seconds_at, static_cast<uint32_t>(wall_ns / kNsPerSec));
  if (h.nanoseconds_at != ReplayHeader::kNone) {
    store_be32(payload + h.nanoseconds_at, static_cast<uint32_t>(wall_ns % kNsPerSec));
  }
  renew_checksums({out, octets.size()}, frame.ip_at, frame.payload_at);
}

}  // namespace weir::lab
