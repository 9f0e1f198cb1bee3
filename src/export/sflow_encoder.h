// sflow_encoder.h — Counter samples and discarded packets → the octets of their messages.
//
// Spec:     proto/sflow.proto; flow/counter_layouts.h says which value of a block is which field.
// Runs on:  rx_lcore; one a core. No allocation after it is made.
// Owns:     room for one message; what is returned lies there until the next call.
// Bounds:   kSampleMessageOctetsMax, which no sample of a datagram reaches.
// Failure:  none. Text that is not UTF-8 gets a ? for each octet that is none.
//
// Fields come in the order of their numbers and lengths are minimal, so the octets are those that
// protobuf's own serializer would write; only the packet of a discard has the encoder's order.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "export/encoder.h"
#include "flow/sflow_samples.h"

namespace weir::outbound {

/// A value of four octets takes at most eleven (-1), a block of eight at most twenty more.
inline constexpr size_t kSampleMessageOctetsMax = 3 * 65'536 + 4096;

class SflowEncoder {
 public:
  explicit SflowEncoder(Kernel kernel = best_kernel());

  /// A flowpb.SflowCounters, without framing.
  std::span<const uint8_t> encode(const SflowCounters& sample) noexcept;
  /// A flowpb.SflowDiscard, without framing.
  std::span<const uint8_t> encode(const SflowDiscard& discard) noexcept;

 private:
  Encoder encoder_;
  std::unique_ptr<uint8_t[]> room_;
};

}  // namespace weir::outbound
