// Templates and records of them straight to wire octets: seeded inputs of the fuzz target, and what each form leaves.
#include <gtest/gtest.h>

#include <array>
#include <iostream>
#include <random>

#include "base/clock.h"
#include "decode/exporter_detail.h"
#include "decode/state_image.h"
#include "fuzz/fused_oracle.h"
#include "lab/message_builder.h"
#include "support/captures.h"
#include "support/payloads.h"

namespace weir::fuse {
namespace {

using decode::FuseRefusal;
using decode::FuseState;

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

/// What refuses a template's sets is told, and they are offered less and less often; one that goes makes up for all of that.
TEST(FusedTemplates, AreOfferedLessOftenWhileTheyAreRefused) {
  if (FusedWay::create() == nullptr) GTEST_SKIP() << "built without src/fuse";
  TwoWaysConfig config;
  config.decoder.listeners.resize(1);
  TwoWays ways(config);
  const auto address = IpAddress::from_v4(0xC0000201u);
  const auto decode = [&ways, &address](lab::IpfixBuilder& message) {
    const lab::Octets octets = message.export_time(1'760'000'000).build();
    EXPECT_TRUE(ways.decode({.payload = octets, .source = address, .source_port = 4739, .local_port = 4739, .listener = {},
                             .received_ns = 1'760'000'000ull * kNsPerSec}));
  };
  lab::IpfixBuilder options;
  options.options_templates({{.id = 300, .scopes = {{302, 8}}, .fields = {{34, 8}}}})
      .data(300, {{lab::u64(1), lab::u64(10)}, {lab::u64(2), lab::u64(100)}})
      .templates({{.id = 301, .fields = {{8, 4}, {12, 4}, {302, 8}, {1, 4}}}});
  decode(options);
  const auto flows = [&decode](bool in_turn) {
    std::vector<lab::Record> records;
    for (uint64_t i = 0; i < 10; ++i) {
      records.push_back({lab::ipv4("192.0.2.1"), lab::ipv4("192.0.2.2"), lab::u64(in_turn ? 1 + i % 2 : 1), lab::u32(1)});
    }
    lab::IpfixBuilder message;
    decode(message.data(301, records));
  };
  const auto refused = [&ways](FuseRefusal why) { return ways.with_forms().offers[static_cast<size_t>(why)]; };
  const auto told = [&ways, &address] {
    std::vector<uint8_t> room(256 * 1024);
    decode::DetailCursor cursor;
    FuseState state{};
    while (!cursor.is_over) {
      const size_t octets = ways.with_forms().decoder().copy_exporter(address, cursor, room);
      for (size_t at = 0; at < octets;) {
        const decode::StateRecord r{room.data() + at};
        if (r.type() == decode::StateRecordType::template_ && r.u16(8) == 301) state = FuseState::of(r.flags());
        at += r.octets();
      }
    }
    return state;
  };
  flows(false);
  EXPECT_EQ(told().refusal, FuseRefusal::none);
  EXPECT_EQ(ways.fused(), 10u);

  for (int i = 0; i < 1000; ++i) flows(true);
  EXPECT_EQ(told().verdict, decode::FuseVerdict::fused);
  EXPECT_EQ(told().refusal, FuseRefusal::samplers_in_turn);
  // The first five after 0, 1, 3, 7 and 15 sets that are not offered, then each 32nd.
  EXPECT_EQ(refused(FuseRefusal::samplers_in_turn), 5u + (1000 - 31) / 32 + 1);
  EXPECT_EQ(ways.fused(), 10u);

  for (int i = 0; i < 100; ++i) flows(false);
  EXPECT_EQ(told().refusal, FuseRefusal::none);
  EXPECT_GE(ways.fused(), 10u * (1 + 100 - 31));
  const uint64_t before = ways.taken();
  flows(true);
  flows(false);
  EXPECT_EQ(ways.taken() - before, 10u) << "one refusal alone costs no other set its form";
  ways.finish();
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
