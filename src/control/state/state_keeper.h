// state_keeper.h — Has the decoders' state survive a restart: loads it before the first packet, asks
// the cores for it now and then, and has it written.
//
// Runs on:  the control thread; files are written on a thread of the keeper's own.
// Bounds:   decode::kStateOctetsMax octets in memory and on disk, and a chunk a core.
// Failure:  a file that cannot be read is set aside with a warning; one that cannot be written is
//           tried again at the next interval, and view().error says why. Decoding never waits, nor
//           does the control thread: a file system that hangs holds up the writing thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_roles.h"
#include "base/background_job.h"
#include "control/exporters/exporter_directory.h"
#include "control/state/state_view.h"
#include "dataplane/data_plane.h"
#include "decode/state_image.h"

namespace weir::control {

/// What the cores told, on its way to the disk.
struct StateSave {
  std::vector<uint8_t> octets;
  bool is_cut = false;  // more than may be kept
};

class StateKeeper {
 public:
  /// Without `state_dir` nothing is kept, and all calls do nothing.
  StateKeeper(const std::string& state_dir, uint64_t interval_ns);

  /// What was known when the appliance last ran; null if nothing. `names` are given to the decoders
  /// too; null where no record carries names.
  std::shared_ptr<const decode::StateImage> load(const ExporterDirectory* names = nullptr);

  /// A turn of the control thread. The data plane is always the same.
  void step(dataplane::DataPlane& plane, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  /// The cores have ended: takes what they know, to be written behind what is being written.
  void begin_finish(dataplane::DataPlane& plane) WEIR_RUNS_ON(control_thread);
  /// Called until it is true: nothing is being written any more. After begin_finish the last state is
  /// kept then, or view().error says why not.
  bool has_finished() WEIR_RUNS_ON(control_thread);

  StateView view() const;

 private:
  void load_file();
  bool is_on() const noexcept { return !path_.empty(); }
  void begin(dataplane::DataPlane& plane) WEIR_RUNS_ON(control_thread);
  /// Takes answers and asks on. True when all cores have told everything.
  bool collect(dataplane::DataPlane& plane) WEIR_RUNS_ON(control_thread);
  void hand_over();
  void fail(const std::string& error);
  void write(StateSave save);

  const std::string path_;
  const uint64_t interval_ns_;
  std::shared_ptr<const decode::StateImage> loaded_;

  // The control thread's.
  struct Core {
    dataplane::StateQuery query;
    bool is_out = false;
    bool is_over = false;
  };
  std::vector<std::unique_ptr<Core>> cores_;
  std::optional<StateSave> collecting_;
  uint64_t due_ns_ = 0;
  uint64_t last_begun_ns_ = 0;
  uint64_t changes_begun_ = 0;
  bool is_finishing_ = false;

  // The writing job's.
  std::vector<uint8_t> superseded_;  // pieces of loaded_ that a save has said anew

  mutable std::mutex mutex_;
  StateView view_;
  BackgroundJob writing_;
};

}  // namespace weir::control
