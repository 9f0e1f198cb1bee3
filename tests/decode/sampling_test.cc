#include "decode/sampling.h"

#include <gtest/gtest.h>

#include <bit>

#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;

constexpr uint16_t kData = 256;
constexpr uint16_t kOptions = 300;

NetflowV9Builder v9(uint32_t source_id = 1) {
  return NetflowV9Builder{}.unix_secs(kNowSecs).source_id(source_id);
}

/// Options data of one record: v9 scopes apart.
Octets options_v9(const std::vector<Value>& scopes, const std::vector<Value>& fields,
                  uint32_t source_id = 1) {
  OptionsTemplate t{.id = kOptions};
  Octets record;
  for (const Value& v : scopes) {
    t.scopes.push_back(v.field);
    append(record, v.octets);
  }
  for (const Value& v : fields) {
    t.fields.push_back(v.field);
    append(record, v.octets);
  }
  return v9(source_id).options_templates({t}).data(kOptions, {Record(record)}).build();
}
Octets options_ipfix(const std::vector<Value>& scopes, const std::vector<Value>& fields,
                     uint32_t domain = 1) {
  OptionsTemplate t{.id = kOptions};
  Octets record;
  for (const Value& v : scopes) {
    t.scopes.push_back(v.field);
    append(record, v.octets);
  }
  for (const Value& v : fields) {
    t.fields.push_back(v.field);
    append(record, v.octets);
  }
  return IpfixBuilder{}
      .export_time(kNowSecs)
      .domain(domain)
      .options_templates({t})
      .data(kOptions, {Record(record)})
      .build();
}
Octets data_v9(const std::vector<Value>& values, uint32_t source_id = 1) {
  return v9(source_id)
      .templates({template_of(kData, values)})
      .data(kData, {record_of(values)})
      .build();
}
Octets data_ipfix(const std::vector<Value>& values, uint32_t domain = 1) {
  return IpfixBuilder{}
      .export_time(kNowSecs)
      .domain(domain)
      .templates({template_of(kData, values)})
      .data(kData, {record_of(values)})
      .build();
}

const Value kBytes{{1, 4}, u32(100)};
Octets f64(double v) { return u64(std::bit_cast<uint64_t>(v)); }
Octets f32(float v) { return u32(std::bit_cast<uint32_t>(v)); }
Value sampler(uint64_t id) { return {{48, 1}, u8(id)}; }
Value selector(uint64_t id) { return {{302, 8}, u64(id)}; }
Value sequence(uint64_t id) { return {{301, 8}, u64(id)}; }
Value in_if(uint32_t index) { return {{10, 4}, u32(index)}; }
const Value kSystemScope{{1, 4}, u32(0)};

/// RFC 5476 §6.5.1: where packets are observed, then the selectors that they pass.
Octets selection_sequence(uint64_t id, const std::vector<uint64_t>& selectors,
                          uint32_t domain = 1) {
  std::vector<Value> fields = {in_if(3)};
  for (const uint64_t s : selectors) fields.push_back(selector(s));
  return options_ipfix({sequence(id)}, fields, domain);
}
/// A selector that takes `size` of `size` times `rate`.
Octets one_in(uint64_t id, uint64_t rate, uint64_t size = 1, uint32_t domain = 1) {
  return options_ipfix({selector(id)},
                       {{{304, 2}, u16(3)}, {{309, 8}, u64(size)}, {{310, 8}, u64(size * rate)}},
                       domain);
}

struct Case {
  const char* name;
  std::vector<Octets> datagrams;
  uint64_t rate;
  SamplingSource source;
};

TEST(Sampling, ARateComesFromWhereverItIsNamed) {
  const Value interval{{34, 4}, u32(100)};
  const Value mode{{35, 1}, u8(2)};
  const auto sampler_of = [](uint64_t id, uint32_t rate) {
    return options_v9({kSystemScope}, {sampler(id), {{49, 1}, u8(2)}, {{50, 4}, u32(rate)}});
  };
  const Case cases[] = {
      {"nowhere", {data_v9({kBytes})}, 0, SamplingSource::unknown},
      {"in the record", {data_v9({kBytes, interval})}, 100, SamplingSource::record},
      {"zero in the record is no rate",
       {data_v9({kBytes, {{34, 4}, u32(0)}})},
       0,
       SamplingSource::unknown},
      {"of the domain",
       {options_v9({kSystemScope}, {interval, mode}), data_v9({kBytes})},
       100,
       SamplingSource::domain},
      {"by sampler",
       {sampler_of(1, 1000), sampler_of(2, 2000), data_v9({kBytes, sampler(2)})},
       2000,
       SamplingSource::sampler},
      {"of an unknown sampler",
       {sampler_of(1, 1000), data_v9({kBytes, sampler(9)})},
       0,
       SamplingSource::unknown},
      {"sampler 0 samples nothing",
       {sampler_of(0, 1000), data_v9({kBytes, sampler(0)})},
       0,
       SamplingSource::unknown},
      {"by interface in a scope of v9",
       {options_v9({{{2, 4}, u32(7)}}, {interval}), data_v9({kBytes, in_if(7)})},
       100,
       SamplingSource::interface_},
      {"of another interface",
       {options_v9({{{2, 4}, u32(7)}}, {interval}), data_v9({kBytes, in_if(8)})},
       0,
       SamplingSource::unknown},
      {"record before sampler",
       {sampler_of(1, 1000), data_v9({kBytes, sampler(1), interval})},
       100,
       SamplingSource::record},
      {"sampler before domain",
       {options_v9({kSystemScope}, {interval}), sampler_of(1, 1000), data_v9({kBytes, sampler(1)})},
       1000,
       SamplingSource::sampler},
      {"sampler before interface",
       {options_v9({{{2, 4}, u32(7)}}, {interval}), sampler_of(1, 1000),
        data_v9({kBytes, sampler(1), in_if(7)})},
       1000,
       SamplingSource::sampler},
      {"interface before domain",
       {options_v9({{{2, 4}, u32(7)}}, {{{34, 4}, u32(70)}}),
        options_v9({kSystemScope}, {interval}), data_v9({kBytes, in_if(7)})},
       70,
       SamplingSource::interface_},
      {"sampler under another source id",
       {options_v9({kSystemScope}, {sampler(1), {{50, 4}, u32(1000)}}, 6),
        data_v9({kBytes, sampler(1)}, 1)},
       1000,
       SamplingSource::exporter},
      {"domain's under another source id",
       {options_v9({kSystemScope}, {interval}, 6), data_v9({kBytes}, 1)},
       100,
       SamplingSource::exporter},
      {"other domains contradict each other",
       {options_v9({kSystemScope}, {interval}, 6),
        options_v9({kSystemScope}, {{{34, 4}, u32(200)}}, 7), data_v9({kBytes}, 1)},
       0,
       SamplingSource::unknown},
      {"other domains agree",
       {options_v9({kSystemScope}, {interval}, 6), options_v9({kSystemScope}, {interval}, 7),
        data_v9({kBytes}, 1)},
       100,
       SamplingSource::exporter},
      {"changed",
       {sampler_of(1, 1000), sampler_of(1, 500), data_v9({kBytes, sampler(1)})},
       500,
       SamplingSource::sampler},
      {"PSAMP's count based selector: 305 taken, 306 skipped",
       {options_ipfix({selector(5)}, {{{304, 2}, u16(1)}, {{305, 4}, u32(1)}, {{306, 4}, u32(99)}}),
        data_ipfix({kBytes, selector(5)})},
       100,
       SamplingSource::sampler},
      {"305 and 306 without a selector (Nokia)",
       {options_ipfix({{{149, 4}, u32(1)}}, {{{305, 4}, u32(10)}, {{306, 4}, u32(990)}}),
        data_ipfix({kBytes})},
       100,
       SamplingSource::domain},
      {"PSAMP's n out of N",
       {options_ipfix({selector(5)}, {{{309, 4}, u32(2)}, {{310, 4}, u32(1000)}}),
        data_ipfix({kBytes, selector(5)})},
       500,
       SamplingSource::sampler},
      {"by interface in a scope of IPFIX",
       {options_ipfix({{{10, 4}, u32(7)}}, {interval}), data_ipfix({kBytes, in_if(7)})},
       100,
       SamplingSource::interface_},
      {"an interval of 0 says nothing (PTX)",
       {options_v9({kSystemScope}, {interval}), options_v9({kSystemScope}, {{{34, 4}, u32(0)}}),
        data_v9({kBytes})},
       100,
       SamplingSource::domain},
      {"a scope of no octets (SRX)",
       {options_v9({{{1, 0}, {}}}, {interval, mode}), data_v9({kBytes})},
       100,
       SamplingSource::domain},
      {"sampling 3 of 100 is 1 of 33",
       {options_ipfix({selector(5)},
                      {{{304, 2}, u16(3)}, {{309, 4}, u32(3)}, {{310, 4}, u32(100)}}),
        data_ipfix({kBytes, selector(5)})},
       33,
       SamplingSource::sampler},
      {"PSAMP's time based selector: 307 taken, 308 skipped",
       {options_ipfix({selector(5)},
                      {{{304, 2}, u16(2)}, {{307, 4}, u32(100)}, {{308, 4}, u32(9900)}}),
        data_ipfix({kBytes, selector(5)})},
       100,
       SamplingSource::sampler},
      {"PSAMP's probability, float64",
       {options_ipfix({selector(5)}, {{{304, 2}, u16(4)}, {{311, 8}, f64(0.001)}}),
        data_ipfix({kBytes, selector(5)})},
       1000,
       SamplingSource::sampler},
      {"PSAMP's probability in reduced size, float32",
       {options_ipfix({selector(5)}, {{{304, 2}, u16(4)}, {{311, 4}, f32(0.01f)}}),
        data_ipfix({kBytes, selector(5)})},
       100,
       SamplingSource::sampler},
      {"a probability without its algorithm",
       {options_ipfix({selector(5)}, {{{311, 8}, f64(0.25)}}), data_ipfix({kBytes, selector(5)})},
       4,
       SamplingSource::sampler},
      {"a probability that is none",
       {options_ipfix({selector(5)}, {{{304, 2}, u16(4)}, {{311, 8}, f64(0)}}),
        options_ipfix({selector(5)}, {{{304, 2}, u16(4)}, {{311, 8}, f64(-0.5)}}),
        options_ipfix({selector(5)}, {{{304, 2}, u16(4)}, {{311, 8}, u64(~0ull)}}),
        options_ipfix({selector(5)}, {{{304, 2}, u16(4)}, {{311, 8}, f64(2)}}),
        options_ipfix({selector(5)}, {{{304, 2}, u16(4)}, {{311, 8}, f64(1e-300)}}),
        data_ipfix({kBytes, selector(5)})},
       0,
       SamplingSource::unknown},
      {"the algorithm says which of two descriptions holds",
       {options_ipfix({selector(5)}, {{{304, 2}, u16(3)},
                                      {{305, 4}, u32(1)},
                                      {{306, 4}, u32(9)},
                                      {{309, 4}, u32(1)},
                                      {{310, 4}, u32(500)}}),
        data_ipfix({kBytes, selector(5)})},
       500,
       SamplingSource::sampler},
      {"an algorithm that is not the one described",
       {options_ipfix({selector(5)}, {{{304, 2}, u16(3)}, {{305, 4}, u32(1)}, {{306, 4}, u32(99)}}),
        data_ipfix({kBytes, selector(5)})},
       100,
       SamplingSource::sampler},
      {"305 alone says nothing",
       {options_ipfix({selector(5)}, {{{305, 4}, u32(1000)}}), data_ipfix({kBytes, selector(5)})},
       0,
       SamplingSource::unknown},
      {"the interval of a random sampler is 0, its 34 is not (PTX)",
       {options_v9({kSystemScope}, {sampler(1), {{49, 1}, u8(2)}, {{50, 4}, u32(0)}, interval}),
        data_v9({kBytes, sampler(1)})},
       100,
       SamplingSource::sampler},
      {"of a line card, which has a source id of its own",
       {options_v9({{{3, 4}, u32(2)}}, {interval}), data_v9({kBytes})},
       100,
       SamplingSource::domain},
      {"of the template",
       {options_v9({kSystemScope}, {{{34, 4}, u32(7)}}),
        options_v9({{{5, 2}, u16(kData)}}, {interval}), data_v9({kBytes})},
       100,
       SamplingSource::domain},
      {"of another template",
       {options_v9({{{5, 2}, u16(kData + 1)}}, {interval}), data_v9({kBytes})},
       0,
       SamplingSource::unknown},
      {"of the template in a scope of IPFIX",
       {options_ipfix({{{145, 2}, u16(kData)}}, {interval}), data_ipfix({kBytes})},
       100,
       SamplingSource::domain},
      {"of the domain that the scope names (Junos)",
       {data_ipfix({kBytes}, 9), options_ipfix({{{149, 4}, u32(9)}}, {interval}, 1),
        data_ipfix({kBytes}, 9)},
       100,
       SamplingSource::domain},
      {"of domains that the scopes name before their data comes",
       {options_ipfix({{{149, 4}, u32(9)}}, {interval}, 1),
        options_ipfix({{{149, 4}, u32(10)}}, {{{34, 4}, u32(200)}}, 1), data_ipfix({kBytes}, 9)},
       100,
       SamplingSource::domain},
      {"flows that leave are sampled where they leave",
       {options_v9({{{2, 4}, u32(8)}}, {interval}),
        data_v9({kBytes, in_if(7), {{14, 4}, u32(8)}, {{61, 1}, u8(1)}})},
       100,
       SamplingSource::interface_},
      {"flows that leave, of a template without the interface where they came in",
       {options_v9({{{2, 4}, u32(8)}}, {interval}),
        data_v9({kBytes, {{14, 4}, u32(8)}, {{61, 1}, u8(1)}})},
       100,
       SamplingSource::interface_},
      {"flows that come in are not",
       {options_v9({{{2, 4}, u32(8)}}, {interval}),
        data_v9({kBytes, in_if(7), {{14, 4}, u32(8)}, {{61, 1}, u8(0)}})},
       0,
       SamplingSource::unknown},
      {"a selector under another domain",
       {options_ipfix({selector(5)}, {{{305, 4}, u32(1)}, {{306, 4}, u32(99)}}, 6),
        data_ipfix({kBytes, selector(5)}, 1)},
       100,
       SamplingSource::exporter},
      {"samplers of two other domains that contradict each other",
       {options_v9({kSystemScope}, {sampler(1), {{50, 4}, u32(10)}}, 6),
        options_v9({kSystemScope}, {sampler(1), {{50, 4}, u32(20)}}, 7),
        data_v9({kBytes, sampler(1)}, 1)},
       0,
       SamplingSource::unknown},
      {"an interval of one octet, and an id of two (ASR1000)",
       {options_v9({kSystemScope}, {{{48, 2}, u16(300)}, {{50, 1}, u8(64)}}),
        data_v9({kBytes, {{48, 2}, u16(300)}})},
       64,
       SamplingSource::sampler},
      {"a rate in the wrong octet order (MikroTik)",
       {data_v9({kBytes, {{34, 4}, u32(0xE8030000)}})},
       1000,
       SamplingSource::record},
      {"one that is nonsense either way",
       {data_v9({kBytes, {{34, 4}, u32(0x7f7f7f7f)}})},
       0x7f7f7f7f,
       SamplingSource::record},
      {"nonsense in the record yields to the domain (FortiGate)",
       {options_v9({kSystemScope}, {interval}), data_v9({kBytes, {{34, 4}, u32(0x7f7f7f7f)}})},
       100,
       SamplingSource::domain},
      {"a nonsensical sampler yields to the domain",
       {options_v9({kSystemScope}, {interval}),
        options_v9({kSystemScope}, {sampler(1), {{50, 4}, u32(50'000'000)}}),
        data_v9({kBytes, sampler(1)})},
       100,
       SamplingSource::domain},
      {"a nonsensical sampler is all there is",
       {options_v9({kSystemScope}, {sampler(1), {{50, 4}, u32(50'000'000)}}),
        data_v9({kBytes, sampler(1)})},
       50'000'000,
       SamplingSource::sampler},
      {"one in a million",
       {data_v9({kBytes, {{34, 4}, u32(1'000'000)}})},
       1'000'000,
       SamplingSource::record},
      {"every packet", {data_v9({kBytes, {{34, 4}, u32(1)}})}, 1, SamplingSource::record},
      {"by selection sequence: a filter, then a sampler",
       {selection_sequence(7, {5, 10}), one_in(10, 16), data_ipfix({kBytes, sequence(7)})},
       16,
       SamplingSource::sampler},
      {"by selection sequence, whose selector is known already",
       {one_in(10, 16), selection_sequence(7, {10}), data_ipfix({kBytes, sequence(7)})},
       16,
       SamplingSource::sampler},
      {"two samplers behind each other",
       {selection_sequence(7, {9, 10}), one_in(9, 4), one_in(10, 16),
        data_ipfix({kBytes, sequence(7)})},
       64,
       SamplingSource::sampler},
      {"a selection sequence that filters only",
       {selection_sequence(7, {5}), one_in(10, 16), data_ipfix({kBytes, sequence(7)})},
       0,
       SamplingSource::unknown},
      {"a selection sequence that has other selectors now",
       {selection_sequence(7, {9, 10}), one_in(9, 4), one_in(10, 16), selection_sequence(7, {9}),
        data_ipfix({kBytes, sequence(7)})},
       4,
       SamplingSource::sampler},
      {"a selection sequence of more selectors than are followed",
       {selection_sequence(7, {9}), selection_sequence(7, {9, 10, 5, 6}), one_in(9, 4),
        data_ipfix({kBytes, sequence(7)})},
       0,
       SamplingSource::unknown},
      {"what the selectors of a sequence come to is no number",
       {one_in(9, 1ull << 40), selection_sequence(7, {9, 9}), data_ipfix({kBytes, sequence(7)})},
       0,
       SamplingSource::unknown},
      {"a rate in the scope of the selection sequence",
       {options_ipfix({sequence(7)}, {{{305, 4}, u32(1)}, {{306, 4}, u32(99)}}),
        data_ipfix({kBytes, sequence(7)})},
       100,
       SamplingSource::sampler},
      {"a sequence, its selector and the rate in one record",
       {options_ipfix({sequence(7)}, {selector(5), {{305, 4}, u32(1)}, {{306, 4}, u32(99)}}),
        data_ipfix({kBytes, sequence(7)})},
       100,
       SamplingSource::sampler},
      {"a selector is no selection sequence of the same number",
       {one_in(7, 16), selection_sequence(8, {7}), data_ipfix({kBytes, sequence(7)})},
       0,
       SamplingSource::unknown},
      {"a selector goes before a selection sequence",
       {one_in(9, 4), one_in(10, 16), selection_sequence(7, {10}),
        data_ipfix({kBytes, sequence(7), selector(9)})},
       4,
       SamplingSource::sampler},
      {"a selection sequence under another domain",
       {selection_sequence(7, {10}, 6), one_in(10, 16, 1, 6), data_ipfix({kBytes, sequence(7)}, 1)},
       16,
       SamplingSource::exporter},
      {"what a selection sequence has taken so far is no rate",
       {options_ipfix({sequence(7)}, {{{318, 8}, u64(1000)}, {{319, 8}, u64(6)}}),
        data_ipfix({kBytes, sequence(7)})},
       0,
       SamplingSource::unknown},
      {"none taken out of any is no rate",
       {options_ipfix({selector(5)}, {{{305, 4}, u32(0)}, {{306, 4}, u32(9)}}),
        options_ipfix({selector(5)}, {{{309, 4}, u32(0)}, {{310, 4}, u32(9)}}),
        data_ipfix({kBytes, selector(5)})},
       0,
       SamplingSource::unknown},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    for (const Octets& d : c.datagrams) b.send(d);
    ASSERT_GE(b.records(), 1u);
    const FlowRecord& last = b.record(b.records() - 1);
    EXPECT_EQ(last.sampling_rate, c.rate);
    EXPECT_EQ(last.sampling_source, static_cast<uint32_t>(c.source));
    EXPECT_EQ(last.bytes, 100u) << "counters are never multiplied";
  }
}

TEST(Sampling, TheListenersRateStandsInLast) {
  DecoderConfig config = Bench::default_config();
  config.listeners[0].sampling_rate_default = 64;
  Bench b(config);
  b.send(data_v9({kBytes}));
  EXPECT_EQ(b.record(0).sampling_rate, 64u);
  EXPECT_EQ(b.record(0).sampling_source, static_cast<uint32_t>(SamplingSource::default_));
  b.send(options_v9({kSystemScope}, {{{34, 4}, u32(100)}}));
  b.send(data_v9({kBytes}));
  EXPECT_EQ(b.record(1).sampling_rate, 100u);
}

DecoderConfig with_rules() {
  DecoderConfig config = Bench::default_config();
  config.listeners[0].sampling_rate_default = 64;
  const auto v4 = [](uint32_t address, int bits) {
    return SamplingRule{IpAddress::from_v4(address), static_cast<uint8_t>(96 + bits), 0};
  };
  const auto rule = [](SamplingRule r, uint64_t rate) {
    r.rate = rate;
    return r;
  };
  config.sampling_override = {rule(v4(0xC0000200, 24), 512), rule(v4(0xC0000240, 26), 1024),
                              rule(v4(0xC0000241, 32), 2048),
                              rule({*IpAddress::parse("2001:db8::"), 32, 0}, 4096)};
  config.sampling_default = {rule(v4(0, 0), 8), rule(v4(0xC6336400, 24), 16)};
  return config;
}

TEST(Sampling, TheOperatorsRateHoldsWhateverTheExporterSays) {
  struct Of {
    const char* exporter;
    uint64_t rate;
    SamplingSource source;
  };
  const Of cases[] = {
      {"192.0.2.7", 512, SamplingSource::override_},
      {"192.0.2.64", 1024, SamplingSource::override_},
      {"192.0.2.127", 1024, SamplingSource::override_},
      {"192.0.2.65", 2048, SamplingSource::override_},
      {"192.0.2.128", 512, SamplingSource::override_},
      {"2001:db8:ffff::1", 4096, SamplingSource::override_},
      {"192.0.3.7", 100, SamplingSource::record},
      {"2001:db9::1", 100, SamplingSource::record},
  };
  for (const Of& c : cases) {
    SCOPED_TRACE(c.exporter);
    Bench b(with_rules());
    const Bench::From from{.source = *IpAddress::parse(c.exporter)};
    // In the record, by sampler and domain, and in the header of v5.
    b.send(options_v9({kSystemScope}, {sampler(1), {{50, 4}, u32(300)}}), from);
    b.send(data_v9({kBytes, {{34, 4}, u32(100)}, sampler(1)}), from);
    b.send(NetflowV5Builder{}.unix_time(kNowSecs).sampling(0x4000 | 200).record({}).build(), from);
    ASSERT_EQ(b.records(), 2u);
    EXPECT_EQ(b.record(0).sampling_rate, c.rate);
    EXPECT_EQ(b.record(0).sampling_source, static_cast<uint32_t>(c.source));
    const bool overridden = c.source == SamplingSource::override_;
    EXPECT_EQ(b.record(1).sampling_rate, overridden ? c.rate : 200u);
    EXPECT_EQ(b.record(1).sampling_source,
              static_cast<uint32_t>(overridden ? c.source : SamplingSource::header));
    EXPECT_EQ(b.exporter().sampling_rate_override, overridden ? c.rate : 0u);
  }
}

TEST(Sampling, TheOperatorsDefaultStandsInByExporter) {
  const std::pair<const char*, uint64_t> cases[] = {
      {"198.51.100.1", 16}, {"203.0.113.1", 8}, {"2001:db9::1", 64}};
  for (const auto& [exporter, rate] : cases) {
    SCOPED_TRACE(exporter);
    Bench b(with_rules());
    const Bench::From from{.source = *IpAddress::parse(exporter)};
    b.send(data_v9({kBytes}), from);
    b.send(data_v9({kBytes, {{34, 4}, u32(0x7f7f7f7f)}}), from);
    b.send(NetflowV5Builder{}.unix_time(kNowSecs).record({}).build(), from);
    b.send(options_v9({kSystemScope}, {{{34, 4}, u32(100)}}), from);
    b.send(data_v9({kBytes}), from);
    ASSERT_EQ(b.records(), 4u);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(b.record(i).sampling_rate, rate) << i;
      EXPECT_EQ(b.record(i).sampling_source, static_cast<uint32_t>(SamplingSource::default_)) << i;
    }
    EXPECT_EQ(b.record(3).sampling_rate, 100u);
  }
}

TEST(Sampling, ImplausibleRatesAreCounted) {
  Bench b;
  b.send(data_v9({kBytes, {{34, 4}, u32(100)}}));
  EXPECT_EQ(b.quirk(Quirk::implausible_rate), 0u);
  b.send(data_v9({kBytes, {{34, 4}, u32(1'000'001)}}));
  EXPECT_EQ(b.quirk(Quirk::implausible_rate), 1u);
  b.send(options_v9({kSystemScope}, {sampler(1), {{50, 4}, u32(1'000'001)}}));
  EXPECT_EQ(b.quirk(Quirk::implausible_rate), 2u);
}

TEST(Sampling, ARateThatComesLaterChangesOnlyLaterRecords) {
  Bench b;
  const auto said = [](uint32_t rate) {
    return options_v9({kSystemScope}, {sampler(1), {{50, 4}, u32(rate)}});
  };
  b.send(data_v9({kBytes, sampler(1)}));
  b.send(said(100));
  b.send(data_v9({kBytes, sampler(1)}));
  b.send(said(200));
  b.send(data_v9({kBytes, sampler(1)}));
  const uint64_t rates[] = {0, 100, 200};
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(b.record(i).sampling_rate, rates[i]);
  // Within one message too.
  const OptionsTemplate t{.id = kOptions, .scopes = {{1, 4}}, .fields = {{48, 1}, {50, 4}}};
  const lab::Template d = template_of(kData, {kBytes, sampler(1)});
  b.send(v9().options_templates({t})
             .templates({d})
             .data(kData, {{u32(1), u8(1)}})
             .data(kOptions, {{u32(0), u8(1), u32(300)}})
             .data(kData, {{u32(1), u8(1)}})
             .build());
  EXPECT_EQ(b.record(3).sampling_rate, 200u);
  EXPECT_EQ(b.record(4).sampling_rate, 300u);
}

TEST(Sampling, ADisagreementOfDomainsIsForgottenAfterAnHour) {
  Bench b;
  b.send(options_v9({kSystemScope}, {{{34, 4}, u32(100)}}, 6));
  b.send(options_v9({kSystemScope}, {{{34, 4}, u32(200)}}, 7));
  b.send(data_v9({kBytes}, 1));
  b.send(data_v9({kBytes}, 1), {.at_ns = kNow + SamplingTable::kDisagreementNs});
  EXPECT_EQ(b.record(0).sampling_rate, 0u);
  EXPECT_EQ(b.record(1).sampling_rate, 200u) << "the last that was said";
}

TEST(Sampling, ExportersDoNotLearnFromEachOther) {
  Bench b;
  b.send(options_v9({kSystemScope}, {{{34, 4}, u32(100)}}));
  b.send(data_v9({kBytes}), {.source = IpAddress::from_v4(0xC0000209)});
  EXPECT_EQ(b.record(0).sampling_rate, 0u);
}

TEST(Sampling, OptionsDataThatWaitsIsLearnedFromLater) {
  const OptionsTemplate t{.id = kOptions, .scopes = {{1, 4}}, .fields = {{34, 4}}};
  Bench b;
  b.send(v9().data(kOptions, {{u32(0), u32(100)}}).build());
  EXPECT_EQ(b.outcome(SetOutcome::waiting_for_template), 1u);
  b.send(v9().options_templates({t}).build());
  b.send(data_v9({kBytes}));
  EXPECT_EQ(b.record(0).sampling_rate, 100u);
  EXPECT_EQ(b.decoder->counters().options_records.value(), 1u);
}

TEST(Sampling, KeyedRatesAreBounded) {
  // More samplers than an exporter may have: its own oldest go, nothing else happens.
  const OptionsTemplate t{.id = kOptions, .scopes = {{1, 4}}, .fields = {{48, 4}, {50, 4}}};
  Bench b;
  b.send(v9().options_templates({t}).build());
  for (uint32_t batch = 0; batch < 10; ++batch) {
    std::vector<Record> records;
    for (uint32_t i = 1; i <= 1000; ++i) {
      records.push_back({u32(0), u32(batch * 1000 + i), u32(batch + 2)});
    }
    b.send(v9().data(kOptions, records).build());
  }
  const std::vector<Value> newest = {kBytes, {{48, 4}, u32(10'000)}};
  const std::vector<Value> oldest = {kBytes, {{48, 4}, u32(1)}};
  b.send(data_v9(newest));
  b.send(data_v9(oldest));
  EXPECT_EQ(b.record(0).sampling_rate, 11u);
  EXPECT_EQ(b.record(1).sampling_rate, 0u);
}

}  // namespace
}  // namespace weir::decode
