// events_test.cc — What a decoder tells of exporters and templates.
#include <gmock/gmock.h>

#include "decode_support.h"
#include "event_support.h"

namespace weir::decode {
namespace {

using lab::IpfixBuilder;
using lab::NetflowV9Builder;
using testing::ElementsAre;
using testing::IsEmpty;

class EventsTest : public testing::Test {
 protected:
  static DecoderConfig config_with(EventSink& sink, const DecoderLimits& limits = {}) {
    DecoderConfig config = Bench::default_config();
    config.limits = limits;
    config.events = &sink;
    return config;
  }
  /// Templates of one four-octet field: the field's number tells them apart.
  static lab::Octets v9_template(uint16_t id, uint16_t field, uint32_t source_id = 7) {
    return NetflowV9Builder{}.source_id(source_id).templates({{id, {{field, 4}}}}).build();
  }
  static lab::Octets v9_data(uint16_t id) {
    return NetflowV9Builder{}.source_id(7).data(id, {{lab::u32(1)}}).build();
  }

  KeepingEvents events_;
};

TEST_F(EventsTest, TellsOfAnExporterOnce) {
  Bench bench(config_with(events_));
  const lab::Octets v5 = lab::NetflowV5Builder{}.engine(1, 2).record({}).build();
  bench.send(v5, {.port = 4000});
  bench.send(v5, {.port = 4000});
  bench.send(v5, {.source = IpAddress::from_v4(0xC0000208)});
  ASSERT_THAT(events_.kinds(), ElementsAre("exporter_seen", "exporter_seen"));
  const Event& first = events_.events[0];
  EXPECT_EQ(first.exporter, IpAddress::from_v4(0xC0000207));
  EXPECT_EQ(first.version, 5);
  EXPECT_EQ(first.port, 4000);
  EXPECT_EQ(first.domain, 0x0102u);
  EXPECT_EQ(first.at_ns, kNow);
  EXPECT_EQ(bench.decoder->counters().events.value(), 2u);
}

TEST_F(EventsTest, TellsOfTemplatesLearnedAndRedefinedButNotOfRefreshes) {
  Bench bench(config_with(events_));
  bench.send(v9_template(256, 1), {.port = 1000});
  bench.send(v9_template(256, 1), {.port = 1000});
  bench.send(v9_template(256, 2), {.port = 1000, .at_ns = kNow + 5});
  ASSERT_THAT(events_.kinds(),
              ElementsAre("exporter_seen", "template_learned", "template_redefined"));
  const Event& redefined = events_.events[2];
  EXPECT_EQ(redefined.domain, 7u);
  EXPECT_EQ(redefined.template_id, 256);
  EXPECT_EQ(redefined.version, 9);
  EXPECT_EQ(redefined.fields, 1);
  EXPECT_EQ(redefined.port, 1000);
  EXPECT_EQ(redefined.use, TemplateUse::data);
  EXPECT_EQ(redefined.at_ns, kNow + 5);
  const ExporterStats stats = bench.exporter();
  EXPECT_EQ(stats.templates_known, 1u);
  EXPECT_EQ(stats.templates_new, 2u);
  EXPECT_EQ(stats.port, 1000);
}

TEST_F(EventsTest, TellsWhichPortsContradictEachOther) {
  Bench bench(config_with(events_));
  bench.send(v9_template(256, 1), {.port = 1000});
  bench.send(v9_template(256, 2), {.port = 2000});
  ASSERT_THAT(events_.kinds(),
              ElementsAre("exporter_seen", "template_learned", "template_conflict"));
  EXPECT_EQ(events_.events[2].port, 2000);
  EXPECT_EQ(events_.events[2].other_port, 1000);
}

TEST_F(EventsTest, TellsOncePerTemplateThatItIsMissing) {
  Bench bench(config_with(events_));
  bench.send(v9_data(300));
  bench.send(v9_data(300));
  bench.send(v9_data(301));
  ASSERT_THAT(events_.kinds(),
              ElementsAre("exporter_seen", "template_missing", "template_missing"));
  EXPECT_EQ(events_.events[1].template_id, 300);
  EXPECT_EQ(events_.events[1].use, TemplateUse::unknown);
  const ExporterStats stats = bench.exporter();
  EXPECT_EQ(stats.data_templates, (TemplateCacheStats{.misses = 3}));
  EXPECT_EQ(stats.sets_waiting, 3u);
}

TEST_F(EventsTest, TellsOfTemplatesEvictedExpiredWithdrawnAndRefused) {
  DecoderLimits limits;
  limits.templates_per_exporter_max = 2;
  limits.template_fields_max = 3;
  limits.template_lifetime_ns = 1000;
  Bench bench(config_with(events_, limits));
  bench.send(v9_template(256, 1));
  bench.send(v9_template(257, 1));
  events_.events.clear();
  bench.send(v9_template(258, 1));
  ASSERT_THAT(events_.kinds(), ElementsAre("template_evicted", "template_learned"));
  EXPECT_EQ(events_.events[0].template_id, 256);
  EXPECT_EQ(bench.exporter().data_templates.evictions, 1u);
  EXPECT_EQ(bench.exporter().data_templates.size, 2u);
  EXPECT_EQ(bench.exporter().templates_max, 2u);

  events_.events.clear();
  bench.decoder->tick(kNow + 1001);
  EXPECT_THAT(events_.kinds(), ElementsAre("template_expired", "template_expired"));
  EXPECT_EQ(events_.events[0].at_ns, kNow + 1001);

  events_.events.clear();
  bench.send(IpfixBuilder{}.templates({{256, {{1, 4}}}}).build());
  bench.send(IpfixBuilder{}.templates({{256, {}}}).build());
  bench.send(IpfixBuilder{}.templates({{257, {{1, 4}, {2, 4}, {3, 4}, {4, 4}}}}).build());
  EXPECT_THAT(events_.kinds(), ElementsAre("template_learned", "template_withdrawn",
                                           "template_refused", "template_learned"));
  EXPECT_EQ(events_.last(EventKind::template_refused).template_id, 257);
  EXPECT_EQ(events_.last(EventKind::template_learned).use, TemplateUse::not_decodable)
      << "its data is skipped by name";
}

TEST_F(EventsTest, CountsHitsAndMissesOfEachKindOfTemplate) {
  Bench bench(config_with(events_));
  bench.send(v9_template(256, 1));
  bench.send(v9_data(256));
  bench.send(v9_data(256));
  bench.send(v9_data(257));
  const lab::OptionsTemplate options{257, {{1, 4}}, {}};
  bench.send(NetflowV9Builder{}.source_id(7).options_templates({options}).build());
  bench.send(v9_data(257));
  const ExporterStats stats = bench.exporter();
  EXPECT_EQ(stats.data_templates, (TemplateCacheStats{.size = 1, .hits = 2, .misses = 1}));
  EXPECT_EQ(stats.options_templates, (TemplateCacheStats{.size = 1, .hits = 1, .misses = 1}));
  EXPECT_EQ(events_.last(EventKind::template_learned).use, TemplateUse::options);
}

TEST_F(EventsTest, CountsWhatTheSinkCannotTake) {
  Bench bench(config_with(events_));
  events_.is_full = true;
  bench.send(v9_template(256, 1));
  EXPECT_THAT(events_.events, IsEmpty());
  EXPECT_EQ(bench.decoder->counters().events.value(), 0u);
  EXPECT_EQ(bench.decoder->counters().events_dropped.value(), 2u);
}

}  // namespace
}  // namespace weir::decode
