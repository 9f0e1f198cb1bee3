#include "dataplane/destination_kind.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace weir::dataplane {
namespace {

/// RTM_GETROUTE as the kernel wants it: a header, and where to.
struct RouteRequest {
  nlmsghdr header{};
  rtmsg message{};
  std::array<uint8_t, RTA_SPACE(16)> to{};

  explicit RouteRequest(const IpAddress& address) noexcept {
    header.nlmsg_type = RTM_GETROUTE;
    header.nlmsg_flags = NLM_F_REQUEST;
    message.rtm_family = address.is_v4() ? AF_INET : AF_INET6;
    message.rtm_dst_len = static_cast<uint8_t>(8 * address.wire_octets());
    rtattr attribute{};
    attribute.rta_type = RTA_DST;
    attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(address.wire_octets()));
    std::memcpy(to.data(), &attribute, sizeof attribute);
    std::memcpy(to.data() + RTA_LENGTH(0), address.wire_data(), address.wire_octets());
    header.nlmsg_len = static_cast<uint32_t>(offsetof(RouteRequest, to) + RTA_ALIGN(attribute.rta_len));
  }
};

/// RTN_UNSPEC: it says nothing, or that there is no route.
uint8_t route_type(const IpAddress& address) noexcept {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return RTN_UNSPEC;
  struct {
    nlmsghdr header;
    rtmsg message;
    uint8_t rest[1024];
  } answer{};
  const RouteRequest request(address);
  const bool is_answered = send(fd, &request, request.header.nlmsg_len, 0) >= 0 &&
                           recv(fd, &answer, sizeof answer, 0) >= static_cast<ssize_t>(offsetof(decltype(answer), rest)) &&
                           answer.header.nlmsg_type == RTM_NEWROUTE;
  close(fd);
  return is_answered ? answer.message.rtm_type : uint8_t{RTN_UNSPEC};
}

}  // namespace

DestinationKind destination_kind(const IpAddress& address) noexcept {
  const uint8_t* const octets = address.wire_data();
  // By themselves, whatever routes there are.
  if (address.is_v4() ? (octets[0] & 0xf0) == 0xe0 : octets[0] == 0xff) return DestinationKind::multicast;
  if (address == IpAddress::from_v4(0xffff'ffffu)) return DestinationKind::broadcast;
  switch (route_type(address)) {
    case RTN_LOCAL: return DestinationKind::own;
    case RTN_BROADCAST: return DestinationKind::broadcast;
    case RTN_MULTICAST: return DestinationKind::multicast;
    default: return DestinationKind::elsewhere;
  }
}

}  // namespace weir::dataplane
