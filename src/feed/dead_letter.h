// dead_letter.h — What cannot be used, as it is published to flows.dead.<reason>: its octets, its own headers, and where it came from.
//
// Spec:     docs/ETL.md, "What no event can be made of".
// Runs on:  any thread. Pure.
// Bounds:   what exceeds a message's room is cut, and Weir-Dead-Octets says how long it was.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "export/jetstream_consumer.h"
#include "export/outbound_batch.h"
#include "feed/source_message.h"

namespace weir::feed {

/// Its Nats-Msg-Id, or without one `stream`, its place in it and when it took it.
std::string id_of(const outbound::Delivery& delivery, const std::string& stream);

/// A message in hand, of which something is dead.
struct DeadSource {
  const outbound::Delivery& delivery;
  const std::string& id;      // id_of
  const std::string& stream;
  const std::string& subject_prefix;
  size_t payload_max = 0;     // of the server
};

/// Fills `letter`, which refers to `as`, `headers` and the source's octets. The message as it came.
void write_dead_message(const DeadSource& source, DeadReason reason, outbound::OutboundBatch& letter, outbound::ReplayedAs& as,
                        outbound::BatchHeaders& headers);
/// The same of one record, as a message of its own; those beside it are not dead. `detail`: what more there is to say, on one line; empty: nothing.
void write_dead_record(const DeadSource& source, DeadReason reason, uint32_t index, std::span<const uint8_t> record,
                       outbound::OutboundBatch& letter, outbound::ReplayedAs& as, outbound::BatchHeaders& headers, std::string_view detail = {});

}  // namespace weir::feed
