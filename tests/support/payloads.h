// payloads.h — The export datagrams of a capture file, of a frame, or of a file of messages.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <vector>

#include "base/byte_order.h"
#include "lab/capture_file.h"
#include "packet/frame.h"

namespace weir::test {

struct Payload {
  std::vector<uint8_t> octets;
  IpAddress source;
  uint16_t source_port;
  uint64_t received_ns;
};

/// When what says no time is taken to have come.
inline constexpr uint64_t kPayloadsNow = 1'760'000'000ull * 1'000'000'000;

inline bool is_capture(const std::vector<uint8_t>& octets) {
  if (octets.size() < 4) return false;
  const uint32_t magic = load_be32(octets.data());
  return magic == 0xa1b2c3d4 || magic == 0xd4c3b2a1 || magic == 0xa1b23c4d || magic == 0x4d3cb2a1 ||
         magic == 0x0a0d0d0a;
}

/// Where the first message of a file of messages ends.
inline size_t message_octets(const uint8_t* p, size_t size) {
  const uint16_t version = size >= 4 ? load_be16(p) : 0;
  if (version == 5) return std::min<size_t>(size, 24 + 48 * size_t{load_be16(p + 2)});
  if (version == 10) return std::min(size, std::max<size_t>(16, load_be16(p + 2)));
  if (version != 9 || size < 20) return size;
  // v9 has no length: sets follow until a reserved id is really the next message's version.
  size_t at = 20;
  while (size - at >= 4) {
    const uint16_t id = load_be16(p + at);
    const uint16_t length = load_be16(p + at + 2);
    if (id == 5 || id == 9 || id == 10) break;
    if (length < 4 || length > size - at) return size;
    at += length;
  }
  return size - at < 4 ? size : at;
}

inline uint64_t export_time_ns(const std::vector<uint8_t>& octets) {
  if (octets.size() < 12) return kPayloadsNow;
  if (load_be16(octets.data()) == 0) return kPayloadsNow;  // sFlow tells no time
  const size_t at = load_be16(octets.data()) == 10 ? 4 : 8;
  return load_be32(octets.data() + at) * uint64_t{1'000'000'000};
}

/// Absent where the capture cannot be read.
inline std::optional<std::vector<Payload>> read_payloads(const std::filesystem::path& path) {
  std::vector<Payload> payloads;
  std::ifstream file(path, std::ios::binary);
  const std::vector<uint8_t> octets{std::istreambuf_iterator<char>(file), {}};
  if (const auto v = packet::parse_frame(octets, packet::LinkType::ethernet);
      path.extension() == ".frame" && v.verdict == packet::FrameVerdict::udp) {
    payloads.push_back({{v.payload.begin(), v.payload.end()}, v.src, v.src_port, kPayloadsNow});
    return payloads;
  }
  if (!is_capture(octets)) {
    for (size_t at = 0; at < octets.size();) {
      const size_t n = message_octets(&octets[at], octets.size() - at);
      const auto begin = octets.begin() + static_cast<std::ptrdiff_t>(at);
      Payload p{{begin, begin + static_cast<std::ptrdiff_t>(n)},
                IpAddress::from_v4(0xC0000201u),
                2055,
                0};
      p.received_ns = export_time_ns(p.octets);
      payloads.push_back(std::move(p));
      at += n;
    }
    return payloads;
  }
  auto reader = lab::CaptureReader::open(path.string());
  if (!reader) return std::nullopt;
  lab::CapturedFrame frame;
  for (;;) {
    const auto more = reader->next(frame);
    if (!more || !*more) break;
    const packet::FrameView view = packet::parse_frame(frame.octets, frame.link);
    if (view.verdict != packet::FrameVerdict::udp) continue;
    payloads.push_back(
        {{view.payload.begin(), view.payload.end()}, view.src, view.src_port, frame.timestamp_ns});
  }
  return payloads;
}

}  // namespace weir::test
