#include "dataplane/dpdk_port.h"

#include <fmt/format.h>
#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "dataplane/driver_sockets.h"
#include "dataplane/eal.h"
#include "dataplane/pcap_file.h"
#include "dataplane/rss_check.h"
#include "dataplane/xdp_steering.h"
#include "dataplane/xdp_stub.h"

namespace weir::dataplane {
namespace {

/// Closed at the end of its scope.
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

/// The driver's, on which a core waits.
bool has_sockets(const DeviceSpec& spec) { return spec.driver == "net_af_packet" || spec.driver == "net_af_xdp"; }

/// Rings that are as deep as its descriptors say; those that arguments speak of are the driver's.
bool has_own_rings(const DeviceSpec& spec) { return spec.driver == "net_ring" && spec.arguments.empty(); }

/// Closed, net_af_xdp takes XDP programs off its interface, and says that it failed where there is none any more, no interface, or
/// no right to. Ours has gone with its link by then.
class QuietDriver {
 public:
  explicit QuietDriver(const char* log_type) noexcept : type_(log_type != nullptr ? rte_log_register(log_type) : -1) {
    if (type_ < 0) return;
    level_ = rte_log_get_level(static_cast<uint32_t>(type_));
    rte_log_set_level(static_cast<uint32_t>(type_), RTE_LOG_CRIT);
  }
  ~QuietDriver() {
    if (type_ >= 0 && level_ >= 0) rte_log_set_level(static_cast<uint32_t>(type_), static_cast<uint32_t>(level_));
  }
  QuietDriver(const QuietDriver&) = delete;
  QuietDriver& operator=(const QuietDriver&) = delete;

 private:
  const int type_;
  int level_ = -1;
};

/// A TAP's is its own descriptor, so that nothing is asked of a device: a core waits on it under `adaptive` as it does on
/// sockets.
bool wants_interrupts(const DeviceSpec& spec, IdlePolicy idle) {
  if (has_sockets(spec) || spec.driver == "net_null") return false;
  return idle == IdlePolicy::interrupt || (idle == IdlePolicy::adaptive && spec.driver == "net_tap");
}

std::string reason(int negative_errno) { return rte_strerror(-negative_errno); }

}  // namespace

DpdkDevice::DpdkDevice(const DpdkPort& config, DeviceSpec spec, IdlePolicy idle, uint16_t descriptors_max)
    : config_(config),
      chooses_descriptors_(config.rx_descriptors == 0 && spec.is_pci),
      spec_(std::move(spec)),
      replays_files_(dataplane::replays_files(spec_)),
      wants_interrupts_(wants_interrupts(spec_, idle) && !replays_files_),
      has_own_xdp_program_(wants_own_xdp_program(spec_)) {
  if (config_.rx_descriptors == 0) config_.rx_descriptors = descriptors_max;
  for (const uint16_t vlan : config_.vlans) vlans_.set(vlan % kVlanIds);
}

Error DpdkDevice::error(std::string_view what) const {
  return Error{fmt::format("port {}: {}: {}{}", config_.name, spec_.name, what, Eal::complaints())};
}

void DpdkDevice::add_note(std::string_view note) {
  if (!note_.empty()) note_ += "; ";
  note_ += note;
}

Result<std::unique_ptr<DpdkDevice>> DpdkDevice::attach(const DpdkPort& config, IdlePolicy idle, uint16_t descriptors_max) {
  std::unique_ptr<DpdkDevice> device(new DpdkDevice(config, DeviceSpec::parse(config.device), idle, descriptors_max));
  Eal::forget_complaints();
  const bool looks_for_sockets = has_sockets(device->spec_);
  std::vector<int> before;
  if (looks_for_sockets) before = open_sockets(device->spec_.driver == "net_af_xdp" ? AF_XDP : AF_PACKET);
  const bool is_tap = device->spec_.driver == "net_tap";
  const std::vector<int> taps_before = is_tap ? open_taps() : std::vector<int>{};
  Descriptor stub;
  if (device->has_own_xdp_program_) {
    if (Result<void> free = XdpSteering::expect_free(device->xdp_interface()); !free)
      return device->error(free.error().message);
    const Result<int> made = make_xdp_stub();
    if (!made) return device->error(made.error().message);
    stub.fd = *made;
    device->spec_.arguments += fmt::format(",xdp_prog=/proc/self/fd/{}", stub.fd);
  }
  if (Result<void> probed = device->probe(); !probed) return probed.error();
  const std::vector<int> taps_probed = is_tap ? open_taps() : std::vector<int>{};
  if (Result<void> configured = device->configure(); !configured) return configured.error();
  if (device->has_own_xdp_program_)
    if (Result<void> cleared = XdpSteering::clear(device->xdp_interface()); !cleared)
      return device->error(cleared.error().message);
  if (Result<void> looked = device->look_at_files(); !looked) return looked.error();
  if (looks_for_sockets) device->find_sockets(std::move(before));
  if (is_tap) device->find_tap(new_sockets(taps_before, taps_probed), new_sockets(taps_probed, open_taps()));
  return device;
}

Result<void> DpdkDevice::probe() {
  std::string port_name = spec_.name;
  if (has_own_rings(spec_)) {
    auto rings = RingDevice::make(spec_, queues_of(config_, spec_), config_.rx_descriptors);
    if (!rings) return error(rings.error().message);
    rings_ = std::move(*rings);
    port_name = RingDevice::port_name(spec_);
  } else if (!spec_.is_pci) {
    // The name decides the driver; EAL itself would go on without a device that fails.
    const std::string arguments = driver_arguments(spec_, queues_of(config_, spec_));
    const int rc = rte_vdev_init(spec_.name.c_str(), arguments.c_str());
    if (rc < 0) {
      const bool says_why = !Eal::complaints().empty();  // -1 is all that the bus gives back
      return error(says_why ? "the driver refuses it"
                            : "no such driver, or arguments that it does not take");
    }
  }
  if (rte_eth_dev_get_port_by_name(port_name.c_str(), &port_id_) != 0) {
    if (is_vdev_of_ours()) rte_vdev_uninit(spec_.name.c_str());
    return error(spec_.is_pci
                     ? "no such device, or it is not bound to a driver that DPDK uses (vfio-pci)"
                     : "not an Ethernet device");
  }
  is_attached_ = true;
  if (const std::vector<std::string> names = interfaces_of(spec_); !names.empty())
    interface_.emplace(names.back());
  return {};
}

Result<void> DpdkDevice::look_at_files() {
  const std::vector<std::string> paths = spec_.values("rx_pcap");
  if (!replays_files_) return {};
  for (size_t q = 0; q < queues_.size() && q < paths.size(); ++q) {
    const Result<PcapFile> file = look_at_pcap_file(paths[q]);
    if (!file) return error(file.error().message);
    queues_[q]->link = file->link;
    queues_[q]->ends = !replays_for_ever(spec_);
  }
  return {};
}

Result<void> DpdkDevice::join(XdpSteering& steering) {
  if (sockets_.empty()) return error("the driver's sockets were not found, so no frames can be given to them");
  for (size_t q = 0; q < sockets_.size(); ++q)
    if (Result<void> served = steering.serve(first_queue(spec_) + static_cast<uint32_t>(q), sockets_[q]); !served)
      return served;
  return {};
}

void DpdkDevice::find_sockets(std::vector<int> before) {
  const std::vector<int> found =
      new_sockets(before, open_sockets(spec_.driver == "net_af_xdp" ? AF_XDP : AF_PACKET));
  if (found.size() == queues_.size()) {
    sockets_ = found;
    for (size_t q = 0; q < queues_.size(); ++q) {
      queues_[q]->wait_fd = found[q];
      queues_[q]->can_be_shut = spec_.driver == "net_af_packet";
    }
  } else {
    add_note("the driver's sockets were not found: its drops are not counted");
  }
  if (spec_.driver == "net_af_xdp" && !sockets_.empty()) {
    const std::optional<bool> zero_copy = is_zero_copy(sockets_.front());
    if (zero_copy) add_note(*zero_copy ? "zero copy, not verified on hardware" : "copies frames: no zero copy");
  }
  if (spec_.driver != "net_af_packet") return;
  const bool is_deaf_to_us = !sockets_.empty() && std::all_of(sockets_.begin(), sockets_.end(), [](int fd) {
    return ignore_outgoing(fd);
  });
  if (!is_deaf_to_us) add_note("takes what this host itself sends on the interface, too");
}

Result<void> DpdkDevice::start() {
  Eal::forget_complaints();
  if (const int rc = rte_eth_dev_start(port_id_); rc != 0)
    return error(fmt::format("does not start{}: {}", wants_interrupts_ && spec_.driver != "net_tap" ? " with interrupts (idle: adaptive needs none)" : "", reason(rc)));
  is_started_ = true;
  rte_eth_stats_reset(port_id_);  // those of a virtual function go on from who had it before
  if (wants_interrupts_) find_interrupts();
  if (rss_hash_ != 0) verify_rss();

  if (config_.promiscuous) become_promiscuous();
  // Neighbour discovery speaks to groups.
  if (config_.exception.is_on() && !is_promiscuous_) {
    const int rc = rte_eth_allmulticast_enable(port_id_);
    if (rc != 0) add_note(fmt::format("takes no frames to groups for the kernel: {}", reason(rc)));
  }
  stamps_.find(port_id_, driver_, queues_);
  if (hides_drops(spec_)) add_note("the driver does not count what it drops");
  if (driver_ == "net_af_xdp")
    add_note("frames longer than the data room less 384 octets count as missed");
  return {};
}

/// Of what the kernel has an interface for the kernel is asked: the drivers would set that interface's flag, which stays where
/// we are killed, and taking it back at the end would want CAP_NET_ADMIN until then. (They clear it when they start.)
void DpdkDevice::become_promiscuous() {
  const int number = has_sockets(spec_) ? promiscuous_mode_.enter(interfaces_of(spec_).back()) : -rte_eth_promiscuous_enable(port_id_);
  is_promiscuous_ = number == 0;
  if (number != 0 && number != ENOTSUP) add_note(fmt::format("not promiscuous: {}", rte_strerror(number)));
}

void DpdkDevice::keep_time(uint64_t steady_now_ns) noexcept {
  if (is_started_) stamps_.keep_time(port_id_, queues_, steady_now_ns);
}

void DpdkDevice::find_interrupts() {
  if (const int rc = interrupts_.find(port_id_, queues_); rc != 0) {
    return add_note(fmt::format("no interrupts on receiving ({}): looked at in naps of up to 5 ms, as idle: adaptive does", reason(rc)));
  }
  if (spec_.is_pci) add_note("interrupts on receiving, which are not verified on hardware");
}

/// What the device says that it does is not always what it was told to: a driver may take a wish and do nothing about it.
void DpdkDevice::verify_rss() {
  rte_eth_rss_conf now{};
  if (const int rc = rte_eth_dev_rss_hash_conf_get(port_id_, &now); rc != 0)
    return add_note(fmt::format("RSS was set, and the device does not say what it does: {}", reason(rc)));
  // Workers mend what hashing more than the source does.
  const std::string why = config_.workers == 0 ? rss_difference(rss_hash_, now.rss_hf) : std::string();
  if (!why.empty()) add_note(why);

  rte_eth_dev_info info{};
  if (rte_eth_dev_info_get(port_id_, &info) != 0 || info.reta_size == 0) return;
  const size_t groups = (info.reta_size + RTE_ETH_RETA_GROUP_SIZE - 1u) / RTE_ETH_RETA_GROUP_SIZE;
  std::vector<rte_eth_rss_reta_entry64> table(groups);
  for (rte_eth_rss_reta_entry64& group : table) group.mask = UINT64_MAX;
  if (const int tail = info.reta_size % RTE_ETH_RETA_GROUP_SIZE; tail != 0) table.back().mask = (uint64_t{1} << tail) - 1;
  if (rte_eth_dev_rss_reta_query(port_id_, table.data(), info.reta_size) != 0) return;
  std::vector<uint16_t> served;
  for (size_t i = 0; i < info.reta_size; ++i)
    served.push_back(table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE]);
  if (const std::string idle = idle_queues(served, queues()); !idle.empty()) add_note(idle);
}

void DpdkDevice::stop() {
  if (!is_started_) return;
  is_started_ = false;
  last_stats_ = stats();  // drivers close their sockets when they stop
  last_stats_->link_up = false;
  last_stats_->trouble.clear();
  promiscuous_mode_.leave();
  // Closing does not set it back.
  if (is_promiscuous_ && !has_sockets(spec_)) rte_eth_promiscuous_disable(port_id_);
  rte_eth_dev_stop(port_id_);
  if (wants_interrupts_) interrupts_.forget(queues_);
  for (const std::unique_ptr<RxQueue>& queue : queues_) queue->wait_fd = -1;
  sockets_.clear();
}

DpdkDevice::~DpdkDevice() {
  stop();
  if (!is_attached_) return;
  {
    const QuietDriver quiet(has_own_xdp_program_ ? "pmd.net.af_xdp" : nullptr);
    rte_eth_dev_close(port_id_);
    if (is_vdev_of_ours()) rte_vdev_uninit(spec_.name.c_str());
  }
  rings_.reset();
  for (rte_mempool* pool : pools_) rte_mempool_free(pool);
}

std::vector<std::string> pci_devices(const std::vector<DpdkPort>& ports) {
  std::vector<std::string> found;
  for (const DpdkPort& port : ports) {
    const DeviceSpec spec = DeviceSpec::parse(port.device);
    if (!spec.is_pci) continue;
    found.push_back(spec.arguments.empty() ? spec.name : spec.name + "," + spec.arguments);
  }
  return found;
}

}  // namespace weir::dataplane
