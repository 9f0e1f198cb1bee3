// What the operator says of exporters, and says anew while datagrams come.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

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
  const std::vector<ExporterPrefix> deny = {prefix("192.0.2.0", 24), prefix("192.0.2.130", 32)};
  list = {{}, deny};
  EXPECT_FALSE(list.admits(*IpAddress::parse("192.0.2.1")));
  EXPECT_TRUE(list.admits(*IpAddress::parse("192.0.3.1"))) << "there is nothing that lets in";
  list = {{prefix("192.0.2.128", 25), prefix("2001:db8::", 32)}, deny};
  EXPECT_FALSE(list.admits(*IpAddress::parse("192.0.2.127")));
  EXPECT_TRUE(list.admits(*IpAddress::parse("192.0.2.128")));
  EXPECT_FALSE(list.admits(*IpAddress::parse("192.0.2.130")));
  EXPECT_FALSE(list.admits(*IpAddress::parse("192.0.3.1"))) << "there is something that lets in";
  EXPECT_TRUE(list.admits(*IpAddress::parse("2001:db8::7")));
  EXPECT_FALSE(list.admits(*IpAddress::parse("2001:db9::7")));
}

/// Looks at each prefix.
bool admits_by_each(const std::vector<ExporterPrefix>& allow, const std::vector<ExporterPrefix>& deny, const IpAddress& exporter) {
  const auto longest = [&](const std::vector<ExporterPrefix>& prefixes) {
    int bits = -1;
    for (const ExporterPrefix& p : prefixes)
      if (p.covers(exporter)) bits = std::max<int>(bits, p.bits);
    return bits;
  };
  const int allowed = longest(allow), denied = longest(deny);
  return allowed < 0 && denied < 0 ? allow.empty() : allowed > denied;
}

TEST(AccessList, SaysWhatLookingAtEachPrefixSays) {
  std::mt19937 random(314);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  /// Few bits differ, so that prefixes lie in each other, are the same, and meet where one ends.
  const auto some_address = [&] {
    IpAddress a = below(2) == 0 ? IpAddress::from_v4(0u) : IpAddress{};
    for (const size_t octet : {12u, 13u, 15u}) a.octets[octet] = static_cast<uint8_t>(std::array{0x00, 0x01, 0x7f, 0x80, 0xff}[below(5)]);
    if (below(8) == 0) a.octets.fill(below(2) == 0 ? 0x00 : 0xff);
    return a;
  };
  uint32_t admitted = 0, refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<ExporterPrefix> lists[2];
    for (std::vector<ExporterPrefix>& list : lists)
      for (uint32_t i = below(8); i != 0; --i)
        list.push_back({some_address(), static_cast<uint8_t>(below(4) == 0 ? below(129) : 96 + below(33))});
    const auto& [allow, deny] = lists;
    const AccessList list(allow, deny);
    EXPECT_EQ(list.is_open(), allow.empty() && deny.empty());
    for (int i = 0; i < 50; ++i) {
      const IpAddress exporter = some_address();
      const bool admits = admits_by_each(allow, deny, exporter);
      ASSERT_EQ(list.admits(exporter), admits) << "round " << round << ", " << exporter.to_string();
      ++(admits ? admitted : refused);
    }
  }
  EXPECT_GT(admitted, 10'000u);
  EXPECT_GT(refused, 10'000u);
}

TEST(Rules, ExportersThatAreNotAllowedAreRefusedAndCountedAndTakeNoPlace) {
  DecoderConfig config = Bench::default_config();
  config.access = {{prefix("192.0.2.0", 24)}, {}};
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

  others.access = {{}, {{IpAddress{}, 0}}};
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
