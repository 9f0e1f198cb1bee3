#include "cli/replay_run.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "control/appliance.h"
#include "dataplane/ring_feeder.h"
#include "service/log.h"

namespace weir::cli {

using control::ApplianceConfig;
using control::ApplianceView;
using control::PublisherView;

namespace {

constexpr uint32_t kRoomBesidesFrame = 256;      // headroom, and what the driver wants
constexpr uint32_t kOctetsBesidesRoom = 1024;    // of a buffer, in the pool
constexpr uint32_t kDataRoomMin = 2176;
constexpr uint32_t kMbufsMin = 8192;             // a queue, with one that a pool does not use
constexpr uint32_t kMemoryMbOfDpdk = 192;        // beside the buffers
constexpr uint64_t kSettleMaxNs = 60 * kNsPerSec;  // from the last frame on
constexpr uint64_t kSettleWhenStoppedNs = 5 * kNsPerSec;
constexpr uint64_t kSettleUnreachedNs = 5 * kNsPerSec;  // where who still has records never had a connection
constexpr uint64_t kSettleSilentNs = kNsPerSec;         // then it is said what is waited for
constexpr uint32_t kListenersMax = 64;

/// CLOCK_PROCESS_CPUTIME_ID or CLOCK_THREAD_CPUTIME_ID.
uint64_t cpu_ns(clockid_t whose) {
  timespec t{};
  clock_gettime(whose, &t);
  return static_cast<uint64_t>(t.tv_sec) * kNsPerSec + static_cast<uint64_t>(t.tv_nsec);
}

uint64_t cycles() { return __builtin_ia32_rdtsc(); }

/// VmHWM.
uint64_t resident_octets_max() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

/// On CPUs that no receive core has, if there are any.
void keep_off(const std::vector<control::CoreView>& cores) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return;
  for (const control::CoreView& core : cores) {
    if (core.info.cpu >= 0) CPU_CLR(static_cast<size_t>(core.info.cpu), &set);
  }
  if (CPU_COUNT(&set) != 0) pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

std::string yaml_quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

Result<std::string> publisher_text(const std::string& publish) {
  if (publish == "discard") return std::string("publishers: [{kind: discard}]\n");
  if (publish.starts_with("file:")) {
    return fmt::format("publishers: [{{kind: file, format: flow_batch, path: {}}}]\n", yaml_quoted(publish.substr(5)));
  }
  if (publish.starts_with("nats://") || publish.starts_with("tls://")) {
    return fmt::format("publishers: [{{kind: jetstream}}]\nnats_url: {}\n", yaml_quoted(publish));
  }
  return Error{fmt::format("--publish {}: must be discard, file:PATH or nats://HOST:PORT", publish)};
}

/// Everything, at first for whatever the captures were sent to.
Result<control::LoadedConfig> made_for(const ReplayTarget& target, const lab::ReplayFrames& frames) {
  if (frames.udp_ports().size() > kListenersMax) {
    return Error{fmt::format("the captures are for {} UDP ports, which is more than {} listeners: name them in a "
                             "configuration (--config)",
                             frames.udp_ports().size(), kListenersMax)};
  }
  auto publisher = publisher_text(target.publish);
  if (!publisher) return publisher.error();
  std::string text = "log: {level: warning}\ncontrol_socket: {path: \"\"}\nstate_dir: \"\"\nlisteners:\n";
  for (const uint16_t port : frames.udp_ports()) text += fmt::format("  - {{protocol: any, port: {}}}\n", port);
  text += *publisher;
  text += fmt::format("ports: [{{name: replay, device: {}, queues: {}, workers: {}}}]\n", kReplayDevice, target.queues,
                      target.workers);
  return control::read_config(text, "weir replay", {});
}

class Replay {
 public:
  Replay(const lab::ReplayFrames& frames, const lab::ReplayPlan& plan, const std::atomic<bool>& stop,
         const std::function<void(double, const ReplayMoment&)>& on_look)
      : plan_(plan), player_(frames, plan), stop_asked_(stop), on_look_(on_look) {}
  ~Replay() { end(); }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  /// Packets can come in.
  void begin(const ApplianceView& view) {
    const auto when_full = plan_.rate.unit == lab::ReplayRate::Unit::unlimited ? dataplane::RingFeeder::WhenFull::wait
                                                                              : dataplane::RingFeeder::WhenFull::refuse;
    auto feeder = dataplane::RingFeeder::open(kReplayDevice, when_full, stop_);
    if (!feeder) {
      trouble_ = feeder.error().message;
      return;
    }
    feeder_ = std::move(*feeder);
    began_ns_ = steady_clock_ns();
    cycles_ = cycles();
    cpu_ns_ = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
    try {
      thread_ = std::thread([this, cores = view.cores] {
        pthread_setname_np(pthread_self(), "replay");
        keep_off(cores);
        player_.run(*feeder_, stop_);
        player_cpu_ns_ = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
      });
    } catch (const std::system_error& e) {
      trouble_ = "no thread can be made: " + e.code().message();
    }
  }

  /// Whether it is over: all that was played has been settled, or will not be.
  bool look(const ApplianceView& view) {
    if (!trouble_.empty()) return true;
    if (stop_asked_.load(std::memory_order_relaxed)) stop_.store(true, std::memory_order_relaxed);
    if (view.taken_steady_ns == looked_at_ns_) return false;
    looked_at_ns_ = view.taken_steady_ns;
    note(view);
    const uint64_t ended_ns = player_.ended_steady_ns();
    if (ended_ns == 0 || view.taken_steady_ns < ended_ns) return false;
    end();
    const bool is_asked = stop_asked_.load(std::memory_order_relaxed);
    if (!is_settled(view)) {
      const uint64_t wait_ns = is_asked ? kSettleWhenStoppedNs : is_reached(view) ? kSettleMaxNs : kSettleUnreachedNs;
      if (view.taken_steady_ns > ended_ns + kSettleSilentNs) say_what_is_waited_for(view, wait_ns);
      return view.taken_steady_ns > ended_ns + wait_ns;
    }
    settled_ns_ = view.taken_steady_ns;
    return true;
  }

  const std::string& trouble() const noexcept { return trouble_; }

  ReplayResult result(std::shared_ptr<const ApplianceView> view, uint64_t exporters, uint64_t left_out) {
    end();
    ReplayResult r;
    const lab::ReplayCounters& c = player_.counters();
    r.frames = c.frames.value();
    r.octets = c.octets.value();
    r.records = c.records.value();
    r.rounds = c.rounds.value();
    r.lost = c.lost.value();
    r.duplicated = c.duplicated.value();
    r.reordered = c.reordered.value();
    r.corrupted = c.corrupted.value();
    r.behind_ns = c.behind_ns.value();
    r.refused = refused_;
    r.exporters = exporters;
    r.left_out = left_out;
    r.play_ns = player_.ended_steady_ns() - player_.began_steady_ns();
    r.delivered_ns = settled_ns_ == 0 ? 0 : settled_ns_ - began_ns_;
    r.cycles_per_ns = static_cast<double>(cycles() - cycles_) / static_cast<double>(std::max<uint64_t>(steady_clock_ns() - began_ns_, 1));
    r.process_cpu_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns_ - player_cpu_ns_;
    r.memory_octets = resident_octets_max();
    r.view = std::move(view);
    r.moments = std::move(moments_);
    return r;
  }

 private:
  /// The player has ended, or does so now.
  void end() {
    if (!feeder_) return;
    stop_.store(true, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
    refused_ = feeder_->frames_refused();
    feeder_.reset();
  }

  bool is_settled(const ApplianceView& view) const {
    const dataplane::Ledger total = view.total();
    if (total.frames + refused_ < player_.counters().frames.value()) return false;
    if (total.handed.total() != total.taken.total()) return false;
    return std::all_of(view.publishers.begin(), view.publishers.end(), [](const PublisherView& p) {
      return p.records_in_flight + p.records_waiting == 0;
    });
  }

  static bool owes(const PublisherView& p) { return p.records_in_flight + p.records_waiting != 0; }

  /// Of those that still have records, whether any was ever connected.
  bool is_reached(const ApplianceView& view) const {
    bool someone_owes = false;
    for (size_t i = 0; i < view.publishers.size(); ++i) {
      if (!owes(view.publishers[i])) continue;
      someone_owes = true;
      if (i < reached_.size() && reached_[i]) return true;
    }
    return !someone_owes;  // it is the receive cores that are waited for
  }

  /// Once.
  void say_what_is_waited_for(const ApplianceView& view, uint64_t wait_ns) {
    if (std::exchange(has_said_, true)) return;
    for (const PublisherView& p : view.publishers) {
      if (!owes(p)) continue;
      service::log_warning("all is played; waiting up to {} s for publisher {}, which has {} records: {}", wait_ns / kNsPerSec, p.name,
                           p.records_in_flight + p.records_waiting, p.connected ? "it is slow" : p.publish_trouble());
    }
  }

  void note(const ApplianceView& view) {
    reached_.resize(view.publishers.size());
    for (size_t i = 0; i < view.publishers.size(); ++i) {
      if (view.publishers[i].connected || view.publishers[i].batches_acknowledged != 0) reached_[i] = true;
    }
    if (view.taken_steady_ns < began_ns_) return;
    ReplayMoment moment{.after_ns = view.taken_steady_ns - began_ns_,
                        .frames = player_.counters().frames.value(),
                        .records = view.total().records};
    bool is_first = true;
    for (const PublisherView& p : view.publishers) {
      moment.acknowledged = is_first ? p.records_acknowledged : std::min(moment.acknowledged, p.records_acknowledged);
      is_first = false;
    }
    // Of a long run every other one goes: the chart needs no more.
    if (moments_.size() >= kMomentsMax) {
      for (size_t i = 1; i < moments_.size() / 2; ++i) moments_[i] = moments_[2 * i];
      moments_.resize(moments_.size() / 2);
    }
    moments_.push_back(moment);
    on_look_(player_.progress(steady_clock_ns()), moment);
  }

  static constexpr size_t kMomentsMax = 4096;

  const lab::ReplayPlan plan_;
  lab::ReplayPlayer player_;
  const std::atomic<bool>& stop_asked_;
  const std::function<void(double, const ReplayMoment&)>& on_look_;
  std::atomic<bool> stop_{false};
  std::unique_ptr<dataplane::RingFeeder> feeder_;
  std::thread thread_;
  std::string trouble_;
  std::vector<ReplayMoment> moments_;
  std::vector<bool> reached_;  // publishers that were connected once
  bool has_said_ = false;
  uint64_t refused_ = 0;
  uint64_t began_ns_ = 0;
  uint64_t settled_ns_ = 0;
  uint64_t looked_at_ns_ = 0;
  uint64_t cycles_ = 0;
  uint64_t cpu_ns_ = 0;         // of the process, when it began
  uint64_t player_cpu_ns_ = 0;  // the player thread's; read when it has ended
};

}  // namespace

Result<ApplianceConfig> replay_config(const ReplayTarget& target, const lab::ReplayFrames& frames, uint64_t exporters) {
  auto loaded = target.config_path.empty() ? made_for(target, frames)
                                           : control::load_config(target.config_path, control::process_environment());
  if (!loaded) return loaded.error();
  ApplianceConfig config = std::move(loaded->config);
  if (target.config_path.empty()) {
    config.limits.exporters_per_core = std::max<uint32_t>(config.limits.exporters_per_core, static_cast<uint32_t>(exporters));
  }
  for (control::ListenerConfig& listener : config.listeners) {
    listener.port = listener.udp_port();
    listener.listen_addr.reset();
  }
  control::PortConfig port;
  port.name = "replay";
  port.device = kReplayDevice;
  port.queues = target.queues;
  port.workers = target.workers;
  port.data_room_bytes = std::min<uint32_t>(std::max(frames.frame_octets_max() + kRoomBesidesFrame, kDataRoomMin), 65'535);
  port.rx_descriptors = target.descriptors;
  // As many again for workers and for frames that are being made.
  port.mbufs = std::max(std::bit_ceil(2u * target.descriptors), kMbufsMin) - 1;
  config.ports = {port};
  config.eal.hugepages = false;
  config.eal.file_prefix.clear();
  config.eal.memory_mb = kMemoryMbOfDpdk + static_cast<uint32_t>((uint64_t{port.data_room_bytes + kOctetsBesidesRoom} * port.mbufs * port.queues) >> 20);
  // What cannot be delivered is lost, and reported: a spool is the installation's own.
  const auto spools = [](control::DropPolicy policy) { return policy == control::DropPolicy::spool; };
  if (spools(config.drop_policy)) config.drop_policy = control::DropPolicy::drop_newest;
  for (control::PublisherConfig& publisher : config.publishers) {
    if (publisher.drop_policy && spools(*publisher.drop_policy)) publisher.drop_policy = control::DropPolicy::drop_newest;
  }
  // Nobody else is to take a laboratory's datagrams for an exporter's.
  config.replicate.clear();
  config.control_socket.path.clear();
  config.metrics_addr.clear();
  config.state_dir.clear();
  return config;
}

Result<ReplayResult> run_replay(const ApplianceConfig& config, const lab::ReplayFrames& frames, const lab::ReplayPlan& plan,
                                const std::atomic<bool>& stop,
                                const std::function<void(double, const ReplayMoment&)>& on_look) {
  const RoleScope role(control_thread);
  auto appliance = control::Appliance::create(config);
  if (!appliance) return appliance.error();
  Replay replay(frames, plan, stop, on_look);
  control::RunOptions options;
  options.on_running = [&](const ApplianceView& view) { replay.begin(view); };
  options.poll_view = [&](const ApplianceView& view) {
    return replay.look(view) ? control::Request::stop : control::Request::none;
  };
  auto last = (*appliance)->run(options);
  if (!last) return last.error();
  if (!replay.trouble().empty()) return Error{replay.trouble()};
  return replay.result(std::move(*last), frames.sources().size() * plan.copies, frames.left_out());
}

}  // namespace weir::cli
