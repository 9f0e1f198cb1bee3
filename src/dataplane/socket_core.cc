#include "dataplane/socket_core.h"

#include <fmt/format.h>

#include <sched.h>

#include <algorithm>
#include <cstring>

#include "base/start_thread.h"
#include "base/thread_rights.h"

namespace weir::dataplane {

SocketCore::SocketCore() : buffers_(std::make_unique<ReceiveBuffers>()) {
  served_.reserve(kSocketsMax);
}

SocketCore::~SocketCore() { stop(); }

Result<std::unique_ptr<SocketCore>> SocketCore::open(const TcpLimits& tcp) {
  std::unique_ptr<SocketCore> core(new SocketCore());
  if (Result<void> opened = core->waiter_.open(); !opened) return opened.error();
  if (Result<void> mapped = core->buffers_->map(tcp); !mapped) return mapped.error();
  return core;
}

bool SocketCore::serve(PortSocket& socket) {
  if (!waiter_.add(socket.fd_to_wait_for())) return false;
  served_.push_back(&socket);
  return true;
}

Result<void> SocketCore::start(Pipeline& pipeline, const Timekeeper& keeper, const SocketThread& thread_config) {
  pipeline_ = &pipeline;
  keeper_ = &keeper;
  idle_ = thread_config.idle;
  linger_ns_ = thread_config.linger_ns;

  const auto thread = start_thread(
      fmt::format("weir-rx-{}", thread_config.core),
      [](void* self) -> void* {
        const RoleScope role(rx_lcore);
        give_up_capabilities();
        static_cast<SocketCore*>(self)->run();
        return nullptr;
      },
      this);
  if (!thread) return Error{"socket ports: " + thread.error().message};
  thread_ = *thread;
  if (thread_config.cpu < 0) return {};
  cpu_set_t own;
  CPU_ZERO(&own);
  CPU_SET(static_cast<size_t>(thread_config.cpu), &own);
  if (const int rc = pthread_setaffinity_np(*thread_, sizeof own, &own); rc != 0)
    return Error{fmt::format("socket ports: a thread cannot be pinned to CPU {}: {}", thread_config.cpu, std::strerror(rc))};
  return {};
}

void SocketCore::run() noexcept {
  PipelineCounters& counters = pipeline_->counters();
  CoreClock clock(*keeper_);
  while (!waiter_.is_stopping()) {
    take_changes(clock);
    const uint64_t began_ns = clock.steady_ns();
    if (!pipeline_->may_receive()) {  // the sockets fill meanwhile, and the kernel counts its drops
      clock.look();
      pipeline_->poll(clock.steady_ns(), clock.now());
      counters.holds.increment();
      waiter_.nap(kHoldNs);
      clock.look();
      continue;
    }
    unsigned received = 0;
    bool more = false;  // a full burst: the socket may hold another
    turn_.over(served_, [&](PortSocket& socket) {
      const RoleScope role(rx_lcore);
      if (!pipeline_->may_receive()) return false;
      const PortSocket::Turn turn = socket.receive(*buffers_, *pipeline_, clock);
      received += turn.received;
      more |= turn.has_more;
      return true;
    });
    clock.look();
    pipeline_->poll(clock.steady_ns(), clock.now());
    gathering_.took(received);
    if (received != 0) {
      counters.bursts.increment();
      counters.busy_ns.add(clock.steady_ns() - began_ns);
      if (more) continue;  // else the queues are empty: looking again costs as much as waiting
    } else {
      counters.empty_polls.increment();
    }
    if (idle_ != IdlePolicy::poll) wait(clock);
  }
  const uint64_t hold_until_ns = clock.steady_ns() + kEndHoldMaxNs;
  take_changes(clock);
  for (PortSocket* socket : served_) socket->drain(*buffers_, *pipeline_, clock, hold_until_ns);
  pipeline_->finish();
  has_ended_.store(true, std::memory_order_release);
}

void SocketCore::wait(CoreClock& clock) noexcept {
  const uint64_t patience_ns = Waiter::patience_ns(*pipeline_, linger_ns_);
  if (patience_ns == 0) return;
  pipeline_->counters().sleeps.increment();
  const uint64_t pause_ns = idle_ == IdlePolicy::adaptive ? gathering_.pause_ns(clock.steady_ns(), longest_pause_ns()) : 0;
  if (pause_ns != 0) {
    pipeline_->counters().pauses.increment();
    waiter_.nap(pause_ns);
  } else if (waiter_.wait(patience_ns)) {
    pipeline_->counters().wakes.increment();
  }
  clock.look();
}

uint64_t SocketCore::longest_pause_ns() const noexcept {
  uint64_t longest_ns = kPauseMaxNs;
  for (const PortSocket* socket : served_) longest_ns = std::min(longest_ns, socket->longest_pause_ns());
  return longest_ns;
}

void SocketCore::stop() {
  if (thread_) {
    request_stop();
    pthread_join(*thread_, nullptr);
    thread_.reset();
  }
}

bool SocketCore::settle_change() {
  PortSocket* gone = nullptr;
  while (given_back_.pop(gone)) --leaving_;
  return leaving_ == 0 && changes_.size_approx() == 0;
}

/// What is gone is read to its end first: the kernel has queued it for us.
void SocketCore::take_changes(CoreClock& clock) noexcept {
  Change change;
  while (changes_.pop(change)) {
    if (!change.is_gone) {
      served_.push_back(change.socket);
      waiter_.add(change.socket->fd_to_wait_for());
      continue;
    }
    change.socket->drain(*buffers_, *pipeline_, clock, clock.steady_ns() + kEndHoldMaxNs);
    std::erase(served_, change.socket);
    waiter_.remove(change.socket->fd_to_wait_for());
    given_back_.push(change.socket);
  }
}

}  // namespace weir::dataplane
