// What one exporter said, out of a decoder that goes on meanwhile.
#include "decode/exporter_detail.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "decode/state_image.h"
#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;

const IpAddress kRouter = IpAddress::from_v4(0xC0000207);  // whom Bench sends from
const IpAddress kOther = IpAddress::from_v4(0xC0000209);
constexpr uint64_t kSecond = 1'000'000'000;

struct Told {
  std::vector<std::string> lines;  // `9/1 template 256`, `9/1 rate 3=100`, `9/1 domain`
  size_t calls = 0;
  size_t records_in_call_max = 0;
  bool is_known = false;
};

/// `between`: after each call.
template <class Between>
Told tell(Decoder& decoder, const IpAddress& exporter, Between between) {
  Told told;
  std::vector<uint8_t> room(kStateChunkOctetsMin);
  DetailCursor cursor;
  while (!cursor.is_over) {
    EXPECT_LT(++told.calls, 10'000u) << "the walk ends";
    const size_t n = decoder.copy_exporter(exporter, cursor, room);
    EXPECT_LE(n, room.size());
    std::string domain;
    size_t records = 0;
    for (size_t at = 0; at < n;) {
      const StateRecord r{room.data() + at};
      at += r.octets();
      const std::string id = std::to_string(r.u16(8));
      switch (r.type()) {
        case StateRecordType::domain:
          domain = std::to_string(r.u16(12)) + "/" + std::to_string(r.u32(8));
          if (std::find(told.lines.begin(), told.lines.end(), domain) == told.lines.end()) told.lines.push_back(domain);
          break;
        case StateRecordType::template_:
          told.lines.push_back(domain + " template " + id + " of " + std::to_string(r.field_count()));
          ++records;
          break;
        case StateRecordType::rate:
          told.lines.push_back(domain + " rate " + std::to_string(r.u64(8)) + "=" + std::to_string(r.u64(16)));
          ++records;
          break;
        default: break;
      }
    }
    told.records_in_call_max = std::max(told.records_in_call_max, records);
    between();
  }
  told.is_known = cursor.is_known;
  return told;
}
Told tell(Decoder& decoder, const IpAddress& exporter) {
  return tell(decoder, exporter, [] {});
}

Octets templates(uint32_t domain, uint16_t first, uint16_t count) {
  std::vector<lab::Template> all;
  for (uint16_t i = 0; i < count; ++i) {
    all.push_back({.id = static_cast<uint16_t>(first + i), .fields = {{.id = 8, .length = 4}, {.id = 1, .length = 4}}});
  }
  return NetflowV9Builder{}.unix_secs(kNowSecs).uptime_ms(kUptimeMs).source_id(domain).templates(all).build();
}

TEST(ExporterDetail, TellsEveryTemplateOfEveryDomainInOrder) {
  Bench b;
  EXPECT_TRUE(b.send(templates(7, 300, 2)));
  EXPECT_TRUE(b.send(templates(1, 257, 1)));
  EXPECT_TRUE(b.send(templates(1, 256, 1)));
  EXPECT_TRUE(b.send(templates(1, 256, 9), {.source = kOther}));
  EXPECT_EQ(tell(*b.decoder, kRouter).lines,
            (std::vector<std::string>{"9/1", "9/1 template 256 of 2", "9/1 template 257 of 2", "9/7",
                                      "9/7 template 300 of 2", "9/7 template 301 of 2"}));
}

TEST(ExporterDetail, TellsManyInCallsOfBoundedWork) {
  Bench b;
  for (uint16_t i = 0; i < 10; ++i) EXPECT_TRUE(b.send(templates(1, static_cast<uint16_t>(256 + 50 * i), 50)));
  const Told told = tell(*b.decoder, kRouter);
  EXPECT_EQ(told.lines.size(), 1u + 500u);
  EXPECT_LE(told.records_in_call_max, kDetailRecords);
  EXPECT_GE(told.calls, 500 / kDetailRecords);
}

TEST(ExporterDetail, DisturbsNoWalkThatSaves) {
  Bench b;
  for (uint16_t i = 0; i < 10; ++i) EXPECT_TRUE(b.send(templates(1, static_cast<uint16_t>(256 + 50 * i), 50)));
  std::vector<uint8_t> room(kStateChunkOctetsMin);
  StateCursor saving;
  size_t saved = 0;
  const auto save_some = [&] {
    if (saving.is_over) return;
    const size_t n = b.decoder->copy_state(saving, room);
    for (size_t at = 0; at < n; at += StateRecord{room.data() + at}.octets()) {
      saved += StateRecord{room.data() + at}.type() == StateRecordType::template_;
    }
  };
  const Told told = tell(*b.decoder, kRouter, save_some);
  EXPECT_EQ(told.lines.size(), 501u) << "saving turns the lists";
  while (!saving.is_over) save_some();
  EXPECT_EQ(saved, 500u);
}

TEST(ExporterDetail, EndsWhereTheExporterIsNotOrNoLongerKnown) {
  DecoderConfig config = Bench::default_config();
  config.limits.exporters_max = 1;
  Bench b(config);
  EXPECT_FALSE(tell(*b.decoder, kRouter).is_known);
  EXPECT_TRUE(b.send(templates(1, 256, 50)));
  EXPECT_TRUE(b.send(templates(1, 306, 50)));
  size_t calls = 0;
  const Told told = tell(*b.decoder, kRouter, [&] {
    if (++calls == 3) {
      EXPECT_TRUE(b.send(templates(1, 256, 1), {.source = kOther, .at_ns = kNow + 3700 * kSecond}));
    }
  });
  EXPECT_TRUE(told.is_known);
  EXPECT_EQ(told.lines.size(), 1u + kDetailRecords) << "what was told until then";
  EXPECT_EQ(told.calls, 4u);
}

TEST(ExporterDetail, GoesOnBehindWhatWasRedefinedMeanwhile) {
  Bench b;
  for (uint16_t i = 0; i < 4; ++i) EXPECT_TRUE(b.send(templates(1, static_cast<uint16_t>(256 + 50 * i), 50)));
  const Told told = tell(*b.decoder, kRouter, [&] { EXPECT_TRUE(b.send(templates(1, 256, 50))); });
  EXPECT_EQ(told.lines.size(), 201u);
  EXPECT_TRUE(std::is_sorted(told.lines.begin() + 1, told.lines.end()));
}

TEST(ExporterDetail, TellsRatesByKeyAndOfHeaders) {
  Bench b;
  EXPECT_TRUE(b.send(NetflowV9Builder{}
                         .unix_secs(kNowSecs)
                         .uptime_ms(kUptimeMs)
                         .source_id(1)
                         .options_templates({{.id = 256, .scopes = {{1, 4}}, .fields = {{48, 1}, {34, 4}}}})
                         .data(256, {Record(Octets{0, 0, 0, 0, 3, 0, 0, 0, 100})})
                         .build()));
  EXPECT_EQ(tell(*b.decoder, kRouter).lines,
            (std::vector<std::string>{"9/1", "9/1 rate 3=100", "9/1 template 256 of 3"}));
}

}  // namespace
}  // namespace weir::decode
