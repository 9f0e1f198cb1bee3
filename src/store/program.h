// program.h — weir-store as it runs: ingest, writer, keeper and names each on a thread, HTTP on its own, and a control thread that reloads
// and looks after them.
//
// Runs on:  create, run: the control thread, which is main's.
// Failure:  an Error from create where a file is wrong, the database is another's or a socket cannot be bound; afterwards the program
//           goes on whatever happens around it. A reload that is wrong is refused as a whole: what went goes on.
#pragma once

#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/background_job.h"
#include "base/snapshot.h"
#include "base/thread_roles.h"
#include "feed/names_reader.h"
#include "service/operation_routes.h"
#include "service/service_notify.h"
#include "store/config.h"
#include "store/duckdb_sink.h"
#include "store/ingest.h"
#include "store/keeper_loop.h"
#include "store/open_store.h"
#include "store/rules_in_use.h"
#include "store/sql_service.h"

namespace weir::store {

enum class Request : uint8_t { none, reload, stop };

class StoreProgram {
 public:
  using Load = std::function<Result<LoadedConfig>()>;
  /// `load`: where the configuration comes from again.
  /// `rules`: what check_files has read.
  static Result<std::unique_ptr<StoreProgram>> create(LoadedConfig loaded, std::shared_ptr<const RulesInUse> rules, Load load);
  ~StoreProgram();

  /// Until `poll_request` says stop; the last books.
  std::shared_ptr<const StoreView> run(const std::function<Request()>& poll_request) WEIR_RUNS_ON(control_thread);

 private:
  StoreProgram(LoadedConfig loaded, Load load);
  Result<void> open();
  Result<void> serve();
  bool start_threads();
  void stop_threads();
  std::optional<uint64_t> ask_reload();  // any thread
  /// Has the files read on a thread of their own, which may take long, and takes up what they say.
  void step_reload() WEIR_RUNS_ON(control_thread);
  struct Reading {
    Result<LoadedConfig> config;
    Result<std::shared_ptr<const RulesInUse>> rules;
  };
  static Reading read_files(const Load& load, uint64_t version, const std::atomic<bool>& gives_up);
  void reload(uint64_t number, Reading reading) WEIR_RUNS_ON(control_thread);
  void tell(const StoreView& view, uint64_t now_ns) WEIR_RUNS_ON(control_thread);
  void publish_config(const service::Origins& origins);

  StoreConfig config_;
  const Load load_;
  const uint64_t started_steady_ns_;
  Snapshot<RulesInUse> rules_;
  Snapshot<std::vector<service::EffectiveValue>> effective_;
  Snapshot<service::ReloadView> reload_view_;
  std::atomic<uint64_t> reloads_asked_{0};
  std::atomic<uint64_t> reloads_ended_{0};
  service::ServiceNotify notify_;
  uint64_t next_tell_ns_ = 0;
  uint64_t next_watchdog_ns_ = 0;
  bool was_ready_ = false;
  feed::SourceWatch source_watch_;
  std::string told_trouble_;
  std::string told_tidy_;
  std::string told_discrepancy_;

  std::unique_ptr<OpenStore> store_;
  std::unique_ptr<DuckdbSink> sink_;
  std::unique_ptr<Ingest> ingest_;
  std::unique_ptr<KeeperLoop> keeper_;
  std::unique_ptr<feed::NamesReader> names_;  // null: none
  std::unique_ptr<SqlService> sql_;
  std::optional<pthread_t> ingest_thread_, writer_thread_, keeper_thread_, names_thread_;
  std::unique_ptr<service::HttpServer> server_;  // reads all of the above
  std::atomic<bool> gives_up_{false};
  std::optional<Reading> reading_;  // the job's while it runs
  uint64_t reading_number_ = 0;     // of the reload that the job is for; 0: none
  BackgroundJob job_;
};

}  // namespace weir::store
