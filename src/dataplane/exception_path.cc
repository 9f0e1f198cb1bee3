#include "dataplane/exception_path.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/byte_order.h"
#include "base/clock.h"
#include "base/start_thread.h"
#include "base/thread_rights.h"
#include "dataplane/dpdk_port.h"
#include "dataplane/receive_core.h"

namespace weir::dataplane {
namespace {

constexpr uint32_t kMacsOctets = 12;
constexpr uint32_t kVlanTagOctets = 4;
constexpr uint16_t kVlanTag = 0x8100;
constexpr uint32_t kFrameOctetsMin = 60;  // without the check sequence: not every device pads what is shorter
constexpr uint64_t kSleepMaxNs = kNsPerSec;
constexpr uint64_t kShortOfMbufsNs = kNsPerMs;

}  // namespace

ExceptionPort::ExceptionPort(DpdkDevice& device, const ExceptionConfig& config)
    : device_(device), config_(config), credit_(config.to_wire_per_second) {}

Result<std::unique_ptr<ExceptionPort>> ExceptionPort::open(DpdkDevice& device, const ExceptionConfig& config,
                                                           Waker& waker) {
  std::unique_ptr<ExceptionPort> port(new ExceptionPort(device, config));
  const auto fail = [&](std::string_view why) { return Error{fmt::format("port {}: {}", device.name(), why)}; };

  rte_ether_addr mac{};
  if (const int rc = rte_eth_macaddr_get(device.port_id(), &mac); rc != 0)
    return fail(fmt::format("its MAC address: {}", rte_strerror(-rc)));
  uint16_t mtu = device.mtu().value_or(RTE_ETHER_MTU);
  if (config.mtu > mtu)
    return fail(fmt::format("exception.mtu: {} is more than the device's, {}", config.mtu, mtu));
  if (config.mtu != 0) mtu = config.mtu;
  port->mtu_ = mtu;
  port->mtu_room_ = device.may_change_mtu() && config.mtu == 0 ? std::max(mtu, kExceptionMtuRoom) : mtu;
  port->frame_octets_max_ = exception_frame_octets_max(mtu);
  const uint32_t frame_room = exception_frame_octets_max(port->mtu_room_);

  const std::string pool_name = fmt::format("weir_exc_{}", device.port_id());
  port->pool_ = rte_pktmbuf_pool_create(pool_name.c_str(), kExceptionMbufs, 0, 0,
                                        static_cast<uint16_t>(frame_room + RTE_PKTMBUF_HEADROOM),
                                        SOCKET_ID_ANY);
  if (port->pool_ == nullptr)
    return fail(fmt::format("no memory for {} mbufs to send from: {}", kExceptionMbufs, rte_strerror(rte_errno)));

  Result<std::unique_ptr<TapInterface>> tap = TapInterface::open(config.interface);
  if (!tap) return fail(tap.error().message);
  port->tap_ = std::move(*tap);
  TapInterface::Settings settings{.mtu = mtu, .addresses = config.addresses};
  std::memcpy(settings.mac.data(), mac.addr_bytes, settings.mac.size());
  // net_ring has none: the wire's is then that which the kernel drew.
  if (rte_is_zero_ether_addr(&mac)) settings.mac = TapInterface::mac_of(config.interface).value_or(settings.mac);
  if (Result<void> set = port->tap_->set_up(settings); !set) return fail(set.error().message);

  const ExceptionLane::Config lane{.mac = settings.mac,
                                   .vlan = config.vlan,
                                   .frame_octets_max = frame_room,
                                   .frames_per_second = config.frames_per_second};
  port->queues_ = device.queues();
  for (size_t i = 0; i < port->queues_ + device.workers(); ++i)
    port->lanes_.push_back(std::make_unique<ExceptionLane>(lane, waker));
  for (const std::unique_ptr<ExceptionLane>& made : port->lanes_) made->set_longest(port->frame_octets_max_);
  for (uint16_t q = 0; q < device.queues(); ++q) device.queue(q).exceptions = port->lanes_[q].get();
  return port;
}

ExceptionPort::~ExceptionPort() { rte_mempool_free(pool_); }

bool ExceptionPort::to_kernel() noexcept {
  bool any = false;
  for (const std::unique_ptr<ExceptionLane>& lane : lanes_) {
    for (unsigned i = 0; i < kBurst; ++i) {
      const std::span<const uint8_t> frame = lane->front();
      if (frame.empty()) break;
      const bool is_taken = write(tap_->fd(), frame.data(), frame.size()) == static_cast<ssize_t>(frame.size());
      (is_taken ? delivered_ : refused_).increment();  // refused: the interface is down or gone
      lane->pop();
      any = true;
    }
  }
  return any;
}

/// The tag of our VLAN, and zeros up to the shortest frame; how long it is then.
uint32_t ExceptionPort::finish_frame(uint8_t* frame, uint32_t octets) const noexcept {
  if (config_.vlan != 0) {  // it was read behind the room for the tag
    std::memmove(frame, frame + kVlanTagOctets, kMacsOctets);
    store_be16(frame + kMacsOctets, kVlanTag);
    store_be16(frame + kMacsOctets + 2, config_.vlan);
    octets += kVlanTagOctets;
  }
  if (octets >= kFrameOctetsMin) return octets;
  std::memset(frame + octets, 0, kFrameOctetsMin - octets);
  return kFrameOctetsMin;
}

bool ExceptionPort::to_wire(uint64_t steady_now_ns) noexcept {
  credit_.refill(steady_now_ns);
  const uint32_t offset = config_.vlan != 0 ? kVlanTagOctets : 0;
  const uint32_t longest = frame_octets_max_.load(std::memory_order_relaxed);
  rte_mbuf* mbufs[kBurst];
  uint16_t count = 0;
  bool any = false;
  for (unsigned reads = 0; reads < kBurst && credit_.has_any(); ++reads) {
    rte_mbuf* const mbuf = rte_pktmbuf_alloc(pool_);
    has_no_mbufs_ = mbuf == nullptr;
    if (has_no_mbufs_) break;  // the kernel keeps what it has to send, and counts what it drops
    auto* const frame = rte_pktmbuf_mtod(mbuf, uint8_t*);
    const ssize_t octets = read(tap_->fd(), frame + offset, longest - offset);
    if (octets <= 0) {
      is_gone_ = octets == 0 || (errno != EAGAIN && errno != EINTR);
      rte_pktmbuf_free(mbuf);
      break;
    }
    any = true;
    is_gone_ = false;
    credit_.take();
    if (static_cast<uint32_t>(octets) == longest - offset) {  // perhaps cut: someone has raised its MTU
      too_long_.increment();
      rte_pktmbuf_free(mbuf);
      continue;
    }
    mbuf->data_len = static_cast<uint16_t>(finish_frame(frame, static_cast<uint32_t>(octets)));
    mbuf->pkt_len = mbuf->data_len;
    mbufs[count++] = mbuf;
  }
  if (count == 0) return any;
  const uint16_t sent = rte_eth_tx_burst(device_.port_id(), 0, mbufs, count);
  sent_.add(sent);
  if (sent < count) {
    not_sent_.add(count - sent);
    rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
  }
  return true;
}

bool ExceptionPort::has_waiting() const noexcept {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->waiting() != 0; });
}

int ExceptionPort::fd_to_wait_for() const noexcept {
  return is_gone_ || has_no_mbufs_ || !credit_.has_any() ? -1 : tap_->fd();
}

uint64_t ExceptionPort::pause_ns() const noexcept {
  return has_no_mbufs_ ? kShortOfMbufsNs : credit_.missing_ns();
}

/// Somebody may have changed the device's since. What the interface cannot follow to.
std::string ExceptionPort::follow_mtu() {
  const uint16_t of_device = device_.mtu().value_or(mtu_);
  const uint16_t wanted = std::min(config_.mtu != 0 ? std::min(config_.mtu, of_device) : of_device, mtu_room_);
  if (wanted != mtu_) {
    mtu_ = wanted;
    frame_octets_max_.store(exception_frame_octets_max(wanted), std::memory_order_relaxed);
    for (const std::unique_ptr<ExceptionLane>& lane : lanes_) lane->set_longest(exception_frame_octets_max(wanted));
    tap_->follow_mtu(wanted);
  }
  if (config_.mtu != 0 || of_device <= mtu_room_) return {};
  return fmt::format("interface {} has an MTU of {}, and its device now one of {}: restart to have that", tap_->name(), mtu_, of_device);
}

ExceptionStats ExceptionPort::stats(bool link_up) {
  ExceptionStats stats;
  stats.interface = config_.interface;
  tap_->set_carrier(link_up);
  const std::string too_small = follow_mtu();
  stats.trouble = tap_->trouble();
  if (stats.trouble.empty()) stats.trouble = too_small;
  if (tap_->was_made_again() && !is_told_) {
    is_told_ = true;
    device_.add_note(fmt::format("interface {} was deleted, and made again: routes that it had are to be set again", config_.interface));
  }
  stats.delivered = delivered_.value();
  stats.refused = refused_.value();
  for (const std::unique_ptr<ExceptionLane>& lane : lanes_) stats.waiting += lane->waiting();
  stats.invalid = device_.invalid_sent();
  const uint64_t sent = sent_.value();
  stats.sent = sent_told_ = std::max(sent_told_, sent - std::min(sent, stats.invalid));
  stats.not_sent = not_sent_.value();
  stats.too_long = too_long_.value();
  stats.dropped = tap_->dropped();
  return stats;
}

Result<void> ExceptionPath::add(DpdkDevice& device, const ExceptionConfig& config) {
  Result<std::unique_ptr<ExceptionPort>> port = ExceptionPort::open(device, config, waker_);
  if (!port) return port.error();
  ports_.push_back(std::move(*port));
  return {};
}

Result<void> ExceptionPath::start() {
  if (ports_.empty()) return {};
  fds_.resize(1 + ports_.size());
  const auto thread = start_thread(
      "weir-exceptions",
      [](void* self) -> void* {
        const RoleScope role(exception_thread);
        give_up_capabilities();
        static_cast<ExceptionPath*>(self)->run();
        return nullptr;
      },
      this);
  if (!thread) return Error{"exception path: " + thread.error().message};
  thread_ = *thread;
  return {};
}

void ExceptionPath::run() noexcept {
  while (!is_stopping_.load(std::memory_order_acquire)) {
    bool any = false;
    const uint64_t now_ns = steady_clock_ns();
    for (const std::unique_ptr<ExceptionPort>& port : ports_) {
      any |= port->to_kernel();
      any |= port->to_wire(now_ns);
    }
    if (!any) sleep();
  }
  for (const std::unique_ptr<ExceptionPort>& port : ports_)
    while (port->to_kernel()) {}
}

void ExceptionPath::sleep() noexcept {
  uint64_t sleep_ns = kSleepMaxNs;
  fds_[0] = {.fd = waker_.fd(), .events = POLLIN, .revents = 0};
  for (size_t i = 0; i < ports_.size(); ++i) {
    fds_[1 + i] = {.fd = ports_[i]->fd_to_wait_for(), .events = POLLIN, .revents = 0};
    if (const uint64_t pause_ns = ports_[i]->pause_ns(); pause_ns != 0) sleep_ns = std::min(sleep_ns, pause_ns);
  }
  waker_.lie_down();
  const bool has_news = is_stopping_.load(std::memory_order_acquire) ||
                        std::any_of(ports_.begin(), ports_.end(), [](const auto& port) { return port->has_waiting(); });
  if (!has_news) {
    const timespec timeout{.tv_sec = static_cast<time_t>(sleep_ns / kNsPerSec),
                           .tv_nsec = static_cast<long>(sleep_ns % kNsPerSec)};
    ppoll(fds_.data(), fds_.size(), &timeout, nullptr);
  }
  waker_.get_up();
}

void ExceptionPath::stop() {
  if (!thread_) return;
  is_stopping_.store(true, std::memory_order_release);
  waker_.wake();
  pthread_join(*thread_, nullptr);
  thread_.reset();
}

ExceptionLane* ExceptionPath::lane_of_worker(const DpdkDevice& device, uint16_t worker) noexcept {
  for (const std::unique_ptr<ExceptionPort>& port : ports_)
    if (&port->device() == &device) return &port->lane_of_worker(worker);
  return nullptr;
}

std::optional<ExceptionStats> ExceptionPath::stats(const DpdkDevice& device, bool link_up) {
  for (const std::unique_ptr<ExceptionPort>& port : ports_)
    if (&port->device() == &device) return port->stats(link_up);
  return {};
}

}  // namespace weir::dataplane
