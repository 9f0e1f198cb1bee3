// reloader.h — A configuration and the files that it names, read anew while the program goes on.
//
// Runs on:  ask: any thread; step: the control thread; the files are read on a thread of their own, for that may take long.
// Failure:  what is wrong is refused as a whole, and what went goes on. Asked while one is under way: nothing.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/background_job.h"
#include "base/clock.h"
#include "base/snapshot.h"
#include "service/log.h"
#include "service/operation_routes.h"

namespace weir::feed {

/// `Loaded`: a configuration with `warnings`. `Files`: what was read for it.
template <class Loaded, class Files>
class Reloader {
 public:
  using Load = std::function<Result<Loaded>()>;
  using ReadFiles = std::function<Result<Files>(const Loaded&, const std::atomic<bool>& gives_up)>;
  /// Takes both up, and says what goes now and what needs a restart.
  using TakeUp = std::function<void(Loaded& loaded, Files& files, service::ReloadView& view)>;

  Reloader(Load load, ReadFiles read_files, TakeUp take_up)
      : load_(std::move(load)), read_files_(std::move(read_files)), take_up_(std::move(take_up)) {
    view_.publish(std::make_shared<const service::ReloadView>());
  }
  ~Reloader() { gives_up_.store(true, std::memory_order_relaxed); }
  Reloader(const Reloader&) = delete;
  Reloader& operator=(const Reloader&) = delete;

  /// Its number.
  std::optional<uint64_t> ask() {
    uint64_t ended = ended_.load();
    if (!asked_.compare_exchange_strong(ended, ended + 1)) return std::nullopt;
    return ended + 1;
  }
  std::shared_ptr<const service::ReloadView> view() const { return view_.read(); }

  /// Begins what was asked for, and ends what was read.
  void step() {
    if (number_ != 0) {
      if (!job_.is_running()) end(std::exchange(number_, 0), std::move(*reading_));
      return;
    }
    const uint64_t asked = asked_.load();
    if (asked == ended_.load()) return;
    view_.publish(std::make_shared<const service::ReloadView>(service::ReloadView{.number = asked, .state = service::ReloadState::running}));
    const auto begun = job_.begin([this] { reading_.emplace(read()); });
    if (!begun) return end(asked, {begun.error(), Error{}});
    number_ = asked;
  }

 private:
  struct Reading {
    Result<Loaded> config;
    Result<Files> files;
  };
  Reading read() const {
    auto loaded = load_();
    if (!loaded) return {loaded.error(), Error{}};
    auto files = read_files_(*loaded, gives_up_);
    return {std::move(loaded), std::move(files)};
  }

  void end(uint64_t number, Reading reading) {
    service::ReloadView next{.number = number};
    const Error* const wrong = !reading.config ? &reading.config.error() : !reading.files ? &reading.files.error() : nullptr;
    if (wrong != nullptr) {
      next.state = service::ReloadState::refused;
      next.error = wrong->message;
      service::log_error("reload refused, what went goes on: {}", wrong->message);
    } else {
      next.warnings = reading.config->warnings;
      take_up_(*reading.config, *reading.files, next);
      const bool is_same = next.applied.empty() && next.needs_restart.empty();
      next.state = is_same ? service::ReloadState::unchanged : service::ReloadState::applied;
      if (!next.applied.empty()) service::log_info("reload: now goes {}", service::joined(next.applied));
      if (!next.needs_restart.empty()) service::log_warning("reload: only a restart takes up {}", service::joined(next.needs_restart));
      if (is_same) service::log_info("reload: nothing has changed");
    }
    next.ended_ns = wall_clock_ns();
    view_.publish(std::make_shared<const service::ReloadView>(std::move(next)));
    ended_.store(number);
  }

  const Load load_;
  const ReadFiles read_files_;
  const TakeUp take_up_;
  Snapshot<service::ReloadView> view_;
  std::atomic<uint64_t> asked_{0};
  std::atomic<uint64_t> ended_{0};
  std::atomic<bool> gives_up_{false};
  std::optional<Reading> reading_;  // the job's while it runs
  uint64_t number_ = 0;             // of the reload that the job is for; 0: none
  BackgroundJob job_;
};

}  // namespace weir::feed
