// discard_publisher.h — Batches to nowhere: each is acknowledged as it comes. For measuring what lies before a broker.
//
// Runs on:  publisher_thread; counters on any.
#pragma once

#include "export/publisher.h"

namespace weir::outbound {

class DiscardPublisher final : public Publisher {
 public:
  DiscardPublisher() { counters_.connected.set(1); }

  std::string_view kind() const noexcept override { return "discard"; }
  bool submit(OutboundBatch& batch, OutcomeSink& outcomes) override {
    counters_.messages.add(1);
    counters_.octets.add(batch.octets);
    counters_.acknowledgements.add(1);
    outcomes.on_outcome({.batch = &batch, .acknowledged = true});
    return true;
  }
  void poll(int, OutcomeSink&) override {}
  void drain(const std::atomic<uint64_t>&, OutcomeSink&) override {}
  size_t in_flight() const noexcept override { return 0; }
  const PublisherCounters& counters() const noexcept override { return counters_; }
  std::string last_error() const override { return {}; }

 private:
  PublisherCounters counters_;
};

}  // namespace weir::outbound
