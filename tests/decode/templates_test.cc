// Templates and what waits for them: scope, change, bounds, floods.
#include <gtest/gtest.h>

#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;

constexpr uint64_t kSecond = 1'000'000'000;

NetflowV9Builder v9(uint32_t source_id = 1) {
  return NetflowV9Builder{}.unix_secs(kNowSecs).source_id(source_id);
}
IpfixBuilder ipfix() { return IpfixBuilder{}.export_time(kNowSecs).domain(1); }

/// Records of one field each, so that a value shows by which template it was read.
lab::Template bytes_template(uint16_t id = 256) { return {.id = id, .fields = {{1, 4}}}; }
lab::Template packets_template(uint16_t id = 256) { return {.id = id, .fields = {{2, 4}}}; }
Octets data(uint32_t value, uint16_t id = 256, uint32_t source_id = 1) {
  return v9(source_id).data(id, {{u32(value)}}).build();
}
const IpAddress kOther = IpAddress::from_v4(0xC0000299);

TEST(Templates, AreScopedByExporterDomainAndIdNotByPort) {
  Bench b;
  b.send(v9(1).templates({bytes_template()}).build());
  b.send(data(5), {.port = 50'001});
  ASSERT_EQ(b.records(), 1u) << "an exporter that restarted has another port";
  b.send(data(6, 256, 2));
  b.send(data(7), {.source = kOther});
  b.send(data(8, 257));
  EXPECT_EQ(b.records(), 1u);
  EXPECT_EQ(b.outcome(SetOutcome::waiting_for_template), 3u);
  EXPECT_EQ(b.event(TemplateEvent::missing), 3u);
  EXPECT_EQ(b.event(TemplateEvent::hit), 1u);
}

TEST(Templates, OfV9AndIpfixAreApart) {
  Bench b;
  b.send(v9(1).templates({bytes_template()}).build());
  b.send(ipfix().data(256, {{u32(5)}}).build());
  EXPECT_EQ(b.outcome(SetOutcome::waiting_for_template), 1u);
}

TEST(Templates, ARefreshChangesNothing) {
  Bench b;
  for (int i = 0; i < 5; ++i) b.send(v9().templates({bytes_template()}).build());
  EXPECT_EQ(b.event(TemplateEvent::learned), 1u);
  EXPECT_EQ(b.event(TemplateEvent::refreshed), 4u);
  EXPECT_EQ(b.decoder->counters().templates.value(), 1u);
  EXPECT_EQ(b.decoder->counters().quirks.total(), 0u);
}

TEST(Templates, ARedefinitionHoldsFromThenOn) {
  Bench b;
  b.send(v9().templates({bytes_template()}).data(256, {{u32(1)}}).build());
  b.send(v9().templates({packets_template()}).data(256, {{u32(2)}}).build());
  EXPECT_EQ(b.record(0).bytes, 1u);
  EXPECT_EQ(b.record(1).packets, 2u);
  EXPECT_EQ(b.record(1).bytes, 0u);
  EXPECT_EQ(b.event(TemplateEvent::redefined), 1u);
  EXPECT_EQ(b.quirk(Quirk::template_redefined), 1u);
  EXPECT_EQ(b.quirk(Quirk::template_conflict), 0u);
  EXPECT_EQ(b.decoder->counters().templates.value(), 1u);
}

TEST(Templates, DataAndOptionsTemplatesShareTheirIds) {
  Bench b;
  b.send(v9().templates({bytes_template(300)}).build());
  b.send(v9().options_templates({{.id = 300, .scopes = {{1, 4}}, .fields = {{34, 4}}}}).build());
  b.send(v9().data(300, {{u32(0), u32(10)}}).build());
  EXPECT_EQ(b.records(), 0u);
  EXPECT_EQ(b.decoder->counters().options_records.value(), 1u);
  b.send(v9().templates({bytes_template(300)}).data(300, {{u32(3)}}).build());
  EXPECT_EQ(b.record(0).bytes, 3u);
}

TEST(Templates, PortsThatContradictEachOtherAreSplit) {
  const Bench::From one{.port = 1001};
  const Bench::From two{.port = 1002};
  Bench b;
  b.send(v9().templates({bytes_template()}).build(), one);
  b.send(v9().templates({packets_template()}).build(), two);
  EXPECT_EQ(b.quirk(Quirk::template_conflict), 1u);
  EXPECT_EQ(b.quirk(Quirk::scope_split_by_port), 1u);
  b.send(data(1), one);
  b.send(data(2), two);
  b.send(data(3), {.port = 1003});
  ASSERT_EQ(b.records(), 3u);
  EXPECT_EQ(b.record(0).bytes, 1u) << "whoever was there goes on undisturbed";
  EXPECT_EQ(b.record(1).packets, 2u);
  EXPECT_EQ(b.record(2).packets, 3u) << "strangers have the newest";
  // Both refresh, again and again: no further conflict.
  for (int i = 0; i < 3; ++i) {
    b.send(v9().templates({bytes_template()}).build(), one);
    b.send(v9().templates({packets_template()}).build(), two);
  }
  EXPECT_EQ(b.event(TemplateEvent::refreshed), 6u);
  EXPECT_EQ(b.quirk(Quirk::template_conflict), 1u);
  EXPECT_EQ(b.quirk(Quirk::scope_split_by_port), 1u);
  EXPECT_EQ(b.decoder->counters().templates.value(), 2u);
}

TEST(Templates, AnotherPortMuchLaterIsAnExporterThatChanged) {
  Bench b;
  b.send(v9().templates({bytes_template()}).build(), {.port = 1001});
  b.send(v9().templates({packets_template()}).build(),
         {.port = 1002, .at_ns = kNow + 7200 * kSecond});
  EXPECT_EQ(b.quirk(Quirk::template_redefined), 1u);
  EXPECT_EQ(b.quirk(Quirk::template_conflict), 0u);
  EXPECT_EQ(b.decoder->counters().templates.value(), 1u);
}

TEST(Templates, AreWithdrawnInIpfix) {
  const auto with = [](const lab::Template& t) { return ipfix().templates({t}).build(); };
  const OptionsTemplate options{.id = 301, .scopes = {{149, 4}}, .fields = {{34, 4}}};
  struct Case {
    const char* name;
    Octets withdrawal;
    uint64_t left;  // of two templates and an options template
  };
  const Case cases[] = {
      {"one", with({.id = 256}), 2},
      {"one that is not there", with({.id = 999}), 3},
      {"all templates", with({.id = 2}), 1},
      {"all options templates", ipfix().set(3, join({u16(3), u16(0)})).build(), 2},
      {"one options template", ipfix().set(3, join({u16(301), u16(0)})).build(), 2},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    b.send(ipfix()
               .templates({bytes_template(256), packets_template(257)})
               .options_templates({options})
               .build());
    ASSERT_EQ(b.decoder->counters().templates.value(), 3u);
    b.send(c.withdrawal);
    EXPECT_EQ(b.decoder->counters().templates.value(), c.left);
    EXPECT_EQ(b.event(TemplateEvent::withdrawn), 3 - c.left);
    EXPECT_EQ(b.outcome(SetOutcome::skipped_bad_template), 0u);
  }
}

TEST(Templates, AreWithdrawnInTheirOwnDomainOnly) {
  Bench b;
  b.send(ipfix().domain(2).templates({bytes_template()}).build());
  b.send(ipfix().domain(1).templates({bytes_template(), {.id = 2}}).build());
  EXPECT_EQ(b.event(TemplateEvent::withdrawn), 1u);
  b.send(ipfix().domain(2).data(256, {{u32(1)}}).build());
  EXPECT_EQ(b.records(), 1u);
}

TEST(Templates, AWithdrawnOneIsNoLongerDecodedBy) {
  Bench b;
  b.send(ipfix().templates({bytes_template()}).build());
  b.send(ipfix().templates({{.id = 256}}).data(256, {{u32(1)}}).build());
  EXPECT_EQ(b.records(), 0u);
  EXPECT_EQ(b.outcome(SetOutcome::waiting_for_template), 1u);
}

TEST(Templates, TheLeastRecentlyUsedOfTheExportersOwnGoes) {
  DecoderConfig config = Bench::default_config();
  config.limits.templates_per_exporter_max = 3;
  Bench b(config);
  b.send(v9().templates({bytes_template(256)}).build(), {.source = kOther});
  for (uint16_t id = 256; id < 259; ++id) b.send(v9().templates({bytes_template(id)}).build());
  b.send(data(1, 256));  // used again
  b.send(v9().templates({bytes_template(259)}).build());
  EXPECT_EQ(b.event(TemplateEvent::evicted), 1u);
  b.send(data(2, 256));
  b.send(data(3, 258));
  b.send(data(4, 259));
  EXPECT_EQ(b.records(), 4u);
  b.send(data(5, 257));
  EXPECT_EQ(b.outcome(SetOutcome::waiting_for_template), 1u);
  b.send(data(6, 256), {.source = kOther});
  EXPECT_EQ(b.records(), 5u) << "nobody else's";
}

TEST(Templates, TheirOctetsAreBoundedToo) {
  DecoderConfig config = Bench::default_config();
  config.limits.template_octets_total = 1 << 20;
  config.limits.templates_per_exporter_max = 100'000;
  Bench b(config);
  std::vector<FieldSpecifier> many(1000, FieldSpecifier{9999, 1});
  for (uint16_t i = 0; i < 500; ++i) {
    b.send(v9().templates({{.id = static_cast<uint16_t>(256 + i), .fields = many}}).build());
  }
  EXPECT_GT(b.event(TemplateEvent::evicted), 400u);
  EXPECT_EQ(b.event(TemplateEvent::refused), 0u);
  EXPECT_LT(b.decoder->counters().templates.value(), 100u);
}

TEST(Templates, WhoeverTookAllLeavesOthersUnharmed) {
  // Eight exporters may take an eighth each; a ninth finds nothing and is refused, but what it has
  // stays.
  DecoderConfig config = Bench::default_config();
  config.limits.template_octets_total = 8 << 20;
  config.limits.templates_per_exporter_max = 100'000;
  Bench b(config);
  const IpAddress quiet = IpAddress::from_v4(0xC6336401);
  b.send(v9().templates({bytes_template(256)}).build(), {.source = quiet});
  std::vector<FieldSpecifier> many(5000, FieldSpecifier{9999, 1});
  for (uint32_t e = 0; e < 8; ++e) {
    for (uint16_t i = 0; i < 12; ++i) {
      b.send(v9().templates({{.id = static_cast<uint16_t>(256 + i), .fields = many}}).build(),
             {.source = IpAddress::from_v4(0xC0000200 + e)});
    }
  }
  b.send(data(1, 256), {.source = quiet});
  EXPECT_EQ(b.records(), 1u);
}

TEST(Templates, OfTooManyFieldsAreRefused) {
  DecoderConfig config = Bench::default_config();
  config.limits.template_fields_max = 4;
  Bench b(config);
  const lab::Template five{.id = 256, .fields = std::vector<FieldSpecifier>(5, {1, 4})};
  b.send(v9().templates({five, bytes_template(257)})
             .data(256, {Record(zeros(20))})
             .data(257, {{u32(9)}})
             .build());
  EXPECT_EQ(b.event(TemplateEvent::refused), 1u);
  EXPECT_EQ(b.outcome(SetOutcome::skipped_not_decodable), 1u);
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.record(0).bytes, 9u);
}

TEST(Templates, ExpireWhereALifetimeIsSet) {
  DecoderConfig config = Bench::default_config();
  config.limits.template_lifetime_ns = 60 * kSecond;
  Bench b(config);
  b.send(v9().templates({bytes_template(256), bytes_template(257)}).build());
  b.send(v9().templates({bytes_template(256)}).build(), {.at_ns = kNow + 50 * kSecond});
  b.decoder->tick(kNow + 61 * kSecond);
  EXPECT_EQ(b.event(TemplateEvent::expired), 1u);
  EXPECT_EQ(b.decoder->counters().templates.value(), 1u);
  // Without a tick, too.
  b.send(data(1), {.at_ns = kNow + 111 * kSecond});
  EXPECT_EQ(b.records(), 0u);
  EXPECT_EQ(b.event(TemplateEvent::expired), 2u);
}

// ---- What waits ---------------------------------------------------------------------------------

TEST(Pending, ReplaysWithTheRecordsOfTheDatagramInOrder) {
  Bench b;
  b.send(v9().data(257, {{u32(10)}, {u32(11)}}).build());
  // In one datagram: records of a known template, the template that is waited for, more records.
  b.send(v9().templates({bytes_template(256)})
             .data(256, {{u32(1)}})
             .templates({bytes_template(257)})
             .data(256, {{u32(2)}})
             .build());
  ASSERT_EQ(b.records(), 4u);
  EXPECT_EQ(b.record(0).bytes, 1u);
  EXPECT_EQ(b.record(1).bytes, 10u);
  EXPECT_EQ(b.record(2).bytes, 11u);
  EXPECT_EQ(b.record(3).bytes, 2u);
}

TEST(Pending, ReplaysWithTheTimesOfItsOwnDatagram) {
  const std::vector<Value> values = {{{22, 4}, u32(1000)}, {{21, 4}, u32(2000)}};
  Bench b;
  b.send(NetflowV9Builder{}
             .uptime_ms(5000)
             .unix_secs(kNowSecs)
             .data(256, {record_of(values)})
             .build());
  b.send(NetflowV9Builder{}
             .uptime_ms(99'000)
             .unix_secs(kNowSecs + 94)
             .templates({template_of(256, values)})
             .build(),
         {.at_ns = kNow + 94 * kSecond});
  EXPECT_EQ(b.record(0).time_flow_start_ns, kNow - 4 * kSecond);
  EXPECT_EQ(b.record(0).time_flow_end_ns, kNow - 3 * kSecond);
  EXPECT_EQ(b.kept(0).header.time_received_ns, kNow);
}

TEST(Pending, ExpiresAfterItsTime) {
  DecoderConfig config = Bench::default_config();
  config.limits.pending_ttl_ns = 10 * kSecond;
  Bench b(config);
  b.send(data(1));
  b.send(data(2), {.at_ns = kNow + 5 * kSecond});
  b.decoder->tick(kNow + 9 * kSecond);
  EXPECT_EQ(b.outcome(SetOutcome::expired), 0u);
  b.decoder->tick(kNow + 10 * kSecond);
  EXPECT_EQ(b.outcome(SetOutcome::expired), 1u);
  EXPECT_EQ(b.outcome(SetOutcome::waiting_for_template), 1u);
  EXPECT_EQ(b.exporter().sets_lost, 1u);
  EXPECT_EQ(ledger_error(b.decoder->counters()), "");
  b.decoder->tick(kNow + 100 * kSecond);
  EXPECT_EQ(b.outcome(SetOutcome::expired), 2u);
  EXPECT_EQ(b.decoder->counters().pending_octets.value(), 0u);
}

TEST(Pending, AFloodEvictsOnlyItsOwn) {
  DecoderConfig config = Bench::default_config();
  config.limits.pending_sets_per_exporter_max = 10;
  Bench b(config);
  b.send(data(77), {.source = kOther});
  for (uint16_t i = 0; i < 1000; ++i) b.send(data(i, static_cast<uint16_t>(256 + i)));
  EXPECT_EQ(b.outcome(SetOutcome::evicted), 990u);
  EXPECT_EQ(b.outcome(SetOutcome::waiting_for_template), 11u);
  b.send(v9().templates({bytes_template()}).build(), {.source = kOther});
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.record(0).bytes, 77u);
  // The last ten are there.
  b.send(v9().templates({bytes_template(256 + 999), bytes_template(256 + 990)}).build());
  EXPECT_EQ(b.records(), 3u);
}

TEST(Pending, IsBoundedByTemplate) {
  DecoderConfig config = Bench::default_config();
  config.limits.pending_entries_per_template_max = 2;
  Bench b(config);
  for (uint32_t i = 0; i < 5; ++i) b.send(data(i));
  EXPECT_EQ(b.outcome(SetOutcome::evicted), 3u);
  b.send(v9().templates({bytes_template()}).build());
  ASSERT_EQ(b.records(), 2u);
  EXPECT_EQ(b.record(0).bytes, 3u);
  EXPECT_EQ(b.record(1).bytes, 4u);
}

TEST(Pending, IsBoundedByOctets) {
  const auto big = [](uint16_t id) { return v9().data(id, {Record(zeros(1000))}).build(); };
  struct Case {
    const char* name;
    void (*limit)(DecoderLimits&);
    uint64_t waiting, evicted, refused;
  };
  const Case cases[] = {
      {"of an entry", [](DecoderLimits& l) { l.pending_entry_octets_max = 1003; }, 0, 0, 20},
      {"of an exporter", [](DecoderLimits& l) { l.pending_octets_per_exporter = 6000; }, 5, 15, 0},
      {"in all", [](DecoderLimits& l) { l.pending_octets_total = 6000; }, 5, 15, 0},
      {"no sets at all", [](DecoderLimits& l) { l.pending_sets_per_exporter_max = 0; }, 0, 0, 20},
      {"no octets at all", [](DecoderLimits& l) { l.pending_octets_total = 0; }, 0, 0, 20},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    DecoderConfig config = Bench::default_config();
    c.limit(config.limits);
    Bench b(config);
    for (uint16_t i = 0; i < 20; ++i) b.send(big(static_cast<uint16_t>(256 + i)));
    EXPECT_EQ(b.outcome(SetOutcome::waiting_for_template), c.waiting);
    EXPECT_EQ(b.outcome(SetOutcome::evicted), c.evicted);
    EXPECT_EQ(b.outcome(SetOutcome::skipped_pending_full), c.refused);
  }
}

TEST(Pending, AnExporterCannotTakeWhatOthersHold) {
  DecoderConfig config = Bench::default_config();
  config.limits.pending_octets_total = 4000;
  Bench b(config);
  for (uint16_t i = 0; i < 3; ++i) {
    b.send(v9().data(static_cast<uint16_t>(256 + i), {Record(zeros(1000))}).build());
  }
  b.send(v9().data(256, {Record(zeros(1000))}).build(), {.source = kOther});
  EXPECT_EQ(b.outcome(SetOutcome::skipped_pending_full), 1u);
  EXPECT_EQ(b.outcome(SetOutcome::evicted), 0u);
}

TEST(Pending, WhatWaitsForATemplateThatIsNoneIsSkipped) {
  Bench b;
  b.send(data(1));
  b.send(v9().templates({{.id = 256, .fields = {{1, 0}}}}).build());
  EXPECT_EQ(b.outcome(SetOutcome::skipped_not_decodable), 1u);
  EXPECT_EQ(b.outcome(SetOutcome::waiting_for_template), 0u);
}

// ---- Exporters and domains ----------------------------------------------------------------------

TEST(Exporters, AFloodOfSourcesDoesNotPushOutThoseAtWork) {
  DecoderConfig config = Bench::default_config();
  config.limits.exporters_max = 4;
  Bench b(config);
  b.send(v9().templates({bytes_template()}).build());
  for (uint32_t i = 0; i < 100; ++i) {
    b.send(v9().build(), {.source = IpAddress::from_v4(0xC6336400 + i)});
  }
  EXPECT_EQ(b.error(DatagramError::exporter_table_full), 97u);
  EXPECT_EQ(b.decoder->counters().exporters.value(), 4u);
  b.send(data(1));
  EXPECT_EQ(b.records(), 1u);
}

TEST(Exporters, TheOneSilentLongestMakesRoom) {
  DecoderConfig config = Bench::default_config();
  config.limits.exporters_max = 2;
  Bench b(config);
  const IpAddress first = IpAddress::from_v4(0xC6336401);
  const IpAddress second = IpAddress::from_v4(0xC6336402);
  const IpAddress third = IpAddress::from_v4(0xC6336403);
  b.send(data(1), {.source = first});
  b.send(v9().templates({bytes_template()}).build(), {.source = second});
  b.send(v9().build(), {.source = second, .at_ns = kNow + 15 * kSecond});
  EXPECT_TRUE(b.send(v9().build(), {.source = third, .at_ns = kNow + 16 * kSecond}));
  EXPECT_EQ(b.outcome(SetOutcome::evicted), 1u) << "what waited went with it";
  b.send(data(2), {.source = second, .at_ns = kNow + 17 * kSecond});
  EXPECT_EQ(b.records(), 1u);
  uint32_t cursor = 0;
  ExporterStats stats[4];
  EXPECT_EQ(b.decoder->copy_exporters(cursor, stats), 2u);
  EXPECT_EQ(cursor, 0u);
}

TEST(Exporters, AFloodOfSourcesDoesNotPushOutThoseThatAreSilentForMinutes) {
  DecoderConfig config = Bench::default_config();
  config.limits.exporters_max = 4;
  Bench b(config);
  constexpr uint64_t kQuiet = 300 * kSecond;
  b.send(v9().templates({bytes_template()}).build());
  b.send(data(1), {.at_ns = kNow + kQuiet});
  const auto flood = [&b](uint64_t at_ns) {
    for (uint32_t i = 0; i < 100; ++i) {
      b.send(v9().build(),
             {.source = IpAddress::from_v4(0xC6336400 + i), .at_ns = at_ns + i * kSecond});
    }
  };
  flood(kNow + kQuiet + 60 * kSecond);
  b.send(data(2), {.at_ns = kNow + 2 * kQuiet});
  ASSERT_EQ(b.records(), 2u);
  EXPECT_GE(b.error(DatagramError::exporter_table_full), 60u);
  // One that is gone makes room at last.
  const uint64_t full = b.error(DatagramError::exporter_table_full);
  const uint64_t later = kNow + 2 * kQuiet + 3600 * kSecond;
  for (uint32_t i = 0; i < 4; ++i) {
    b.send(v9().build(), {.source = IpAddress::from_v4(0xC6336500 + i), .at_ns = later});
  }
  EXPECT_EQ(b.error(DatagramError::exporter_table_full), full);
  EXPECT_EQ(b.decoder->counters().exporters.value(), 4u);
}

// Who sends what is rejected is at work, and keeps nobody in the table who is not.
TEST(Exporters, OneWhoseDatagramsAreRejectedDoesNotHoldThePlacesOfThoseWhoAreSilent) {
  DecoderConfig config = Bench::default_config();
  config.limits.exporters_max = 4;
  for (const bool is_known_for_long : {false, true}) {
    Bench b(config);
    const auto source = [](uint32_t i) { return IpAddress::from_v4(0xC6336400 + i); };
    uint64_t now_ns = kNow;
    for (uint32_t i = 1; i <= 4; ++i) b.send(v9().build(), {.source = source(i), .at_ns = now_ns});
    if (is_known_for_long) {
      now_ns += 70 * kSecond;
      for (uint32_t i = 1; i <= 4; ++i) b.send(v9().build(), {.source = source(i), .at_ns = now_ns});
    }
    const uint64_t later_ns = now_ns + (is_known_for_long ? 3601 : 11) * kSecond;
    for (uint64_t at_ns = now_ns; at_ns <= later_ns; at_ns += 5 * kSecond) b.send({0, 77, 0, 0}, {.source = source(1), .at_ns = at_ns});
    b.send({0, 77, 0, 0}, {.source = source(1), .at_ns = later_ns});
    for (uint32_t i = 5; i <= 7; ++i) EXPECT_TRUE(b.send(v9().build(), {.source = source(i), .at_ns = later_ns})) << i;
    EXPECT_FALSE(b.send(v9().build(), {.source = source(8), .at_ns = later_ns})) << "all are at work";
    EXPECT_EQ(b.exporter().address, source(1));
  }
}

TEST(Exporters, TooManyDomainsAreRefused) {
  DecoderConfig config = Bench::default_config();
  config.limits.domains_per_exporter_max = 3;
  Bench b(config);
  for (uint32_t id = 0; id < 10; ++id) b.send(v9(id).build());
  EXPECT_EQ(b.error(DatagramError::domain_table_full), 7u);
  EXPECT_TRUE(b.send(v9(2).build()));
  // Domains that are silent make room.
  EXPECT_TRUE(b.send(v9(50).build(), {.at_ns = kNow + 11 * kSecond}));
  EXPECT_EQ(b.exporter().domains, 3u);
}

TEST(Exporters, AreCopiedAFewAtATime) {
  Bench b;
  for (uint32_t i = 0; i < 10; ++i) {
    b.send(v9().build(), {.source = IpAddress::from_v4(0xC6336400 + i)});
  }
  std::vector<IpAddress> seen;
  uint32_t cursor = 0;
  do {
    ExporterStats stats[3];
    const size_t n = b.decoder->copy_exporters(cursor, stats);
    for (size_t i = 0; i < n; ++i) {
      seen.push_back(stats[i].address);
      EXPECT_EQ(stats[i].datagrams, 1u);
      EXPECT_EQ(stats[i].first_seen_ns, kNow);
    }
  } while (cursor != 0);
  ASSERT_EQ(seen.size(), 10u);
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
}

TEST(Exporters, TheDecoderRefusesLimitsThatCannotBeMet) {
  const auto refuses = [](void (*change)(DecoderConfig&), const char* word) {
    DecoderConfig config = Bench::default_config();
    change(config);
    const auto made = Decoder::create(config);
    ASSERT_FALSE(made.has_value()) << word;
    EXPECT_NE(made.error().message.find(word), std::string::npos) << made.error().message;
  };
  refuses([](DecoderConfig& c) { c.cores = 0; }, "cores");
  refuses([](DecoderConfig& c) { c.limits.exporters_max = 0; }, "exporters_max");
  refuses([](DecoderConfig& c) { c.limits.domains_per_exporter_max = 0; },
          "domains_per_exporter_max");
  refuses([](DecoderConfig& c) { c.limits.templates_per_exporter_max = 0; },
          "templates_per_exporter_max");
  refuses([](DecoderConfig& c) { c.limits.template_fields_max = 20'000; }, "template_fields_max");
  refuses([](DecoderConfig& c) { c.limits.template_octets_total = 1000; }, "template_octets_total");
}

// ---- Sequence numbers ---------------------------------------------------------------------------

struct Step {
  uint32_t sequence;
  int records;
};

uint64_t lost_of_v9(const std::vector<Step>& steps) {
  Bench b;
  b.send(v9().templates({bytes_template()}).sequence(steps[0].sequence - 1).build());
  for (const Step& s : steps) {
    const std::vector<Record> records(static_cast<size_t>(s.records), Record{u32(1)});
    b.send(v9().sequence(s.sequence).data(256, records).build());
  }
  return b.exporter().sequence_lost;
}

TEST(Sequence, OfV9CountsPackets) {
  EXPECT_EQ(lost_of_v9({{10, 5}, {11, 5}, {12, 5}}), 0u);
  EXPECT_EQ(lost_of_v9({{10, 5}, {13, 5}, {14, 5}}), 2u);
  EXPECT_EQ(lost_of_v9({{10, 5}, {13, 5}, {12, 5}, {14, 5}}), 1u) << "12 was only late";
  EXPECT_EQ(lost_of_v9({{10, 5}, {11, 5}, {11, 5}, {12, 5}}), 0u) << "twice the same";
  EXPECT_EQ(lost_of_v9({{0xffff'ffff, 5}, {0, 5}, {1, 5}}), 0u) << "wraps";
  EXPECT_EQ(lost_of_v9({{5'000'000, 5}, {7, 5}, {8, 5}}), 0u) << "restarted";
}

TEST(Sequence, OfV9MayCountRecords) {
  std::vector<Step> steps;
  for (uint32_t i = 0; i < 20; ++i) steps.push_back({100 + i * 5, 5});
  EXPECT_EQ(lost_of_v9(steps), 0u) << "the unit was learned";
  steps.push_back({100 + 20 * 5 + 10, 5});
  EXPECT_EQ(lost_of_v9(steps), 10u);
}

TEST(Sequence, OfIpfixCountsRecordsOfDataAndOptions) {
  Bench b;
  b.send(ipfix()
             .sequence(100)
             .templates({bytes_template()})
             .options_templates({{.id = 300, .scopes = {{149, 4}}, .fields = {{34, 4}}}})
             .data(256, {{u32(1)}, {u32(2)}})
             .data(300, {{u32(0), u32(9)}})
             .build());
  b.send(ipfix().sequence(103).data(256, {{u32(1)}}).build());
  EXPECT_EQ(b.exporter().sequence_lost, 0u);
  b.send(ipfix().sequence(110).data(256, {{u32(1)}}).build());
  EXPECT_EQ(b.exporter().sequence_lost, 6u);
}

TEST(Sequence, OfIpfixIsNotKnownWhileRecordsWait) {
  Bench b;
  b.send(ipfix().sequence(100).data(256, {{u32(1)}, {u32(2)}}).build());
  b.send(ipfix().sequence(102).data(256, {{u32(1)}}).build());
  b.send(ipfix().sequence(103).templates({bytes_template()}).build());
  b.send(ipfix().sequence(103).data(256, {{u32(1)}}).build());
  EXPECT_EQ(b.exporter().sequence_lost, 0u);
}

TEST(Sequence, AGapIsLostForGoodAfterManyDatagrams) {
  Bench b;
  b.send(v9().sequence(1).build());
  b.send(v9().sequence(5).build());
  EXPECT_EQ(b.decoder->counters().sequence_lost.value(), 0u);
  for (uint32_t i = 6; i < 60; ++i) b.send(v9().sequence(i).build());
  EXPECT_EQ(b.decoder->counters().sequence_lost.value(), 3u);
  EXPECT_EQ(b.exporter().sequence_lost, 3u);
}

}  // namespace
}  // namespace weir::decode
