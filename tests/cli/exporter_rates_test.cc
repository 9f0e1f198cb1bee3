#include "cli/exporter_rates.h"

#include <gtest/gtest.h>

namespace weir::cli {
namespace {

using nlohmann::json;

constexpr uint64_t kSecondNs = 1'000'000'000;

json row(const char* address, uint64_t taken_ns, uint64_t records, uint64_t datagrams = 0) {
  return {{"address", address}, {"taken_ns", taken_ns}, {"records", records}, {"datagrams", {{"received", datagrams}}}};
}

TEST(ExporterRates, AreSteadyHoweverOftenTheSameRowsAreLookedAt) {
  ExporterRates rates;
  // Counted once a second, looked at five times.
  for (uint64_t look = 0; look < 50; ++look) {
    const uint64_t counted = look / 5;
    rates.look(json::array({row("192.0.2.1", (100 + counted) * kSecondNs, 500 * counted, 20 * counted)}));
    const auto rate = rates.of("192.0.2.1");
    if (counted == 0) {
      EXPECT_FALSE(rate) << "nothing is known of it before it was counted twice";
    } else {
      ASSERT_TRUE(rate) << look;
      EXPECT_DOUBLE_EQ(rate->records, 500) << look;
      EXPECT_DOUBLE_EQ(rate->datagrams, 20) << look;
    }
  }
}

TEST(ExporterRates, GoByTheTimeBetweenCountsNotBetweenLooks) {
  ExporterRates rates;
  rates.look(json::array({row("192.0.2.1", 0 * kSecondNs, 0)}));
  rates.look(json::array({row("192.0.2.1", 3 * kSecondNs, 600)}));
  EXPECT_DOUBLE_EQ(rates.of("192.0.2.1")->records, 200);
  rates.look(json::array({row("192.0.2.1", 4 * kSecondNs, 600)}));
  EXPECT_DOUBLE_EQ(rates.of("192.0.2.1")->records, 0) << "it has fallen silent";
}

TEST(ExporterRates, BeginAnewWithTheCounterOrTheClock) {
  ExporterRates rates;
  rates.look(json::array({row("192.0.2.1", 10 * kSecondNs, 1000)}));
  rates.look(json::array({row("192.0.2.1", 11 * kSecondNs, 30)}));
  EXPECT_DOUBLE_EQ(rates.of("192.0.2.1")->records, 30) << "after a restart it counts from zero";
  rates.look(json::array({row("192.0.2.1", 5 * kSecondNs, 60)}));
  EXPECT_FALSE(rates.of("192.0.2.1")) << "the clock was set back";
  rates.look(json::array({row("192.0.2.1", 6 * kSecondNs, 100)}));
  EXPECT_DOUBLE_EQ(rates.of("192.0.2.1")->records, 40);
}

TEST(ExporterRates, ForgetWhoIsNotThereAnyMore) {
  ExporterRates rates;
  for (uint64_t second = 1; second <= 2; ++second) {
    rates.look(json::array({row("192.0.2.1", second * kSecondNs, 1), row("192.0.2.2", second * kSecondNs, 2)}));
  }
  EXPECT_TRUE(rates.of("192.0.2.1"));
  rates.look(json::array({row("192.0.2.2", 3 * kSecondNs, 2)}));
  EXPECT_FALSE(rates.of("192.0.2.1"));
  EXPECT_TRUE(rates.of("192.0.2.2"));
}

}  // namespace
}  // namespace weir::cli
