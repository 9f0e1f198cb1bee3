// publisher.h — Where sealed batches go: the one seam for JetStream, files and what comes later.
//
// Runs on:  its publisher_thread only, from open to drain; a library's own threads post to a queue
//           inside the publisher and touch nothing else.
// Failure:  each submitted batch is reported exactly once: acknowledged or failed with a reason.
//           Retrying is the publisher's business while the batch is in flight.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/counter.h"
#include "base/named_enum.h"
#include "base/result.h"
#include "base/thread_roles.h"
#include "export/addressing.h"
#include "export/framing.h"
#include "export/outbound_batch.h"

namespace weir::outbound {

/// Why a batch was not delivered. displaced: it was the oldest, and newer ones wanted its place.
// clang-format off
#define WEIR_DELIVERY_FAILURES(X)                                                         \
  X(queue_full) X(displaced) X(not_connected) X(timed_out) X(rejected) X(no_stream)       \
  X(too_large) X(write_error) X(shutdown_deadline) X(spool_full) X(spool_error)
// clang-format on
WEIR_NAMED_ENUM(DeliveryFailure, uint8_t, WEIR_DELIVERY_FAILURES)

/// A drop before the publisher had the batch, beside which all others are its failures.
constexpr bool is_drop(DeliveryFailure failure) noexcept {
  return failure == DeliveryFailure::queue_full || failure == DeliveryFailure::displaced ||
         failure == DeliveryFailure::spool_full || failure == DeliveryFailure::spool_error;
}

/// The broker has said no for good: the batch need not be kept for another try.
constexpr bool is_final(DeliveryFailure failure) noexcept {
  return failure == DeliveryFailure::rejected || failure == DeliveryFailure::too_large;
}

/// As long as a batch is in flight.
inline constexpr uint64_t kPatientForEver = ~uint64_t{0};

struct Outcome {
  OutboundBatch* batch = nullptr;
  bool acknowledged = false;
  bool duplicate = false;  // acknowledged, and the broker had it already
  DeliveryFailure failure = DeliveryFailure::count_;
};

class OutcomeSink {
 public:
  virtual void on_outcome(const Outcome& outcome) = 0;

 protected:
  ~OutcomeSink() = default;
};

/// What a publisher says about itself; single-writer, read by any thread.
struct PublisherCounters {
  Counter connected;  // gauge: connections that are up
  Counter messages;   // broker messages sent, retries included
  Counter octets;
  Counter acknowledgements;
  Counter negative_acknowledgements;
  Counter retries;
  Counter reconnects;
  Counter renewals;          // of certificates or credentials, whose files had changed
  Counter streams_created;   // the stream was not there
  Counter streams_extended;  // it was, without some of our subjects
};

class Publisher {
 public:
  virtual ~Publisher() = default;

  /// `jetstream`, `stdout`, `file`, …
  virtual std::string_view kind() const noexcept = 0;

  /// Takes the batch, or returns false when its window is full (then call poll and try again).
  /// May block as long as the client library does, bounded by its time-outs.
  virtual bool submit(OutboundBatch& batch, OutcomeSink& outcomes)
      WEIR_RUNS_ON(publisher_thread) = 0;

  /// Reports what has been decided, retries what is due, reconnects. Waits for news at most `wait_ms`.
  virtual void poll(int wait_ms, OutcomeSink& outcomes) WEIR_RUNS_ON(publisher_thread) = 0;

  /// Waits for what is in flight until `deadline_steady_ns`, which others may bring forward (then
  /// wake); then fails the rest with shutdown_deadline. Nothing is in flight afterwards.
  virtual void drain(const std::atomic<uint64_t>& deadline_steady_ns, OutcomeSink& outcomes)
      WEIR_RUNS_ON(publisher_thread) = 0;

  /// Ends a wait in poll or drain early: there is something to submit, or less time. Any thread.
  virtual void wake() noexcept {}

  /// Whoever submits has a place for what is not delivered in so long a time since it was sealed, and wants it back
  /// then: not_connected, timed_out or the like, never is_final. What comes from such a place (replayed_as) counts from
  /// its submission, and a drain does not wait for what cannot be sent of it. Any thread.
  void set_patience(uint64_t ns) noexcept { patience_ns_.store(ns, std::memory_order_relaxed); }

  /// Takes a line of its own kind, to be written between batches; false where there is no room for it,
  /// or where the destination knows no lines. Control thread.
  virtual bool offer_line(const std::string&) { return false; }

  /// Files are to be opened anew by their names: somebody has moved them. Any thread.
  virtual void reopen() noexcept {}

  /// Nothing can ever be delivered any more: the reader of standard output is gone. Any thread.
  virtual bool is_broken() const noexcept { return false; }

  virtual size_t in_flight() const noexcept = 0;
  virtual const PublisherCounters& counters() const noexcept = 0;
  /// The last trouble in an operator's words; empty when all is well. Any thread.
  virtual std::string last_error() const = 0;
  /// What is not well though batches go out: one of several connections is away. Any thread.
  virtual std::string remark() const { return {}; }

 protected:
  uint64_t patience_ns() const noexcept { return patience_ns_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> patience_ns_{kPatientForEver};
};

}  // namespace weir::outbound
