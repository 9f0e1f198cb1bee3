// publisher_thread.h — A Publisher on a thread of its own, between two rings.
//
// Runs on:  offer, take_outcome, begin_drain, finished: control_thread. The Publisher: its own thread.
// Bounds:   queue_batches_max waiting; what the publisher has in flight is the publisher's window.
// Failure:  offer returns false when the queue is full; the caller counts the batch as dropped.
//           Each batch taken comes back as exactly one Outcome, also at shutdown.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "base/waker.h"
#include "export/publisher.h"

namespace weir::control {

struct PublisherThreadConfig {
  std::string name;
  size_t queue_batches_max = 256;
  size_t batches_in_all =
      1024;  // that can exist: the outcome ring holds them all, so is never full
  std::string place;  // where only one may write at a time; empty: as many as like
};

class PublisherThread final : private outbound::OutcomeSink {
 public:
  /// `on_outcome_ready` is woken when there is an outcome to take; it outlives this object.
  PublisherThread(PublisherThreadConfig config, std::unique_ptr<outbound::Publisher> publisher,
                  Waker& on_outcome_ready);
  ~PublisherThread();

  /// An error: no thread can be made just now; again later.
  Result<void> start();
  bool has_started() const noexcept { return thread_.joinable(); }

  bool offer(outbound::OutboundBatch* batch) noexcept WEIR_RUNS_ON(control_thread);
  bool take_outcome(outbound::Outcome& outcome) noexcept WEIR_RUNS_ON(control_thread);
  /// A line of its own kind, between batches; false where there is no room for it.
  bool offer_line(const std::string& line) WEIR_RUNS_ON(control_thread);
  size_t queued() const noexcept { return queue_.size_approx(); }
  size_t queue_capacity() const noexcept { return config_.queue_batches_max; }

  /// Nothing more will be offered: publish what is queued until the deadline, then fail the rest.
  /// Called again, it moves the deadline.
  void begin_drain(uint64_t deadline_steady_ns) noexcept WEIR_RUNS_ON(control_thread);
  /// Another takes its place: what is queued comes back at once, what the publisher has by the deadline. What
  /// was not delivered fails with shutdown_deadline, and is the other's.
  void begin_leave(uint64_t deadline_steady_ns) noexcept WEIR_RUNS_ON(control_thread);
  /// All outcomes are in the ring and the thread touches nothing any more.
  bool finished() const noexcept { return finished_.load(std::memory_order_acquire); }

  const std::string& name() const noexcept { return config_.name; }
  const std::string& place() const noexcept { return config_.place; }
  const outbound::Publisher& publisher() const noexcept { return *publisher_; }
  /// What is not delivered by then comes back.
  void set_patience(uint64_t ns) noexcept { publisher_->set_patience(ns); }
  /// Files are opened anew by their names.
  void reopen() noexcept { publisher_->reopen(); }

 private:
  void run();
  void wake_thread() noexcept;
  void publish_until_drained() WEIR_RUNS_ON(publisher_thread);
  void give_back(outbound::OutboundBatch* held) WEIR_RUNS_ON(publisher_thread);
  void on_outcome(const outbound::Outcome& outcome) override;

  const PublisherThreadConfig config_;
  const std::unique_ptr<outbound::Publisher> publisher_;
  Waker& on_outcome_ready_;
  Waker work_ready_;
  SpscRing<outbound::OutboundBatch*> queue_;
  SpscRing<outbound::Outcome> outcomes_;
  std::atomic<uint64_t> drain_deadline_ns_{0};  // 0: not draining
  std::atomic<bool> is_leaving_{false};         // before the deadline
  std::atomic<bool> full_{false};               // the publisher's window: a new batch is no news
  std::atomic<bool> finished_{false};
  std::thread thread_;
};

}  // namespace weir::control
