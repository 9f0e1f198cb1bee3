#include "decode/times.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

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
      {"delta in eight octets",
       {{{158, 8}, u64(5'000'000)}, {{159, 8}, u64(1)}},
       kNow - 5'000'000'000,
       kNow - 1000,
       TimeSource::delta},
      {"nanoseconds behind seconds since 1970",
       {{{156, 8}, join({u32(kNowSecs - 9), u32(250'000'001)})},
        {{157, 8}, join({u32(kNowSecs - 1), u32(999'999'999)})}},
       (kNowSecs - 9) * 1'000'000'000 + 250'000'001,
       (kNowSecs - 1) * 1'000'000'000 + 999'999'999,
       TimeSource::nanoseconds},
      {"a duration and neither start nor end",
       {{{161, 4}, u32(1500)}},
       kNow,
       kNow,
       TimeSource::export_time},
      {"observed, in seconds, microseconds and nanoseconds",
       {{{322, 4}, u32(kStart / 1'000'000'000)}},
       s(kStart),
       s(kStart),
       TimeSource::seconds},
      {"observed, in microseconds",
       {{{324, 8}, ntp(kStart)}},
       us(kStart),
       us(kStart),
       TimeSource::microseconds},
      {"observed, in nanoseconds",
       {{{325, 8}, ntp(kStart)}},
       kStart,
       kStart,
       TimeSource::nanoseconds},
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

/// Options data of a system that says when it booted; more may follow.
IpfixBuilder booted_at(uint64_t ms) {
  IpfixBuilder builder;
  builder.export_time(kNowSecs)
      .options_templates({{.id = 300, .scopes = {{149, 4}}, .fields = {{160, 8}}}})
      .data(300, {{u32(0), u64(ms)}});
  return builder;
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
        booted_at(boot_ms)
            .templates({template_of(256, values)})
            .data(256, {record_of(values)})
            .build());
}

TEST(Times, ABootThatCannotBeIsNotBelieved) {
  constexpr uint64_t kDayMs = 86'400'000;
  for (const uint64_t boot_ms :
       {uint64_t{0}, uint64_t{5000}, kNow / 1'000'000 + 50 * kDayMs, UINT64_MAX}) {
    SCOPED_TRACE(boot_ms);
    // Uptimes wrap: by their last 32 bits these are of a minute ago.
    const auto since = static_cast<uint32_t>(kNow / 1'000'000 - 60'000 - boot_ms);
    const std::vector<Value> values = {{{22, 4}, u32(since)}, {{21, 4}, u32(since)}};
    std::vector<Value> in_record = values;
    in_record.push_back({{160, 8}, u64(boot_ms)});
    check({"in the record", in_record, kNow, kNow, TimeSource::export_time}, ipfix_with(in_record));
    check({"in options data", values, kNow, kNow, TimeSource::export_time},
          booted_at(boot_ms)
              .templates({template_of(256, values)})
              .data(256, {record_of(values)})
              .build());
  }
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

TEST(Times, TheTimeOfBootMayComeUnderAnotherDomain) {
  const uint64_t boot_ms = kNow / 1'000'000 - 3'600'000;
  const std::vector<Value> values = {{{22, 4}, u32(3'000'000)}, {{21, 4}, u32(3'500'000)}};
  const auto options = [](uint32_t domain, uint64_t ms) {
    return booted_at(ms).domain(domain).build();
  };
  const auto data = [&values](uint32_t domain) {
    return IpfixBuilder{}
        .export_time(kNowSecs)
        .domain(domain)
        .templates({template_of(256, values)})
        .data(256, {record_of(values)})
        .build();
  };
  Bench b;
  b.send(options(6, boot_ms));
  b.send(data(1));
  EXPECT_EQ(b.record(0).time_flow_start_ns, (boot_ms + 3'000'000) * 1'000'000);
  EXPECT_EQ(b.record(0).time_flow_end_ns, (boot_ms + 3'500'000) * 1'000'000);
  // Its own counts for more.
  b.send(options(1, boot_ms - 60'000));
  b.send(options(6, boot_ms));
  b.send(data(1));
  EXPECT_EQ(b.record(1).time_flow_start_ns, (boot_ms + 2'940'000) * 1'000'000);
  // And the record's own for most.
  std::vector<Value> with_boot = values;
  with_boot.push_back({{160, 8}, u64(boot_ms - 120'000)});
  b.send(ipfix_with(with_boot));
  EXPECT_EQ(b.record(2).time_flow_start_ns, (boot_ms + 2'880'000) * 1'000'000);
}

TEST(Times, UptimesAreNotBelievedWhereTheClockTheyRelateToIsWrong) {
  const std::vector<Value> values = {{{22, 4}, u32(kUptimeMs - 1000)}, {{21, 4}, u32(kUptimeMs)}};
  for (const uint32_t secs : {0u, 1000u, 0xffff'fff0u}) {  // 1970, and 2106
    check({"v9", values, kNow, kNow, TimeSource::received},
          NetflowV9Builder{}
              .uptime_ms(kUptimeMs)
              .unix_secs(secs)
              .templates({template_of(256, values)})
              .data(256, {record_of(values)})
              .build());
    check({"v5", {}, kNow, kNow, TimeSource::received},
          NetflowV5Builder{}
              .uptime_ms(kUptimeMs)
              .unix_time(secs)
              .record({.first_ms = kUptimeMs - 1000, .last_ms = kUptimeMs})
              .build());
  }
  // Times of their own are, whatever the header says.
  check({"v9 with absolute times", {}, ms(kStart), ms(kEnd), TimeSource::milliseconds},
        NetflowV9Builder{}
            .unix_secs(1000)
            .templates({{.id = 256, .fields = {{152, 8}, {153, 8}}}})
            .data(256, {{u64(kStart / 1'000'000), u64(kEnd / 1'000'000)}})
            .build());
}

TEST(Times, OfV5KeepTheHeadersNanoseconds) {
  const NetflowV5Record record{.first_ms = kUptimeMs - 1500, .last_ms = kUptimeMs + 40};
  check({"v5",
         {},
         kNow + 123'456'789 - 1'500'000'000,
         kNow + 123'456'789 + 40'000'000,
         TimeSource::uptime},
        NetflowV5Builder{}
            .uptime_ms(kUptimeMs)
            .unix_time(kNowSecs, 123'456'789)
            .record(record)
            .build());
  check({"nanoseconds that are none",
         {},
         kNow - 1'500'000'000,
         kNow + 40'000'000,
         TimeSource::uptime},
        NetflowV5Builder{}
            .uptime_ms(kUptimeMs)
            .unix_time(kNowSecs, 1'000'000'000)
            .record(record)
            .build());
}

TEST(Times, UptimesOfV5WrapAndMayLieAheadOfTheHeader) {
  const uint64_t unit = 1'000'000;
  struct Uptime {
    uint32_t header, first, last;
    uint64_t start_ns, end_ns;
  };
  for (const Uptime& c :
       {Uptime{5'000, 0xffff'fff0u, 1'000, kNow - 5'016 * unit, kNow - 4'000 * unit},
        Uptime{100'000, 100'050, 100'100, kNow + 50 * unit, kNow + 100 * unit}}) {
    check({"v5", {}, c.start_ns, c.end_ns, TimeSource::uptime},
          NetflowV5Builder{}
              .uptime_ms(c.header)
              .unix_time(kNowSecs)
              .record({.first_ms = c.first, .last_ms = c.last})
              .build());
  }
}

// ---- The exporters' clocks ----------------------------------------------------------------------

constexpr int64_t kSecondNs = 1'000'000'000;

NetflowV5Builder at(int64_t ns) {
  return NetflowV5Builder{}
      .unix_time(static_cast<uint32_t>(ns / kSecondNs), static_cast<uint32_t>(ns % kSecondNs))
      .record({});
}

TEST(Clock, ItsSkewIsMeasuredPerExporter) {
  for (const int64_t behind_ns :
       std::initializer_list<int64_t>{0, kSecondNs * 3 / 2, -2 * kSecondNs, 3600 * kSecondNs,
                                      -86'000 * kSecondNs, 400 * 86'400 * kSecondNs}) {
    SCOPED_TRACE(behind_ns);
    Bench b;
    std::mt19937 random(1);
    for (int i = 0; i < 200; ++i) {
      // The network delays by 0 to 10 ms.
      const auto now = static_cast<int64_t>(kNow) + i * kSecondNs;
      const auto delay = static_cast<int64_t>(random() % 10'000'000);
      b.send(at(now - behind_ns).build(), {.at_ns = static_cast<uint64_t>(now + delay)});
    }
    EXPECT_NEAR(static_cast<double>(b.exporter().clock_skew_ns),
                static_cast<double>(behind_ns + 5'000'000), 3e6);
    EXPECT_EQ(b.exporter().clock_samples, 200u);
    EXPECT_EQ(b.exporter().clock_implausible, 0u);
  }
}

TEST(Clock, OneLateDatagramHardlyMatters) {
  Bench b;
  for (int i = 0; i < 100; ++i) {
    const int64_t now = static_cast<int64_t>(kNow) + i * kSecondNs;
    const int64_t delay = i == 50 ? 5 * kSecondNs : 0;
    b.send(at(now - delay).build(), {.at_ns = static_cast<uint64_t>(now)});
  }
  EXPECT_LT(std::abs(b.exporter().clock_skew_ns), kSecondNs / 10);
}

TEST(Clock, OneThatIsSetIsFollowedAtOnce) {
  Bench b;
  for (int i = 0; i < 20; ++i) b.send(at(static_cast<int64_t>(kNow) - 3600 * kSecondNs).build());
  b.send(at(static_cast<int64_t>(kNow)).build());
  EXPECT_EQ(b.exporter().clock_skew_ns, 0);
}

TEST(Clock, OneThatWasNeverSetIsFlagged) {
  Bench b;
  b.send(at(1000 * kSecondNs).build());
  b.send(NetflowV9Builder{}.unix_secs(0xffff'fff0u).build());
  b.send(IpfixBuilder{}.export_time(5).build());
  EXPECT_EQ(b.exporter().clock_implausible, 3u);
  EXPECT_EQ(b.exporter().clock_samples, 0u);
  EXPECT_EQ(b.quirk(Quirk::implausible_clock), 3u);
}

TEST(Clock, EveryProtocolWithATimeInItsHeaderTellsIt) {
  for (const Octets& datagram : {at(static_cast<int64_t>(kNow) - 7 * kSecondNs).build(),
                                 NetflowV9Builder{}.unix_secs(kNowSecs - 7).build(),
                                 IpfixBuilder{}.export_time(kNowSecs - 7).build()}) {
    Bench b;
    b.send(datagram);
    EXPECT_EQ(b.exporter().clock_skew_ns, 7 * kSecondNs);
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
