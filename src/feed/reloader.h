// reloader.h — A configuration and the files that it names, read anew while the program goes on: when somebody asks, both; when somebody has
// written a file anew, the files.
//
// Runs on:  ask, view, files: any thread; the others: the control thread. Files are looked at and read on a thread of their own, for a disk
//           may hang.
// Bounds:   one look at each file in the time that step is given. A file is read once it was the same in two looks, and nothing of it is
//           taken where it is another one afterwards: whoever writes it is not done. Where one is no regular file nothing is read: that might wait.
// Failure:  what is wrong is refused as a whole, and what went goes on; of files nobody asked for that is said once, and is in files().
//           Asked while a reload is under way: nothing.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/background_job.h"
#include "base/clock.h"
#include "base/file_stamp.h"
#include "base/snapshot.h"
#include "feed/files_view.h"
#include "service/log.h"
#include "service/operation_routes.h"

namespace weir::feed {

/// A reload is told as ended after this, should flows still go by what was read before: a large message is worked on for so long.
inline constexpr uint64_t kSettleMaxNs = 5 * kNsPerSec;

/// `Loaded`: a configuration with `warnings`. `Files`: what was read for it.
template <class Loaded, class Files>
class Reloader {
 public:
  struct Steps {
    std::function<Result<Loaded>()> load;
    /// On another thread. Notes each file before it reads it, also where it fails.
    std::function<Result<Files>(const Loaded&, const std::atomic<bool>& gives_up, StampedFiles& files)> read_files;
    /// Takes both up, and says what goes now and what needs a restart.
    std::function<void(Loaded& loaded, Files& files, service::ReloadView& view)> take_up;
    /// The configuration that goes: files alone are read for it.
    std::function<Loaded()> running;
    /// Flows go by what was taken up.
    std::function<bool()> is_settled;
  };

  explicit Reloader(Steps steps) : steps_(std::move(steps)) {
    view_.publish(std::make_shared<const service::ReloadView>());
    show_files();
  }
  ~Reloader() { gives_up_.store(true, std::memory_order_relaxed); }
  Reloader(const Reloader&) = delete;
  Reloader& operator=(const Reloader&) = delete;

  /// Before step: what was read at the start.
  void begin_with(StampedFiles files) { judged_ = std::move(files); }
  /// Its number.
  std::optional<uint64_t> ask() {
    uint64_t ended = ended_.load();
    if (!asked_.compare_exchange_strong(ended, ended + 1)) return std::nullopt;
    return ended + 1;
  }
  std::shared_ptr<const service::ReloadView> view() const { return view_.read(); }
  std::shared_ptr<const FilesView> files() const { return files_view_.read(); }

  /// Begins what was asked for, and ends what was read. Files are looked at every `look_every_ns`; 0: not.
  void step(uint64_t look_every_ns) {
    const uint64_t now_ns = steady_clock_ns();
    if ((phase_ == Phase::reading || phase_ == Phase::looking) && job_.is_running()) return;
    switch (std::exchange(phase_, Phase::idle)) {
      case Phase::idle: break;
      case Phase::looking: judge_files(); break;
      case Phase::reading: judge(now_ns); break;
      case Phase::settling:
        if (!steps_.is_settled() && now_ns < settled_by_ns_) {
          phase_ = Phase::settling;
        } else {
          end();
        }
        break;
    }
    if (phase_ != Phase::idle) return;
    if (files_.are_watched != (look_every_ns != 0)) {
      files_.are_watched = look_every_ns != 0;
      show_files();
    }
    if (asked_.load() != ended_.load()) {
      begin_reload();
    } else if (look_every_ns != 0 && now_ns >= next_look_ns_ && !judged_.empty()) {
      next_look_ns_ = now_ns + look_every_ns;
      begin_look();
    }
  }

 private:
  enum class Phase : uint8_t { idle, looking, reading, settling };
  struct Reading {
    Result<Loaded> config;
    Result<Files> files = Error{};
    StampedFiles read;       // as each was before it was read
    bool is_steady = false;  // as they were afterwards, too
  };

  Reading read(Result<Loaded> loaded) const {
    Reading reading{.config = std::move(loaded)};
    if (!reading.config) return reading;
    reading.files = steps_.read_files(*reading.config, gives_up_, reading.read);
    reading.is_steady = look_again(reading.read) == reading.read;
    return reading;
  }

  // ---- asked for

  void begin_reload() {
    next_ = {.number = asked_.load(), .state = service::ReloadState::running};
    view_.publish(std::make_shared<const service::ReloadView>(next_));
    const auto begun = job_.begin([this] { reading_.emplace(read(steps_.load())); });
    if (begun) {
      phase_ = Phase::reading;
    } else {
      refuse(begun.error().message);
    }
  }

  void judge(uint64_t now_ns) {
    Reading reading = std::move(*std::exchange(reading_, std::nullopt));
    if (!reading.config) return refuse(reading.config.error().message);
    if (!reading.files) {
      said_ = reading.files.error().message;
      return refuse(said_);
    }
    next_.warnings = reading.config->warnings;
    steps_.take_up(*reading.config, *reading.files, next_);
    // What somebody has written meanwhile is another state: the next looks find it.
    judged_ = std::move(reading.read);
    say_good();
    settled_by_ns_ = now_ns + kSettleMaxNs;
    phase_ = Phase::settling;
  }

  void refuse(const std::string& why) {
    next_.state = service::ReloadState::refused;
    next_.error = why;
    service::log_error("reload refused, what went goes on: {}", why);
    publish_end();
  }

  void end() {
    const bool is_same = next_.applied.empty() && next_.needs_restart.empty();
    next_.state = is_same ? service::ReloadState::unchanged : service::ReloadState::applied;
    if (!next_.applied.empty()) service::log_info("reload: now goes {}", service::joined(next_.applied));
    if (!next_.needs_restart.empty()) service::log_warning("reload: only a restart takes up {}", service::joined(next_.needs_restart));
    if (is_same) service::log_info("reload: nothing has changed");
    publish_end();
  }

  void publish_end() {
    next_.ended_ns = wall_clock_ns();
    view_.publish(std::make_shared<const service::ReloadView>(next_));
    ended_.store(next_.number);
  }

  // ---- written anew

  void begin_look() {
    reading_.reset();
    const auto begun = job_.begin([this, running = steps_.running(), judged = judged_, seen = seen_] {
      now_ = look_again(judged);
      const bool may_wait = std::any_of(now_.begin(), now_.end(), [](const StampedFile& file) { return file.may_wait; });
      if (now_ != judged && now_ == seen && !may_wait) reading_.emplace(read(running));
    });
    if (begun) phase_ = Phase::looking;  // else at the next turn that is due
  }

  void judge_files() {
    seen_ = std::move(now_);
    if (!reading_) return;
    Reading reading = std::move(*std::exchange(reading_, std::nullopt));
    seen_.clear();
    if (!reading.is_steady) return;
    judged_ = std::move(reading.read);
    if (!reading.files) return say_refused(reading.files.error().message);
    say_good();
    service::ReloadView took;
    steps_.take_up(*reading.config, *reading.files, took);
    if (took.applied.empty()) return;  // they say what they said
    service::log_info("files were written anew: now goes {}", service::joined(took.applied));
    ++files_.taken;
    files_.taken_ns = wall_clock_ns();
    show_files();
  }

  void say_refused(const std::string& why) {
    if (why != std::exchange(said_, why)) service::log_error("files as they are now are refused, what was read before goes on: {}", why);
    if (files_.error == why) return;
    files_.error = why;
    show_files();
  }

  void say_good() {
    said_.clear();
    if (files_.error.empty()) return;
    files_.error.clear();
    service::log_info("files as they are now go again");
    show_files();
  }

  void show_files() { files_view_.publish(std::make_shared<const FilesView>(files_)); }

  const Steps steps_;
  Snapshot<service::ReloadView> view_;
  Snapshot<FilesView> files_view_;
  std::atomic<uint64_t> asked_{0};
  std::atomic<uint64_t> ended_{0};
  std::atomic<bool> gives_up_{false};
  Phase phase_ = Phase::idle;
  service::ReloadView next_;     // of the reload that is under way
  uint64_t settled_by_ns_ = 0;
  FilesView files_;
  std::string said_;             // of files that are refused, in the log
  StampedFiles judged_;          // read, and taken or refused: nothing to do while they stay
  StampedFiles seen_;            // by the last look
  uint64_t next_look_ns_ = 0;
  StampedFiles now_;                // the job's while it runs, as the next
  std::optional<Reading> reading_;
  BackgroundJob job_;
};

}  // namespace weir::feed
