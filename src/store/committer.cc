#include "store/committer.h"

#include <algorithm>

#include "base/clock.h"
#include "service/log.h"

namespace weir::store {
namespace {

constexpr int kIdleWaitMs = 200;
constexpr int kRetryFirstMs = 100;
constexpr int kRetryMaxMs = 5000;
constexpr uint64_t kTidyEveryNs = kNsPerSec;

}  // namespace

Committer::Committer(Sink& sink, std::function<void()> on_done) : sink_(sink), on_done_(std::move(on_done)) {
  view_.publish(std::make_shared<const CommitterView>());
}

void Committer::ask_to_stop() noexcept {
  is_stopping_.store(true, std::memory_order_release);
  waker_.wake();
}

bool Committer::submit(CommitBatch* batch) noexcept {
  if (waiting_.load(std::memory_order_acquire) >= 2) return false;
  waiting_.fetch_add(1, std::memory_order_acq_rel);
  to_do_.push(batch);
  waker_.wake();
  return true;
}

CommitBatch* Committer::take_done() noexcept {
  CommitBatch* batch = nullptr;
  return done_.pop(batch) ? batch : nullptr;
}

void Committer::show() { view_.publish(std::make_shared<const CommitterView>(now_)); }

void Committer::run() {
  for (;;) {
    CommitBatch* batch = nullptr;
    if (to_do_.pop(batch)) {
      if (!gave_up_) write(*batch);
      waiting_.fetch_sub(1, std::memory_order_acq_rel);
      done_.push(batch);
      on_done_();
      show();
    } else if (is_stopping_.load(std::memory_order_acquire)) {
      break;
    } else {
      waker_.wait(kIdleWaitMs, [&] { return waiting_.load() != 0 || is_stopping_.load(); });
    }
    if (const uint64_t now_ns = steady_clock_ns(); now_ns >= next_tidy_ns_) {
      next_tidy_ns_ = now_ns + kTidyEveryNs;
      const auto tidied = sink_.tidy();
      now_.tidy_trouble = tidied ? "" : tidied.error().message;
      show();
    }
  }
}

void Committer::write(CommitBatch& batch) {
  for (int wait_ms = kRetryFirstMs;; wait_ms = std::min(2 * wait_ms, kRetryMaxMs)) {
    const uint64_t begun_ns = steady_clock_ns();
    const auto written = sink_.write(batch);
    const uint64_t ended_ns = steady_clock_ns();
    now_.busy_ns += ended_ns - begun_ns;
    if (written) {
      if (!now_.trouble.empty()) service::log_info("the store can be written again");
      now_.trouble.clear();
      ++now_.commits;
      now_.rows += batch.rows;
      now_.last_ns = ended_ns - begun_ns;
      batch.committed_steady_ns = ended_ns;
      return;
    }
    ++now_.failures;
    const std::string why = written.error().message.substr(0, written.error().message.find('\n'));
    if (why != now_.trouble) {
      service::log_error("the store cannot be written; {} rows wait, and are tried again: {}", batch.rows, why);
    }
    now_.trouble = why;
    show();
    if (is_stopping_.load(std::memory_order_acquire)) {
      gave_up_ = true;
      return;
    }
    waker_.wait(wait_ms, [&] { return is_stopping_.load(std::memory_order_acquire); });
  }
}

}  // namespace weir::store
