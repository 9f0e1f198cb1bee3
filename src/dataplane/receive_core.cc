#include "dataplane/receive_core.h"

#include <fmt/format.h>
#include <linux/filter.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace weir::dataplane {

bool refuse_all(int fd) noexcept {
  sock_filter refuse{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0};
  const sock_fprog program{.len = 1, .filter = &refuse};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

void nap_through_stop(uint64_t ns) noexcept {
  const timespec nap{.tv_sec = static_cast<time_t>(ns / kNsPerSec), .tv_nsec = static_cast<long>(ns % kNsPerSec)};
  ::nanosleep(&nap, nullptr);
}

void hold_for_room(Pipeline& pipeline, CoreClock& clock, uint64_t until_steady_ns) noexcept {
  while (!pipeline.may_receive() && clock.steady_ns() < until_steady_ns) {
    pipeline.poll(clock.steady_ns(), clock.now());
    nap_through_stop(kHoldNs);
    clock.look();
  }
}

Result<void> Waiter::open() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return Error{fmt::format("eventfd: {}", std::strerror(errno))};
  fds_[0] = {.fd = fd, .events = POLLIN, .revents = 0};
  count_ = 1;
  return {};
}

Waiter::~Waiter() {
  if (count_ > 0) close(fds_[0].fd);
}

bool Waiter::add(int fd) noexcept {
  if (count_ == fds_.size()) return false;
  fds_[count_++] = {.fd = fd, .events = POLLIN, .revents = 0};
  return true;
}

void Waiter::remove(int fd) noexcept {
  for (size_t i = 1; i < count_; ++i) {
    if (fds_[i].fd != fd) continue;
    fds_[i] = fds_[--count_];
    return;
  }
}

uint64_t Waiter::patience_ns(const Pipeline& pipeline, uint64_t linger_ns) noexcept {
  if (pipeline.has_open_question()) return 0;
  if (pipeline.is_quiet()) return kQuietWaitNs;
  return std::clamp(linger_ns / 4, kNsPerMs, kQuietWaitNs);  // a batch goes at most a quarter late
}

void Waiter::nap(uint64_t ns) noexcept {
  const timespec timeout{.tv_sec = static_cast<time_t>(ns / kNsPerSec),
                         .tv_nsec = static_cast<long>(ns % kNsPerSec)};
  ppoll(fds_.data(), 1, &timeout, nullptr);
}

bool Waiter::wait(uint64_t ns) noexcept {
  const timespec timeout{.tv_sec = static_cast<time_t>(ns / kNsPerSec),
                         .tv_nsec = static_cast<long>(ns % kNsPerSec)};
  if (ppoll(fds_.data(), count_, &timeout, nullptr) <= 0) return false;
  bool is_readable = false;
  bool has_failed = false;
  for (size_t i = 0; i < count_; ++i) {
    is_readable |= (fds_[i].revents & POLLIN) != 0;
    if (i > 0 && (fds_[i].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
      // An interface that went down, for example: the error is taken, and the socket lives on.
      has_failed = true;
      int error;
      socklen_t octets = sizeof error;
      getsockopt(fds_[i].fd, SOL_SOCKET, SO_ERROR, &error, &octets);
    }
  }
  // An error that stays must not make waiting a busy loop.
  if (has_failed && !is_readable) {
    const timespec nap{.tv_sec = 0, .tv_nsec = kNapMaxNs};
    ppoll(fds_.data(), 1, &nap, nullptr);
  }
  return is_readable;
}

void Waiter::request_stop() noexcept {
  is_stopping_.store(true, std::memory_order_relaxed);
  const uint64_t one = 1;
  if (count_ > 0) [[maybe_unused]]
    const ssize_t written = write(fds_[0].fd, &one, sizeof one);
}

}  // namespace weir::dataplane
