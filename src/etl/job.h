// job.h — A message in hand, what is published because of it, and the memory that events are written to.
//
// Runs on:  etl_thread.
// Owns:     a job its message; a buffer its octets. What is outgoing refers to both until its outcome is known.
// Bounds:   as many jobs as messages in hand, and so many buffers and outgoing messages as are made at start.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "etl/rules_in_use.h"
#include "feed/source_message.h"
#include "export/batch_reader.h"
#include "export/jetstream_consumer.h"
#include "export/outbound_batch.h"

namespace weir::etl {

using feed::DeadReason;

/// Filled from the front by one job after the other; empty again when all that lies in it is settled.
struct EventBuffer {
  explicit EventBuffer(size_t size) : octets(std::make_unique<uint8_t[]>(size)), capacity(size) {}
  const std::unique_ptr<uint8_t[]> octets;
  const size_t capacity;
  size_t used = 0;
  uint32_t holders = 0;
};

struct Job {
  explicit Job(outbound::Delivery&& d) : delivery(std::move(d)) {}

  outbound::Delivery delivery;
  std::string id;  // of the message: what the ids of all that comes of it begin with
  uint64_t prolonged_ns = 0;

  // Once it is begun.
  std::shared_ptr<const RulesInUse> rules;  // one set for all its records
  std::shared_ptr<const enrich::NamesTable> names;  // likewise; null: none
  feed::SourceMessage source;
  outbound::BatchWalk walk{{}};
  uint32_t next_index = 0;    // of the record to read
  uint32_t slice_index = 0;   // of the first record that belongs to the next message of events
  uint32_t open = 0;          // outgoing, without an outcome
  uint32_t buried_open = 0;   // of these, records that lie in `source`
  size_t unpacked_octets = 0; // that `source` takes beside the message
  bool is_read = false;       // to its end, or given up
  bool has_failed = false;    // it is to be delivered again
  bool goes_again = false;    // it is to be worked on again, by other rules
  std::optional<DeadReason> dead;  // as a whole
  size_t place = 0;           // among those that are begun

  bool is_suspect() const noexcept { return delivery.deliveries > 1; }
  bool is_settled() const noexcept { return is_read && open == 0; }
};

/// A message to be published: events, or what no event can be made of.
struct Outgoing : outbound::OutboundBatch {
  Job* job = nullptr;
  EventBuffer* buffer = nullptr;     // null: the octets are the job's
  std::optional<DeadReason> dead;    // of a record; null too for events
  bool is_decided = false;           // results of a decision file
  outbound::ReplayedAs as;
  outbound::BatchHeaders own_headers;
};

}  // namespace weir::etl
