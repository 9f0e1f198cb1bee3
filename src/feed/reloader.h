// reloader.h — A configuration and the files that it names, read anew while the program goes on: when somebody asks, both; when somebody has
// written a file anew, the files.
//
// Runs on:  ask, view, files: any thread; the others: the control thread. Files are looked at and read on a thread of their own, for a disk
//           may hang.
// Bounds:   one look at each file in the time that step is given. A file is read once it was the same in two looks, and nothing of it is
//           taken where it is another one afterwards: whoever writes it is not done. Whoever asks has files read kTriesOfAsked times at most.
// Failure:  what is wrong is refused as a whole, and what went goes on; of files nobody asked for that is said once, and is in files(), as is
//           that files never rest, or that a disk does not answer. Asked while a reload is under way: nothing. Where has_ended_within says
//           no the destructor hangs with the disk: who ends then leaves this object alone and ends the process.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
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
/// Looks one after the other that find a file another one each time, until that is said.
inline constexpr unsigned kRestlessLooksMax = 10;
inline constexpr unsigned kTriesOfAsked = 3;
/// A look or a reading that takes longer is said: the largest databases are compiled in less.
inline constexpr uint64_t kSlowFilesNs = 60 * kNsPerSec;
/// What is refused is read again after so long a time, also where nobody has written it.
inline constexpr uint64_t kRefusedAgainNs = 60 * kNsPerSec;
/// What a program waits at its end for files that nobody wants any more.
inline constexpr uint64_t kFilesEndNs = 2 * kNsPerSec;

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
    uint64_t slow_ns = kSlowFilesNs;
    uint64_t again_ns = kRefusedAgainNs;
  };

  explicit Reloader(Steps steps) : steps_(std::move(steps)) {
    view_.publish(std::make_shared<const service::ReloadView>());
    show_files();
  }
  ~Reloader() { give_up(); }
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
  /// As ask, after the one that is under way.
  void ask_next() noexcept { is_wanted_ = true; }
  std::shared_ptr<const service::ReloadView> view() const { return view_.read(); }
  std::shared_ptr<const FilesView> files() const { return files_view_.read(); }

  /// At the end: nothing that is being read is wanted any more.
  void give_up() noexcept { gives_up_.store(true, std::memory_order_relaxed); }
  /// After give_up. False where files are read even then: a disk does not answer, and the destructor waits for it.
  bool has_ended_within(uint64_t ns) const {
    for (const uint64_t by_ns = steady_clock_ns() + ns; job_.is_running();) {
      if (steady_clock_ns() >= by_ns) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
  }

  /// Begins what was asked for, and ends what was read. Files are looked at every `look_every_ns`; 0: not.
  void step(uint64_t look_every_ns) {
    const uint64_t now_ns = steady_clock_ns();
    if ((phase_ == Phase::reading || phase_ == Phase::looking) && job_.is_running()) {
      if (now_ns - job_begun_ns_ >= steps_.slow_ns) say_slow();
      if (is_wanted_ && ask()) is_wanted_ = false;
      if (asked_.load() != ended_.load()) announce();  // it waits for what is under way
      return;
    }
    switch (std::exchange(phase_, Phase::idle)) {
      case Phase::idle: break;
      case Phase::looking: judge_files(now_ns); break;
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
    if (is_wanted_ && ask()) is_wanted_ = false;
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
    StampedFiles read;    // as each was before it was read
    std::string written;  // the first that was another one afterwards; empty: none
  };

  Reading read(Result<Loaded> loaded) const {
    Reading reading{.config = std::move(loaded)};
    if (!reading.config) return reading;
    reading.files = steps_.read_files(*reading.config, gives_up_, reading.read);
    reading.written = first_other(reading.read, look_again(reading.read));
    return reading;
  }

  template <class Job>
  Result<void> begin(Phase phase, Job job) {
    auto begun = job_.begin(std::move(job));
    if (!begun) return begun;
    job_begun_ns_ = steady_clock_ns();
    phase_ = phase;
    return begun;
  }

  // ---- asked for

  void announce() {
    if (next_.number == asked_.load()) return;
    next_ = {.number = asked_.load(), .state = service::ReloadState::running};
    view_.publish(std::make_shared<const service::ReloadView>(next_));
  }

  void begin_reload() {
    announce();
    const auto begun = begin(Phase::reading, [this] {
      for (unsigned tries = 0; tries < kTriesOfAsked; ++tries) {
        reading_.emplace(read(steps_.load()));
        if (reading_->written.empty() || gives_up_.load(std::memory_order_relaxed)) return;
      }
    });
    if (!begun) refuse(begun.error().message);
  }

  void judge(uint64_t now_ns) {
    Reading reading = std::move(*std::exchange(reading_, std::nullopt));
    say_quick();
    if (!reading.config) return refuse(reading.config.error().message);
    if (!reading.written.empty()) return refuse(fmt::format("{}: somebody writes it while it is read", reading.written));
    if (!reading.files) {
      said_ = reading.files.error().message;
      return refuse(said_);
    }
    next_.warnings = reading.config->warnings;
    steps_.take_up(*reading.config, *reading.files, next_);
    judged_ = std::move(reading.read);
    refused_.clear();
    if (error_of_ != ErrorOf::restless) say("");  // that a file rests only looks can say
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

  /// Where no thread can be made: at the next turn that is due.
  void begin_look() {
    reading_.reset();
    // What was refused may be right though nobody writes it: the disk, or memory, has recovered.
    const bool is_again = !refused_.empty() && steady_clock_ns() - refused_ns_ >= steps_.again_ns;
    (void)begin(Phase::looking, [this, is_again, running = steps_.running(), judged = judged_, seen = seen_] {
      now_ = look_again(judged);
      if (now_ == judged ? is_again : now_ == seen) reading_.emplace(read(running));
    });
  }

  void judge_files(uint64_t now_ns) {
    say_quick();
    const StampedFiles before = std::exchange(seen_, std::exchange(now_, {}));
    if (!reading_) {
      if (seen_ == judged_) {
        restless_looks_ = 0;
        if (error_of_ == ErrorOf::restless) say(refused_, refused_.empty() ? ErrorOf::nothing : ErrorOf::refused);
      } else {
        note_restless(first_other(before.empty() ? judged_ : before, seen_));
      }
      return;
    }
    Reading reading = std::move(*std::exchange(reading_, std::nullopt));
    seen_.clear();
    if (!reading.written.empty()) {
      // Half of the time is enough for it.
      next_look_ns_ = std::max(next_look_ns_, now_ns + (now_ns - job_begun_ns_));
      return note_restless(reading.written);
    }
    restless_looks_ = 0;
    judged_ = std::move(reading.read);
    if (!reading.files) {
      refused_ns_ = now_ns;
      return say_refused(reading.files.error().message);
    }
    say("");
    service::ReloadView took;
    steps_.take_up(*reading.config, *reading.files, took);
    if (took.applied.empty()) return;  // they say what they said
    service::log_info("files were written anew: now goes {}", service::joined(took.applied));
    ++files_.taken;
    files_.taken_ns = wall_clock_ns();
    show_files();
  }

  void note_restless(const std::string& path) {
    if (++restless_looks_ < kRestlessLooksMax || error_of_ == ErrorOf::restless) return;
    const std::string why = fmt::format("{}: each time that it is looked at somebody has written it again", path);
    service::log_error("files are not taken while they are written, what was read before goes on: {}", why);
    say(why, ErrorOf::restless);
  }

  /// Of a reload that was refused for it the log has it already.
  void say_refused(const std::string& why) {
    if (why != std::exchange(said_, why)) service::log_error("files as they are now are refused, what was read before goes on: {}", why);
    say(why, ErrorOf::refused);
  }

  void say_slow() {
    if (is_slow_) return;
    is_slow_ = true;
    service::log_error("files have been looked at or read for {} s: a disk does not answer, or they are very large; what was read before goes on",
                       steps_.slow_ns / kNsPerSec);
    show_files();
  }
  void say_quick() {
    if (!std::exchange(is_slow_, false)) return;
    service::log_info("files have been looked at or read");
    show_files();
  }

  enum class ErrorOf : uint8_t { nothing, refused, restless };
  /// Empty: they go.
  void say(const std::string& why, ErrorOf of = ErrorOf::nothing) {
    if (of == ErrorOf::nothing) said_.clear();
    if (of != ErrorOf::restless) refused_ = why;
    error_of_ = of;
    if (files_.error == why) return;
    files_.error = why;
    if (why.empty()) service::log_info("files as they are now go again");
    show_files();
  }

  void show_files() {
    FilesView view = files_;
    if (is_slow_) view.error = fmt::format("they have been looked at or read for over {} s{}{}", steps_.slow_ns / kNsPerSec, view.error.empty() ? "" : "; before that: ", view.error);
    files_view_.publish(std::make_shared<const FilesView>(std::move(view)));
  }

  const Steps steps_;
  Snapshot<service::ReloadView> view_;
  Snapshot<FilesView> files_view_;
  std::atomic<uint64_t> asked_{0};
  std::atomic<uint64_t> ended_{0};
  std::atomic<bool> gives_up_{false};
  bool is_wanted_ = false;  // another, when the one that is under way has ended
  Phase phase_ = Phase::idle;
  service::ReloadView next_;     // of the reload that is under way
  uint64_t settled_by_ns_ = 0;
  FilesView files_;
  ErrorOf error_of_ = ErrorOf::nothing;
  bool is_slow_ = false;         // what is under way
  unsigned restless_looks_ = 0;  // one after the other
  std::string refused_;          // why judged_ are; empty: they go
  uint64_t refused_ns_ = 0;      // when they were read
  std::string said_;             // likewise, in the log
  StampedFiles judged_;          // read, and taken or refused: nothing to do while they stay
  StampedFiles seen_;            // by the last look
  uint64_t next_look_ns_ = 0;
  uint64_t job_begun_ns_ = 0;
  StampedFiles now_;                // the job's while it runs, as the next
  std::optional<Reading> reading_;
  BackgroundJob job_;
};

}  // namespace weir::feed
