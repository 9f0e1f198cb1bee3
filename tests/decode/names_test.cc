// names_test.cc — Names that options data give to interfaces, VRFs, applications and samplers.
#include "decode/names.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "capture_support.h"
#include "event_support.h"
#include "lab/sflow_builder.h"

namespace weir::decode {
namespace {

using lab::IpfixBuilder;
using lab::NetflowV9Builder;
using lab::Octets;
using lab::OptionsTemplate;
using lab::Record;
using lab::text;
using lab::u16;
using lab::u32;
using lab::u8;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

constexpr uint16_t kSystem = 1;  // v9's scopes
constexpr uint16_t kInterface = 2;

class NamesTest : public testing::Test {
 protected:
  static DecoderConfig config_with(EventSink& sink) {
    DecoderConfig config = Bench::default_config();
    config.events = &sink;
    return config;
  }
  static Octets v9(const OptionsTemplate& t, const std::vector<Record>& records) {
    return NetflowV9Builder{}.options_templates({t}).data(t.id, records).build();
  }
  static Octets ipfix(const OptionsTemplate& t, const std::vector<Record>& records) {
    return IpfixBuilder{}.options_templates({t}).data(t.id, records).build();
  }
  std::vector<std::string> names_of(const Octets& message) {
    Bench bench(config_with(events_));
    EXPECT_TRUE(bench.send(message));
    return events_.names();
  }

  KeepingEvents events_;
};

TEST_F(NamesTest, FindsInterfacesAsIosSendsThem) {
  // option interface-table, v9: the system is the scope, the index an option.
  const OptionsTemplate t{256, {{kSystem, 4}}, {{10, 4}, {82, 32}, {83, 64}}};
  EXPECT_THAT(names_of(v9(t, {{u32(0x0a000001), u32(7), text("GigabitEthernet0/0/1", 32),
                               text("uplink to core", 64)},
                              {u32(0x0a000001), u32(0x80000001), text("Tu1", 32), text("", 64)}})),
              ElementsAre("learned interface 7 GigabitEthernet0/0/1 | uplink to core",
                          "learned interface 2147483649 Tu1 | "));
}

TEST_F(NamesTest, FindsInterfacesByV9sScopeAndByIpfixScope) {
  const OptionsTemplate scope{256, {{kInterface, 2}}, {{82, 8}}};
  EXPECT_THAT(names_of(v9(scope, {{u16(9), text("ge-0/0/9", 8)}})),
              ElementsAre("learned interface 9 ge-0/0/9"));
  events_.events.clear();
  const OptionsTemplate ios_xr{
      256, {{10, 4}}, {{82, lab::kVariableLength}, {83, lab::kVariableLength}}};
  EXPECT_THAT(names_of(ipfix(ios_xr, {{u32(5), lab::variable(text("Hu0/0/0/5")),
                                       lab::variable(text("to LON "))}})),
              ElementsAre("learned interface 5 Hu0/0/0/5 | to LON"));
}

TEST_F(NamesTest, FindsVrfsApplicationsAndSamplers) {
  const OptionsTemplate vrf{256, {{234, 4}}, {{235, 4}, {236, 32}}};
  EXPECT_THAT(names_of(ipfix(vrf, {{u32(0x60000001), u32(0x60000001), text("MGMT", 32)},
                                   {u32(0), u32(0), text("default", 32)}})),
              ElementsAre("learned vrf 1610612737 MGMT", "learned vrf 0 default"));
  events_.events.clear();
  // NBAR: engine 3, selector 80.
  const OptionsTemplate nbar{257, {{kSystem, 4}}, {{95, 4}, {96, 24}, {94, 55}}};
  EXPECT_THAT(names_of(v9(nbar, {{u32(1), u32(0x03000050), text("http", 24),
                                  text("World Wide Web traffic", 55)}})),
              ElementsAre("learned application 3.0.0.80. http | World Wide Web traffic"));
  events_.events.clear();
  const OptionsTemplate sampler{258, {{kSystem, 4}}, {{48, 1}, {49, 1}, {50, 4}, {84, 6}}};
  EXPECT_THAT(names_of(v9(sampler, {{u32(1), u8(2), u8(2), u32(1000), text("FS", 6)}})),
              ElementsAre("learned sampler 2 FS 1:1000"));
  events_.events.clear();
  const OptionsTemplate selector{259, {{302, 8}}, {{305, 4}, {306, 4}, {335, 5}}};
  EXPECT_THAT(names_of(ipfix(selector, {{lab::u64(3), u32(1), u32(99), text("psamp", 5)}})),
              ElementsAre("learned sampler 3 psamp 1:100"));
}

TEST_F(NamesTest, TellsAgainOnlyWhatHasChanged) {
  Bench bench(config_with(events_));
  const OptionsTemplate t{256, {{10, 4}}, {{82, 8}, {83, 8}}};
  const auto say = [&](const char* name, const char* description) {
    events_.events.clear();
    bench.send(ipfix(t, {{u32(7), text(name, 8), text(description, 8)}}));
    return events_.names();
  };
  EXPECT_THAT(say("Gi1", "old"), ElementsAre("learned interface 7 Gi1 | old"));
  EXPECT_THAT(say("Gi1", "old"), IsEmpty());
  EXPECT_THAT(say("Gi1", "new"), ElementsAre("changed interface 7 Gi1 | new"));
  EXPECT_THAT(say("Gi1", ""), ElementsAre("changed interface 7 Gi1 | "));
  EXPECT_THAT(say("", ""), ElementsAre("changed interface 7  | "));
}

TEST_F(NamesTest, TellsAgainWhatTheSinkCouldNotTake) {
  Bench bench(config_with(events_));
  const OptionsTemplate t{256, {{10, 4}}, {{82, 8}}};
  const Octets message = ipfix(t, {{u32(7), text("Gi1", 8)}});
  events_.is_full = true;
  bench.send(message);
  events_.is_full = false;
  bench.send(message);
  EXPECT_THAT(events_.names(), ElementsAre("learned interface 7 Gi1"));
}

TEST_F(NamesTest, KeepsNumbersOfAnyWidthAndCutsWhatIsTooLong) {
  const OptionsTemplate t{256, {{10, 8}}, {{82, 300}, {83, 300}}};
  const std::string name(300, 'n');
  const std::string description(300, 'd');
  const std::vector<std::string> names =
      names_of(ipfix(t, {{lab::u64(7), text(name), text(description)}}));
  EXPECT_THAT(names, ElementsAre("learned interface 7 " + std::string(kNameOctetsMax, 'n') + " | " +
                                 std::string(kNameTextOctetsMax - kNameOctetsMax, 'd')));
  // Not in the middle of a character.
  std::string umlauts = "x";
  for (int i = 0; i < 150; ++i) umlauts += "\xc3\xa4";
  umlauts.resize(300);
  events_.events.clear();
  const OptionsTemplate one{257, {{10, 4}}, {{82, 300}}};
  EXPECT_THAT(names_of(ipfix(one, {{u32(1), text(umlauts)}})),
              ElementsAre("learned interface 1 " + umlauts.substr(0, kNameOctetsMax - 1)));
}

TEST_F(NamesTest, SaysNothingWithoutKeyOrName) {
  const OptionsTemplate no_key{256, {{kSystem, 4}}, {{82, 8}}};
  EXPECT_THAT(names_of(v9(no_key, {{u32(1), text("Gi1", 8)}})), IsEmpty());
  const OptionsTemplate no_name{257, {{kSystem, 4}}, {{10, 4}}};
  EXPECT_THAT(names_of(v9(no_name, {{u32(1), u32(7)}})), IsEmpty());
  const OptionsTemplate long_id{258, {{kSystem, 4}}, {{95, 17}, {96, 4}}};
  EXPECT_THAT(names_of(v9(long_id, {{u32(1), lab::zeros(17), text("http", 4)}})), IsEmpty());
  const OptionsTemplate wide{259, {{kSystem, 4}}, {{10, 9}, {82, 4}}};
  EXPECT_THAT(names_of(v9(wide, {{u32(1), lab::zeros(9), text("http", 4)}})), IsEmpty());
}

TEST_F(NamesTest, AnExporterWithTooManyNamesLosesItsOwnOldest) {
  DecoderConfig config = config_with(events_);
  config.limits.names_per_exporter_max = 2;
  Bench bench(config);
  const OptionsTemplate t{256, {{10, 4}}, {{82, 2}}};
  const auto say = [&](uint32_t index, const Bench::From& from = {}) {
    events_.events.clear();
    bench.send(ipfix(t, {{u32(index), text("if", 2)}}), from);
    return events_.names().size();
  };
  const Bench::From other{.source = IpAddress::from_v4(0xC0000299)};
  EXPECT_EQ(say(1, other), 1u);
  EXPECT_EQ(say(1), 1u);
  EXPECT_EQ(say(2), 1u);
  EXPECT_EQ(say(1), 0u) << "used again, so 2 is the oldest";
  EXPECT_EQ(say(3), 1u);
  EXPECT_EQ(say(1), 0u);
  EXPECT_EQ(say(2), 1u) << "forgotten";
  EXPECT_EQ(say(1, other), 0u) << "another exporter's";
}

TEST_F(NamesTest, TruncationsAreTolerated) {
  const OptionsTemplate t{256, {{10, 4}}, {{82, lab::kVariableLength}, {95, 4}, {96, 4}, {236, 3}}};
  const Octets message = ipfix(
      t, {{u32(7), lab::variable(text("Gi0/1")), u32(0x03000050), text("http"), text("red")}});
  expect_truncations_tolerated(message);
}

// ── names in records ─────────────────────────────────────────────────────────────────────────────

class InlineNamesTest : public testing::Test {
 protected:
  static DecoderConfig config(bool inline_names) {
    DecoderConfig config = Bench::default_config();
    config.listeners.resize(2);
    config.listeners[0].inline_names = inline_names;
    return config;
  }
  static Octets tables() {
    const OptionsTemplate interfaces{300, {{10, 4}}, {{82, 12}}};
    const OptionsTemplate vrfs{301, {{234, 4}}, {{236, 12}}};
    const OptionsTemplate applications{302, {{95, 4}}, {{96, 12}}};
    return IpfixBuilder{}
        .options_templates({interfaces, vrfs, applications})
        .data(300, {{u32(1), text("Gi0/0/1", 12)}, {u32(2), text("Gi0/0/2", 12)}})
        .data(301, {{u32(10), text("red", 12)}, {u32(20), text("blue", 12)}})
        .data(302, {{u32(0x03000050), text("http", 12)}})
        .build();
  }
  static Octets flows(size_t count, uint16_t application_octets = 4) {
    const std::vector<Record> records(
        count, Record{u32(1), u32(2), u32(10), u32(20),
                      application_octets == 4 ? u32(0x03000050) : lab::variable(u32(0x03000050))});
    const lab::Template t{400, {{10, 4}, {14, 4}, {234, 4}, {235, 4}, {95, application_octets}}};
    return IpfixBuilder{}.domain(9).templates({t}).data(400, records).build();
  }
  static void expect_names(const KeptRecord& kept) {
    const FlowRecord& r = kept.record;
    EXPECT_EQ(kept.text(r.in_if_name), "Gi0/0/1");
    EXPECT_EQ(kept.text(r.out_if_name), "Gi0/0/2");
    EXPECT_EQ(kept.text(r.ingress_vrf_name), "red");
    EXPECT_EQ(kept.text(r.egress_vrf_name), "blue");
    EXPECT_EQ(kept.text(r.application_name), "http");
    EXPECT_TRUE(r.present.has(Field::in_if_name));
    EXPECT_NE(r.arena_parts, 0u);
  }
};

TEST_F(InlineNamesTest, GivesRecordsTheNamesThatTheExporterSaid) {
  for (const uint16_t application_octets : {uint16_t{4}, lab::kVariableLength}) {
    Bench bench(config(true));
    bench.send(tables());
    bench.send(flows(500, application_octets));
    ASSERT_EQ(bench.records(), 500u);
    for (size_t i = 0; i < bench.records(); ++i) expect_names(bench.kept(i));
  }
}

TEST_F(InlineNamesTest, GivesThemToDataThatWaited) {
  Bench bench(config(true));
  bench.send(tables());
  const lab::Template t{400, {{10, 4}}};
  bench.send(IpfixBuilder{}.data(400, {{u32(1)}}).build());
  bench.send(IpfixBuilder{}.templates({t}).build());
  ASSERT_EQ(bench.records(), 1u);
  EXPECT_EQ(bench.kept(0).text(bench.record(0).in_if_name), "Gi0/0/1");
}

TEST_F(InlineNamesTest, FollowsAChangeAndForgetsWhatIsNotSaidAnyMore) {
  Bench bench(config(true));
  bench.send(tables());
  const OptionsTemplate interfaces{300, {{10, 4}}, {{82, 12}}};
  bench.send(
      IpfixBuilder{}.data(300, {{u32(1), text("renamed", 12)}, {u32(2), text("", 12)}}).build());
  bench.send(flows(1));
  EXPECT_EQ(bench.kept(0).text(bench.record(0).in_if_name), "renamed");
  EXPECT_EQ(bench.record(0).out_if_name.count, 0u);
}

TEST_F(InlineNamesTest, KeepsTheApplicationNameThatTheRecordSays) {
  Bench bench(config(true));
  bench.send(tables());
  const lab::Template t{400, {{95, 4}, {96, 4}}};
  bench.send(IpfixBuilder{}.templates({t}).data(400, {{u32(0x03000050), text("mine")}}).build());
  EXPECT_EQ(bench.kept(0).text(bench.record(0).application_name), "mine");
}

TEST_F(InlineNamesTest, IsOffUnlessTheListenerWantsIt) {
  Bench off(config(false));
  off.send(tables());
  off.send(flows(3));
  EXPECT_EQ(off.record(0).in_if_name.count, 0u);
  Bench bench(config(true));
  bench.send(tables());
  bench.send(flows(3), {.listener = 1});
  EXPECT_EQ(bench.record(0).in_if_name.count, 0u) << "the second listener does not want them";
}

// ── captures ─────────────────────────────────────────────────────────────────────────────────────

std::vector<std::string> names_in_capture(const std::string& path) {
  KeepingEvents events;
  DecoderConfig config = capture_config();
  config.events = &events;
  Bench bench(config);
  for (const Payload& p : read_payloads(captures_folder() / path)) {
    bench.send(p.octets, {p.source, p.source_port, p.received_ns});
  }
  return events.names();
}

#define WEIR_SKIP_WITHOUT(path)                             \
  if (!std::filesystem::exists(captures_folder() / (path))) \
  GTEST_SKIP() << "no " << captures_folder() / (path)

TEST(CapturedNames, CiscoNbarsApplications) {
  const std::string path = "sequences/logstash-39-Netflow_9_Cisco_NBAR_options_template_260.pcap";
  WEIR_SKIP_WITHOUT(path);
  const auto names = names_in_capture(path);
  EXPECT_THAT(names, SizeIs(15));
  EXPECT_THAT(names, Each(StartsWith("learned application 1.")));
  EXPECT_THAT(names, Contains("learned application 1.0.0.13. argus | ARGUS"));
  EXPECT_THAT(names, Contains("learned application 1.0.0.8. egp | Exterior Gateway Protocol"));
}

TEST(CapturedNames, IosXrsInterfacesVrfsAndSamplers) {
  const std::string path =
      "NetGauze-NetGauze/400-IPFIXv10-BMP-CISCO-SRv6-multiple-sources/traffic-01.pcap";
  WEIR_SKIP_WITHOUT(path);
  const auto names = names_in_capture(path);
  EXPECT_THAT(names, Contains("learned vrf 1610612739 MGMT-VRF"));
  EXPECT_THAT(names, Contains("learned vrf 1610612736 default"));
  EXPECT_THAT(names, Contains(StartsWith("learned interface ")));
  EXPECT_THAT(names, Contains(StartsWith("learned sampler ")));
  EXPECT_THAT(names, Not(Contains(StartsWith("changed ")))) << "what is repeated is not told again";
}

TEST(CapturedNames, CiscosV9SamplerTable) {
  const std::string path = "sequences/fluent-v9-sampler.pcap";
  WEIR_SKIP_WITHOUT(path);
  EXPECT_THAT(names_in_capture(path), Contains(StartsWith("learned sampler 1 FS")));
}

// ── what the operator says ───────────────────────────────────────────────────────────────────────

class LabelsTest : public InlineNamesTest {
 protected:
  static std::shared_ptr<const ExporterLabels> labels(const IpAddress& exporter) {
    const IpAddress other = *IpAddress::parse("203.0.113.99");
    return std::make_shared<const ExporterLabels>(std::vector<ExporterLabel>{
        {other, "elsewhere", {{1, "wrong"}}},
        {exporter, "Zürich", {{9, "nine"}, {1, "to the core"}}},
    });
  }
  static DecoderConfig labelled(bool inline_names) {
    DecoderConfig labelled = config(inline_names);
    labelled.labels = labels(Bench::From{}.source);
    return labelled;
  }
  static Octets v5() {
    return lab::NetflowV5Builder{}.record({.in_if = 1, .out_if = 2}).record({.in_if = 9}).build();
  }
  static Octets sflow() {
    return lab::SflowBuilder{}.flow({.sampling_rate = 1, .input = {0, 1}, .output = {0, 9}, .records = {}}).build();
  }
};

TEST_F(LabelsTest, RecordsCarryTheSiteWhetherNamesAreWantedOrNot) {
  for (const bool inline_names : {false, true}) {
    Bench bench(labelled(inline_names));
    bench.send(v5());
    ASSERT_EQ(bench.records(), 2u);
    EXPECT_EQ(bench.kept(0).header.site, "Zürich");
    EXPECT_EQ(bench.kept(0).text(bench.record(0).in_if_name), inline_names ? "to the core" : "");
  }
}

TEST_F(LabelsTest, TheOperatorsNameOfAnInterfaceGoesBeforeTheExportersOwn) {
  Bench bench(labelled(true));
  bench.send(tables());
  bench.send(flows(3));
  ASSERT_EQ(bench.records(), 3u);
  for (size_t i = 0; i < bench.records(); ++i) {
    EXPECT_EQ(bench.kept(i).text(bench.record(i).in_if_name), "to the core");
    EXPECT_EQ(bench.kept(i).text(bench.record(i).out_if_name), "Gi0/0/2") << "of which he says nothing";
    EXPECT_EQ(bench.kept(i).text(bench.record(i).ingress_vrf_name), "red");
  }
}

TEST_F(LabelsTest, FixedRecordsAndSamplesHaveThemToo) {
  Bench bench(labelled(true));
  bench.send(v5());
  bench.send(sflow());
  ASSERT_EQ(bench.records(), 3u);
  EXPECT_EQ(bench.kept(0).text(bench.record(0).in_if_name), "to the core");
  EXPECT_EQ(bench.record(0).out_if_name.count, 0u);
  EXPECT_EQ(bench.kept(1).text(bench.record(1).in_if_name), "nine");
  EXPECT_EQ(bench.kept(2).text(bench.record(2).in_if_name), "to the core");
  EXPECT_EQ(bench.kept(2).text(bench.record(2).out_if_name), "nine");
  EXPECT_EQ(bench.kept(2).header.site, "Zürich");
}

TEST_F(LabelsTest, ChangeBetweenDatagrams) {
  Bench bench(labelled(true));
  bench.send(v5());
  DecoderRules none{.listeners = config(true).listeners};
  bench.decoder->set_rules(none);
  bench.send(v5());
  DecoderRules again = none;
  again.labels = labels(Bench::From{}.source);
  bench.decoder->set_rules(again);
  bench.send(v5());
  ASSERT_EQ(bench.records(), 6u);
  EXPECT_EQ(bench.kept(0).text(bench.record(0).in_if_name), "to the core");
  EXPECT_EQ(bench.record(2).in_if_name.count, 0u);
  EXPECT_EQ(bench.kept(2).header.site, "");
  EXPECT_EQ(bench.kept(4).text(bench.record(4).in_if_name), "to the core");
  EXPECT_EQ(bench.kept(4).header.site, "Zürich");
}

TEST_F(LabelsTest, WithoutASiteOfItsOwnAnExporterHasThatOfTheLongestPrefix) {
  Bench bench(config(false));
  const auto site_by = [&](std::vector<SiteRule> sites, std::shared_ptr<const ExporterLabels> labels = nullptr) {
    DecoderRules rules{.listeners = config(false).listeners};
    rules.sites = std::move(sites);
    rules.labels = std::move(labels);
    bench.decoder->set_rules(rules);
    bench.send(v5());
    return std::string(bench.kept(bench.records() - 1).header.site);
  };
  const IpAddress exporter = Bench::From{}.source;
  IpAddress other = exporter;
  other.octets[15] ^= 1;
  const SiteRule all{{{}, 0}, "Earth"}, whole{{exporter, 112}, "Europe"}, one{{exporter, 128}, "Basel"}, not_him{{other, 128}, "Mars"};
  EXPECT_EQ(site_by({}), "");
  EXPECT_EQ(site_by({not_him}), "");
  EXPECT_EQ(site_by({all}), "Earth");
  EXPECT_EQ(site_by({whole, all}), "Europe");
  EXPECT_EQ(site_by({all, one, whole, not_him}), "Basel");
  EXPECT_EQ(site_by({all, one}, labels(exporter)), "Zürich") << "what is said of itself goes before";
  const auto nameless = std::make_shared<const ExporterLabels>(std::vector<ExporterLabel>{{exporter, "", {{1, "x"}}}});
  EXPECT_EQ(site_by({all}, nameless), "Earth");
  EXPECT_EQ(site_by({}), "");
}

TEST_F(LabelsTest, ATextThatIsTooLongIsCut) {
  const IpAddress source = Bench::From{}.source;
  DecoderConfig long_texts = config(true);
  long_texts.labels = std::make_shared<const ExporterLabels>(
      std::vector<ExporterLabel>{{source, std::string(500, 's'), {{1, std::string(500, 'i')}}}});
  Bench bench(long_texts);
  bench.send(v5());
  EXPECT_EQ(bench.kept(0).header.site.size(), kNameOctetsMax);
  EXPECT_EQ(bench.record(0).in_if_name.count, kNameOctetsMax);
}

}  // namespace
}  // namespace weir::decode
