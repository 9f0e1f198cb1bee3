// support.h — What the data plane's tests share: datagrams, files, a batch collector, child
// processes.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/thread_roles.h"
#include "dataplane/data_plane.h"
#include "lab/capture_file.h"
#include "lab/frame_builder.h"
#include "lab/message_builder.h"
#include "lab/sflow_builder.h"
#include "standing_clock.h"
#include "support/child.h"

namespace weir::dataplane::testing {

inline constexpr uint16_t kNetflowPort = 2055;
inline constexpr uint64_t kCaptureTimeNs = 1'700'000'000 * kNsPerSec;

/// A folder of the test's own, gone afterwards.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = ::testing::TempDir() + "weir_dataplane_XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryFolder() {
    for (const std::string& file : files_) ::unlink(file.c_str());
    ::rmdir(path_.c_str());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string file(std::string_view name) {
    files_.push_back(path_ + "/" + std::string(name));
    return files_.back();
  }

 private:
  std::string path_;
  std::vector<std::string> files_;
};

inline lab::Octets v5_datagram(size_t records, uint32_t sequence = 0) {
  lab::NetflowV5Builder builder;
  builder.unix_time(1'700'000'000).uptime_ms(60'000).sequence(sequence);
  for (size_t i = 0; i < records; ++i)
    builder.record({.src_addr = 0xC0000200u + static_cast<uint32_t>(i % 256),
                    .dst_addr = 0xC6336401u,
                    .packets = 1 + static_cast<uint32_t>(i),
                    .octets = 64,
                    .src_port = 1024,
                    .dst_port = 443,
                    .proto = 6});
  return builder.build();
}

inline lab::Octets v5_frame(size_t records, uint32_t sequence = 0, uint16_t port = kNetflowPort,
                            std::string_view exporter = "192.0.2.1") {
  return lab::udp_frame({.src = std::string(exporter).c_str(),
                         .dst = "192.0.2.200",
                         .src_port = 40'000,
                         .dst_port = port},
                        v5_datagram(records, sequence));
}

inline void write_capture(const std::string& path, const std::vector<lab::Octets>& frames,
                          packet::LinkType link = packet::LinkType::ethernet) {
  Result<lab::CaptureWriter> writer = lab::CaptureWriter::create(path, link);
  ASSERT_TRUE(writer) << writer.error().message;
  uint64_t time_ns = kCaptureTimeNs;
  for (const lab::Octets& frame : frames) ASSERT_TRUE(writer->write(frame, time_ns += kNsPerMs));
  ASSERT_TRUE(writer->close());
}

inline PipelineConfig netflow_pipeline() {
  PipelineConfig config;
  config.listeners.push_back({.name = "netflow", .port = kNetflowPort, .route = {}, .rules = {}});
  config.decoder.limits.exporters_max = 64;
  config.decoder.limits.template_octets_total = 4 << 20;
  config.decoder.limits.pending_octets_total = 4 << 20;
  config.batcher.buffers = 64;
  config.batcher.linger_ns = 20 * kNsPerMs;
  return config;
}

/// What sealed batches held, summed up; the buffers go back at once.
struct Collected {
  uint64_t batches = 0;
  uint64_t records = 0;
  uint64_t first_received_ns = 0;

  void take(Pipeline& pipeline) {
    const RoleScope role(control_thread);
    outbound::OutboundBatch* batch;
    while (pipeline.batcher().take_sealed(batch)) {
      if (batches == 0) first_received_ns = batch->first_received_ns;
      ++batches;
      records += batch->records;
      pipeline.batcher().give_back(batch);
    }
  }
  void take(DataPlane& plane) {
    for (size_t i = 0; i < plane.cores().size(); ++i) take(plane.pipeline(i));
  }
};

/// Drains batches until `done` or a deadline that only a broken program meets. Once at least: who asks often for what is done
/// already drains them, too.
inline bool run_until(DataPlane& plane, Collected& collected, const std::function<bool()>& done) {
  const uint64_t give_up_ns = true_clock_ns() + 60 * kNsPerSec;
  for (;;) {
    collected.take(plane);
    if (done()) return true;
    if (true_clock_ns() > give_up_ns) return false;
    usleep(1000);
  }
}

inline void stop(DataPlane& plane, Collected& collected) {
  const RoleScope role(control_thread);
  plane.request_stop();
  EXPECT_TRUE(run_until(plane, collected, [&] { return plane.has_ended(); }));
  plane.stop();
  collected.take(plane);
}

/// Σ over the cores of one of a pipeline's counters.
template <class Get>
uint64_t sum(DataPlane& plane, Get get) {
  uint64_t total = 0;
  for (size_t i = 0; i < plane.cores().size(); ++i) total += get(plane.pipeline(i));
  return total;
}

inline uint64_t records_decoded(DataPlane& plane) {
  return sum(plane, [](Pipeline& p) { return p.decoder_counters().records.value(); });
}
inline uint64_t datagrams(DataPlane& plane) {
  return sum(plane, [](Pipeline& p) { return p.counters().datagrams.value(); });
}
inline uint64_t frames(DataPlane& plane) {
  return sum(plane, [](Pipeline& p) { return p.counters().frames.value(); });
}

/// In a child of its own, so that this process keeps its namespace.
inline bool can_make_namespaces() {
  const pid_t child = fork();
  if (child == 0) _exit(unshare(CLONE_NEWNET) == 0 ? 0 : 1);
  int status = 1;
  waitpid(child, &status, 0);
  return geteuid() == 0 && status == 0 && std::system("ip -V >/dev/null 2>&1") == 0;
}

/// Every equation of the ledger that this room can see.
inline void expect_ledger(Pipeline& pipeline) {
  const PipelineCounters& c = pipeline.counters();
  const decode::DecoderCounters& d = pipeline.decoder_counters();
  const outbound::BatcherCounters& b = pipeline.batcher_counters();
  EXPECT_EQ(c.frames.value(), c.verdicts.total());
  EXPECT_EQ(c.datagrams.value(), d.datagrams.value());
  EXPECT_EQ(d.datagrams.value(), d.datagrams_decoded.value() + d.datagram_errors.total());
  EXPECT_EQ(d.sets.value(), d.set_outcomes.total());
  EXPECT_EQ(d.records.value() + d.counter_records.value() + d.discard_records.value(),
            b.records.value());
  EXPECT_EQ(b.records.value(), b.encoded.value() + b.drops.total());
}
inline void expect_ledger(DataPlane& plane) {
  for (size_t i = 0; i < plane.cores().size(); ++i) expect_ledger(plane.pipeline(i));
}

/// DPDK starts once in a process.
using test::in_child;

}  // namespace weir::dataplane::testing
