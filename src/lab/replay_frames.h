// replay_frames.h — Captures in memory, with what a replay must know to make them go on for ever: whose a frame is,
// and how far each sequence of numbers comes in one round.
//
// Spec:     the headers of NetFlow v1, v5, v7 (Cisco), v9 (RFC 3954 §5.1), IPFIX (RFC 7011 §3.1), sFlow v5 §5.
// Bounds:   kReplayOctetsMax of frames, kReplayFramesMax of them.
// Failure:  Error with the file's name, or that there is no memory. What cannot be replayed (no UDP over IP, fragments, cut short in the capture, longer
//           than kReplayFrameOctetsMax, to port 0) is left out and counted.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "base/result.h"

namespace weir::lab {

inline constexpr uint64_t kReplayOctetsMax = 4ull << 30;
inline constexpr uint64_t kReplayFramesMax = 50'000'000;
inline constexpr uint32_t kReplayFrameOctetsMax = 65'000;  // what a port's buffer has room for

/// Where the export header says a number that goes on from datagram to datagram, and a time.
struct ReplayHeader {
  static constexpr uint8_t kNone = 0;  // no header begins with one of these
  uint8_t sequence_at = kNone;         // 32 bits each
  uint8_t seconds_at = kNone;          // since 1970
  uint8_t nanoseconds_at = kNone;      // of that second
  uint8_t agent_at = kNone;            // sFlow: the agent's address
  uint8_t agent_octets = 0;
};

struct ReplayFrame {
  static constexpr uint32_t kNoStream = UINT32_MAX;
  uint64_t at = 0;             // in the octets of all frames
  uint64_t after_ns = 0;       // the first frame, as captured
  uint32_t octets = 0;
  uint32_t records = 0;        // flows that one decoder found in it, what had waited for a template included
  uint32_t source = 0;         // in ReplayFrames::sources
  uint32_t stream = kNoStream; // in ReplayFrames::streams
  uint16_t ip_at = 0;          // in the frame
  uint16_t payload_at = 0;
  ReplayHeader header;
};

/// The numbers of one exporter's domain, engine or sub-agent.
struct ReplayStream {
  uint32_t first = 0;
  uint32_t end = 0;  // what the next round begins with
};

class ReplayFrames {
 public:
  static Result<ReplayFrames> load(std::span<const std::string> paths);

  std::span<const ReplayFrame> frames() const noexcept { return frames_; }
  std::span<const uint8_t> octets_of(const ReplayFrame& frame) const noexcept {
    return {octets_.data() + frame.at, frame.octets};
  }
  /// Exporters: their addresses; one that has several sFlow agents as often.
  std::span<const IpAddress> sources() const noexcept { return sources_; }
  const ReplayStream& stream(uint32_t index) const noexcept { return streams_[index]; }
  const std::set<uint16_t>& udp_ports() const noexcept { return udp_ports_; }  // that they are for

  uint64_t octets() const noexcept { return octets_.size(); }
  uint64_t records() const noexcept { return records_; }       // of a round
  uint64_t duration_ns() const noexcept { return duration_ns_; }  // as captured, with the way to the next round
  uint32_t frame_octets_max() const noexcept { return frame_octets_max_; }
  uint64_t left_out() const noexcept { return left_out_; }

 private:
  class Loader;

  std::vector<uint8_t> octets_;
  std::vector<ReplayFrame> frames_;
  std::vector<IpAddress> sources_;
  std::vector<ReplayStream> streams_;
  std::set<uint16_t> udp_ports_;
  uint64_t records_ = 0;
  uint64_t duration_ns_ = 0;
  uint64_t left_out_ = 0;
  uint32_t frame_octets_max_ = 0;
};

}  // namespace weir::lab
