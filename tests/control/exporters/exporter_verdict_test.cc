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

TEST(ExporterVerdict, IsEmptyWhereAllIsWell) { EXPECT_TRUE(verdicts_of(healthy(), activity_of(healthy()), kNow).empty()); }

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
       "11 of 1000 datagrams were rejected in the last 10 minutes, the last one as unknown_version"},
      {ExporterTrouble::rejected,
       [](ExporterStats& e) {
         e.datagrams_rejected = 11;
         e.last_error = decode::DatagramError::truncated_message;
       },
       "its TCP session ended within a message"},
      {ExporterTrouble::templates_full, [](ExporterStats& e) { e.data_templates.evictions = 1; }, "raise max_templates"},
      {ExporterTrouble::templates_full, [](ExporterStats& e) { e.templates = 1801; }, "1801 of 2000 templates"},
      {ExporterTrouble::templates_missing, [](ExporterStats& e) { e.data_templates.misses = 111; },
       "111 of 1101 data sets came without template in the last 10 minutes"},
      {ExporterTrouble::templates_missing, [](ExporterStats& e) { e.data_templates.misses = 111; }, "(every 60 seconds)"},
      {ExporterTrouble::templates_missing,
       [](ExporterStats& e) {
         e.data_templates.misses = 111;
         e.session_domains = 1;
       },
       "when its session begins"},
      {ExporterTrouble::sequence_loss, [](ExporterStats& e) { e.sequence_lost = 300; }, "300 are missing by its sequence numbers in the last 10 minutes"},
      {ExporterTrouble::clock_not_set, [](ExporterStats& e) { e.clock_implausible = 3; }, "in 3 datagrams in the last 10 minutes"},
      {ExporterTrouble::clock_wrong,
       [](ExporterStats& e) { e.clock_skew_ns = 3600 * static_cast<int64_t>(kNsPerSec); },
       "3600 seconds behind"},
      {ExporterTrouble::clock_wrong,
       [](ExporterStats& e) { e.clock_skew_ns = -11 * static_cast<int64_t>(kNsPerSec); },
       "11 seconds ahead"},
      {ExporterTrouble::samples_dropped, [](ExporterStats& e) { e.samples_dropped = 7; }, "7 samples itself in the last 10 minutes"},
  };
  for (const Case& c : cases) {
    ExporterStats e = healthy();
    c.spoil(e);
    const auto found = verdicts_of(e, activity_of(e), kNow);
    ASSERT_EQ(found.size(), 1u) << c.words;
    EXPECT_EQ(found[0].about, c.about) << c.words;
    EXPECT_THAT(found[0].text, HasSubstr(c.words));
  }
}

TEST(ExporterVerdict, ARateOfOursIsNoLossOnTheWay) {
  ExporterStats e = healthy();
  e.datagrams_rejected = 700;
  e.sequence_lost = 9000;
  e.last_error = decode::DatagramError::rate_limited;
  const auto found = verdicts_of(e, activity_of(e), kNow);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0].text, HasSubstr("700 of 1000 datagrams were refused in the last 10 minutes, the last one as beyond limits.packets_per_second"));
}

TEST(ExporterVerdict, HoldsNothingAgainstItThatIsOver) {
  ExporterStats e = healthy();
  e.datagrams_rejected = 900;
  e.data_templates = {.size = 8, .hits = 990, .misses = 900, .evictions = 5};
  e.sequence_lost = 9000;
  e.clock_implausible = 3;
  e.samples_dropped = 7;
  ExporterActivity well;
  well.datagrams = well.records = well.template_hits = 100;
  EXPECT_TRUE(verdicts_of(e, well, kNow).empty());
  EXPECT_TRUE(verdicts_of(e, {}, kNow).empty()) << "nor where it did nothing of late";
}

TEST(ExporterVerdict, TellsOfWhatIsNewHoweverLongAllWasWell) {
  ExporterStats e = healthy();
  e.datagrams = 10'000'000;
  e.datagrams_rejected = 50;
  ExporterActivity ill;
  ill.datagrams = ill.datagrams_rejected = 50;
  const auto found = verdicts_of(e, ill, kNow);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0].text, HasSubstr("50 of 50 datagrams were rejected in the last 10 minutes"));
}

}  // namespace
}  // namespace weir::control
