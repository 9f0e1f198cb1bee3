// outbound_batch.h — A sealed run of encoded records: what is published, acknowledged, retried, counted.
//
// Owns:     a fixed buffer, made at start, that travels rx_lcore → control_thread → publisher_thread
//           and back; at any time exactly one of them may touch it.
// Bounds:   capacity octets.
//
// The payload is a flowpb.FlowBatch, or its like of another kind: for each record 0x0A, its length as a
// varint, and the message. Other framings are made from it by the publisher. What comes with headers of its
// own is published as it is, by JetStream only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/named_enum.h"
#include "flow/export_header.h"

namespace weir::outbound {

/// What a batch holds; a batch holds one kind. The names are the values of the header Weir-Kind.
#define WEIR_RECORD_KINDS(X) X(flow) X(sflow_counters) X(sflow_discard)
WEIR_NAMED_ENUM(RecordKind, uint8_t, WEIR_RECORD_KINDS)

/// Under what a batch was to be published when it went to disk: so it is published now.
struct ReplayedAs {
  std::string id;
  std::string subject;
};

/// What a message says of itself, beside its id: name and value.
using BatchHeaders = std::vector<std::pair<std::string, std::string>>;

/// Whose records a batch holds: a run of one exporter's.
struct BatchOrigin {
  IpAddress exporter;  // unspecified: what found no place in the list
  uint32_t records = 0;
};

struct OutboundBatch {
  RouteId route;
  RecordKind kind = RecordKind::flow;
  uint16_t core = 0;
  uint32_t records = 0;
  // Of all its records, where the route's subject names them; else of the first.
  FlowType type = FlowType::unknown;
  IpAddress exporter;
  uint64_t sequence = 0;  // per core, from 1, without gaps; part of the message's id
  uint64_t first_received_ns = 0;
  uint64_t last_received_ns = 0;
  uint64_t opened_steady_ns = 0;  // its first record came by then; 0: in the burst that filled it
  uint64_t sealed_steady_ns = 0;

  uint8_t* data = nullptr;
  uint32_t octets = 0;
  uint32_t capacity = 0;

  // The control thread's: how many publishers still hold the batch.
  uint16_t references = 0;

  // The spool's, and whoever's messages have names of their own; null: sealed in this run.
  const ReplayedAs* replayed_as = nullptr;
  // Not null: the payload is no FlowBatch but one message as it is, never divided, with these headers.
  const BatchHeaders* headers = nullptr;

  // Whose the records are, as far as the list goes, for whoever counts what was lost.
  std::span<BatchOrigin> origin_room{};
  uint16_t origins = 0;

  std::span<const uint8_t> payload() const noexcept { return {data, octets}; }
};

}  // namespace weir::outbound
