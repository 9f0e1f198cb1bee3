// program.h — weir-store as it runs: ingest, writer, keeper and names each on a thread, HTTP on its own, and a control thread that reloads
// and looks after them.
//
// Runs on:  create, run: the control thread, which is main's.
// Failure:  an Error from create where a file is wrong, the database is another's or a socket cannot be bound; afterwards the program
//           goes on whatever happens around it. A reload that is wrong is refused as a whole: what went goes on.
#pragma once

#include <pthread.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/snapshot.h"
#include "base/thread_roles.h"
#include "feed/names_reader.h"
#include "feed/program_watch.h"
#include "feed/reloader.h"
#include "service/program_request.h"
#include "store/config.h"
#include "store/duckdb_sink.h"
#include "store/ingest.h"
#include "store/keeper_loop.h"
#include "store/open_store.h"
#include "store/rules_in_use.h"
#include "store/sql_service.h"

namespace weir::store {

class StoreProgram {
 public:
  using Load = std::function<Result<LoadedConfig>()>;
  /// `load`: where the configuration comes from again.
  /// `rules`: what check_files has read.
  static Result<std::unique_ptr<StoreProgram>> create(const LoadedConfig& loaded, std::shared_ptr<const RulesInUse> rules, Load load);

  /// Until `poll_request` says stop; the last books.
  std::shared_ptr<const StoreView> run(const std::function<service::ProgramRequest()>& poll_request) WEIR_RUNS_ON(control_thread);
  /// After run: a thread of it hangs in a disk that does not answer. Then this object is left alone.
  bool is_stuck() const { return !reloader_.has_ended_within(feed::kFilesEndNs); }

 private:
  using Rules = std::shared_ptr<const RulesInUse>;

  StoreProgram(const LoadedConfig& loaded, Load load);
  Result<void> open();
  Result<void> serve();
  bool start_threads();
  void stop_threads();
  void take_up(LoadedConfig& loaded, const Rules& rules, service::ReloadView& view) WEIR_RUNS_ON(control_thread);
  void tell(const StoreView& view, uint64_t now_ns) WEIR_RUNS_ON(control_thread);
  void publish_config();
  feed::Reloader<LoadedConfig, Rules>::Steps reload_steps(Load load);

  StoreConfig config_;
  service::Origins origins_;
  Snapshot<RulesInUse> rules_;
  Snapshot<std::vector<service::EffectiveValue>> effective_;
  feed::ProgramWatch watch_;
  feed::SourceWatch source_watch_;
  std::string told_tidy_;

  std::unique_ptr<OpenStore> store_;
  std::unique_ptr<DuckdbSink> sink_;
  std::unique_ptr<Ingest> ingest_;
  std::unique_ptr<KeeperLoop> keeper_;
  std::unique_ptr<feed::NamesReader> names_;  // null: none
  std::unique_ptr<SqlService> sql_;
  std::optional<pthread_t> ingest_thread_, writer_thread_, keeper_thread_, names_thread_;
  feed::Reloader<LoadedConfig, Rules> reloader_;
  std::unique_ptr<service::HttpServer> server_;  // reads all of the above
};

}  // namespace weir::store
