// source_message.h — A broker's message as a run of flows, or why it is none.
//
// Spec:     docs/FLOW_MESSAGE.md, "Messages on the broker": headers Weir-Framing, Weir-Compression, Weir-Records, Weir-Kind.
// Runs on:  any thread. Pure.
// Bounds:   what is packed unpacks to at most kUnframedOctetsMax.
// Failure:  a DeadReason. A message of which a part is not what it should be is none of it: nothing is guessed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/named_enum.h"
#include "export/framing.h"
#include "export/nats_client.h"

namespace weir::feed {

/// Why something goes to flows.dead.<reason>. The last two are of single records, the others of whole messages.
// clang-format off
#define WEIR_DEAD_REASONS(X)                                                                  \
  X(max_deliver) X(unknown_framing) X(unknown_compression) X(unknown_kind) X(not_flows)       \
  X(undecodable) X(malformed_record) X(event_too_large) X(no_decision)
// clang-format on
WEIR_NAMED_ENUM(DeadReason, uint8_t, WEIR_DEAD_REASONS)

constexpr bool is_of_record(DeadReason reason) noexcept {
  return reason == DeadReason::malformed_record || reason == DeadReason::event_too_large || reason == DeadReason::no_decision;
}

/// How many, by reason.
using DeadTally = std::array<uint64_t, static_cast<size_t>(DeadReason::count_)>;

/// A message that was delivered more often is not looked at any more: it may be what killed whoever had it.
inline constexpr uint64_t kDeliveriesMax = 5;

struct SourceMessage {
  std::span<const uint8_t> batch;  // a whole flowpb.FlowBatch, or its like of discards; into the message, or into `own`
  std::vector<uint8_t> own;
  bool are_discards = false;  // its records are flowpb.SflowDiscard
};

/// What a program makes something of.
enum class Takes : uint8_t { flows, flows_and_discards };

/// `otherwise`: the framing of messages without headers; nothing: as they look.
std::optional<DeadReason> open_message(const outbound::NatsReply& message, std::optional<outbound::Framing> otherwise,
                                       SourceMessage& opened, Takes takes = Takes::flows);

}  // namespace weir::feed
