// IPFIX Messages of generated exporters by TCP sessions, one each (RFC 7011 §10.4).
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "lab/destination_parts.h"

namespace weir::lab {
namespace {

constexpr size_t kMessagesTogether = 64;
constexpr timeval kPatience{.tv_sec = 30, .tv_usec = 0};  // of a collector that does not read

class SessionDestination final : public Destination {
 public:
  SessionDestination(std::vector<int> sessions, std::string target)
      : sessions_(std::move(sessions)), target_(std::move(target)) {}
  ~SessionDestination() override {
    for (const int fd : sessions_)
      if (fd >= 0) close(fd);
  }
  SessionDestination(const SessionDestination&) = delete;
  SessionDestination& operator=(const SessionDestination&) = delete;

  bool in_real_time() const noexcept override { return true; }

  /// Neighbours of one exporter go by one system call.
  void send(std::span<const OutgoingDatagram> batch, GeneratorReport& report) override {
    while (!batch.empty()) {
      size_t count = 1;
      while (count < std::min(batch.size(), kMessagesTogether) && batch[count].exporter == batch[0].exporter) ++count;
      send_to_one(batch.first(count), report);
      batch = batch.subspan(count);
    }
  }
  void finish(GeneratorReport&) override {}

 private:
  void send_to_one(std::span<const OutgoingDatagram> messages, GeneratorReport& report) {
    int& fd = sessions_[messages[0].exporter];
    size_t octets = 0;
    for (size_t i = 0; i < messages.size(); ++i) {
      const std::vector<uint8_t>& message = messages[i].content.octets;
      // The kernel only reads it; iovec has no const.
      parts_[i] = {const_cast<uint8_t*>(message.data()), message.size()};
      octets += message.size();
    }
    std::span<iovec> left(parts_.data(), messages.size());
    while (fd >= 0 && octets != 0) {
      msghdr header{};
      header.msg_iov = left.data();
      header.msg_iovlen = left.size();
      const ssize_t sent = sendmsg(fd, &header, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) return end_session(fd, messages.size(), report);
      octets -= static_cast<size_t>(sent);
      left = beyond(left, static_cast<size_t>(sent));
    }
    if (octets != 0) return end_session(fd, messages.size(), report);
    for (const OutgoingDatagram& message : messages) count_sent(message, report);
  }
  /// What of them is left when so many octets are gone.
  static std::span<iovec> beyond(std::span<iovec> parts, size_t octets) {
    while (!parts.empty() && octets >= parts[0].iov_len) {
      octets -= parts[0].iov_len;
      parts = parts.subspan(1);
    }
    if (!parts.empty()) {
      parts[0].iov_base = static_cast<uint8_t*>(parts[0].iov_base) + octets;
      parts[0].iov_len -= octets;
    }
    return parts;
  }
  /// What was on its way counts as not sent; a new session would want its templates anew.
  void end_session(int& fd, size_t messages, GeneratorReport& report) {
    if (fd >= 0) {
      note_error(report, fmt::format("{}: the session ended: {}", target_,
                                     errno == EAGAIN ? "nothing is read there" : std::strerror(errno)));
      close(fd);
      fd = -1;
    }
    report.failed += messages;
  }

  std::vector<int> sessions_;  // of each exporter; -1: it has ended
  const std::string target_;
  std::array<iovec, kMessagesTogether> parts_{};
};

/// From an address of the exporter's own where the target is in 127.0.0.0/8. Negative: the error's number.
int open_session(const Target& target, uint32_t exporter) {
  const int fd = socket(target.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);  // of connect, too
  bool is_open = true;
  if (target.is_loopback_v4()) {
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(kLoopbackExporters + exporter);
    is_open = bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0;
  }
  if (is_open && connect(fd, target.address(), target.length) == 0) return fd;
  const int number = errno;
  close(fd);
  return -number;
}

/// A descriptor for each session, as far as we may.
void want_descriptors(uint32_t sessions) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::clamp<rlim_t>(sessions + rlim_t{64}, limit.rlim_cur, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Result<std::unique_ptr<Destination>> open_session_destination(const std::string& host_port, uint32_t exporters) {
  const Result<Target> target = find_target(host_port, SOCK_STREAM);
  if (!target) return target.error();
  want_descriptors(exporters);
  std::vector<int> sessions;
  for (uint32_t i = 0; i < exporters; ++i) {
    const int fd = open_session(*target, i);
    if (fd < 0) {
      for (const int open : sessions) close(open);
      return Error{fmt::format("{}: session {} of {}: {}", host_port, i + 1, exporters, std::strerror(-fd))};
    }
    sessions.push_back(fd);
  }
  return std::unique_ptr<Destination>(std::make_unique<SessionDestination>(std::move(sessions), host_port));
}

}  // namespace weir::lab
