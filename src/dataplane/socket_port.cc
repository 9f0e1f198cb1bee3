#include "dataplane/socket_port.h"

#include <fmt/format.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weir::dataplane {
namespace {

constexpr size_t kPayloadOctetsMax = 65'535;
// Not a multiple of a page: else the same cache sets would hold the beginnings of all buffers.
constexpr size_t kBufferStride = 65'536 + 2 * kCacheLineBytes;
constexpr size_t kControlOctets = CMSG_SPACE(sizeof(timespec));

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

struct ReceiveBuffers {
  uint8_t* payloads = nullptr;  // kBurst × kBufferStride, mapped: pages come when they are touched
  std::array<mmsghdr, kBurst> messages{};
  std::array<iovec, kBurst> parts{};
  std::array<sockaddr_storage, kBurst> sources{};
  alignas(cmsghdr) std::array<std::array<uint8_t, kControlOctets>, kBurst> controls{};

  ~ReceiveBuffers() {
    if (payloads != nullptr) munmap(payloads, kBurst * kBufferStride);
  }
};

Error UdpSocket::error(std::string_view what, int number) {
  failure_ = number;
  return Error{fmt::format("port {}: {}: {}", config_.name, what, std::strerror(number))};
}

Result<std::unique_ptr<UdpSocket>> UdpSocket::open(const SocketPort& config,
                                                   int* error_number) {
  std::unique_ptr<UdpSocket> socket(new UdpSocket(config));
  if (Result<void> bound = socket->bind_socket(); !bound) {
    if (error_number != nullptr) *error_number = socket->failure_;
    return bound.error();
  }
  return socket;
}

Result<void> UdpSocket::bind_socket() {
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
  sockaddr_storage bound{};
  socklen_t bound_octets = sizeof bound;
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &bound_octets) != 0)
    return error("getsockname", errno);
  bound_port_ = port_of(bound);
  bound_address_ = shown(bound_port_);
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
    entry.msg_hdr.msg_controllen = kControlOctets;
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

SocketCore::SocketCore() : buffers_(std::make_unique<ReceiveBuffers>()) {
  served_.reserve(kSocketsMax);
}

SocketCore::~SocketCore() { stop(); }

Result<std::unique_ptr<SocketCore>> SocketCore::open(std::span<const SocketPort> ports) {
  std::unique_ptr<SocketCore> core(new SocketCore());
  if (Result<void> opened = core->waiter_.open(); !opened) return opened.error();
  for (const SocketPort& port : ports) {
    Result<std::unique_ptr<UdpSocket>> socket = UdpSocket::open(port);
    if (!socket) return socket.error();
    if (!core->waiter_.add((*socket)->fd()))
      return Error{fmt::format("port {}: {} kernel sockets, limit {}", port.name, ports.size(), kSocketsMax)};
    core->served_.push_back(socket->get());
    core->sockets_.push_back(std::move(*socket));
  }

  ReceiveBuffers& buffers = *core->buffers_;
  void* const mapped = mmap(nullptr, kBurst * kBufferStride, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED)
    return Error{fmt::format("socket ports: receive buffers: {}", std::strerror(errno))};
  buffers.payloads = static_cast<uint8_t*>(mapped);
  for (size_t i = 0; i < kBurst; ++i) {
    buffers.parts[i] = {.iov_base = buffers.payloads + i * kBufferStride,
                        .iov_len = kPayloadOctetsMax};
    msghdr& message = buffers.messages[i].msg_hdr;
    message.msg_name = &buffers.sources[i];
    message.msg_iov = &buffers.parts[i];
    message.msg_iovlen = 1;
    message.msg_control = buffers.controls[i].data();
  }
  return core;
}

Result<void> SocketCore::start(Pipeline& pipeline, size_t core, IdlePolicy idle,
                               uint64_t linger_ns) {
  pipeline_ = &pipeline;
  idle_ = idle;
  linger_ns_ = linger_ns;

  // Signals are the control thread's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int rc = pthread_create(
      &thread, nullptr,
      [](void* self) -> void* {
        const RoleScope role(rx_lcore);
        static_cast<SocketCore*>(self)->run();
        return nullptr;
      },
      this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (rc != 0) return Error{fmt::format("socket ports: thread: {}", std::strerror(rc))};
  thread_ = thread;
  pthread_setname_np(thread, fmt::format("weir-rx-{}", core).c_str());
  return {};
}

void SocketCore::run() noexcept {
  PipelineCounters& counters = pipeline_->counters();
  CoreClock clock;
  while (!waiter_.is_stopping()) {
    take_changes(clock);
    const uint64_t began_ns = clock.steady_ns();
    if (!pipeline_->may_receive()) {  // the sockets fill meanwhile, and the kernel counts its drops
      clock.look();
      pipeline_->poll(clock.steady_ns(), clock.wall_ns());
      counters.holds.increment();
      waiter_.nap(kHoldNs);
      clock.look();
      continue;
    }
    unsigned received = 0;
    bool more = false;  // a full burst: the socket may hold another
    for (UdpSocket* socket : served_) {
      if (!pipeline_->may_receive()) break;
      const unsigned burst = socket->receive(*buffers_, *pipeline_, clock.wall_ns());
      received += burst;
      more |= burst == kBurst;
    }
    clock.look();
    pipeline_->poll(clock.steady_ns(), clock.wall_ns());
    if (received != 0) {
      counters.bursts.increment();
      counters.busy_ns.add(clock.steady_ns() - began_ns);
      if (more) continue;  // else the queues are empty: looking again costs as much as waiting
    } else {
      counters.empty_polls.increment();
    }
    const uint64_t patience_ns = Waiter::patience_ns(*pipeline_, linger_ns_);
    if (idle_ == IdlePolicy::adaptive && patience_ns != 0) {
      counters.sleeps.increment();
      waiter_.wait(patience_ns);
      clock.look();
    }
  }
  const uint64_t hold_until_ns = clock.steady_ns() + kEndHoldMaxNs;
  take_changes(clock);
  for (UdpSocket* socket : served_) socket->drain(*buffers_, *pipeline_, clock, hold_until_ns);
  pipeline_->finish();
  has_ended_.store(true, std::memory_order_release);
}

void SocketCore::stop() {
  if (thread_) {
    request_stop();
    pthread_join(*thread_, nullptr);
    thread_.reset();
  }
  for (const std::unique_ptr<UdpSocket>& socket : sockets_) socket->close();
}

Result<void> SocketCore::prepare_change(std::span<const SocketPort> ports) {
  joining_.clear();
  next_ports_.assign(ports.begin(), ports.end());
  if (ports.size() > kSocketsMax)
    return Error{fmt::format("{} kernel sockets, limit {}", ports.size(), kSocketsMax)};
  for (const SocketPort& port : ports) {
    const bool is_open = std::any_of(sockets_.begin(), sockets_.end(),
                                     [&](const auto& socket) { return socket->is_at(port); });
    if (is_open) continue;
    Result<std::unique_ptr<UdpSocket>> socket = UdpSocket::open(port);
    if (!socket) {
      joining_.clear();
      return socket.error();
    }
    joining_.push_back(std::move(*socket));
  }
  return {};
}

void SocketCore::begin_change() {
  for (size_t i = 0; i < sockets_.size();) {
    const auto next = std::find_if(next_ports_.begin(), next_ports_.end(),
                                   [&](const SocketPort& port) { return sockets_[i]->is_at(port); });
    if (next != next_ports_.end()) {
      sockets_[i++]->adapt(*next);
      continue;
    }
    changes_.push({sockets_[i].get(), true});
    leaving_.push_back(std::move(sockets_[i]));
    sockets_.erase(sockets_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (std::unique_ptr<UdpSocket>& socket : joining_) {
    changes_.push({socket.get(), false});
    sockets_.push_back(std::move(socket));
  }
  joining_.clear();
}

bool SocketCore::settle_change() {
  UdpSocket* gone = nullptr;
  while (given_back_.pop(gone))
    std::erase_if(leaving_, [gone](const auto& socket) { return socket.get() == gone; });
  return leaving_.empty() && changes_.size_approx() == 0;
}

/// What is gone is read to its end first: the kernel has queued it for us.
void SocketCore::take_changes(CoreClock& clock) noexcept {
  Change change;
  while (changes_.pop(change)) {
    if (!change.is_gone) {
      served_.push_back(change.socket);
      waiter_.add(change.socket->fd());
      continue;
    }
    change.socket->drain(*buffers_, *pipeline_, clock, clock.steady_ns() + kEndHoldMaxNs);
    std::erase(served_, change.socket);
    waiter_.remove(change.socket->fd());
    given_back_.push(change.socket);
  }
}

std::string SocketCore::serves() const {
  std::string names;
  for (const std::unique_ptr<UdpSocket>& socket : sockets_) {
    if (!names.empty()) names += ", ";
    names += socket->name();
  }
  return names;
}

void SocketCore::append_stats(std::vector<PortStats>& stats) {
  for (const std::unique_ptr<UdpSocket>& socket : sockets_) stats.push_back(socket->stats());
}

}  // namespace weir::dataplane
