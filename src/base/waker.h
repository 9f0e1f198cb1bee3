// waker.h — One thread sleeps until another has news for it, or until a time-out.
//
// Runs on:  wait on one thread, wake on any other. wake costs a system call only when somebody sleeps,
//           so it is not for the receive path (but at the end of a burst that brought something rare), and cheap
//           for everyone else.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace weir {

class Waker {
 public:
  Waker() noexcept : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Waker() {
    if (fd_ >= 0) close(fd_);
  }
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;

  /// Sleeps until wake() or `timeout_ms`, unless `has_news()` holds already. The waker publishes its
  /// news before it calls wake(), so that none is slept through.
  template <class Predicate>
  void wait(int timeout_ms, Predicate has_news) noexcept {
    lie_down();
    if (!has_news()) {
      pollfd p{fd_, POLLIN, 0};
      ::poll(&p, 1, timeout_ms);
    }
    get_up();
  }

  /// For who waits for other descriptors as well: between the two it looks for news once more, then polls
  /// this one among them.
  void lie_down() noexcept { asleep_.store(true, std::memory_order_seq_cst); }
  void get_up() noexcept {
    asleep_.store(false, std::memory_order_relaxed);
    uint64_t ignored;
    [[maybe_unused]] const ssize_t n = ::read(fd_, &ignored, sizeof ignored);
  }
  int fd() const noexcept { return fd_; }

  void wake() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!asleep_.load(std::memory_order_relaxed)) return;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(fd_, &one, sizeof one);
  }

 private:
  const int fd_;
  std::atomic<bool> asleep_{false};
};

}  // namespace weir
