// fake_publisher.h — A Publisher whose fate a test decides.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "export/publisher.h"

namespace weir::test {

/// Takes up to `window` batches and settles them as `mode` says, in order.
class FakePublisher final : public outbound::Publisher {
 public:
  /// hang: no call returns, whatever the deadline, as in a write to a file system that is frozen.
  /// fail: refused for good; away: not now.
  enum class Mode { acknowledge, hold, fail, away, hang };

  explicit FakePublisher(size_t window, Mode mode = Mode::acknowledge)
      : window_(window), mode_(mode) {
    counters_.connected.set(1);
  }

  void set_mode(Mode mode) { mode_.store(mode); }
  /// Records of the batches that were submitted, in order. Read when the thread has ended.
  const std::vector<uint64_t>& sequences_seen() const { return *sequences_seen_; }
  /// The same, to be kept when the publisher is gone.
  std::shared_ptr<const std::vector<uint64_t>> kept_sequences() const { return sequences_seen_; }

  uint64_t patience() const noexcept { return patience_ns(); }
  const std::vector<std::string>& replays_seen() const { return replays_seen_; }

  std::string_view kind() const noexcept override { return "fake"; }

  bool submit(outbound::OutboundBatch& batch, outbound::OutcomeSink&) override {
    if (held_.size() >= window_) return false;
    sequences_seen_->push_back(batch.sequence);
    if (batch.replayed_as != nullptr) replays_seen_.push_back(batch.replayed_as->id);
    held_.push_back(&batch);
    in_flight_.store(held_.size());
    return true;
  }

  void poll(int wait_ms, outbound::OutcomeSink& outcomes) override {
    while (mode_.load() == Mode::hang) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (mode_.load() == Mode::hold) {
      if (wait_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return;
    }
    while (!held_.empty()) settle(outcomes);
  }

  void drain(const std::atomic<uint64_t>& deadline_steady_ns,
             outbound::OutcomeSink& outcomes) override {
    while (mode_.load() == Mode::hang) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    while (!held_.empty() && steady_clock_ns() < deadline_steady_ns) poll(1, outcomes);
    while (!held_.empty()) {
      outbound::OutboundBatch* batch = held_.front();
      held_.pop_front();
      outcomes.on_outcome(
          {.batch = batch, .failure = outbound::DeliveryFailure::shutdown_deadline});
    }
    in_flight_.store(0);
  }

  size_t in_flight() const noexcept override { return in_flight_.load(); }
  const outbound::PublisherCounters& counters() const noexcept override { return counters_; }
  std::string last_error() const override { return mode_.load() == Mode::away ? "no broker" : ""; }

 private:
  void settle(outbound::OutcomeSink& outcomes) {
    outbound::OutboundBatch* batch = held_.front();
    held_.pop_front();
    in_flight_.store(held_.size());
    if (mode_.load() == Mode::away) {
      outcomes.on_outcome({.batch = batch, .failure = outbound::DeliveryFailure::not_connected});
    } else if (mode_.load() == Mode::fail) {
      outcomes.on_outcome({.batch = batch, .failure = outbound::DeliveryFailure::rejected});
    } else {
      outcomes.on_outcome({.batch = batch, .acknowledged = true});
    }
  }

  const size_t window_;
  std::atomic<Mode> mode_;
  std::deque<outbound::OutboundBatch*> held_;
  std::atomic<size_t> in_flight_{0};
  const std::shared_ptr<std::vector<uint64_t>> sequences_seen_ = std::make_shared<std::vector<uint64_t>>();
  std::vector<std::string> replays_seen_;  // their ids
  outbound::PublisherCounters counters_;
};

}  // namespace weir::test
