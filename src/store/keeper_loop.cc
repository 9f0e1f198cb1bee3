#include "store/keeper_loop.h"

#include <utility>

#include "base/clock.h"
#include "service/log.h"
#include "store/schema.h"

namespace weir::store {
namespace {

constexpr int kIdleMs = 500;
constexpr int kRetryMs = 5000;

int64_t now_micros() { return static_cast<int64_t>(wall_clock_ns() / kNsPerUs); }

}  // namespace

uint64_t KeeperLoop::ask_to_verify() {
  const uint64_t last = verify_.load(std::memory_order_relaxed);
  const auto view = view_.read();
  const bool is_under_way = last != 0 && (view == nullptr || view->scrub.verify.number != last || !view->scrub.verify.is_over);
  if (is_under_way) return last;
  verify_.store(last + 1, std::memory_order_relaxed);
  return last + 1;
}

void KeeperLoop::run() {
  std::shared_ptr<Database> database;
  std::unique_ptr<Keeper> keeper;
  const auto is_stopping = [&] { return is_stopping_.load(std::memory_order_acquire); };
  while (!is_stopping()) {
    if (auto now = store_.database(); now != database || now == nullptr) {
      keeper.reset();
      told_broken_ = told_taken_back_ = 0;
      database = std::move(now);
    }
    int wait_ms = kIdleMs;
    if (database != nullptr && keeper == nullptr) {
      auto made = Keeper::make(*database, config_, now_micros());
      const std::string why = made ? "" : made.error().message;
      if (const auto told = trouble_.read(); !why.empty() && (told == nullptr || *told != why)) service::log_error("keeper: {}", why);
      trouble_.publish(std::make_shared<const std::string>(why));
      if (made) {
        keeper = std::move(*made);
      } else {
        wait_ms = kRetryMs;
        database.reset();
      }
    }
    // Whoever writes rows cannot make a checkpoint while others write.
    const bool is_quiet = steady_clock_ns() < store_.quiet_until_ns();
    if (keeper != nullptr && !is_quiet) {
      for (const std::string& words : database->take_suspicions()) keeper->suspect(words);
      keeper->verify(verify_.load(std::memory_order_relaxed));
      if (keeper->step(now_micros())) wait_ms = 0;
      view_.publish(keeper->view());
      tell(*keeper->view());
    }
    if (wait_ms != 0) waker_.wait(wait_ms, is_stopping);
  }
}

/// What is new of files and of the clock, each once.
void KeeperLoop::tell(const KeeperView& view) {
  const FileWatchView& watch = view.watch;
  for (size_t i = std::exchange(told_broken_, watch.newly_broken.size()); i < watch.newly_broken.size(); ++i) {
    service::log_error("a file is left out of every answer: {}", watch.newly_broken[i]);
  }
  if (const uint64_t before = std::exchange(told_taken_back_, watch.taken_back); watch.taken_back > before) {
    service::log_info("files that can be read again are asked again: {}", watch.taken_back - before);
  }
  if (std::exchange(told_unknown_, watch.unknown) != watch.unknown && watch.unknown != 0) {
    service::log_warning("{} files in {} are not this database's: they are left alone, and nobody is shown their rows: {}, …", watch.unknown,
                         config_.folder, watch.unknown_named.front());
  }
  const VerifyView& verify = view.scrub.verify;
  if (verify.is_over && verify.number != told_verified_) {
    told_verified_ = verify.number;
    service::log_info("{} files of {} MiB were verified: {} of them are not what was written", verify.files, verify.octets >> 20, verify.damaged);
  }
  const bool is_ahead = view.clock_ahead_micros > kAtStartMaxMicros;
  if (is_ahead && !told_ahead_) {
    service::log_warning("the clock is {} hours ahead of the time that has passed: what is too old goes by the latter, which catches up slowly",
                         view.clock_ahead_micros / kMicrosPerHour);
  }
  told_ahead_ = is_ahead;
}

}  // namespace weir::store
