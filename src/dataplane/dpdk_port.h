// dpdk_port.h — One DPDK device: attached, configured, started, watched, closed.
//
// Runs on:  control_thread; the receive cores use the RxQueues only.
// Owns:     the device's queues and a mempool for each.
// Failure:  an Error that names the port and says what the driver said.
//
// Private to src/dataplane. What a driver cannot do or does not tell is worked around here, or said
// in PortStats::note.
#pragma once

#include <rte_mempool.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dataplane/data_plane.h"
#include "dataplane/kernel_interface.h"
#include "dataplane/port_plan.h"
#include "dataplane/port_stamps.h"
#include "dataplane/queue_interrupts.h"
#include "dataplane/ring_device.h"
#include "dataplane/rx_queue.h"
#include "dataplane/tap_device.h"

struct rte_eth_conf;

namespace weir::dataplane {

class XdpSteering;

class DpdkDevice {
 public:
  /// EAL runs. The device is configured afterwards, not started. Where `config` leaves the number of descriptors to us there are
  /// at most `descriptors_max` in a ring.
  static Result<std::unique_ptr<DpdkDevice>> attach(const DpdkPort& config, IdlePolicy idle, uint16_t descriptors_max)
      WEIR_RUNS_ON(control_thread);
  ~DpdkDevice();
  DpdkDevice(const DpdkDevice&) = delete;
  DpdkDevice& operator=(const DpdkDevice&) = delete;

  Result<void> start();
  /// No core polls any more. Idempotent; there is no second start.
  void stop();

  const std::string& name() const noexcept { return config_.name; }
  /// The interface whose frames our own XDP program is to give it; empty: it is no such device.
  std::string xdp_interface() const { return has_own_xdp_program_ ? interfaces_of(spec_).back() : std::string(); }
  /// Its receive queues of that interface, and the sockets that serve them, are `steering`'s from now on.
  Result<void> join(XdpSteering& steering) WEIR_RUNS_ON(control_thread);
  /// What its port's note says of the steering, until it is something else.
  void set_steering_note(std::string note) { steering_note_ = std::move(note); }
  /// What its port's note says from now on as well.
  void add_note(std::string_view note);

  uint16_t port_id() const noexcept { return port_id_; }
  uint16_t workers() const noexcept { return config_.workers; }
  uint16_t queues() const noexcept { return static_cast<uint16_t>(queues_.size()); }
  RxQueue& queue(uint16_t index) noexcept { return *queues_[index]; }
  bool replays_files() const noexcept { return replays_files_; }
  bool is_at_end() const noexcept;
  /// Several times a second: keeps the device's clock, if it stamps by one.
  void keep_time(uint64_t steady_now_ns) noexcept WEIR_RUNS_ON(control_thread);
  PortStats stats();
  /// What its wire takes now. None: that is not known just now.
  std::optional<uint16_t> mtu() const WEIR_RUNS_ON(control_thread);
  /// It is the kernel's interface's, which others may change.
  bool may_change_mtu() const noexcept { return interface_.has_value(); }
  /// Of the frames that it has been given to send, as of the last stats: those that the kernel under it did not take.
  uint64_t invalid_sent() const noexcept { return invalid_sent_; }

 private:
  DpdkDevice(const DpdkPort& config, DeviceSpec spec, IdlePolicy idle, uint16_t descriptors_max);
  Result<void> probe();
  bool is_vdev_of_ours() const noexcept { return !spec_.is_pci && !rings_; }
  Result<void> configure();
  void choose_descriptors();
  void ask_for_rss(uint64_t offered, rte_eth_conf& conf);
  int configure_as_it_can(uint16_t rx_queues, uint16_t tx_queues, rte_eth_conf& conf);
  Result<void> make_queue(uint16_t index, uint16_t rx_descriptors, uint16_t tx_descriptors);
  rte_mempool* make_pool(uint16_t queue, unsigned& numa);
  void follow_link(bool is_up, uint32_t told_mbps) noexcept;
  Result<void> look_at_files();
  void find_sockets(std::vector<int> before);
  void find_tap(std::vector<int> keepers, std::vector<int> queues);
  void verify_rss();
  void become_promiscuous();
  void find_interrupts();
  std::string link_trouble(bool is_up);
  std::string make_tap_again();
  void read_packet_socket_drops();
  uint64_t read_xdp_socket_drops();
  Error error(std::string_view what) const;

  DpdkPort config_;  // descriptors as they are
  const bool chooses_descriptors_;  // by the device's speed
  VlanSet vlans_;  // of config_; all, where it names none
  DeviceSpec spec_;
  uint16_t port_id_ = 0;
  bool is_attached_ = false;
  bool is_started_ = false;
  bool is_promiscuous_ = false;
  PromiscuousMode promiscuous_mode_;  // of the kernel's interface under the device
  bool replays_files_ = false;
  bool wants_interrupts_ = false;
  PortStamps stamps_;
  QueueInterrupts interrupts_;
  bool has_own_xdp_program_ = false;  // net_af_xdp without one of the operator's
  uint64_t rss_hash_ = 0;  // that was asked for; 0: none
  uint32_t fastest_mbps_ = 0;  // that the device can have
  std::string driver_;
  std::unique_ptr<RingDevice> rings_;  // which it lies on, where it has them of us
  std::vector<std::unique_ptr<RxQueue>> queues_;
  std::vector<rte_mempool*> pools_;
  std::optional<KernelInterface> interface_;  // under the device, if there is one
  std::optional<TapDevice> tap_;              // net_tap's own
  uint64_t taps_made_again_ = 0;
  std::vector<int> sockets_;             // the driver's, one a queue; empty: not known
  uint64_t packet_socket_drops_ = 0;     // summed up
  uint64_t invalid_sent_ = 0;
  std::optional<PortStats> last_stats_;  // once stopped
  std::string note_;
  std::string steering_note_;
};

/// PCI devices of these ports, as EAL's allow list takes them.
std::vector<std::string> pci_devices(const std::vector<DpdkPort>& ports);

}  // namespace weir::dataplane
