#include <gtest/gtest.h>

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
Value sampler(uint64_t id) { return {{48, 1}, u8(id)}; }
Value selector(uint64_t id) { return {{302, 8}, u64(id)}; }
Value in_if(uint32_t index) { return {{10, 4}, u32(index)}; }
const Value kSystemScope{{1, 4}, u32(0)};

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
    ASSERT_EQ(b.records(), 1u);
    EXPECT_EQ(b.record(0).sampling_rate, c.rate);
    EXPECT_EQ(b.record(0).sampling_source, static_cast<uint32_t>(c.source));
    EXPECT_EQ(b.record(0).bytes, 100u) << "counters are never multiplied";
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
