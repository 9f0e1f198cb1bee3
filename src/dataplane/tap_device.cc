#include "dataplane/tap_device.h"

#include <dirent.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "dataplane/tap_interface.h"

namespace weir::dataplane {

std::vector<int> open_taps() {
  std::vector<int> found;
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return found;
  while (const dirent* const entry = readdir(folder)) {
    char target[64];
    const ssize_t octets = readlinkat(dirfd(folder), entry->d_name, target, sizeof target);
    if (octets > 0 && std::string_view(target, static_cast<size_t>(octets)) == kTunDevice)
      found.push_back(static_cast<int>(std::strtol(entry->d_name, nullptr, 10)));
  }
  closedir(folder);
  std::sort(found.begin(), found.end());
  return found;
}

std::optional<TapDevice> TapDevice::of(std::vector<int> keepers, std::vector<int> queues) {
  TapDevice device;
  if (queues.empty() || ioctl(queues.front(), TUNGETIFF, &device.request_) != 0) return {};
  // Not all that it says: IFF_NOFILTER there is the bit that is IFF_NO_PI here, and the driver reads what that leaves out.
  device.request_.ifr_flags &= IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR;
  device.name_.assign(device.request_.ifr_name, strnlen(device.request_.ifr_name, sizeof device.request_.ifr_name));
  const std::optional<std::array<uint8_t, 6>> mac = TapInterface::mac_of(device.name_);
  if (!mac) return {};
  device.mac_ = *mac;
  device.keepers_ = std::move(keepers);
  device.queues_ = std::move(queues);
  return device;
}

bool TapDevice::is_gone() const noexcept {
  ifreq request{};
  return ioctl(queues_.front(), TUNGETIFF, &request) != 0;
}

Result<void> TapDevice::make_again() const {
  const auto fail = [&](int number) {
    if (number == EPERM) return Error{fmt::format("interface {} is gone, and making it again needs CAP_NET_ADMIN: restart", name_)};
    return Error{fmt::format("interface {} is gone, and cannot be made again: {}", name_, std::strerror(number))};
  };
  for (const std::vector<int>* const fds : {&queues_, &keepers_}) {
    for (const int fd : *fds) {
      ifreq request = request_;
      if (ioctl(fd, TUNSETIFF, &request) != 0 && errno != EEXIST) return fail(errno);  // it has one: a queue's second descriptor
      if (fds != &keepers_) continue;
      request.ifr_flags = IFF_DETACH_QUEUE;
      if (ioctl(fd, TUNSETQUEUE, &request) != 0) return fail(errno);
    }
  }
  return TapInterface::bring_up(name_, mac_);
}

}  // namespace weir::dataplane
