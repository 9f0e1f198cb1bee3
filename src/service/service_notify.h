// service_notify.h — Tells the service manager how we are: systemd's notification protocol.
//
// Spec:     sd_notify(3): datagrams of NAME=value lines to the unix socket in NOTIFY_SOCKET.
// Runs on:  control_thread. Never blocks; does nothing when no manager listens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::service {

/// What a stop takes beside its deadline, at most: cores that end, files that are written, a log that is.
inline constexpr uint64_t kStopBesidesNs = 10'000'000'000;

class ServiceNotify {
 public:
  /// What the manager has put into the environment: its socket and the watchdog's interval.
  static ServiceNotify from_environment();
  /// `socket_path` as in NOTIFY_SOCKET: a path, or `@name` for an abstract one; empty: nobody
  /// listens.
  explicit ServiceNotify(std::string socket_path, uint64_t watchdog_interval_ns = 0);
  ~ServiceNotify();
  ServiceNotify(ServiceNotify&& other) noexcept;
  ServiceNotify& operator=(ServiceNotify&&) = delete;

  bool is_listened_to() const noexcept { return fd_ >= 0; }
  /// The manager restarts us when watchdog() stays away for so long; send at half of it. 0: none.
  uint64_t watchdog_interval_ns() const noexcept { return watchdog_interval_ns_; }

  /// Each returns whether the manager's socket took the message.
  bool ready(std::string_view status) { return send("READY=1\nSTATUS=", status); }
  /// What is in flight has `deadline_ns` to be delivered, and the rest a little more, whatever the manager's own time for a
  /// stop is.
  bool stopping(std::string_view status, uint64_t deadline_ns) {
    const uint64_t us = (deadline_ns + kStopBesidesNs) / 1000;
    return send("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + std::to_string(us) + "\nSTATUS=", status);
  }
  bool status(std::string_view status) { return send("STATUS=", status); }
  bool watchdog() { return send("WATCHDOG=1", {}); }

 private:
  bool send(std::string_view assignments, std::string_view status);

  int fd_ = -1;
  std::string socket_path_;
  uint64_t watchdog_interval_ns_ = 0;
};

}  // namespace weir::service
