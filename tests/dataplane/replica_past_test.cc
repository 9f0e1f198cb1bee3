#include "dataplane/replica_past.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weir::dataplane::testing {
namespace {

ReplicaStats stats(const std::string& to, uint64_t sent, bool is_spoofed = false) {
  ReplicaStats s{.to = to, .is_spoofed = is_spoofed};
  s.offered = sent + 3;
  s.sent = sent;
  s.sent_octets = 100 * sent;
  s.returned = sent / 2;
  s.dropped[ReplicaDrop::busy] = 3;
  return s;
}

ReplicaStats sum(const ReplicaPast& past) {
  ReplicaStats all;
  for (const ReplicaStats& row : past.rows()) all += row;
  return all;
}

TEST(ReplicaPast, OneThatComesAgainHasWhatItHad) {
  ReplicaPast past;
  past.add(stats("192.0.2.1:2055", 10));
  past.add(stats("192.0.2.1:2055", 20, /*is_spoofed=*/true));
  EXPECT_TRUE(past.rows()[0].is_gone);
  const ReplicaStats back = past.take("192.0.2.1:2055", false);
  EXPECT_EQ(back.sent, 10u);
  EXPECT_EQ(back.dropped[ReplicaDrop::busy], 3u);
  EXPECT_EQ(past.take("192.0.2.1:2055", false).sent, 0u) << "it is there no more";
  EXPECT_EQ(past.rows().size(), 1u);
  EXPECT_EQ(past.take("192.0.2.2:2055", false).sent, 0u);
}

TEST(ReplicaPast, NoTotalFallsHoweverManyGo) {
  ReplicaPast past;
  uint64_t sent = 0;
  for (uint64_t i = 0; i < 5 * ReplicaPast::kRowsMax; ++i) {
    past.add(stats(fmt::format("192.0.2.1:{}", i), i, i % 3 == 0));
    sent += i;
    ASSERT_LE(past.rows().size(), ReplicaPast::kRowsMax);
    const ReplicaStats all = sum(past);
    ASSERT_EQ(all.sent, sent);
    ASSERT_EQ(all.offered, sent + 3 * (i + 1));
    ASSERT_EQ(all.sent_octets, 100 * sent);
    ASSERT_EQ(all.dropped.total(), 3 * (i + 1));
  }
  EXPECT_EQ(past.rows().front().to, ReplicaPast::kOthers);
  EXPECT_FALSE(past.rows().front().is_spoofed);
  EXPECT_EQ(past.take(fmt::format("192.0.2.1:{}", 5 * ReplicaPast::kRowsMax - 1), false).sent, 5 * ReplicaPast::kRowsMax - 1);
}

}  // namespace
}  // namespace weir::dataplane::testing
