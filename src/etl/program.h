// program.h — weir-etl as it runs: the worker on its thread, HTTP on its own, and a control thread that reloads and looks after them.
//
// Runs on:  create, run: the control thread, which is main's.
// Failure:  an Error from create where a file is wrong or a socket cannot be bound; afterwards the program goes on whatever
//           happens around it. A reload that is wrong is refused as a whole: what went goes on.
#pragma once

#include <functional>
#include <memory>

#include "base/snapshot.h"
#include "base/thread_roles.h"
#include "etl/config.h"
#include "etl/rules_in_use.h"
#include "etl/worker.h"
#include "feed/names_reader.h"
#include "feed/program_watch.h"
#include "feed/reloader.h"
#include "service/program_request.h"

namespace weir::etl {

class EtlProgram {
 public:
  using Load = std::function<Result<LoadedConfig>()>;
  /// `load`: where the configuration comes from again.
  /// `rules`: what check_files has read.
  static Result<std::unique_ptr<EtlProgram>> create(const LoadedConfig& loaded, std::shared_ptr<const RulesInUse> rules, Load load);

  /// Until `poll_request` says stop; the last books.
  std::shared_ptr<const EtlView> run(const std::function<service::ProgramRequest()>& poll_request) WEIR_RUNS_ON(control_thread);
  /// After run: a thread of it hangs in a disk that does not answer. Then this object is left alone.
  bool is_stuck() const { return !reloader_.has_ended_within(feed::kFilesEndNs); }

 private:
  using Rules = std::shared_ptr<const RulesInUse>;

  EtlProgram(const LoadedConfig& loaded, Load load);
  Result<void> open();
  void take_up(LoadedConfig& loaded, const Rules& rules, service::ReloadView& view) WEIR_RUNS_ON(control_thread);
  void tell(const EtlView& view, uint64_t now_ns) WEIR_RUNS_ON(control_thread);
  void publish_config();
  feed::Reloader<LoadedConfig, Rules>::Steps reload_steps(Load load);

  EtlConfig config_;
  service::Origins origins_;
  Snapshot<RulesInUse> rules_;
  Snapshot<std::vector<service::EffectiveValue>> effective_;
  feed::ProgramWatch watch_;
  feed::SourceWatch source_watch_;
  std::unique_ptr<feed::NamesReader> names_;  // null: none
  std::unique_ptr<EtlWorker> worker_;
  feed::Reloader<LoadedConfig, Rules> reloader_;
  std::unique_ptr<service::HttpServer> server_;  // reads all of the above
};

}  // namespace weir::etl
