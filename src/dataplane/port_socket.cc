#include "dataplane/port_socket.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>

namespace weir::dataplane {
namespace {

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

std::string_view shown(Transport transport) noexcept { return transport == Transport::tcp ? "TCP" : "UDP"; }

}  // namespace

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

bool set_option(int fd, int level, int option, int value) noexcept {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

Error PortSocket::error(std::string_view what, int number) {
  failure_ = number;
  return Error{fmt::format("port {}: {}: {}", config_.name, what, std::strerror(number))};
}

Result<void> PortSocket::open_socket(int type) {
  // `::` takes IPv4 too, as mapped addresses; where the kernel has no IPv6, it is 0.0.0.0.
  is_v4_ = config_.address.is_v4();
  fd_ = socket(is_v4_ ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0);
  if (fd_ < 0 && errno == EAFNOSUPPORT && config_.address == IpAddress{}) {
    is_v4_ = true;
    note_ = "IPv4 only: the kernel has no IPv6";
    fd_ = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  }
  if (fd_ < 0) return error("socket", errno);
  if (!is_v4_ && !set_option(fd_, IPPROTO_IPV6, IPV6_V6ONLY, 0)) return error("IPV6_V6ONLY", errno);
  return {};
}

Result<void> PortSocket::bind_socket(Sharing sharing) {
  if (sharing != Sharing::none && !refuse_all(fd_)) return error("SO_ATTACH_FILTER", errno);
  if (sharing == Sharing::beside && !set_option(fd_, SOL_SOCKET, SO_REUSEPORT, 1)) return error("SO_REUSEPORT", errno);

  // Others' addresses are refused as ever: who mistypes one should know.
  if (config_.address_comes_later &&
      !(is_v4_ ? set_option(fd_, IPPROTO_IP, IP_FREEBIND, 1) : set_option(fd_, IPPROTO_IPV6, IPV6_FREEBIND, 1)))
    return error(is_v4_ ? "IP_FREEBIND" : "IPV6_FREEBIND", errno);
  sockaddr_storage address;
  const socklen_t octets = fill_address(config_.address, is_v4_, config_.port, address);
  const std::string text = config_.address.to_string();
  const auto with_port = [&](uint16_t port) {
    return is_v4_ ? fmt::format("{}:{}", config_.address.is_v4() ? text : "0.0.0.0", port)
                  : fmt::format("[{}]:{}", text, port);
  };
  if (bind(fd_, reinterpret_cast<const sockaddr*>(&address), octets) != 0) {
    if (failure_ = errno; failure_ == EADDRINUSE)
      return Error{fmt::format("port {}: {} {} is in use by another program", config_.name, shown(config_.transport),
                               with_port(config_.port))};
    if (failure_ == EADDRNOTAVAIL)
      return Error{fmt::format("port {}: {} {}: {} (no interface has it, nor is it one of exception.addresses)",
                               config_.name, shown(config_.transport), with_port(config_.port), std::strerror(failure_))};
    return error(fmt::format("{} {}", shown(config_.transport), with_port(config_.port)), failure_);
  }
  // Bound for itself alone; from here on for those that are to be beside it.
  if (sharing == Sharing::first && !set_option(fd_, SOL_SOCKET, SO_REUSEPORT, 1)) return error("SO_REUSEPORT", errno);
  sockaddr_storage bound{};
  socklen_t bound_octets = sizeof bound;
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &bound_octets) != 0)
    return error("getsockname", errno);
  bound_port_ = port_of(bound);
  bound_address_ = with_port(bound_port_);
  return {};
}

Result<void> PortSocket::admit_all() {
  if (!set_option(fd_, SOL_SOCKET, SO_DETACH_FILTER, 0)) return error("SO_DETACH_FILTER", errno);
  return {};
}

PortStats PortSocket::common_stats() const {
  PortStats stats;
  stats.name = config_.name;
  stats.kind = "socket";
  stats.driver = config_.transport == Transport::tcp ? "tcp" : "udp";
  stats.device = bound_address_;
  stats.link_up = fd_ >= 0;
  stats.note = note_;
  return stats;
}

}  // namespace weir::dataplane
