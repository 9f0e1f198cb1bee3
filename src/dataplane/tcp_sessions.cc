#include "dataplane/tcp_sessions.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir::dataplane {
namespace {

constexpr size_t kRoomOctets = 65'536;  // whole pages, so that one's can be given back
static_assert(kRoomOctets >= decode::MessageFramer::kMessageOctetsMax);

}  // namespace

TcpSessions::TcpSessions(const TcpLimits& limits) : limits_(limits), sessions_(limits.sessions_max) {}

Result<std::unique_ptr<TcpSessions>> TcpSessions::create(const TcpLimits& limits) {
  std::unique_ptr<TcpSessions> made(new TcpSessions(limits));
  void* const mapped = mmap(nullptr, limits.sessions_max * kRoomOctets, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    return Error{fmt::format("socket ports: room for {} TCP sessions: {}", limits.sessions_max, std::strerror(errno))};
  made->rooms_ = static_cast<uint8_t*>(mapped);
  return made;
}

TcpSessions::~TcpSessions() {
  for (const TcpSession& session : sessions_)
    if (session.fd >= 0) ::close(session.fd);
  if (rooms_ != nullptr) munmap(rooms_, sessions_.size() * kRoomOctets);
}

uint8_t* TcpSessions::room_of(const TcpSession& session) noexcept {
  return rooms_ + static_cast<size_t>(&session - sessions_.data()) * kRoomOctets;
}

TcpSessions::Place TcpSessions::find_place(const IpAddress& exporter, uint64_t now_ns) noexcept {
  TcpSession* free = nullptr;
  TcpSession* silent = nullptr;  // longest of those that never said anything
  uint32_t of_exporter = 0;
  for (TcpSession& session : all()) {
    if (session.fd < 0) {
      if (free == nullptr) free = &session;
      continue;
    }
    of_exporter += session.exporter == exporter;
    if (session.messages == 0 && now_ns >= session.last_ns + limits_.message_ns &&
        (silent == nullptr || session.last_ns < silent->last_ns))
      silent = &session;
  }
  if (of_exporter >= limits_.sessions_per_exporter_max) return {.refusal = TcpRefusal::sessions_per_exporter};
  if (free == nullptr && used_ < sessions_.size()) free = &sessions_[used_++];
  if (free != nullptr) return {.session = free};
  return {.refusal = TcpRefusal::sessions_max, .displaced = silent};
}

void TcpSessions::begin(TcpSession& place, TcpSocket& owner, int fd, const IpAddress& exporter, uint16_t port,
                        uint64_t now_ns) noexcept {
  place = {.fd = fd,
           .owner = &owner,
           .exporter = exporter,
           .port = port,
           .last_ns = now_ns,
           .framer = decode::MessageFramer(room_of(place))};
}

void TcpSessions::end(TcpSession& session) noexcept {
  ::close(session.fd);
  session = {};
  madvise(room_of(session), kRoomOctets, MADV_DONTNEED);
}

}  // namespace weir::dataplane
