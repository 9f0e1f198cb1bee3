// memory_wire.h — Frames that lie in a port's buffers already: a NIC writes them there itself, so that nothing copies.
//
// A net_null port gives empty buffers; what comes out of it here are others that have frames in them, first in, first out,
// as from a ring of descriptors. All of them come round again, so a burst is as cold as there are frames.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "lab/frame_builder.h"

struct rte_mbuf;
struct rte_mempool;

namespace weir::perf {

class MemoryWire {
 public:
  /// The device for frames of so many octets.
  static std::string device(size_t frame_octets) {
    return "net_null0,copy=0,size=" + std::to_string(frame_octets);
  }
  /// Lays `frames` into the buffers of that device's queue 0, filled up with zeros to the longest of them. Between DataPlane::create and
  /// start; lives as long as the plane runs.
  static Result<std::unique_ptr<MemoryWire>> lay(const std::vector<lab::Octets>& frames);

 private:
  MemoryWire() = default;
  static uint16_t swap(uint16_t port, uint16_t queue, rte_mbuf* mbufs[], uint16_t count, uint16_t room, void* wire);

  std::vector<rte_mbuf*> ring_;
  size_t at_ = 0;
  uint16_t frame_octets_ = 0;
};

/// What a port of such frames needs: the ring, a burst, and what caches keep.
constexpr uint32_t memory_wire_mbufs(size_t frames) { return static_cast<uint32_t>(2 * frames - 1); }

}  // namespace weir::perf
