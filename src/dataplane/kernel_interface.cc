#include "dataplane/kernel_interface.h"

#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace weir::dataplane {
namespace {

/// Calls the kernel with `request`, into which the name is put; false: it refuses.
bool ask(const std::string& name, unsigned long what, ifreq& request) {
  if (name.empty() || name.size() >= sizeof request.ifr_name) return false;
  std::memcpy(request.ifr_name, name.data(), name.size());
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int rc = ioctl(fd, what, &request);
  close(fd);
  return rc == 0;
}

std::optional<short> flags_of(const std::string& name) {
  ifreq request{};
  if (!ask(name, SIOCGIFFLAGS, request)) return {};
  return request.ifr_flags;
}

}  // namespace

std::optional<InterfaceFacts> interface_facts(const std::string& name) {
  const std::optional<short> flags = flags_of(name);
  if (!flags) return {};
  InterfaceFacts facts;
  facts.is_loopback = (*flags & IFF_LOOPBACK) != 0;
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request{};
  request.ifr_data = reinterpret_cast<char*>(&channels);
  if (ask(name, SIOCETHTOOL, request)) {
    facts.combined_queues = channels.combined_count;
    facts.receive_queues = std::max(channels.combined_count + channels.rx_count, 1u);
  }
  request = {};
  if (ask(name, SIOCGIFMTU, request)) facts.mtu = static_cast<uint32_t>(std::max(request.ifr_mtu, 0));
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  request = {};
  request.ifr_data = reinterpret_cast<char*>(&driver);
  facts.is_tap = ask(name, SIOCETHTOOL, request) && std::strcmp(driver.driver, "tun") == 0 &&
                 std::strcmp(driver.bus_info, "tap") == 0;
  ethtool_value offloads{.cmd = ETHTOOL_GFLAGS, .data = 0};
  request = {};
  request.ifr_data = reinterpret_cast<char*>(&offloads);
  // A veth takes none off: what its peer has sent beside a frame stays beside it, whatever this says.
  facts.hides_vlan_tags = ask(name, SIOCETHTOOL, request) && (offloads.data & ETH_FLAG_RXVLAN) != 0 &&
                          std::strcmp(driver.driver, "veth") != 0;
  return facts;
}

KernelInterface::KernelInterface(std::string name)
    : name_(std::move(name)),
      index_(if_nametoindex(name_.c_str())),
      receive_queues_(interface_facts(name_).value_or(InterfaceFacts{}).receive_queues) {}

std::string KernelInterface::trouble() const {
  const unsigned index = if_nametoindex(name_.c_str());
  if (index == 0) return fmt::format("interface {} is gone", name_);
  // The driver's socket stays bound to the old one for ever.
  if (index != index_)
    return fmt::format("interface {} was made anew: restart to receive from it", name_);
  const std::optional<short> flags = flags_of(name_);
  if (!flags) return fmt::format("interface {} is gone", name_);
  if ((*flags & IFF_UP) == 0) return fmt::format("interface {} is down", name_);
  if ((*flags & IFF_RUNNING) == 0) return fmt::format("interface {} has no carrier", name_);
  return {};
}

std::optional<uint16_t> KernelInterface::mtu() const {
  ifreq request{};
  if (!ask(name_, SIOCGIFMTU, request)) return {};
  return static_cast<uint16_t>(std::clamp<int>(request.ifr_mtu, 0, UINT16_MAX));
}

std::string KernelInterface::more_queues() const {
  const std::optional<InterfaceFacts> facts = interface_facts(name_);
  if (!facts || facts->receive_queues <= receive_queues_) return {};
  return fmt::format("interface {} has {} receive queues now, and had {} when Weir began: what comes on the others is not received", name_,
                     facts->receive_queues, receive_queues_);
}

int PromiscuousMode::enter(const std::string& interface) noexcept {
  leave();
  fd_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return errno;
  packet_mreq request{};
  request.mr_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  request.mr_type = PACKET_MR_PROMISC;
  if (setsockopt(fd_, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) == 0) return 0;
  const int number = errno;
  leave();
  return number;
}

void PromiscuousMode::leave() noexcept {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

}  // namespace weir::dataplane
