// encoder.h — FlowRecord → the octets of a flowpb.FlowMessage.
//
// Spec:     proto/flow.proto; docs/FLOW_MESSAGE.md. Zero and empty fields are left out (proto3).
// Runs on:  rx_lcore. Pure.
// Bounds:   writes at most octets_max(prefix, record) octets a record; loads nothing outside
//           the record, the prefix and the arena; references that leave the arena are cut to it.
// Failure:  none. Text that is not UTF-8 gets a ? for each octet that is none, since protobuf's
//           readers would refuse the whole batch.
//
// Lengths and varints are minimal, so the octets depend on the records alone. Which fields there
// are comes from `blocks`, `addresses` and `arena_parts` of the record: what they deny is not looked
// at.
//
// The portable kernel is the specification; the AVX-512 VBMI2 one is chosen once at start where the
// CPU has it, and is fuzzed against it.
#pragma once

#include <cstdint>
#include <span>

#include "base/kernel.h"
#include "flow/export_header.h"

namespace weir::outbound {

using weir::best_kernel;
using weir::Kernel;

/// A record without arena fields, with its FlowBatch framing, takes at most this much beside the
/// prefix. Kernels may store (not write) up to kStoreSlackOctets beyond what they return.
inline constexpr size_t kFlatRecordOctetsMax = 768;
inline constexpr size_t kStoreSlackOctets = 64;
inline constexpr size_t kPrefixOctetsMax = 1024;

/// What all records of a datagram begin with, encoded once. Text is cut to kStringOctetsMax.
class HeaderPrefix {
 public:
  explicit HeaderPrefix(const ExportHeader& header) noexcept;
  std::span<const uint8_t> octets() const noexcept { return {octets_, length_}; }

 private:
  alignas(64) uint8_t octets_[kPrefixOctetsMax];
  uint32_t length_;
};

class Encoder {
 public:
  explicit Encoder(Kernel kernel = best_kernel()) noexcept;

  /// Upper bound for `record` behind `prefix`, framing included.
  static size_t octets_max(const HeaderPrefix& prefix, const FlowRecord& record) noexcept {
    const size_t flat = prefix.octets().size() + kFlatRecordOctetsMax;
    return record.arena_parts == 0 ? flat : flat + arena_octets_max(record);
  }

  /// Writes 0x0A, length, FlowMessage for each record; returns the octets written. `out` has room
  /// for Σ octets_max + kStoreSlackOctets.
  size_t encode(const HeaderPrefix& prefix, std::span<const FlowRecord> records,
                const uint8_t* arena, uint8_t* out) const noexcept;

 private:
  static size_t arena_octets_max(const FlowRecord& record) noexcept;

  Kernel kernel_;
};

}  // namespace weir::outbound
