#include "decode/times.h"

#include <gtest/gtest.h>

#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;

constexpr uint64_t kStart = kNow - 90'123'456'789;
constexpr uint64_t kEnd = kNow - 1'987'654'321;

/// NTP's 32.32 seconds since 1900, rounded down as encoders do.
Octets ntp(uint64_t ns) {
  const uint64_t seconds = ns / 1'000'000'000 + 2'208'988'800;
  const uint64_t fraction = ((ns % 1'000'000'000) << 32) / 1'000'000'000;
  return u64(seconds << 32 | fraction);
}
uint64_t us(uint64_t ns) { return ns / 1000 * 1000; }
uint64_t ms(uint64_t ns) { return ns / 1'000'000 * 1'000'000; }
uint64_t s(uint64_t ns) { return ns / 1'000'000'000 * 1'000'000'000; }

struct Case {
  const char* name;
  std::vector<Value> values;
  uint64_t start_ns;
  uint64_t end_ns;
  TimeSource source;
};

std::vector<Case> cases_of_any_protocol() {
  return {
      {"seconds",
       {{{150, 4}, u32(kStart / 1'000'000'000)}, {{151, 4}, u32(kEnd / 1'000'000'000)}},
       s(kStart),
       s(kEnd),
       TimeSource::seconds},
      {"seconds in eight octets",
       {{{150, 8}, u64(kStart / 1'000'000'000)}, {{151, 8}, u64(kEnd / 1'000'000'000)}},
       s(kStart),
       s(kEnd),
       TimeSource::seconds},
      {"milliseconds",
       {{{152, 8}, u64(kStart / 1'000'000)}, {{153, 8}, u64(kEnd / 1'000'000)}},
       ms(kStart),
       ms(kEnd),
       TimeSource::milliseconds},
      {"microseconds",
       {{{154, 8}, ntp(kStart)}, {{155, 8}, ntp(kEnd)}},
       us(kStart),
       us(kEnd),
       TimeSource::microseconds},
      {"nanoseconds",
       {{{156, 8}, ntp(kStart)}, {{157, 8}, ntp(kEnd)}},
       kStart,
       kEnd,
       TimeSource::nanoseconds},
      {"microseconds as a plain count",
       {{{154, 8}, u64(kStart / 1000)}, {{155, 8}, u64(kEnd / 1000)}},
       us(kStart),
       us(kEnd),
       TimeSource::microseconds},
      {"nanoseconds as a plain count",
       {{{156, 8}, u64(kStart)}, {{157, 8}, u64(kEnd)}},
       kStart,
       kEnd,
       TimeSource::nanoseconds},
      {"microseconds behind seconds since 1970",
       {{{154, 8}, join({u32(kNowSecs - 9), u32(250'000)})},
        {{155, 8}, join({u32(kNowSecs - 1), u32(999'999)})}},
       (kNowSecs - 9) * 1'000'000'000 + 250'000'000,
       (kNowSecs - 1) * 1'000'000'000 + 999'999'000,
       TimeSource::microseconds},
      {"delta",
       {{{158, 4}, u32(5'000'000)}, {{159, 4}, u32(1)}},
       kNow - 5'000'000'000,
       kNow - 1000,
       TimeSource::delta},
      {"start and a duration in milliseconds",
       {{{152, 8}, u64(kStart / 1'000'000)}, {{161, 4}, u32(1500)}},
       ms(kStart),
       ms(kStart) + 1'500'000'000,
       TimeSource::milliseconds},
      {"end and a duration in microseconds",
       {{{153, 8}, u64(kEnd / 1'000'000)}, {{162, 4}, u32(1500)}},
       ms(kEnd) - 1'500'000,
       ms(kEnd),
       TimeSource::milliseconds},
      {"start alone",
       {{{152, 8}, u64(kStart / 1'000'000)}},
       ms(kStart),
       ms(kStart),
       TimeSource::milliseconds},
      {"the time of observation",
       {{{323, 8}, u64(kStart / 1'000'000)}},
       ms(kStart),
       ms(kStart),
       TimeSource::milliseconds},
      {"start, and when the event was observed",
       {{{323, 8}, u64(kEnd / 1'000'000)}, {{152, 8}, u64(kStart / 1'000'000)}},
       ms(kStart),
       ms(kEnd),
       TimeSource::milliseconds},
      {"none", {{{1, 4}, u32(1)}}, kNow, kNow, TimeSource::export_time},
      {"zeros", {{{152, 8}, u64(0)}, {{153, 8}, u64(0)}}, kNow, kNow, TimeSource::export_time},
      {"too large for a time",
       {{{152, 8}, u64(~0ull)}, {{153, 8}, u64(~0ull)}},
       kNow,
       kNow,
       TimeSource::export_time},
      {"the preferred one is nonsense, another is not",
       {{{154, 8}, u64(0)},
        {{155, 8}, u64(0)},
        {{150, 4}, u32(kStart / 1'000'000'000)},
        {{151, 4}, u32(kEnd / 1'000'000'000)}},
       s(kStart),
       s(kEnd),
       TimeSource::seconds},
      {"the finer of two",
       {{{150, 4}, u32(kStart / 1'000'000'000)},
        {{151, 4}, u32(kEnd / 1'000'000'000)},
        {{152, 8}, u64(kStart / 1'000'000)},
        {{153, 8}, u64(kEnd / 1'000'000)}},
       ms(kStart),
       ms(kEnd),
       TimeSource::milliseconds},
  };
}

void check(const Case& c, const Octets& datagram) {
  SCOPED_TRACE(c.name);
  Bench b;
  b.send(datagram);
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.record(0).time_flow_start_ns, c.start_ns);
  EXPECT_EQ(b.record(0).time_flow_end_ns, c.end_ns);
  EXPECT_EQ(b.record(0).time_source, static_cast<uint32_t>(c.source));
}

TEST(Times, AreRightToTheUnitInV9) {
  for (const Case& c : cases_of_any_protocol()) check(c, v9_with(c.values));
}

TEST(Times, AreRightToTheUnitInIpfix) {
  for (const Case& c : cases_of_any_protocol()) check(c, ipfix_with(c.values));
}

TEST(Times, AreRightInRecordsOfVariableLength) {
  for (Case c : cases_of_any_protocol()) {
    c.values.insert(c.values.begin(), {{96, lab::kVariableLength}, lab::variable(lab::text("x"))});
    check(c, ipfix_with(c.values));
  }
}

TEST(Times, OtherStatementsOfTheSameInstantAreKept) {
  Bench b;
  b.send(v9_with({{{150, 4}, u32(kStart / 1'000'000'000)},
                  {{151, 4}, u32(kEnd / 1'000'000'000)},
                  {{152, 8}, u64(kStart / 1'000'000)},
                  {{153, 8}, u64(kEnd / 1'000'000)},
                  {{161, 4}, u32(7)}}));
  std::vector<uint16_t> ids;
  for (const Unmapped& u : b.kept(0).unmapped()) ids.push_back(u.id);
  EXPECT_EQ(ids, (std::vector<uint16_t>{150, 151, 161}));
}

TEST(Times, UptimesOfV9AreSignedDifferencesToTheHeader) {
  const uint64_t unit = 1'000'000;
  struct Uptime {
    uint32_t header, first, last;
    uint16_t width;
    uint64_t start_ns, end_ns;
  };
  const Uptime cases[] = {
      {100'000, 40'000, 90'000, 4, kNow - 60'000 * unit, kNow - 10'000 * unit},
      {5'000, 0xffff'fff0u, 1'000, 4, kNow - 5'016 * unit, kNow - 4'000 * unit},
      {100'000, 100'050, 100'100, 4, kNow + 50 * unit, kNow + 100 * unit},
      {100'000, 40'000, 90'000, 8, kNow - 60'000 * unit, kNow - 10'000 * unit},  // NX-OS
  };
  for (const Uptime& c : cases) {
    const std::vector<Value> values = {{{22, c.width}, be(c.first, c.width)},
                                       {{21, c.width}, be(c.last, c.width)}};
    check({"uptime", values, c.start_ns, c.end_ns, TimeSource::uptime},
          NetflowV9Builder{}
              .uptime_ms(c.header)
              .unix_secs(kNowSecs)
              .templates({template_of(256, values)})
              .data(256, {record_of(values)})
              .build());
  }
}

TEST(Times, UptimesOfIpfixNeedToKnowWhenTheSystemBooted) {
  const uint64_t boot_ms = kNow / 1'000'000 - 5'000'000'000;  // 58 days: the uptime has wrapped
  const auto first = static_cast<uint32_t>(5'000'000'000 - 60'000);
  const auto last = static_cast<uint32_t>(5'000'000'000 - 10'000);
  const std::vector<Value> values = {{{22, 4}, u32(first)}, {{21, 4}, u32(last)}};
  const uint64_t start = kNow - 60'000'000'000;
  const uint64_t end = kNow - 10'000'000'000;

  check({"never said", values, kNow, kNow, TimeSource::export_time}, ipfix_with(values));

  std::vector<Value> in_record = values;
  in_record.push_back({{160, 8}, u64(boot_ms)});
  check({"in the record", in_record, start, end, TimeSource::uptime}, ipfix_with(in_record));

  check({"in options data", values, start, end, TimeSource::uptime},
        IpfixBuilder{}
            .export_time(kNowSecs)
            .options_templates({{.id = 300, .scopes = {{149, 4}}, .fields = {{160, 8}}}})
            .data(300, {{u32(0), u64(boot_ms)}})
            .templates({template_of(256, values)})
            .data(256, {record_of(values)})
            .build());
}

TEST(Times, AnExportersWrongClockIsNotBelieved) {
  struct Clock {
    uint32_t secs;
    uint64_t time_ns;
    TimeSource source;
  };
  const Clock cases[] = {
      {1000, kNow, TimeSource::received},
      {0xffff'fff0u, kNow, TimeSource::received},
      {kNowSecs - 3600, kNow - 3'600'000'000'000, TimeSource::export_time},
      {kNowSecs - 86'400 * 400, kNow - 400 * 86'400'000'000'000, TimeSource::export_time},
  };
  for (const Clock& c : cases) {
    Bench b;
    b.send(NetflowV9Builder{}
               .unix_secs(c.secs)
               .templates({{.id = 256, .fields = {{1, 4}}}})
               .data(256, {{u32(1)}})
               .build());
    EXPECT_EQ(b.record(0).time_flow_start_ns, c.time_ns);
    EXPECT_EQ(b.record(0).time_flow_end_ns, c.time_ns);
    EXPECT_EQ(b.record(0).time_source, static_cast<uint32_t>(c.source));
  }
}

TEST(Times, ANarrowWindowIsKept) {
  DecoderConfig config = Bench::default_config();
  config.limits.time_past_max_ns = 3600ull * 1'000'000'000;
  config.limits.time_future_max_ns = 60ull * 1'000'000'000;
  const auto at = [](int64_t seconds) {
    return v9_with({{{150, 4}, u32(kNowSecs + static_cast<uint64_t>(seconds))}});
  };
  const std::pair<int64_t, bool> cases[] = {{-3601, false}, {-3600, true}, {60, true}, {61, false}};
  for (const auto& [seconds, believed] : cases) {
    SCOPED_TRACE(seconds);
    Bench b(config);
    b.send(at(seconds));
    EXPECT_EQ(b.record(0).time_source == static_cast<uint32_t>(TimeSource::seconds), believed);
    EXPECT_EQ(b.quirk(Quirk::implausible_time), believed ? 0u : 1u);
  }
}

}  // namespace
}  // namespace weir::decode
