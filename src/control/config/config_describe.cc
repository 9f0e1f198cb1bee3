#include "control/config/config_describe.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/config/config_check.h"
#include "control/config/config_publishers.h"
#include "control/reload.h"
#include "dataplane/driver_rights.h"
#include "service/config_text.h"

namespace weir::control {
namespace {

std::string describe_cpus(const std::vector<unsigned>& cpus) {
  if (cpus.empty()) return "CPUs chosen";
  std::vector<std::string> texts;
  for (const unsigned cpu : cpus) texts.push_back(fmt::format("{}", cpu));
  return "CPU " + service::joined(texts);
}

std::string describe_port(const PortConfig& port) {
  if (port.kind == PortKind::socket) {
    return fmt::format("  port {}: kernel sockets on {}{}\n", port.name, port.address.to_string(),
                       port.lcores.empty() ? "" : ", threads on " + describe_cpus(port.lcores));
  }
  std::string text = fmt::format("  port {}: DPDK {}, {} queue{}, {}", port.name, service::printable(port.device),
                                 port.queues, port.queues == 1 ? "" : "s", describe_cpus(port.lcores));
  if (port.workers != 0)
    text += fmt::format("; decoded by {} worker{}, {}", port.workers, port.workers == 1 ? "" : "s",
                        describe_cpus(port.worker_lcores));
  text += "\n";
  if (!port.exception.is_on()) return text;
  std::vector<std::string> addresses;
  for (const auto& a : port.exception.addresses)
    addresses.push_back(fmt::format("{}/{}", a.address.to_string(), a.prefix_bits));
  const std::string vlan = port.exception.vlan == 0 ? "" : fmt::format(" of VLAN {}", port.exception.vlan);
  return text + fmt::format("  port {}: what else arrives{} goes to interface {}{}\n", port.name, vlan,
                            port.exception.interface,
                            addresses.empty() ? "" : " with " + service::joined(addresses));
}

/// What serves the listener: `p0, udp 192.0.2.1:2055`.
std::string describe_sources(const ApplianceConfig& config, const dataplane::DataPlaneConfig& plane,
                             size_t listener) {
  std::vector<std::string> sources;
  for (const PortConfig& port : config.ports) {
    if (port.kind == PortKind::dpdk) sources.push_back(port.name);
  }
  for (const dataplane::SocketPort& socket : plane.socket_ports) {
    if (socket.listener.value != listener) continue;
    sources.push_back(std::string(name_of(socket.transport)) + " " + SocketAddress{socket.address, socket.port}.to_string());
  }
  return service::joined(sources);
}

/// `flows.raw.sflow, counters to flows.counters.sflow`.
std::string describe_subjects(const ListenerConfig& listener) {
  std::string text = listener.subject;
  if (!admits_sflow(listener)) return text;
  if (!listener.counters_subject.empty()) text += ", counters to " + listener.counters_subject;
  if (!listener.discards_subject.empty()) text += ", discards to " + listener.discards_subject;
  return text;
}

std::string_view describe_security(SecurityMode mode) {
  switch (mode) {
    case SecurityMode::tls: return " over TLS";
    case SecurityMode::mtls: return " over mutual TLS";
    default: return "";
  }
}

}  // namespace

std::string describe_values(const LoadedConfig& loaded) {
  return service::describe_values(appliance_schema(), &loaded.config, loaded.origins);
}

std::string describe_plan(const ApplianceConfig& config) {
  const dataplane::DataPlaneConfig plane = data_plane_config(config);
  const auto subjects = route_subjects(config);
  std::string out;
  for (const PortConfig& port : config.ports) out += describe_port(port);
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    const ListenerConfig& listener = config.listeners[i];
    out += fmt::format("  listener {}: {} on UDP {} from {} to {}\n", listener.name,
                       protocol_word(listener.protocol), listener.udp_port(),
                       describe_sources(config, plane, i), describe_subjects(listener));
  }
  for (const ReplicateConfig& replica : config.replicate) {
    out += fmt::format("  what comes by {} goes on to {}{}\n",
                       replica.listeners.empty() ? "all listeners" : "listener " + service::joined(replica.listeners),
                       replica.to.value_or(SocketAddress{}).to_string(),
                       replica.spoof_source ? ", from the exporters' own addresses" : "");
  }
  for (const PublisherConfig& publisher : config.publishers) {
    if (publisher.kind == PublisherKind::jetstream) {
      out += fmt::format("  publisher {}: JetStream at {}{}, stream {} ({})\n", publisher.name,
                         service::masked(config.nats_url, service::Secrecy::url),
                         describe_security(config.security.mode), config.stream_name,
                         service::joined(all_stream_subjects(config)));
    } else {
      out += fmt::format("  publisher {}: {}\n", publisher.name, describe_publisher(publisher));
    }
  }
  if (config.rule_set != nullptr) {
    const classify::RuleSet& rules = *config.rule_set;
    out += fmt::format("  {} rules of {} file{}, {} of them with patterns\n", rules.rules().size(), rules.files().size(),
                       rules.files().size() == 1 ? "" : "s",
                       std::count_if(rules.rules().begin(), rules.rules().end(), [](const auto& r) { return r.has_pattern(); }));
  }
  if (config.socket_threads > 1 && !plane.socket_ports.empty())
    out += fmt::format("  {} threads receive from kernel sockets, an exporter's datagrams one of them\n", config.socket_threads);
  const uint32_t cores = decoding_cores(config);
  const bool any_workers =
      std::any_of(config.ports.begin(), config.ports.end(), [](const PortConfig& port) { return port.workers != 0; });
  const auto& batcher = plane.pipeline.batcher;
  out +=
      fmt::format("  {} {} core{}{}, each with {} batches of {} for {} subject{}\n", cores, any_workers ? "decoding" : "receive",
                  cores == 1 ? "" : "s", any_workers ? ", workers among them" : "", batcher.buffers, service::print_size(batcher.batch_octets),
                  subjects.size(), subjects.size() == 1 ? "" : "s");
  if (plane.dpdk_ports.empty()) {
    out += "  no DPDK port: DPDK is not started\n";
  } else {
    out += fmt::format("  DPDK with {} MiB {}\n", config.eal.memory_mb,
                       config.eal.hugepages ? "of hugepages" : "without hugepages");
  }
  if (!config.user.empty()) {
    std::vector<std::string> kept;
    for (const dataplane::LastingRight& right : dataplane::find_lasting_rights(plane))
      kept.push_back(service::capability_name(right.capability) + " (" + right.why + ")");
    out += fmt::format("  runs as {} once ports are up, {}{}\n", service::printable(config.user),
                       kept.empty() ? "without capabilities" : "and keeps ", service::joined(kept));
  }
  out += config.control_socket.path.empty()
             ? "  no control socket\n"
             : "  control socket " + config.control_socket.path + "\n";
  out += config.metrics_addr.empty() ? "  no metrics over TCP\n"
                                     : "  metrics at http://" + config.metrics_addr + "/metrics\n";
  return out;
}

std::string describe_keys() {
  std::vector<service::KeyDoc> keys = appliance_schema().document();
  for (service::KeyDoc& key : keys)
    if (!key.allowed.starts_with("a map of") && key.allowed != "a list of maps" && !goes_without_restart(key.path))
      key.doc += " *Restart.*";
  return service::describe_keys(keys);
}

}  // namespace weir::control
