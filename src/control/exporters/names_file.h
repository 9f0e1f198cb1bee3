// names_file.h — Tables of names over a restart: read before the first packet; written now and then,
// and after the last.
//
// Runs on:  the control thread; the file is written on a thread of the keeper's own.
// Bounds:   the directory's, twice, while a file is written.
// Failure:  a file that is damaged or cannot be written is a warning; exporters repeat their options.
//           A file system that hangs holds up the writing thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/thread_roles.h"
#include "base/background_job.h"
#include "control/exporters/exporter_directory.h"

namespace weir::control {

class NamesKeeper {
 public:
  /// Without `state_dir` nothing is kept, and all calls do nothing.
  NamesKeeper(const std::string& state_dir, uint64_t interval_ns);

  void restore(ExporterDirectory& directory, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  /// A turn of the control thread: writes what has changed once an interval has passed.
  void step(const ExporterDirectory& directory, uint64_t steady_now_ns)
      WEIR_RUNS_ON(control_thread);
  /// Nothing changes any more: to be written behind what is being written.
  void begin_finish(const ExporterDirectory& directory) WEIR_RUNS_ON(control_thread);
  /// Called until it is true: nothing is being written any more; a warning says what is not.
  bool has_finished() WEIR_RUNS_ON(control_thread);

 private:
  /// False, and a warning, when no thread can be made.
  bool save(flowpb::ExporterInfoList list) WEIR_RUNS_ON(control_thread);

  const std::string path_;
  const uint64_t interval_ns_;
  uint64_t due_ns_ = 0;
  uint64_t changes_saved_ = 0;
  bool is_finishing_ = false;
  std::optional<flowpb::ExporterInfoList> last_;  // to be written when what is being written is
  BackgroundJob writing_;
};

}  // namespace weir::control
