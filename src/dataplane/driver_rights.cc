#include "dataplane/driver_rights.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include <cstdio>

#include "dataplane/port_plan.h"

namespace weir::dataplane {
namespace {

/// Effective capabilities; all where the kernel does not say.
uint64_t capabilities() {
  FILE* const file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return UINT64_MAX;
  char line[256];
  unsigned long long bits = UINT64_MAX;
  while (std::fgets(line, sizeof line, file) != nullptr)
    if (std::sscanf(line, "CapEff: %llx", &bits) == 1) break;
  std::fclose(file);
  return bits;
}

/// The first capability that the driver lacks; nullptr: it has them.
const char* missing_capability(const DeviceSpec& spec, const Rights& rights) {
  const std::string& d = spec.driver;
  const bool is_live = d == "net_pcap" && !replays_files(spec);
  const bool wants_raw = d == "net_af_packet" || d == "net_af_xdp" || is_live;
  const bool wants_admin = d == "net_af_packet" || d == "net_af_xdp" || d == "net_tap";
  if (wants_raw && !rights.net_raw) return "CAP_NET_RAW";
  if (wants_admin && !rights.net_admin) return "CAP_NET_ADMIN";
  if (d == "net_af_xdp" && !rights.sys_admin && !rights.bpf) return "CAP_BPF";
  return nullptr;
}

}  // namespace

Rights Rights::of_this_process() {
  const uint64_t bits = capabilities();
  const auto has = [&](unsigned number) { return (bits >> number & 1) != 0; };
  Rights rights;
  rights.net_raw = has(CAP_NET_RAW);
  rights.net_admin = has(CAP_NET_ADMIN);
  rights.bpf = has(CAP_BPF);
  rights.sys_admin = has(CAP_SYS_ADMIN);
  rights.ipc_lock = has(CAP_IPC_LOCK);
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    rights.memlock_octets = limit.rlim_cur;
  return rights;
}

std::vector<MissingRight> find_missing_rights(std::span<const DpdkPort> ports, const EalConfig& eal,
                                              const Rights& rights) {
  std::vector<MissingRight> found;
  uint64_t locked = 0;  // by all ports so far
  for (size_t i = 0; i < ports.size(); ++i) {
    const DeviceSpec spec = DeviceSpec::parse(ports[i].device);
    if (const char* const right = missing_capability(spec, rights); right != nullptr) {
      found.push_back({i, fmt::format("{}: who runs weir has no {} (be root, or AmbientCapabilities={} in "
                                      "the service)",
                                      spec.name, right, right)});
      continue;
    }
    const uint64_t own = locked_octets(ports[i], spec, eal.hugepages);
    locked += own;
    if (own != 0 && !rights.ipc_lock && locked > rights.memlock_octets) {
      found.push_back({i, fmt::format("{}: {} KiB of memory are to be locked, and who runs weir may lock {} "
                                      "KiB (LimitMEMLOCK=infinity in the service, ulimit -l, or "
                                      "CAP_IPC_LOCK{})",
                                      spec.name, locked >> 10, rights.memlock_octets >> 10,
                                      spec.driver == "net_af_packet" ? "; a smaller framecnt= needs less" : "")});
    }
  }
  return found;
}

std::vector<LastingRight> find_lasting_rights(const DataPlaneConfig& config) {
  std::vector<LastingRight> found;
  for (const DpdkPort& port : config.dpdk_ports) {
    const DeviceSpec spec = DeviceSpec::parse(port.device);
    // A program of ours goes with the last descriptor of its link; the operator's would stay, and have frames for nobody.
    if (spec.driver == "net_af_xdp" && !wants_own_xdp_program(spec))
      found.push_back({CAP_NET_ADMIN, fmt::format("port {}: the driver takes your XDP program (xdp_prog=) off the interface at the end", port.name)});
    if (spec.driver == "net_tap" && spec.values("remote").empty())
      found.push_back({CAP_NET_ADMIN, fmt::format("port {}: where somebody deletes its interface it is made again", port.name)});
  }
  for (const SocketPort& port : config.socket_ports) {
    if (port.port != 0 && port.port < IPPORT_RESERVED)
      found.push_back({CAP_NET_BIND_SERVICE, fmt::format("port {}: {} may be bound again by a reload", port.name, port.port)});
  }
  return found;
}

}  // namespace weir::dataplane
