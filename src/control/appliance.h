// appliance.h — The appliance as a whole: made from a configuration, run until told to stop, drained.
//
// Runs on:  the thread that calls run() is the control thread (and the EAL's main lcore).
// Failure:  create() names what cannot work; nothing runs then. run() returns what could not be
//           delivered.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/snapshot.h"
#include "base/thread_roles.h"
#include "base/waker.h"
#include "control/books_audit.h"
#include "control/config/config.h"
#include "control/delivery/delivery.h"
#include "control/delivery/disposal.h"
#include "control/delivery/publisher_plan.h"
#include "control/event_log.h"
#include "control/exporters/exporter_census.h"
#include "control/exporters/exporter_feed.h"
#include "control/exporters/exporter_history.h"
#include "control/exporters/exporter_list_watch.h"
#include "control/exporters/names_file.h"
#include "control/http/exporter_detail_routes.h"
#include "control/http/live_routes.h"
#include "control/http/operation_routes.h"
#include "control/loss_log.h"
#include "control/rate_balancer.h"
#include "control/reload.h"
#include "control/rule_book.h"
#include "control/state/state_keeper.h"
#include "control/state/state_lock.h"
#include "control/taps/capture_desk.h"
#include "control/taps/quarantine_desk.h"
#include "control/view.h"
#include "dataplane/data_plane.h"
#include "service/http_server.h"
#include "service/log.h"
#include "service/service_notify.h"
#include "service/thread_look.h"

namespace weir::control {

/// Asked once a turn of the control loop; the program's signals, or a test.
/// renew: the configuration is to be read anew, and files that somebody has moved are to be opened anew.
enum class Request : uint8_t { none, stop, renew };

struct RunOptions {
  std::function<Request()> poll_request;
  /// The same with the last view, at each turn.
  std::function<Request(const ApplianceView&)> poll_view;
  /// Stop once every port has been read to its end and everything is delivered.
  bool stop_at_end = false;
  /// Reads the configuration that the appliance was made from anew; empty: there is nothing to reload.
  Reloader::Load reload;
  /// Where the values that it was made from came from, for those who ask.
  service::Origins origins;
  /// Called when ports are up and no packet has been looked at; who runs from then on. Empty: who runs already.
  std::function<Result<service::RightsView>()> give_up_rights;
  /// Called when packets can come in.
  std::function<void(const ApplianceView&)> on_running;
};

class Appliance {
 public:
  static Result<std::unique_ptr<Appliance>> create(const ApplianceConfig& config)
      WEIR_RUNS_ON(control_thread);
  ~Appliance();

  /// Starts receiving; returns after a stop was asked for and what was in flight is settled or the
  /// deadline has passed. The view returned is the last one: its ledger is final, and exact unless a
  /// receive core is stuck().
  Result<std::shared_ptr<const ApplianceView>> run(const RunOptions& options)
      WEIR_RUNS_ON(control_thread);

  uint16_t metrics_port() const noexcept;
  /// After run(): what would not end, in words that were logged. Its threads still use what this
  /// object owns, so the process ends without destroying it.
  const std::vector<std::string>& stuck() const noexcept { return stuck_; }

 private:
  static constexpr int kIdleWaitMs = 2;  // between two looks of a control thread that has nothing to do
  /// While it takes flows: sealed batches wait for so long, a tenth of what their records waited for already, unless so
  /// many wait that a core wakes it up. Where nothing has moved for a second only the first waits for longer: looks are
  /// most of what an idle appliance costs.
  static int idle_wait_ms(uint32_t linger_ms, uint64_t nothing_moved_for_ns) noexcept {
    const uint32_t tenths = nothing_moved_for_ns < kNsPerSec ? 1 : 4;
    return static_cast<int>(std::clamp(linger_ms * tenths / 10, 2u, 5 * tenths));
  }

  explicit Appliance(const ApplianceConfig& config);

  bool turn() WEIR_RUNS_ON(control_thread);
  bool take_events() WEIR_RUNS_ON(control_thread);
  void take_drops() WEIR_RUNS_ON(control_thread);
  Reloader::Steps reload_steps() WEIR_RUNS_ON(control_thread);
  Result<Reloader::Preparation> prepare_config(const ApplianceConfig& config) WEIR_RUNS_ON(control_thread);
  bool has_settled() WEIR_RUNS_ON(control_thread);
  void change_publishers() WEIR_RUNS_ON(control_thread);
  void make_feed(std::unique_ptr<outbound::MetaPublisher> meta) WEIR_RUNS_ON(control_thread);
  bool step_feed(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  static void say_clock(const dataplane::TimeStats& now, const dataplane::TimeStats& before);
  ExporterFeedView feed_view() WEIR_RUNS_ON(control_thread);
  Result<void> take_config(const ApplianceConfig& config, const service::Origins& origins)
      WEIR_RUNS_ON(control_thread);
  void show_config(const service::Origins& origins) WEIR_RUNS_ON(control_thread);
  void balance_rates() WEIR_RUNS_ON(control_thread);
  void watch_exporter_list(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  void change_labels() WEIR_RUNS_ON(control_thread);
  void refresh_view(ApplianceState state) WEIR_RUNS_ON(control_thread);
  void look_at_threads(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  void say_trouble(const std::string& name, const std::string& trouble)
      WEIR_RUNS_ON(control_thread);
  void say_lost_log_lines() WEIR_RUNS_ON(control_thread);
  void begin_drain(uint64_t deadline_ns) WEIR_RUNS_ON(control_thread);
  bool has_drained() WEIR_RUNS_ON(control_thread);
  void look_around(ApplianceState state, service::ServiceNotify& notify)
      WEIR_RUNS_ON(control_thread);
  void say_readiness() WEIR_RUNS_ON(control_thread);
  void say_news(const PublisherView& now, const ApplianceView* before)
      WEIR_RUNS_ON(control_thread);
  bool end_cores(const std::function<bool()>& asked_again, service::ServiceNotify& notify)
      WEIR_RUNS_ON(control_thread);
  void look_who_is_stuck() WEIR_RUNS_ON(control_thread);
  void deliver_rest(const std::function<bool()>& asked_again, service::ServiceNotify& notify)
      WEIR_RUNS_ON(control_thread);

  ApplianceConfig config_;
  service::RightsView rights_;
  service::ThreadWatch thread_watch_;
  uint64_t next_thread_look_ns_ = 0;
  Numbering numbers_;
  outbound::Subjects subjects_;  // by route; publishers have copies
  std::string uuid_;
  uint64_t started_ns_ = 0;
  uint64_t started_steady_ns_ = 0;
  StateLock state_lock_;                // until all that writes there is gone
  Waker waker_;                         // publishers wake the control thread
  std::unique_ptr<NamesKeeper> names_;
  std::unique_ptr<StateKeeper> state_;  // before data_plane_: cores write into what it owns
  LiveFlows live_flows_;                // before data_plane_: cores look by what it owns
  CaptureDesk captures_;                // likewise
  QuarantineDesk quarantine_;           // likewise
  ExporterDetails exporter_details_;    // likewise: cores write into its questions
  std::unique_ptr<dataplane::DataPlane> data_plane_;
  std::unique_ptr<Delivery> delivery_;  // before data_plane_ goes: it holds the cores' buffers
  PublisherGround ground_;
  std::unique_ptr<PublisherPlan> plan_;  // of the reload that is under way
  uint64_t settled_by_ns_ = 0;           // when it has ended, whatever still delivers what it had
  EventLog event_log_;
  ExporterDirectory directory_;
  ExporterListWatch list_watch_;
  enum class LabelChange : uint8_t { done, due, under_way };
  LabelChange labels_ = LabelChange::done;
  std::unique_ptr<ExporterFeed> feed_;
  std::unique_ptr<ExporterFeed> leaving_feed_;  // that a reload has replaced
  ExporterFeedView feed_past_;                  // what those that are gone had counted
  Disposal disposal_;
  Snapshot<ApplianceView> view_;
  Snapshot<EffectiveConfig> effective_;
  Snapshot<ListenerNames> listener_names_;
  Reloader reloader_;
  std::unique_ptr<service::HttpServer> http_;
  bool was_healthy_ = true;

  std::unique_ptr<ExporterCensus> census_;
  ExporterHistory exporter_history_;
  BooksAudit audit_;
  LossBook<outbound::RecordDrop> drops_;
  RateBalancer rates_;
  RuleBook rule_book_;
  std::map<std::string, std::string> said_troubles_;  // by publisher
  uint64_t log_lines_lost_ = 0;                       // as last said
  LossLog losses_{[](const std::string& line) { service::log_warning("{}", line); }};
  uint64_t next_view_ns_ = 0;
  std::optional<bool> was_ready_;  // as last logged
  bool was_hurried_ = false;       // a stop was asked for twice before the cores had ended
  bool core_is_stuck_ = false;
  std::vector<std::string> stuck_;
};

}  // namespace weir::control
