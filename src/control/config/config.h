// config.h — The whole appliance's configuration: one struct, its schema, and how it is read.
//
// Runs on:  start-up and reload; never the receive path.
// Failure:  an Error whose message has one line a mistake: file:line:column, key, value, what is
//           allowed. Nothing has been started by then.
//
// The keys of the file are the names of the members. `weir check --keys` prints them all.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"
#include "base/named_enum.h"
#include "base/result.h"
#include "base/socket_address.h"
#include "classify/rule_set.h"
#include "control/delivery/drop_policy.h"
#include "control/exporters/exporter_list.h"
#include "dataplane/data_plane.h"
#include "decode/decoder.h"
#include "export/jetstream_stream.h"
#include "export/publisher.h"
#include "export/spool.h"
#include "service/config_findings.h"
#include "service/config_reader.h"
#include "service/config_text.h"
#include "service/http_server.h"
#include "service/log.h"
#include "service/process_rights.h"

namespace weir::control {

using service::at_index;
using service::Findings;

#define WEIR_PORT_KINDS(X) X(dpdk) X(socket)
WEIR_NAMED_ENUM(PortKind, uint8_t, WEIR_PORT_KINDS)

/// `192.0.2.0/24`, `2001:db8::/32`; an address alone is that one.
struct AddressPrefix {
  IpAddress address;
  uint8_t bits = 128;  // of 128: IPv4 prefixes are 96 longer

  static std::optional<AddressPrefix> parse(std::string_view text);
  std::string to_string() const;
  friend bool operator==(const AddressPrefix&, const AddressPrefix&) = default;
};

/// `192.0.2.2/24`, `2001:db8::2/64`: one's own address, and the network that it is in.
std::optional<dataplane::InterfaceAddress> parse_interface_address(std::string_view text);

/// Where packets come from. A DPDK port serves every listener, by its UDP port; a socket port opens
/// one kernel socket for each listener that has no listen_addr of its own.
struct PortConfig {
  std::string name;  // default: p0, p1, …
  PortKind kind = PortKind::dpdk;
  // dpdk
  std::string device;  // PCI address, or a vdev with its arguments
  uint16_t queues = 1;
  std::vector<unsigned> lcores;  // CPUs, one for each queue in turn; empty: chosen
  uint16_t workers = 0;          // cores that decode what those of the queues receive; 0: these do
  std::vector<unsigned> worker_lcores;  // their CPUs, one for each; empty: chosen
  uint16_t rx_descriptors = 0;   // of each queue; 0: 1024, and more for a NIC faster than 10 Gbit/s
  uint32_t mbufs = 0;            // per queue; 0: what rings and bursts need
  uint32_t data_room_bytes = 0;  // 0: what the device's largest frame needs
  bool promiscuous = true;
  bool device_stamps = false;
  uint16_t mtu = 0;  // 0: the driver's, 1500 of a NIC
  packet::ChecksumPolicy::Check checksums = packet::ChecksumPolicy::Check::skip;
  std::vector<uint16_t> vlans;  // that export traffic may come in; empty: all
  dataplane::ExceptionConfig exception;
  // socket
  IpAddress address;  // `::` listens on IPv4 and IPv6
};

/// Data that came ahead of its template.
struct PendingFlowsConfig {
  uint32_t max_pending_flows = 256;
  uint32_t max_entries_per_template = 1024;
  uint32_t max_entry_size_bytes = 65'535;
  uint32_t ttl_secs = 300;
};

struct ListenerConfig {
  std::string name;  // default: the protocol's, made unique with the port
  decode::ProtocolFilter protocol = decode::ProtocolFilter::any;
  uint16_t port = 0;                         // UDP; or it is listen_addr's
  std::optional<SocketAddress> listen_addr;  // also opens a kernel socket of its own
  bool tcp = false;                          // its kernel sockets take IPFIX over TCP as well
  std::string subject;                       // default: flows.raw.netflow, flows.raw.sflow
  uint32_t buffer_size = dataplane::kReceiveBufferOctets;  // SO_RCVBUF of its kernel sockets
  uint32_t max_templates = 2000;             // of an exporter that sends here
  uint32_t max_template_fields = 10'000;
  std::optional<uint32_t> template_lifetime_secs;  // default: the one of limits
  PendingFlowsConfig pending_flows;
  uint32_t max_samples_per_datagram = decode::kSflowSamplesDefault;  // sFlow
  std::string counters_subject = "flows.counters.sflow";             // empty: not published
  std::string discards_subject = "flows.discards.sflow";
  uint64_t sampling_rate_default = 0;
  bool inline_names = false;

  uint16_t udp_port() const noexcept { return listen_addr ? listen_addr->port : port; }
};

inline constexpr uint32_t kExportersPerCoreMax = 1'000'000;
/// A core reserves address space for four times the exporters that it starts with, and for so many at least: up to there a
/// reload may raise their bound.
inline constexpr uint32_t kExportersRoomMin = 65'536;

/// What decoders may hold, over all cores (per core where it says so).
struct LimitsConfig {
  uint32_t exporters_per_core = 4096;
  uint32_t exporters_total = 65'536;  // divided among the cores
  uint64_t records_per_second = 0;    // of all exporters together; 0: no limit, as the next
  uint64_t records_per_second_per_exporter = 0;
  uint64_t packets_per_second_per_exporter = 0;
  uint32_t domains_per_exporter = 256;
  uint32_t names_per_exporter = 4096;
  uint64_t name_octets_per_exporter = 512ull << 10;
  uint64_t name_octets_total = 64ull << 20;
  uint64_t template_octets_total = 256ull << 20;
  uint64_t pending_octets_per_exporter = 1ull << 20;
  uint64_t pending_octets_total = 64ull << 20;
  uint32_t template_lifetime_secs = 0;  // 0: until evicted; where the listener says nothing else
  uint32_t tcp_sessions = 1024;
  uint32_t tcp_sessions_per_exporter = 8;
  uint32_t tcp_idle_timeout_secs = 1800;    // 0: never
  uint32_t tcp_message_timeout_secs = 30;
  uint32_t fragmented_datagrams = 256;  // of a core, each with room for 64 KiB
  uint32_t fragmented_datagrams_per_exporter = 32;
  uint32_t fragment_timeout_ms = 2000;
};

/// Sampling rates by exporter, where the operator knows better or the exporter says nothing.
struct SamplingRuleConfig {
  AddressPrefix exporters;
  uint64_t rate = 0;
};

struct SamplingConfig {
  std::vector<SamplingRuleConfig> override_;  // `override`
  std::vector<SamplingRuleConfig> defaults;   // `default`
};

/// What records of exporters under a prefix carry as their site, where names_file says nothing; the longest prefix wins.
struct SiteConfig {
  AddressPrefix exporters;
  std::string site;
};

/// Another collector that gets received datagrams.
struct ReplicateConfig {
  std::optional<SocketAddress> to;
  std::vector<std::string> listeners;  // names; empty: all
  bool spoof_source = false;
};

/// Whose datagrams are taken; the longest prefix decides. With nothing in `allow`: all that is not denied.
struct ExportersConfig {
  std::vector<AddressPrefix> allow;
  std::vector<AddressPrefix> deny;
  std::vector<SiteConfig> sites;
};

enum class PublisherKind : uint8_t { jetstream, standard_output, file, http, kafka, discard };
std::string_view name_of(PublisherKind kind) noexcept;  // jetstream, stdout (which is a macro), …
inline constexpr PublisherKind kPublisherKinds[] = {PublisherKind::jetstream, PublisherKind::standard_output,
                                                   PublisherKind::file, PublisherKind::http,
                                                   PublisherKind::kafka, PublisherKind::discard};

#define WEIR_OUTPUT_FORMATS(X) X(json) X(flow_batch)
WEIR_NAMED_ENUM(OutputFormat, uint8_t, WEIR_OUTPUT_FORMATS)

/// What cannot be published waits on disk, with drop_policy spool.
struct SpoolSettings {
  std::string dir;  // each publisher has a folder of its name there; empty: `spool` in state_dir
  uint64_t max_bytes = 1ull << 30;
  uint32_t max_age_secs = 0;  // 0: any age
  outbound::SpoolSync fsync = outbound::SpoolSync::interval;
};

/// The same of one publisher, where it differs.
struct PublisherSpoolSettings {
  std::optional<uint64_t> max_bytes;
  std::optional<uint32_t> max_age_secs;
  std::optional<outbound::SpoolSync> fsync;
};

struct PublisherConfig {
  std::string name;  // default: its kind; unique
  PublisherKind kind = PublisherKind::jetstream;
  std::optional<DropPolicy> drop_policy;  // else the appliance's, as the others
  std::optional<uint32_t> channel_size;
  PublisherSpoolSettings spool;
  OutputFormat format = OutputFormat::json;  // of stdout, file and http
  bool exporter_info = false;                // of stdout and file: tables of names too
  // file
  std::string path;
  uint64_t rotate_bytes = 0;
  uint32_t rotate_secs = 0;
  uint32_t keep_files = 0;
  // http
  std::string url;
  std::string token_file;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  uint32_t requests_max = 8;
  // kafka
  std::string brokers;
  std::string topic = "{subject}";
  service::TextMap options;
};

/// Tables of names, from exporters' options data and the operator's own file, on a stream of their own.
struct ExporterInfoConfig {
  std::string names_file;  // empty: none
  bool publish = true;  // where there is a jetstream publisher
  std::string stream_name = "flow_meta";
  std::string subject_prefix = "flows.meta";
  uint64_t stream_max_bytes = 256ull << 20;
};

/// Rules that label, name, drop, route and sample records.
struct ClassificationConfig {
  std::vector<std::string> rules;  // files, and folders of them
};

#define WEIR_SECURITY_MODES(X) X(none) X(tls) X(mtls)
WEIR_NAMED_ENUM(SecurityMode, uint8_t, WEIR_SECURITY_MODES)

/// Relative names are taken in cert_dir.
struct TlsFilesConfig {
  std::string cert_file;
  std::string key_file;
  std::string ca_file;  // empty: whom the system trusts
};

struct SecurityConfig {
  SecurityMode mode = SecurityMode::none;
  std::string cert_dir;
  std::string server_name;  // empty: the host of nats_url
  TlsFilesConfig tls;
};

struct ControlSocketConfig {
  std::string path = "/run/weir/control.sock";  // empty: none
  uint32_t mode = 0660;
  std::string group;  // of those who read; empty: the process's own
  std::string admin_group;  // of those who may change something; empty: root and who runs weir
};

struct ApplianceConfig {
  std::string user;   // that it is once ports are up; empty: as it was started
  std::string group;  // empty: the user's own
  std::vector<PortConfig> ports;
  std::vector<ListenerConfig> listeners;
  dataplane::EalConfig eal;
  dataplane::IdlePolicy idle = dataplane::IdlePolicy::adaptive;
  uint16_t socket_threads = 1;  // that receive from kernel sockets
  LimitsConfig limits;
  SamplingConfig sampling;
  ExportersConfig exporters;
  std::vector<ReplicateConfig> replicate;

  std::string nats_url = "nats://127.0.0.1:4222";  // several with commas
  std::string nats_creds_file;
  std::string nats_nkey_file;
  std::string nats_user;
  std::string nats_password;
  std::string nats_token;
  uint32_t nats_connections = 1;
  SecurityConfig security;
  std::string stream_name = "events";
  std::vector<std::string> stream_subjects;  // those of the listeners are always added
  uint64_t stream_max_bytes = 10ull << 30;
  uint32_t stream_replicas = 1;
  outbound::StreamStorage stream_storage = outbound::StreamStorage::file;
  outbound::StreamRetention stream_retention = outbound::StreamRetention::limits;
  uint32_t stream_max_age_secs = 0;  // 0: no limit
  uint32_t stream_duplicate_window_secs = 120;
  bool stream_adopt = false;
  uint32_t publish_timeout_ms = 5000;
  outbound::Framing framing = outbound::Framing::batch;
  outbound::Compression compression = outbound::Compression::none;

  uint32_t batch_bytes = 64 * 1024;
  uint32_t batch_size = 0;  // records; 0: no bound
  uint32_t batch_linger_ms = 50;
  bool fused = true;  // templates straight to wire octets, where nobody looks at the records
  uint64_t buffer_bytes = 256ull << 20;  // all open and sealed batches of all cores
  uint32_t channel_size = 10'000;  // waiting for one publisher, in export datagrams of 30 records
  DropPolicy drop_policy = DropPolicy::drop_newest;
  SpoolSettings spool;
  std::vector<PublisherConfig> publishers = {{.name = "jetstream"}};
  ExporterInfoConfig exporter_info;
  std::shared_ptr<const ExporterList> exporter_list;  // what names_file says; no key. Null: there is none

  ClassificationConfig classification;
  std::shared_ptr<const classify::RuleSet> rule_set;  // what its files say; no key. Null: there are none

  std::string partition = "default";
  std::string state_dir = "/var/lib/weir";  // empty: nothing is kept over a restart
  uint32_t state_interval_secs = 30;
  ControlSocketConfig control_socket;
  std::string metrics_addr;  // `127.0.0.1:50046`; empty: none
  service::LogConfig log;
  uint32_t shutdown_deadline_ms = 10'000;
};

inline constexpr uint32_t kRecordsPerChannelDatagram = 30;

/// Whether what the listener admits may be sFlow, which has subjects for more than flows.
bool admits_sflow(const ListenerConfig& listener) noexcept;

DropPolicy drop_policy_of(const ApplianceConfig& config, const PublisherConfig& publisher) noexcept;
/// The spool of a publisher: its folder and its bounds.
outbound::SpoolConfig spool_config(const ApplianceConfig& config, const PublisherConfig& publisher);

/// The subjects of all listeners, each once, as the publisher takes them, with {protocol} and {exporter}
/// still in them: RouteId is the place in this list.
std::vector<std::string> route_subjects(const ApplianceConfig& config);

/// What the stream must carry: stream_subjects and the routes', each once.
std::vector<std::string> all_stream_subjects(const ApplianceConfig& config);

/// An upper bound of the cores that decode with this configuration: those that receive, or their workers.
uint32_t decoding_cores(const ApplianceConfig& config);
/// Exporters that each of them keeps state of: its share of all, and no more than a core may.
uint32_t exporters_of_core(const ApplianceConfig& config);

/// Which listener has which id, and which subject which route: what is added comes behind what was
/// there, and what is gone keeps its place, for batches and waiting data refer to it.
struct Numbering {
  Numbering() = default;
  explicit Numbering(const ApplianceConfig& config);
  void extend(const ApplianceConfig& config);
  /// Whether each has a number of its own: what is gone keeps its place until a restart.
  bool fits() const noexcept { return listeners.size() <= UINT16_MAX && subjects.size() <= UINT16_MAX; }

  std::vector<std::string> listeners;
  std::vector<std::string> subjects;
};

/// Everything below the control thread. The caller draws decoder.hash_seed.
/// CPUs that ports of kind socket name, each once.
std::vector<unsigned> socket_lcores(const ApplianceConfig& config);
dataplane::DataPlaneConfig data_plane_config(const ApplianceConfig& config);
dataplane::DataPlaneConfig data_plane_config(const ApplianceConfig& config,
                                             const Numbering& numbers);

service::HttpServerConfig http_server_config(const ApplianceConfig& config);

/// What is made for `user` where it is missing: the folders of the state, the spool and the control socket.
std::vector<service::OwnFolder> own_folders(const ApplianceConfig& config);

struct LoadedConfig {
  ApplianceConfig config;
  service::Origins origins;
  std::vector<std::string> warnings;  // one line each, for the log
};

/// What reading a configuration leaves in its state_dir: whoever only asks whether it is right leaves nothing there.
enum class Keeping : uint8_t { nothing, compiled_patterns };

/// Reads the file, applies `environment` (`NAME=value` each; usually environ) and checks the whole.
Result<LoadedConfig> load_config(const std::string& path, std::span<const char* const> environment,
                                 Keeping keeping = Keeping::nothing);

/// What it says by itself, unchecked: who is to read and check it, and where that one keeps what. Where it cannot be read,
/// load_config says why.
ApplianceConfig glance_at_config(const std::string& path, std::span<const char* const> environment);

/// The same from text; `name` stands for the file in messages.
Result<LoadedConfig> read_config(std::string_view text, const std::string& name,
                                 std::span<const char* const> environment,
                                 Keeping keeping = Keeping::nothing);

/// `netflow://:2055`, `sflow://192.0.2.1:6343`, `any://[::1]:9995`: kernel sockets, standard
/// output, no EAL, no broker, no control socket, nothing kept.
Result<LoadedConfig> config_from_listen_urls(std::span<const std::string> urls,
                                             std::string_view format,
                                             std::span<const char* const> environment = {});

/// Which keys there are: for reading, for `weir check` and for docs/CONFIG.md.
const service::Schema<ApplianceConfig>& appliance_schema();

/// The environment of this process.
using service::process_environment;

}  // namespace weir::control
