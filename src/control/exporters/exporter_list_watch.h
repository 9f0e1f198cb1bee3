// exporter_list_watch.h — Notices by itself that the operator's list of exporters was written anew.
//
// Runs on:  control_thread; the file is looked at and read on a thread of its own, for a disk may hang.
// Bounds:   one look every kListLookNs; a file is read once it has stood still from one look to the next.
// Failure:  a list that is wrong or gone is said once, and in trouble(); the one that was read goes on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/thread_roles.h"
#include "base/background_job.h"
#include "control/exporters/exporter_list.h"

namespace weir::control {

inline constexpr uint64_t kListLookNs = 2 * kNsPerSec;

class ExporterListWatch {
 public:
  /// A turn of the control thread. `path`: empty: there is nothing to watch; `running`: what was read of it. A list
  /// that was written anew; else null.
  std::shared_ptr<const ExporterList> step(const std::string& path, const std::shared_ptr<const ExporterList>& running,
                                           uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  /// Why the file as it is now does not go; empty: it does.
  const std::string& trouble() const noexcept { return trouble_; }
  /// At the end: a disk that hangs.
  bool is_reading() const noexcept { return job_.is_running(); }

 private:
  struct Look {
    std::string path;
    Result<FileStamp> stamp = FileStamp{};
    std::optional<Result<std::shared_ptr<const ExporterList>>> list;  // where it was read
  };

  void begin_look(const std::string& path, const FileStamp& running) WEIR_RUNS_ON(control_thread);
  std::shared_ptr<const ExporterList> judge(const std::string& path, const std::shared_ptr<const ExporterList>& running)
      WEIR_RUNS_ON(control_thread);
  void say(std::string trouble) WEIR_RUNS_ON(control_thread);

  uint64_t due_ns_ = 0;
  bool has_looked_ = false;
  Look look_;                          // the job's until it has ended
  std::optional<FileStamp> seen_;     // by the last look
  std::optional<FileStamp> refused_;  // what was wrong
  std::string trouble_;
  BackgroundJob job_;
};

}  // namespace weir::control
