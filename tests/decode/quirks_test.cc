// Quirks are the exporter's whose datagram has them, and the core's.
#include "decode/quirks.h"

#include <gtest/gtest.h>

#include <map>

#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;

const IpAddress kQuiet = IpAddress::from_v4(0xC0000201);
const IpAddress kOdd = IpAddress::from_v4(0xC0000202);
const IpAddress kUnknown = IpAddress::from_v4(0xC0000203);

std::map<std::string, uint64_t> quirks_by_exporter(const Decoder& decoder, Quirk quirk) {
  std::vector<ExporterStats> rows(16);
  uint32_t cursor = 0;
  const size_t n = decoder.copy_exporters(cursor, rows);
  std::map<std::string, uint64_t> counts;
  for (size_t i = 0; i < n; ++i) {
    counts[rows[i].address.to_string()] = rows[i].quirks[static_cast<size_t>(quirk)];
  }
  return counts;
}

Octets v5(uint16_t count) { return NetflowV5Builder{}.record(NetflowV5Record{}).count(count).build(); }

/// Id 256, with other fields each time.
Octets v9_template(uint16_t length) {
  return NetflowV9Builder{}
      .uptime_ms(kUptimeMs)
      .unix_secs(kNowSecs)
      .templates({{.id = 256, .fields = {{.id = 1, .length = length}}}})
      .build();
}

TEST(Quirks, AreCountedForTheExporterThatHasThem) {
  Bench b;
  using Counts = std::map<std::string, uint64_t>;
  EXPECT_TRUE(b.send(v5(1), {.source = kQuiet}));
  EXPECT_TRUE(b.send(v5(9), {.source = kOdd}));
  EXPECT_TRUE(b.send(v5(1), {.source = kQuiet}));
  EXPECT_TRUE(b.send(v5(9), {.source = kOdd}));
  EXPECT_EQ(quirks_by_exporter(*b.decoder, Quirk::count_mismatch), (Counts{{"192.0.2.1", 0}, {"192.0.2.2", 2}}));
  // Those of templates, too.
  EXPECT_TRUE(b.send(v9_template(4), {.source = kQuiet}));
  EXPECT_TRUE(b.send(v9_template(8), {.source = kQuiet}));
  EXPECT_EQ(quirks_by_exporter(*b.decoder, Quirk::template_redefined), (Counts{{"192.0.2.1", 1}, {"192.0.2.2", 0}}));
  EXPECT_EQ(b.quirk(Quirk::count_mismatch), 2u);
}

TEST(Quirks, OfRejectedDatagramsAreNotTheLastExporters) {
  Bench b;
  EXPECT_TRUE(b.send(v5(9), {.source = kOdd}));
  EXPECT_FALSE(b.send({0, 9}, {.source = kUnknown}));
  EXPECT_EQ(b.exporter().quirks[static_cast<size_t>(Quirk::count_mismatch)], 1u);
}

TEST(QuirkBook, StopsAnExportersCountsWhereTheyAreFull) {
  CounterArray<Quirk> core;
  QuirkBook book(core);
  QuirkCounts exporter{};
  book.open(exporter);
  const auto at = static_cast<size_t>(Quirk::record_limit);
  exporter[at] = UINT32_MAX - 2;
  book.note(Quirk::record_limit, 5);
  EXPECT_EQ(exporter[at], UINT32_MAX);
  book.note(Quirk::record_limit);
  EXPECT_EQ(exporter[at], UINT32_MAX);
  book.close();
  exporter[at] = 0;
  book.note(Quirk::record_limit);
  EXPECT_EQ(exporter[at], 0u);
  EXPECT_EQ(core[Quirk::record_limit].value(), 7u);
}

}  // namespace
}  // namespace weir::decode
