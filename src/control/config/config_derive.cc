// What the rooms below are given, from what the operator wrote.
#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/clock.h"
#include "control/config/config.h"
#include "dataplane/receive_core.h"

namespace weir::control {
namespace {

// A core that must rather wait than drop receives no more with so few of its buffers free, or with too few for
// a burst: of Ethernet's datagrams, whose records grow some three times as they are encoded.
constexpr uint32_t kReserveShare = 8;
constexpr uint32_t kBurstOctets = dataplane::kBurst * 1500 * 3;

void add_once(std::vector<std::string>& list, const std::string& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

uint16_t place_of(const std::vector<std::string>& list, const std::string& value) {
  return static_cast<uint16_t>(std::find(list.begin(), list.end(), value) - list.begin());
}

/// Whether an interface that a port makes for the host will have it.
bool is_of_exceptions(const ApplianceConfig& config, const IpAddress& address) {
  return std::any_of(config.ports.begin(), config.ports.end(), [&](const PortConfig& port) {
    const auto& own = port.exception.addresses;
    return std::any_of(own.begin(), own.end(), [&](const dataplane::InterfaceAddress& a) { return a.address == address; });
  });
}

std::vector<dataplane::SocketPort> socket_ports(const ApplianceConfig& config,
                                                const Numbering& numbers) {
  std::vector<dataplane::SocketPort> ports;
  for (const ListenerConfig& listener : config.listeners) {
    const ListenerId id{place_of(numbers.listeners, listener.name)};
    const auto add = [&](const std::string& name, const IpAddress& address) {
      using dataplane::Transport;
      const bool comes_later = is_of_exceptions(config, address);
      ports.push_back({name, address, listener.udp_port(), id, listener.buffer_size, Transport::udp, comes_later});
      if (listener.tcp) ports.push_back({name + "/tcp", address, listener.udp_port(), id, 0, Transport::tcp, comes_later});
    };
    if (listener.listen_addr) {
      add(listener.name, listener.listen_addr->address);
      continue;
    }
    for (const PortConfig& port : config.ports) {
      if (port.kind == PortKind::socket) add(port.name + "/" + listener.name, port.address);
    }
  }
  return ports;
}

/// What an exporter may hold while it sends to this listener.
decode::ExporterLimits exporter_limits(const ApplianceConfig& config,
                                       const ListenerConfig& listener) {
  decode::ExporterLimits limits;
  limits.templates_max = listener.max_templates;
  limits.template_fields_max = listener.max_template_fields;
  limits.template_lifetime_ns =
      uint64_t{listener.template_lifetime_secs.value_or(config.limits.template_lifetime_secs)} *
      kNsPerSec;
  limits.pending_sets_max = listener.pending_flows.max_pending_flows;
  limits.pending_sets_per_template = listener.pending_flows.max_entries_per_template;
  limits.pending_set_octets_max = listener.pending_flows.max_entry_size_bytes;
  limits.pending_ttl_ns = uint64_t{listener.pending_flows.ttl_secs} * kNsPerSec;
  return limits;
}

/// One decoder serves all listeners of a core: it has room for what the most generous one allows.
decode::DecoderLimits decoder_limits(const ApplianceConfig& config) {
  decode::DecoderLimits limits;
  limits.exporters_max = exporters_of_core(config);
  limits.exporters_room = std::clamp(4 * limits.exporters_max, kExportersRoomMin, kExportersPerCoreMax);
  limits.domains_per_exporter_max = config.limits.domains_per_exporter;
  limits.names_per_exporter_max = config.limits.names_per_exporter;
  limits.template_octets_total = config.limits.template_octets_total;
  limits.pending_octets_per_exporter = config.limits.pending_octets_per_exporter;
  limits.pending_octets_total = config.limits.pending_octets_total;
  limits.template_lifetime_ns = uint64_t{config.limits.template_lifetime_secs} * kNsPerSec;

  ListenerConfig largest = config.listeners.empty() ? ListenerConfig{} : config.listeners.front();
  const auto raise = [](uint32_t& value, uint32_t other) { value = std::max(value, other); };
  for (const ListenerConfig& listener : config.listeners) {
    raise(largest.max_templates, listener.max_templates);
    raise(largest.max_template_fields, listener.max_template_fields);
    PendingFlowsConfig& pending = largest.pending_flows;
    raise(pending.max_pending_flows, listener.pending_flows.max_pending_flows);
    raise(pending.max_entries_per_template, listener.pending_flows.max_entries_per_template);
    raise(pending.max_entry_size_bytes, listener.pending_flows.max_entry_size_bytes);
    raise(pending.ttl_secs, listener.pending_flows.ttl_secs);
  }
  limits.templates_per_exporter_max = largest.max_templates;
  limits.template_fields_max = largest.max_template_fields;
  limits.pending_sets_per_exporter_max = largest.pending_flows.max_pending_flows;
  limits.pending_entries_per_template_max = largest.pending_flows.max_entries_per_template;
  limits.pending_entry_octets_max = largest.pending_flows.max_entry_size_bytes;
  limits.pending_ttl_ns = uint64_t{largest.pending_flows.ttl_secs} * kNsPerSec;
  return limits;
}

}  // namespace

bool admits_sflow(const ListenerConfig& listener) noexcept {
  return listener.protocol == decode::ProtocolFilter::any ||
         listener.protocol == decode::ProtocolFilter::sflow;
}

namespace {

/// With {partition}, which is the same for all records, in its place.
std::string subject_here(const ApplianceConfig& config, std::string subject) {
  constexpr std::string_view kPartition = "{partition}";
  for (size_t at; (at = subject.find(kPartition)) != std::string::npos;) {
    subject.replace(at, kPartition.size(), config.partition);
  }
  return subject;
}

}  // namespace

DropPolicy drop_policy_of(const ApplianceConfig& config,
                          const PublisherConfig& publisher) noexcept {
  return publisher.drop_policy.value_or(config.drop_policy);
}

outbound::SpoolConfig spool_config(const ApplianceConfig& config,
                                   const PublisherConfig& publisher) {
  outbound::SpoolConfig spool;
  const std::string dir = config.spool.dir.empty() ? config.state_dir + "/spool" : config.spool.dir;
  spool.dir = dir + '/' + publisher.name;
  spool.octets_max = publisher.spool.max_bytes.value_or(config.spool.max_bytes);
  spool.age_max_ns =
      uint64_t{publisher.spool.max_age_secs.value_or(config.spool.max_age_secs)} * kNsPerSec;
  spool.sync = publisher.spool.fsync.value_or(config.spool.fsync);
  return spool;
}

std::vector<std::string> route_subjects(const ApplianceConfig& config) {
  std::vector<std::string> subjects;
  for (const ListenerConfig& listener : config.listeners) {
    add_once(subjects, subject_here(config, listener.subject));
  }
  for (const ListenerConfig& listener : config.listeners) {
    if (!admits_sflow(listener)) continue;
    for (const std::string& subject : {listener.counters_subject, listener.discards_subject}) {
      if (!subject.empty()) add_once(subjects, subject_here(config, subject));
    }
  }
  if (config.rule_set != nullptr) {
    for (const std::string& route : config.rule_set->routes()) add_once(subjects, subject_here(config, route));
  }
  return subjects;
}

/// Whether a subject with wildcards (`*`: a token, `>`: all that follow) takes in another.
bool covers(std::string_view pattern, std::string_view subject) {
  for (;;) {
    const size_t p = std::min(pattern.find('.'), pattern.size());
    const size_t s = std::min(subject.find('.'), subject.size());
    if (pattern.substr(0, p) == ">") return true;
    if (pattern.substr(0, p) != "*" && pattern.substr(0, p) != subject.substr(0, s)) return false;
    if (p == pattern.size() || s == subject.size()) {
      return p == pattern.size() && s == subject.size();
    }
    pattern.remove_prefix(p + 1);
    subject.remove_prefix(s + 1);
  }
}

std::vector<std::string> all_stream_subjects(const ApplianceConfig& config) {
  std::vector<std::string> subjects;
  for (const std::string& subject : config.stream_subjects) add_once(subjects, subject);
  for (const std::string& route : route_subjects(config)) {
    // A stream must not have subjects that overlap.
    const std::string subject = outbound::stream_pattern(route);
    const bool is_covered = std::any_of(subjects.begin(), subjects.end(), [&](const auto& pattern) {
      return covers(pattern, subject);
    });
    if (is_covered) continue;
    std::erase_if(subjects, [&](const std::string& other) { return covers(subject, other); });
    subjects.push_back(subject);
  }
  return subjects;
}

uint32_t decoding_cores(const ApplianceConfig& config) {
  std::set<unsigned> pinned;  // CPUs are shared by all queues and workers that name them
  size_t chosen = 0;
  for (const PortConfig& port : config.ports) {
    if (port.kind == PortKind::socket) continue;
    const std::vector<unsigned>& cpus = port.workers == 0 ? port.lcores : port.worker_lcores;
    pinned.insert(cpus.begin(), cpus.end());
    if (cpus.empty()) chosen += port.workers == 0 ? port.queues : port.workers;
  }
  const bool has_sockets = !socket_ports(config, Numbering(config)).empty();
  return static_cast<uint32_t>(pinned.size() + chosen + (has_sockets ? config.socket_threads : 0));
}

uint32_t exporters_of_core(const ApplianceConfig& config) {
  const uint32_t share = config.limits.exporters_total / std::max(decoding_cores(config), 1u);
  return std::clamp(share, 1u, config.limits.exporters_per_core);
}

Numbering::Numbering(const ApplianceConfig& config) { extend(config); }

void Numbering::extend(const ApplianceConfig& config) {
  for (const ListenerConfig& listener : config.listeners) add_once(listeners, listener.name);
  for (const std::string& subject : route_subjects(config)) add_once(subjects, subject);
}

std::vector<unsigned> socket_lcores(const ApplianceConfig& config) {
  std::vector<unsigned> cpus;
  for (const PortConfig& port : config.ports) {
    if (port.kind != PortKind::socket) continue;
    for (const unsigned cpu : port.lcores)
      if (std::find(cpus.begin(), cpus.end(), cpu) == cpus.end()) cpus.push_back(cpu);
  }
  return cpus;
}

dataplane::DataPlaneConfig data_plane_config(const ApplianceConfig& config) {
  return data_plane_config(config, Numbering(config));
}

dataplane::DataPlaneConfig data_plane_config(const ApplianceConfig& config,
                                             const Numbering& numbers) {
  dataplane::DataPlaneConfig plane;
  plane.eal = config.eal;
  plane.idle = config.idle;
  for (const PortConfig& port : config.ports) {
    if (port.kind == PortKind::socket) continue;
    plane.dpdk_ports.push_back({port.name, port.device, port.queues, port.lcores,
                                port.rx_descriptors, port.mbufs, port.data_room_bytes,
                                port.promiscuous, port.exception, port.workers,
                                port.worker_lcores, port.device_stamps, port.checksums, port.vlans, port.mtu});
  }
  plane.socket_ports = socket_ports(config, numbers);
  plane.socket_threads = config.socket_threads;
  plane.socket_lcores = socket_lcores(config);
  plane.tcp = {.sessions_max = config.limits.tcp_sessions,
               .sessions_per_exporter_max = config.limits.tcp_sessions_per_exporter,
               .idle_ns = uint64_t{config.limits.tcp_idle_timeout_secs} * kNsPerSec,
               .message_ns = uint64_t{config.limits.tcp_message_timeout_secs} * kNsPerSec};

  // Those that are gone keep their names, and have no port.
  for (const std::string& name : numbers.listeners) {
    plane.pipeline.listeners.push_back({.name = name, .port = 0, .route = {}, .rules = {}});
  }
  plane.pipeline.decoder.listeners.resize(numbers.listeners.size());
  for (const ListenerConfig& listener : config.listeners) {
    const auto route_of = [&](const std::string& subject) {
      return RouteId{place_of(numbers.subjects, subject_here(config, subject))};
    };
    decode::ListenerRules rules;
    rules.protocol = listener.protocol;
    rules.sampling_rate_default = listener.sampling_rate_default;
    rules.inline_names = listener.inline_names;
    rules.limits = exporter_limits(config, listener);
    rules.samples_per_datagram_max = listener.max_samples_per_datagram;
    dataplane::Listener made{listener.name, listener.udp_port(), route_of(listener.subject)};
    made.rules = rules;
    const bool sflow = admits_sflow(listener);
    if (sflow && !listener.counters_subject.empty()) {
      made.counters_route = route_of(listener.counters_subject);
    }
    if (sflow && !listener.discards_subject.empty()) {
      made.discards_route = route_of(listener.discards_subject);
    }
    const uint16_t id = place_of(numbers.listeners, listener.name);
    plane.pipeline.listeners[id] = std::move(made);
    plane.pipeline.decoder.listeners[id] = rules;
  }
  const auto prefixes = [](const std::vector<AddressPrefix>& list) {
    std::vector<decode::ExporterPrefix> made;
    for (const AddressPrefix& prefix : list) made.push_back({prefix.address, prefix.bits});
    return made;
  };
  plane.pipeline.decoder.access = {prefixes(config.exporters.allow),
                                   prefixes(config.exporters.deny)};
  for (const SiteConfig& site : config.exporters.sites)
    plane.pipeline.decoder.sites.push_back({{site.exporters.address, site.exporters.bits}, site.site});
  for (const ReplicateConfig& replica : config.replicate) {
    dataplane::ReplicaConfig made{.to = replica.to.value_or(SocketAddress{}), .listeners = {}, .spoof_source = replica.spoof_source};
    for (const std::string& name : replica.listeners) made.listeners.push_back(ListenerId{place_of(numbers.listeners, name)});
    plane.replicas.push_back(std::move(made));
  }
  if (config.exporter_list != nullptr) plane.pipeline.decoder.labels = config.exporter_list->labels();
  const uint32_t cores = std::max(decoding_cores(config), 1u);
  plane.pipeline.decoder.limits = decoder_limits(config);
  plane.pipeline.decoder.cores = cores;
  plane.pipeline.reassembly = {
      // The kernel joins what comes by its sockets.
      .datagrams_max = plane.dpdk_ports.empty() ? 1 : config.limits.fragmented_datagrams,
      .datagrams_per_source_max = config.limits.fragmented_datagrams_per_exporter,
      .timeout_ns = uint64_t{config.limits.fragment_timeout_ms} * kNsPerMs};
  plane.pipeline.decoder.partition = config.partition;
  for (const SamplingRuleConfig& rule : config.sampling.override_) {
    plane.pipeline.decoder.sampling_override.push_back(
        {rule.exporters.address, rule.exporters.bits, rule.rate});
  }
  for (const SamplingRuleConfig& rule : config.sampling.defaults) {
    plane.pipeline.decoder.sampling_default.push_back(
        {rule.exporters.address, rule.exporters.bits, rule.rate});
  }

  // Each core begins with an even share, which then follows the traffic (RateBalancer).
  plane.pipeline.rate_limits.per_exporter = config.limits.records_per_second_per_exporter;
  plane.pipeline.rate_limits.packets_per_exporter = config.limits.packets_per_second_per_exporter;
  if (config.limits.records_per_second != 0) {
    plane.pipeline.rate_limits.total =
        std::max<uint64_t>(config.limits.records_per_second / cores, 1);
  }

  plane.pipeline.classification = config.rule_set;
  if (config.rule_set != nullptr) {
    for (const std::string& route : config.rule_set->routes())
      plane.pipeline.rule_routes.push_back(RouteId{place_of(numbers.subjects, subject_here(config, route))});
  }

  outbound::BatcherConfig& batcher = plane.pipeline.batcher;
  batcher.buffers = static_cast<uint32_t>(
      std::clamp<uint64_t>(config.buffer_bytes / cores / config.batch_bytes, 1, UINT32_MAX));
  const bool somebody_blocks =
      std::any_of(config.publishers.begin(), config.publishers.end(), [&](const auto& publisher) {
        return drop_policy_of(config, publisher) == DropPolicy::block;
      });
  if (somebody_blocks) {
    const uint32_t of_a_burst = kBurstOctets / config.batch_bytes + 2;  // the open one, and the last
    const uint32_t wanted = std::max(batcher.buffers / kReserveShare, of_a_burst);
    batcher.buffers_in_reserve = std::clamp(wanted, 1u, std::max(batcher.buffers / 2, 1u));
  }
  batcher.batch_octets = config.batch_bytes;
  plane.pipeline.may_fuse = config.fused;
  batcher.batch_records_max = config.batch_size;
  for (const std::string& subject : numbers.subjects) batcher.splits.push_back(outbound::split_of(subject));
  batcher.linger_ns = uint64_t{config.batch_linger_ms} * kNsPerMs;
  return plane;
}

service::HttpServerConfig http_server_config(const ApplianceConfig& config) {
  return {.unix_path = config.control_socket.path,
          .unix_mode = config.control_socket.mode,
          .unix_group = config.control_socket.group,
          .admin_group = config.control_socket.admin_group,
          .tcp_address = config.metrics_addr};
}

std::vector<service::OwnFolder> own_folders(const ApplianceConfig& config) {
  std::vector<service::OwnFolder> folders;
  if (!config.state_dir.empty()) folders.push_back({config.state_dir, 0750});
  if (!config.spool.dir.empty()) folders.push_back({config.spool.dir, 0750});
  const std::string& socket = config.control_socket.path;
  if (const size_t slash = socket.rfind('/'); slash != std::string::npos && slash != 0) folders.push_back({socket.substr(0, slash), 0755});
  return folders;
}

}  // namespace weir::control
