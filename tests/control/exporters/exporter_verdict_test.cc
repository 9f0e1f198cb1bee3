#include "control/exporters/exporter_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"

namespace weir::control {
namespace {

using decode::ExporterStats;
using ::testing::HasSubstr;

constexpr uint64_t kNow = 1'700'000'000 * kNsPerSec;

ExporterStats healthy() {
  ExporterStats e;
  e.last_seen_ns = kNow - kNsPerSec;
  e.datagrams = 1000;
  e.datagrams_decoded = 995;
  e.datagrams_rejected = 5;
  e.records = 20'000;
  e.templates = 10;
  e.templates_max = 2000;
  e.data_templates = {.size = 8, .hits = 990, .misses = 10};
  e.clock_samples = 1000;
  e.clock_skew_ns = -2 * static_cast<int64_t>(kNsPerSec);
  e.sequence_lost = 100;
  return e;
}

TEST(ExporterVerdict, IsEmptyWhereAllIsWell) { EXPECT_TRUE(verdicts_of(healthy(), kNow).empty()); }

TEST(ExporterVerdict, SaysWhatIsWrongAndWhatToDo) {
  struct Case {
    ExporterTrouble about;
    void (*spoil)(ExporterStats&);
    const char* words;
  };
  const Case cases[] = {
      {ExporterTrouble::silent, [](ExporterStats& e) { e.last_seen_ns = kNow - 600 * kNsPerSec; }, "10 minutes"},
      {ExporterTrouble::rejected,
       [](ExporterStats& e) {
         e.datagrams_rejected = 11;
         e.last_error = decode::DatagramError::unknown_version;
       },
       "11 of 1000 datagrams were rejected, the last one as unknown_version"},
      {ExporterTrouble::templates_full, [](ExporterStats& e) { e.data_templates.evictions = 1; }, "raise max_templates"},
      {ExporterTrouble::templates_full, [](ExporterStats& e) { e.templates = 1801; }, "1801 of 2000 templates"},
      {ExporterTrouble::templates_missing, [](ExporterStats& e) { e.data_templates.misses = 111; },
       "111 of 1101 data sets"},
      {ExporterTrouble::sequence_loss, [](ExporterStats& e) { e.sequence_lost = 300; }, "300 are missing"},
      {ExporterTrouble::clock_not_set, [](ExporterStats& e) { e.clock_implausible = 3; }, "in 3 datagrams"},
      {ExporterTrouble::clock_wrong,
       [](ExporterStats& e) { e.clock_skew_ns = 3600 * static_cast<int64_t>(kNsPerSec); },
       "3600 seconds behind"},
      {ExporterTrouble::clock_wrong,
       [](ExporterStats& e) { e.clock_skew_ns = -11 * static_cast<int64_t>(kNsPerSec); },
       "11 seconds ahead"},
      {ExporterTrouble::samples_dropped, [](ExporterStats& e) { e.samples_dropped = 7; }, "7 samples"},
  };
  for (const Case& c : cases) {
    ExporterStats e = healthy();
    c.spoil(e);
    const auto found = verdicts_of(e, kNow);
    ASSERT_EQ(found.size(), 1u) << c.words;
    EXPECT_EQ(found[0].about, c.about) << c.words;
    EXPECT_THAT(found[0].text, HasSubstr(c.words));
  }
}

}  // namespace
}  // namespace weir::control
