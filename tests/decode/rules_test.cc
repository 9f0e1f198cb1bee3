// What the operator says of exporters, and says anew while datagrams come.
#include <gtest/gtest.h>

#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;

ExporterPrefix prefix(const char* address, int bits) {
  const IpAddress parsed = *IpAddress::parse(address);
  return {parsed, static_cast<uint8_t>(parsed.is_v4() ? 96 + bits : bits)};
}

Octets a_flow() { return NetflowV5Builder{}.unix_time(kNowSecs).record({}).build(); }

TEST(AccessList, TheLongestPrefixDecides) {
  AccessList list;
  EXPECT_TRUE(list.admits(*IpAddress::parse("192.0.2.1")));
  list.deny = {prefix("192.0.2.0", 24), prefix("192.0.2.130", 32)};
  EXPECT_FALSE(list.admits(*IpAddress::parse("192.0.2.1")));
  EXPECT_TRUE(list.admits(*IpAddress::parse("192.0.3.1"))) << "there is nothing that lets in";
  list.allow = {prefix("192.0.2.128", 25), prefix("2001:db8::", 32)};
  EXPECT_FALSE(list.admits(*IpAddress::parse("192.0.2.127")));
  EXPECT_TRUE(list.admits(*IpAddress::parse("192.0.2.128")));
  EXPECT_FALSE(list.admits(*IpAddress::parse("192.0.2.130")));
  EXPECT_FALSE(list.admits(*IpAddress::parse("192.0.3.1"))) << "there is something that lets in";
  EXPECT_TRUE(list.admits(*IpAddress::parse("2001:db8::7")));
  EXPECT_FALSE(list.admits(*IpAddress::parse("2001:db9::7")));
}

TEST(Rules, ExportersThatAreNotAllowedAreRefusedAndCountedAndTakeNoPlace) {
  DecoderConfig config = Bench::default_config();
  config.access.allow = {prefix("192.0.2.0", 24)};
  Bench b(config);
  b.send(a_flow(), {.source = *IpAddress::parse("198.51.100.1")});
  EXPECT_EQ(b.records(), 0u);
  EXPECT_EQ(b.error(DatagramError::exporter_not_allowed), 1u);
  EXPECT_EQ(b.decoder->counters().exporters.value(), 0u);
  b.send(a_flow(), {.source = *IpAddress::parse("192.0.2.1")});
  EXPECT_EQ(b.records(), 1u);
}

TEST(Rules, NewOnesHoldForExportersThatAreKnown) {
  DecoderConfig config = Bench::default_config();
  config.listeners[0].sampling_rate_default = 10;
  Bench b(config);
  b.send(a_flow());
  EXPECT_EQ(b.record(0).sampling_rate, 10u);

  DecoderRules rules{.listeners = config.listeners};
  rules.sampling_override = {{IpAddress{}, 0, 500}};
  b.decoder->set_rules(rules);
  b.send(a_flow());
  EXPECT_EQ(b.record(1).sampling_rate, 500u);
  EXPECT_EQ(b.record(1).sampling_source, static_cast<uint32_t>(SamplingSource::override_));

  DecoderRules others{.listeners = config.listeners};
  others.listeners[0].sampling_rate_default = 20;
  b.decoder->set_rules(others);
  b.send(a_flow());
  EXPECT_EQ(b.record(2).sampling_rate, 20u) << "the override is gone";

  others.access.deny = {{IpAddress{}, 0}};
  b.decoder->set_rules(others);
  b.send(a_flow());
  EXPECT_EQ(b.records(), 3u);
}

TEST(Rules, AListenerMayBeNarrowedAndGetsNoMoreThanTheDecoderHas) {
  DecoderConfig config = Bench::default_config();
  config.limits.templates_per_exporter_max = 4;
  Bench b(config);
  DecoderRules rules{.listeners = config.listeners};
  rules.listeners[0].limits = ExporterLimits{.templates_max = 2};
  b.decoder->set_rules(rules);
  b.send(a_flow());
  const auto templates_max = [&] {
    uint32_t cursor = 0;
    ExporterStats row;
    EXPECT_EQ(b.decoder->copy_exporters(cursor, {&row, 1}), 1u);
    return row.templates_max;
  };
  EXPECT_EQ(templates_max(), 2u);
  DecoderRules wide{.listeners = config.listeners};
  wide.listeners[0].limits = ExporterLimits{.templates_max = 4000};
  b.decoder->set_rules(wide);
  b.send(a_flow());
  EXPECT_EQ(templates_max(), 4u);
}

}  // namespace
}  // namespace weir::decode
