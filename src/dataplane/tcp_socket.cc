#include "dataplane/tcp_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "dataplane/udp_socket.h"

namespace weir::dataplane {
namespace {

constexpr int kBacklog = 256;
constexpr int kAcceptsPerTurn = 4;
constexpr size_t kReadOctets = kBurst * 1500;  // a burst of Ethernet's datagrams, for which buffers are in reserve
constexpr size_t kTurnOctets = 64 * 1024;
// Of a turn, up to which what comes may gather: less than a window, so that nobody waits for us to read. A stream that comes faster is read
// at once, or it would be no faster than a window a pause.
constexpr size_t kGatherOctets = 16 * 1024;
constexpr uint64_t kLookNs = 250 * kNsPerMs;
constexpr uint64_t kHeldUpNs = kNsPerSec;  // between two turns: we were, not the exporters
constexpr unsigned kLastReadsMax = 2;      // before a session's time is up: more than a message
static_assert(kLastReadsMax * kReadOctets > decode::MessageFramer::kMessageOctetsMax);
constexpr uint32_t kListening = 0;         // instead of a session's number
static_assert(kReadOctets <= ReceiveBuffers::kPayloadOctetsMax);

// A peer that is gone without a word is found out in two minutes.
constexpr int kKeepIdleSeconds = 60;
constexpr int kKeepIntervalSeconds = 20;
constexpr int kKeepProbes = 3;

using decode::bit_of;
using decode::Fault;
constexpr decode::Faults kMalformed = bit_of(Fault::unknown_version) | bit_of(Fault::bad_length) |
                                      bit_of(Fault::truncated_message) | bit_of(Fault::protocol_not_allowed) |
                                      bit_of(Fault::skipped_bad_length);
constexpr decode::Faults kNotAllowed = bit_of(Fault::exporter_not_allowed);

/// Closing it will tell the peer that what it sent is not taken.
void reset_at_close(int fd) noexcept {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace

Result<std::unique_ptr<TcpSocket>> TcpSocket::open(const SocketPort& config, Sharing sharing, int* error_number) {
  std::unique_ptr<TcpSocket> socket(new TcpSocket(config));
  if (Result<void> opened = socket->open_listening(sharing); !opened) {
    if (error_number != nullptr) *error_number = socket->error_number();
    return opened.error();
  }
  return socket;
}

Result<void> TcpSocket::open_listening(Sharing sharing) {
  if (Result<void> opened = open_socket(SOCK_STREAM | SOCK_NONBLOCK); !opened) return opened;
  // Past connections keep nobody from the port; another that listens does.
  if (!set_option(fd_, SOL_SOCKET, SO_REUSEADDR, 1)) return error("SO_REUSEADDR", errno);
  // Sessions have these of the socket that they came by.
  set_option(fd_, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd_, IPPROTO_TCP, TCP_KEEPIDLE, kKeepIdleSeconds);
  set_option(fd_, IPPROTO_TCP, TCP_KEEPINTVL, kKeepIntervalSeconds);
  set_option(fd_, IPPROTO_TCP, TCP_KEEPCNT, kKeepProbes);
  if (Result<void> bound = bind_socket(sharing); !bound) return bound;
  if (listen(fd_, kBacklog) != 0) return error("listen", errno);
  ready_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (ready_fd_ < 0) return error("epoll_create1", errno);
  return watch(fd_, kListening);
}

Result<void> TcpSocket::watch(int fd, uint32_t number) {
  epoll_event event{.events = EPOLLIN, .data = {.u32 = number}};
  if (epoll_ctl(ready_fd_, EPOLL_CTL_ADD, fd, &event) != 0) return error("epoll_ctl", errno);
  return {};
}

PortSocket::Turn TcpSocket::receive(ReceiveBuffers& buffers, Pipeline& pipeline, const CoreClock& clock) noexcept {
  const Way way{buffers, pipeline, clock};
  Turn turn;
  look_at_time(way, turn.received);
  if (next_event_ == event_count_) {
    const int count = epoll_wait(ready_fd_, events_.data(), static_cast<int>(events_.size()), 0);
    event_count_ = count > 0 ? static_cast<size_t>(count) : 0;
    next_event_ = 0;
  }
  size_t octets = 0;
  while (next_event_ < event_count_) {
    if (octets >= kTurnOctets || !pipeline.may_receive()) break;
    const uint32_t number = events_[next_event_++].data.u32;
    if (number == kListening) {
      accept_some(way);
      continue;
    }
    // It may have ended since, and its place may be another's.
    TcpSession& session = buffers.sessions->at(number);
    if (session.owner == this) octets += read(session, way, turn.received);
  }
  set_longest_pause(octets < kGatherOctets ? kPauseMaxNs : 0);
  turn.has_more = next_event_ < event_count_ || event_count_ == events_.size();
  return turn;
}

void TcpSocket::accept_some(const Way& way) noexcept {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage from{};
    socklen_t octets = sizeof from;
    const int fd = accept4(fd_, reinterpret_cast<sockaddr*>(&from), &octets, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      begin(fd, from, way);
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      // It stays ready meanwhile, which must not keep the core busy.
      errors_.increment();
      epoll_event nothing{.events = 0, .data = {.u32 = kListening}};
      is_paused_ = epoll_ctl(ready_fd_, EPOLL_CTL_MOD, fd_, &nothing) == 0;
    }
    return;
  }
}

void TcpSocket::begin(int fd, const sockaddr_storage& from, const Way& way) noexcept {
  const IpAddress exporter = address_of(from);
  if (!way.pipeline.admits(exporter)) return refuse(fd, TcpRefusal::not_allowed);
  TcpSessions& sessions = *way.buffers.sessions;
  const uint64_t now_ns = way.clock.steady_ns();
  TcpSessions::Place place = sessions.find_place(exporter, now_ns);
  if (place.displaced != nullptr) {
    place.displaced->owner->end(*place.displaced, TcpEnd::displaced, way);
    place = sessions.find_place(exporter, now_ns);
  }
  if (place.session == nullptr) return refuse(fd, place.refusal);
  epoll_event event{.events = EPOLLIN, .data = {.u32 = sessions.number_of(*place.session)}};
  if (epoll_ctl(ready_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
    errors_.increment();
    return refuse(fd, TcpRefusal::sessions_max);
  }
  sessions.begin(*place.session, *this, fd, exporter, port_of(from), now_ns);
  opened_.increment();
  sessions_.set(sessions_.value() + 1);
}

void TcpSocket::refuse(int fd, TcpRefusal why) noexcept {
  refused_[why].increment();
  reset_at_close(fd);
  ::close(fd);
}

size_t TcpSocket::read(TcpSession& session, const Way& way, unsigned& messages) noexcept {
  const ssize_t count = recv(session.fd, way.buffers.payloads, kReadOctets, MSG_DONTWAIT);
  if (count <= 0) {
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    end(session, count == 0 ? TcpEnd::by_exporter : TcpEnd::failed, way);
    return 0;
  }
  using Step = decode::MessageFramer::Step;
  const auto size = static_cast<size_t>(count);
  octets_.add(size);
  std::span<const uint8_t> octets{way.buffers.payloads, size};
  std::span<const uint8_t> message;
  const uint64_t before = session.messages;
  bool speaks = false;
  for (Step step = session.framer.next(octets, message); step != Step::wait; step = session.framer.next(octets, message)) {
    ++messages;
    messages_.increment();
    if (!take(session, message, way)) return size;
    ++session.messages;
    speaks |= message.size() > decode::kIpfixHeaderOctets;
  }
  const uint64_t now_ns = way.clock.steady_ns();
  const bool has_moved = session.messages != before;
  if (has_moved) session.last_ns = now_ns;
  if (speaks) {
    session.spoke_ns = now_ns;
    session.has_spoken = true;
  }
  if (session.framer.held().empty()) {
    session.due_ns = 0;
  } else if (has_moved || session.due_ns == 0) {
    session.due_ns = now_ns + way.buffers.sessions->limits().message_ns;
  }
  return size;
}

/// False if that was the end of the session. What is malformed is counted by the decoder as any other datagram.
bool TcpSocket::take(TcpSession& session, std::span<const uint8_t> message, const Way& way) noexcept {
  const decode::Faults faults = give(session, message, way);
  if ((faults & (kMalformed | kNotAllowed)) == 0) [[likely]]
    return true;
  end(session, (faults & kNotAllowed) != 0 ? TcpEnd::not_allowed : TcpEnd::malformed, way);
  return false;
}

decode::Faults TcpSocket::give(const TcpSession& session, std::span<const uint8_t> message, const Way& way) noexcept {
  return way.pipeline.on_message({.payload = message,
                                  .source = session.exporter,
                                  .source_port = session.port,
                                  .local_port = bound_port_,
                                  .listener = listener(),
                                  .received_ns = way.clock.wall_ns(),
                                  .session = way.buffers.sessions->number_of(session),
                                  .aged_ns = way.clock.now().aged_ns});
}

void TcpSocket::end(TcpSession& session, TcpEnd how, const Way& way) noexcept {
  if (const std::span<const uint8_t> held = session.framer.held(); !held.empty()) {
    messages_.increment();
    give(session, held, way);
  }
  way.pipeline.end_session(session.exporter, way.buffers.sessions->number_of(session));
  if (how == TcpEnd::malformed || how == TcpEnd::not_allowed) reset_at_close(session.fd);
  ended_[how].increment();
  sessions_.set(sessions_.value() - 1);
  way.buffers.sessions->end(session);
}

void TcpSocket::look_at_time(const Way& way, unsigned& messages) noexcept {
  const uint64_t now_ns = way.clock.steady_ns();
  const uint64_t pause_ns = last_turn_ns_ != 0 ? now_ns - last_turn_ns_ : 0;
  last_turn_ns_ = now_ns;
  if (now_ns < next_look_ns_) return;
  next_look_ns_ = now_ns + kLookNs;
  if (is_paused_) {
    epoll_event event{.events = EPOLLIN, .data = {.u32 = kListening}};
    is_paused_ = epoll_ctl(ready_fd_, EPOLL_CTL_MOD, fd_, &event) != 0;
  }
  const TcpLimits& limits = way.buffers.sessions->limits();
  size_t octets = 0;
  for (TcpSession& session : way.buffers.sessions->all()) {
    if (session.owner != this) continue;
    if (pause_ns > kHeldUpNs) {  // what came meanwhile has not been read
      session.last_ns += pause_ns;
      session.spoke_ns += pause_ns;
      if (session.due_ns != 0) session.due_ns += pause_ns;
    }
    const auto is_late = [&] { return session.due_ns != 0 && now_ns >= session.due_ns; };
    const auto is_idle = [&] { return limits.idle_ns != 0 && now_ns >= session.last_ns + limits.idle_ns; };
    // What is there already came in time, and we are late.
    bool is_read = false;
    for (unsigned i = 0; i < kLastReadsMax && !is_read && session.owner == this && (is_late() || is_idle()); ++i) {
      if (octets >= kTurnOctets || !way.pipeline.may_receive()) break;
      const size_t count = read(session, way, messages);
      octets += count;
      is_read = count == 0 || i + 1 == kLastReadsMax;
    }
    if (!is_read || session.owner != this) continue;
    if (is_late()) {
      end(session, TcpEnd::message_late, way);
    } else if (is_idle()) {
      end(session, TcpEnd::idle, way);
    }
  }
}

void TcpSocket::drain(ReceiveBuffers& buffers, Pipeline& pipeline, CoreClock& clock, uint64_t hold_until_ns) noexcept {
  refuse_more();
  const Way way{buffers, pipeline, clock};
  unsigned messages = 0;
  for (TcpSession& session : buffers.sessions->all()) {
    // What the kernel has of it now, and not what who sends on adds meanwhile: a thousand of those would hold up the end.
    int left = 0;
    if (session.owner == this && ioctl(session.fd, FIONREAD, &left) != 0) left = kReadOctets;
    while (left > 0 && session.owner == this) {
      hold_for_room(pipeline, clock, hold_until_ns);
      const size_t octets = read(session, way, messages);
      if (octets == 0) break;
      left -= static_cast<int>(octets);
      clock.look();
    }
    if (session.owner == this) end(session, TcpEnd::stopped, way);
  }
}

void TcpSocket::close() {
  for (int* fd : {&ready_fd_, &fd_}) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
}

PortStats TcpSocket::stats() {
  PortStats stats = common_stats();
  stats.packets = messages_.value();
  stats.octets = octets_.value();
  stats.errors = errors_.value();
  stats.tcp = TcpStats{.sessions = sessions_.value(),
                       .opened = opened_.value(),
                       .refused = Tally<TcpRefusal>(refused_),
                       .ended = Tally<TcpEnd>(ended_)};
  return stats;
}

}  // namespace weir::dataplane
