// NetFlow v5 straight to wire octets, by both kernels: what comes out is what FlowRecords come to.
#include <gtest/gtest.h>

#include <random>

#include "base/byte_order.h"
#include "fuse/two_ways.h"
#include "lab/message_builder.h"

namespace weir::fuse {
namespace {

constexpr uint64_t kNow = 1'760'000'000ull * 1'000'000'000;
constexpr size_t kHeader = 24, kRecord = 48;

std::vector<Kernel> kernels() {
  if (best_kernel() == Kernel::portable) return {Kernel::portable};
  return {Kernel::portable, best_kernel()};
}

using Octets = std::vector<uint8_t>;

class FusedNetflowV5 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (FusedWay::create() == nullptr) GTEST_SKIP() << "built without src/fuse";
  }

  static TwoWaysConfig config(Kernel kernel) {
    TwoWaysConfig c;
    c.kernel = kernel;
    c.decoder.listeners.resize(2);
    c.decoder.limits.exporters_max = 16;
    return c;
  }

  /// Random octets, most of them in their places as a router has them.
  Octets datagram(uint32_t count) {
    Octets d(kHeader + kRecord * count);
    for (uint8_t& o : d) o = static_cast<uint8_t>(random_());
    store_be16(d.data(), 5);
    store_be16(d.data() + 2, static_cast<uint16_t>(count));
    store_be32(d.data() + 4, kUptimeMs);
    store_be32(d.data() + 8, static_cast<uint32_t>(kNow / 1'000'000'000));
    store_be32(d.data() + 12, 5'000'000);
    store_be32(d.data() + 16, sequence_);
    store_be16(d.data() + 20, 3);
    store_be16(d.data() + 22, 0x4000 | 100);
    sequence_ += count;
    for (uint32_t i = 0; i < count; ++i) {
      uint8_t* r = d.data() + kHeader + kRecord * i;
      store_be32(r + 24, kUptimeMs - random_() % 600'000);
      store_be32(r + 28, kUptimeMs - random_() % 60'000);
      // Values of all lengths, 0 among them.
      for (const size_t at : {16u, 20u}) {
        store_be32(r + at, static_cast<uint32_t>(uint64_t{random_()} >> random_() % 33));
      }
      for (const size_t at : {12u, 14u, 32u, 34u, 40u, 42u}) {
        store_be16(r + at, static_cast<uint16_t>(random_() % 65536 >> random_() % 17));
      }
      r[38] = random_() % 4 != 0 ? 6 : static_cast<uint8_t>(random_());
    }
    return d;
  }

  static Datagram of(const Octets& octets, uint16_t listener = 0) {
    return {.payload = octets,
            .source = IpAddress::from_v4(0xC0000201u),
            .source_port = 2055,
            .local_port = 2055,
            .listener = {listener},
            .received_ns = kNow};
  }

  static constexpr uint32_t kUptimeMs = 90'000'000;
  uint32_t random_() { return static_cast<uint32_t>(generator_()); }
  std::mt19937 generator_{20'261'121};
  uint32_t sequence_ = 1;
};

TEST_F(FusedNetflowV5, WritesWhatRecordsComeTo) {
  for (const Kernel kernel : kernels()) {
    TwoWays ways(config(kernel));
    for (int i = 0; i < 4000; ++i) {
      const uint32_t count = random_() % 8 == 0 ? 1 + random_() % 90 : 1 + random_() % 31;
      ASSERT_TRUE(ways.decode(of(datagram(count), i % 16 == 0)));
      if (i % 32 == 0) ways.poll(1 + uint64_t{static_cast<unsigned>(i)} * 10'000'000);
    }
    ways.finish();
    EXPECT_EQ(ways.taken(), ways.records());
    EXPECT_GT(ways.fused(), ways.records() * 9 / 10);
    EXPECT_GT(ways.batches, 100u);
  }
}

TEST_F(FusedNetflowV5, LeavesWhatTakesALookAtSeveralFieldsToTheOrdinaryWay) {
  for (const Kernel kernel : kernels()) {
    TwoWays ways(config(kernel));
    for (int i = 0; i < 600; ++i) {
      Octets d = datagram(30);
      for (uint32_t n = 0; n < 30; ++n) {
        uint8_t* r = d.data() + kHeader + kRecord * n;
        switch (random_() % 8) {
          case 0: r[38] = 1; break;
          case 1: r[38] = 58; break;
          case 2: store_be32(r + 24, random_()); break;
          case 3: store_be32(r + 28, kUptimeMs + 90'000'000); break;
          case 4: r[38] = 0; break;
          default: break;
        }
        if (random_() % 4 == 0) store_be16(r + 34, static_cast<uint16_t>(random_() % 4 << 8));
      }
      ways.decode(of(d));
    }
    ways.finish();
    EXPECT_GT(ways.plain().decoder().counters().quirks[decode::Quirk::implausible_time].value(), 500u);
  }
}

/// Each odd record goes the ordinary way alone, where they are not many in a row; and only what went by a kernel is
/// counted as fused.
TEST_F(FusedNetflowV5, LeavesItsNeighboursToTheKernel) {
  const struct {
    std::vector<uint32_t> odd;
    uint32_t fused;
  } cases[] = {{{}, 30}, {{0}, 29}, {{29}, 29}, {{14}, 29}, {{0, 1}, 28}, {{7, 8, 9}, 27}, {{0, 2, 4, 6, 8}, 25}};
  for (const Kernel kernel : kernels()) {
    for (const auto& c : cases) {
      Octets d = datagram(30);
      for (uint32_t i = 0; i < 30; ++i) d[kHeader + kRecord * i + 38] = 6;
      for (const uint32_t i : c.odd) store_be32(d.data() + kHeader + kRecord * i + 28, kUptimeMs + 90'000'000);
      TwoWays ways(config(kernel));
      ways.decode(of(d));
      ways.finish();
      EXPECT_EQ(ways.fused(), c.fused) << c.odd.size();
    }
  }
}

TEST_F(FusedNetflowV5, CountsNoneThatGoTheOrdinaryWayAsFused) {
  for (const Kernel kernel : kernels()) {
    TwoWays ways(config(kernel));
    for (int i = 0; i < 10; ++i) {
      Octets d = datagram(30);
      for (uint32_t n = 0; n < 30; ++n) store_be32(d.data() + kHeader + kRecord * n + 28, kUptimeMs + 90'000'000);
      ways.decode(of(d));
    }
    ways.finish();
    EXPECT_EQ(ways.fused(), 0u);
    EXPECT_EQ(ways.plain().decoder().counters().quirks[decode::Quirk::implausible_time].value(), 300u);
  }
}

TEST_F(FusedNetflowV5, TakesAnyHeader) {
  for (const Kernel kernel : kernels()) {
    TwoWaysConfig c = config(kernel);
    c.decoder.partition = "a partition of the operator's";
    c.decoder.limits.time_past_max_ns = 3600ull * 1'000'000'000;
    c.decoder.listeners[1].sampling_rate_default = uint64_t{1} << 43;  // beyond a lane
    TwoWays ways(c);
    for (int i = 0; i < 3000; ++i) {
      Octets d = datagram(1 + random_() % 5);
      // Clocks that were never set, uptimes that wrap, rates of all kinds, counts that promise more.
      for (size_t at = 2; at < kHeader; ++at) {
        if (random_() % 12 == 0) d[at] = static_cast<uint8_t>(random_());
      }
      if (random_() % 4 == 0) store_be16(d.data() + 22, 0);
      Datagram in = of(d, random_() % 2);
      if (random_() % 16 == 0) in.received_ns = uint64_t{random_()} << (random_() % 33);
      ways.decode(in);
    }
    ways.finish();
  }
}

TEST_F(FusedNetflowV5, TakesEachLength) {
  for (const Kernel kernel : kernels()) {
    TwoWays ways(config(kernel));
    const Octets whole = datagram(4);
    for (size_t octets = 0; octets <= whole.size(); ++octets) {
      ways.decode(of(Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(octets))));
    }
    ways.finish();
  }
}

TEST_F(FusedNetflowV5, DropsTheSameWhereBuffersRunOut) {
  for (const Kernel kernel : kernels()) {
    TwoWaysConfig c = config(kernel);
    c.give_back = false;
    c.batcher.buffers = 3;
    c.batcher.batch_octets = 4096;
    TwoWays ways(c);
    for (int i = 0; i < 40; ++i) {
      Octets d = datagram(30);
      store_be32(d.data() + kHeader + 24, random_());  // implausible, and counted though it is dropped
      ways.decode(of(d));
    }
    ways.finish();
    const auto& drops = ways.plain().batcher().counters().drops;
    EXPECT_GT(drops[outbound::RecordDrop::no_buffer].value(), 1000u);
  }
}

TEST_F(FusedNetflowV5, KeepsToTheBatchsBounds) {
  for (const Kernel kernel : kernels()) {
    for (const uint32_t records_max : {0u, 1u, 7u, 30u}) {
      for (const uint32_t octets : {512u, 900u, 1024u, 3000u}) {
        TwoWaysConfig c = config(kernel);
        c.batcher.buffers = 64;
        c.batcher.batch_octets = octets;
        c.batcher.batch_records_max = records_max;
        TwoWays ways(c);
        for (int i = 0; i < 20; ++i) ways.decode(of(datagram(1 + random_() % 40)));
        ways.finish();
      }
    }
  }
}

TEST_F(FusedNetflowV5, IsOffWhereAListenerWantsNames) {
  for (const Kernel kernel : kernels()) {
    TwoWaysConfig c = config(kernel);
    c.decoder.listeners[1].inline_names = true;
    TwoWays ways(c);
    ways.decode(of(datagram(30), 1));
    EXPECT_EQ(ways.taken(), 0u);
    ways.decode(of(datagram(30), 0));
    EXPECT_EQ(ways.taken(), 30u);
    ways.finish();
  }
}

TEST_F(FusedNetflowV5, IsTurnedOffAndOnBetweenDatagrams) {
  TwoWays ways(config(best_kernel()));
  for (int i = 0; i < 50; ++i) {
    ways.with_forms().decoder().set_fusing(i % 3 != 0 ? decode::Fusing::all : decode::Fusing::none);
    const uint64_t before = ways.taken();
    ways.decode(of(datagram(30)));
    EXPECT_EQ(ways.taken() - before, i % 3 != 0 ? 30u : 0u);
  }
  ways.finish();
}

}  // namespace
}  // namespace weir::fuse
