// receive_core.h — What the loops of DPDK cores and of socket threads have in common: waiting, and
// being told to end.
//
// Runs on:  rx_lcore, except wake and request_stop (control_thread).
#pragma once

#include <poll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "base/clock.h"
#include "base/result.h"
#include "dataplane/burst.h"
#include "dataplane/data_plane.h"
#include "dataplane/naps.h"
#include "dataplane/timekeeper.h"

namespace weir::dataplane {

/// Empty polls before an adaptive core waits: some microseconds of looking, cheaper than a sleep.
inline constexpr unsigned kEmptyPollsBeforeWait = 128;
/// Where there are descriptors of devices to wait on. Each look is a system call of the driver's there, and waiting for
/// what is there already is no more.
inline constexpr unsigned kEmptyPollsBeforeFdWait = 1;
/// At the end, what has been received but not looked at is still taken: all of it where the socket
/// can be told to take no more (the bound is then only a guard), else up to so much a queue.
inline constexpr unsigned kDrainBurstsMax = 128;
inline constexpr unsigned kShutDrainBurstsMax = 1u << 20;
inline constexpr uint64_t kQuietWaitNs = 100 * kNsPerMs;  // with nothing to do but wait for packets

/// A filter that nothing passes: what the socket has queued is all that will come. A UDP socket
/// counts what it refuses as dropped, a packet socket does not.
bool refuse_all(int fd) noexcept;

/// Turns over queues of one core, none of which goes before the others: where one turn had to break off, the next begins.
class FairTurn {
 public:
  /// `take` returns false where it must break off: before that one.
  template <class Things, class Take>
  void over(Things& things, Take take) noexcept {
    if (next_ >= things.size()) next_ = 0;
    for (size_t i = 0; i < things.size(); ++i) {
      if (!take(*things[next_])) return;
      next_ = next_ + 1 == things.size() ? 0 : next_ + 1;
    }
  }

 private:
  size_t next_ = 0;
};

/// How long a core that must not receive waits before it looks for buffers again.
inline constexpr uint64_t kHoldNs = 200'000;

/// At the end a core that would rather wait than drop waits so long in all: less than a stop that was asked for
/// twice waits for it.
inline constexpr uint64_t kEndHoldMaxNs = 500 * kNsPerMs;
/// So long, whatever happens: for who is ending already.
void nap_through_stop(uint64_t ns) noexcept;
/// Waits until the pipeline may receive, or that time has come.
void hold_for_room(Pipeline& pipeline, CoreClock& clock, uint64_t until_steady_ns) noexcept WEIR_RUNS_ON(rx_lcore);

/// Waits for descriptors, a time, or to be told to end.
class Waiter {
 public:
  static constexpr size_t kFdsMax = 64;

  Waiter() = default;
  ~Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  Result<void> open();
  /// False beyond kFdsMax: then it must not wait for longer than a nap.
  bool add(int fd) noexcept;
  void remove(int fd) noexcept;
  /// How long a core may wait, as its pipeline stands.
  static uint64_t patience_ns(const Pipeline& pipeline, uint64_t linger_ns) noexcept
      WEIR_RUNS_ON(rx_lcore);
  /// Returns when one of the descriptors is readable, and then true, at request_stop, or after `ns`.
  bool wait(uint64_t ns) noexcept;
  /// Whatever the descriptors say: returns at request_stop, or after `ns`.
  void nap(uint64_t ns) noexcept;

  void request_stop() noexcept;  // any thread
  bool is_stopping() const noexcept { return is_stopping_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> is_stopping_{false};
  std::array<pollfd, kFdsMax + 1> fds_{};  // the first is our own
  size_t count_ = 0;
};

}  // namespace weir::dataplane
