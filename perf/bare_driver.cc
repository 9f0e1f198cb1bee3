// The loop over DPDK's own driver: rte_eth_rx_burst, a look, and the buffers go back. The device is set up as a port is.
#include <linux/if_packet.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <array>

#include "bare_look.h"
#include "bare_receivers.h"
#include "base/thread_roles.h"
#include "dataplane/dpdk_port.h"
#include "dataplane/eal.h"
#include "dataplane/placement.h"
#include "dataplane/port_plan.h"
#include "dataplane/xdp_steering.h"

namespace weir::perf {
namespace {

using namespace dataplane;

class BareDriver final : public BareReceiver {
 public:
  explicit BareDriver(uint16_t port) : port_(port) {}
  ~BareDriver() override {
    const RoleScope role(control_thread);
    if (steering_) steering_->detach();
    device_.reset();
    steering_.reset();
    eal_.reset();
  }

  unsigned take() override {
    std::array<rte_mbuf*, kBareBurst> frames;
    const uint16_t count = rte_eth_rx_burst(queue_->port, queue_->queue, frames.data(), kBareBurst);
    unsigned of_v5 = 0;
    for (uint16_t i = 0; i < count; ++i)
      of_v5 += is_export(rte_pktmbuf_mtod(frames[i], const uint8_t*), frames[i]->data_len, port_) ? 1 : 0;
    if (count != 0) {
      rte_pktmbuf_free_bulk(frames.data(), count);
    } else {
      wait_for_frames(queue_->wait_fd);
    }
    return of_v5;
  }

  Result<void> set_up(const DataPlaneConfig& config) {
    const RoleScope role(control_thread);
    const DpdkPort& port = config.dpdk_ports[0];
    const std::vector<PortDemand> demands = {{.queues = 1, .lcores = port.lcores}};
    Result<Placement> placement = place_cores(demands, config.eal.main_lcore, usable_cpus());
    if (!placement) return placement.error();
    Result<std::unique_ptr<Eal>> eal = Eal::start(config.eal, *placement, {}, config.idle);
    if (!eal) return eal.error();
    eal_ = std::move(*eal);
    Result<std::unique_ptr<DpdkDevice>> device = DpdkDevice::attach(port, config.idle, rx_descriptors_max(config.dpdk_ports, config.eal)[0]);
    if (!device) return device.error();
    device_ = std::move(*device);
    queue_ = &device_->queue(0);
    if (queue_->wait_fd < 0) return Error{"the driver's socket was not found"};
    if (const std::string interface = device_->xdp_interface(); !interface.empty()) {
      Result<std::unique_ptr<XdpSteering>> made = XdpSteering::make(interface, XdpScope::listeners);
      if (!made) return made.error();
      steering_ = std::move(*made);
      if (Result<void> joined = device_->join(*steering_); !joined) return joined;
    }
    if (Result<void> started = device_->start(); !started) return started;
    if (!steering_) return {};
    if (Result<void> added = steering_->add_ports(config.pipeline.listeners); !added) return added;
    return steering_->attach();
  }

 private:
  const uint16_t port_;
  std::unique_ptr<Eal> eal_;
  std::unique_ptr<DpdkDevice> device_;
  std::unique_ptr<XdpSteering> steering_;
  const RxQueue* queue_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<BareReceiver>> open_bare_driver(const DataPlaneConfig& config) {
  auto made = std::make_unique<BareDriver>(config.pipeline.listeners[0].port);
  if (Result<void> set = made->set_up(config); !set) return set.error();
  return std::unique_ptr<BareReceiver>(std::move(made));
}

}  // namespace weir::perf
