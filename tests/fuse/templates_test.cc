// Templates and records of them straight to wire octets: seeded inputs of the fuzz target, and what each form leaves.
#include <gtest/gtest.h>

#include <iostream>
#include <random>

#include "fuzz/fused_oracle.h"

namespace weir::fuse {
namespace {

TEST(FusedTemplates, ComeToWhatRecordsComeTo) {
  if (FusedWay::create() == nullptr) GTEST_SKIP() << "built without src/fuse";
  FusedOracle oracle;
  std::mt19937 random(20'261'121);
  uint64_t records = 0;
  uint64_t fused = 0;
  for (int i = 0; i < 30'000; ++i) {
    std::vector<uint8_t> input(8 + random() % 1500);
    for (uint8_t& o : input) o = static_cast<uint8_t>(random());
    input[2] = static_cast<uint8_t>(random() % 24);  // fields
    const auto seen = oracle.check(input.data(), input.size());
    records += seen.records;
    fused += seen.fused;
  }
  std::cout << records << " records, " << fused << " of them fused\n";
  EXPECT_GT(records, 100'000u);
  EXPECT_GT(fused, records / 10);
}

}  // namespace
}  // namespace weir::fuse
