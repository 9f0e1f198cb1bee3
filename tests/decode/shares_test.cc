// What some exporters take leaves enough for others, whenever those come.
#include "decode/shares.h"

#include <gtest/gtest.h>

#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;

NetflowV9Builder v9() {
  NetflowV9Builder b;
  b.unix_secs(kNowSecs).uptime_ms(kUptimeMs);
  return b;
}
Bench::From hog(uint32_t i) { return {.source = IpAddress::from_v4(0x0A000000 + i)}; }
Bench::From late() { return {.source = IpAddress::from_v4(0xC6336401)}; }
const lab::Template kBytes{.id = 256, .fields = {{1, 4}}};
constexpr uint16_t kOptions = 300;

NetflowV9Builder sampler_table() {
  return v9().options_templates(
      {{.id = kOptions, .scopes = {{1, 4}}, .fields = {{48, 2}, {50, 2}}}});
}

TEST(Shares, KeepAPartForEach) {
  Shares s(10, 100);
  EXPECT_EQ(s.most(), 110u);
  EXPECT_TRUE(s.admits(0, 110));
  s.change(0, 110);
  EXPECT_FALSE(s.admits(110, 1));
  EXPECT_TRUE(s.admits(0, 10)) << "another's";
  EXPECT_FALSE(s.admits(0, 11));
  s.change(110, 5);
  EXPECT_TRUE(s.admits(0, 110));
}

TEST(Shares, OfLittleKeepNone) {
  EXPECT_EQ(Shares::of(1000, 10, 51, 1000).most(), 1000u);
  EXPECT_EQ(Shares::of(1000, 10, 50, 1000).most(), 550u);
  EXPECT_EQ(Shares::of(1000, 10, 1, 20).most(), 820u);
}

TEST(Shares, OfTemplatesLeaveRoomForWhoComesLater) {
  DecoderConfig config = Bench::default_config();
  config.limits.template_octets_total = 8 << 20;
  config.limits.exporters_max = 64;
  config.limits.templates_per_exporter_max = 100'000;
  Bench b(config);
  b.send(v9().templates({kBytes}).build(), late());
  std::vector<lab::Template> many;
  for (uint16_t i = 0; i < 2000; ++i) {
    many.push_back({.id = static_cast<uint16_t>(256 + i), .fields = {{9999, 1}}});
  }
  for (uint32_t e = 0; e < 20; ++e) b.send(v9().templates(many).build(), hog(e));
  const lab::Template other{.id = 256, .fields = {{2, 4}, {1, 4}}};
  b.send(v9().templates({other}).data(256, {{u32(1), u32(7)}}).build(), late());
  ASSERT_EQ(b.records(), 1u) << "an exporter that was there defines a template anew";
  EXPECT_EQ(b.record(0).bytes, 7u);
  b.send(v9().templates({kBytes}).data(256, {{u32(8)}}).build(),
         {.source = IpAddress::from_v4(0xC6336402)});
  ASSERT_EQ(b.records(), 2u) << "an exporter that comes now";
  EXPECT_EQ(b.record(1).bytes, 8u);
}

TEST(Shares, OfRatesLeaveRoomForWhoComesLater) {
  Bench b;
  Octets many;
  for (uint16_t id = 1; id <= 3000; ++id) append(many, join({u32(0), u16(id), u16(100)}));
  for (uint32_t e = 0; e < 20; ++e) {
    b.send(sampler_table().set(kOptions, many).build(), hog(e));
  }
  b.send(sampler_table()
             .data(kOptions, {{u32(0), u16(1), u16(512)}})
             .templates({{.id = 256, .fields = {{1, 4}, {48, 2}}}})
             .data(256, {{u32(1), u16(1)}})
             .build(),
         late());
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.record(0).sampling_rate, 512u);
}

TEST(Shares, OfNamesLeaveRoomForWhoComesLater) {
  DecoderConfig config = Bench::default_config();
  config.listeners[0].inline_names = true;
  Bench b(config);
  const lab::OptionsTemplate table{.id = kOptions, .scopes = {{2, 4}}, .fields = {{82, 4}}};
  Octets many;
  for (uint16_t i = 1; i <= 4096; ++i) append(many, join({u32(i), text("name")}));
  for (uint32_t e = 0; e < 20; ++e) {
    b.send(v9().options_templates({table}).set(kOptions, many).build(), hog(e));
  }
  b.send(v9().options_templates({table})
             .data(kOptions, {{u32(5), text("eth5")}})
             .templates({{.id = 256, .fields = {{1, 4}, {10, 2}}}})
             .data(256, {{u32(1), u16(5)}})
             .build(),
         late());
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.kept(0).text(b.record(0).in_if_name), "eth5");
}

TEST(Shares, OfWaitingDataLeaveRoomForWhoComesLater) {
  DecoderConfig config = Bench::default_config();
  config.limits.exporters_max = 64;
  config.limits.pending_octets_total = 1 << 20;
  config.limits.pending_sets_per_exporter_max = 10'000;
  config.limits.pending_entries_per_template_max = 10'000;
  Bench b(config);
  for (uint32_t e = 0; e < 20; ++e) {
    for (int i = 0; i < 1000; ++i) b.send(v9().set(256, zeros(4)).build(), hog(e));
  }
  b.send(v9().data(256, {{u32(7)}}).build(), late());
  b.send(v9().templates({kBytes}).build(), late());
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.record(0).bytes, 7u);
}

}  // namespace
}  // namespace weir::decode
