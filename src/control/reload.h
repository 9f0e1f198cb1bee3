// reload.h — A configuration read anew while the appliance runs: asked for, read, judged, and how it went.
//
// Runs on:  ask and view: any thread; step: control_thread. The file is read on a thread of its own, for a
//           disk may hang.
// Failure:  a configuration that is wrong, or that the machine will not have, is refused as a whole; what was
//           there goes on.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/snapshot.h"
#include "base/thread_roles.h"
#include "base/background_job.h"
#include "control/config/config.h"
#include "service/operation_routes.h"

namespace weir::control {

using service::ReloadState;
using service::ReloadView;

/// What goes without a restart: these keys and what stands in them. docs/REST.md has them.
std::span<const std::string_view> live_keys() noexcept;
bool goes_without_restart(std::string_view key) noexcept;

/// The keys that differ, by what can be done about them.
struct ConfigChange {
  std::vector<std::string> now;
  std::vector<std::string> at_restart;
  std::vector<std::string> notes;  // why, where a key alone does not say it
};
/// `started`: what the appliance was made from, which says how much there is room for.
ConfigChange compare(const ApplianceConfig& started, const ApplianceConfig& running,
                     const ApplianceConfig& wanted);

/// `running` with what of `wanted` goes without a restart.
ApplianceConfig with_live_keys(const ApplianceConfig& running, const ApplianceConfig& wanted);

class Reloader {
 public:
  using Load = std::function<Result<LoadedConfig>()>;
  /// What has to be made for a configuration by calls that may block; null: nothing.
  using Preparation = std::function<Result<void>()>;
  struct Steps {
    /// Says no, or what there is to prepare, which is then done on the reader's thread.
    std::function<Result<Preparation>(const ApplianceConfig&)> prepare;
    /// Makes the appliance go by it, or refuses it as a whole. The origins are the whole file's.
    std::function<Result<void>(const ApplianceConfig&, const service::Origins&)> apply;
    /// All that was applied has been taken up.
    std::function<bool()> is_settled;
  };

  explicit Reloader(const ApplianceConfig& started);

  /// Before step: where the configuration comes from. Without, there is nothing to reload.
  void set_source(Load load) { load_ = std::move(load); has_source_.store(load_ != nullptr); }
  bool has_source() const noexcept { return has_source_.load(); }

  /// The number of the reload that this begins; nullopt while another is under way.
  std::optional<uint64_t> ask();
  std::shared_ptr<const ReloadView> view() const { return view_.read(); }

  /// `running` is what goes now. True when a reload begins.
  bool step(const ApplianceConfig& running, const Steps& steps) WEIR_RUNS_ON(control_thread);
  /// At the end: a disk that hangs.
  bool is_reading() const noexcept { return job_.is_running(); }

 private:
  enum class Phase : uint8_t { idle, reading, preparing, settling };
  void judge(const ApplianceConfig& running, const Steps& steps) WEIR_RUNS_ON(control_thread);
  void apply(const ApplianceConfig& running, const Steps& steps) WEIR_RUNS_ON(control_thread);
  void refuse(std::string why) WEIR_RUNS_ON(control_thread);
  void end(ReloadState state) WEIR_RUNS_ON(control_thread);

  const ApplianceConfig started_;
  Load load_;
  std::atomic<bool> has_source_{false};
  std::atomic<uint64_t> asked_{0};
  std::atomic<uint64_t> ended_{0};
  Phase phase_ = Phase::idle;
  ReloadView next_;
  std::optional<Result<LoadedConfig>> loaded_;  // the job's until it has ended, as the next
  std::optional<Result<void>> prepared_;
  BackgroundJob job_;
  Snapshot<ReloadView> view_;
};

}  // namespace weir::control
