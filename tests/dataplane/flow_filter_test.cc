#include "dataplane/flow_filter.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace weir::dataplane::testing {
namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }
PrefixMatch prefix(std::string_view address, uint8_t bits) {
  return {ip(address), static_cast<uint8_t>(ip(address).is_v4() ? bits + 96 : bits)};
}

/// 192.0.2.17:51000 → 198.51.100.2:443, TCP, in by 7, out by 9, from 203.0.113.5.
struct Sample {
  ExportHeader header;
  FlowRecord record{};
  ListenerId listener{2};

  Sample() {
    header.type = FlowType::ipfix;
    header.exporter_address = header.sampler_address = ip("203.0.113.5");
    record.src_addr = ip("192.0.2.17");
    record.dst_addr = ip("198.51.100.2");
    record.addresses = address::bit(address::k_src_addr) | address::bit(address::k_dst_addr);
    record.src_port = 51'000;
    record.dst_port = 443;
    record.proto = 6;
    record.in_if = 7;
    record.out_if = 9;
    for (const Field f : {Field::src_port, Field::dst_port, Field::proto, Field::in_if, Field::out_if})
      record.present.set(f);
  }
  bool is_admitted_by(const FlowFilter& f) const { return f.admits(header, listener) && f.admits(record); }
};

struct Row {
  const char* what;
  FlowFilter filter;
  bool admits;
};

TEST(FlowFilter, AdmitsWhatMeetsEveryCondition) {
  const std::vector<Row> rows = {
      {"no condition", {}, true},
      {"its exporter", {.exporter = prefix("203.0.113.5", 32)}, true},
      {"its exporter's network", {.exporter = prefix("203.0.113.0", 24)}, true},
      {"another exporter", {.exporter = prefix("203.0.113.6", 32)}, false},
      {"its listener", {.listener = ListenerId{2}}, true},
      {"another listener", {.listener = ListenerId{0}}, false},
      {"its type", {.type = FlowType::ipfix}, true},
      {"another type", {.type = FlowType::netflow_v5}, false},
      {"its source", {.source = prefix("192.0.2.17", 32)}, true},
      {"its source's network", {.source = prefix("192.0.2.16", 28)}, true},
      {"one address less", {.source = prefix("192.0.2.18", 31)}, false},
      {"its destination as source", {.source = prefix("198.51.100.2", 32)}, false},
      {"its destination", {.destination = prefix("198.51.100.0", 24)}, true},
      {"its source as destination", {.destination = prefix("192.0.2.17", 32)}, false},
      {"either, by its source", {.either = prefix("192.0.2.0", 24)}, true},
      {"either, by its destination", {.either = prefix("198.51.100.0", 24)}, true},
      {"neither", {.either = prefix("10.0.0.0", 8)}, false},
      {"all of IPv4", {.source = prefix("0.0.0.0", 0)}, true},
      {"a network of IPv6", {.source = prefix("2001:db8::", 32)}, false},
      {"its source port", {.source_port = 51'000}, true},
      {"its destination port as source port", {.source_port = 443}, false},
      {"its destination port", {.destination_port = 443}, true},
      {"either port, by the source's", {.either_port = 51'000}, true},
      {"either port, by the destination's", {.either_port = 443}, true},
      {"neither port", {.either_port = 80}, false},
      {"its protocol", {.protocol = 6}, true},
      {"another protocol", {.protocol = 17}, false},
      {"the interface it came in by", {.in_interface = 7}, true},
      {"and not out by", {.out_interface = 7}, false},
      {"the interface it went out by", {.out_interface = 9}, true},
      {"either interface", {.either_interface = 9}, true},
      {"neither interface", {.either_interface = 8}, false},
      {"all of them", {.exporter = prefix("203.0.113.5", 32), .source = prefix("192.0.2.0", 24), .either_port = 443, .protocol = 6}, true},
      {"all but one", {.exporter = prefix("203.0.113.5", 32), .source = prefix("192.0.2.0", 24), .either_port = 443, .protocol = 17}, false},
  };
  for (const Row& row : rows) EXPECT_EQ(Sample().is_admitted_by(row.filter), row.admits) << row.what;
}

TEST(FlowFilter, WhatWasNotExportedMeetsNoCondition) {
  Sample sample;
  sample.record = {};
  for (const Row& row : std::vector<Row>{{"source", {.source = prefix("::", 0)}, false},
                                         {"either address", {.either = prefix("::", 0)}, false},
                                         {"port 0", {.either_port = 0}, false},
                                         {"protocol 0", {.protocol = 0}, false},
                                         {"interface 0", {.in_interface = 0}, false}}) {
    EXPECT_EQ(sample.is_admitted_by(row.filter), row.admits) << row.what;
  }
  sample.record.present.set(Field::dst_port);
  EXPECT_TRUE(sample.is_admitted_by({.either_port = 0})) << "port 0 that was exported";
}

TEST(FlowFilter, AnSflowAgentIsAnExporterToo) {
  Sample sample;
  sample.header.sampler_address = ip("2001:db8::7");
  EXPECT_TRUE(sample.is_admitted_by({.exporter = prefix("2001:db8::7", 128)}));
  EXPECT_TRUE(sample.is_admitted_by({.exporter = prefix("203.0.113.5", 32)}));
}

// Against comparing bit by bit.
TEST(PrefixMatch, CoversWhatHasTheSameFirstBitsForEveryLength) {
  const IpAddress base = ip("2001:db8:a5a5:5a5a:ffff:0:1234:8001");
  for (unsigned bits = 0; bits <= 128; ++bits) {
    const PrefixMatch match(base, static_cast<uint8_t>(bits));
    for (unsigned flipped = 0; flipped < 128; ++flipped) {
      IpAddress other = base;
      other.octets[flipped / 8] ^= static_cast<uint8_t>(0x80u >> flipped % 8);
      EXPECT_EQ(match.covers(other), flipped >= bits) << "bit " << flipped << " of /" << bits;
    }
    EXPECT_TRUE(match.covers(base));
  }
}

}  // namespace
}  // namespace weir::dataplane::testing
