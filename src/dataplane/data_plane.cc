#include "dataplane/data_plane.h"

#include <fmt/format.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include <algorithm>
#include <utility>

#include "base/thread_rights.h"
#include "dataplane/dpdk_core.h"
#include "dataplane/dpdk_port.h"
#include "dataplane/eal.h"
#include "dataplane/exception_path.h"
#include "dataplane/interface_check.h"
#include "dataplane/near_cpu.h"
#include "dataplane/placement.h"
#include "dataplane/plane_check.h"
#include "dataplane/port_plan.h"
#include "dataplane/replica_check.h"
#include "dataplane/replicator.h"
#include "dataplane/socket_plane.h"
#include "dataplane/worker_lanes.h"
#include "dataplane/xdp_steerings.h"

namespace weir::dataplane {
namespace {

/// A core that only hands over needs none of what decoding takes.
PipelineConfig without_decoding(PipelineConfig config) {
  config.reassembly.datagrams_max = 1;
  config.decoder.cores = 1;
  config.decoder.limits.exporters_max = config.decoder.limits.exporters_room = 1;
  config.decoder.limits.template_octets_total = decode::kTemplateOctetsPerCoreMin;
  config.decoder.limits.pending_octets_total = 0;
  config.decoder.restored.reset();
  config.batcher.buffers = 1;
  return config;
}

class RunningDataPlane final : public DataPlane {
 public:
  RunningDataPlane() = default;
  ~RunningDataPlane() override;

  Result<void> open(const DataPlaneConfig& config) WEIR_RUNS_ON(control_thread);
  Result<void> bring_up() override WEIR_RUNS_ON(control_thread);
  Result<void> start() override WEIR_RUNS_ON(control_thread);
  Result<void> change(const DataPlaneConfig& config) override WEIR_RUNS_ON(control_thread);
  bool settle_change() override WEIR_RUNS_ON(control_thread);
  void keep_time(uint64_t steady_now_ns) override WEIR_RUNS_ON(control_thread) {
    keeper_.step(steady_now_ns);
    for (const std::unique_ptr<DpdkDevice>& device : devices_) device->keep_time(steady_now_ns);
  }
  TimeStats time_stats() const override WEIR_RUNS_ON(control_thread) { return keeper_.stats(); }
  void request_stop() override WEIR_RUNS_ON(control_thread);
  bool has_ended() const noexcept override;
  void stop() override WEIR_RUNS_ON(control_thread);
  std::span<const CoreInfo> cores() const noexcept override { return cores_; }
  Pipeline& pipeline(size_t core) noexcept override { return *pipelines_[core]; }
  std::optional<WorkerStats> worker_stats(size_t core) const override {
    if (!cores_[core].is_worker) return {};
    return worker_lanes_.stats_of(core);
  }
  std::vector<PortStats> port_stats() override WEIR_RUNS_ON(control_thread);
  std::vector<ReplicaStats> replica_stats() const override WEIR_RUNS_ON(control_thread);
  std::shared_ptr<const classify::Stages> stages() const override WEIR_RUNS_ON(control_thread);
  bool at_end() const noexcept override;

 private:
  enum class State : uint8_t { made, up, started, stopped };

  Result<void> open_dpdk(const DataPlaneConfig& config) WEIR_RUNS_ON(control_thread);
  Result<void> make_pipelines(const DataPlaneConfig& config);
  Result<void> replicate(const DataPlaneConfig& config) WEIR_RUNS_ON(control_thread);
  Result<void> make_cores(const DataPlaneConfig& config) WEIR_RUNS_ON(control_thread);
  Result<void> start_devices() WEIR_RUNS_ON(control_thread);
  Result<void> start_threads() WEIR_RUNS_ON(control_thread);

  State state_ = State::made;
  IdlePolicy idle_ = IdlePolicy::adaptive;
  uint64_t linger_ns_ = 0;
  CpuTopology topology_;
  std::vector<unsigned> usable_;  // CPUs, when it was made
  Placement placement_;
  std::shared_ptr<const PlaneRules> rules_;       // of the pipelines
  std::shared_ptr<const PlaneRules> next_rules_;  // null: no change is under way
  // In this order: what is made later goes first.
  Timekeeper keeper_;
  std::vector<CoreInfo> cores_;
  std::unique_ptr<Replicator> replicator_;
  std::vector<std::unique_ptr<Pipeline>> pipelines_;
  std::unique_ptr<Eal> eal_;
  std::unique_ptr<ExceptionPath> exceptions_;  // null: no port wants one
  std::vector<std::unique_ptr<DpdkDevice>> devices_;
  XdpSteerings steerings_;
  std::vector<std::unique_ptr<DpdkCore>> dpdk_cores_;  // of the first pipelines
  WorkerLanes worker_lanes_;
  size_t launched_ = 0;
  std::unique_ptr<SocketPlane> sockets_;  // of the last pipelines, if there are sockets
};

Result<void> RunningDataPlane::open(const DataPlaneConfig& config) {
  if (const std::vector<PlaneTrouble> found = find_trouble(config, Machine::look()); !found.empty())
    return found.front().to_error(config);
  usable_ = usable_cpus();  // before EAL pins this thread
  topology_ = CpuTopology::look();
  idle_ = config.idle;
  linger_ns_ = config.pipeline.batcher.linger_ns;
  for (const SocketPort& port : config.socket_ports) {
    if (port.listener.value >= config.pipeline.listeners.size())
      return Error{fmt::format("port {}: no listener {}", port.name, port.listener.value)};
  }
  if (!config.socket_ports.empty()) {
    // First of all: it is what most often fails, and DPDK starts only once.
    const auto seed = static_cast<uint32_t>(config.pipeline.decoder.hash_seed >> 32);
    Result<std::unique_ptr<SocketPlane>> opened = SocketPlane::open(config.socket_ports, {config.socket_threads, seed}, config.tcp);
    if (!opened) return opened.error();
    sockets_ = std::move(*opened);
  }
  if (!config.dpdk_ports.empty())
    if (Result<void> opened = open_dpdk(config); !opened) return opened;
  std::vector<unsigned> cpus;
  if (sockets_) cpus = place_socket_threads(config.socket_lcores, sockets_->threads(), placement_, usable_, topology_);
  for (size_t thread = 0; sockets_ && thread < sockets_->threads(); ++thread)
    cores_.push_back({.core = static_cast<uint16_t>(cores_.size()),
                      .cpu = cpus.empty() ? -1 : static_cast<int>(cpus[thread]),
                      .serves = sockets_->serves(thread)});
  if (Result<void> made = make_pipelines(config); !made) return made;
  if (Result<void> replicated = replicate(config); !replicated) return replicated;
  return make_cores(config);
}

Result<void> RunningDataPlane::replicate(const DataPlaneConfig& config) {
  Result<std::unique_ptr<Replicator>> opened = Replicator::open(with_returns(config), pipelines_.size());
  if (!opened) return opened.error();
  replicator_ = std::move(*opened);
  for (size_t i = 0; i < pipelines_.size(); ++i) pipelines_[i]->set_replica(&replicator_->lane(i));
  return {};
}

Result<void> RunningDataPlane::make_cores(const DataPlaneConfig& config) {
  for (size_t i = 0; i < placement_.cores.size(); ++i) {
    auto core = std::make_unique<DpdkCore>(*pipelines_[i], keeper_, idle_, linger_ns_);
    if (Result<void> opened = core->open(); !opened) return opened;
    for (const QueueRef& queue : placement_.cores[i].queues)
      core->serve(devices_[queue.port]->queue(queue.queue));
    dpdk_cores_.push_back(std::move(core));
  }
  worker_lanes_.join({.placement = placement_,
                      .topology = topology_,
                      .infos = cores_,
                      .cores = dpdk_cores_,
                      .pipelines = pipelines_,
                      .devices = devices_,
                      .exceptions = exceptions_.get()},
                     config.pipeline.decoder.hash_seed);
  return {};
}

Result<void> RunningDataPlane::open_dpdk(const DataPlaneConfig& config) {
  std::vector<PortDemand> demands;
  for (const DpdkPort& port : config.dpdk_ports) demands.push_back(demand_of(port));
  Result<Placement> placement = place_cores(demands, config.eal.main_lcore, usable_, topology_, config.socket_lcores);
  if (!placement) return placement.error();
  placement_ = std::move(*placement);
  Result<std::unique_ptr<Eal>> eal =
      Eal::start(config.eal, placement_, pci_devices(config.dpdk_ports), idle_);
  if (!eal) return eal.error();
  eal_ = std::move(*eal);

  const std::vector<uint16_t> descriptors_max = rx_descriptors_max(config.dpdk_ports, config.eal);
  for (size_t i = 0; i < config.dpdk_ports.size(); ++i) {
    const DpdkPort& port = config.dpdk_ports[i];
    Result<std::unique_ptr<DpdkDevice>> device = DpdkDevice::attach(port, idle_, descriptors_max[i]);
    if (!device) return device.error();
    devices_.push_back(std::move(*device));
    if (Result<void> steered = steerings_.steer(*devices_.back(), config.dpdk_ports); !steered) return steered;
    if (!port.exception.is_on()) continue;
    if (!exceptions_) exceptions_ = std::make_unique<ExceptionPath>();
    if (Result<void> added = exceptions_->add(*devices_.back(), port.exception); !added) return added;
  }
  for (const InterfaceTrouble& note : find_interface_notes(config.dpdk_ports)) devices_[note.port]->add_note(note.what);
  for (const NodeCrossing& crossing : placement_.crossings)
    devices_[crossing.port]->add_note(fmt::format("CPU {} of NUMA node {} serves it, and the device is on node {}: what arrives crosses between them",
                                                  crossing.cpu, crossing.cpu_node, crossing.port_node));
  for (const CorePlacement& core : placement_.cores) {
    CoreInfo info{.core = static_cast<uint16_t>(cores_.size()),
                  .cpu = static_cast<int>(core.cpu),
                  .serves = {}};
    const auto serves = [&](size_t port, const char* what, uint16_t number) {
      info.serves += fmt::format("{}{} {} {}", info.serves.empty() ? "" : ", ", devices_[port]->name(), what, number);
    };
    info.is_worker = info.decodes = !core.works_as.empty();
    for (const QueueRef& queue : core.queues) {
      serves(queue.port, "queue", queue.queue);
      info.decodes |= devices_[queue.port]->workers() == 0;
    }
    for (const WorkerRef& worker : core.works_as) serves(worker.port, "worker", worker.worker);
    cores_.push_back(std::move(info));
  }
  return {};
}

Result<void> RunningDataPlane::make_pipelines(const DataPlaneConfig& config) {
  auto rules = config.pipeline.rules(cores_.size());
  if (!rules) return rules.error();
  rules_ = std::move(*rules);
  PipelineConfig one = config.pipeline;
  one.decoder.cores =
      static_cast<uint32_t>(std::count_if(cores_.begin(), cores_.end(), [](const CoreInfo& core) { return core.decodes; }));
  for (const CoreInfo& core : cores_) {
    one.batcher.core = core.core;
    const NearCpu near(topology_, core.cpu);
    Result<std::unique_ptr<Pipeline>> pipeline = Pipeline::create(core.decodes ? one : without_decoding(one), rules_);
    if (!pipeline) return pipeline.error();
    pipelines_.push_back(std::move(*pipeline));
  }
  return {};
}

Result<void> RunningDataPlane::bring_up() {
  if (state_ == State::up || state_ == State::started) return {};
  if (state_ == State::stopped) return Error{"the data plane was stopped: make a new one"};
  state_ = State::up;
  Result<void> up = start_devices();
  if (!up) stop();
  return up;
}

Result<void> RunningDataPlane::start() {
  if (state_ == State::started) return {};
  if (Result<void> up = bring_up(); !up) return up;
  state_ = State::started;
  Result<void> started = start_threads();
  if (!started) stop();
  return started;
}

Result<void> RunningDataPlane::start_devices() {
  for (const std::unique_ptr<DpdkDevice>& device : devices_)
    if (Result<void> started = device->start(); !started) return started;
  if (Result<void> added = steerings_.add_ports(rules_->listeners); !added) return added;
  return steerings_.attach();
}

/// They have the rights that this thread has by now.
Result<void> RunningDataPlane::start_threads() {
  if (Result<void> started = replicator_->start(); !started) return started;
  if (exceptions_)
    if (Result<void> started = exceptions_->start(); !started) return started;
  for (size_t i = 0; i < dpdk_cores_.size(); ++i) {
    const auto run = [](void* core) -> int {
      const RoleScope role(rx_lcore);
      const RoleScope working(worker_lcore);
      give_up_capabilities();
      static_cast<DpdkCore*>(core)->run();
      return 0;
    };
    if (const int rc = rte_eal_remote_launch(run, dpdk_cores_[i].get(), Eal::lcore_of(i)); rc != 0)
      return Error{fmt::format("receive core {}: its lcore is not free ({})", i, rc)};
    ++launched_;
  }
  for (size_t thread = 0; sockets_ && thread < sockets_->threads(); ++thread) {
    const size_t core = dpdk_cores_.size() + thread;
    if (Result<void> started = sockets_->start(thread, *pipelines_[core], keeper_, {core, idle_, linger_ns_, cores_[core].cpu}); !started)
      return started;
  }
  return {};
}

Result<void> RunningDataPlane::change(const DataPlaneConfig& config) {
  if (next_rules_) return Error{"the change before is still under way: try again"};
  // A listener that is new may be where somebody is sent what we receive. Rights were another user's, perhaps.
  if (const auto found = find_replica_trouble(config, Rights{}); !found.empty())
    return Error{"replicate: " + found.front().what};
  if (Result<void> prepared = replicator_->prepare_change(with_returns(config)); !prepared) return prepared;
  auto rules = config.pipeline.rules(cores_.size(), rules_.get());
  if (!rules) return rules.error();
  if (!sockets_ && !config.socket_ports.empty())
    return Error{fmt::format("port {}: the first kernel socket needs a thread of its own: restart",
                             config.socket_ports.front().name)};
  if (sockets_)
    if (Result<void> prepared = sockets_->prepare_change(config.socket_ports); !prepared)
      return prepared;
  if (Result<void> added = steerings_.add_ports((*rules)->listeners); !added) return added;
  next_rules_ = std::move(*rules);
  replicator_->begin_change();
  // Workers first: what a core hands over has been sorted by rules that its workers can have, too.
  for (const bool workers : {true, false})
    for (size_t i = 0; i < pipelines_.size(); ++i)
      if (cores_[i].is_worker == workers) pipelines_[i]->set_rules(*next_rules_);
  return {};
}

// Rules first: when a socket's datagrams come, their listener is known.
bool RunningDataPlane::settle_change() {
  if (next_rules_) {
    for (const std::unique_ptr<Pipeline>& pipeline : pipelines_)
      if (!pipeline->goes_by(*next_rules_)) return false;
    rules_ = std::move(next_rules_);
    steerings_.keep_ports(rules_->listeners, devices_);
    if (sockets_) {
      sockets_->begin_change();
      for (size_t thread = 0; thread < sockets_->threads(); ++thread)
        cores_[dpdk_cores_.size() + thread].serves = sockets_->serves(thread);
    }
  }
  const bool replicas_have = replicator_->settle_change();
  return (!sockets_ || sockets_->settle_change()) && replicas_have;
}

void RunningDataPlane::stop() {
  if (state_ == State::stopped) return;
  state_ = State::stopped;
  request_stop();
  if (sockets_) sockets_->stop();
  for (size_t i = launched_; i < dpdk_cores_.size(); ++i) dpdk_cores_[i]->close_lanes();
  for (; launched_ > 0; --launched_) rte_eal_wait_lcore(Eal::lcore_of(launched_ - 1));
  if (exceptions_) exceptions_->stop();
  if (replicator_) replicator_->stop();
  steerings_.detach();
  for (const std::unique_ptr<DpdkDevice>& device : devices_) device->stop();
}

void RunningDataPlane::request_stop() {
  for (const std::unique_ptr<DpdkCore>& core : dpdk_cores_) core->request_stop();
  if (sockets_) sockets_->request_stop();
}

bool RunningDataPlane::has_ended() const noexcept {
  for (size_t i = 0; i < launched_; ++i)
    if (!dpdk_cores_[i]->has_ended()) return false;
  return !sockets_ || sockets_->has_ended();
}

RunningDataPlane::~RunningDataPlane() {
  const RoleScope role(control_thread);
  stop();
  dpdk_cores_.clear();
  steerings_.clear();
  devices_.clear();  // they may still hold buffers of the next
  exceptions_.reset();
  // EAL, which owns their memory, goes last.
}

std::vector<PortStats> RunningDataPlane::port_stats() {
  std::vector<PortStats> stats;
  for (const std::unique_ptr<DpdkDevice>& device : devices_) {
    stats.push_back(device->stats());
    if (exceptions_) stats.back().exception = exceptions_->stats(*device, stats.back().link_up);
  }
  if (sockets_) sockets_->append_stats(stats);
  return stats;
}

std::vector<ReplicaStats> RunningDataPlane::replica_stats() const {
  return replicator_ ? replicator_->stats() : std::vector<ReplicaStats>{};
}

std::shared_ptr<const classify::Stages> RunningDataPlane::stages() const {
  return next_rules_ ? next_rules_->stages : rules_->stages;
}

bool RunningDataPlane::at_end() const noexcept {
  if (devices_.empty() || sockets_) return false;
  for (const std::unique_ptr<DpdkDevice>& device : devices_)
    if (!device->is_at_end()) return false;
  // What has been read may still wait for a worker, or be in its hands.
  uint64_t handed = 0, taken = 0;
  for (const std::unique_ptr<Pipeline>& pipeline : pipelines_) {
    const Ledger ledger = pipeline->ledger();
    handed += ledger.handed.total();
    taken += ledger.taken.total();
  }
  return handed == taken;
}

}  // namespace

Result<std::unique_ptr<DataPlane>> DataPlane::create(const DataPlaneConfig& config) {
  auto data_plane = std::make_unique<RunningDataPlane>();
  if (Result<void> opened = data_plane->open(config); !opened) return opened.error();
  return std::unique_ptr<DataPlane>(std::move(data_plane));
}

}  // namespace weir::dataplane
