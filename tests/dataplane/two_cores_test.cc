// What makes receiving scale with the cores, without a clock: each core does the work of its own queue and no other, and
// none writes to a cache line that another uses. bench_replay says what it comes to.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <map>

#include "dataplane/placement.h"
#include "dataplane/ring_feeder.h"
#include "dataplane/socket_core.h"
#include "support.h"

namespace weir::dataplane::testing {
namespace {

// Their ends are not on the lines of whatever lies beside them. (DpdkCore and RxQueue say it of themselves.)
static_assert(alignof(Pipeline) >= kCacheLineBytes && alignof(SocketCore) >= kCacheLineBytes &&
              alignof(ReplicaLane) >= kCacheLineBytes && alignof(WorkerLane) >= kCacheLineBytes &&
              alignof(outbound::Batcher) >= kCacheLineBytes);

constexpr uint32_t kExporters = 12;
constexpr uint32_t kDatagrams = 500;  // of each, at least
constexpr uint32_t kRecords = 10;     // of each datagram

class TwoCores {
 public:
  void run() {
    DataPlaneConfig config;
    config.eal.memory_mb = 128;
    config.eal.log = [](EalLogLevel, std::string_view) {};
    config.dpdk_ports.push_back({.name = "wire", .device = "net_ring0", .queues = 2});
    config.pipeline = netflow_pipeline();
    config.pipeline.batcher.buffers = 256;
    Result<std::unique_ptr<DataPlane>> made = [&] {
      const RoleScope role(control_thread);
      return DataPlane::create(config);
    }();
    ASSERT_TRUE(made) << made.error().message;
    plane_ = std::move(*made);
    {
      const RoleScope role(control_thread);
      const Result<void> started = plane_->start();
      ASSERT_TRUE(started) << started.error().message;
    }
    ASSERT_EQ(plane_->cores().size(), 2u);
    EXPECT_NE(plane_->cores()[0].cpu, plane_->cores()[1].cpu);
    feed();
    expect_shares();
    expect_no_line_in_common();
    stop(*plane_, collected_);
    expect_ledger(*plane_);
    EXPECT_EQ(collected_.records, (sent_[0] + sent_[1]) * kRecords);
  }

 private:
  /// The loads of the queues differ, and nobody evens that out.
  static uint32_t datagrams_of(uint32_t exporter) { return exporter % 2 == 0 ? 2 * kDatagrams : kDatagrams; }

  void feed() {
    const std::atomic<bool> never{false};
    auto feeder = RingFeeder::open("net_ring0", RingFeeder::WhenFull::refuse, never);
    ASSERT_TRUE(feeder) << feeder.error().message;
    for (uint32_t i = 0; i < 2 * kDatagrams; ++i) {
      for (uint32_t e = 0; e < kExporters; ++e) {
        if (i >= datagrams_of(e)) continue;
        const lab::Octets frame = v5_frame(kRecords, i * kRecords, kNetflowPort, fmt::format("192.0.2.{}", e + 1));
        std::memcpy((*feeder)->room(e, frame.size()), frame.data(), frame.size());
        (*feeder)->commit(frame.size());
        ++sent_[e % 2];
      }
      (*feeder)->flush();
      if (i % 16 != 15) continue;
      ASSERT_TRUE(run_until(*plane_, collected_, [&] { return datagrams(*plane_) == sent_[0] + sent_[1]; }));
    }
    ASSERT_TRUE(run_until(*plane_, collected_, [&] { return datagrams(*plane_) == sent_[0] + sent_[1]; }));
    EXPECT_EQ((*feeder)->frames_refused(), 0u);
  }

  void expect_shares() {
    for (size_t core = 0; core < 2; ++core) {
      Pipeline& pipeline = plane_->pipeline(core);
      EXPECT_EQ(pipeline.counters().frames.value(), sent_[core]) << "core " << core;
      EXPECT_EQ(pipeline.decoder_counters().records.value(), sent_[core] * kRecords) << "core " << core;
      EXPECT_EQ(pipeline.decoder_counters().exporters.value(), kExporters / 2) << "and it has state of no other's exporters";
      EXPECT_GT(pipeline.counters().bursts.value(), 0u);
      EXPECT_EQ(pipeline.counters().handover.handed.total(), 0u);
    }
    EXPECT_NE(sent_[0], sent_[1]);
  }

  /// What each core writes for every datagram or record.
  void expect_no_line_in_common() {
    std::map<uintptr_t, size_t> owner;  // by line
    for (size_t core = 0; core < 2; ++core) {
      Pipeline& pipeline = plane_->pipeline(core);
      const auto claim = [&](const void* object, size_t octets, const char* what) {
        const auto begin = reinterpret_cast<uintptr_t>(object);
        for (uintptr_t line = begin / kCacheLineBytes; line <= (begin + octets - 1) / kCacheLineBytes; ++line) {
          const auto [at, is_new] = owner.try_emplace(line, core);
          ASSERT_TRUE(is_new || at->second == core) << what;
        }
      };
      claim(&pipeline, sizeof pipeline, "pipeline");
      claim(&pipeline.counters(), sizeof(PipelineCounters), "its counters");
      claim(&pipeline.decoder_counters(), sizeof(decode::DecoderCounters), "the decoder's counters");
      claim(&pipeline.batcher(), sizeof(outbound::Batcher), "batcher");
      claim(&pipeline.batcher_counters(), sizeof(outbound::BatcherCounters), "the batcher's counters");
      claim(&pipeline.quarantine_counters(), sizeof(QuarantineCounters), "quarantine");
    }
  }

  std::unique_ptr<DataPlane> plane_;
  Collected collected_;
  uint64_t sent_[2] = {};
};

TEST(TwoCores, EachDoItsOwnQueuesWorkAndShareNothingThatTheyWrite) {
  if (usable_cpus().size() < 2) GTEST_SKIP() << "needs two CPUs";
  in_child([] { TwoCores().run(); });
}

}  // namespace
}  // namespace weir::dataplane::testing
