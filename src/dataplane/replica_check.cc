#include "dataplane/replica_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "dataplane/replica_lane.h"

namespace weir::dataplane {
namespace {

/// That the appliance itself would receive what is sent there: it would go round for ever.
std::string own_listener_at(const DataPlaneConfig& config, const SocketAddress& to, bool is_own) {
  for (const SocketPort& port : config.socket_ports) {
    if (port.transport != Transport::udp || port.port != to.port) continue;
    // A socket on 0.0.0.0 hears nothing of IPv6.
    const bool hears = port.address.is_unspecified() && (port.address == IpAddress{} || to.address.is_v4());
    if (port.address == to.address || (hears && is_own)) return port.name;
  }
  for (const DpdkPort& port : config.dpdk_ports) {
    const bool has_address = std::any_of(port.exception.addresses.begin(), port.exception.addresses.end(),
                                         [&](const InterfaceAddress& a) { return a.address == to.address; });
    // What goes to any other address of this machine never meets a device: an old collector may live there.
    if (!has_address) continue;
    for (const Listener& listener : config.pipeline.listeners)
      if (listener.port == to.port) return port.name + "/" + listener.name;
  }
  return {};
}

bool is_link_local(const IpAddress& address) noexcept {
  return !address.is_v4() && address.octets[0] == 0xfe && (address.octets[1] & 0xc0) == 0x80;
}

/// Empty: nothing.
std::string trouble_with(const DataPlaneConfig& config, size_t target, DestinationKind kind) {
  const SocketAddress& to = config.replicas[target].to;
  const std::string text = to.to_string();
  if (to.port == 0 || to.address.is_unspecified()) return text + " is no collector's address and port";
  if (kind == DestinationKind::broadcast || kind == DestinationKind::multicast)
    return fmt::format("{} is a {} address, and no collector's", text, name_of(kind));
  if (is_link_local(to.address)) return text + " is a link-local address, which means nothing without an interface";
  for (size_t i = 0; i < target; ++i)
    if (config.replicas[i].to == to) return text + " is there twice: it would get the same datagrams twice";
  const std::string own = own_listener_at(config, to, kind == DestinationKind::own);
  if (own.empty()) return {};
  return fmt::format("{} is where {} of this appliance itself receives: it would go round for ever", text, own);
}

}  // namespace

std::vector<ReplicaTrouble> find_replica_trouble(const DataPlaneConfig& config, const Rights& rights,
                                                 const std::function<DestinationKind(const IpAddress&)>& kind_of) {
  std::vector<ReplicaTrouble> found;
  if (config.replicas.size() > kReplicaTargetsMax)
    return {{0, fmt::format("{} targets, limit {}", config.replicas.size(), kReplicaTargetsMax)}};
  for (size_t i = 0; i < config.replicas.size(); ++i) {
    const ReplicaConfig& replica = config.replicas[i];
    if (replica.spoof_source && !rights.net_raw)
      found.push_back({i, fmt::format("{} with the exporters' addresses: who runs weir has no CAP_NET_RAW (be root, or "
                                      "AmbientCapabilities=CAP_NET_RAW in the service)",
                                      replica.to.to_string())});
    if (std::string what = trouble_with(config, i, kind_of(replica.to.address)); !what.empty())
      found.push_back({i, std::move(what)});
  }
  return found;
}

std::vector<ReplicaConfig> with_returns(const DataPlaneConfig& config) {
  std::vector<ReplicaConfig> replicas = config.replicas;
  for (ReplicaConfig& replica : replicas) replica.would_come_back = !own_listener_at(config, replica.to, /*is_own=*/true).empty();
  return replicas;
}

}  // namespace weir::dataplane
