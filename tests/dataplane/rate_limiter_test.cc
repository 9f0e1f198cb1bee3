#include "dataplane/rate_limiter.h"

#include <gtest/gtest.h>

#include "base/clock.h"

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"  // one thread plays all roles here
#endif

namespace weir::dataplane {
namespace {

const IpAddress kA = *IpAddress::parse("192.0.2.1");
const IpAddress kB = *IpAddress::parse("192.0.2.2");

/// Offers `records` at a time, a thousand times a second, for `seconds`; how many were admitted.
uint64_t offered(RateLimiter& limiter, uint64_t& now_ns, const IpAddress& exporter,
                 uint64_t records, uint64_t seconds) {
  uint64_t admitted = 0;
  for (uint64_t i = 0; i < seconds * 1000; ++i) {
    now_ns += kNsPerMs;
    limiter.tick(now_ns);
    if (limiter.admit(exporter, records)) admitted += records;
  }
  return admitted;
}

TEST(RateLimiter, IsOffWithoutLimits) {
  EXPECT_TRUE(RateLimiter({}, 100, 1).is_off());
  EXPECT_FALSE(RateLimiter({.per_exporter = 1}, 100, 1).is_off());
  EXPECT_FALSE(RateLimiter({.total = 1}, 100, 1).is_off());
}

TEST(RateLimiter, AdmitsTheRateAndABurstOfASecond) {
  RateLimiter limiter({.per_exporter = 1000}, 100, 1);
  uint64_t now_ns = kNsPerSec;
  // 30 000 a second are offered: the bucket, then the rate; it may be overdrawn by one datagram.
  const uint64_t admitted = offered(limiter, now_ns, kA, 30, 10);
  EXPECT_GE(admitted, 11'000u - 30);
  EXPECT_LE(admitted, 11'000u + 30);
}

TEST(RateLimiter, LeavesWhoStaysBelowItsRateAlone) {
  RateLimiter limiter({.per_exporter = 31'000}, 100, 1);
  uint64_t now_ns = kNsPerSec;
  EXPECT_EQ(offered(limiter, now_ns, kA, 30, 10), 300'000u);
}

TEST(RateLimiter, KeepsExportersApart) {
  RateLimiter limiter({.per_exporter = 1000}, 100, 1);
  uint64_t now_ns = kNsPerSec;
  offered(limiter, now_ns, kA, 30, 5);
  limiter.tick(now_ns);
  EXPECT_TRUE(limiter.admit(kB, 500)) << "its bucket is full";
}

TEST(RateLimiter, BoundsTheTotalWhoeverSends) {
  RateLimiter limiter({.total = 2000}, 100, 1);
  uint64_t now_ns = kNsPerSec, admitted = 0;
  for (int i = 0; i < 10'000; ++i) {
    now_ns += kNsPerMs;
    limiter.tick(now_ns);
    if (limiter.admit(i % 2 == 0 ? kA : kB, 30)) admitted += 30;
  }
  EXPECT_GE(admitted, 22'000u - 30);
  EXPECT_LE(admitted, 22'000u + 30);
  limiter.set_total_rate(10'000);
  EXPECT_GT(offered(limiter, now_ns, kA, 30, 10), 99'000u);
}

TEST(RateLimiter, WhatTheTotalRefusesCostsTheExporterNothing) {
  RateLimiter limiter({.per_exporter = 100, .total = 1}, 100, 1);
  limiter.tick(kNsPerSec);
  EXPECT_TRUE(limiter.admit(kA, 10));  // the total is overdrawn
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(limiter.admit(kB, 10));
  limiter.tick(60 * kNsPerSec);
  EXPECT_TRUE(limiter.admit(kB, 10));
}

/// However many exporters there are, a known one keeps its bucket while it sends.
TEST(RateLimiter, AFloodOfNewExportersDoesNotGiveABusyOneANewBucket) {
  RateLimiter limiter({.per_exporter = 1000}, 64, 1);
  uint64_t now_ns = kNsPerSec, admitted = 0;
  for (uint32_t i = 0; i < 10'000; ++i) {
    now_ns += kNsPerMs;
    limiter.tick(now_ns);
    if (limiter.admit(kA, 30)) admitted += 30;
    limiter.admit(IpAddress::from_v4(0xC6336400u + i), 30);
  }
  EXPECT_LE(admitted, 11'000u + 30);
}

TEST(RateLimiter, HasBucketsForAsManyExportersAsThereMayComeToBe) {
  constexpr uint32_t kExporters = 400;
  constexpr uint32_t kCrowded = 40;  // of a few who share their eight places with too many
  RateLimiter limiter({.per_exporter = 1}, 4, 1, kExporters);
  uint64_t now_ns = kNsPerSec;
  const auto admitted = [&] {
    uint64_t n = 0;
    for (int round = 0; round < 10; ++round) {
      limiter.tick(now_ns += 1000);
      for (uint32_t e = 0; e < kExporters; ++e) n += limiter.admit(IpAddress::from_v4(0x0A00'0000u + e), 1);
    }
    return n;
  };
  EXPECT_GT(admitted(), 5 * kExporters) << "each takes another's place, with a full bucket";
  limiter.set_exporters_max(kExporters);
  EXPECT_LE(admitted(), 2 * kExporters + kCrowded) << "what the bucket holds, and one that overdraws it";
  EXPECT_LE(admitted(), kCrowded);
  limiter.set_exporters_max(2 * kExporters);
  EXPECT_LE(admitted(), kCrowded) << "no further than there is room";
  limiter.set_exporters_max(1);
  EXPECT_GT(admitted(), 5 * kExporters);
}

}  // namespace
}  // namespace weir::dataplane
