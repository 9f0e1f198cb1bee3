// listener_limits_test.cc — What an exporter may hold is what the listener says that it sends to.
#include <gtest/gtest.h>

#include "decode_support.h"

namespace weir::decode {
namespace {

using lab::NetflowV9Builder;

constexpr uint64_t kSecond = 1'000'000'000;

class ListenerLimitsTest : public testing::Test {
 protected:
  /// Listener 0 has the decoder's own limits, listener 1 those given.
  static DecoderConfig config_with(const ExporterLimits& limits) {
    DecoderConfig config = Bench::default_config();
    config.listeners.resize(2);
    config.listeners[1].limits = limits;
    return config;
  }
  static lab::Octets template_with(uint16_t id, size_t fields) {
    lab::Template t{.id = id};
    for (size_t i = 0; i < fields; ++i) t.fields.push_back({1, 4});
    return NetflowV9Builder{}.templates({t}).build();
  }
  static lab::Octets data(uint16_t id, size_t octets = 4) {
    return NetflowV9Builder{}.data(id, {lab::Record(lab::filled(octets, 1))}).build();
  }
  static Bench::From by(uint16_t listener, uint64_t at_ns = kNow) {
    // Exporters of their own, so that neither bounds the other.
    return {
        .source = IpAddress::from_v4(0xC0000210u + listener), .at_ns = at_ns, .listener = listener};
  }
};

TEST_F(ListenerLimitsTest, CountsWhatCameByEach) {
  Bench bench(config_with({}));
  const lab::Octets v5 = lab::NetflowV5Builder{}.unix_time(kNowSecs).record({}).record({}).build();
  bench.send(v5, by(0));
  bench.send(v5, by(1));
  bench.send(v5, by(1));
  bench.send(lab::Octets(20, 0xee), by(1));
  bench.send(data(256), by(1));  // its record waits
  const auto& of = bench.decoder->counters().listeners;
  EXPECT_EQ(of[0].datagrams[Protocol::netflow_v5].value(), 1u);
  EXPECT_EQ(of[1].datagrams[Protocol::netflow_v5].value(), 2u);
  EXPECT_EQ(of[1].octets[Protocol::netflow_v5].value(), 2 * v5.size());
  EXPECT_EQ(of[0].records[Protocol::netflow_v5].value(), 2u);
  EXPECT_EQ(of[1].records[Protocol::netflow_v5].value(), 4u);
  EXPECT_EQ(of[0].rejected.value(), 0u);
  EXPECT_EQ(of[1].rejected.value(), 1u);
  EXPECT_EQ(of[1].datagrams[Protocol::netflow_v9].value(), 1u);
  EXPECT_EQ(of[1].records[Protocol::netflow_v9].value(), 0u);
  bench.send(template_with(256, 1), by(1));
  EXPECT_EQ(of[1].records[Protocol::netflow_v9].value(), 1u);
}

TEST_F(ListenerLimitsTest, BoundsTemplatesAndTheirFields) {
  Bench bench(config_with({.templates_max = 2, .template_fields_max = 3}));
  for (uint16_t id = 256; id < 260; ++id) {
    bench.send(template_with(id, 3), by(0));
    bench.send(template_with(id, 3), by(1));
  }
  EXPECT_EQ(bench.event(TemplateEvent::evicted), 2u);
  EXPECT_EQ(bench.decoder->counters().templates.value(), 6u);
  bench.send(template_with(300, 4), by(0));
  EXPECT_EQ(bench.event(TemplateEvent::refused), 0u);
  bench.send(template_with(300, 4), by(1));
  EXPECT_EQ(bench.event(TemplateEvent::refused), 1u);
  ExporterStats rows[2];
  uint32_t cursor = 0;
  ASSERT_EQ(bench.decoder->copy_exporters(cursor, rows), 2u);
  EXPECT_EQ(rows[0].templates_max, 2000u);
  EXPECT_EQ(rows[1].templates_max, 2u);
}

TEST_F(ListenerLimitsTest, BoundsWhatWaits) {
  Bench bench(config_with(
      {.pending_sets_max = 3, .pending_sets_per_template = 2, .pending_set_octets_max = 100}));
  for (int i = 0; i < 4; ++i) {
    bench.send(data(256), by(0));
    bench.send(data(256), by(1));
  }
  EXPECT_EQ(bench.outcome(SetOutcome::evicted), 2u) << "two a template";
  bench.send(data(257), by(1));
  bench.send(data(258), by(1));
  EXPECT_EQ(bench.outcome(SetOutcome::evicted), 3u) << "three an exporter";
  bench.send(data(259, 97), by(0));
  EXPECT_EQ(bench.outcome(SetOutcome::skipped_pending_full), 0u);
  bench.send(data(259, 97), by(1));
  EXPECT_EQ(bench.outcome(SetOutcome::skipped_pending_full), 1u);
}

TEST_F(ListenerLimitsTest, EachListenersDataWaitsItsOwnTime) {
  Bench bench(config_with({.pending_ttl_ns = 5 * kSecond}));
  bench.send(data(256), by(0));
  bench.send(data(256), by(1, kNow + kSecond));
  bench.decoder->tick(kNow + 6 * kSecond - 1);
  EXPECT_EQ(bench.outcome(SetOutcome::expired), 0u);
  bench.decoder->tick(kNow + 6 * kSecond);
  EXPECT_EQ(bench.outcome(SetOutcome::expired), 1u) << "though an older one waits on";
  EXPECT_EQ(bench.outcome(SetOutcome::waiting_for_template), 1u);
  bench.decoder->tick(kNow + 300 * kSecond);
  EXPECT_EQ(bench.outcome(SetOutcome::expired), 2u);
}

TEST_F(ListenerLimitsTest, EachListenersTemplatesHaveTheirOwnLifetime) {
  Bench bench(config_with({.template_lifetime_ns = 5 * kSecond}));
  bench.send(template_with(256, 1), by(0));
  bench.send(template_with(256, 1), by(1));
  bench.decoder->tick(kNow + 6 * kSecond);
  EXPECT_EQ(bench.event(TemplateEvent::expired), 1u);
  EXPECT_EQ(bench.decoder->counters().templates.value(), 1u);
  bench.send(data(256), by(0, kNow + 7 * kSecond));
  EXPECT_EQ(bench.records(), 1u);
}

TEST_F(ListenerLimitsTest, AListenerCannotHaveMoreThanTheDecoder) {
  DecoderConfig config = config_with({.templates_max = 10, .template_fields_max = 100});
  config.limits.templates_per_exporter_max = 2;
  config.limits.template_fields_max = 3;
  Bench bench(config);
  for (uint16_t id = 256; id < 260; ++id) bench.send(template_with(id, 3), by(1));
  EXPECT_EQ(bench.decoder->counters().templates.value(), 2u);
  bench.send(template_with(300, 4), by(1));
  EXPECT_EQ(bench.event(TemplateEvent::refused), 1u);
}

}  // namespace
}  // namespace weir::decode
