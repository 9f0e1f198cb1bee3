// batches.h — Batches as the batcher hands them on, built with protobuf's own classes, and what becomes
// of them.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "export/outbound_batch.h"
#include "export/publisher.h"
#include "flow.pb.h"

namespace weir::test {

/// A batch and its octets. Its records differ from each other and from those of other batches.
struct BatchBox {
  outbound::OutboundBatch batch;
  std::string octets;
  flowpb::FlowBatch flows;

  BatchBox(uint64_t sequence, uint32_t records, uint16_t route = 0, uint16_t core = 3) {
    for (uint32_t i = 0; i < records; ++i) {
      flowpb::FlowMessage& flow = *flows.add_flows();
      flow.set_type(flowpb::NETFLOW_V9);
      flow.set_sequence_num(static_cast<uint32_t>(sequence));
      flow.set_time_received_ns(1'700'000'000'000'000'000 + sequence);
      flow.set_src_addr(std::string("\xC0\x00\x02\x01", 4));
      flow.set_dst_addr(std::string("\xC6\x33\x64\x07", 4));
      flow.set_src_port(1024 + i);
      flow.set_dst_port(443);
      flow.set_bytes(sequence * 1000 + i);
      flow.set_packets(1 + i);
      flow.set_server_name("flow-" + std::to_string(sequence) + "-" + std::to_string(i) +
                           ".example.net");
    }
    octets = flows.SerializeAsString();
    batch.route = RouteId{route};
    batch.core = core;
    batch.records = records;
    batch.sequence = sequence;
    batch.data = reinterpret_cast<uint8_t*>(octets.data());
    batch.octets = batch.capacity = static_cast<uint32_t>(octets.size());
  }
  BatchBox(const BatchBox&) = delete;
  BatchBox& operator=(const BatchBox&) = delete;
};

/// Keeps the publisher's ledger: submitted = acknowledged + failed, each batch once.
class OutcomeLedger final : public outbound::OutcomeSink {
 public:
  void on_outcome(const outbound::Outcome& outcome) override {
    ++reported[outcome.batch];
    if (outcome.acknowledged) {
      ++acknowledged;
      duplicates += outcome.duplicate ? 1 : 0;
    } else {
      ++failed;
      ++failures[outcome.failure];
    }
  }
  void expect_balance(size_t submitted) const {
    EXPECT_EQ(submitted, acknowledged + failed);
    EXPECT_EQ(reported.size(), submitted);
    for (const auto& [batch, times] : reported) {
      EXPECT_EQ(times, 1) << "batch " << batch->sequence << " was reported more than once";
    }
  }

  size_t acknowledged = 0;
  size_t duplicates = 0;
  size_t failed = 0;
  std::map<outbound::DeliveryFailure, size_t> failures;
  std::map<const outbound::OutboundBatch*, int> reported;
};

}  // namespace weir::test
