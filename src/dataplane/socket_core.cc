#include "dataplane/socket_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/start_thread.h"

namespace weir::dataplane {

SocketCore::SocketCore() : buffers_(std::make_unique<ReceiveBuffers>()) {
  served_.reserve(kSocketsMax);
}

SocketCore::~SocketCore() { stop(); }

Result<std::unique_ptr<SocketCore>> SocketCore::open(std::span<const SocketPort> ports) {
  std::unique_ptr<SocketCore> core(new SocketCore());
  if (Result<void> opened = core->waiter_.open(); !opened) return opened.error();
  for (const SocketPort& port : ports) {
    Result<std::unique_ptr<UdpSocket>> socket = UdpSocket::open(port);
    if (!socket) return socket.error();
    if (!core->waiter_.add((*socket)->fd()))
      return Error{fmt::format("port {}: {} kernel sockets, limit {}", port.name, ports.size(), kSocketsMax)};
    core->served_.push_back(socket->get());
    core->sockets_.push_back(std::move(*socket));
  }

  if (Result<void> mapped = core->buffers_->map(); !mapped) return mapped.error();
  return core;
}

Result<void> SocketCore::start(Pipeline& pipeline, size_t core, IdlePolicy idle,
                               uint64_t linger_ns) {
  pipeline_ = &pipeline;
  idle_ = idle;
  linger_ns_ = linger_ns;

  const auto thread = start_thread(
      fmt::format("weir-rx-{}", core),
      [](void* self) -> void* {
        const RoleScope role(rx_lcore);
        static_cast<SocketCore*>(self)->run();
        return nullptr;
      },
      this);
  if (!thread) return Error{"socket ports: " + thread.error().message};
  thread_ = *thread;
  return {};
}

void SocketCore::run() noexcept {
  PipelineCounters& counters = pipeline_->counters();
  CoreClock clock;
  while (!waiter_.is_stopping()) {
    take_changes(clock);
    const uint64_t began_ns = clock.steady_ns();
    if (!pipeline_->may_receive()) {  // the sockets fill meanwhile, and the kernel counts its drops
      clock.look();
      pipeline_->poll(clock.steady_ns(), clock.wall_ns());
      counters.holds.increment();
      waiter_.nap(kHoldNs);
      clock.look();
      continue;
    }
    unsigned received = 0;
    bool more = false;  // a full burst: the socket may hold another
    for (UdpSocket* socket : served_) {
      if (!pipeline_->may_receive()) break;
      const unsigned burst = socket->receive(*buffers_, *pipeline_, clock.wall_ns());
      received += burst;
      more |= burst == kBurst;
    }
    clock.look();
    pipeline_->poll(clock.steady_ns(), clock.wall_ns());
    if (received != 0) {
      counters.bursts.increment();
      counters.busy_ns.add(clock.steady_ns() - began_ns);
      if (more) continue;  // else the queues are empty: looking again costs as much as waiting
    } else {
      counters.empty_polls.increment();
    }
    const uint64_t patience_ns = Waiter::patience_ns(*pipeline_, linger_ns_);
    if (idle_ == IdlePolicy::adaptive && patience_ns != 0) {
      counters.sleeps.increment();
      waiter_.wait(patience_ns);
      clock.look();
    }
  }
  const uint64_t hold_until_ns = clock.steady_ns() + kEndHoldMaxNs;
  take_changes(clock);
  for (UdpSocket* socket : served_) socket->drain(*buffers_, *pipeline_, clock, hold_until_ns);
  pipeline_->finish();
  has_ended_.store(true, std::memory_order_release);
}

void SocketCore::stop() {
  if (thread_) {
    request_stop();
    pthread_join(*thread_, nullptr);
    thread_.reset();
  }
  for (const std::unique_ptr<UdpSocket>& socket : sockets_) socket->close();
}

Result<void> SocketCore::prepare_change(std::span<const SocketPort> ports) {
  joining_.clear();
  next_ports_.assign(ports.begin(), ports.end());
  if (ports.size() > kSocketsMax)
    return Error{fmt::format("{} kernel sockets, limit {}", ports.size(), kSocketsMax)};
  for (const SocketPort& port : ports) {
    const bool is_open = std::any_of(sockets_.begin(), sockets_.end(),
                                     [&](const auto& socket) { return socket->is_at(port); });
    if (is_open) continue;
    int number = 0;
    Result<std::unique_ptr<UdpSocket>> socket = UdpSocket::open(port, &number);
    if (!socket) {
      joining_.clear();
      const bool is_ours =
          number == EADDRINUSE &&
          std::any_of(sockets_.begin(), sockets_.end(),
                      [&](const auto& other) { return other->udp_port() == port.port; });
      if (is_ours)
        return Error{fmt::format("port {}: UDP port {} has a socket of weir's at another address, which only a restart can "
                                 "change",
                                 port.name, port.port)};
      return socket.error();
    }
    joining_.push_back(std::move(*socket));
  }
  return {};
}

void SocketCore::begin_change() {
  for (size_t i = 0; i < sockets_.size();) {
    const auto next = std::find_if(next_ports_.begin(), next_ports_.end(),
                                   [&](const SocketPort& port) { return sockets_[i]->is_at(port); });
    if (next != next_ports_.end()) {
      sockets_[i++]->adapt(*next);
      continue;
    }
    changes_.push({sockets_[i].get(), true});
    leaving_.push_back(std::move(sockets_[i]));
    sockets_.erase(sockets_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (std::unique_ptr<UdpSocket>& socket : joining_) {
    changes_.push({socket.get(), false});
    sockets_.push_back(std::move(socket));
  }
  joining_.clear();
}

bool SocketCore::settle_change() {
  UdpSocket* gone = nullptr;
  while (given_back_.pop(gone))
    std::erase_if(leaving_, [gone](const auto& socket) { return socket.get() == gone; });
  return leaving_.empty() && changes_.size_approx() == 0;
}

/// What is gone is read to its end first: the kernel has queued it for us.
void SocketCore::take_changes(CoreClock& clock) noexcept {
  Change change;
  while (changes_.pop(change)) {
    if (!change.is_gone) {
      served_.push_back(change.socket);
      waiter_.add(change.socket->fd());
      continue;
    }
    change.socket->drain(*buffers_, *pipeline_, clock, clock.steady_ns() + kEndHoldMaxNs);
    std::erase(served_, change.socket);
    waiter_.remove(change.socket->fd());
    given_back_.push(change.socket);
  }
}

std::string SocketCore::serves() const {
  std::string names;
  for (const std::unique_ptr<UdpSocket>& socket : sockets_) {
    if (!names.empty()) names += ", ";
    names += socket->name();
  }
  return names;
}

void SocketCore::append_stats(std::vector<PortStats>& stats) {
  for (const std::unique_ptr<UdpSocket>& socket : sockets_) stats.push_back(socket->stats());
}

}  // namespace weir::dataplane
