// What decoders know survives a restart: out of one decoder, in an image, into another.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>

#include "decode/state_image.h"
#include "decode_support.h"
#include "event_support.h"
#include "fuzz/state_oracle.h"

namespace weir::decode {
namespace {

using namespace lab;

constexpr uint64_t kSecond = 1'000'000'000;

uint32_t draw(std::mt19937& random) { return static_cast<uint32_t>(random()); }
const IpAddress kOther = IpAddress::from_v4(0xC0000209);

NetflowV9Builder v9(uint32_t source_id = 1) {
  return NetflowV9Builder{}.unix_secs(kNowSecs).uptime_ms(kUptimeMs).source_id(source_id);
}
IpfixBuilder ipfix(uint32_t domain = 1) {
  return IpfixBuilder{}.export_time(kNowSecs).domain(domain);
}

std::shared_ptr<const StateImage> image_of(std::vector<uint8_t> octets) {
  auto image = StateImage::parse(std::move(octets));
  EXPECT_TRUE(image.has_value()) << image.error().message;
  return image ? *image : nullptr;
}

DecoderConfig restored_from(Bench& b) { return restored_config(saved_state(*b.decoder)); }

/// The records in an order of their own, without those that only say whose they are.
std::multiset<std::string> facts(const std::vector<uint8_t>& octets) {
  std::multiset<std::string> all;
  std::vector<uint8_t> owner;
  for (size_t at = 0; at < octets.size();) {
    const StateRecord r{octets.data() + at};
    std::vector<uint8_t> fact(r.p, r.p + r.octets());
    if (r.type() == StateRecordType::exporter) owner.clear();
    if (r.type() == StateRecordType::exporter || r.type() == StateRecordType::domain) {
      owner.insert(owner.end(), fact.begin() + 8, fact.begin() + 24);
      owner.resize(std::min<size_t>(owner.size(), 32));
      if (r.type() == StateRecordType::domain) {
        owner.resize(16);
        owner.insert(owner.end(), fact.begin() + 8, fact.begin() + 16);
      }
    } else {
      fact.insert(fact.end(), owner.begin(), owner.end());
      all.emplace(fact.begin(), fact.end());
    }
    at += r.octets();
  }
  return all;
}

TEST(State, TemplatesSurviveARestart) {
  Bench before;
  before.send(v9().templates({{.id = 256, .fields = {{8, 4}, {12, 4}, {1, 4}}}}).build());
  before.send(ipfix(5).templates({{.id = 256, .fields = {{1, 8}, {210, 3}, {7, 2, 9}}}}).build());

  Bench after(restored_from(before));
  after.send(v9().data(256, {{ipv4("192.0.2.1"), ipv4("192.0.2.2"), u32(77)}}).build());
  ASSERT_EQ(after.records(), 1u);
  EXPECT_EQ(after.record(0).bytes, 77u);
  EXPECT_EQ(after.record(0).src_addr, IpAddress::from_v4(0xC0000201));
  after.send(ipfix(5).data(256, {{u64(1ull << 40), zeros(3), u16(3)}}).build());
  ASSERT_EQ(after.records(), 2u);
  EXPECT_EQ(after.record(1).bytes, 1ull << 40);
  EXPECT_EQ(after.kept(1).unmapped(), (std::vector<Unmapped>{{9, 7, std::string("\0\3", 2)}}));
  EXPECT_EQ(after.event(TemplateEvent::restored), 2u);
  EXPECT_EQ(after.event(TemplateEvent::learned), 0u);
  EXPECT_EQ(after.event(TemplateEvent::missing), 0u);
  EXPECT_EQ(after.decoder->counters().exporters_restored.value(), 1u);
}

TEST(State, OnlyTheExporterItselfTakesItsTemplatesUp) {
  Bench before;
  before.send(v9().templates({{.id = 256, .fields = {{1, 4}}}}).build());
  Bench after(restored_from(before));
  after.send(v9().data(256, {{u32(1)}}).build(), {.source = kOther});
  EXPECT_EQ(after.records(), 0u);
  EXPECT_EQ(after.outcome(SetOutcome::waiting_for_template), 1u);
  after.send(v9(2).data(256, {{u32(1)}}).build());
  EXPECT_EQ(after.records(), 0u) << "another source id";
  after.send(v9(1).data(256, {{u32(1)}}).build());
  EXPECT_EQ(after.records(), 1u);
}

TEST(State, SamplingRatesSurviveARestart) {
  const OptionsTemplate sampler{.id = 300, .scopes = {{1, 4}}, .fields = {{48, 1}, {50, 4}}};
  const OptionsTemplate whole{.id = 301, .scopes = {{1, 4}}, .fields = {{34, 4}}};
  const OptionsTemplate interface {
    .id = 302, .scopes = {{2, 4}}, .fields = { {34, 4} }
  };
  const OptionsTemplate of_template{.id = 303, .scopes = {{5, 2}}, .fields = {{34, 4}}};
  const lab::Template by_sampler{.id = 256, .fields = {{1, 4}, {48, 1}}};
  const lab::Template plain{.id = 257, .fields = {{1, 4}}};
  const lab::Template by_interface{.id = 258, .fields = {{1, 4}, {10, 4}}};
  const lab::Template scoped{.id = 259, .fields = {{1, 4}}};
  Bench before;
  before.send(v9().templates({by_sampler, plain, by_interface, scoped})
                  .options_templates({sampler, whole, interface, of_template})
                  .data(300, {{u32(0), u8(3), u32(1000)}, {u32(0), u8(4), u32(2000)}})
                  .data(301, {{u32(0), u32(50)}})
                  .data(302, {{u32(7), u32(70)}})
                  .data(303, {{u16(259), u32(90)}})
                  .build());
  before.send(v9(6).options_templates({whole}).data(301, {{u32(0), u32(50)}}).build());
  before.send(v9(2).templates({plain}).build());

  Bench after(restored_from(before));
  after.send(v9().data(256, {{u32(1), u8(4)}})
                 .data(257, {{u32(1)}})
                 .data(258, {{u32(1), u32(7)}})
                 .data(259, {{u32(1)}})
                 .build());
  after.send(v9(2).data(257, {{u32(1)}}).build());
  ASSERT_EQ(after.records(), 5u);
  const std::pair<uint64_t, SamplingSource> expected[] = {{2000, SamplingSource::sampler},
                                                          {50, SamplingSource::domain},
                                                          {70, SamplingSource::interface_},
                                                          {90, SamplingSource::domain},
                                                          {50, SamplingSource::exporter}};
  for (size_t i = 0; i < 5; ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(after.record(i).sampling_rate, expected[i].first);
    EXPECT_EQ(after.record(i).sampling_source, static_cast<uint32_t>(expected[i].second));
  }
  EXPECT_EQ(after.decoder->counters().rates_restored.value(), 6u);
}

TEST(State, SelectionSequencesSurviveARestart) {
  const OptionsTemplate one_in{.id = 300, .scopes = {{302, 8}}, .fields = {{309, 4}, {310, 4}}};
  const OptionsTemplate interpretation{
      .id = 301, .scopes = {{301, 8}}, .fields = {{10, 4}, {302, 8}, {302, 8}}};
  Bench before;
  before.send(ipfix()
                  .templates({{.id = 256, .fields = {{1, 4}, {301, 8}}}})
                  .options_templates({one_in, interpretation})
                  .data(300, {{u64(5), u32(1), u32(16)}})
                  .data(301, {{u64(7), u32(1), u64(4), u64(5)}})
                  .build());
  Bench after(restored_from(before));
  after.send(ipfix().data(256, {{u32(1), u64(7)}}).build());
  ASSERT_EQ(after.records(), 1u);
  EXPECT_EQ(after.record(0).sampling_rate, 16u);
  EXPECT_EQ(after.record(0).sampling_source, static_cast<uint32_t>(SamplingSource::sampler));
}

/// An image with what `b` knows, and names.
std::vector<uint8_t> with_names(Bench& b, const std::vector<StateName>& names) {
  std::vector<uint8_t> image = saved_state(*b.decoder);
  std::vector<uint8_t> room(1024);
  for (const StateName& n : names) {
    StateWriter writer(room);
    writer.exporter(Bench::From{}.source, kNow);
    writer.name(n);
    image.insert(image.end(), room.begin(),
                 room.begin() + static_cast<std::ptrdiff_t>(writer.octets()));
  }
  return image;
}

TEST(State, NamesSurviveARestart) {
  Bench before;
  before.send(v9().templates({{.id = 256, .fields = {{1, 4}, {10, 4}}}}).build());
  const std::vector<StateName> names = {
      {.kind = NameKind::interface, .key = "\7", .name = "Gi0/7", .description = "uplink"},
      {.kind = NameKind::vrf, .key = "\1\2", .name = "blue", .has_description = false},
      {.kind = NameKind::application, .key = {"\3\0\0\1", 4}, .name = "http", .description = ""},
      {.kind = NameKind::sampler,
       .key = "\1",
       .has_name = false,
       .has_description = false,
       .rate = 9}};
  DecoderConfig config = restored_config(with_names(before, names));
  KeepingEvents events;
  config.events = &events;
  config.listeners[0].inline_names = true;
  Bench after(config);
  after.send(v9().data(256, {{u32(1), u32(7)}}).build());
  EXPECT_TRUE(events.names().empty()) << "who kept them knows them";
  ASSERT_EQ(after.records(), 1u);
  EXPECT_EQ(after.kept(0).text(after.record(0).in_if_name), "Gi0/7");
}

TEST(State, NamesThatCannotBeAreRefused) {
  Bench none;
  const std::vector<uint8_t> good = with_names(
      none, {{.kind = NameKind::interface, .key = "\7", .name = "x", .description = "y"}});
  ASSERT_TRUE(StateImage::parse(good).has_value());
  EXPECT_EQ((*StateImage::parse(good))->contents().names, 1u);
  for (const size_t at : {5u, 16u, 17u, 18u, 19u, 20u, 23u}) {
    std::vector<uint8_t> bad = good;
    bad[kStateExporterOctets + at] += 100;
    EXPECT_FALSE(StateImage::parse(bad).has_value()) << at;
  }
}

TEST(State, TheTimeOfBootSurvivesARestart) {
  const uint64_t boot_ms = kNow / 1'000'000 - 5'000'000;
  const OptionsTemplate boot{.id = 300, .scopes = {{149, 4}}, .fields = {{160, 8}}};
  const lab::Template uptimes{.id = 256, .fields = {{22, 4}, {21, 4}}};
  Bench before;
  before.send(ipfix()
                  .templates({uptimes})
                  .options_templates({boot})
                  .data(300, {{u32(1), u64(boot_ms)}})
                  .build());
  before.send(ipfix(2).templates({uptimes}).build());
  Bench after(restored_from(before));
  for (const uint32_t domain : {1u, 2u}) {
    after.send(ipfix(domain).data(256, {{u32(1'000'000), u32(2'000'000)}}).build());
  }
  ASSERT_EQ(after.records(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(after.record(i).time_source, static_cast<uint32_t>(TimeSource::uptime));
    EXPECT_EQ(after.record(i).time_flow_start_ns, (boot_ms + 1'000'000) * 1'000'000);
    EXPECT_EQ(after.record(i).time_flow_end_ns, (boot_ms + 2'000'000) * 1'000'000);
  }
}

TEST(State, ATemplateThatIsNowAnotherIsReplaced) {
  Bench before;
  before.send(v9().templates({{.id = 256, .fields = {{1, 4}}}}).build());
  const DecoderConfig config = restored_from(before);
  {
    Bench after(config);
    after.send(v9().templates({{.id = 256, .fields = {{1, 8}}}}).build());
    after.send(v9().data(256, {{u64(9)}}).build());
    ASSERT_EQ(after.records(), 1u);
    EXPECT_EQ(after.record(0).bytes, 9u);
  }
  {
    // From another port at once: no conflict, for who sent it before is not known any more.
    Bench after(config);
    after.send(v9().data(256, {{u32(1)}}).build(), {.port = 1});
    after.send(v9().templates({{.id = 256, .fields = {{1, 8}}}}).build(), {.port = 2});
    after.send(v9().data(256, {{u64(9)}}).build(), {.port = 1});
    ASSERT_EQ(after.records(), 2u);
    EXPECT_EQ(after.record(1).bytes, 9u);
    EXPECT_EQ(after.quirk(Quirk::template_conflict), 0u);
  }
}

TEST(State, WithdrawnTemplatesDoNotComeBack) {
  Bench before;
  std::vector<lab::Template> many;
  for (uint16_t i = 0; i < 300; ++i) {
    many.push_back({.id = static_cast<uint16_t>(256 + i), .fields = {{1, 4}}});
  }
  before.send(ipfix().templates(many).build());
  Bench after(restored_from(before));
  // Only some of them are taken up with the first datagram.
  after.send(ipfix().templates({{.id = 256}}).build());
  for (int i = 0; i < 10; ++i) after.send(ipfix().build());
  for (const uint16_t id : {uint16_t{256}, uint16_t{555}}) {
    after.send(ipfix().data(id, {{u32(1)}}).build());
    EXPECT_EQ(after.records(), 0u) << id;
  }
}

TEST(State, ScopesOfPortsSurviveARestart) {
  Bench before;
  before.send(v9().templates({{.id = 256, .fields = {{1, 4}}}}).build(), {.port = 1});
  before.send(v9().templates({{.id = 256, .fields = {{2, 4}}}}).build(), {.port = 2});
  ASSERT_EQ(before.quirk(Quirk::scope_split_by_port), 1u);
  Bench after(restored_from(before));
  after.send(v9().data(256, {{u32(5)}}).build(), {.port = 1});
  after.send(v9().data(256, {{u32(6)}}).build(), {.port = 2});
  ASSERT_EQ(after.records(), 2u);
  EXPECT_EQ(after.record(0).bytes, 5u);
  EXPECT_EQ(after.record(1).packets, 6u);
}

TEST(State, RestoredTemplatesExpireLikeOthers) {
  DecoderConfig config = Bench::default_config();
  config.limits.template_lifetime_ns = 600 * kSecond;
  Bench before(config);
  before.send(v9().templates({{.id = 256, .fields = {{1, 4}}}}).build());
  before.send(v9().templates({{.id = 257, .fields = {{1, 4}}}}).build(),
              {.at_ns = kNow + 300 * kSecond});
  config.restored = image_of(saved_state(*before.decoder));
  Bench after(config);
  after.send(v9().data(256, {{u32(1)}}).build(), {.at_ns = kNow + 601 * kSecond});
  EXPECT_EQ(after.records(), 0u) << "was old when it was taken up";
  after.send(v9().data(257, {{u32(1)}}).build(), {.at_ns = kNow + 601 * kSecond});
  EXPECT_EQ(after.records(), 1u);
  after.send(v9().data(257, {{u32(1)}}).build(), {.at_ns = kNow + 901 * kSecond});
  EXPECT_EQ(after.records(), 1u);
  EXPECT_EQ(after.event(TemplateEvent::expired), 1u);
}

TEST(State, WhatAnExporterCountsSurvivesARestart) {
  Bench before;
  for (uint32_t i = 0; i < 20; ++i) {
    before.send(v9().sequence(100 + i * 5)
                    .templates({{.id = 256, .fields = {{1, 4}}}})
                    .data(256, {5, Record{u32(1)}})
                    .build());
  }
  Bench after(restored_from(before));
  for (uint32_t i = 0; i < 3; ++i) {
    after.send(v9().sequence(400 + i * 5).data(256, {5, Record{u32(1)}}).build());
    after.decoder->tick(kNow + i * 100 * kSecond);
  }
  EXPECT_EQ(after.exporter().sequence_lost, 0u);
  DomainStats row;
  uint32_t cursor = 0;
  ASSERT_EQ(after.decoder->copy_domains(cursor, {&row, 1}), 1u);
  EXPECT_NE(row.sequence_unit, SequenceUnit::messages);
}

TEST(State, ManyTemplatesAreTakenUpWithoutOneDatagramPayingForAll) {
  constexpr uint16_t kMany = 1500;
  Bench before;
  for (uint16_t i = 0; i < kMany; i += 100) {
    std::vector<lab::Template> some;
    for (uint16_t k = 0; k < 100; ++k) {
      some.push_back({.id = static_cast<uint16_t>(256 + i + k), .fields = {{1, 4}, {2, 4}}});
    }
    before.send(v9(i % 3).templates(some).build());
  }
  Bench after(restored_from(before));
  // Data of the last one comes first and waits until it is its turn.
  const auto data = [](uint32_t source_id, uint16_t id) {
    return v9(source_id).data(id, {{u32(id), u32(1)}}).build();
  };
  after.send(data((kMany - 100) % 3, 256 + kMany - 1));
  const uint64_t at_once = after.event(TemplateEvent::restored);
  EXPECT_GT(at_once, 0u);
  EXPECT_LT(at_once, 200u);
  for (int i = 0; i < 40; ++i) after.send(v9(77).build());
  EXPECT_EQ(after.event(TemplateEvent::restored), kMany);
  ASSERT_EQ(after.records(), 1u);
  EXPECT_EQ(after.record(0).bytes, 256u + kMany - 1);
  EXPECT_EQ(after.kept(0).header.observation_domain_id, (kMany - 100) % 3u);
  for (uint16_t i = 0; i < kMany; i += 7) after.send(data(i / 100 * 100 % 3, 256 + i));
  EXPECT_EQ(after.records(), 1 + (kMany + 6) / 7u);
}

TEST(State, AnExporterThatIsPushedOutIsNotGivenItsOldStateAgain) {
  Bench before;
  before.send(v9().templates({{.id = 256, .fields = {{1, 4}}}}).build());
  DecoderConfig config = restored_from(before);
  config.limits.exporters_max = 1;
  Bench after(config);
  after.send(v9().templates({{.id = 256, .fields = {{2, 4}}}}).build());
  after.send(v9().build(), {.source = kOther, .at_ns = kNow + 60 * kSecond});
  after.send(v9().data(256, {{u32(1)}}).build(), {.at_ns = kNow + 120 * kSecond});
  EXPECT_EQ(after.records(), 0u) << "what it said since is not known any more";
}

// ---- Any state ----------------------------------------------------------------------------------

/// Datagrams of some exporters that define templates and rates of all kinds.
void teach(Bench& b, std::mt19937& random) {
  for (int i = 0; i < 60; ++i) {
    const Bench::From from{.source = IpAddress::from_v4(0xC0000200u + draw(random) % 5),
                           .port = static_cast<uint16_t>(1 + draw(random) % 3),
                           .at_ns = kNow + i * kSecond};
    const auto id = static_cast<uint16_t>(256 + draw(random) % 40);
    std::vector<FieldSpecifier> fields(draw(random) % 40);
    const bool is_ipfix = draw(random) % 2 == 0;
    for (FieldSpecifier& f : fields) {
      f = {static_cast<uint16_t>(draw(random) % 500), static_cast<uint16_t>(draw(random) % 20), 0};
      if (is_ipfix && draw(random) % 5 == 0) f.enterprise = draw(random) % 100'000 + 1;
      if (draw(random) % 8 == 0) f.length = lab::kVariableLength;
    }
    const uint32_t domain = draw(random) % 4;
    if (draw(random) % 3 == 0) {
      const size_t scopes = std::min<size_t>(fields.size(), draw(random) % 3 + 1);
      const auto middle = fields.begin() + static_cast<std::ptrdiff_t>(scopes);
      const OptionsTemplate t{
          .id = id, .scopes = {fields.begin(), middle}, .fields = {middle, fields.end()}};
      b.send(is_ipfix ? ipfix(domain).options_templates({t}).build()
                      : v9(domain).options_templates({t}).build(),
             from);
    } else {
      const lab::Template t{.id = id, .fields = fields};
      b.send(is_ipfix ? ipfix(domain).templates({t}).build() : v9(domain).templates({t}).build(),
             from);
    }
    if (draw(random) % 4 == 0) {
      const OptionsTemplate t{.id = 900,
                              .scopes = {{draw(random) % 2 == 0 ? uint16_t{2} : uint16_t{1}, 4}},
                              .fields = {{48, 2}, {34, 4}, {160, 8}}};
      b.send(v9(domain)
                 .options_templates({t})
                 .data(900, {{u32(draw(random) % 9), u16(draw(random) % 3),
                              u32(draw(random) % 5000), u64(kNow / 1'000'000)}})
                 .build(),
             from);
    }
  }
}

TEST(State, AnyStateComesBackAsItWas) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Bench before;
    teach(before, random);
    const std::vector<uint8_t> first = saved_state(*before.decoder);
    EXPECT_EQ(facts(first), facts(saved_state(*before.decoder))) << "saving changes nothing";
    Bench after(restored_config(first));
    for (uint32_t exporter = 0; exporter < 5; ++exporter) {
      for (int i = 0; i < 10; ++i) {
        after.send(v9(1000).build(), {.source = IpAddress::from_v4(0xC0000200u + exporter),
                                      .at_ns = kNow + 100 * kSecond});
      }
    }
    EXPECT_EQ(facts(saved_state(*after.decoder)), facts(first));
    EXPECT_EQ(after.decoder->counters().templates.value(),
              before.decoder->counters().templates.value());
  }
}

TEST(State, WhatHasNotBeenTakenUpYetIsSaidToBeIncomplete) {
  Bench before;
  std::vector<lab::Template> many;
  for (uint16_t i = 0; i < 400; ++i) {
    many.push_back({.id = static_cast<uint16_t>(256 + i), .fields = {{1, 4}}});
  }
  before.send(v9().templates(many).build());
  const auto image = image_of(saved_state(*before.decoder));
  EXPECT_EQ(image->contents().templates, 400u);
  ASSERT_EQ(image->pieces().size(), 1u);
  EXPECT_FALSE(image->pieces()[0].incomplete);
  Bench after(restored_from(before));
  after.send(v9().build());
  EXPECT_TRUE(image_of(saved_state(*after.decoder))->pieces()[0].incomplete);
  for (int i = 0; i < 20; ++i) after.send(v9().build());
  const auto again = image_of(saved_state(*after.decoder));
  EXPECT_FALSE(again->pieces()[0].incomplete);
  EXPECT_EQ(again->contents().templates, 400u);
}

TEST(State, SavingGoesOnWhileEverythingChanges) {
  // Between the slices of one walk exporters, domains and templates come and go.
  std::mt19937 random(4);
  DecoderConfig config = Bench::default_config();
  config.limits.exporters_max = 4;
  config.limits.templates_per_exporter_max = 30;
  Bench b(config);
  std::vector<uint8_t> room(kStateChunkOctetsMin);
  std::vector<uint8_t> all;
  StateCursor cursor;
  uint64_t at = kNow;
  int walks = 0;
  for (int i = 0; i < 3000; ++i) {
    at += 3 * kSecond;
    const Bench::From from{.source = IpAddress::from_v4(0xC0000200u + draw(random) % 6),
                           .at_ns = at};
    const auto id = static_cast<uint16_t>(256 + draw(random) % 50);
    const auto domain = static_cast<uint32_t>(draw(random) % 5);
    if (draw(random) % 5 == 0) {
      b.send(ipfix(domain).templates({{.id = id}}).build(), from);
    } else {
      b.send(
          ipfix(domain)
              .templates({{.id = id, .fields = {{1, static_cast<uint16_t>(draw(random) % 8 + 1)}}}})
              .options_templates({{.id = 900, .scopes = {{149, 4}}, .fields = {{48, 1}, {34, 4}}}})
              .data(900, {{u32(domain), u8(draw(random) % 20), u32(draw(random) % 1000)}})
              .build(),
          from);
    }
    const size_t n = b.decoder->copy_state(cursor, room);
    all.insert(all.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(n));
    if (cursor.is_over) {
      EXPECT_NE(image_of(all), nullptr);
      all.clear();
      cursor = {};
      ++walks;
    }
  }
  EXPECT_GT(walks, 10);
}

// ---- Images that are not whole ------------------------------------------------------------------

std::vector<uint8_t> some_image() {
  std::mt19937 random(3);
  Bench b;
  teach(b, random);
  return saved_state(*b.decoder);
}

/// An image that is accepted is one that a decoder can stand.
void expect_stood(std::vector<uint8_t> octets) {
  if (!StateImage::parse(octets)) return;
  Bench b(restored_config(std::move(octets)));
  for (uint32_t exporter = 0; exporter < 5; ++exporter) {
    for (const uint32_t domain : {0u, 1u, 2u, 3u}) {
      const Bench::From from{.source = IpAddress::from_v4(0xC0000200u + exporter)};
      b.send(v9(domain).data(256, {Record(filled(200, 1))}).build(), from);
      b.send(ipfix(domain).data(260, {Record(filled(200, 1))}).build(), from);
    }
  }
  EXPECT_TRUE(StateImage::parse(saved_state(*b.decoder)).has_value());
}

TEST(State, AnImageIsCutOnlyBetweenRecords) {
  const std::vector<uint8_t> whole = some_image();
  std::set<size_t> ends = {0};
  for (size_t at = 0; at < whole.size();)
    ends.insert(at += StateRecord{whole.data() + at}.octets());
  for (size_t n = 0; n <= whole.size(); ++n) {
    const std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    ASSERT_EQ(StateImage::parse(cut).has_value(), ends.contains(n)) << n;
  }
}

TEST(State, AnyOctetMayBeAnother) {
  const std::vector<uint8_t> whole = some_image();
  std::mt19937 random(5);
  for (size_t at = 0; at < whole.size(); at += 1 + draw(random) % 3) {
    std::vector<uint8_t> changed = whole;
    changed[at] ^= static_cast<uint8_t>(1 + draw(random) % 255);
    expect_stood(std::move(changed));
  }
}

TEST(StateOracle, HoldsForImagesThatAreWholeAndOthers) {
  const std::vector<uint8_t> whole = some_image();
  StateOracle oracle;
  EXPECT_TRUE(oracle.check(whole.data(), whole.size()));
  std::mt19937 random(6);
  size_t accepted = 0;
  for (size_t at = 0; at < whole.size(); at += 1 + draw(random) % 3) {
    std::vector<uint8_t> changed = whole;
    changed[at] ^= static_cast<uint8_t>(1 + draw(random) % 255);
    accepted += oracle.check(changed.data(), changed.size());
  }
  EXPECT_GT(accepted, whole.size() / 8);
}

TEST(State, WhatCannotBeIsRefused) {
  const auto header = [](uint32_t octets, uint8_t type, uint8_t flags = 0) {
    return join({u32(octets), u8(type), u8(flags), u16(0)});
  };
  const Octets exporter = join({header(40, 1), zeros(32)});
  const Octets domain = join({header(40, 2), u32(1), u16(9), u16(0), zeros(24)});
  const Octets fields = join({u32(0), u16(1), u16(4)});
  const auto a_template = [&](uint16_t id, uint16_t scopes, uint8_t kind, uint8_t format) {
    return join(
        {header(32, 3), u16(id), u16(0), u16(scopes), u8(kind), u8(format), u64(1), fields});
  };
  const auto accepts = [](const Octets& octets) { return StateImage::parse(octets).has_value(); };
  EXPECT_TRUE(accepts({}));
  EXPECT_TRUE(accepts(join({exporter, domain, a_template(256, 1, 1, 1)})));
  EXPECT_FALSE(accepts(domain)) << "no exporter";
  EXPECT_FALSE(accepts(join({exporter, a_template(256, 0, 1, 0)}))) << "no domain";
  EXPECT_FALSE(accepts(join({exporter, domain, exporter, a_template(256, 0, 1, 0)})));
  EXPECT_FALSE(accepts(join({exporter, domain, a_template(255, 0, 1, 0)}))) << "id";
  EXPECT_FALSE(accepts(join({exporter, domain, a_template(256, 2, 1, 0)}))) << "scopes";
  EXPECT_FALSE(accepts(join({exporter, domain, a_template(256, 0, 0, 0)}))) << "kind";
  EXPECT_FALSE(accepts(join({exporter, domain, a_template(256, 0, 4, 0)}))) << "kind";
  EXPECT_FALSE(accepts(join({exporter, domain, a_template(256, 0, 1, 2)}))) << "format";
  EXPECT_FALSE(accepts(
      join({exporter, domain, header(32, 4, static_cast<uint8_t>(RateKey::count_)), zeros(24)})))
      << "rate of what";
  EXPECT_FALSE(accepts(join({exporter, domain, header(24, 4), zeros(16)}))) << "length";
  EXPECT_FALSE(accepts(join({exporter, header(8, 5)}))) << "type";
  EXPECT_FALSE(accepts(header(0, 1))) << "length";
  EXPECT_FALSE(accepts(join({header(40, 1, 4), zeros(32)}))) << "flags";
}

}  // namespace
}  // namespace weir::decode
