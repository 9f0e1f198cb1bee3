// batch_reader.h — What was written, read again: the messages of a batch, as octets or as
// FlowMessages.
//
// Spec:     flowpb.FlowBatch: for each record 0x0A, its length as a varint, the FlowMessage.
// Runs on:  any thread. Pure.
// Bounds:   each step consumes at least 2 octets; nothing outside the payload is read.
// Failure:  octets that are no batch end the walk, and it says so; whoever reads from a broker
//           counts them.
#pragma once

#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "flow.pb.h"

namespace weir::outbound {

/// A FlowBatch begins with the tag of its messages, which no message begins with.
inline bool looks_like_batch(std::span<const uint8_t> payload) noexcept {
  return !payload.empty() && payload[0] == 0x0a;
}

/// One message of a batch; both are views into the payload.
struct BatchEntry {
  std::span<const uint8_t> framed;   // with tag and length: part of a batch by itself
  std::span<const uint8_t> message;  // the FlowMessage alone: framing `single`
};

/// Walks a batch without parsing its messages.
class BatchWalk {
 public:
  explicit BatchWalk(std::span<const uint8_t> payload) noexcept : rest_(payload) {}

  /// False at the end, and at octets that are no batch.
  bool next(BatchEntry& entry) noexcept;
  /// After next() returned false: whether the whole payload was a batch.
  bool complete() const noexcept { return rest_.empty(); }

 private:
  std::span<const uint8_t> rest_;
};

struct ReadCounts {
  size_t flows = 0;      // or messages of another kind, handed on
  size_t malformed = 0;  // messages that protobuf refuses, and 1 where the walk ended early
};

/// Hands every message of a broker message to `on_message(const Message&)`, in order. The payload is
/// a batch, or a single Message (flowpb::FlowMessage, SflowCounters, SflowDiscard); its first octet
/// tells. One bad message costs no other.
template <class Message, class OnMessage>
ReadCounts read_messages(std::span<const uint8_t> payload, OnMessage&& on_message) {
  const google::protobuf::LogSilencer counted_not_logged;
  ReadCounts counts;
  Message parsed;
  const auto read = [&](std::span<const uint8_t> message) {
    if (parsed.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      ++counts.flows;
      on_message(static_cast<const Message&>(parsed));
    } else {
      ++counts.malformed;
    }
  };
  if (payload.size() > INT32_MAX) return {0, 1};
  if (!looks_like_batch(payload)) {
    read(payload);
    return counts;
  }
  BatchWalk walk(payload);
  for (BatchEntry entry; walk.next(entry);) read(entry.message);
  if (!walk.complete()) ++counts.malformed;
  return counts;
}

template <class OnFlow>
ReadCounts read_flows(std::span<const uint8_t> payload, OnFlow&& on_flow) {
  return read_messages<flowpb::FlowMessage>(payload, std::forward<OnFlow>(on_flow));
}

}  // namespace weir::outbound
