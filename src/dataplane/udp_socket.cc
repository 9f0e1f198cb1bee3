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

IpAddress address_of(const sockaddr_storage& from) noexcept {
  if (from.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &from, sizeof v4);
    return IpAddress::from_v4(ntohl(v4.sin_addr.s_addr));
  }
  sockaddr_in6 v6;
  std::memcpy(&v6, &from, sizeof v6);
  return IpAddress::from_v6(v6.sin6_addr.s6_addr);  // IPv4 comes in mapped form, which is ours too
}

uint16_t port_of(const sockaddr_storage& from) noexcept {
  // The port is at the same place in both.
  sockaddr_in v4;
  std::memcpy(&v4, &from, sizeof v4);
  return ntohs(v4.sin_port);
}

socklen_t fill_address(const IpAddress& address, bool as_v4, uint16_t port, sockaddr_storage& out) {
  std::memset(&out, 0, sizeof out);
  if (as_v4) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.octets.data() + 12, 4);
    std::memcpy(&out, &v4, sizeof v4);
    return sizeof v4;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, address.octets.data(), 16);
  std::memcpy(&out, &v6, sizeof v6);
  return sizeof v6;
}

bool set_option(int fd, int level, int option, int value) noexcept {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

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

}  // namespace

ReceiveBuffers::~ReceiveBuffers() {
  if (payloads != nullptr) munmap(payloads, kBurst * kBufferStride);
}

Result<void> ReceiveBuffers::map() {
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

Error UdpSocket::error(std::string_view what, int number) {
  failure_ = number;
  return Error{fmt::format("port {}: {}: {}", config_.name, what, std::strerror(number))};
}

Result<std::unique_ptr<UdpSocket>> UdpSocket::open(const SocketPort& config, Sharing sharing,
                                                   int* error_number) {
  std::unique_ptr<UdpSocket> socket(new UdpSocket(config));
  if (Result<void> bound = socket->bind_socket(sharing); !bound) {
    if (error_number != nullptr) *error_number = socket->failure_;
    return bound.error();
  }
  return socket;
}

Result<void> UdpSocket::bind_socket(Sharing sharing) {
  // `::` takes IPv4 too, as mapped addresses; where the kernel has no IPv6, it is 0.0.0.0.
  bool as_v4 = config_.address.is_v4();
  fd_ = socket(as_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0 && errno == EAFNOSUPPORT && config_.address == IpAddress{}) {
    as_v4 = true;
    note_ = "IPv4 only: the kernel has no IPv6";
    fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  }
  if (fd_ < 0) return error("socket", errno);
  if (!as_v4 && !set_option(fd_, IPPROTO_IPV6, IPV6_V6ONLY, 0)) return error("IPV6_V6ONLY", errno);
  if (Result<void> set = set_buffer(); !set) return set;
  set_option(fd_, SOL_SOCKET, SO_TIMESTAMPNS, 1);  // without it: the time of the burst

  if (sharing != Sharing::none && !refuse_all(fd_)) return error("SO_ATTACH_FILTER", errno);
  if (sharing == Sharing::beside && !set_option(fd_, SOL_SOCKET, SO_REUSEPORT, 1)) return error("SO_REUSEPORT", errno);

  sockaddr_storage address;
  const socklen_t octets = fill_address(config_.address, as_v4, config_.port, address);
  const std::string text = config_.address.to_string();
  const auto shown = [&](uint16_t port) {
    return as_v4 ? fmt::format("{}:{}", config_.address.is_v4() ? text : "0.0.0.0", port)
                 : fmt::format("[{}]:{}", text, port);
  };
  if (bind(fd_, reinterpret_cast<const sockaddr*>(&address), octets) != 0) {
    if (failure_ = errno; failure_ == EADDRINUSE)
      return Error{fmt::format("port {}: UDP {} is in use by another program", config_.name,
                               shown(config_.port))};
    return error(fmt::format("UDP {}", shown(config_.port)), failure_);
  }
  // Bound for itself alone; from here on for those that are to be beside it.
  if (sharing == Sharing::first && !set_option(fd_, SOL_SOCKET, SO_REUSEPORT, 1)) return error("SO_REUSEPORT", errno);
  sockaddr_storage bound{};
  socklen_t bound_octets = sizeof bound;
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &bound_octets) != 0)
    return error("getsockname", errno);
  bound_port_ = port_of(bound);
  bound_address_ = shown(bound_port_);
  return {};
}

Result<void> UdpSocket::admit_all() {
  if (!set_option(fd_, SOL_SOCKET, SO_DETACH_FILTER, 0)) return error("SO_DETACH_FILTER", errno);
  return {};
}

Result<void> UdpSocket::set_buffer() {
  const uint32_t wanted =
      config_.receive_buffer_octets != 0 ? config_.receive_buffer_octets : kReceiveBufferOctets;
  const auto limited = static_cast<int>(std::min<uint32_t>(wanted, INT32_MAX / 2));
  // The first needs CAP_NET_ADMIN and knows no limit; the second stays below net.core.rmem_max.
  if (!set_option(fd_, SOL_SOCKET, SO_RCVBUFFORCE, limited) &&
      !set_option(fd_, SOL_SOCKET, SO_RCVBUF, limited))
    return error("SO_RCVBUF", errno);
  buffer_note_.clear();
  int doubled = 0;  // the kernel doubles what it is asked for, for its own overhead
  socklen_t octets = sizeof doubled;
  if (getsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &doubled, &octets) == 0 && doubled / 2 < limited) {
    buffer_note_ = fmt::format("receive buffer of {} octets, {} asked: raise net.core.rmem_max",
                         doubled / 2, limited);
  }
  return {};
}

unsigned UdpSocket::receive(ReceiveBuffers& buffers, Pipeline& pipeline,
                            uint64_t wall_ns) noexcept {
  for (mmsghdr& entry : buffers.messages) {
    entry.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    entry.msg_hdr.msg_controllen = ReceiveBuffers::kControlOctets;
  }
  const int count = recvmmsg(fd_, buffers.messages.data(), kBurst, MSG_DONTWAIT, nullptr);
  if (count < 0) {
    if (errno != EAGAIN && errno != EINTR) errors_.increment();
    return 0;
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
                          .listener = {listener_.load(std::memory_order_relaxed)},
                          .received_ns = kernel_time_ns(entry.msg_hdr).value_or(wall_ns)});
  }
  packets_.add(static_cast<uint64_t>(count));
  octets_.add(octets);
  return static_cast<unsigned>(count);
}

void UdpSocket::drain(ReceiveBuffers& buffers, Pipeline& pipeline, CoreClock& clock,
                      uint64_t hold_until_ns) noexcept {
  const unsigned bursts_max = refuse_all(fd_) ? kShutDrainBurstsMax : kDrainBurstsMax;
  for (unsigned i = 0; i < bursts_max; ++i) {
    hold_for_room(pipeline, clock, hold_until_ns);
    if (receive(buffers, pipeline, clock.wall_ns()) == 0) break;
    clock.look();
  }
}

void UdpSocket::adapt(const SocketPort& config) {
  const bool other_buffer = config_.receive_buffer_octets != config.receive_buffer_octets;
  config_ = config;
  listener_.store(config.listener.value, std::memory_order_relaxed);
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
  PortStats stats;
  stats.name = config_.name;
  stats.kind = "socket";
  stats.driver = "udp";
  stats.device = bound_address_;
  stats.link_up = fd_ >= 0;
  stats.packets = packets_.value();
  stats.octets = octets_.value();
  if (has_kernel_drops_) stats.missed = kernel_drops_;
  stats.errors = errors_.value();
  stats.note = note_;
  if (!note_.empty() && !buffer_note_.empty()) stats.note += "; ";
  stats.note += buffer_note_;
  return stats;
}

}  // namespace weir::dataplane
