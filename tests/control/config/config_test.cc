#include "control/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "control/config/config_describe.h"
#include "export/kafka.h"

namespace weir::control {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Result<LoadedConfig> read(std::string_view text, std::vector<const char*> environment = {}) {
  return read_config(text, "w.yaml", environment);
}

ApplianceConfig config_of(std::string_view text, std::vector<const char*> environment = {}) {
  auto loaded = read(text, std::move(environment));
  EXPECT_TRUE(loaded) << loaded.error().message;
  return loaded ? loaded->config : ApplianceConfig{};
}

std::vector<std::string> errors_of(std::string_view text) {
  const auto loaded = read(text);
  std::vector<std::string> lines;
  std::istringstream stream(loaded ? "" : loaded.error().message);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

constexpr const char* kSocketListener = "listeners: [{protocol: netflow, listen_addr: ':2055'}]\n";

TEST(ApplianceConfig, RefusesOptionsOfKafkaInItsLibrarysWordsAndShowsNoSecret) {
  if (!outbound::kafka_is_there()) GTEST_SKIP() << "built without librdkafka";
  const std::string before =
      "listeners: [{listen_addr: ':2055'}]\npublishers:\n  - kind: kafka\n    brokers: h:9092\n    options:\n"
      "      sasl.password: geheim\n";
  const auto wrong = read_config(before + "      no.such: 1\n      acks: 1\n      linger.ms: soon\n", "f", {});
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message,
              HasSubstr("f:7:16: publishers[0].options.no.such: No such configuration property"));
  EXPECT_THAT(wrong.error().message, HasSubstr("f:8:13: publishers[0].options.acks: cannot be changed"));
  EXPECT_THAT(wrong.error().message, HasSubstr("f:9:18: publishers[0].options.linger.ms: "));
  EXPECT_THAT(wrong.error().message, Not(HasSubstr("geheim")));
  EXPECT_FALSE(read_config(before + "      sasl.password: again\n", "f", {})) << "repeated";
  EXPECT_FALSE(read_config(before + "      linger.ms: [1]\n", "f", {})) << "a list";
  const auto right = read_config(before + "      linger.ms: 20\n", "f", {});
  ASSERT_TRUE(right) << right.error().message;
  EXPECT_THAT(describe_values(*right), HasSubstr("{sasl.password: ****, linger.ms: 20}"));
  EXPECT_THAT(describe_plan(right->config), HasSubstr("publisher kafka: Kafka at h:9092, topic {subject}"));
}

TEST(ApplianceConfig, ListensOnAKernelSocketForEachListenAddr) {
  const auto config = config_of(
      "listeners:\n"
      "  - {protocol: netflow, listen_addr: '0.0.0.0:2055', buffer_size: 128KiB}\n"
      "  - {protocol: sflow, listen_addr: '[2001:db8::1]:6343'}\n");
  const auto plane = data_plane_config(config);
  EXPECT_THAT(plane.dpdk_ports, IsEmpty());
  ASSERT_EQ(plane.socket_ports.size(), 2u);
  EXPECT_EQ(plane.socket_ports[0].name, "netflow");
  EXPECT_EQ(plane.socket_ports[0].port, 2055);
  EXPECT_EQ(plane.socket_ports[0].receive_buffer_octets, 128u * 1024);
  EXPECT_EQ(plane.socket_ports[1].address.to_string(), "2001:db8::1");
  EXPECT_EQ(plane.socket_ports[1].listener.value, 1);
  EXPECT_EQ(plane.pipeline.listeners[1].port, 6343);
  EXPECT_THAT(route_subjects(config), ElementsAre("flows.raw.netflow", "flows.raw.sflow",
                                                  "flows.counters.sflow", "flows.discards.sflow"));
}

TEST(ApplianceConfig, ServesEveryListenerOnEveryPort) {
  const auto config = config_of(
      "ports:\n"
      "  - {device: '0000:01:00.0', queues: 4, lcores: [1, 2, 1, 2], mtu: 9000}\n"
      "  - {name: cap, device: 'net_pcap0,rx_pcap=a.pcap', promiscuous: false, device_stamps: true, checksums: verify, vlans: [0, 100]}\n"
      "  - {kind: socket, address: 127.0.0.1}\n"
      "listeners:\n"
      "  - {protocol: netflow, port: 2055, sampling_rate_default: 100}\n"
      "  - {protocol: ipfix, port: 4739}\n"
      "  - {protocol: netflow, listen_addr: ':9995', subject: flows.raw.other}\n");
  const auto plane = data_plane_config(config);
  ASSERT_EQ(plane.dpdk_ports.size(), 2u);
  EXPECT_EQ(plane.dpdk_ports[0].name, "p0");
  EXPECT_EQ(plane.dpdk_ports[0].queues, 4);
  EXPECT_THAT(plane.dpdk_ports[0].lcores, ElementsAre(1u, 2u, 1u, 2u));
  EXPECT_EQ(plane.dpdk_ports[1].device, "net_pcap0,rx_pcap=a.pcap");
  EXPECT_FALSE(plane.dpdk_ports[1].promiscuous);
  EXPECT_EQ(plane.dpdk_ports[0].mtu, 9000);
  EXPECT_EQ(plane.dpdk_ports[1].mtu, 0);
  EXPECT_FALSE(plane.dpdk_ports[0].device_stamps);
  EXPECT_TRUE(plane.dpdk_ports[1].device_stamps);
  EXPECT_EQ(plane.dpdk_ports[0].checksums, packet::ChecksumPolicy::Check::skip);
  EXPECT_EQ(plane.dpdk_ports[1].checksums, packet::ChecksumPolicy::Check::verify);
  EXPECT_THAT(plane.dpdk_ports[0].vlans, ::testing::IsEmpty());
  EXPECT_THAT(plane.dpdk_ports[1].vlans, ElementsAre(0, 100));

  std::vector<std::string> sockets;
  for (const auto& s : plane.socket_ports) {
    sockets.push_back(s.name + " " + SocketAddress{s.address, s.port}.to_string());
  }
  EXPECT_THAT(sockets, ElementsAre("p2/netflow 127.0.0.1:2055", "p2/ipfix 127.0.0.1:4739",
                                   "netflow-9995 [::]:9995"));

  std::vector<std::string> listeners;
  for (const auto& l : plane.pipeline.listeners) {
    listeners.push_back(l.name + " " + std::to_string(l.port) + " " +
                        std::to_string(l.route.value));
  }
  EXPECT_THAT(listeners, ElementsAre("netflow 2055 0", "ipfix 4739 0", "netflow-9995 9995 1"));
  EXPECT_EQ(plane.pipeline.listeners[0].rules.sampling_rate_default, 100u);
  EXPECT_EQ(plane.pipeline.decoder.listeners.size(), 3u);
  EXPECT_EQ(decoding_cores(config), 2u + 1u + 1u) << "CPUs named, queues chosen for, all sockets";
  EXPECT_EQ(plane.pipeline.decoder.cores, 4u);
}

TEST(ApplianceConfig, SharesOutAmongWorkersWhereTheyDecode) {
  const auto config = config_of(
      "ports:\n"
      "  - {device: '0000:01:00.0', queues: 2, lcores: [1, 2], workers: 3, worker_lcores: [2, 3, 4]}\n"
      "  - {device: '0000:01:00.1', workers: 2}\n"
      "  - {device: '0000:01:00.2', queues: 2, lcores: [4, 5]}\n"
      "listeners: [{protocol: netflow, port: 2055}]\n");
  const auto plane = data_plane_config(config);
  EXPECT_EQ(plane.dpdk_ports[0].workers, 3u);
  EXPECT_THAT(plane.dpdk_ports[0].worker_lcores, ElementsAre(2u, 3u, 4u));
  EXPECT_THAT(plane.dpdk_ports[1].worker_lcores, IsEmpty());
  EXPECT_EQ(decoding_cores(config), 4u + 2u) << "CPUs 2 to 5, two chosen; not CPU 1, nor the second port's queue's";
  EXPECT_EQ(plane.pipeline.decoder.cores, 6u);
  const std::string text = describe_plan(config);
  EXPECT_THAT(text, HasSubstr("2 queues, CPU 1, 2; decoded by 3 workers, CPU 2, 3, 4\n"));
  EXPECT_THAT(text, HasSubstr("1 queue, CPUs chosen; decoded by 2 workers, CPUs chosen\n"));
  EXPECT_THAT(text, HasSubstr("  6 decoding cores, workers among them, each with"));
}

TEST(ApplianceConfig, SharesOutAmongThreadsThatReceiveFromSockets) {
  const auto config = config_of(
      "socket_threads: 3\n"
      "ports: [{kind: socket, address: 127.0.0.1}, {device: net_null0}]\n"
      "listeners: [{protocol: netflow, port: 2055}]\n");
  EXPECT_EQ(data_plane_config(config).socket_threads, 3u);
  EXPECT_EQ(decoding_cores(config), 3u + 1u);
  EXPECT_THAT(describe_plan(config), HasSubstr("  3 threads receive from kernel sockets, an exporter's datagrams one of them\n"));
}

TEST(ApplianceConfig, OpensSessionsBesideDatagramsWhereAListenerSaysSo) {
  const auto config = config_of(
      "ports: [{kind: socket, address: 127.0.0.1}]\n"
      "listeners: [{name: a, protocol: ipfix, port: 4739, tcp: true}, {name: b, listen_addr: '127.0.0.2:4740', tcp: true}, {name: c, port: 2055}]\n"
      "limits: {tcp_sessions: 100, tcp_sessions_per_exporter: 3, tcp_idle_timeout_secs: 60, tcp_message_timeout_secs: 5}\n");
  const auto plane = data_plane_config(config);
  std::vector<std::string> sockets;
  for (const auto& port : plane.socket_ports)
    sockets.push_back(fmt::format("{} {} {}", port.name, name_of(port.transport), port.port));
  EXPECT_THAT(sockets, ElementsAre("p0/a udp 4739", "p0/a/tcp tcp 4739", "b udp 4740", "b/tcp tcp 4740", "p0/c udp 2055"));
  EXPECT_EQ(plane.tcp.sessions_max, 100u);
  EXPECT_EQ(plane.tcp.sessions_per_exporter_max, 3u);
  EXPECT_EQ(plane.tcp.idle_ns, 60'000'000'000u);
  EXPECT_EQ(plane.tcp.message_ns, 5'000'000'000u);
  EXPECT_THAT(describe_plan(config), HasSubstr("udp 127.0.0.1:4739, tcp 127.0.0.1:4739"));
}

TEST(ApplianceConfig, KnowsWhichListenersAddressesComeWithAnInterfaceForTheHost) {
  const auto config = config_of(
      "ports:\n"
      "  - {device: '0000:01:00.0', exception: {interface: weir0, addresses: [192.0.2.2/24, '2001:db8::2/64']}}\n"
      "  - {kind: socket, address: '2001:db8::2'}\n"
      "listeners: [{listen_addr: '192.0.2.2:4739', tcp: true}, {listen_addr: '192.0.2.3:4740'}, {port: 2055}]\n");
  std::vector<std::string> later;
  for (const auto& port : data_plane_config(config).socket_ports)
    if (port.address_comes_later) later.push_back(fmt::format("{} {}", name_of(port.transport), port.address.to_string()));
  EXPECT_THAT(later, ElementsAre("udp 192.0.2.2", "tcp 192.0.2.2", "udp 2001:db8::2"));
}

TEST(ApplianceConfig, GivesAPortsOtherFramesAnInterface) {
  const auto config = config_of(
      "ports:\n"
      "  - device: '0000:01:00.0'\n"
      "    exception: {interface: weir0, addresses: [192.0.2.2/24, '2001:db8::2/64'], mtu: 1400, vlan: 7,\n"
      "                frames_per_second: 500}\n"
      "  - {device: '0000:01:00.1'}\n"
      "listeners: [{protocol: netflow, port: 2055}]\n");
  const auto ports = data_plane_config(config).dpdk_ports;
  const dataplane::ExceptionConfig& exception = ports.at(0).exception;
  EXPECT_EQ(exception.interface, "weir0");
  EXPECT_THAT(exception.addresses, ElementsAre(dataplane::InterfaceAddress{*IpAddress::parse("192.0.2.2"), 24},
                                               dataplane::InterfaceAddress{*IpAddress::parse("2001:db8::2"), 64}));
  EXPECT_EQ(exception.mtu, 1400);
  EXPECT_EQ(exception.vlan, 7);
  EXPECT_EQ(exception.frames_per_second, 500u);
  EXPECT_FALSE(ports.at(1).exception.is_on());
  EXPECT_THAT(describe_plan(config), HasSubstr("port p0: what else arrives of VLAN 7 goes to interface weir0 with "
                                               "192.0.2.2/24, 2001:db8::2/64\n"));
}

TEST(ApplianceConfig, DividesExportersAmongCores) {
  const auto exporters_max = [](std::string_view limits) {
    const auto config = config_of(fmt::format(
        "ports: [{{device: net_null0, queues: 4}}]\nlisteners: [{{protocol: any, port: 2055}}]\n"
        "limits: {{{}}}\n",
        limits));
    return data_plane_config(config).pipeline.decoder.limits.exporters_max;
  };
  EXPECT_EQ(exporters_max("exporters_total: 1000"), 250u);
  EXPECT_EQ(exporters_max("exporters_total: 1000, exporters_per_core: 100"), 100u);
  EXPECT_EQ(exporters_max("exporters_total: 3"), 1u) << "one at least";
  EXPECT_EQ(exporters_max("exporters_per_core: 20000"), 16'384u) << "a quarter of the default";
}

TEST(ApplianceConfig, DividesBuffersAmongCores) {
  const auto config = config_of(
      "ports: [{device: net_null0, queues: 3}]\nlisteners: [{protocol: any, port: 2055}]\n"
      "buffer_bytes: 12MiB\nbatch_bytes: 32KiB\nbatch_size: 100\nbatch_linger_ms: 20\n");
  const auto& batcher = data_plane_config(config).pipeline.batcher;
  EXPECT_EQ(batcher.buffers, 128u);
  EXPECT_EQ(batcher.batch_octets, 32u * 1024);
  EXPECT_EQ(batcher.batch_records_max, 100u);
  EXPECT_EQ(batcher.linger_ns, 20'000'000u);
}

TEST(ApplianceConfig, GivesDecodersTheLargestOfTheListenersLimits) {
  const auto limits =
      data_plane_config(config_of("listeners:\n"
                                  "  - {protocol: netflow, listen_addr: ':1', max_templates: 10, "
                                  "pending_flows: {ttl_secs: 5m}}\n"
                                  "  - {protocol: ipfix, listen_addr: ':2', max_templates: 30, "
                                  "max_template_fields: 20,\n"
                                  "     pending_flows: {max_pending_flows: 1, "
                                  "max_entries_per_template: 2, max_entry_size_bytes: 3,\n"
                                  "                     ttl_secs: 4}}\n"
                                  "limits: {exporters_per_core: 7, domains_per_exporter: 8, "
                                  "template_octets_total: 2MiB,\n"
                                  "         pending_octets_per_exporter: 1, pending_octets_total: "
                                  "2, template_lifetime_secs: 1h}\n"))
          .pipeline.decoder.limits;
  EXPECT_EQ(limits.templates_per_exporter_max, 30u);
  EXPECT_EQ(limits.template_fields_max, 10'000u);
  EXPECT_EQ(limits.pending_ttl_ns, 300'000'000'000u);
  EXPECT_EQ(limits.pending_sets_per_exporter_max, 256u);
  EXPECT_EQ(limits.exporters_max, 7u);
  EXPECT_EQ(limits.domains_per_exporter_max, 8u);
  EXPECT_EQ(limits.template_octets_total, 2u << 20);
  EXPECT_EQ(limits.pending_octets_per_exporter, 1u);
  EXPECT_EQ(limits.pending_octets_total, 2u);
  EXPECT_EQ(limits.template_lifetime_ns, 3'600'000'000'000u);
}

TEST(ApplianceConfig, GivesEachListenerItsOwnLimits) {
  const auto listeners =
      data_plane_config(config_of("listeners:\n"
                                  "  - {protocol: netflow, listen_addr: ':1', max_templates: 10, "
                                  "max_template_fields: 20, template_lifetime_secs: 30m,\n"
                                  "     inline_names: true,\n"
                                  "     pending_flows: {max_pending_flows: 1, "
                                  "max_entries_per_template: 2, max_entry_size_bytes: 1MiB,\n"
                                  "                     ttl_secs: 1h}}\n"
                                  "  - {protocol: ipfix, listen_addr: ':2'}\n"
                                  "limits: {template_lifetime_secs: 1h}\n"))
          .pipeline.listeners;
  ASSERT_TRUE(listeners[0].rules.limits && listeners[1].rules.limits);
  const decode::ExporterLimits& first = *listeners[0].rules.limits;
  EXPECT_TRUE(listeners[0].rules.inline_names);
  EXPECT_EQ(first.templates_max, 10u);
  EXPECT_EQ(first.template_fields_max, 20u);
  EXPECT_EQ(first.template_lifetime_ns, 1'800'000'000'000u);
  EXPECT_EQ(first.pending_sets_max, 1u);
  EXPECT_EQ(first.pending_sets_per_template, 2u);
  EXPECT_EQ(first.pending_set_octets_max, 1u << 20);
  EXPECT_EQ(first.pending_ttl_ns, 3'600'000'000'000u);
  const decode::ExporterLimits& second = *listeners[1].rules.limits;
  EXPECT_FALSE(listeners[1].rules.inline_names);
  EXPECT_EQ(second.templates_max, 2000u);
  EXPECT_EQ(second.template_fields_max, 10'000u);
  EXPECT_EQ(second.template_lifetime_ns, 3'600'000'000'000u) << "that of limits";
  EXPECT_EQ(second.pending_sets_max, 256u);
  EXPECT_EQ(second.pending_sets_per_template, 1024u);
  EXPECT_EQ(second.pending_set_octets_max, 65'535u);
  EXPECT_EQ(second.pending_ttl_ns, 300'000'000'000u);
}

TEST(ApplianceConfig, RefusesLimitsOutOfTheirRange) {
  const struct {
    const char* key;
    const char* allowed;
    std::vector<const char*> values;
  } cases[] = {
      {"max_pending_flows", "an integer from 1 to 10000", {"0", "10001"}},
      {"max_entries_per_template", "an integer from 1 to 100000", {"0", "100001"}},
      {"max_entry_size_bytes", "octets from 1 to 1MiB", {"0", "1048577"}},
      {"ttl_secs", "seconds from 1 to 3600", {"0", "3601"}},
  };
  for (const auto& c : cases) {
    for (const char* value : c.values) {
      const auto errors =
          errors_of(fmt::format("listeners:\n  - protocol: netflow\n    listen_addr: ':1'\n    "
                                "pending_flows: {{{}: {}}}\n",
                                c.key, value));
      ASSERT_EQ(errors.size(), 1u) << c.key << value;
      EXPECT_THAT(errors[0], AllOf(HasSubstr("w.yaml:4:"),
                                   HasSubstr(fmt::format("listeners[0].pending_flows.{}", c.key)),
                                   HasSubstr(value), HasSubstr(c.allowed)));
    }
  }
}

TEST(ApplianceConfig, HasTheDefaultsOfTheDecoder) {
  const auto limits = data_plane_config(config_of(kSocketListener)).pipeline.decoder.limits;
  const decode::DecoderLimits defaults;
  EXPECT_EQ(limits.exporters_max, defaults.exporters_max);
  EXPECT_EQ(limits.domains_per_exporter_max, defaults.domains_per_exporter_max);
  EXPECT_EQ(limits.templates_per_exporter_max, defaults.templates_per_exporter_max);
  EXPECT_EQ(limits.template_fields_max, defaults.template_fields_max);
  EXPECT_EQ(limits.template_octets_total, defaults.template_octets_total);
  EXPECT_EQ(limits.pending_sets_per_exporter_max, defaults.pending_sets_per_exporter_max);
  EXPECT_EQ(limits.pending_entries_per_template_max, defaults.pending_entries_per_template_max);
  EXPECT_EQ(limits.pending_entry_octets_max, defaults.pending_entry_octets_max);
  EXPECT_EQ(limits.pending_ttl_ns, defaults.pending_ttl_ns);
  EXPECT_EQ(limits.pending_octets_per_exporter, defaults.pending_octets_per_exporter);
  EXPECT_EQ(limits.pending_octets_total, defaults.pending_octets_total);
  EXPECT_EQ(limits.template_lifetime_ns, defaults.template_lifetime_ns);
  EXPECT_EQ(limits.names_per_exporter_max, defaults.names_per_exporter_max);
}

TEST(ApplianceConfig, MergesTheListenersSubjectsIntoTheStreams) {
  const auto config =
      config_of(std::string(kSocketListener) +
                "stream_subjects: [flows.raw.sflow, flows.raw.netflow, 'other.>']\n");
  EXPECT_THAT(all_stream_subjects(config),
              ElementsAre("flows.raw.sflow", "flows.raw.netflow", "other.>"));
  EXPECT_THAT(all_stream_subjects(config_of(kSocketListener)), ElementsAre("flows.raw.netflow"));
  for (const char* wide : {"flows.>", "flows.*.netflow", ">", "*.raw.netflow"}) {
    EXPECT_THAT(all_stream_subjects(config_of(std::string(kSocketListener) + "stream_subjects: ['" +
                                              wide + "']\n")),
                ElementsAre(wide))
        << "subjects of a stream must not overlap";
  }
  EXPECT_THAT(all_stream_subjects(config_of(std::string(kSocketListener) +
                                            "stream_subjects: ['flows.raw.*.x', 'flows.raw']\n")),
              ElementsAre("flows.raw.*.x", "flows.raw", "flows.raw.netflow"));
}

TEST(ApplianceConfig, GivesWhatSflowTellsBesideFlowsSubjectsOfItsOwn) {
  const auto config = config_of(
      "listeners:\n"
      "  - {protocol: sflow, listen_addr: ':6343', max_samples_per_datagram: 20}\n"
      "  - {protocol: any, listen_addr: ':6344', counters_subject: c.x, discards_subject: ''}\n"
      "  - {protocol: netflow, listen_addr: ':2055'}\n");
  EXPECT_THAT(all_stream_subjects(config),
              ElementsAre("flows.raw.sflow", "flows.raw.netflow", "flows.counters.sflow",
                          "flows.discards.sflow", "c.x"));
  const auto listeners = data_plane_config(config).pipeline.listeners;
  ASSERT_EQ(listeners.size(), 3u);
  EXPECT_EQ(listeners[0].route, RouteId{0});
  EXPECT_EQ(listeners[0].counters_route, RouteId{2});
  EXPECT_EQ(listeners[0].discards_route, RouteId{3});
  EXPECT_EQ(listeners[0].rules.samples_per_datagram_max, 20u);
  EXPECT_EQ(listeners[1].counters_route, RouteId{4});
  EXPECT_EQ(listeners[1].discards_route, std::nullopt) << "not published";
  EXPECT_EQ(listeners[1].rules.samples_per_datagram_max, decode::kSflowSamplesDefault);
  EXPECT_EQ(listeners[2].counters_route, std::nullopt) << "nothing comes that would be";
}

TEST(ApplianceConfig, HandsOnWhatTheHttpServerNeeds) {
  const auto http = http_server_config(config_of(
      std::string(kSocketListener) +
      "control_socket: {path: /run/x.sock, mode: 0600, group: ops}\nmetrics_addr: '[::1]:9'\n"));
  EXPECT_EQ(http.unix_path, "/run/x.sock");
  EXPECT_EQ(http.unix_mode, 0600u);
  EXPECT_EQ(http.unix_group, "ops");
  EXPECT_EQ(http.tcp_address, "[::1]:9");
}

TEST(ApplianceConfig, RefusesWhatCannotWork) {
  const std::string listener = kSocketListener;
  const struct {
    std::string text;
    const char* error;
  } cases[] = {
      {"", "listeners: nothing is listened for"},
      {"listeners: []", "w.yaml:1:12: listeners: nothing is listened for"},
      {listener + "group: weir", "group: \"weir\" goes with a `user`, which is missing"},
      {"listeners: [{protocol: any}]",
       "w.yaml:1:13: listeners[0]: has neither port nor listen_addr"},
      {"listeners:\n  - port: 2055",
       "w.yaml:2:11: listeners[0].port: nothing serves UDP port 2055: write listen_addr: "
       "\"[::]:2055\""},
      {"listeners: [{listen_addr: ':1'}, {listen_addr: '127.0.0.1:1'}]",
       "listeners[1]: UDP port 1 is already listeners[0]'s"},
      {"ports: [{device: net_null0}]\nlisteners: [{listen_addr: ':1'}, {port: 1}]",
       "w.yaml:2:34: listeners[1]: UDP port 1 is already listeners[0]'s"},
      {"listeners: [{listen_addr: ':1', port: 2}]", "2 is not the port of listen_addr, [::]:1"},
      {"listeners: [{listen_addr: ':0'}]", "\":0\" is not allowed"},
      {"listeners: [{listen_addr: 'localhost:1'}]", "\"localhost:1\" is not allowed"},
      {"listeners: [{port: 0}]", "\"0\" is not allowed; allowed: an integer from 1 to 65535"},
      {"listeners: [{port: 70000}]", "w.yaml:1:20: listeners[0].port: \"70000\" is not allowed"},
      {"listeners: [{name: a, listen_addr: ':1'}, {name: a, listen_addr: ':2'}]",
       "listeners[1].name: \"a\" is the name of listeners[0] too"},
      {"listeners: [{listen_addr: ':1', subject: 'flows.*'}]", "a NATS subject without wildcards"},
      {"listeners: [{listen_addr: ':1', subject: 'flows..raw'}]", "a NATS subject"},
      {"listeners: [{listen_addr: ':1', subject: 'flows.{what}'}]", "{protocol}, {exporter} and {partition}"},
      {"listeners: [{listen_addr: ':1', protocol: netflow5}]",
       "allowed: any, netflow, ipfix, sflow"},
      {"listeners: [{listen_addr: ':1', max_samples_per_datagram: 0}]",
       "\"0\" is not allowed; allowed: an integer from 1 to 8192"},
      {"listeners: [{listen_addr: ':1', max_samples_per_datagram: 8193}]",
       "listeners[0].max_samples_per_datagram: \"8193\" is not allowed"},
      {"listeners: [{listen_addr: ':1', counters_subject: flows.raw.counters}]",
       "that is not under flows.raw., or nothing"},
      {"listeners: [{listen_addr: ':1', discards_subject: 'flows.>'}]", "without wildcards"},
      {"listeners: [{listen_addr: ':1', discards_subject: flows.counters.sflow}]",
       "listeners[0].discards_subject: flows.counters.sflow is the counters_subject of "
       "listeners[0] too"},
      {"listeners: [{listen_addr: ':1', subject: flows.counters.sflow, protocol: netflow}, "
       "{listen_addr: ':2', protocol: sflow}]",
       "listeners[1].counters_subject: flows.counters.sflow is the subject of listeners[0] too"},
      {listener + "ports: [{queues: 2}]", "ports[0].device: is missing"},
      {listener + "ports: [{device: eth0}]",
       "ports[0].device: \"eth0\" is no device; allowed: a PCI address such as 0000:01:00.0, or a "
       "virtual "
       "device such as net_af_packet0,iface=eth0"},
      {listener + "ports: [{device: '01:00.8'}]", "is no device"},
      {listener + "ports: [{device: 'net_'}]", "is no device"},
      {listener + "ports: [{device: 'net_pcap0,rx_pcap'}]",
       "\"rx_pcap\" is not of the form key=value"},
      {listener + "ports: [{device: 'net_pcap0,'}]", "is not of the form key=value"},
      {listener + "ports: [{device: 'net_x y'}]", "only letters, digits and _"},
      {listener + "ports: [{device: 'net_null0'}, {device: 'net_null0,size=64'}]",
       "ports[1].device: net_null0 is the device of ports[0] too"},
      {listener + "eal: {extra_args: ['--vdev=net_null0', -h]}", "\"-h\" is not allowed: it asks DPDK for its help"},
      {listener + "eal: {extra_args: [--hel]}", "\"--hel\" is not allowed"},
      {listener + "eal: {extra_args: [--]}", "eal.extra_args: \"--\" is not allowed: it ends DPDK's arguments"},
      {listener + "eal: {extra_args: ['--proc-type=auto']}", "makes weir wait for another DPDK program"},
      {listener + "eal: {extra_args: ['--proc-type', secondary]}", "makes weir wait for another DPDK program"},
      {listener + "ports: [{device: net_null0, lcores: [0, 0]}]", "names 2 CPUs for 1 queues"},
      {listener + "ports: [{kind: socket, device: net_null0}]", "has neither device nor workers"},
      {listener + "ports: [{device: net_null0, address: 192.0.2.1}]", "is a socket port's"},
      {listener + "ports: [{kind: socket, queues: 2}]", "they are a dpdk port's"},
      {listener + "ports: [{kind: socket, checksums: verify}]", "they are a dpdk port's"},
      {listener + "ports: [{kind: socket, vlans: [1]}]", "they are a dpdk port's"},
      {listener + "ports: [{device: net_null0, vlans: [4095]}]", "4095"},
      {listener + "limits: {template_octets_total: 1MiB}\nports: [{device: net_null0, queues: 2, "
                  "lcores: [0, 1]}]",
       "each needs at least 1MiB"},
      {listener + "ports: [{kind: socket}, {kind: socket, address: 127.0.0.1}]",
       "ports[1].address: 127.0.0.1 overlaps with that of ports[0], ::"},
      {listener + "ports: [{name: a, device: net_null0}, {name: a, device: net_null1}]",
       "ports[1].name: \"a\" is the name of ports[0] too"},
      {listener + "buffer_bytes: 64KiB",
       "64KiB are too few: 1 cores that decode, 1 subjects and batches of "
       "64KiB need at least 128KiB"},
      {listener + "publishers: []", "publishers: the list is empty"},
      {listener + "exporters: {sites: [{site: here}]}", "exporters.sites[0].exporters: is missing"},
      {listener + "exporters: {sites: [{exporters: 192.0.2.0/24}]}", "exporters.sites[0].site: is missing"},
      {listener + "exporters: {sites: [{exporters: 192.0.2.0/24, site: \"a\\nb\"}]}", "UTF-8 without control characters"},
      {listener + "exporters: {sites: [{exporters: 192.0.2.0/24, site: \"" + std::string(200, 'x') + "\"}]}", "UTF-8 without control characters"},
      {listener + "exporters: {sites: [{exporters: 192.0.2.0/24, site: a}, {exporters: 192.0.2.0/24, site: b}]}",
       "exporters.sites[1].exporters: 192.0.2.0/24 is what exporters.sites[0] says already"},
      {listener + "replicate: [{listeners: []}]", "replicate[0].to: is missing"},
      {listener + "replicate: [{to: '192.0.2.20:0'}]", "replicate[0].to: \"192.0.2.20:0\" is not allowed"},
      {listener + "replicate: [{to: '*:2055'}]", "is no collector's address and port"},
      {listener + "replicate: [{to: '192.0.2.20:1'}, {to: '[::ffff:192.0.2.20]:1'}]", "192.0.2.20:1 is what replicate[0] says already"},
      {listener + "replicate: [{to: '192.0.2.20:1', listeners: [who]}]", "replicate[0].listeners[0]: no listener is called who"},
      {listener + "publishers: [{kind: stdout}, {name: b, kind: stdout}]",
       "more than one of kind stdout"},
      {listener + "publishers: [{kind: pigeon}]",
       "\"pigeon\" is not allowed; allowed: jetstream, stdout, file, http, kafka"},
      {listener + "publishers: [{kind: http}]", "publishers[0].url: is missing"},
      {listener + "publishers: [{kind: http, url: 'https://h/', cert_file: /etc/hostname}]",
       "publishers[0]: has one of cert_file and key_file"},
      {listener + "publishers: [{kind: http, url: 'http://h/', ca_file: /etc/hostname}]",
       "publishers[0].url: is not https, so"},
      {listener + "publishers: [{kind: http, url: 'http://u:secret@h/'}, "
                  "{name: b, kind: http, url: 'http://u:secret@h/'}]",
       "publishers[1]: http://****@h/ is where publishers[0] writes too"},
      {listener + "publishers: [{kind: file}]", "publishers[0].path: is missing"},
      {listener + "publishers: [{kind: stdout, path: /tmp/x}]",
       "publishers[0].path: means nothing to a publisher of kind stdout; it is for kind file"},
      {listener + "publishers: [{kind: jetstream, exporter_info: true}]",
       "publishers[0].exporter_info: means nothing to a publisher of kind jetstream; it is for kind "
       "stdout or file"},
      {listener + "publishers: [{kind: file, path: /tmp/x, keep_files: 3}]",
       "publishers[0].keep_files: counts files that are set aside, but neither"},
      {listener + "publishers: [{kind: file, path: /tmp/x, format: flow_batch, exporter_info: true}]",
       "publishers[0].exporter_info: needs format json"},
      {listener + "publishers: [{kind: file, path: /tmp/x}, {name: b, kind: file, path: /tmp/x}]",
       "publishers[1]: /tmp/x is where publishers[0] writes too"},
      {listener + "publishers: [{kind: stdout, exporter_info: true}, "
                  "{kind: file, path: /tmp/x, exporter_info: true}]",
       "publishers[1].exporter_info: more than one publisher"},
      {listener + "drop_policy: none", "allowed: drop_newest, drop_oldest, block, spool"},
      {listener + "drop_policy: spool\nstate_dir: ''", "spool.dir: is missing"},
      {listener + "drop_policy: block\npublishers: [{kind: jetstream}, {kind: stdout}]",
       "publishers[1].drop_policy: block is another publisher's too"},
      {listener + "framing: single\ncompression: lz4",
       "compression: lz4 is for messages of many records"},
      {"listeners: [{listen_addr: ':1', subject: 'flows.raw.{exporter}'}, {listen_addr: ':2', "
       "protocol: sflow, counters_subject: 'flows.{protocol}.x', subject: 'flows.raw.x'}]",
       "listeners[1].counters_subject: \"flows.{protocol}.x\" is not allowed"},
      {listener + "security: {mode: spiffe}", "\"spiffe\" is not supported yet; allowed: none"},
      {listener + "stream_replicas: 0", "allowed: an integer from 1 to 5"},
      {listener + "stream_name: a.b", "stream_name: \"a.b\" is not allowed"},
      {listener + "nats_url: nats://h:99999", "allowed: nats:// or tls://[user:password@]host[:port] with a port from 1"},
      {listener + "nats_url: nats://h:0", "nats_url: the value is not allowed"},
      {listener + "nats_url: 'nats://h:'", "nats_url: the value is not allowed"},
      {listener + "nats_url: nats://:4222", "nats_url: the value is not allowed"},
      {listener + "nats_url: nats://a:1,nats://b:x", "nats_url: the value is not allowed"},
      {listener + "nats_url: 'nats://[2001:db8::1:4222'", "nats_url: the value is not allowed"},
      {listener + "nats_url: ''", "nats_url: an empty value is not allowed"},
      {listener + "nats_url: http://x", "nats_url: the value is not allowed; allowed: nats://"},
      {listener + "metrics_addr: nonsense", "metrics_addr: \"nonsense\" is not allowed"},
      {listener + "control_socket: {mode: 0999}", "an octal file mode"},
      {listener + "control_socket: {mode: 7}", "an octal file mode"},
      {listener + "listners: []", "listners: unknown key; did you mean listeners?"},
      {listener + "batch_bytes: 64k",
       "batch_bytes: \"64k\" is not allowed; allowed: octets from 4KiB to 16MiB"},
      {listener + "idle: busy", "allowed: adaptive, interrupt, poll"},
      {listener + "ports: [{device: net_null0, exception: {vlan: 5}}]",
       "ports[0].exception: has no interface, which the other keys are about"},
      {listener + "ports: [{device: net_null0, exception: {interface: a/b}}]", "exception.interface: \"a/b\" is not allowed"},
      {listener + "ports: [{device: net_null0, exception: {interface: w, mtu: 1000}}]",
       "exception.mtu: 1000 is too small; allowed: 0, or 1280 and more"},
      {listener + "ports: [{device: net_null0, exception: {interface: w, addresses: [192.0.2.1]}}]",
       "exception.addresses[0]: \"192.0.2.1\" is not allowed; allowed: an address with the prefix length"},
      {listener + "ports: [{device: net_null0, exception: {interface: w, addresses: [192.0.2.1/33]}}]", "192.0.2.1/33"},
      {listener + "ports: [{kind: socket, exception: {interface: w}}]", "has no queues"},
      {"ports: [{device: net_null0}]\nlisteners: [{port: 2055, tcp: true}]\n",
       "listeners[0].tcp: needs a socket of the kernel's"},
      {"listeners: [{protocol: sflow, listen_addr: '[::]:6343', tcp: true}]\n", "listeners[0].tcp: is for IPFIX"},
      {listener + "socket_threads: 65", "socket_threads: \"65\" is not allowed; allowed: an integer from 1 to 64"},
      {listener + "ports: [{kind: socket, lcores: [0, 1]}]", "socket_threads: is 1, and ports of kind socket name 2 lcores"},
      {listener + "ports: [{kind: socket, workers: 2}]", "a port of kind socket has neither device nor workers"},
      {listener + "ports: [{device: net_null0, workers: 65}]", "ports[0].workers: \"65\" is not allowed; allowed: an integer from 0 to 64"},
      {listener + "ports: [{device: net_null0, workers: 2, worker_lcores: [1]}]",
       "ports[0].worker_lcores: names 1 CPUs for 2 workers; one for each is expected, or none"},
  };
  for (const auto& c : cases) {
    const auto errors = errors_of(c.text);
    ASSERT_EQ(errors.size(), 1u) << c.text << "\n" << testing::PrintToString(errors);
    EXPECT_THAT(errors[0], HasSubstr(c.error)) << c.text;
  }
}

TEST(ApplianceConfig, SaysNothingMoreOfWhatWasMisread) {
  // The misread port would also be "neither port nor listen_addr", which would only mislead.
  EXPECT_THAT(
      errors_of("listeners:\n  - {port: 70000}\n  - {prot: 1}\nports: [{device: [x]}]\nidle: x\n"),
      ElementsAre(HasSubstr("listeners[0].port: \"70000\""),
                  HasSubstr("listeners[1].prot: unknown"), HasSubstr("ports[0].device: is a list"),
                  HasSubstr("idle:")));
}

TEST(ApplianceConfig, WarnsOfWhatWorksButBadly) {
  const auto loaded = read(std::string(kSocketListener) +
                           "ports: [{kind: socket}]\nbatch_bytes: 2MiB\n");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_THAT(
      loaded->warnings,
      ElementsAre(HasSubstr("ports[0]: opens no socket: every listener has a listen_addr"),
                  HasSubstr("w.yaml:3:14: batch_bytes: 2MiB exceed what nats-server takes")));
}

TEST(ApplianceConfig, IsOverriddenByTheEnvironment) {
  const auto config = config_of(
      kSocketListener, {"NATS_URL=nats://nats:4222", "WEIR_LOG_LEVEL=debug", "WEIR_PARTITION=lab",
                        "WEIR_CONTROL_SOCKET_PATH=", "WEIR_EAL_MAIN_LCORE=1"});
  EXPECT_EQ(config.nats_url, "nats://nats:4222");
  EXPECT_EQ(config.log.level, service::LogLevel::debug);
  EXPECT_EQ(config.partition, "lab");
  EXPECT_EQ(config.control_socket.path, "");
  EXPECT_EQ(config.eal.main_lcore, 1u);
}

TEST(ApplianceConfig, NamesTheVariableOfTheEnvironmentThatIsWrong) {
  for (const char* variable : {"NATS_URL=", "NATS_URL=nats://h:99999", "NATS_URL=nats://h:0"}) {
    const auto loaded = read(kSocketListener, {variable});
    ASSERT_FALSE(loaded) << variable;
    EXPECT_THAT(loaded.error().message, HasSubstr("environment NATS_URL: nats_url: "));
  }
}

TEST(ApplianceConfig, TakesServersOfNatsInEveryForm) {
  for (const char* url :
       {"nats://nats", "nats://nats:4222", "nats://192.0.2.1:1,nats://b:65535", "nats://[2001:db8::1]:4222",
        "nats://[::1]", "nats://user:p@ss:w/rd@nats.example.net:4222", "nats://nats:4222/"}) {
    EXPECT_EQ(config_of(std::string(kSocketListener) + "nats_url: '" + url + "'\n").nats_url, url);
  }
}

TEST(ApplianceConfig, HasADifferentVariableForEachKey) {
  std::set<std::string> names;
  for (const auto& row : appliance_schema().document()) {
    if (!row.environment.empty()) {
      EXPECT_TRUE(names.insert(row.environment).second) << row.environment;
    }
    EXPECT_FALSE(row.doc.empty()) << row.path;
  }
  EXPECT_GT(names.size(), 30u);
}

TEST(ApplianceConfig, HidesThePasswordOfTheBroker) {
  const auto loaded = read(std::string(kSocketListener) + "nats_url: nats://user:hush@192.0.2.1\n");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.nats_url, "nats://user:hush@192.0.2.1");
  for (const std::string& text : {describe_values(*loaded), describe_plan(loaded->config)}) {
    EXPECT_THAT(text, AllOf(HasSubstr("nats://****@192.0.2.1"), Not(HasSubstr("hush"))));
  }
}

TEST(ApplianceConfig, DescribesWhatWouldRun) {
  const auto plan =
      describe_plan(config_of("ports: [{device: '0000:01:00.0', queues: 2, lcores: [0, 1]}]\n"
                              "listeners: [{port: 2055}, {protocol: sflow, listen_addr: ':6343'}]\n"
                              "publishers: [{kind: jetstream}, {kind: stdout}]\n"));
  for (const char* line : {
           "port p0: DPDK 0000:01:00.0, 2 queues, CPU 0, 1\n",
           "listener any: any on UDP 2055 from p0 to flows.raw.netflow, counters to "
           "flows.counters.sflow, discards to flows.discards.sflow\n",
           "listener sflow: sflow on UDP 6343 from p0, udp [::]:6343 to flows.raw.sflow, counters "
           "to "
           "flows.counters.sflow, discards to flows.discards.sflow\n",
           "publisher jetstream: JetStream at nats://127.0.0.1:4222, stream events "
           "(flows.raw.netflow, "
           "flows.raw.sflow, flows.counters.sflow, flows.discards.sflow)\n",
           "publisher stdout: json lines on standard output\n",
           "3 receive cores, each with 1365 batches of 64KiB for 4 subjects\n",
           "DPDK with 256 MiB without hugepages\n",
       }) {
    EXPECT_THAT(plan, HasSubstr(line));
  }
}

TEST(ListenUrls, BecomeKernelSocketsAndStandardOutput) {
  const std::vector<std::string> urls{"netflow://:2055", "sflow://192.0.2.1:6343",
                                      "any://[::1]:9995"};
  const auto loaded = config_from_listen_urls(urls, "json");
  ASSERT_TRUE(loaded) << loaded.error().message;
  const ApplianceConfig& config = loaded->config;
  const auto plane = data_plane_config(config);
  std::vector<std::string> sockets;
  for (const auto& s : plane.socket_ports) {
    sockets.push_back(s.name + " " + SocketAddress{s.address, s.port}.to_string());
  }
  EXPECT_THAT(sockets, ElementsAre("netflow [::]:2055", "sflow 192.0.2.1:6343", "any [::1]:9995"));
  EXPECT_THAT(plane.dpdk_ports, IsEmpty());
  ASSERT_EQ(config.publishers.size(), 1u);
  EXPECT_EQ(config.publishers[0].kind, PublisherKind::standard_output);
  EXPECT_EQ(config.control_socket.path, "");
  EXPECT_EQ(config.metrics_addr, "");
  EXPECT_EQ(config.state_dir, "");
  EXPECT_EQ(loaded->origins.at("listeners[0].listen_addr").to_string(), "command line");
}

TEST(ListenUrls, AreRefusedInWords) {
  for (const std::string url :
       {"netflow", "netflow:2055", "netflow://", "netflow://:0", "netflow://host:1", "bgp://:179",
        "://:1", "netflow://:2055?count=4", ""}) {
    const auto loaded = config_from_listen_urls(std::vector{url}, "json");
    ASSERT_FALSE(loaded) << url;
    EXPECT_THAT(
        loaded.error().message,
        HasSubstr("--listen: \"" + url + "\" is not allowed; allowed: PROTOCOL://[ADDRESS]:PORT"));
  }
  const std::vector<std::string> twice{"netflow://:2055", "sflow://:2055"};
  EXPECT_THAT(config_from_listen_urls(twice, "json").error().message,
              HasSubstr("UDP port 2055 is already listeners[0]'s"));
  EXPECT_THAT(
      config_from_listen_urls(std::vector<std::string>{"netflow://:2055"}, "xml").error().message,
      HasSubstr("--format: \"xml\" is not allowed; allowed: json"));
  EXPECT_FALSE(config_from_listen_urls({}, "json"));
}

TEST(ListenUrls, LetTheEnvironmentSpeak) {
  const std::vector<const char*> environment{"WEIR_LOG_LEVEL=error",
                                             "WEIR_METRICS_ADDR=127.0.0.1:0"};
  const auto loaded =
      config_from_listen_urls(std::vector<std::string>{"netflow://:2055"}, "json", environment);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.log.level, service::LogLevel::error);
  EXPECT_EQ(loaded->config.metrics_addr, "127.0.0.1:0");
}

// ── conf/weir.yaml ───────────────────────────────────────────────────────────────────────────────

class ShippedConfig : public testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("WEIR_SOURCE_ROOT");
    path_ = std::string(root != nullptr ? root : ".") + "/conf/weir.yaml";
    std::ifstream file(path_);
    ASSERT_TRUE(file) << path_;
    text_.assign(std::istreambuf_iterator<char>(file), {});
  }

  /// The file with its commented-out defaults (#key: value, no space behind #) put in force.
  std::string with_defaults_in_force() const {
    std::istringstream lines(text_);
    std::string out;
    for (std::string line; std::getline(lines, line);) {
      const size_t hash = line.find_first_not_of(' ');
      if (hash != std::string::npos && line[hash] == '#' && hash + 1 < line.size()) {
        const size_t key = line.find_first_not_of(' ', hash + 1);
        const bool nested = key == hash + 3 && in_commented_map_;
        if (key == hash + 1 || nested) {
          in_commented_map_ = true;
          line.erase(hash, 1);
        }
      } else {
        in_commented_map_ = false;
      }
      out += line + "\n";
    }
    return out;
  }

  /// The blocks of `# key:` lines behind `# Example:` paragraphs.
  std::vector<std::string> examples() const {
    std::istringstream lines(text_);
    std::vector<std::string> out;
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
      const bool begins = line == "# ports:";
      if (begins) out.emplace_back();
      inside = begins || (inside && line.size() > 2 && line.substr(0, 2) == "# ");
      if (inside) out.back() += line.substr(2) + "\n";
    }
    return out;
  }

  std::string path_, text_;
  mutable bool in_commented_map_ = false;
};

TEST_F(ShippedConfig, IsValidAndListensOnTheUsualPorts) {
  const auto loaded = load_config(path_, {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_THAT(loaded->warnings, IsEmpty());
  std::vector<std::string> listeners;
  for (const auto& l : loaded->config.listeners) {
    listeners.push_back(l.name + " " + std::to_string(l.udp_port()) + " " + l.subject);
  }
  EXPECT_THAT(listeners, ElementsAre("netflow 2055 flows.raw.netflow",
                                     "ipfix 4739 flows.raw.netflow", "sflow 6343 flows.raw.sflow"));
  EXPECT_EQ(data_plane_config(loaded->config).socket_ports.size(), 3u);
}

TEST_F(ShippedConfig, NamesTheDefaultsThatTheSchemaHas) {
  const auto shipped = read_config(text_, "shipped", {});
  const auto in_force = read_config(with_defaults_in_force(), "in force", {});
  ASSERT_TRUE(shipped) << shipped.error().message;
  ASSERT_TRUE(in_force) << in_force.error().message << "\n" << with_defaults_in_force();
  const auto before = appliance_schema().effective(&shipped->config, shipped->origins);
  const auto after = appliance_schema().effective(&in_force->config, in_force->origins);
  ASSERT_EQ(before.size(), after.size());
  size_t put_in_force = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].value, after[i].value) << before[i].path;
    const bool was_default = before[i].origin.kind == service::Origin::Kind::built_in;
    if (was_default && after[i].origin.kind == service::Origin::Kind::file) ++put_in_force;
  }
  EXPECT_GT(put_in_force, 40u);
}

TEST_F(ShippedConfig, MentionsEveryKey) {
  for (const auto& row : appliance_schema().document()) {
    const size_t dot = row.path.rfind('.');
    const std::string key = dot == std::string::npos ? row.path : row.path.substr(dot + 1);
    EXPECT_THAT(text_, HasSubstr(key + ":")) << row.path;
  }
}

TEST_F(ShippedConfig, HasExamplesThatWork) {
  const auto all = examples();
  ASSERT_EQ(all.size(), 4u);
  std::vector<std::string> devices;
  for (const std::string& example : all) {
    const auto loaded = read("listeners: [{protocol: netflow, port: 2055}]\n" + example);
    ASSERT_TRUE(loaded) << loaded.error().message << "\n" << example;
    devices.push_back(loaded->config.ports[0].device);
  }
  EXPECT_THAT(devices, ElementsAre("0000:01:00.0", "0000:01:10.0", "net_af_packet0,iface=eth1", "0000:01:00.0"));
}

}  // namespace
}  // namespace weir::control
