#include "dataplane/udp_socket.h"

#include <fmt/format.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weir::dataplane {
namespace {

// Not a multiple of a page: else the same cache sets would hold the beginnings of all buffers.
constexpr size_t kBufferStride = 65'536 + 2 * kCacheLineBytes;

constexpr int kLeastBufferOctets = 4096;  // the kernel grants a little more than less

/// Asks for the kernel's time of arrival in a control message.
std::optional<uint64_t> kernel_time_ns(msghdr& message) noexcept {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec time;
    std::memcpy(&time, CMSG_DATA(c), sizeof time);
    return static_cast<uint64_t>(time.tv_sec) * kNsPerSec + static_cast<uint64_t>(time.tv_nsec);
  }
  return {};
}

/// Half of what the kernel says, which doubles what it is asked for, for its own overhead. Negative: it says nothing.
int buffer_of(int fd) noexcept {
  int doubled = 0;
  socklen_t octets = sizeof doubled;
  return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &doubled, &octets) == 0 ? doubled / 2 : -1;
}

/// What a socket gets that asks for so much: net.core.rmem_max cannot be read everywhere.
int granted_without_rights(int octets) noexcept {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return octets;
  const int granted = set_option(fd, SOL_SOCKET, SO_RCVBUF, octets) ? buffer_of(fd) : octets;
  ::close(fd);
  return granted;
}

}  // namespace

ReceiveBuffers::~ReceiveBuffers() {
  if (payloads != nullptr) munmap(payloads, kBurst * kBufferStride);
}

Result<void> ReceiveBuffers::map(const TcpLimits& tcp) {
  Result<std::unique_ptr<TcpSessions>> made = TcpSessions::create(tcp);
  if (!made) return made.error();
  sessions = std::move(*made);
  void* const mapped = mmap(nullptr, kBurst * kBufferStride, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED)
    return Error{fmt::format("socket ports: receive buffers: {}", std::strerror(errno))};
  payloads = static_cast<uint8_t*>(mapped);
  for (size_t i = 0; i < kBurst; ++i) {
    parts[i] = {.iov_base = payloads + i * kBufferStride, .iov_len = kPayloadOctetsMax};
    msghdr& message = messages[i].msg_hdr;
    message.msg_name = &sources[i];
    message.msg_iov = &parts[i];
    message.msg_iovlen = 1;
    message.msg_control = controls[i].data();
  }
  return {};
}

Result<std::unique_ptr<UdpSocket>> UdpSocket::open(const SocketPort& config, Sharing sharing,
                                                   int* error_number) {
  std::unique_ptr<UdpSocket> socket(new UdpSocket(config));
  if (Result<void> bound = socket->open_bound(sharing); !bound) {
    if (error_number != nullptr) *error_number = socket->error_number();
    return bound.error();
  }
  return socket;
}

Result<void> UdpSocket::open_bound(Sharing sharing) {
  if (Result<void> opened = open_socket(SOCK_DGRAM); !opened) return opened;
  if (Result<void> set = set_buffer(); !set) return set;
  set_option(fd_, SOL_SOCKET, SO_TIMESTAMPNS, 1);  // without it: the time of the burst
  return bind_socket(sharing);
}

Result<void> UdpSocket::set_buffer() {
  const uint32_t wanted =
      config_.receive_buffer_octets != 0 ? config_.receive_buffer_octets : kReceiveBufferOctets;
  const auto limited = static_cast<int>(std::min<uint32_t>(wanted, INT32_MAX / 2));
  // The first needs CAP_NET_ADMIN and knows no limit; the second stays below net.core.rmem_max. Who had the right and
  // gave it up would be left with less than it has, whatever it asks for.
  if (!set_option(fd_, SOL_SOCKET, SO_RCVBUFFORCE, limited)) {
    const int without_rights = granted_without_rights(limited);
    const bool would_shrink = without_rights < limited && without_rights < buffer_of(fd_);
    if (!would_shrink && !set_option(fd_, SOL_SOCKET, SO_RCVBUF, limited)) return error("SO_RCVBUF", errno);
  }
  buffer_note_.clear();
  const int granted = buffer_of(fd_);
  if (granted < 0) return error("SO_RCVBUF", errno);
  set_longest_pause(longest_pause_of_buffer_ns(2 * static_cast<uint64_t>(granted)));
  is_buffer_cut_ = granted < limited;
  if (is_buffer_cut_) {
    buffer_note_ = fmt::format("receive buffer of {} octets, {} asked: raise net.core.rmem_max", granted, limited);
  } else if (granted > std::max(limited, kLeastBufferOctets)) {
    buffer_note_ = fmt::format("receive buffer stays at {} octets, {} asked: without rights it would become smaller than that",
                               granted, limited);
  }
  return {};
}

PortSocket::Turn UdpSocket::receive(ReceiveBuffers& buffers, Pipeline& pipeline, const CoreClock& clock) noexcept {
  for (mmsghdr& entry : buffers.messages) {
    entry.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    entry.msg_hdr.msg_controllen = ReceiveBuffers::kControlOctets;
  }
  const int count = recvmmsg(fd_, buffers.messages.data(), kBurst, MSG_DONTWAIT, nullptr);
  if (count < 0) {
    if (errno != EAGAIN && errno != EINTR) errors_.increment();
    return {};
  }
  uint64_t octets = 0;
  for (int i = 0; i < count; ++i) {
    mmsghdr& entry = buffers.messages[static_cast<size_t>(i)];
    octets += entry.msg_len;
    if ((entry.msg_hdr.msg_flags & MSG_TRUNC) != 0) {  // longer than UDP can be
      errors_.increment();
      continue;
    }
    const sockaddr_storage& source = buffers.sources[static_cast<size_t>(i)];
    const auto* const payload =
        static_cast<const uint8_t*>(buffers.parts[static_cast<size_t>(i)].iov_base);
    pipeline.on_datagram({.payload = {payload, entry.msg_len},
                          .source = address_of(source),
                          .source_port = port_of(source),
                          .local_port = bound_port_,
                          .listener = listener(),
                          .received_ns = kernel_time_ns(entry.msg_hdr).value_or(clock.wall_ns()),
                          .aged_ns = clock.now().aged_ns});
  }
  packets_.add(static_cast<uint64_t>(count));
  octets_.add(octets);
  return {static_cast<unsigned>(count), count == static_cast<int>(kBurst)};
}

void UdpSocket::drain(ReceiveBuffers& buffers, Pipeline& pipeline, CoreClock& clock,
                      uint64_t hold_until_ns) noexcept {
  const unsigned bursts_max = refuse_all(fd_) ? kShutDrainBurstsMax : kDrainBurstsMax;
  for (unsigned i = 0; i < bursts_max; ++i) {
    hold_for_room(pipeline, clock, hold_until_ns);
    if (receive(buffers, pipeline, clock).received == 0) break;
    clock.look();
  }
}

void UdpSocket::adapt(const SocketPort& config) {
  const bool other_buffer = config_.receive_buffer_octets != config.receive_buffer_octets;
  take_config(config);
  if (!other_buffer) return;
  if (Result<void> set = set_buffer(); !set) buffer_note_ = set.error().message;
}

void UdpSocket::close() {
  if (fd_ < 0) return;
  read_kernel_drops();
  ::close(fd_);
  fd_ = -1;
}

// The kernel's count of datagrams that found the buffer full: what SO_RXQ_OVFL would attach to each
// datagram, without the price of it, and also when no datagram follows.
void UdpSocket::read_kernel_drops() {
  if (fd_ < 0) return;
  uint32_t memory[SK_MEMINFO_VARS];
  socklen_t octets = sizeof memory;
  if (getsockopt(fd_, SOL_SOCKET, SO_MEMINFO, memory, &octets) != 0 ||
      octets < (SK_MEMINFO_DROPS + 1) * sizeof(uint32_t))
    return;
  has_kernel_drops_ = true;
  kernel_drops_ += memory[SK_MEMINFO_DROPS] - kernel_drops_seen_;
  kernel_drops_seen_ = memory[SK_MEMINFO_DROPS];
}

PortStats UdpSocket::stats() {
  read_kernel_drops();
  PortStats stats = common_stats();
  stats.packets = packets_.value();
  stats.octets = octets_.value();
  if (has_kernel_drops_) stats.missed = kernel_drops_;
  stats.errors = errors_.value();
  if (!note_.empty() && !buffer_note_.empty()) stats.note += "; ";
  stats.note += buffer_note_;
  stats.needs_attention = is_buffer_cut_;
  return stats;
}

}  // namespace weir::dataplane
