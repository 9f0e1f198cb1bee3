// appliance.h — The appliance as a whole: made from a configuration, run until told to stop, drained.
//
// Runs on:  the thread that calls run() is the control thread (and the EAL's main lcore).
// Failure:  create() names what cannot work; nothing runs then. run() returns what could not be
//           delivered.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/snapshot.h"
#include "base/thread_roles.h"
#include "base/waker.h"
#include "control/config.h"
#include "control/delivery.h"
#include "control/event_log.h"
#include "control/exporter_feed.h"
#include "control/loss_log.h"
#include "control/names_file.h"
#include "control/state_keeper.h"
#include "control/view.h"
#include "dataplane/data_plane.h"
#include "service/http_server.h"
#include "service/log.h"

namespace weir::control {

/// Asked once a turn of the control loop; the program's signals, or a test.
enum class Request : uint8_t { none, stop };

struct RunOptions {
  std::function<Request()> poll_request;
  /// Stop once every port has been read to its end and everything is delivered.
  bool stop_at_end = false;
  /// Called when packets can come in.
  std::function<void(const ApplianceView&)> on_running;
};

class Appliance {
 public:
  static Result<std::unique_ptr<Appliance>> create(const ApplianceConfig& config)
      WEIR_RUNS_ON(control_thread);
  ~Appliance();

  /// Starts receiving; returns after a stop was asked for and what was in flight is settled or the
  /// deadline has passed. The view returned is the last one: its ledger is final and exact.
  Result<std::shared_ptr<const ApplianceView>> run(const RunOptions& options)
      WEIR_RUNS_ON(control_thread);

  uint16_t metrics_port() const noexcept;

 private:
  explicit Appliance(const ApplianceConfig& config);

  bool turn() WEIR_RUNS_ON(control_thread);
  bool take_events() WEIR_RUNS_ON(control_thread);
  void refresh_view(ApplianceState state) WEIR_RUNS_ON(control_thread);
  void say_trouble(const std::string& name, const std::string& trouble)
      WEIR_RUNS_ON(control_thread);
  void say_lost_log_lines() WEIR_RUNS_ON(control_thread);
  void begin_drain(uint64_t deadline_ns) WEIR_RUNS_ON(control_thread);
  bool has_drained() const WEIR_RUNS_ON(control_thread);
  void collect_exporters() WEIR_RUNS_ON(control_thread);
  void gather_all_exporters() WEIR_RUNS_ON(control_thread);
  CoreView core_view(size_t core, const CoreView* before, uint64_t elapsed_ns)
      WEIR_RUNS_ON(control_thread);

  ApplianceConfig config_;
  std::string uuid_;
  uint64_t started_ns_ = 0;
  Waker waker_;                         // publishers wake the control thread
  std::unique_ptr<NamesKeeper> names_;
  std::unique_ptr<StateKeeper> state_;  // before data_plane_: cores write into what it owns
  std::unique_ptr<dataplane::DataPlane> data_plane_;
  std::unique_ptr<Delivery> delivery_;  // before data_plane_ goes: it holds the cores' buffers
  EventLog event_log_;
  ExporterDirectory directory_;
  std::unique_ptr<ExporterFeed> feed_;
  Snapshot<ApplianceView> view_;
  std::unique_ptr<service::HttpServer> http_;

  std::vector<std::unique_ptr<dataplane::ExporterQuery>> queries_;  // one a core
  std::vector<uint8_t> asked_;                                      // which are with their core
  uint64_t next_exporters_ns_ = 0;
  std::vector<std::vector<decode::ExporterStats>> exporters_by_core_;
  std::vector<uint64_t> exporters_omitted_;
  std::vector<std::vector<decode::DomainStats>> domains_by_core_;
  std::vector<Discrepancy> last_discrepancies_;
  std::map<std::string, std::string> said_troubles_;  // by publisher
  uint64_t log_lines_lost_ = 0;                       // as last said
  LossLog losses_{[](const std::string& line) { service::log_warning("{}", line); }};
  uint64_t ledger_mismatches_ = 0;
  uint64_t last_view_steady_ns_ = 0;
};

}  // namespace weir::control
