// replay_capture.h — A capture for net_pcap to replay for ever: more exporters and frames than fit into L2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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

/// Writes it to `path`, with `records` a datagram (0: what fits into 1472 octets); how many frames.
inline Result<uint64_t> write_replay_capture(lab::ExportProtocol protocol, uint32_t records,
                                             const std::string& path,
                                             ReplayContent content = ReplayContent::exports) {
  constexpr uint64_t kStartNs = 1'755'636'366'000'000'000;
  auto writer = lab::CaptureWriter::create(path, packet::LinkType::ethernet);
  if (!writer) return writer.error();
  std::vector<lab::ExporterModel> exporters;
  for (uint32_t i = 0; i < kReplayExporters; ++i) {
    exporters.emplace_back(lab::ExporterModelConfig{
        .protocol = protocol, .flows = records, .index = i, .start_ns = kStartNs});
  }
  lab::ExportDatagram datagram;
  uint64_t frames = 0;
  for (uint32_t round = 0; round < kReplayRounds; ++round) {
    for (uint32_t i = 0; i < kReplayExporters; ++i) {
      exporters[i].next(kStartNs + round * kNsPerMs, datagram);
      if (content == ReplayContent::garbage) datagram.octets[0] = 0xff;  // no version
      const lab::UdpEnds ends{.src = IpAddress::from_v4(0xC6120000u + i),  // 198.18.0.0/15
                              .dst = "192.0.2.1",
                              .src_port = 40'000,
                              .dst_port = kReplayPort};
      if (!writer->write(lab::udp_frame(ends, datagram.octets), kStartNs)) {
        return Error{"cannot write " + path};
      }
      ++frames;
    }
  }
  if (!writer->close()) return Error{"cannot write " + path};
  return frames;
}

}  // namespace weir::perf
