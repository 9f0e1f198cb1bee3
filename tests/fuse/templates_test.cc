// Templates and records of them straight to wire octets: seeded inputs of the fuzz target, and what each form leaves.
#include <gtest/gtest.h>

#include <iostream>
#include <random>

#include "fuzz/fused_oracle.h"
#include "support/captures.h"
#include "support/payloads.h"

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

/// Every octet of every capture's datagrams may be another one: the first of each are, one by one.
TEST(FusedTemplates, ComeToTheSameWhateverIsWrongWithThem) {
  if (FusedWay::create() == nullptr) GTEST_SKIP() << "built without src/fuse";
  const std::vector<test::CaptureFile> index = test::read_captures_index();
  if (index.empty()) GTEST_SKIP() << "no captures in " << test::captures_folder();
  FusedOracle oracle;
  std::mt19937 random(20'261'122);
  FusedOracle::Seen all;
  for (const test::CaptureFile& file : index) {
    const auto payloads = test::read_payloads(file.path());
    if (!payloads || payloads->empty()) continue;
    SCOPED_TRACE(file.name);
    for (int round = 0; round < 40; ++round) {
      std::vector<uint8_t> input = {3, static_cast<uint8_t>(random())};
      for (size_t i = 0; i < std::min<size_t>(payloads->size(), 6); ++i) {
        std::vector<uint8_t> octets = (*payloads)[i].octets;
        if (octets.size() > 4000) octets.resize(4000);
        for (auto n = random() % 3; n != 0 && !octets.empty() && round != 0; --n) {
          octets[random() % octets.size()] = static_cast<uint8_t>(random());
        }
        input.push_back(static_cast<uint8_t>(octets.size()));
        input.push_back(static_cast<uint8_t>(octets.size() >> 8));
        input.insert(input.end(), octets.begin(), octets.end());
      }
      const auto seen = oracle.check(input.data(), input.size());
      all.records += seen.records;
      all.fused += seen.fused;
    }
  }
  std::cout << all.records << " records, " << all.fused << " of them fused\n";
  EXPECT_GT(all.fused, 10'000u);
}

}  // namespace
}  // namespace weir::fuse
