// The made-up exporters: reproducible, within bounds, and consistent in what they say of themselves.
#include "lab/exporter_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/clock.h"

namespace weir::lab {
namespace {

constexpr uint64_t kStart = 1'700'000'000 * kNsPerSec + 123'000'000;

struct Protocol {
  const char* name;
  ExportProtocol protocol;
  Extras extras{};
};
constexpr Extras kOfTemplates{.interfaces = true, .samplers = true, .nat = true, .bgp = true};
constexpr Extras kOfIpfix{.variable = true, .interfaces = true, .samplers = true, .nat = true, .bgp = true};
constexpr Extras kOfSflow{.bgp = true, .expanded = true, .counters = true, .tunnels = true};
constexpr Protocol kProtocols[] = {{"v5", ExportProtocol::netflow_v5},
                                   {"v9", ExportProtocol::netflow_v9},
                                   {"v9, all of it", ExportProtocol::netflow_v9, kOfTemplates},
                                   {"ipfix", ExportProtocol::ipfix},
                                   {"ipfix, all of it", ExportProtocol::ipfix, kOfIpfix},
                                   {"sflow", ExportProtocol::sflow},
                                   {"sflow, all of it", ExportProtocol::sflow, kOfSflow}};

std::vector<ExportDatagram> run(const ExporterModelConfig& config, size_t datagrams) {
  ExporterModel model(config);
  std::vector<ExportDatagram> all(datagrams);
  for (size_t i = 0; i < datagrams; ++i) model.next(kStart + i * kNsPerMs, all[i]);
  return all;
}

uint32_t u32_at(const ExportDatagram& d, size_t offset) { return load_be32(&d.octets[offset]); }
uint16_t u16_at(const ExportDatagram& d, size_t offset) { return load_be16(&d.octets[offset]); }

/// Ids of the sets of a v9 or IPFIX datagram, each checked to lie within it.
std::vector<uint16_t> set_ids(const ExportDatagram& d, size_t header) {
  std::vector<uint16_t> ids;
  size_t at = header;
  while (at + 4 <= d.octets.size()) {
    ids.push_back(u16_at(d, at));
    const size_t length = u16_at(d, at + 2);
    EXPECT_GE(length, 4u);
    EXPECT_EQ(length % 4, 0u);
    at += std::max<size_t>(length, 4);
  }
  EXPECT_EQ(at, d.octets.size());
  return ids;
}

TEST(ExporterModel, IsReproducibleFromItsSeed) {
  for (const Protocol& p : kProtocols) {
    SCOPED_TRACE(p.name);
    ExporterModelConfig config{
        .protocol = p.protocol, .sampling = 100, .extras = p.extras, .start_ns = kStart};
    const auto first = run(config, 50);
    const auto second = run(config, 50);
    config.seed = 2;
    const auto other = run(config, 50);
    for (size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i].octets, second[i].octets);
    EXPECT_NE(first.back().octets, other.back().octets);
  }
}

TEST(ExporterModel, HoldsTheFlowsItIsTold) {
  for (const Protocol& p : kProtocols) {
    SCOPED_TRACE(p.name);
    for (const auto& d : run({.protocol = p.protocol, .flows = 3, .extras = p.extras, .start_ns = kStart}, 20)) {
      EXPECT_EQ(d.records, d.templates != 0 ? 0u : 3u);
    }
  }
}

TEST(ExporterModel, FillsDatagramsThatNeedNoFragments) {
  for (const Protocol& p : kProtocols) {
    SCOPED_TRACE(p.name);
    for (const auto& d : run({.protocol = p.protocol, .extras = p.extras, .start_ns = kStart}, 100)) {
      EXPECT_LE(d.octets.size(), 1472u);
      if (d.templates != 0) continue;
      EXPECT_GT(d.octets.size(), 1472u - 450) << "the next one did not fit";
    }
  }
}

TEST(ExporterModel, NeverExceedsAUdpDatagram) {
  for (const Protocol& p : kProtocols) {
    SCOPED_TRACE(p.name);
    for (const auto& d : run({.protocol = p.protocol, .flows = 1'000'000, .extras = p.extras, .start_ns = kStart}, 5)) {
      EXPECT_LE(d.octets.size(), 65507u);
    }
  }
}

TEST(ExporterModel, CountsSequencesAsEachProtocolDoes) {
  uint32_t v5_records = 0;
  for (const auto& d : run({.protocol = ExportProtocol::netflow_v5, .start_ns = kStart}, 20)) {
    EXPECT_EQ(u16_at(d, 2), d.records);
    EXPECT_EQ(u32_at(d, 16), v5_records);
    v5_records += d.records;
  }
  uint32_t v9_datagrams = 0;
  for (const auto& d :
       run({.protocol = ExportProtocol::netflow_v9, .sampling = 10, .start_ns = kStart}, 20)) {
    EXPECT_EQ(u16_at(d, 2), d.records + d.templates + d.options_records);
    EXPECT_EQ(u32_at(d, 12), v9_datagrams++);
  }
  uint32_t ipfix_records = 0;
  for (const auto& d :
       run({.protocol = ExportProtocol::ipfix, .sampling = 10, .start_ns = kStart}, 20)) {
    EXPECT_EQ(u16_at(d, 2), d.octets.size());
    EXPECT_EQ(u32_at(d, 8), ipfix_records);
    ipfix_records += d.records + d.options_records;
  }
}

TEST(ExporterModel, SendsTemplatesFirstAndAgain) {
  struct Case {
    ExportProtocol protocol;
    size_t header;
    std::vector<uint16_t> template_sets;
  };
  for (const Case& c : {Case{ExportProtocol::netflow_v9, 20, {0, 1, 258}},
                        Case{ExportProtocol::ipfix, 16, {2, 3, 258}}}) {
    const auto all = run({.protocol = c.protocol,
                          .sampling = 100,
                          .start_ns = kStart,
                          .template_refresh_datagrams = 7},
                         30);
    for (size_t i = 0; i < all.size(); ++i) {
      SCOPED_TRACE(i);
      const std::vector<uint16_t> ids = set_ids(all[i], c.header);
      if (i % 8 == 0) {
        EXPECT_EQ(ids, c.template_sets);
        EXPECT_EQ(all[i].templates, 3u);
        EXPECT_EQ(all[i].options_records, 1u);
      } else {
        for (const uint16_t id : ids) EXPECT_TRUE(id == 256 || id == 257);
      }
    }
  }
}

TEST(ExporterModel, CountsSamplesByInterface) {
  const auto all = run({.protocol = ExportProtocol::sflow, .sampling = 100, .extras = kOfSflow, .start_ns = kStart}, 9);
  uint32_t sequence = 0;
  for (const auto& d : all) {
    EXPECT_EQ(u32_at(d, 0), 5u);
    EXPECT_EQ(u32_at(d, 16), ++sequence);
    EXPECT_EQ(u32_at(d, 24), d.records + d.counter_samples);
    EXPECT_EQ(d.counter_samples, sequence % kCountersEveryDatagrams == 1 ? 1u : 0u);
  }
}

TEST(ExporterModel, CountsWhatItsRecordsSay) {
  ExporterModel model({.protocol = ExportProtocol::ipfix, .extras = kOfIpfix, .start_ns = kStart});
  ExportDatagram datagram;
  size_t translations = 0, long_names = 0, tunnels = 0;
  for (int i = 0; i < 200; ++i) {
    model.next(kStart, datagram);
    uint64_t octets = 0, packets = 0;
    for (const ExportedFlow& f : model.flows()) {
      translations += f.kind == RecordKind::nat;
      long_names += f.host.size() > 254;
      tunnels += f.tunnel != Tunnel::none && f.proto != 47;
      if (f.kind == RecordKind::nat) continue;
      octets += f.octets;
      packets += f.packets;
    }
    EXPECT_EQ(datagram.flow_octets, octets);
    EXPECT_EQ(datagram.flow_packets, packets);
    EXPECT_EQ(datagram.records, model.flows().size());
  }
  EXPECT_GT(translations, 100u);
  EXPECT_GT(long_names, 5u) << "so that lengths of three octets are seen";
  EXPECT_EQ(tunnels, 0u) << "not wanted";
}

TEST(ExporterModel, SaysNothingOfSamplingWhenThereIsNone) {
  for (const auto& d : run({.protocol = ExportProtocol::netflow_v9, .start_ns = kStart}, 5)) {
    EXPECT_EQ(d.options_records, 0u);
  }
  for (const auto& d : run({.protocol = ExportProtocol::netflow_v5, .start_ns = kStart}, 5)) {
    EXPECT_EQ(u16_at(d, 22), 0u);
  }
  for (const auto& d :
       run({.protocol = ExportProtocol::netflow_v5, .sampling = 100, .start_ns = kStart}, 5)) {
    EXPECT_EQ(u16_at(d, 22), 0x4000u | 100u);
  }
}

TEST(ExporterModel, KeepsItsClock) {
  const auto all = run({.protocol = ExportProtocol::netflow_v5, .start_ns = kStart}, 3);
  EXPECT_EQ(u32_at(all[2], 4), 3'600'002u);  // up for an hour and two datagrams
  EXPECT_EQ(u32_at(all[2], 8), 1'700'000'000u);
  EXPECT_EQ(u32_at(all[2], 12), 125'000'000u);
  for (size_t at = 24; at < all[2].octets.size(); at += 48) {
    const uint32_t first = u32_at(all[2], at + 24), last = u32_at(all[2], at + 28);
    EXPECT_LE(first, last);
    EXPECT_LE(last, 3'600'002u);
  }
}

// ---- The flows themselves ----------------------------------------------------------------------

bool is_documentation(const IpAddress& a) {
  if (!a.is_v4()) return load_be32(a.octets.data()) == 0x20010db8;
  const uint32_t v4 = load_be32(a.wire_data());
  return v4 >> 8 == 0xC00002 || v4 >> 8 == 0xC63364 || v4 >> 8 == 0xCB0071 ||
         v4 >> 17 == 0xC612 >> 1;
}

TEST(TrafficModel, UsesDocumentationAndBenchmarkAddressesOnly) {
  TrafficModel model(7, Families::ipv4_and_ipv6);
  for (int i = 0; i < 100'000; ++i) {
    const Flow f = model.next();
    ASSERT_TRUE(is_documentation(f.src)) << f.src.to_string();
    ASSERT_TRUE(is_documentation(f.dst)) << f.dst.to_string();
    ASSERT_TRUE(is_documentation(f.next_hop)) << f.next_hop.to_string();
    ASSERT_EQ(f.src.is_v4(), f.dst.is_v4());
  }
}

TEST(TrafficModel, IsWhatRealTrafficLooksLike) {
  constexpr int kFlows = 100'000;
  TrafficModel model(1, Families::ipv4_and_ipv6);
  std::map<IpAddress, int> hosts;
  std::map<int, int> protocols;
  std::set<uint16_t> ports;
  int v6 = 0, large = 0, small = 0;
  for (int i = 0; i < kFlows; ++i) {
    const Flow f = model.next();
    ++hosts[f.src];
    ++protocols[f.proto];
    ports.insert(f.src_port);
    v6 += !f.src.is_v4();
    small += f.octets < 1000;
    large += f.octets > 100'000;
    ASSERT_GE(f.octets, f.packets * 20ull);
    ASSERT_GE(f.packets, 1u);
    ASSERT_LE(f.octets, 0xffffffffull) << "32-bit counters hold it";
  }
  std::vector<int> by_use;
  for (const auto& [host, flows] : hosts) by_use.push_back(flows);
  std::sort(by_use.rbegin(), by_use.rend());
  int top = 0;
  for (size_t i = 0; i < by_use.size() / 100; ++i) top += by_use[i];
  EXPECT_GT(hosts.size(), 5'000u);
  EXPECT_GT(top, kFlows / 3) << "one host in a hundred makes more than a third of the flows";
  EXPECT_NEAR(v6, kFlows / 5, kFlows / 50);
  EXPECT_GT(protocols[6], kFlows / 3);
  EXPECT_GT(protocols[17], kFlows / 5);
  EXPECT_GT(protocols[1] + protocols[58], kFlows / 50);
  EXPECT_GT(ports.size(), 10'000u);
  EXPECT_GT(small, kFlows / 10);
  EXPECT_GT(large, kFlows / 10);
}

TEST(Random, StaysBelowItsBound) {
  Random r(3);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LT(r.below(7), 7u);
    EXPECT_EQ(r.below(1), 0u);
    const uint32_t octave = r.by_octave(4);
    EXPECT_TRUE(octave >= 1 && octave < 16);
  }
}

}  // namespace
}  // namespace weir::lab
