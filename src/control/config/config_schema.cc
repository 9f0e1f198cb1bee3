// Which keys there are, what each may hold, and what it means: the table behind reading, `weir check` and
// the documentation.
#include <fmt/format.h>

#include "base/utf8.h"
#include "control/config/config.h"
#include "control/config/config_values.h"
#include "export/jetstream_connection.h"
#include "export/kafka.h"
#include "packet/reassembly.h"

namespace weir::control {
namespace {

using service::choice;
using service::duration;
using service::integer;
using service::named_choice;
using service::Schema;
using service::Secrecy;
using service::size;
using service::text_where;

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSec = 1'000'000'000;
constexpr const char* kNotYet = "is not supported yet";
constexpr uint64_t kCpuMax = 1023;

const Schema<dataplane::ExceptionConfig>& exception_schema() {
  using dataplane::ExceptionConfig;
  static const auto schema =
      Schema<ExceptionConfig>()
          .key("interface", &ExceptionConfig::interface, interface_name(),
               "Name of the interface that Weir makes (a TAP, with the device's MAC address); empty: such frames are "
               "dropped.")
          .list("addresses", &ExceptionConfig::addresses, interface_address(),
                "Set on it. Routes are the host's to set.")
          .key("mtu", &ExceptionConfig::mtu, integer<uint16_t>(0, 9600), "Its MTU; 0: the device's.")
          .key("vlan", &ExceptionConfig::vlan, integer<uint16_t>(0, 4094),
               "Only frames of this VLAN, which the interface has without their tag; 0: all, as they are.")
          .key("frames_per_second", &ExceptionConfig::frames_per_second, integer<uint32_t>(100, 1'000'000),
               "Frames that may go to the kernel from each queue. Of a burst a quarter is kept for ARP and neighbour "
               "discovery, and a half from UDP.")
          .key("to_wire_per_second", &ExceptionConfig::to_wire_per_second, integer<uint32_t>(0, 10'000'000),
               "Frames that the kernel may send by it, replicas among them; beyond that it drops. 0: as many as the "
               "thread for it carries.");
  return schema;
}

const Schema<PortConfig>& port_schema() {
  static const auto schema =
      Schema<PortConfig>()
          .key("name", &PortConfig::name, name_text(),
               "What the port is called in tables and metrics; p0, p1, … by default.")
          .key("kind", &PortConfig::kind, named_choice<PortKind>(),
               "dpdk: a device that DPDK drives, past the kernel. socket: kernel sockets, one for "
               "each "
               "listener that has no listen_addr of its own.")
          .key("device", &PortConfig::device, service::any_text(),
               "Of a dpdk port: a PCI address (0000:01:00.0, of a NIC or an SR-IOV virtual "
               "function) or "
               "a virtual device with its arguments (net_af_packet0,iface=eth0).")
          .key("queues", &PortConfig::queues, integer<uint16_t>(1, 64),
               "Receive queues, among which the device spreads exporters (RSS on source address).")
          .list("lcores", &PortConfig::lcores, integer<unsigned>(0, kCpuMax),
                "CPUs that serve the queues, one for each queue in turn; chosen when empty, of the device's NUMA node where there are. Of kind "
                "socket: of the socket_threads, which all ports share; when empty they are pinned only where weir has CPUs of its own.")
          .key("workers", &PortConfig::workers, integer<uint16_t>(0, 64),
               "Cores that decode what those of the queues receive, each some of the exporters: where the device cannot "
               "spread them, or one core is too little. 0: who receives decodes.")
          .list("worker_lcores", &PortConfig::worker_lcores, integer<unsigned>(0, kCpuMax),
                "CPUs of the workers, one for each; chosen when empty.")
          .key("rx_descriptors", &PortConfig::rx_descriptors, integer<uint16_t>(0, 32'768),
               "Descriptors of each receive queue, 64 at least; 0: 1024, and up to 4096 where a NIC is faster than 10 Gbit/s and memory_mb holds them.")
          .key("mbufs", &PortConfig::mbufs, integer<uint32_t>(0, 8'388'607),
               "Packet buffers of each queue; 0: what rings and bursts need.")
          .key("data_room_bytes", &PortConfig::data_room_bytes, size<uint32_t>(0, 65'535),
               "Room of a packet buffer; 0: what the device's largest frame needs.")
          .key("promiscuous", &PortConfig::promiscuous, service::boolean(),
               "Take frames for other MAC addresses too.")
          .key("device_stamps", &PortConfig::device_stamps, service::boolean(),
               "Have the device note when frames come in, where it can; several drivers receive more slowly then.")
          .key("mtu", &PortConfig::mtu, integer<uint16_t>(0, 9728),
               "Of a PCI device: how long a packet it takes; longer ones it drops. 0: as its driver has it, which is 1500.")
          .key("checksums", &PortConfig::checksums,
               choice<packet::ChecksumPolicy::Check>({{"skip", packet::ChecksumPolicy::Check::skip},
                                                      {"verify", packet::ChecksumPolicy::Check::verify}}),
               "Of a dpdk port: verify drops export traffic whose IPv4 header's or UDP checksum is wrong.")
          .list("vlans", &PortConfig::vlans, integer<uint16_t>(0, 4094),
                "Of a dpdk port: the VLANs that export traffic may come in, 0 for what has no tag; empty: all.")
          .object("exception", &PortConfig::exception, exception_schema(),
                  "Of a dpdk port: an interface of the kernel's that takes what is no export traffic (ARP, ping, SSH), "
                  "and sends by the device.")
          .key("address", &PortConfig::address, ip_address(),
               "Of a socket port: the address on which its sockets listen.");
  return schema;
}

const Schema<PendingFlowsConfig>& pending_flows_schema() {
  static const auto schema =
      Schema<PendingFlowsConfig>()
          .key("max_pending_flows", &PendingFlowsConfig::max_pending_flows,
               integer<uint32_t>(1, 10'000),
               "Sets of one exporter that may wait for their template.")
          .key("max_entries_per_template", &PendingFlowsConfig::max_entries_per_template,
               integer<uint32_t>(1, 100'000), "Sets that may wait for one template.")
          .key("max_entry_size_bytes", &PendingFlowsConfig::max_entry_size_bytes,
               size<uint32_t>(1, 1'048'576),
               "The largest set that may wait; none exceeds 65,535 octets.")
          .key("ttl_secs", &PendingFlowsConfig::ttl_secs, duration<uint32_t>(kSec, 1, 3600),
               "How long a set waits before it counts as expired.");
  return schema;
}

const Schema<ListenerConfig>& listener_schema() {
  static const auto schema =
      Schema<ListenerConfig>()
          .key("name", &ListenerConfig::name, name_text(),
               "What the listener is called in tables and metrics; its protocol by default.")
          .key("protocol", &ListenerConfig::protocol, protocol_type(),
               "What is admitted: netflow (v1, v5, v7, v9 and IPFIX, told apart by content), "
               "ipfix, sflow, "
               "or any.")
          .key("port", &ListenerConfig::port, integer<uint16_t>(1),
               "The UDP port, on every port of `ports`. Or say listen_addr.")
          .key("listen_addr", &ListenerConfig::listen_addr,
               service::optional_of(udp_address(), "none"),
               "Opens a kernel socket for this listener. DPDK ports serve its UDP port as well.")
          .key("tcp", &ListenerConfig::tcp, service::boolean(),
               "Its kernel sockets take IPFIX over TCP too, at the same address and port.")
          .key("subject", &ListenerConfig::subject,
               text_where(
                   "a NATS subject without wildcards, such as flows.raw.netflow; {protocol}, {exporter} and "
                   "{partition} may be parts of its tokens",
                   is_subject_template),
               "Where its records are published; flows.raw.sflow for sflow, else flows.raw.netflow "
               "by default.")
          .key("buffer_size", &ListenerConfig::buffer_size, size<uint32_t>(4096, 1u << 30),
               "Receive buffer of its kernel sockets (SO_RCVBUF; the kernel's rmem_max bounds it).")
          .key("max_templates", &ListenerConfig::max_templates, integer<uint32_t>(1, 65'536),
               "Templates kept of an exporter that sends here; the least recently used goes.")
          .key("max_template_fields", &ListenerConfig::max_template_fields,
               integer<uint32_t>(1, decode::kTemplateFieldsLimit),
               "Fields that a template may have.")
          .key(
              "template_lifetime_secs", &ListenerConfig::template_lifetime_secs,
              service::optional_of(duration<uint32_t>(kSec, 0, 30 * 86'400), "inherit"),
              "A template that is not refreshed for so long is forgotten; 0: never. That of limits "
              "by default.")
          .object("pending_flows", &ListenerConfig::pending_flows, pending_flows_schema(),
                  "Data that came ahead of its template.")
          .key("max_samples_per_datagram", &ListenerConfig::max_samples_per_datagram,
               integer<uint32_t>(1, decode::kSflowSamplesLimit),
               "Samples of an sFlow datagram that are read; the rest is skipped and counted.")
          .key("counters_subject", &ListenerConfig::counters_subject, subject_or_nothing(),
               "Where sFlow's counter samples are published; empty: nowhere.")
          .key("discards_subject", &ListenerConfig::discards_subject, subject_or_nothing(),
               "Where sFlow's discarded packets are published; empty: nowhere.")
          .key("sampling_rate_default", &ListenerConfig::sampling_rate_default,
               integer<uint64_t>(0, UINT32_MAX),
               "Packets represented by one sampled, where the exporter does not say; 0: unknown.")
          .key("inline_names", &ListenerConfig::inline_names, service::boolean(),
               "Records carry the names of interfaces, VRFs and applications that "
               "exporter_info.names_file or options data gave.");
  return schema;
}

const Schema<dataplane::EalConfig>& eal_schema() {
  using dataplane::EalConfig;
  static const auto schema =
      Schema<EalConfig>()
          .key("hugepages", &EalConfig::hugepages, service::boolean(),
               "Take DPDK's memory from hugepages (scripts/hugepages); PCI devices need them.")
          .key("memory_mb", &EalConfig::memory_mb, integer<uint32_t>(64, 1u << 20),
               "MiB for packet buffers and rings.")
          .key("file_prefix", &EalConfig::file_prefix,
               text_where("a name of letters, digits, - and _, or nothing",
                          [](std::string_view text) { return text.empty() || is_name(text); }),
               "Tells several DPDK programs on one machine apart; empty: nothing is shared.")
          .key("main_lcore", &EalConfig::main_lcore,
               service::optional_of(integer<unsigned>(0, kCpuMax), "auto"),
               "CPU of the control thread; the first allowed one by default.")
          .list("extra_args", &EalConfig::extra_args, service::any_text(),
                "More arguments for DPDK, passed on as they are.");
  return schema;
}

const Schema<LimitsConfig>& limits_schema() {
  static const auto schema =
      Schema<LimitsConfig>()
          .key("exporters_per_core", &LimitsConfig::exporters_per_core,
               integer<uint32_t>(1, kExportersPerCoreMax),
               "Exporters that a core keeps state of. A full table refuses newcomers while all are at work. A reload may raise it to four times "
               "what the start had, or 65536; below what is there it is met as exporters fall silent.")
          .key("records_per_second", &LimitsConfig::records_per_second,
               integer<uint64_t>(0, 1ull << 40),
               "Records that are taken of all exporters together; what is beyond is dropped before it is "
               "encoded, and counted. 0: no limit.")
          .key("records_per_second_per_exporter", &LimitsConfig::records_per_second_per_exporter,
               integer<uint64_t>(0, 1ull << 40), "The same of each exporter.")
          .key("packets_per_second_per_exporter", &LimitsConfig::packets_per_second_per_exporter,
               integer<uint64_t>(0, 1ull << 40),
               "Datagrams that are taken of each exporter; what is beyond is rejected before it is decoded, and counted "
               "(rate_limited). 0: no limit. TCP sessions have none: they are read no faster than all others.")
          .key("exporters_total", &LimitsConfig::exporters_total,
               integer<uint32_t>(1, 16'000'000),
               "The same over all cores: each has an equal share, one at least.")
          .key("domains_per_exporter", &LimitsConfig::domains_per_exporter,
               integer<uint32_t>(1, 65'536), "Observation domains (v9: source ids) of an exporter.")
          .key(
              "names_per_exporter", &LimitsConfig::names_per_exporter, integer<uint32_t>(0, 65'536),
              "Names of interfaces, VRFs, applications and samplers that are known of an exporter.")
          .key("name_octets_per_exporter", &LimitsConfig::name_octets_per_exporter,
               size<uint64_t>(0, 64 << 20), "Memory for them; one message holds them all.")
          .key("name_octets_total", &LimitsConfig::name_octets_total, size<uint64_t>(0, 1ull << 40),
               "The same over all exporters; whose names changed longest ago is forgotten.")
          .key("template_octets_total", &LimitsConfig::template_octets_total,
               size<uint64_t>(1 << 20, 1ull << 40),
               "Memory for templates, over all cores; half is kept for exporters in equal parts.")
          .key("pending_octets_per_exporter", &LimitsConfig::pending_octets_per_exporter,
               size<uint64_t>(0, 1ull << 40), "Octets of one exporter that may wait for templates.")
          .key("pending_octets_total", &LimitsConfig::pending_octets_total,
               size<uint64_t>(0, 1ull << 40),
               "Octets that may wait for templates, over all cores; half is kept likewise.")
          .key("template_lifetime_secs", &LimitsConfig::template_lifetime_secs,
               duration<uint32_t>(kSec, 0, 30 * 86'400),
               "A template that is not refreshed for so long is forgotten, where the listener says "
               "nothing else; 0: never.")
          .key("tcp_sessions", &LimitsConfig::tcp_sessions, integer<uint32_t>(1, 16'384),
               "TCP sessions of all exporters, divided among the socket_threads, with up to 64 KiB of memory for each; "
               "what is beyond is refused, or has a place that an idle one gives up. The process needs as many file descriptors.")
          .key("tcp_sessions_per_exporter", &LimitsConfig::tcp_sessions_per_exporter, integer<uint32_t>(1, 16'384),
               "The same of one exporter.")
          .key("tcp_idle_timeout_secs", &LimitsConfig::tcp_idle_timeout_secs, duration<uint32_t>(kSec, 0, 30 * 86'400),
               "A TCP session in which no whole message came for so long is closed; 0: none is.")
          .key("tcp_message_timeout_secs", &LimitsConfig::tcp_message_timeout_secs, duration<uint32_t>(kSec, 1, 3600),
               "So long a message may take over TCP, from its first octet to its last.")
          .key("fragmented_datagrams", &LimitsConfig::fragmented_datagrams,
               integer<uint32_t>(1, packet::ReassemblyLimits::kDatagramsMax),
               "Datagrams of which a core may hold IP fragments, with 64 KiB of memory for each that is "
               "used; the oldest goes. The kernel does this for socket ports.")
          .key("fragmented_datagrams_per_exporter", &LimitsConfig::fragmented_datagrams_per_exporter,
               integer<uint32_t>(1, packet::ReassemblyLimits::kDatagramsMax), "The same of one exporter.")
          .key("fragment_timeout_ms", &LimitsConfig::fragment_timeout_ms,
               duration<uint32_t>(kMs, 1, 60'000),
               "A datagram whose fragments did not all come in this time is given up.");
  return schema;
}

const Schema<SamplingRuleConfig>& sampling_rule_schema() {
  static const auto schema =
      Schema<SamplingRuleConfig>()
          .key("exporters", &SamplingRuleConfig::exporters, address_prefix(),
               "The exporters, by the source address of their datagrams; the longest prefix wins.")
          .key("rate", &SamplingRuleConfig::rate, integer<uint64_t>(1, UINT32_MAX),
               "Packets represented by one sampled.");
  return schema;
}

const Schema<SamplingConfig>& sampling_schema() {
  static const auto schema =
      Schema<SamplingConfig>()
          .objects("override", &SamplingConfig::override_, sampling_rule_schema(),
                   "Rates that hold whatever the exporter says.")
          .objects("default", &SamplingConfig::defaults, sampling_rule_schema(),
                   "Rates where the exporter does not say; before sampling_rate_default.");
  return schema;
}

/// As names_file wants it: what is no UTF-8, protobuf would refuse.
bool is_site(std::string_view text) {
  const auto* const p = reinterpret_cast<const uint8_t*>(text.data());
  for (size_t i = 0; i < text.size();) {
    const size_t octets = utf8_character_octets(p + i, text.size() - i);
    const bool is_control = p[i] < 0x20 || p[i] == 0x7f || (p[i] == 0xc2 && octets == 2 && p[i + 1] < 0xa0);
    if (octets == 0 || is_control) return false;
    i += octets;
  }
  return !text.empty() && text.size() <= kExporterListFieldOctetsMax;
}

const Schema<SiteConfig>& site_schema() {
  static const auto schema =
      Schema<SiteConfig>()
          .key("exporters", &SiteConfig::exporters, address_prefix(),
               "The exporters, by the source address of their datagrams; the longest prefix wins.")
          .key("site", &SiteConfig::site,
               text_where(fmt::format("1 to {} octets of UTF-8 without control characters", kExporterListFieldOctetsMax), is_site),
               "What their records and `weirctl exporters` show as their site, where names_file says nothing.");
  return schema;
}

const Schema<ReplicateConfig>& replicate_schema() {
  static const auto schema =
      Schema<ReplicateConfig>()
          .key("to", &ReplicateConfig::to, service::optional_of(udp_address(), "none"),
               "Where received datagrams go as well: another collector's address and port.")
          .list("listeners", &ReplicateConfig::listeners, name_text(),
                "What comes by these listeners; empty: by all.")
          .key("spoof_source", &ReplicateConfig::spoof_source, service::boolean(),
               "From the exporter's own address and port, as if it had sent them itself; needs CAP_NET_RAW. Else from ours.");
  return schema;
}

const Schema<ExportersConfig>& exporters_schema() {
  using C = ExportersConfig;
  static const auto schema =
      Schema<C>()
          .list("allow", &C::allow, address_prefix(),
                "Whose datagrams are taken, by their source address; empty: all that are not denied.")
          .list("deny", &C::deny, address_prefix(),
                "Whose are not; of all prefixes here and above the longest decides. What is refused "
                "is counted (exporter_not_allowed).")
          .objects("sites", &C::sites, site_schema(), "Where exporters are, by prefix.");
  return schema;
}

const Schema<SpoolSettings>& spool_schema() {
  using C = SpoolSettings;
  static const auto schema =
      Schema<C>()
          .key("dir", &C::dir, service::any_text(),
               "Each publisher has a folder of its name there; empty: spool in state_dir.")
          .key("max_bytes", &C::max_bytes, size<uint64_t>(1 << 20, 1ull << 50),
               "How much a publisher's spool takes; what finds no room is lost, and counted.")
          .key("max_age_secs", &C::max_age_secs, duration<uint32_t>(kSec, 0, UINT32_MAX),
               "What is older is not published any more; 0: any age.")
          .key("fsync", &C::fsync, named_choice<outbound::SpoolSync>(),
               "When what is written is made to survive a power cut: never, about once a second "
               "(interval), or each batch.");
  return schema;
}

const Schema<PublisherSpoolSettings>& publisher_spool_schema() {
  using C = PublisherSpoolSettings;
  static const auto schema =
      Schema<C>()
          .key("max_bytes", &C::max_bytes,
               service::optional_of(size<uint64_t>(1 << 20, 1ull << 50), "inherit"),
               "How much it takes.")
          .key("max_age_secs", &C::max_age_secs,
               service::optional_of(duration<uint32_t>(kSec, 0, UINT32_MAX), "inherit"),
               "What is older is not published any more; 0: any age.")
          .key("fsync", &C::fsync,
               service::optional_of(named_choice<outbound::SpoolSync>(), "inherit"),
               "When what is written is made to survive a power cut.");
  return schema;
}

const Schema<PublisherConfig>& publisher_schema() {
  static const auto schema =
      Schema<PublisherConfig>()
          .key("name", &PublisherConfig::name, name_text(),
               "What the publisher is called in tables and metrics; its kind by default.")
          .key("kind", &PublisherConfig::kind,
               choice<PublisherKind>({{"jetstream", PublisherKind::jetstream},
                                      {"stdout", PublisherKind::standard_output},
                                      {"file", PublisherKind::file},
                                      {"http", PublisherKind::http},
                                      {"kafka", PublisherKind::kafka},
                                      {"discard", PublisherKind::discard}}),
               "jetstream: NATS JetStream, acknowledged. stdout, file: what the kernel has taken is "
               "acknowledged. http: what the server answers with 2xx. kafka: what all "
               "replicas have. discard: it is thrown away, for measuring.")
          .key("drop_policy", &PublisherConfig::drop_policy,
               service::optional_of(named_choice<DropPolicy>(), "inherit"),
               "When its channel is full; that of the appliance by default.")
          .key("channel_size", &PublisherConfig::channel_size,
               service::optional_of(integer<uint32_t>(1, 100'000'000), "inherit"),
               "How much may wait for it, in export datagrams of 30 records.")
          .object("spool", &PublisherConfig::spool, publisher_spool_schema(),
                  "Of its spool, where it differs.")
          .key("format", &PublisherConfig::format, named_choice<OutputFormat>(),
               "Of stdout, file and http: json, one object a line; flow_batch, FlowBatches (in a file "
               "one behind the other, which together are one).")
          .key("exporter_info", &PublisherConfig::exporter_info, service::boolean(),
               "Of stdout and file: tables of names too, where they change, as lines of type "
               "EXPORTER_INFO.")
          .key("path", &PublisherConfig::path, service::any_text(),
               "Of file: where it is; it is appended to, and opened anew at SIGHUP.")
          .key("rotate_bytes", &PublisherConfig::rotate_bytes, size<uint64_t>(0, 1ull << 50),
               "Of file: set aside before it grows beyond this (flows.jsonl as "
               "flows-20261120T160000.000Z.jsonl); 0: whatever its size.")
          .key("rotate_secs", &PublisherConfig::rotate_secs, duration<uint32_t>(kSec, 0, 366 * 86'400),
               "Of file: set aside when it is so old; 0: whatever its age.")
          .key("keep_files", &PublisherConfig::keep_files, integer<uint32_t>(0, 1'000'000),
               "Of file: how many of those set aside are kept; 0: all.")
          .key("url", &PublisherConfig::url, service::any_text(),
               "Of http: where batches are posted to, http:// or https://.", {Secrecy::url, ""})
          .key("token_file", &PublisherConfig::token_file, service::any_text(),
               "Of http: file of a bearer token, read again when it changes; empty: none is sent.")
          .key("ca_file", &PublisherConfig::ca_file, service::any_text(),
               "Of http: certificates of the authorities that may have signed the server's; empty: the "
               "system's.")
          .key("cert_file", &PublisherConfig::cert_file, service::any_text(),
               "Of http: certificate that is shown to the server; empty: none.")
          .key("key_file", &PublisherConfig::key_file, service::any_text(),
               "Of http: its private key.")
          .key("requests_max", &PublisherConfig::requests_max, integer<uint32_t>(1, 256),
               "Of http: requests under way at once.")
          .key("brokers", &PublisherConfig::brokers, service::any_text(),
               "Of kafka: where the cluster is first asked, host:9092, several with commas.")
          .key("topic", &PublisherConfig::topic,
               text_where("a topic's name, in which {subject} stands for the subject", is_topic_pattern),
               "Of kafka: the topic.")
          .text_map("options", &PublisherConfig::options, outbound::kafka_option_is_secret,
                    "Of kafka: properties of librdkafka as they are, such as security.protocol, "
                    "sasl.mechanisms, compression.codec, message.max.bytes.");
  return schema;
}

const Schema<ExporterInfoConfig>& exporter_info_schema() {
  using C = ExporterInfoConfig;
  static const auto schema =
      Schema<C>()
          .key("names_file", &C::names_file, service::any_text(),
               "Names of exporters and interfaces that go before those of options data: a file of comma-separated "
               "values, such as /etc/weir/exporters.csv; empty: none.")
          .key("publish", &C::publish, service::boolean(),
               "Publish tables of names when they change, with the jetstream publisher.")
          .key("stream_name", &C::stream_name, name_text(),
               "Their stream; created if absent. It keeps the newest message of each subject.")
          .key("subject_prefix", &C::subject_prefix,
               text_where("a NATS subject without wildcards and placeholders, not under flows.raw",
                          [](std::string_view text) {
                            return is_subject(text, "") && text != "flows.raw" &&
                                   text.substr(0, 10) != "flows.raw.";
                          }),
               "Their subjects; the exporter's address follows, with - for . and :.")
          .key("stream_max_bytes", &C::stream_max_bytes, size<uint64_t>(1 << 10, 1ull << 50),
               "Of a stream that is created: how large it grows before the oldest goes.");
  return schema;
}

const Schema<ClassificationConfig>& classification_schema() {
  static const auto schema =
      Schema<ClassificationConfig>().list("rules", &ClassificationConfig::rules, service::any_text(),
                                          "Files of rules (docs/CLASSIFICATION.md), and folders of which all files that end "
                                          "in .yaml are read, such as /etc/weir/rules; empty: records are not classified.");
  return schema;
}

const Schema<TlsFilesConfig>& tls_files_schema() {
  using C = TlsFilesConfig;
  constexpr const char* kOfServers = "it is for programs that others connect to";
  static const auto schema =
      Schema<C>()
          .key("cert_file", &C::cert_file, service::any_text(),
               "Of mtls: our certificate (PEM), and behind it what leads to its CA.")
          .key("key_file", &C::key_file, service::any_text(),
               "Of mtls: its private key (PEM), without a passphrase.")
          .key("ca_file", &C::ca_file, service::any_text(),
               "The CAs (PEM) of which one must have issued the server's certificate; empty: those "
               "that the system trusts.")
          .ignored("client_ca_file", kOfServers);
  return schema;
}

const Schema<SecurityConfig>& security_schema() {
  using C = SecurityConfig;
  constexpr const char* kOfSpiffe = "it belongs to mode spiffe";
  static const auto schema =
      Schema<C>()
          .key("mode", &C::mode, named_choice<SecurityMode>({{"spiffe", kNotYet}}),
               "none: TLS only if the server demands it. tls: never without; the server's certificate "
               "is verified. mtls: the same, and we show ours.")
          .key("cert_dir", &C::cert_dir, service::any_text(),
               "Where the files of tls lie whose names do not begin with /.")
          .key("server_name", &C::server_name, service::any_text(),
               "The name that the server's certificate must have; empty: the host of nats_url.")
          .object("tls", &C::tls, tls_files_schema(),
                  "Files. One that is replaced is taken without a restart.")
          .ignored("role", kOfSpiffe)
          .ignored("trust_domain", kOfSpiffe)
          .ignored("server_spiffe_id", kOfSpiffe)
          .ignored("workload_socket", kOfSpiffe);
  return schema;
}

const Schema<ControlSocketConfig>& control_socket_schema() {
  static const auto schema =
      Schema<ControlSocketConfig>()
          .key("path", &ControlSocketConfig::path, service::any_text(),
               "The unix socket of the REST interface and weirctl; empty: none.")
          .key("mode", &ControlSocketConfig::mode, file_mode(), "Its file mode: who may connect.")
          .key("group", &ControlSocketConfig::group, service::any_text(),
               "The group it belongs to, whose members may read; empty: the process's own, and "
               "whoever may connect.")
          .key("admin_group", &ControlSocketConfig::admin_group, service::any_text(),
               "The group whose members may change something too (weirctl reload, log-level); root "
               "and who runs weir always may. They must be able to connect: be members of `group` "
               "as well, or have a `mode` of 0666.");
  return schema;
}

const Schema<service::LogConfig>& log_schema() {
  using service::LogConfig;
  static const auto schema =
      Schema<LogConfig>()
          .key("level", &LogConfig::level, named_choice<service::LogLevel>(),
               "The least important messages that are written.")
          .key("format", &LogConfig::format, named_choice<service::LogFormat>(),
               "text for people, json for log collectors; both on standard error.");
  return schema;
}

}  // namespace

const service::Schema<ApplianceConfig>& appliance_schema() {
  using C = ApplianceConfig;
  static const auto schema =
      Schema<C>()
          .key("user", &C::user, service::any_text(),
               "Who weir is once ports are up, where root starts it, by name or number; empty: who starts it.")
          .key("group", &C::group, service::any_text(), "The group with it; empty: the user's own.")
          .objects("ports", &C::ports, port_schema(), "Where packets come from.")
          .objects("listeners", &C::listeners, listener_schema(), "What is listened for.")
          .object("eal", &C::eal, eal_schema(), "DPDK's environment; used only with a dpdk port.")
          .key("socket_threads", &C::socket_threads, integer<uint16_t>(1, dataplane::kSocketThreadsMax),
               "Threads that receive from kernel sockets, each some of the exporters, by source address.")
          .key("idle", &C::idle,
               choice<dataplane::IdlePolicy>({{"adaptive", dataplane::IdlePolicy::adaptive},
                                              {"interrupt", dataplane::IdlePolicy::interrupt},
                                              {"poll", dataplane::IdlePolicy::poll}}),
               "What a core does with nothing to receive: adaptive gives the CPU back, and lets packets gather where that pays; "
               "interrupt sleeps until the device has one, as adaptive where it cannot say so; poll burns the CPU for latency.")
          .object("limits", &C::limits, limits_schema(), "What decoders may hold.")
          .object("sampling", &C::sampling, sampling_schema(), "Sampling rates by exporter.")
          .object("exporters", &C::exporters, exporters_schema(), "Whose datagrams are taken.")
          .objects("replicate", &C::replicate, replicate_schema(), "Other collectors that get received datagrams too.")
          .key("nats_url", &C::nats_url,
               text_where("nats:// or tls://[user:password@]host[:port] with a port from 1 to 65535, several with commas",
                          is_nats_url_list),
               "The NATS servers. NATS_URL in the environment sets it too.",
               {Secrecy::url, "NATS_URL"})
          .key("nats_creds_file", &C::nats_creds_file, service::any_text(),
               "NATS credentials file (JWT and seed); empty: none.")
          .key("nats_nkey_file", &C::nats_nkey_file, service::any_text(),
               "File with the NKey seed of a user; empty: none.")
          .key("nats_user", &C::nats_user, service::any_text(), "User; empty: none.")
          .key("nats_password", &C::nats_password, service::any_text(),
               "The user's password; better in the environment.", {Secrecy::secret, ""})
          .key("nats_token", &C::nats_token, service::any_text(),
               "Token; better in the environment; empty: none.", {Secrecy::secret, ""})
          .key("nats_connections", &C::nats_connections, integer<uint32_t>(1, outbound::kJetStreamConnectionsMax),
               "Over so many connections batches go to a stream: more than one where a server has CPUs to spare for each, or "
               "TLS is what holds.")
          .object("security", &C::security, security_schema(),
                  "Protection of the connection to NATS.")
          .key("stream_name", &C::stream_name, name_text(),
               "The JetStream stream; created if absent.")
          .list("stream_subjects", &C::stream_subjects,
                text_where("a NATS subject; * and > are allowed",
                           [](std::string_view text) { return is_subject(text, "*>"); }),
                "Subjects of the stream; those of the listeners are always added.")
          .key("stream_max_bytes", &C::stream_max_bytes, size<uint64_t>(1 << 10, 1ull << 50),
               "Of a stream that is created: how large it grows before the oldest goes.")
          .key("stream_replicas", &C::stream_replicas, integer<uint32_t>(1, 5),
               "Of a stream that is created: on how many servers it is kept.")
          .key("stream_storage", &C::stream_storage, named_choice<outbound::StreamStorage>(),
               "Of a stream that is created.")
          .key("stream_retention", &C::stream_retention, named_choice<outbound::StreamRetention>(),
               "Of a stream that is created: limits keeps messages until it is full or they are too "
               "old, workqueue until a consumer has acknowledged them, interest until all have.")
          .key("stream_max_age_secs", &C::stream_max_age_secs,
               duration<uint32_t>(kSec, 0, UINT32_MAX),
               "Of a stream that is created: how old its messages grow; 0: no limit.")
          .key("stream_duplicate_window_secs", &C::stream_duplicate_window_secs,
               duration<uint32_t>(kSec, 1, 86'400),
               "Of a stream that is created: how long it knows a message by its id. It should be "
               "longer than a broker is away.")
          .key("stream_adopt", &C::stream_adopt, service::boolean(),
               "Where another stream has one of the subjects: publish into that one.")
          .key("publish_timeout_ms", &C::publish_timeout_ms, duration<uint32_t>(kMs, 10, 600'000),
               "How long an acknowledgement may take before the message is sent again.")
          .key("framing", &C::framing,
               choice<outbound::Framing>({{"batch", outbound::Framing::batch},
                                          {"single", outbound::Framing::single},
                                          {"delimited", outbound::Framing::delimited},
                                          {"netflow_record", outbound::Framing::netflow_record}},
                                         {{"json", kNotYet}}),
               "batch: a FlowBatch a message. single: a FlowMessage a message. delimited: FlowMessages, "
               "each behind its length. netflow_record: a NetFlowRecord a message.")
          .key("compression", &C::compression, named_choice<outbound::Compression>(),
               "Of messages that hold many records.")
          .key("batch_bytes", &C::batch_bytes, size<uint32_t>(4096, 16u << 20),
               "A batch is sealed when it holds so many octets,")
          .key("batch_size", &C::batch_size, integer<uint32_t>(0, 1'000'000),
               "so many records (0: no bound),")
          .key("batch_linger_ms", &C::batch_linger_ms, duration<uint32_t>(kMs, 1, 60'000),
               "or when its first record has waited so long.")
          .key("fused", &C::fused, service::boolean(),
               "Records that nobody looks at go straight from a template's octets to those of a batch, which is "
               "shorter by a quarter and more; what comes out is the same. false: all by the ordinary way.")
          .key("buffer_bytes", &C::buffer_bytes, size<uint64_t>(64 << 10, 1ull << 40),
               "Memory for all batches, open and under way, divided among the receive cores.")
          .key("channel_size", &C::channel_size, integer<uint32_t>(1, 100'000'000),
               "How much may wait for a publisher, in export datagrams of 30 records.")
          .key("drop_policy", &C::drop_policy,
               named_choice<DropPolicy>(),
               "When a publisher's channel is full: drop_newest and drop_oldest lose a batch, and count "
               "it; block lets the receive cores wait, and the NIC's queues drop; spool writes to disk.")
          .object("spool", &C::spool, spool_schema(), "For drop_policy spool.")
          .objects("publishers", &C::publishers, publisher_schema(),
                   "Who gets every record; one jetstream by default.")
          .object("exporter_info", &C::exporter_info, exporter_info_schema(),
                  "Names of exporters and their interfaces, and tables of them.")
          .object("classification", &C::classification, classification_schema(),
                  "What records are of: labels, applications, names; what is dropped, routed or sampled.")
          .key("partition", &C::partition, name_text(),
               "Tag of this appliance, carried by every record.")
          .key("state_dir", &C::state_dir, service::any_text(),
               "Where the appliance keeps what survives a restart; empty: nothing is kept.")
          .key("state_interval_secs", &C::state_interval_secs, duration<uint32_t>(kSec, 1, 86'400),
               "How often templates and sampling rates are saved there, if they have changed.")
          .object("control_socket", &C::control_socket, control_socket_schema(), "For weirctl.")
          .key("metrics_addr", &C::metrics_addr,
               text_where("an address and a port, such as 0.0.0.0:50046; empty: none",
                          [](std::string_view text) {
                            return text.empty() || SocketAddress::parse(text);
                          }),
               "Where /metrics, /healthz and /readyz are served over TCP; empty: nowhere.")
          .object("log", &C::log, log_schema(), "The program's own log.")
          .key("shutdown_deadline_ms", &C::shutdown_deadline_ms,
               duration<uint32_t>(kMs, 0, 600'000),
               "How long a stop waits for acknowledgements of what is under way.");
  return schema;
}

}  // namespace weir::control
