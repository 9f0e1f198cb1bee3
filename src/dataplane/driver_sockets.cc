#include "dataplane/driver_sockets.h"

#include <dirent.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace weir::dataplane {

std::vector<int> open_sockets(int domain) {
  std::vector<int> found;
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return found;
  while (const dirent* const entry = readdir(folder)) {
    char* end;
    const long fd = std::strtol(entry->d_name, &end, 10);
    if (*end != '\0' || end == entry->d_name) continue;
    int its_domain = 0;
    socklen_t octets = sizeof its_domain;
    if (getsockopt(static_cast<int>(fd), SOL_SOCKET, SO_DOMAIN, &its_domain, &octets) == 0 &&
        its_domain == domain)
      found.push_back(static_cast<int>(fd));
  }
  closedir(folder);
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<int> new_sockets(std::span<const int> before, std::span<const int> after) {
  std::vector<int> found;
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::back_inserter(found));
  return found;
}

std::optional<uint64_t> take_packet_socket_drops(int fd) {
  tpacket_stats statistics{};
  socklen_t octets = sizeof statistics;
  if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &octets) != 0) return {};
  return statistics.tp_drops;
}

bool ignore_outgoing(int fd) {
  // Not PACKET_IGNORE_OUTGOING: a socket that has joined a fan-out, as the driver's have, no longer
  // heeds it.
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<__u32>(SKF_AD_OFF + SKF_AD_PKTTYPE)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, ~__u32{0}),
  };
  const sock_fprog program{std::size(code), code};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

std::optional<XdpSocketDrops> xdp_socket_drops(int fd) {
  xdp_statistics statistics{};
  socklen_t octets = sizeof statistics;
  if (getsockopt(fd, SOL_XDP, XDP_STATISTICS, &statistics, &octets) != 0) return {};
  if (octets < offsetof(xdp_statistics, rx_ring_full) + sizeof statistics.rx_ring_full) return {};
  return XdpSocketDrops{.ring_full = statistics.rx_ring_full, .invalid_sent = statistics.tx_invalid_descs};
}

std::optional<bool> is_zero_copy(int fd) {
  xdp_options options{};
  socklen_t octets = sizeof options;
  if (getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &octets) != 0) return {};
  return (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

}  // namespace weir::dataplane
