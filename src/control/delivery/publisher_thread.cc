#include "control/delivery/publisher_thread.h"

#include <pthread.h>

#include <algorithm>
#include <cassert>
#include <system_error>
#include <utility>

#include "base/clock.h"
#include "base/thread_rights.h"

namespace weir::control {

namespace {

constexpr int kWaitIdleMs = 100;  // nothing in flight: only a new batch can be news
constexpr int kWaitBusyMs = 50;   // acknowledgements may come; offer() ends the wait early
constexpr int kWaitFullMs = 20;   // the window is full: only acknowledgements help

}  // namespace

PublisherThread::PublisherThread(PublisherThreadConfig config,
                                 std::unique_ptr<outbound::Publisher> publisher,
                                 Waker& on_outcome_ready)
    : config_(std::move(config)),
      publisher_(std::move(publisher)),
      on_outcome_ready_(on_outcome_ready),
      queue_(config_.queue_batches_max),
      outcomes_(config_.batches_in_all) {}

PublisherThread::~PublisherThread() {
  if (!thread_.joinable()) return;
  uint64_t not_draining = 0;
  drain_deadline_ns_.compare_exchange_strong(not_draining, steady_clock_ns());
  wake_thread();
  thread_.join();
}

Result<void> PublisherThread::start() {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& e) {
    return Error{"no thread can be made: " + e.code().message()};
  }
  return {};
}

bool PublisherThread::offer(outbound::OutboundBatch* batch) noexcept {
  // The ring rounds its capacity up; the configured bound is the one that holds.
  if (queue_.size_approx() >= config_.queue_batches_max || !queue_.push(batch)) return false;
  // The thread looks into the queue after it has taken the flag away: one of us two sees the other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!full_.load(std::memory_order_relaxed)) wake_thread();
  return true;
}

bool PublisherThread::offer_line(const std::string& line) {
  if (!publisher_->offer_line(line)) return false;
  wake_thread();
  return true;
}

bool PublisherThread::take_outcome(outbound::Outcome& outcome) noexcept {
  return outcomes_.pop(outcome);
}

void PublisherThread::begin_drain(uint64_t deadline_steady_ns) noexcept {
  drain_deadline_ns_.store(deadline_steady_ns, std::memory_order_release);
  wake_thread();
}

void PublisherThread::begin_leave(uint64_t deadline_steady_ns) noexcept {
  is_leaving_.store(true, std::memory_order_relaxed);
  begin_drain(std::max<uint64_t>(deadline_steady_ns, 1));
}

void PublisherThread::wake_thread() noexcept {
  work_ready_.wake();
  publisher_->wake();
}

void PublisherThread::on_outcome(const outbound::Outcome& outcome) {
  [[maybe_unused]] const bool pushed = outcomes_.push(outcome);
  assert(pushed && "more batches in flight than exist");
  on_outcome_ready_.wake();
}

void PublisherThread::run() {
  pthread_setname_np(pthread_self(), ("pub-" + config_.name).substr(0, 15).c_str());
  RoleScope role(publisher_thread);
  give_up_capabilities_unless_root();
  publish_until_drained();
  finished_.store(true, std::memory_order_release);
  on_outcome_ready_.wake();
}

/// What the publisher has not had, the oldest first.
void PublisherThread::give_back(outbound::OutboundBatch* held) {
  while (held != nullptr || queue_.pop(held)) {
    on_outcome({.batch = held, .failure = outbound::DeliveryFailure::shutdown_deadline});
    held = nullptr;
  }
}

void PublisherThread::publish_until_drained() {
  outbound::OutboundBatch* held = nullptr;  // taken from the queue, not yet by the publisher
  for (;;) {
    if (drain_deadline_ns_.load(std::memory_order_acquire) != 0 &&
        is_leaving_.load(std::memory_order_relaxed)) {
      give_back(held);
      held = nullptr;
      break;
    }
    while (held != nullptr || queue_.pop(held)) {
      if (!publisher_->submit(*held, *this)) break;
      held = nullptr;
    }

    const uint64_t deadline_ns = drain_deadline_ns_.load(std::memory_order_acquire);
    if (deadline_ns != 0) {
      const bool all_submitted = held == nullptr && queue_.size_approx() == 0;
      if (all_submitted || steady_clock_ns() >= deadline_ns) break;
      publisher_->poll(kWaitFullMs, *this);
      continue;
    }
    if (held != nullptr) {
      full_.store(true, std::memory_order_relaxed);
      publisher_->poll(kWaitFullMs, *this);
      full_.store(false, std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_seq_cst);
    } else if (publisher_->in_flight() > 0) {
      publisher_->poll(kWaitBusyMs, *this);
    } else {
      publisher_->poll(0, *this);
      work_ready_.wait(kWaitIdleMs, [this] {
        return queue_.size_approx() > 0 || drain_deadline_ns_.load(std::memory_order_acquire) != 0;
      });
    }
  }
  publisher_->drain(drain_deadline_ns_, *this);
  give_back(held);
}

}  // namespace weir::control
