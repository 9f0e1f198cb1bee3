// Templates and records of them straight to wire octets: seeded inputs of the fuzz target, and what each form leaves.
#include <gtest/gtest.h>

#include <array>
#include <iostream>
#include <random>

#include "base/clock.h"
#include "fuzz/fused_oracle.h"
#include "lab/message_builder.h"
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

/// A rate that no lane holds, of the sampler that the first record names: the one after it is none's, whatever its id is.
TEST(FusedTemplates, TakeNoSamplerForTheOneThatIsNotThere) {
  if (FusedWay::create() == nullptr) GTEST_SKIP() << "built without src/fuse";
  for (const uint64_t first : {~uint64_t{5}, uint64_t{0}, uint64_t{6}}) {
    TwoWaysConfig config;
    config.decoder.listeners.resize(1);
    TwoWays ways(config);
    const auto datagram = [](const lab::Octets& octets) {
      return Datagram{.payload = octets, .source = IpAddress::from_v4(0xC0000201u), .source_port = 4739, .local_port = 4739,
                      .listener = {}, .received_ns = 1'760'000'000ull * kNsPerSec};
    };
    const lab::Octets options = lab::IpfixBuilder{}
                                    .export_time(1'760'000'000)
                                    .options_templates({{.id = 300, .scopes = {{302, 8}}, .fields = {{34, 8}}}})
                                    .data(300, {{lab::u64(first), lab::u64(uint64_t{1} << 50)}, {lab::u64(5), lab::u64(100)}})
                                    .build();
    EXPECT_TRUE(ways.decode(datagram(options)));
    std::vector<lab::Record> records = {{lab::ipv4("192.0.2.1"), lab::ipv4("192.0.2.2"), lab::u64(first), lab::u32(1)}};
    for (int i = 0; i < 8; ++i) {
      records.push_back({lab::ipv4("192.0.2.1"), lab::ipv4("192.0.2.2"), lab::u64(5), lab::u32(1)});
    }
    const lab::Octets flows = lab::IpfixBuilder{}
                                  .export_time(1'760'000'000)
                                  .templates({{.id = 301, .fields = {{8, 4}, {12, 4}, {302, 8}, {1, 4}}}})
                                  .data(301, records)
                                  .build();
    EXPECT_TRUE(ways.decode(datagram(flows)));
    ways.finish();
    EXPECT_EQ(ways.records(), 9u);
    EXPECT_GE(ways.fused(), 7u) << first;
  }
}

/// Elements for type and code that are 0 leave both to the port, where it is not 0: then it takes a look at all three.
TEST(FusedTemplates, LeaveTypeAndCodeThatThePortSaysToTheOrdinaryWay) {
  if (FusedWay::create() == nullptr) GTEST_SKIP() << "built without src/fuse";
  for (const Kernel kernel : {Kernel::portable, best_kernel()}) {
    TwoWaysConfig config;
    config.kernel = kernel;
    config.decoder.listeners.resize(1);
    TwoWays ways(config);
    std::vector<lab::Record> records;
    for (const uint8_t proto : std::to_array<uint8_t>({1, 58, 6})) {
      for (const uint8_t type : std::to_array<uint8_t>({0, 8, 128})) {
        for (const uint16_t port : std::to_array<uint16_t>({0, 0x0800, 0x0303, 0x8000, 0x0087, 0x1234})) {
          records.push_back({lab::ipv4("192.0.2.1"), lab::ipv4("192.0.2.2"), lab::u16(0), lab::u16(port), lab::u8(proto),
                             lab::u8(type), lab::u8(0), lab::u32(1)});
        }
      }
    }
    const lab::Octets flows =
        lab::IpfixBuilder{}
            .export_time(1'760'000'000)
            .templates({{.id = 301, .fields = {{8, 4}, {12, 4}, {7, 2}, {11, 2}, {4, 1}, {176, 1}, {177, 1}, {1, 4}}}})
            .data(301, records)
            .build();
    EXPECT_TRUE(ways.decode({.payload = flows, .source = IpAddress::from_v4(0xC0000201u), .source_port = 4739, .local_port = 4739,
                             .listener = {}, .received_ns = 1'760'000'000ull * kNsPerSec}));
    ways.finish();
    EXPECT_EQ(ways.taken(), records.size());
  }
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
