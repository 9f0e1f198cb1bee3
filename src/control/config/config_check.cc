#include "control/config/config_check.h"

#include <algorithm>
#include <map>
#include <set>

#include "control/config/config_collector.h"
#include "service/config_findings.h"
#include "control/config/config_publishers.h"
#include "control/config/config_security.h"
#include "dataplane/device_name.h"
#include "export/addressing.h"
#include "export/batcher.h"
#include "export/jetstream_stream.h"

namespace weir::control {
namespace {

constexpr size_t kPortsMax = 64;
constexpr size_t kListenersMax = 256;
constexpr uint16_t kRxDescriptorsMin = 64;
constexpr size_t kAccessPrefixesMax = 256;   // each is looked at for every datagram
constexpr size_t kSamplingRulesMax = 4096;   // each is looked at when an exporter is first seen
constexpr uint32_t kBuffersPerRouteMin = 2;  // one fills while one is under way
constexpr uint64_t kNatsPayloadDefault = 1 << 20;  // max_payload of nats-server as it comes

// ── names ────────────────────────────────────────────────────────────────────────────────────────

void complete_names(ApplianceConfig& config) {
  std::set<std::string> taken;
  for (const PortConfig& port : config.ports) taken.insert(port.name);
  for (size_t i = 0; i < config.ports.size(); ++i) {
    if (config.ports[i].name.empty()) config.ports[i].name = fmt::format("p{}", i);
  }

  taken.clear();
  for (const ListenerConfig& listener : config.listeners) taken.insert(listener.name);
  for (ListenerConfig& listener : config.listeners) {
    const bool is_sflow = listener.protocol == decode::ProtocolFilter::sflow;
    if (listener.subject.empty())
      listener.subject = is_sflow ? "flows.raw.sflow" : "flows.raw.netflow";
    if (!listener.name.empty()) continue;
    listener.name = protocol_word(listener.protocol);
    if (!taken.insert(listener.name).second) {
      listener.name += fmt::format("-{}", listener.udp_port());
      taken.insert(listener.name);
    }
  }

  taken.clear();
  for (PublisherConfig& publisher : config.publishers) {
    if (publisher.name.empty()) publisher.name = name_of(publisher.kind);
  }
}

template <class T>
void check_names(const std::vector<T>& objects, std::string_view list, Findings& findings) {
  std::map<std::string, size_t> first;
  for (size_t i = 0; i < objects.size(); ++i) {
    const auto [other, is_new] = first.emplace(objects[i].name, i);
    if (is_new) continue;
    const std::string path = at_index(list, i);
    findings.error(path + ".name", {path, at_index(list, other->second)},
                   fmt::format("\"{}\" is the name of {} too; names must differ", objects[i].name,
                               at_index(list, other->second)));
  }
}

// ── ports ────────────────────────────────────────────────────────────────────────────────────────

bool all_of(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

/// What is wrong with a device's text; empty when nothing is.
std::string device_trouble(std::string_view device) {
  const std::string_view name = device.substr(0, device.find(','));
  if (dataplane::is_pci_address(name)) return {};
  const std::string shown = service::printable(device);
  if (name.substr(0, 4) != "net_" || name.size() == 4) {
    return fmt::format(
        "\"{}\" is no device; allowed: a PCI address such as 0000:01:00.0, or a virtual device "
        "such as "
        "net_af_packet0,iface={} or net_pcap0,rx_pcap=FILE",
        shown, all_of(name, "abcdefghijklmnopqrstuvwxyz0123456789") ? name : "eth0");
  }
  if (!all_of(name.substr(4), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")) {
    return fmt::format(
        "\"{}\" is no device; the name of a virtual device has only letters, digits and _", shown);
  }
  std::string_view arguments = device.substr(name.size());
  while (!arguments.empty()) {
    arguments.remove_prefix(1);
    const std::string_view argument = arguments.substr(0, arguments.find(','));
    const size_t equals = argument.find('=');
    if (equals == 0 || equals == std::string_view::npos) {
      return fmt::format("\"{}\" is no device; \"{}\" is not of the form key=value", shown,
                         service::printable(argument));
    }
    arguments.remove_prefix(argument.size());
  }
  return {};
}

void check_exception(const dataplane::ExceptionConfig& exception, const std::string& path, Findings& findings) {
  constexpr uint16_t kMtuMin = 1280;  // IPv6 wants no less (RFC 8200 §5)
  constexpr size_t kAddressesMax = 16;
  const dataplane::ExceptionConfig plain;
  if (!exception.is_on() && (!exception.addresses.empty() || exception.mtu != plain.mtu || exception.vlan != plain.vlan)) {
    findings.error(path, {path}, "has no interface, which the other keys are about");
  }
  if (exception.mtu != 0 && exception.mtu < kMtuMin) {
    findings.error(path + ".mtu", {path}, fmt::format("{} is too small; allowed: 0, or {} and more", exception.mtu, kMtuMin));
  }
  if (exception.addresses.size() > kAddressesMax) {
    findings.error(path + ".addresses", {path},
                   fmt::format("{} addresses, limit {}", exception.addresses.size(), kAddressesMax));
  }
}

void check_port(const PortConfig& port, const std::string& path, Findings& findings) {
  if (port.kind == PortKind::socket) {
    if (!port.device.empty() || port.workers != 0 || !port.worker_lcores.empty()) {
      findings.error(path, {path}, "a port of kind socket has neither device nor workers");
    }
    const PortConfig plain;
    if (port.queues != plain.queues || port.rx_descriptors != plain.rx_descriptors ||
        port.mbufs != plain.mbufs || port.data_room_bytes != plain.data_room_bytes ||
        port.promiscuous != plain.promiscuous || port.device_stamps || port.mtu != 0 || port.exception.is_on() ||
        port.checksums != plain.checksums || !port.vlans.empty()) {
      findings.error(path, {path},
                     "a port of kind socket has no queues, rx_descriptors, mbufs, "
                     "data_room_bytes, promiscuous, device_stamps, mtu, checksums, vlans or exception: they are a dpdk port's");
    }
    return;
  }
  check_exception(port.exception, path + ".exception", findings);
  if (port.rx_descriptors != 0 && port.rx_descriptors < kRxDescriptorsMin)
    findings.error(path + ".rx_descriptors", {path},
                   fmt::format("{} is not allowed: 0, or {} to 32768", port.rx_descriptors, kRxDescriptorsMin));
  if (port.address != IpAddress{}) {
    findings.error(path + ".address", {path},
                   "is a socket port's; a dpdk port takes what its device receives (addresses of "
                   "listeners are their listen_addr)");
  }
  if (port.device.empty()) {
    findings.error(path + ".device", {path},
                   "is missing; a PCI address or a virtual device is expected (or kind: socket)");
  } else if (const std::string trouble = device_trouble(port.device); !trouble.empty()) {
    findings.error(path + ".device", {path}, trouble);
  }
  if (port.lcores.size() > port.queues) {
    findings.error(path + ".lcores", {path},
                   fmt::format("names {} CPUs for {} queues; at most one for each queue",
                               port.lcores.size(), port.queues));
  }
  if (!port.worker_lcores.empty() && port.worker_lcores.size() != port.workers) {
    findings.error(path + ".worker_lcores", {path},
                   fmt::format("names {} CPUs for {} workers; one for each is expected, or none",
                               port.worker_lcores.size(), port.workers));
  }
}

/// What ends DPDK's start with nothing started, or waits for another program for ever. Long options may be cut short.
std::string extra_argument_trouble(std::string_view argument) {
  const std::string_view name = argument.substr(0, argument.find('='));
  const auto is_short_for = [&](std::string_view option, size_t octets_min) {
    return name.size() >= octets_min && option.substr(0, name.size()) == name;
  };
  if (argument.substr(0, 2) == "-h" || is_short_for("--help", 4)) return "asks DPDK for its help instead of a start";
  if (argument == "--") return "ends DPDK's arguments";
  if (is_short_for("--proc-type", 5) && argument.substr(name.size()) != "=primary")
    return "makes weir wait for another DPDK program to serve it";
  return {};
}

void check_identity(const ApplianceConfig& config, Findings& findings) {
  if (config.user.empty() && !config.group.empty())
    findings.error("group", {"group"}, fmt::format("\"{}\" goes with a `user`, which is missing", service::printable(config.group)));
}

void check_ports(const ApplianceConfig& config, Findings& findings) {
  for (const std::string& argument : config.eal.extra_args) {
    if (const std::string trouble = extra_argument_trouble(argument); !trouble.empty()) {
      findings.error("eal.extra_args", {"eal.extra_args"},
                     fmt::format("\"{}\" is not allowed: it {}", service::printable(argument), trouble));
    }
  }
  if (config.ports.size() > kPortsMax) {
    findings.error("ports", {}, fmt::format("{} ports, limit {}", config.ports.size(), kPortsMax));
  }
  std::map<std::string, size_t> first;
  for (size_t i = 0; i < config.ports.size(); ++i) {
    const PortConfig& port = config.ports[i];
    const std::string path = at_index("ports", i);
    check_port(port, path, findings);
    if (port.kind == PortKind::socket || port.device.empty()) continue;
    const auto [other, is_new] = first.emplace(port.device.substr(0, port.device.find(',')), i);
    if (!is_new) {
      findings.error(path + ".device", {path, at_index("ports", other->second)},
                     fmt::format("{} is the device of {} too", other->first,
                                 at_index("ports", other->second)));
    }
  }
  for (size_t i = 0; i < config.ports.size(); ++i) {
    const bool serves = config.ports[i].kind == PortKind::dpdk ||
                        std::any_of(config.listeners.begin(), config.listeners.end(),
                                    [](const auto& l) { return !l.listen_addr; });
    if (serves) continue;
    findings.warning(at_index("ports", i),
                     "opens no socket: every listener has a listen_addr of its own");
  }
  const bool has_sockets =
      std::any_of(config.ports.begin(), config.ports.end(), [](const auto& p) { return p.kind == PortKind::socket; }) ||
      std::any_of(config.listeners.begin(), config.listeners.end(), [](const auto& l) { return l.listen_addr.has_value(); });
  if (const size_t cpus = socket_lcores(config).size(); cpus > config.socket_threads) {
    findings.error("socket_threads", {"socket_threads"},
                   fmt::format("is {}, and ports of kind socket name {} lcores: at most one for each thread", config.socket_threads, cpus));
  }
  if (config.socket_threads > 1 && !has_sockets) {
    findings.warning("socket_threads", "nothing comes by kernel sockets: there is no port of kind socket, and no listen_addr");
  }
  for (const PortConfig& port : config.ports) {
    const auto names = [&](const std::vector<unsigned>& cpus) {
      return std::count(cpus.begin(), cpus.end(), *config.eal.main_lcore) > 0;
    };
    const bool shares = config.eal.main_lcore && config.idle == dataplane::IdlePolicy::poll &&
                        (names(port.lcores) || names(port.worker_lcores));
    if (shares) {
      findings.warning(
          "eal.main_lcore",
          fmt::format("CPU {} also polls port {} without a pause: the control thread gets "
                      "what is left",
                      *config.eal.main_lcore, port.name));
    }
  }
}

// ── listeners ────────────────────────────────────────────────────────────────────────────────────

/// Two sockets of one UDP port cannot both be bound when their addresses overlap.
bool overlap(const IpAddress& a, const IpAddress& b) {
  return a == b || a.is_unspecified() || b.is_unspecified();
}

/// A subject carries records of one kind: whoever reads it expects that kind.
void check_subjects(const std::vector<ListenerConfig>& listeners, Findings& findings) {
  struct Use {
    std::string path;
    std::string key;
  };
  std::map<std::string, Use> uses;
  const auto check = [&](size_t i, const char* key, const std::string& subject) {
    if (subject.empty()) return;
    const std::string path = at_index("listeners", i);
    const std::string pattern = outbound::stream_pattern(subject);
    for (const auto& [other, use] : uses) {
      if (use.key == key || !outbound::overlap(pattern, outbound::stream_pattern(other))) continue;
      findings.error(path + "." + key, {path, use.path},
                     fmt::format("{} is the {} of {} too; records of different kinds need subjects of "
                                 "their own",
                                 subject, use.key, use.path));
      return;
    }
    uses.emplace(subject, Use{path, key});
  };
  for (size_t i = 0; i < listeners.size(); ++i) {
    check(i, "subject", listeners[i].subject);
    if (!admits_sflow(listeners[i])) continue;
    check(i, "counters_subject", listeners[i].counters_subject);
    check(i, "discards_subject", listeners[i].discards_subject);
  }
}

void check_tcp(const ApplianceConfig& config, const ListenerConfig& listener, const std::string& path,
               Findings& findings) {
  if (!listener.tcp) return;
  if (listener.protocol == decode::ProtocolFilter::sflow)
    findings.error(path + ".tcp", {path}, "is for IPFIX; the listener takes only sFlow, which has no TCP");
  const bool has_socket = listener.listen_addr || std::any_of(config.ports.begin(), config.ports.end(), [](const auto& port) {
                            return port.kind == PortKind::socket;
                          });
  if (!has_socket)
    findings.error(path + ".tcp", {path, "ports"},
                   "needs a socket of the kernel's, which ends TCP: a port of kind socket, or listen_addr");
}

void check_listeners(const ApplianceConfig& config, Findings& findings) {
  const auto& listeners = config.listeners;
  if (listeners.empty()) {
    findings.error("listeners", {"listeners"},
                   "nothing is listened for; write for example listeners: [{protocol: netflow, "
                   "listen_addr: \"[::]:2055\"}]");
  }
  if (listeners.size() > kListenersMax) {
    findings.error("listeners", {},
                   fmt::format("{} listeners, limit {}", listeners.size(), kListenersMax));
    return;
  }
  std::map<uint16_t, size_t> first;
  for (size_t i = 0; i < listeners.size(); ++i) {
    const ListenerConfig& listener = listeners[i];
    const std::string path = at_index("listeners", i);
    if (listener.udp_port() == 0) {
      findings.error(path, {path}, "has neither port nor listen_addr");
      continue;
    }
    if (listener.listen_addr && listener.port != 0 && listener.port != listener.listen_addr->port) {
      findings.error(path + ".port", {path},
                     fmt::format("{} is not the port of listen_addr, {}", listener.port,
                                 listener.listen_addr->to_string()));
    }
    if (!listener.listen_addr && config.ports.empty()) {
      findings.error(
          path + ".port", {path, "ports"},
          fmt::format("nothing serves UDP port {0}: write listen_addr: \"[::]:{0}\" instead, or "
                      "name a port under ports",
                      listener.port));
    }
    check_tcp(config, listener, path, findings);
    const auto [other, is_new] = first.emplace(listener.udp_port(), i);
    if (!is_new) {
      findings.error(path, {path, at_index("listeners", other->second)},
                     fmt::format("UDP port {} is already {}'s; each listener needs its own",
                                 listener.udp_port(), at_index("listeners", other->second)));
    }
  }
  check_subjects(listeners, findings);
  // Each listener has its own UDP port, so only socket ports can get in each other's way.
  for (size_t i = 0; i < config.ports.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const PortConfig &a = config.ports[i], &b = config.ports[j];
      if (a.kind != PortKind::socket || b.kind != PortKind::socket ||
          !overlap(a.address, b.address))
        continue;
      findings.error(at_index("ports", i) + ".address",
                     {at_index("ports", i), at_index("ports", j)},
                     fmt::format("{} overlaps with that of {}, {}", a.address.to_string(),
                                 at_index("ports", j), b.address.to_string()));
    }
  }
}

// ── sampling ─────────────────────────────────────────────────────────────────────────────────────

void check_sampling(const ApplianceConfig& config, Findings& findings) {
  const auto check = [&](const std::vector<SamplingRuleConfig>& rules, const std::string& path) {
    if (rules.size() > kSamplingRulesMax) {
      findings.error(path, {}, fmt::format("{} rules, limit {}", rules.size(), kSamplingRulesMax));
      return;
    }
    std::map<std::string, size_t> first;
    for (size_t i = 0; i < rules.size(); ++i) {
      const std::string at = at_index(path, i);
      if (rules[i].rate == 0) findings.error(at + ".rate", {at}, "is missing");
      if (rules[i].exporters == AddressPrefix{}) {
        findings.error(at + ".exporters", {at}, "is missing");
        continue;
      }
      const std::string prefix = rules[i].exporters.to_string();
      const auto [other, is_new] = first.emplace(prefix, i);
      if (!is_new) {
        findings.error(
            at + ".exporters", {at, at_index(path, other->second)},
            fmt::format("{} is what {} says already", prefix, at_index(path, other->second)));
      }
    }
  };
  check(config.sampling.override_, "sampling.override");
  check(config.sampling.defaults, "sampling.default");
}

// ── exporters ────────────────────────────────────────────────────────────────────────────────────

void check_sites(const std::vector<SiteConfig>& sites, Findings& findings) {
  if (sites.size() > kSamplingRulesMax)
    return findings.error("exporters.sites", {}, fmt::format("{} prefixes, limit {}", sites.size(), kSamplingRulesMax));
  std::map<std::string, size_t> first;
  for (size_t i = 0; i < sites.size(); ++i) {
    const std::string at = at_index("exporters.sites", i);
    if (sites[i].site.empty()) findings.error(at + ".site", {at}, "is missing");
    if (sites[i].exporters == AddressPrefix{}) {
      findings.error(at + ".exporters", {at}, "is missing");
      continue;
    }
    const auto [other, is_new] = first.emplace(sites[i].exporters.to_string(), i);
    if (!is_new)
      findings.error(at + ".exporters", {at}, fmt::format("{} is what {} says already", other->first,
                                                          at_index("exporters.sites", other->second)));
  }
}

void check_replicas(const ApplianceConfig& config, Findings& findings) {
  if (config.replicate.size() > dataplane::kReplicaTargetsMax)
    findings.error("replicate", {}, fmt::format("{} targets, limit {}", config.replicate.size(), dataplane::kReplicaTargetsMax));
  for (size_t i = 0; i < config.replicate.size(); ++i) {
    const ReplicateConfig& replica = config.replicate[i];
    const std::string at = at_index("replicate", i);
    if (!replica.to) {
      findings.error(at + ".to", {at}, "is missing");
    } else if (replica.to->port == 0 || replica.to->address.is_unspecified()) {
      findings.error(at + ".to", {at}, fmt::format("{} is no collector's address and port", replica.to->to_string()));
    }
    const auto before = std::find_if(config.replicate.begin(), config.replicate.begin() + static_cast<ptrdiff_t>(i),
                                     [&](const ReplicateConfig& other) { return replica.to && other.to == replica.to; });
    if (before != config.replicate.begin() + static_cast<ptrdiff_t>(i))
      findings.error(at + ".to", {at}, fmt::format("{} is what {} says already", replica.to->to_string(),
                                                   at_index("replicate", static_cast<size_t>(before - config.replicate.begin()))));
    for (size_t j = 0; j < replica.listeners.size(); ++j) {
      const bool is_there = std::any_of(config.listeners.begin(), config.listeners.end(),
                                        [&](const auto& l) { return l.name == replica.listeners[j]; });
      if (!is_there) findings.error(at_index(at + ".listeners", j), {at}, fmt::format("no listener is called {}", replica.listeners[j]));
    }
  }
}

void check_exporters(const ApplianceConfig& config, Findings& findings) {
  const auto& [allow, deny, sites] = config.exporters;
  check_sites(sites, findings);
  if (allow.size() + deny.size() > kAccessPrefixesMax) {
    findings.error("exporters", {}, fmt::format("{} prefixes, limit {}", allow.size() + deny.size(),
                                                kAccessPrefixesMax));
    return;
  }
  for (size_t i = 0; i < deny.size(); ++i) {
    if (std::find(allow.begin(), allow.end(), deny[i]) == allow.end()) continue;
    findings.error(at_index("exporters.deny", i), {},
                   fmt::format("{} is in exporters.allow too", deny[i].to_string()));
  }
}

// ── delivery ─────────────────────────────────────────────────────────────────────────────────────

/// Batches that a core has open at once: one a subject, but of subjects that name exporters or protocols.
uint64_t open_batches_expected(const ApplianceConfig& config) {
  constexpr uint64_t kProtocols = 4;
  uint64_t open = 0;
  for (const std::string& subject : route_subjects(config)) {
    const outbound::RouteSplit split = outbound::split_of(subject);
    open += split.by_exporter ? outbound::kOpenRoutesMax : split.by_protocol ? kProtocols : 1;
  }
  return std::clamp<uint64_t>(open, 1, outbound::kOpenRoutesMax);
}

void check_delivery(const ApplianceConfig& config, Findings& findings) {
  const uint64_t cores = std::max(decoding_cores(config), 1u);
  const uint64_t routes = open_batches_expected(config);
  const uint64_t needed = cores * routes * kBuffersPerRouteMin * config.batch_bytes;
  if (config.buffer_bytes < needed) {
    findings.error(
        "buffer_bytes", {"buffer_bytes", "batch_bytes", "ports", "listeners"},
        fmt::format("{} are too few: {} cores that decode, {} subjects and batches of {} need at "
                    "least {}",
                    service::print_size(config.buffer_bytes), cores, routes,
                    service::print_size(config.batch_bytes), service::print_size(needed)));
  }
  if (config.limits.template_octets_total / cores < decode::kTemplateOctetsPerCoreMin) {
    findings.error("limits.template_octets_total", {"limits.template_octets_total", "ports"},
                   fmt::format("{} for {} cores that decode are too few: each needs at least {}",
                               service::print_size(config.limits.template_octets_total), cores,
                               service::print_size(decode::kTemplateOctetsPerCoreMin)));
  }
  if (config.limits.fragmented_datagrams_per_exporter > config.limits.fragmented_datagrams / 2) {
    findings.warning("limits.fragmented_datagrams_per_exporter",
                     fmt::format("{} of {} in all: two exporters whose fragments get lost can take the place "
                                 "of everybody's",
                                 config.limits.fragmented_datagrams_per_exporter,
                                 config.limits.fragmented_datagrams));
  }
  const std::string tables = config.exporter_info.subject_prefix + ".*";
  for (const std::string& subject : all_stream_subjects(config)) {
    if (!outbound::overlap(subject, tables) || !config.exporter_info.publish ||
        config.stream_adopt || config.exporter_info.stream_name == config.stream_name) {
      continue;
    }
    findings.warning(
        "exporter_info.subject_prefix",
        fmt::format("stream {} has {}, which takes {} from stream {}: tables of names "
                    "cannot be published",
                    config.stream_name, subject, tables, config.exporter_info.stream_name));
  }
  if (publishes_to_nats(config) && config.framing == outbound::Framing::batch &&
      config.batch_bytes > kNatsPayloadDefault) {
    findings.warning(
        "batch_bytes",
        fmt::format("{} exceed what nats-server takes unless its max_payload is raised; "
                    "larger batches go out in parts",
                    service::print_size(config.batch_bytes)));
  }
}

}  // namespace

void complete_and_check(ApplianceConfig& config, const service::Origins& origins,
                        service::ConfigReport& report) {
  complete_names(config);
  complete_security(config, origins);
  Findings findings(origins, report);
  check_names(config.ports, "ports", findings);
  check_names(config.listeners, "listeners", findings);
  check_names(config.publishers, "publishers", findings);
  check_identity(config, findings);
  check_ports(config, findings);
  check_listeners(config, findings);
  check_sampling(config, findings);
  check_exporters(config, findings);
  check_replicas(config, findings);
  check_delivery(config, findings);
  check_publishers(config, origins, findings);
  check_security(config, origins, findings);
  warn_of_idle_keys(config, origins, findings);
}

}  // namespace weir::control
