// replay_capture.h — Frames to receive over and over, more exporters and octets than fit into L2, as they are or as a capture for net_pcap.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "lab/capture_file.h"
#include "lab/exporter_model.h"
#include "lab/frame_builder.h"

namespace weir::perf {

inline constexpr uint16_t kReplayPort = 2055;
inline constexpr uint32_t kReplayExporters = 256;
inline constexpr uint32_t kReplayRounds = 16;

/// What a benchmark's --protocol names.
inline std::optional<lab::ExportProtocol> replay_protocol(std::string_view name) {
  if (name == "netflow_v5") return lab::ExportProtocol::netflow_v5;
  if (name == "netflow_v9") return lab::ExportProtocol::netflow_v9;
  if (name == "ipfix") return lab::ExportProtocol::ipfix;
  return std::nullopt;
}

/// Whether what is replayed can be decoded.
enum class ReplayContent : uint8_t { exports, garbage };

struct ReplayTraffic {
  lab::ExportProtocol protocol = lab::ExportProtocol::netflow_v5;
  uint32_t records = 0;  // a datagram; 0: what fits into 1472 octets
  ReplayContent content = ReplayContent::exports;
  uint32_t exporters = kReplayExporters;
};

/// As they are sent from `start_ns` on: kReplayRounds rounds of all exporters in turn.
inline std::vector<lab::Octets> replay_frames(const ReplayTraffic& traffic, uint64_t start_ns) {
  std::vector<lab::ExporterModel> exporters;
  for (uint32_t i = 0; i < traffic.exporters; ++i) {
    exporters.emplace_back(lab::ExporterModelConfig{
        .protocol = traffic.protocol, .flows = traffic.records, .index = i, .start_ns = start_ns});
  }
  lab::ExportDatagram datagram;
  std::vector<lab::Octets> frames;
  for (uint32_t round = 0; round < kReplayRounds; ++round) {
    for (uint32_t i = 0; i < traffic.exporters; ++i) {
      exporters[i].next(start_ns + round * kNsPerMs, datagram);
      if (traffic.content == ReplayContent::garbage) datagram.octets[0] = 0xff;  // no version
      const lab::UdpEnds ends{.src = IpAddress::from_v4(0xC6120000u + i),  // 198.18.0.0/15
                              .dst = "192.0.2.1",
                              .src_port = 40'000,
                              .dst_port = kReplayPort};
      frames.push_back(lab::udp_frame(ends, datagram.octets));
    }
  }
  return frames;
}

/// Writes such frames to `path`; how many.
inline Result<uint64_t> write_replay_capture(const ReplayTraffic& traffic, const std::string& path) {
  constexpr uint64_t kStartNs = 1'755'636'366'000'000'000;
  auto writer = lab::CaptureWriter::create(path, packet::LinkType::ethernet);
  if (!writer) return writer.error();
  const std::vector<lab::Octets> frames = replay_frames(traffic, kStartNs);
  for (const lab::Octets& frame : frames) {
    if (!writer->write(frame, kStartNs)) return Error{"cannot write " + path};
  }
  if (!writer->close()) return Error{"cannot write " + path};
  return frames.size();
}

}  // namespace weir::perf
