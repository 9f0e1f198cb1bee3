#include "service/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/clock.h"

namespace weir::service {
namespace {

std::string_view environment_value(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

ServiceNotify ServiceNotify::from_environment() {
  const auto interval_us = parse_number(environment_value("WATCHDOG_USEC")).value_or(0);
  // WATCHDOG_PID names the process that is watched; a child of it must not answer in its place.
  const auto watched = environment_value("WATCHDOG_PID");
  const bool ours = watched.empty() || parse_number(watched) == static_cast<uint64_t>(getpid());
  return ServiceNotify(std::string(environment_value("NOTIFY_SOCKET")),
                       ours && interval_us < UINT64_MAX / kNsPerUs ? interval_us * kNsPerUs : 0);
}

ServiceNotify::ServiceNotify(std::string socket_path, uint64_t watchdog_interval_ns)
    : socket_path_(std::move(socket_path)) {
  const bool usable = socket_path_.size() > 1 &&
                      socket_path_.size() < sizeof(sockaddr_un::sun_path) &&
                      (socket_path_[0] == '/' || socket_path_[0] == '@');
  if (!usable) return;
  fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ >= 0) watchdog_interval_ns_ = watchdog_interval_ns;
}

ServiceNotify::ServiceNotify(ServiceNotify&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      socket_path_(std::move(other.socket_path_)),
      watchdog_interval_ns_(other.watchdog_interval_ns_) {}

ServiceNotify::~ServiceNotify() {
  if (fd_ >= 0) close(fd_);
}

bool ServiceNotify::send(std::string_view assignments, std::string_view status) {
  if (fd_ < 0) return false;
  std::string message(assignments);
  message += status;
  // A status is one line: a line break in it would begin another assignment.
  std::replace(message.begin() + static_cast<ptrdiff_t>(assignments.size()), message.end(), '\n',
               ' ');

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_path_.data(), socket_path_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_path_.size());
  return sendto(fd_, message.data(), message.size(), MSG_NOSIGNAL,
                reinterpret_cast<const sockaddr*>(&address), length) >= 0;
}

}  // namespace weir::service
