#include "store/keeper_loop.h"

#include "base/clock.h"
#include "service/log.h"

namespace weir::store {
namespace {

constexpr int kIdleMs = 500;
constexpr int kRetryMs = 5000;

int64_t now_micros() { return static_cast<int64_t>(wall_clock_ns() / kNsPerUs); }

}  // namespace

void KeeperLoop::run() {
  std::shared_ptr<Database> database;
  std::unique_ptr<Keeper> keeper;
  const auto is_stopping = [&] { return is_stopping_.load(std::memory_order_acquire); };
  while (!is_stopping()) {
    if (auto now = store_.database(); now != database || now == nullptr) {
      keeper.reset();
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
    if (keeper != nullptr) {
      if (keeper->step(now_micros())) wait_ms = 0;
      view_.publish(keeper->view());
    }
    if (wait_ms != 0) waker_.wait(wait_ms, is_stopping);
  }
}

}  // namespace weir::store
