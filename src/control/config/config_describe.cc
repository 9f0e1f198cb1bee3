#include "control/config/config_describe.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/config/config_check.h"
#include "control/config/config_publishers.h"

namespace weir::control {
namespace {

/// As the file would have it: what a reader could take for nothing, or not see, in quotes.
std::string quoted_if_needed(const std::string& value) {
  const bool plain = !value.empty() && value.find_first_of(" \t") == std::string::npos;
  if (plain || (!value.empty() && value.front() == '[')) return service::printable(value);
  return fmt::format("\"{}\"", service::printable(value));
}

std::string describe_cpus(const std::vector<unsigned>& cpus) {
  if (cpus.empty()) return "CPUs chosen";
  std::vector<std::string> texts;
  for (const unsigned cpu : cpus) texts.push_back(fmt::format("{}", cpu));
  return "CPU " + service::joined(texts);
}

std::string describe_port(const PortConfig& port) {
  if (port.kind == PortKind::socket) {
    return fmt::format("  port {}: kernel sockets on {}\n", port.name, port.address.to_string());
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

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
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
    sources.push_back("udp " + SocketAddress{socket.address, socket.port}.to_string());
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

/// A cell of a Markdown table holds no bar.
std::string cell(std::string text) {
  for (size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2)) {
    text.replace(at, 1, "\\|");
  }
  return text;
}

}  // namespace

std::string describe_values(const LoadedConfig& loaded) {
  const auto values = appliance_schema().effective(&loaded.config, loaded.origins);
  size_t path_width = 0, value_width = 0;
  constexpr size_t kValueWidthMax = 40;
  for (const auto& v : values) {
    path_width = std::max(path_width, v.path.size());
    value_width = std::max(value_width, std::min(quoted_if_needed(v.value).size(), kValueWidthMax));
  }
  std::string out;
  for (const auto& v : values) {
    out += padded(v.path, path_width) + "  " + padded(quoted_if_needed(v.value), value_width) +
           "  " + v.origin.to_string() + "\n";
  }
  return out;
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
  out += config.control_socket.path.empty()
             ? "  no control socket\n"
             : "  control socket " + config.control_socket.path + "\n";
  out += config.metrics_addr.empty() ? "  no metrics over TCP\n"
                                     : "  metrics at http://" + config.metrics_addr + "/metrics\n";
  return out;
}

std::string describe_keys() {
  std::string out = "| key | allowed | default | environment | |\n|---|---|---|---|---|\n";
  for (const auto& row : appliance_schema().document()) {
    const std::string shown_default =
        row.default_value.empty() ? std::string() : fmt::format("`{}`", row.default_value);
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", row.path, cell(row.allowed),
                       cell(shown_default), row.environment, cell(row.doc));
  }
  return out;
}

}  // namespace weir::control
