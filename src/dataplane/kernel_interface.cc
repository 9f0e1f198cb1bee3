#include "dataplane/kernel_interface.h"

#include <fmt/format.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <utility>

namespace weir::dataplane {
namespace {

std::optional<short> flags_of(const std::string& name) {
  ifreq request{};
  if (name.size() >= sizeof request.ifr_name) return {};
  std::memcpy(request.ifr_name, name.data(), name.size());
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return {};
  const int rc = ioctl(fd, SIOCGIFFLAGS, &request);
  close(fd);
  if (rc != 0) return {};
  return request.ifr_flags;
}

}  // namespace

KernelInterface::KernelInterface(std::string name)
    : name_(std::move(name)), index_(if_nametoindex(name_.c_str())) {}

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

}  // namespace weir::dataplane
