// The kernel that fills whole cache lines makes the records that the columns make.
#include <gtest/gtest.h>

#include <random>

#include "fuzz/plan_oracle.h"

namespace weir::decode {
namespace {

class PlanKernels : public ::testing::Test {
 protected:
  void SetUp() override {
    if (best_kernel() == Kernel::portable) GTEST_SKIP() << "this CPU has no AVX-512 VBMI2";
  }
  PlanOracle oracle_;
};

TEST_F(PlanKernels, AgreeOnAnyTemplateAndRecords) {
  static constexpr int kRounds = 20'000;
  std::mt19937_64 random(20'261'120);
  uint64_t records = 0;
  uint64_t moves = 0;
  uint64_t ops = 0;
  uint64_t fast_times = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<uint8_t> input(3 + 64 * 2 + random() % 2048);
    for (uint8_t& octet : input) octet = static_cast<uint8_t>(random());
    if (round % 4 == 0) {  // zeros choose other ways than noise
      for (uint8_t& octet : std::span(input).subspan(131)) octet = random() % 4 == 0 ? octet : 0;
    }
    const auto seen = oracle_.check(input.data(), input.size());
    records += seen.records;
    moves += seen.moves;
    ops += seen.ops;
    fast_times += seen.fast_times;
  }
  // Or the rounds would show nothing.
  EXPECT_GT(records, 100'000u);
  EXPECT_GT(moves, 100'000u);
  EXPECT_GT(ops, 20'000u);
  EXPECT_GT(fast_times, 100u);
}

TEST_F(PlanKernels, AgreeAtEveryCountOfRecords) {
  std::mt19937_64 random(7);
  // Addresses, counters, ports, times: three lines and the times' arithmetic.
  std::vector<uint8_t> input = {8 | 64, 3, 8};
  for (const int element : {6, 10, 0, 1, 5, 9, 18, 17}) {
    input.push_back(static_cast<uint8_t>(element));
    input.push_back(2);
  }
  const size_t header = input.size();
  for (size_t octets = 1; octets < 70 * 40; octets += 7) {
    input.resize(header + octets);
    for (uint8_t& octet : std::span(input).subspan(header)) octet = static_cast<uint8_t>(random());
    oracle_.check(input.data(), input.size());
  }
}

}  // namespace
}  // namespace weir::decode
