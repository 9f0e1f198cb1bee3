// replay_rewrite.h — A frame of a capture, made to say what it would say in a later round and as another exporter's.
//
// What goes on: sequence numbers, over rounds, and the time of export, which is now. What does not: an exporter's uptime,
// which goes back with each round as after a restart, and times and sequences inside of records and samples.
#pragma once

#include <cstdint>
#include <span>

#include "lab/replay_frames.h"

namespace weir::lab {

/// Exporters that captures are multiplied to, so that each has an address of its own: those of 198.18.0.0/15.
inline constexpr uint64_t kReplayExportersMax = 131'072;

class ReplayRewriter {
 public:
  /// `copies` exporters for each of the captures', 1: the captures' own. sources() × copies at most kReplayExportersMax.
  ReplayRewriter(const ReplayFrames& frames, uint32_t copies) : frames_(frames), copies_(copies) {}

  /// Writes the frame to `out`, which has room for its octets.
  void write(const ReplayFrame& frame, uint32_t copy, uint64_t round, uint64_t wall_ns, uint8_t* out) const noexcept;

  uint32_t copies() const noexcept { return copies_; }

 private:
  void write_source(const ReplayFrame& frame, uint32_t copy, uint8_t* out) const noexcept;

  const ReplayFrames& frames_;
  const uint32_t copies_;
};

/// After anything in it has changed: the IP header's checksum and UDP's are right again (under IPv4 there is none of UDP).
void renew_checksums(std::span<uint8_t> frame, size_t ip_at, size_t payload_at) noexcept;

}  // namespace weir::lab
