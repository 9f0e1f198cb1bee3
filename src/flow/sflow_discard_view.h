// sflow_discard_view.h — The octets of a flowpb.SflowDiscard → its packet, a flowpb.FlowMessage, and why it was discarded.
//
// Spec:     protobuf encoding; proto/sflow.proto. The other fields (the sample's own) are skipped.
// Runs on:  any thread. Pure, no allocation.
// Failure:  false for octets that are no message, or one without a packet; the packet's own octets are not looked at.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "flow/flow_parser.h"

namespace weir {

struct SflowDiscardView {
  std::span<const uint8_t> packet;  // into the message
  uint32_t reason = 0;              // flowpb.SflowDropReason: 0, which no octets say, is one too
};

inline bool parse_sflow_discard(std::span<const uint8_t> message, SflowDiscardView& view) noexcept {
  constexpr uint64_t kPacket = 2 << 3 | 2, kReason = 3 << 3;  // numbers and wire types
  bool has_packet = false;
  view = {};
  for (WireCursor at{message.data(), message.data() + message.size()}; !at.at_end();) {
    uint64_t key = 0, number = 0;
    std::string_view octets;
    if (!at.varint(key)) return false;
    if (key == kPacket) {
      if (!at.octets(octets)) return false;
      view.packet = {reinterpret_cast<const uint8_t*>(octets.data()), octets.size()};
      has_packet = true;
    } else if (key == kReason) {
      if (!at.varint(number)) return false;
      view.reason = static_cast<uint32_t>(number);
    } else if (!at.skip(key & 7)) {
      return false;
    }
  }
  return has_packet;
}

}  // namespace weir
