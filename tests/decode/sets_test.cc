// Framing: sets of v9 and IPFIX that exporters write, and that nobody should.
#include <gtest/gtest.h>

#include "decode_support.h"
#include "lab/sflow_builder.h"

namespace weir::decode {
namespace {

using namespace lab;

const lab::Template kTwelve{.id = 256, .fields = {{8, 4}, {12, 4}, {1, 4}}};
Record twelve(uint32_t bytes) { return {ipv4("192.0.2.1"), ipv4("198.51.100.2"), u32(bytes)}; }
NetflowV9Builder v9() { return NetflowV9Builder{}.unix_secs(kNowSecs).source_id(1); }
IpfixBuilder ipfix() { return IpfixBuilder{}.export_time(kNowSecs).domain(1); }

struct Case {
  const char* name;
  Octets datagram;
  size_t records;
  std::vector<std::pair<SetOutcome, uint64_t>> outcomes;  // besides those decoded
  std::vector<std::pair<Quirk, uint64_t>> quirks;         // all there are
};

void check(const Case& c) {
  SCOPED_TRACE(c.name);
  Bench b;
  EXPECT_TRUE(b.send(c.datagram));
  EXPECT_EQ(b.records(), c.records);
  uint64_t other = 0;
  for (const auto& [outcome, n] : c.outcomes) {
    EXPECT_EQ(b.outcome(outcome), n) << name_of(outcome);
    other += n;
  }
  EXPECT_EQ(b.decoder->counters().set_outcomes.total(), b.outcome(SetOutcome::decoded) + other);
  uint64_t quirks = 0;
  for (const auto& [quirk, n] : c.quirks) {
    EXPECT_EQ(b.quirk(quirk), n) << name_of(quirk);
    quirks += n;
  }
  EXPECT_EQ(b.decoder->counters().quirks.total(), quirks);
  expect_truncations_tolerated(c.datagram);
}

TEST(Sets, OneBadSetDoesNotDropItsSiblings) {
  using O = SetOutcome;
  using Q = Quirk;
  const Case cases[] =
      {
          {"well formed",
           v9().templates({kTwelve}).data(256, {twelve(1), twelve(2)}).build(),
           2,
           {},
           {}},
          {"header only", v9().build(), 0, {}, {}},
          {"a set of no octets", v9().templates({kTwelve}).data(256, {}).build(), 0, {}, {}},
          {"reserved ids are skipped by their length",
           v9().templates({kTwelve})
               .set(100, zeros(8))
               .set(255, zeros(1))
               .data(256, {twelve(1)})
               .build(),
           1,
           {{O::skipped_reserved_id, 2}},
           {}},
          {"zeros to the end",
           v9().templates({kTwelve}).data(256, {twelve(1)}).raw(zeros(40)).build(),
           1,
           {{O::skipped_padding, 1}},
           {{Q::zero_filled_tail, 1}}},
          {"a length of 3",
           v9().templates({kTwelve}).data(256, {twelve(1)}).set(256, zeros(4), 3).build(),
           1,
           {{O::skipped_bad_length, 1}},
           {}},
          {"a length of 0 with octets behind",
           v9().templates({kTwelve}).data(256, {twelve(1)}).set(0, filled(9, 1), 0).build(),
           1,
           {{O::skipped_bad_length, 1}},
           {}},
          {"longer than the datagram",
           v9().templates({kTwelve}).data(256, {twelve(1)}).set(256, zeros(12), 100).build(),
           1,
           {{O::skipped_bad_length, 1}},
           {}},
          {"octets behind the last set",
           v9().templates({kTwelve}).data(256, {twelve(1)}).raw({1, 2, 3}).build(),
           1,
           {},
           {{Q::trailing_octets, 1}}},
          {"padded to four",
           v9().templates({{.id = 256, .fields = {{1, 3}, {4, 2}}}})
               .data(256, {{u24(1), u16(6)}}, kPadToFour)
               .build(),
           1,
           {},
           {}},
          {"padded by what is not zero",
           v9().templates({kTwelve}).data(256, {twelve(1)}, padding(3, 0xee)).build(),
           1,
           {},
           {{Q::nonzero_padding, 1}}},
          {"padded by more than needed (NX-OS)",
           v9().templates({{.id = 256, .fields = {{8, 4}, {12, 4}, {27, 16}, {28, 16}}}})
               .data(256, {{zeros(8), zeros(32)}}, padding(36))
               .build(),
           1,
           {},
           {{Q::long_padding, 1}}},
          {"records of one octet do not hide in the padding",
           v9().templates({{.id = 256, .fields = {{4, 1}}}})
               .data(256, {{u8(6)}, {u8(17)}}, kPadToFour)
               .build(),
           2,
           {},
           {}},
          {"records of one octet that are zero count inside",
           v9().templates({{.id = 256, .fields = {{4, 1}}}})
               .data(256, {{u8(0)}, {u8(17)}, {u8(0)}, {u8(6)}})
               .build(),
           4,
           {},
           {}},
          {"a template cut off behind a good one",
           v9().set(0, join({template_octets(kTwelve), u16(257), u16(9), u16(1)}))
               .data(256, {twelve(1)})
               .count(2)
               .build(),
           1,
           {{O::skipped_bad_template, 1}},
           {}},
          {"a template with a reserved id",
           v9().templates({{.id = 255, .fields = {{1, 4}}}}).count(0).build(),
           0,
           {{O::skipped_bad_template, 1}},
           {}},
          {"templates behind one another, padded",
           v9().templates({kTwelve, {.id = 257, .fields = {{1, 3}}}}, padding(6))
               .data(256, {twelve(1)})
               .data(257, {{u24(5)}}, kPadToFour)
               .build(),
           2,
           {},
           {}},
          {"IPFIX templates under a v9 header",
           v9().set(2, ipfix_template_octets(kTwelve)).data(256, {twelve(1)}).count(2).build(),
           1,
           {},
           {{Q::set_of_other_version, 1}}},
          {"v9 templates under an IPFIX header",
           ipfix().set(0, template_octets(kTwelve)).data(256, {twelve(1)}).build(),
           1,
           {},
           {{Q::set_of_other_version, 1}}},
          {"vendors' types of v9 have no enterprise behind them",
           v9().templates({{.id = 256, .fields = {{33'000, 12}, {1, 4}}}})
               .data(256, {{zeros(12), u32(5)}})
               .build(),
           1,
           {},
           {}},
          {"variable length in v9 (H3C)",
           v9().templates({{.id = 256, .fields = {{1, 4}, {96, lab::kVariableLength}}}})
               .data(256, {{u32(1), lab::variable(lab::text("ab"))}, {u32(2), lab::variable({})}},
                     kPadToFour)
               .build(),
           2,
           {},
           {{Q::variable_length_in_v9, 1}}},
          {"a record of variable length that does not end",
           ipfix()
               .templates({{.id = 256, .fields = {{96, lab::kVariableLength}}}})
               .data(256, {{lab::variable(lab::text("ab"))}, {u8(9), u8('x')}})
               .build(),
           1,
           {},
           {{Q::truncated_record, 1}}},
          {"a variable length in three octets",
           ipfix()
               .templates({{.id = 256, .fields = {{96, lab::kVariableLength}, {1, 1}}}})
               .data(256, {{variable_long_form(lab::text("ab")), u8(1)}})
               .build(),
           1,
           {},
           {}},
          {"a template without fields",
           v9().templates({{.id = 256}}).data(256, {twelve(1)}).build(),
           0,
           {{O::skipped_not_decodable, 1}},
           {{Q::template_not_decodable, 1}}},
          {"a template of fields without octets",
           v9().templates({{.id = 256, .fields = {{1, 0}, {2, 0}}}}).data(256, {twelve(1)}).build(),
           0,
           {{O::skipped_not_decodable, 1}},
           {{Q::template_not_decodable, 1}, {Q::zero_length_field, 0}}},
          {"more fields without octets than anybody means",
           v9().templates({{.id = 256,
                            .fields =
                                [] {
                                  std::vector<FieldSpecifier> f(70, {2, 0});
                                  f.push_back({1, 4});
                                  return f;
                                }()},
                           {.id = 257, .fields = {{1, 4}}}})
               .data(256, {twelve(1)})
               .data(257, {{u32(1)}})
               .build(),
           1,
           {{O::skipped_not_decodable, 1}},
           {{Q::template_not_decodable, 1}}},
          {"a field without octets among others",
           v9().templates({{.id = 256, .fields = {{1, 4}, {2, 0}}}})
               .data(256, {{u32(7)}, {u32(8)}})
               .build(),
           2,
           {},
           {{Q::zero_length_field, 1}}},
          {"count means FlowSets",
           v9().templates({kTwelve}).data(256, {twelve(1), twelve(2)}).count(2).build(),
           2,
           {},
           {}},
          {"count means nothing",
           v9().templates({kTwelve}).data(256, {twelve(1)}).count(77).build(),
           1,
           {},
           {{Q::count_mismatch, 1}}},
          {"an IPFIX message shorter than its datagram",
           ipfix()
               .templates({kTwelve})
               .data(256, {twelve(1)})
               .raw(filled(5, 7))
               .length(static_cast<uint16_t>(
                   ipfix().templates({kTwelve}).data(256, {twelve(1)}).size()))
               .build(),
           1,
           {},
           {{Q::trailing_octets, 1}}},
          {"an IPFIX message shorter than its datagram, zeros behind",
           ipfix()
               .templates({kTwelve})
               .data(256, {twelve(1)})
               .raw(zeros(5))
               .length(static_cast<uint16_t>(
                   ipfix().templates({kTwelve}).data(256, {twelve(1)}).size()))
               .build(),
           1,
           {},
           {{Q::zero_filled_tail, 1}}},
          {"an IPFIX message longer than its datagram",
           ipfix().templates({kTwelve}).data(256, {twelve(1)}).length(1000).build(),
           1,
           {},
           {{Q::count_mismatch, 1}}},
          {"an IPFIX message without sets", ipfix().build(), 0, {}, {}},
      };
  for (const Case& c : cases) check(c);
}

TEST(Sets, EnterprisesOfIpfixAreRead) {
  const std::vector<Value> values = {
      {{1, 4}, u32(5)}, {{1, 8, 29305}, u64(6)}, {{7, 2, 9}, u16(7)}, {{7, 2}, u16(443)}};
  Bench b;
  b.send(ipfix_with(values));
  EXPECT_EQ(b.record(0).bytes, 5u);
  EXPECT_EQ(b.record(0).bytes_in, 6u);
  EXPECT_EQ(b.record(0).src_port, 443u);
  EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{9, 7, std::string("\0\x07", 2)}}));
  EXPECT_EQ(b.kept(0).header.type, FlowType::ipfix);
  expect_truncations_tolerated(ipfix_with(values));
}

TEST(Sets, SeveralOptionsTemplatesInOneSet) {
  const OptionsTemplate first{.id = 300, .scopes = {{1, 4}}, .fields = {{34, 4}}};
  const OptionsTemplate second{.id = 301, .scopes = {{1, 4}, {2, 2}}, .fields = {{48, 1}, {50, 4}}};
  for (const Octets& d : {v9().options_templates({first, second}, kPadToFour)
                              .data(300, {{u32(0), u32(10)}})
                              .data(301, {{u32(0), u16(0), u8(1), u32(9)}}, kPadToFour)
                              .build(),
                          ipfix()
                              .options_templates({first, second}, kPadToFour)
                              .data(300, {{u32(0), u32(10)}})
                              .data(301, {{u32(0), u16(0), u8(1), u32(9)}}, kPadToFour)
                              .build()}) {
    Bench b;
    b.send(d);
    EXPECT_EQ(b.decoder->counters().options_records.value(), 2u);
    EXPECT_EQ(b.exporter().options_records, 2u);
    EXPECT_EQ(b.exporter().templates, 2u);
    EXPECT_EQ(b.records(), 0u) << "options are state, not output";
    EXPECT_EQ(b.decoder->counters().quirks.total(), 0u);
    expect_truncations_tolerated(d);
  }
}

TEST(Sets, OptionsTemplatesOfOddLengths) {
  struct Odd {
    const char* name;
    Octets content;
    bool good;
    size_t templates;
  };
  const Octets scope = join({u16(1), u16(4)});
  const Octets field = join({u16(34), u16(4)});
  const Odd cases[] = {
      {"as it should be", join({u16(300), u16(4), u16(4), scope, field}), true, 1},
      {"no scope", join({u16(300), u16(0), u16(4), field}), true, 1},
      {"two octets of padding in the options' length",
       join({u16(300), u16(4), u16(6), scope, field, u16(0)}), true, 1},
      {"longer than the set", join({u16(300), u16(4), u16(40), scope, field}), false, 0},
      {"scopes longer than the set", join({u16(300), u16(400), u16(0), scope, field}), false, 0},
      {"a reserved id", join({u16(3), u16(4), u16(4), scope, field}), false, 0},
      {"neither scope nor option", join({u16(300), u16(0), u16(0)}), true, 1},
      {"a good one, then one cut off",
       join({u16(300), u16(4), u16(4), scope, field, u16(301), u16(4), u16(4), scope}), false, 1},
  };
  for (const Odd& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    b.send(v9().set(1, c.content).build());
    EXPECT_EQ(b.outcome(SetOutcome::decoded), c.good ? 1u : 0u);
    EXPECT_EQ(b.outcome(SetOutcome::skipped_bad_template), c.good ? 0u : 1u);
    EXPECT_EQ(b.exporter().templates, c.templates);
  }
}

TEST(Sets, OptionsTemplatesOfIpfixThatContradictThemselves) {
  const OptionsTemplate more_scopes{
      .id = 300, .scopes = {{149, 4}}, .fields = {{34, 4}}, .scope_length_or_count = 3};
  Bench b;
  b.send(ipfix().options_templates({more_scopes}).build());
  EXPECT_EQ(b.outcome(SetOutcome::skipped_bad_template), 1u);
  const OptionsTemplate no_scopes{.id = 300, .scopes = {}, .fields = {{34, 4}}};
  b.send(ipfix().options_templates({no_scopes}).data(300, {{u32(10)}}).build());
  EXPECT_EQ(b.decoder->counters().options_records.value(), 1u) << "illegal, but seen";
}

TEST(Sets, DataOfManySetsFillOneBurst) {
  IpfixBuilder m = ipfix().templates({kTwelve});
  for (uint32_t i = 0; i < 70; ++i) m.data(256, {twelve(i)});
  Bench b;
  b.send(m.build());
  ASSERT_EQ(b.records(), 70u);
  for (uint32_t i = 0; i < 70; ++i) EXPECT_EQ(b.record(i).bytes, i);
}

TEST(Sets, ADatagramOfTheLargestSize) {
  std::vector<Record> records;
  for (uint32_t i = 0; i < 5450; ++i) records.push_back(twelve(i));
  Bench b;
  b.send(v9().templates({kTwelve}).data(256, records).build());
  ASSERT_EQ(b.records(), 5450u);
  EXPECT_EQ(b.record(5449).bytes, 5449u);
}

TEST(DataSets, TinyRecordsMakeNoMoreThanADatagramsShare) {
  const auto share = uint64_t{kRecordsPerDatagramMax};
  Bench b;
  b.send(v9().templates({{.id = 256, .fields = {{4, 1}}}}).build());
  b.send(v9().set(256, filled(60'000, 6)).build());
  EXPECT_EQ(b.decoder->counters().records.value(), share);
  EXPECT_EQ(b.quirk(Quirk::record_limit), 60'000 - share);
  b.send(v9().set(256, filled(30'000, 6)).set(256, filled(30'000, 6)).build());
  EXPECT_EQ(b.decoder->counters().records.value(), 2 * share) << "of the datagram, not of the set";
  EXPECT_EQ(ledger_error(b.decoder->counters()), "");
}

TEST(DataSets, TinyOptionsRecordsAreNoMoreThanADatagramsShare) {
  Bench b;
  b.send(v9().options_templates({{.id = 256, .scopes = {{1, 0}}, .fields = {{34, 1}}}}).build());
  b.send(v9().set(256, filled(30'000, 6)).set(256, filled(30'000, 6)).build());
  EXPECT_EQ(b.decoder->counters().options_records.value(), uint64_t{kRecordsPerDatagramMax});
  EXPECT_EQ(b.quirk(Quirk::record_limit), 2u);
}

struct VersionCase {
  Octets head;
  DatagramError error;
};

TEST(Datagrams, AreToldApartByContent) {
  const VersionCase cases[] = {
      {{}, DatagramError::empty},
      {{0, 9, 0}, DatagramError::truncated_header},
      {join({u16(9), zeros(17)}), DatagramError::truncated_header},
      {join({u16(10), zeros(13)}), DatagramError::truncated_header},
      {join({u16(10), u16(15), zeros(12)}), DatagramError::bad_length},
      {join({u16(1), zeros(40)}), DatagramError::bad_count},
      {join({u16(6), zeros(40)}), DatagramError::unsupported_version},
      {join({u16(7), zeros(40)}), DatagramError::bad_count},
      {join({u16(8), zeros(40)}), DatagramError::unsupported_version},
      {join({u32(2), zeros(40)}), DatagramError::unsupported_version},
      {join({u32(4), zeros(40)}), DatagramError::unsupported_version},
      {join({u32(3), zeros(40)}), DatagramError::unknown_version},
      {join({u32(5), u32(1), zeros(19)}), DatagramError::truncated_header},
      {join({u32(5), u32(3), zeros(40)}), DatagramError::bad_agent_address},
      {join({u16(0), zeros(40)}), DatagramError::unknown_version},
      {join({u16(11), zeros(40)}), DatagramError::unknown_version},
      {join({u16(0x1603), zeros(40)}), DatagramError::unknown_version},
  };
  for (const VersionCase& c : cases) {
    SCOPED_TRACE(name_of(c.error));
    Bench b;
    EXPECT_FALSE(b.send(c.head));
    EXPECT_EQ(b.error(c.error), 1u);
    EXPECT_EQ(b.decoder->counters().exporters.value(), 0u) << "nonsense makes no exporter";
  }
}

TEST(Datagrams, AListenerTakesItsProtocolOnly) {
  DecoderConfig config = Bench::default_config();
  config.listeners = {{.protocol = ProtocolFilter::netflow},
                      {.protocol = ProtocolFilter::ipfix},
                      {.protocol = ProtocolFilter::sflow},
                      {.protocol = ProtocolFilter::any}};
  const Octets v5 = NetflowV5Builder{}.unix_time(kNowSecs).record({}).build();
  const std::pair<Octets, std::vector<bool>> cases[] = {
      {v5, {true, false, false, true}},
      {v9().build(), {true, false, false, true}},
      {ipfix().build(), {true, true, false, true}},
      {SflowBuilder{}.build(), {false, false, true, true}},
  };
  for (const auto& [octets, admitted] : cases) {
    for (uint16_t listener = 0; listener < 4; ++listener) {
      Bench b(config);
      EXPECT_EQ(b.send(octets, {.listener = listener}), admitted[listener]);
      EXPECT_EQ(b.error(DatagramError::protocol_not_allowed), admitted[listener] ? 0u : 1u);
    }
  }
}

TEST(Datagrams, RejectedOnesAreToldOfExportersThatAreKnown) {
  Bench b;
  b.send(v9().build());
  b.send({1, 2, 3, 4, 5});
  const ExporterStats s = b.exporter();
  EXPECT_EQ(s.datagrams, 2u);
  EXPECT_EQ(s.datagrams_decoded, 1u);
  EXPECT_EQ(s.datagrams_rejected, 1u);
  EXPECT_EQ(s.last_error, DatagramError::unknown_version);
}

}  // namespace
}  // namespace weir::decode
