// What exporters did of late: it comes at once and goes after ten minutes, whoever comes and goes beside it.
#include "control/exporters/exporter_history.h"

#include <gtest/gtest.h>

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"  // one thread plays all roles here
#endif

namespace weir::control {
namespace {

using decode::ExporterStats;

constexpr uint64_t kMinuteNs = 60 * kNsPerSec;
constexpr uint64_t kBootNs = 5 * kNsPerSec;  // of the steady clock
constexpr uint64_t kEpochNs = 1'700'000'000 * kNsPerSec;

ExporterStats exporter(uint32_t n, uint64_t first_seen_ns = kEpochNs) {
  ExporterStats e;
  e.address = IpAddress::from_v4(n);
  e.first_seen_ns = first_seen_ns;
  return e;
}

class HistoryTest : public testing::Test {
 protected:
  std::vector<ExporterActivity> look() {
    return history_.recent(rows_, {.steady_ns = kBootNs + passed_ns_, .wall_ns = kEpochNs + passed_ns_});
  }
  /// As time goes: four looks a second are made, here one every ten seconds.
  std::vector<ExporterActivity> pass(uint64_t ns) {
    for (const uint64_t end = passed_ns_ + ns; passed_ns_ < end;) {
      passed_ns_ += 10 * kNsPerSec;
      look();
    }
    return look();
  }

  RoleScope role_{control_thread};
  ExporterHistory history_;
  std::vector<ExporterStats> rows_;
  uint64_t passed_ns_ = 0;
};

TEST_F(HistoryTest, WhatIsOverIsForgottenAfterTenMinutesAndNotBeforeEight) {
  rows_ = {exporter(1)};
  rows_[0].datagrams = 100;
  rows_[0].datagrams_rejected = 50;
  EXPECT_EQ(look()[0].datagrams_rejected, 50u) << "at once, and of one that is new";
  EXPECT_EQ(pass(8 * kMinuteNs)[0].datagrams_rejected, 50u);
  rows_[0].datagrams += 7;
  const auto after = pass(2 * kMinuteNs);
  EXPECT_EQ(after[0].datagrams_rejected, 0u);
  EXPECT_EQ(after[0].datagrams, 7u);
  EXPECT_EQ(pass(60 * kMinuteNs)[0], ExporterActivity{});
}

TEST_F(HistoryTest, AMonthThatWasGoodDoesNotHideWhatIsNew) {
  rows_ = {exporter(1)};
  rows_[0].datagrams = 10'000'000;
  pass(30 * kMinuteNs);
  rows_[0].datagrams += 50;
  rows_[0].datagrams_rejected += 50;
  const auto now = look();
  EXPECT_EQ(now[0].datagrams, 50u);
  EXPECT_EQ(now[0].datagrams_rejected, 50u);
}

TEST_F(HistoryTest, EachKeepsItsOwnWhileOthersComeAndGo) {
  rows_ = {exporter(2), exporter(4), exporter(6)};
  for (ExporterStats& e : rows_) e.sequence_lost = 10;
  pass(12 * kMinuteNs);
  rows_.erase(rows_.begin());
  rows_.insert(rows_.begin() + 1, exporter(5, kEpochNs + passed_ns_));
  rows_[0].sequence_lost += 1;  // 4
  rows_[1].sequence_lost = 2;   // 5, which is new
  rows_[2].sequence_lost += 3;  // 6
  const auto now = look();
  ASSERT_EQ(now.size(), 3u);
  EXPECT_EQ(now[0].sequence_lost, 1u);
  EXPECT_EQ(now[1].sequence_lost, 2u);
  EXPECT_EQ(now[2].sequence_lost, 3u);
}

TEST_F(HistoryTest, OneThatWasThereForLongIsNotHeldToItsWholeLifeWhereItsRowIsNew) {
  passed_ns_ = 60 * kMinuteNs;
  rows_ = {exporter(1, kEpochNs)};
  rows_[0].samples_dropped = 99;
  EXPECT_EQ(look()[0].samples_dropped, 0u);
  rows_[0].samples_dropped = 100;
  EXPECT_EQ(look()[0].samples_dropped, 1u);
}

TEST_F(HistoryTest, OneThatItsDecoderForgotCountsAnew) {
  rows_ = {exporter(1)};
  rows_[0].datagrams = 1000;
  rows_[0].datagrams_rejected = 30;
  pass(20 * kMinuteNs);
  rows_ = {exporter(1, kEpochNs + passed_ns_)};
  rows_[0].datagrams = 4;
  rows_[0].datagrams_rejected = 3;
  const auto now = look();
  EXPECT_EQ(now[0].datagrams, 4u);
  EXPECT_EQ(now[0].datagrams_rejected, 3u);
}

TEST_F(HistoryTest, WhatWasMissingAndCameAfterAllIsNoLoss) {
  rows_ = {exporter(1)};
  rows_[0].sequence_lost = 5;  // these are still open
  pass(20 * kMinuteNs);
  rows_[0].sequence_lost = 0;
  EXPECT_EQ(look()[0].sequence_lost, 0u);
}

}  // namespace
}  // namespace weir::control
