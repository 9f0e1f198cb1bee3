#include "dataplane/replica_target.h"

#include <fmt/format.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/byte_order.h"
#include "base/clock.h"
#include "dataplane/destination_kind.h"
#include "dataplane/port_socket.h"

namespace weir::dataplane {
namespace {

constexpr int kSendBufferOctets = 4 << 20;

socklen_t fill_address(const SocketAddress& to, bool is_raw, sockaddr_storage& out) noexcept {
  std::memset(&out, 0, sizeof out);
  const uint16_t port = is_raw ? 0 : htons(to.port);
  if (to.address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = port;
    std::memcpy(&v4.sin_addr, to.address.octets.data() + 12, 4);
    std::memcpy(&out, &v4, sizeof v4);
    return sizeof v4;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = port;
  std::memcpy(&v6.sin6_addr, to.address.octets.data(), 16);
  std::memcpy(&out, &v6, sizeof v6);
  return sizeof v6;
}

/// Of 16-bit words, the last one filled up with a zero octet.
uint64_t sum_of(std::span<const uint8_t> octets) noexcept {
  uint64_t sum = 0;
  size_t at = 0;
  for (; at + 4 <= octets.size(); at += 4) sum += load_be32(octets.data() + at);
  for (; at + 2 <= octets.size(); at += 2) sum += load_be16(octets.data() + at);
  if (at < octets.size()) sum += uint64_t{octets[at]} << 8;
  return sum;
}

/// No way leads to the target, or none from the address that the socket has; it was never connected.
bool is_no_way(int error) noexcept {
  switch (error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EDESTADDRREQ:
    case ENOTCONN:
    case EINVAL: return true;
    default: return false;
  }
}

template <class Info>
void set_source(msghdr& message, int level, int type, const Info& info) noexcept {
  message.msg_controllen = CMSG_SPACE(sizeof info);
  cmsghdr* const c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(c), &info, sizeof info);
}

}  // namespace

uint16_t udp_checksum(const IpAddress& source, const IpAddress& destination, std::span<const uint8_t> header,
                      std::span<const uint8_t> payload) noexcept {
  const size_t skipped = destination.is_v4() ? 12 : 0;  // of an address's sixteen octets
  uint64_t sum = IPPROTO_UDP + header.size() + payload.size();
  for (const IpAddress& address : {source, destination}) sum += sum_of(std::span(address.octets).subspan(skipped));
  sum += sum_of(header) + sum_of(payload);
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  const auto checksum = static_cast<uint16_t>(~sum);
  return checksum == 0 ? 0xffff : checksum;  // 0 says that there is none
}

Result<std::unique_ptr<ReplicaTarget>> ReplicaTarget::open(const ReplicaConfig& config) {
  std::unique_ptr<ReplicaTarget> target(new ReplicaTarget(config));
  if (Result<void> opened = target->open_socket(); !opened) return opened.error();
  for (size_t i = 0; i < kBatch; ++i) {
    msghdr& message = target->messages_[i].msg_hdr;
    message.msg_iov = target->parts_[i].data();
    message.msg_iovlen = config.spoof_source ? 2 : 1;
    if (config.spoof_source) message.msg_control = target->controls_[i].data();
    target->parts_[i][0] = {.iov_base = target->headers_[i].data(), .iov_len = kUdpHeaderOctets};
  }
  return target;
}

Result<void> ReplicaTarget::open_socket() {
  const auto error = [&](std::string_view what) {
    const int number = errno;
    return Error{fmt::format("replicate to {}: {}: {}{}", config_.to.to_string(), what, std::strerror(number),
                             number == EPERM ? "; spoof_source needs CAP_NET_RAW: where weir gave that up after its start, restart it" : "")};
  };
  const bool is_raw = config_.spoof_source;
  fd_ = socket(is_v4_ ? AF_INET : AF_INET6, (is_raw ? SOCK_RAW : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
  if (fd_ < 0) return error("socket");
  if (!refuse_all(fd_)) return error("SO_ATTACH_FILTER");  // nothing is ever read
  if (!set_option(fd_, SOL_SOCKET, SO_SNDBUFFORCE, kSendBufferOctets)) set_option(fd_, SOL_SOCKET, SO_SNDBUF, kSendBufferOctets);
  if (is_raw && !(is_v4_ ? set_option(fd_, IPPROTO_IP, IP_TRANSPARENT, 1) : set_option(fd_, IPPROTO_IPV6, IPV6_TRANSPARENT, 1)))
    return error("IP_TRANSPARENT");
  if (!(is_v4_ ? set_option(fd_, IPPROTO_IP, IP_RECVERR, 1) : set_option(fd_, IPPROTO_IPV6, IPV6_RECVERR, 1)))
    return error("IP_RECVERR");
  if (const int number = connect_socket(); number != 0 && !is_no_way(number)) {
    errno = number;
    return error("connect");
  }
  return {};
}

/// 0, or the errno. What it was connected to before, and the address of ours that it had for that, it forgets.
int ReplicaTarget::connect_socket() noexcept {
  sockaddr_storage to{};
  to.ss_family = AF_UNSPEC;
  connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(sockaddr_in6));
  const socklen_t octets = fill_address(config_.to, config_.spoof_source, to);
  connected_ns_ = steady_clock_ns();
  return connect(fd_, reinterpret_cast<const sockaddr*>(&to), octets) == 0 ? 0 : errno;
}

/// At most once a second: our address has changed, or a route has come back.
bool ReplicaTarget::connect_again() noexcept {
  if (steady_clock_ns() - connected_ns_ < kNsPerSec) return false;
  return connect_socket() == 0;
}

bool ReplicaTarget::is_ourselves() noexcept {
  if (!would_come_back_.load(std::memory_order_relaxed)) return false;
  if (const uint64_t now_ns = steady_clock_ns(); now_ns - asked_ns_ >= kNsPerSec) {
    asked_ns_ = now_ns;
    is_ours_ = destination_kind(config_.to.address) == DestinationKind::own;
  }
  return is_ours_;
}

ReplicaTarget::~ReplicaTarget() {
  if (fd_ >= 0) close(fd_);
}

/// False where the exporter's address is of the other family.
bool ReplicaTarget::spoof(const ReplicaNote& note, size_t place) noexcept {
  if (note.source.is_v4() != is_v4_) return false;
  std::array<uint8_t, kUdpHeaderOctets>& header = headers_[place];
  store_be16(header.data(), note.source_port);
  store_be16(header.data() + 2, config_.to.port);
  store_be16(header.data() + 4, static_cast<uint16_t>(kUdpHeaderOctets + note.payload_octets));
  store_be16(header.data() + 6, 0);
  store_be16(header.data() + 6, udp_checksum(note.source, config_.to.address, header, note.payload()));
  if (is_v4_) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, note.source.octets.data() + 12, 4);
    set_source(messages_[place].msg_hdr, IPPROTO_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, note.source.octets.data(), 16);
    set_source(messages_[place].msg_hdr, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
  return true;
}

void ReplicaTarget::add(const ReplicaNote& note) noexcept {
  if (config_.spoof_source && !spoof(note, count_)) return drops_[ReplicaDrop::other_family].increment();
  const std::span<const uint8_t> payload = note.payload();
  parts_[count_][config_.spoof_source ? 1 : 0] = {.iov_base = const_cast<uint8_t*>(payload.data()), .iov_len = payload.size()};
  if (++count_ == kBatch) flush();
}

void ReplicaTarget::count_sent(size_t place, size_t datagrams) noexcept {
  for (size_t i = 0; i < datagrams; ++i) sent_octets_.add(parts_[place + i][config_.spoof_source ? 1 : 0].iov_len);
  sent_.add(datagrams);
}

/// One that would not go with the others, alone. False: it does not, and errno says why.
bool ReplicaTarget::send_one(size_t place) noexcept {
  const auto send = [&] { return sendmmsg(fd_, &messages_[place], 1, MSG_DONTWAIT) == 1; };
  if (errno == EAGAIN || errno == ENOBUFS) return false;
  // The error may be an earlier one's, whose answer has come since.
  if (send()) return true;
  const int number = errno;
  if (is_no_way(number) && connect_again()) return send();
  errno = number;
  return false;
}

void ReplicaTarget::flush() noexcept {
  if (count_ == 0) return;
  if (is_ourselves()) [[unlikely]] {
    drops_[ReplicaDrop::would_come_back].add(count_);
    count_ = 0;
    return;
  }
  for (size_t at = 0; at < count_;) {
    const int sent = sendmmsg(fd_, &messages_[at], static_cast<unsigned>(count_ - at), MSG_DONTWAIT);
    if (sent > 0) {
      count_sent(at, static_cast<size_t>(sent));
      at += static_cast<size_t>(sent);
      continue;
    }
    if (send_one(at)) {
      count_sent(at, 1);
    } else {
      count_failure(errno);
    }
    ++at;
  }
  count_ = 0;
  count_returned();
}

/// What routers and the target's host said of earlier ones.
void ReplicaTarget::count_returned() noexcept {
  for (size_t i = 0; i < 2 * kBatch; ++i) {
    alignas(cmsghdr) std::array<uint8_t, 256> control;
    msghdr message{};
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (recvmsg(fd_, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (!(c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) && !(c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR))
        continue;
      sock_extended_err said;
      std::memcpy(&said, CMSG_DATA(c), sizeof said);
      const bool is_icmp = said.ee_origin == SO_EE_ORIGIN_ICMP || said.ee_origin == SO_EE_ORIGIN_ICMP6;
      if (is_icmp) returned_.increment();  // also that it is too long for the way: the kernel had taken it
    }
  }
}

void ReplicaTarget::count_failure(int error) noexcept {
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM: return drops_[ReplicaDrop::busy].increment();
    case EMSGSIZE: return drops_[ReplicaDrop::too_long].increment();
    default: return drops_[is_no_way(error) ? ReplicaDrop::unreachable : ReplicaDrop::failed].increment();
  }
}

ReplicaStats ReplicaTarget::stats() const {
  ReplicaStats stats;
  stats.to = config_.to.to_string();
  stats.is_spoofed = config_.spoof_source;
  stats.sent = sent_.value();
  stats.sent_octets = sent_octets_.value();
  stats.returned = returned_.value();
  stats.dropped = Tally<ReplicaDrop>(drops_);
  return stats;
}

}  // namespace weir::dataplane
