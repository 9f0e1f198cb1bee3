#include "dataplane/tap_interface.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

namespace weir::dataplane {
namespace {

ifreq request_for(const std::string& name) noexcept {
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof request.ifr_name - 1));
  return request;
}

/// 0, or the errno.
int ask(unsigned long what, ifreq& request) noexcept {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int number = ioctl(fd, what, &request) == 0 ? 0 : errno;
  close(fd);
  return number;
}

Error error(const std::string& name, std::string_view what, int number) {
  return Error{fmt::format("interface {}: {}: {}", name, what, std::strerror(number))};
}

bool is_set(const std::string& name, const InterfaceAddress& wanted) {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return false;
  bool found = false;
  for (const ifaddrs* i = all; i != nullptr && !found; i = i->ifa_next) {
    if (i->ifa_addr == nullptr || name != i->ifa_name) continue;
    const auto* const octets = reinterpret_cast<const uint8_t*>(i->ifa_addr);
    if (i->ifa_addr->sa_family == AF_INET)
      found = IpAddress::from_v4(octets + offsetof(sockaddr_in, sin_addr)) == wanted.address;
    if (i->ifa_addr->sa_family == AF_INET6)
      found = IpAddress::from_v6(octets + offsetof(sockaddr_in6, sin6_addr)) == wanted.address;
  }
  freeifaddrs(all);
  return found;
}

Result<void> set_mac(const std::string& name, const std::array<uint8_t, 6>& mac) {
  ifreq now = request_for(name);
  if (const int number = ask(SIOCGIFHWADDR, now); number != 0) return error(name, "its MAC address", number);
  if (std::memcmp(now.ifr_hwaddr.sa_data, mac.data(), mac.size()) == 0) return {};
  std::memcpy(now.ifr_hwaddr.sa_data, mac.data(), mac.size());
  now.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  if (const int number = ask(SIOCSIFHWADDR, now); number != 0) return error(name, "MAC address", number);
  return {};
}

Result<void> set_mtu(const std::string& name, uint16_t mtu) {
  ifreq now = request_for(name);
  if (const int number = ask(SIOCGIFMTU, now); number != 0) return error(name, "its MTU", number);
  if (now.ifr_mtu == mtu) return {};
  now.ifr_mtu = mtu;
  if (const int number = ask(SIOCSIFMTU, now); number != 0) return error(name, fmt::format("MTU {}", mtu), number);
  return {};
}

Result<void> set_up_link(const std::string& name) {
  ifreq now = request_for(name);
  if (const int number = ask(SIOCGIFFLAGS, now); number != 0) return error(name, "its state", number);
  if ((now.ifr_flags & IFF_UP) != 0) return {};
  now.ifr_flags = static_cast<short>(now.ifr_flags | IFF_UP);
  if (const int number = ask(SIOCSIFFLAGS, now); number != 0) return error(name, "bringing it up", number);
  return {};
}

/// 0, or the errno.
int attach(int fd, const std::string& name) noexcept {
  ifreq request = request_for(name);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  return ioctl(fd, TUNSETIFF, &request) == 0 ? 0 : errno;
}

/// RTM_NEWADDR as the kernel wants it: a header, and the address once as our own (local) and once as the prefix's.
struct AddressRequest {
  nlmsghdr header{};
  ifaddrmsg message{};
  std::array<uint8_t, 2 * RTA_SPACE(16)> attributes{};

  AddressRequest(unsigned index, const InterfaceAddress& address) {
    header.nlmsg_type = RTM_NEWADDR;
    header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    message.ifa_family = address.address.is_v4() ? AF_INET : AF_INET6;
    message.ifa_prefixlen = address.prefix_bits;
    message.ifa_index = index;
    size_t octets = 0;
    for (const unsigned short type : {IFA_LOCAL, IFA_ADDRESS}) {
      rtattr attribute{};
      attribute.rta_type = type;
      attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(address.address.wire_octets()));
      std::memcpy(attributes.data() + octets, &attribute, sizeof attribute);
      std::memcpy(attributes.data() + octets + RTA_LENGTH(0), address.address.wire_data(),
                  address.address.wire_octets());
      octets += RTA_ALIGN(attribute.rta_len);
    }
    header.nlmsg_len = static_cast<uint32_t>(offsetof(AddressRequest, attributes) + octets);
  }
};

/// 0, or the errno that the kernel answers.
int tell_kernel(const AddressRequest& request) noexcept {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return errno;
  struct {
    nlmsghdr header;
    nlmsgerr error;
    uint8_t rest[256];  // it quotes the request
  } answer{};
  int number = EIO;
  if (send(fd, &request, request.header.nlmsg_len, 0) < 0) {
    number = errno;
  } else if (recv(fd, &answer, sizeof answer, 0) < 0) {
    number = errno;
  } else if (answer.header.nlmsg_type == NLMSG_ERROR) {
    number = -answer.error.error;
  }
  close(fd);
  return number;
}

struct StatsRequest {
  nlmsghdr header{};
  if_stats_msg message{};
};

/// The kernel's own count, by netlink: /sys/class/net is of the network namespace that mounted it. None: it does not say.
std::optional<uint64_t> frames_dropped_by(unsigned index) noexcept {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return {};
  StatsRequest request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETSTATS;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.message.ifindex = index;
  request.message.filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
  alignas(nlmsghdr) std::array<uint8_t, 2048> answer{};
  const ssize_t octets = send(fd, &request, sizeof request, 0) < 0 ? -1 : recv(fd, answer.data(), answer.size(), 0);
  close(fd);
  nlmsghdr header{};
  constexpr size_t kAttributesAt = NLMSG_LENGTH(NLMSG_ALIGN(sizeof(if_stats_msg)));
  if (octets < static_cast<ssize_t>(kAttributesAt)) return {};
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type != RTM_NEWSTATS) return {};
  const size_t end = std::min<size_t>(static_cast<size_t>(octets), header.nlmsg_len);
  for (size_t at = kAttributesAt; at + sizeof(rtattr) <= end;) {  // one may be there for alignment only
    rtattr attribute{};
    std::memcpy(&attribute, answer.data() + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > end - at) return {};
    if (attribute.rta_type == IFLA_STATS_LINK_64) {
      rtnl_link_stats64 stats{};
      std::memcpy(&stats, answer.data() + at + RTA_LENGTH(0), std::min<size_t>(sizeof stats, RTA_PAYLOAD(&attribute)));
      return stats.tx_dropped;
    }
    at += RTA_ALIGN(attribute.rta_len);
  }
  return {};
}

}  // namespace

TapInterface::TapInterface(std::string name, int fd)
    : name_(std::move(name)),
      fd_(fd),
      index_(if_nametoindex(name_.c_str())),
      dropped_before_(frames_dropped_by(index_).value_or(0)),
      dropped_(dropped_before_) {}

Result<std::unique_ptr<TapInterface>> TapInterface::open(const std::string& name) {
  const int fd = ::open(kTunDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return error(name, kTunDevice, errno);
  if (const int number = attach(fd, name); number != 0) {
    close(fd);
    if (number == EBUSY) return Error{fmt::format("interface {}: another program has it", name)};
    if (number == EPERM)
      return Error{fmt::format("interface {}: making it needs CAP_NET_ADMIN, or one that is there: ip tuntap add {} "
                               "mode tap user USER",
                               name, name)};
    return error(name, "cannot be made", number);
  }
  return std::unique_ptr<TapInterface>(new TapInterface(name, fd));
}

TapInterface::~TapInterface() { close(fd_); }

Result<void> TapInterface::set_up(const Settings& settings) {
  if (Result<void> set = set_mac(name_, settings.mac); !set) return set;
  if (Result<void> set = set_mtu(name_, settings.mtu); !set) return set;
  for (const InterfaceAddress& address : settings.addresses)
    if (Result<void> added = add_address(address); !added) return added;
  addresses_.assign(settings.addresses.begin(), settings.addresses.end());
  mac_ = settings.mac;
  mtu_ = settings.mtu;
  return set_up_link(name_);
}

std::optional<std::array<uint8_t, 6>> TapInterface::mac_of(const std::string& name) {
  ifreq request = request_for(name);
  if (ask(SIOCGIFHWADDR, request) != 0) return {};
  std::array<uint8_t, 6> mac;
  std::memcpy(mac.data(), request.ifr_hwaddr.sa_data, mac.size());
  return mac;
}

Result<void> TapInterface::bring_up(const std::string& name, const std::array<uint8_t, 6>& mac) {
  if (Result<void> set = set_mac(name, mac); !set) return set;
  return set_up_link(name);
}

Result<void> TapInterface::add_address(const InterfaceAddress& address) {
  if (is_set(name_, address)) return {};
  const int number = tell_kernel(AddressRequest(index_, address));
  if (number == 0) return {};
  const std::string what = fmt::format("address {}/{}", address.address.to_string(), address.prefix_bits);
  if (number == EACCES && !address.address.is_v4()) return Error{fmt::format("interface {}: {}: IPv6 is off", name_, what)};
  return error(name_, what, number);
}

void TapInterface::set_carrier(bool is_up) noexcept {
  if (is_up == has_carrier_) return;
  int carrier = is_up ? 1 : 0;
  if (ioctl(fd_, TUNSETCARRIER, &carrier) == 0) has_carrier_ = is_up;
}

uint64_t TapInterface::dropped() {
  dropped_ = std::max(dropped_, frames_dropped_by(index_).value_or(0));
  return dropped_ - dropped_before_;
}

/// The kernel takes an interface's IPv6 addresses away when it is set down, whoever has set them.
std::string TapInterface::lost_addresses(const std::string& name) {
  std::string text;
  for (const InterfaceAddress& address : addresses_) {
    if (is_set(name, address) || add_address(address)) continue;
    const std::string lost = fmt::format("{}/{}", address.address.to_string(), address.prefix_bits);
    text += fmt::format("{}interface {} has lost its address {}: ip addr add {} dev {}", text.empty() ? "" : "; ", name, lost, lost, name);
  }
  return text;
}

std::string TapInterface::other_mtu(const std::string& name) {
  if (sets_mtu_ && set_mtu(name, mtu_)) sets_mtu_ = false;
  if (!sets_mtu_) return {};
  return fmt::format("interface {} has another MTU than its device has now: ip link set {} mtu {}", name, name, mtu_);
}

std::string TapInterface::other_mac(const std::string& name) {
  if (sets_mac_ && set_mac(name, mac_)) sets_mac_ = false;
  if (!sets_mac_) return {};
  return fmt::format("interface {} has another MAC address than its device: ip link set {} address {:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", name, name, mac_[0], mac_[1],
                     mac_[2], mac_[3], mac_[4], mac_[5]);
}

/// A descriptor outlives its interface, and takes another: one that it makes, or one that somebody has made for us. Why not; empty: it did.
std::string TapInterface::make_again() {
  if (const int number = attach(fd_, name_); number == EPERM) {
    return fmt::format("interface {} is gone, and making it again needs CAP_NET_ADMIN: ip tuntap add {} mode tap user USER; or restart", name_, name_);
  } else if (number != 0) {
    return fmt::format("interface {} is gone, and cannot be made again: {}", name_, std::strerror(number));
  }
  index_ = if_nametoindex(name_.c_str());
  const uint64_t already = frames_dropped_by(index_).value_or(0);
  dropped_before_ = already - (dropped_ - dropped_before_);  // what is told goes on from what it was
  dropped_ = already;
  has_carrier_ = sets_mac_ = sets_mtu_ = was_made_again_ = true;
  [[maybe_unused]] const Result<void> up = set_up_link(name_);  // else it is said that it is down
  return {};
}

std::string TapInterface::trouble() {
  ifreq request{};
  if (ioctl(fd_, TUNGETIFF, &request) != 0) {
    if (std::string why = make_again(); !why.empty()) return why;
    const std::string left = trouble();
    return fmt::format("interface {} was deleted, and is made again{}{}", name_, left.empty() ? "" : ": ", left);
  }
  ifreq flags = request_for(request.ifr_name);  // it may have been given another name
  if (ask(SIOCGIFFLAGS, flags) != 0) return fmt::format("interface {} is gone: restart to have it again", name_);
  if ((flags.ifr_flags & IFF_UP) == 0) return fmt::format("interface {} is down", name_);
  const std::string name = request.ifr_name;
  std::string all;
  for (const std::string& what : {other_mac(name), other_mtu(name), lost_addresses(name)}) {
    if (!all.empty() && !what.empty()) all += "; ";
    all += what;
  }
  return all;
}

}  // namespace weir::dataplane
