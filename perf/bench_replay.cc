// bench_replay.cc — The whole receive core on packets that are already in memory: receive, parse,
// decode, encode, hand over.
//
//     bench_replay [--protocol netflow_v5|netflow_v9|ipfix] [--records N] [--cores N]
//                  [--exporters N] [--from pcap|memory] [--workers N] [--seconds N] [--tap all|one] [--way records|fused]
//                  [--garbage] [--allow N] [--smoke]
//
// --from: pcap, the default, has net_pcap replay a capture for ever (its infinite_rx): it allocates an mbuf and copies the
// frame into it. memory has frames lie in the mbufs already, as a NIC writes them (memory_wire.h); one core, no workers.
// --way: records, by FlowRecords; fused, the default, by forms where there is one (fuse/fused_way.h).
// --tap: somebody looks at the flows (dataplane/flow_tap.h): at all of them, or for one that does not come.
// --garbage: datagrams that nobody can decode.
// --allow: the access list lets everybody in, and so many single addresses beside that.
// --workers: so many cores decode what the others receive; the CPU seconds of each are printed.
//
// The control thread only gives batches back. CPU seconds are the receive threads' own, so that a busy machine does not
// spoil the figure; the wall clock's is there beside it.
//
// Not a google-benchmark: DPDK starts once in a process.
#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "allocation_counter.h"
#include "base/clock.h"
#include "dataplane/data_plane.h"
#include "memory_wire.h"
#include "replay_capture.h"

namespace weir::perf {
namespace {

struct Options {
  ReplayTraffic traffic;
  bool from_memory = false;
  uint16_t cores = 1;
  uint16_t workers = 0;
  double seconds = 3;
  bool may_fuse = true;
  std::string tap;  // empty: nobody looks
  uint32_t allow = 0;
  bool is_smoke = false;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "bench_replay: %s\n", what.c_str());
  std::exit(1);
}

struct CpuTimes {
  uint64_t receiving_ns = 0;
  uint64_t working_ns = 0;  // of workers
};

// CPU time of the cores' threads, by their names: rte-worker-1 is core 0's.
CpuTimes cpu_times(const dataplane::DataPlane& plane) {
  CpuTimes total;
  DIR* const folder = opendir("/proc/self/task");
  if (folder == nullptr) return total;
  while (const dirent* const entry = readdir(folder)) {
    const std::string task = std::string("/proc/self/task/") + entry->d_name;
    std::string name;
    std::getline(std::ifstream(task + "/comm"), name);
    const size_t number = name.find("worker-");
    if (number == std::string::npos) continue;
    const size_t core = std::strtoul(name.c_str() + number + 7, nullptr, 10) - 1;
    if (core >= plane.cores().size()) continue;
    uint64_t ns = 0;
    std::ifstream(task + "/schedstat") >> ns;
    (plane.cores()[core].is_worker ? total.working_ns : total.receiving_ns) += ns;
  }
  closedir(folder);
  return total;
}

struct Totals {
  uint64_t frames = 0, octets = 0, records = 0, encoded = 0, encoded_octets = 0, dropped = 0;
};

Totals totals(dataplane::DataPlane& plane) {
  Totals t;
  for (size_t i = 0; i < plane.cores().size(); ++i) {
    const dataplane::Pipeline& pipeline = plane.pipeline(i);
    t.frames += pipeline.counters().frames.value();
    t.octets += pipeline.counters().frame_octets.value();
    t.records += pipeline.decoder_counters().records.value();
    t.encoded += pipeline.batcher_counters().encoded.value();
    t.encoded_octets += pipeline.batcher_counters().encoded_octets.value();
    t.dropped += pipeline.batcher_counters().drops.total();
  }
  return t;
}

/// Who looks at every core's flows.
class Watch {
 public:
  Watch(dataplane::DataPlane& plane, const dataplane::FlowFilter& filter) : sets_(plane.cores().size()) {
    const RoleScope role(control_thread);
    for (size_t i = 0; i < sets_.size(); ++i) {
      lanes_.push_back(std::make_unique<dataplane::TapLane>(filter));
      sets_[i] = {.lanes = {lanes_[i].get()}, .count = 1};
      plane.pipeline(i).set_tap(&sets_[i]);
    }
  }
  void take() {
    const RoleScope role(control_thread);
    for (const auto& lane : lanes_)
      while (lane->take(flow_)) {
      }
  }

 private:
  std::vector<std::unique_ptr<dataplane::TapLane>> lanes_;
  std::vector<dataplane::TapSet> sets_;
  dataplane::TappedFlow flow_;
};

void give_batches_back(dataplane::DataPlane& plane) {
  const RoleScope role(control_thread);
  for (size_t i = 0; i < plane.cores().size(); ++i) {
    outbound::OutboundBatch* batch;
    while (plane.pipeline(i).batcher().take_sealed(batch))
      plane.pipeline(i).batcher().give_back(batch);
  }
}

void run_for(dataplane::DataPlane& plane, Watch* watch, double seconds) {
  const uint64_t end_ns = steady_clock_ns() + static_cast<uint64_t>(seconds * 1e9);
  while (steady_clock_ns() < end_ns) {
    give_batches_back(plane);
    if (watch != nullptr) watch->take();
    usleep(500);
  }
}

/// Where frames come from: a capture, or memory.
struct Source {
  explicit Source(const Options& options) {
    if (options.from_memory) {
      frames = replay_frames(options.traffic, wall_clock_ns());
      count = frames.size();
      size_t octets = 0;
      for (const lab::Octets& frame : frames) octets = std::max(octets, frame.size());
      device = MemoryWire::device(octets);
      return;
    }
    const int fd = mkstemp(path);
    if (fd < 0) fail("no temporary file");
    close(fd);
    const Result<uint64_t> written = write_replay_capture(options.traffic, path);
    if (!written) fail(written.error().message);
    count = *written;
    device = "net_pcap0,infinite_rx=1";
    for (uint16_t i = 0; i < options.cores; ++i) device += std::string(",rx_pcap=") + path;
  }
  /// Once the port is there.
  void open() {
    if (frames.empty()) {
      unlink(path);
      return;
    }
    auto laid = MemoryWire::lay(frames);
    if (!laid) fail(laid.error().message);
    wire = std::move(*laid);
  }

  char path[32] = "/tmp/weir-bench-replay-XXXXXX";
  std::vector<lab::Octets> frames;
  std::unique_ptr<MemoryWire> wire;
  size_t count = 0;
  std::string device;
};

int run(const Options& options) {
  const RoleScope role(control_thread);
  Source source(options);

  dataplane::DataPlaneConfig config;
  const auto for_frames = static_cast<uint32_t>(source.count / 64);  // MB: a page for each of twice as many buffers
  config.eal.memory_mb = 64 + (64 + for_frames) * options.cores + 64 * options.workers * options.cores;
  config.eal.log = [](dataplane::EalLogLevel level, std::string_view line) {
    if (level == dataplane::EalLogLevel::error)
      std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
  };
  config.dpdk_ports.push_back({.name = "replay",
                               .device = source.device,
                               .queues = options.cores,
                               .mbufs = memory_wire_mbufs(source.count) + options.workers * 4096u,
                               .workers = options.workers});
  config.pipeline.listeners.push_back({.name = "netflow", .port = kReplayPort, .route = {}, .rules = {}});
  config.pipeline.may_fuse = options.may_fuse;
  if (options.allow != 0) {
    std::vector<decode::ExporterPrefix> allow = {{IpAddress{}, 0}};
    for (uint32_t i = 0; i < options.allow; ++i) allow.push_back({IpAddress::from_v4(0x0A00'0000u + 2 * i), 128});
    config.pipeline.decoder.access = {allow, {}};
  }
  config.pipeline.batcher.buffers = 256;

  Result<std::unique_ptr<dataplane::DataPlane>> plane = dataplane::DataPlane::create(config);
  if (!plane) fail(plane.error().message);
  if (options.from_memory) source.open();
  if (Result<void> started = (*plane)->start(); !started) fail(started.error().message);
  if (!options.from_memory) source.open();
  dataplane::DataPlane& p = **plane;

  std::unique_ptr<Watch> watch;
  if (!options.tap.empty()) {
    dataplane::FlowFilter filter;
    if (options.tap == "one") filter = {.source = dataplane::PrefixMatch(IpAddress::from_v4(0xC0000263u), 128)};
    watch = std::make_unique<Watch>(p, filter);
  }
  run_for(p, watch.get(), options.is_smoke ? 0.05 : 0.5);  // warm
  const uint64_t began_ns = steady_clock_ns();
  const CpuTimes cpu_before = cpu_times(p);
  const uint64_t allocated_before = allocations();
  const Totals before = totals(p);
  run_for(p, watch.get(), options.is_smoke ? 0.1 : options.seconds);
  const Totals after = totals(p);
  const uint64_t allocated = allocations() - allocated_before;
  const double wall_s = static_cast<double>(steady_clock_ns() - began_ns) / 1e9;
  const CpuTimes cpu_after = cpu_times(p);
  const auto receiving_ns = static_cast<double>(cpu_after.receiving_ns - cpu_before.receiving_ns);
  const auto working_ns = static_cast<double>(cpu_after.working_ns - cpu_before.working_ns);
  const double cpu_s = (receiving_ns + working_ns) / 1e9;
  p.request_stop();
  while (!p.has_ended()) give_batches_back(p);
  p.stop();

  const auto records = static_cast<double>(after.records - before.records);
  const auto octets = static_cast<double>(after.octets - before.octets);
  const auto datagrams = static_cast<double>(after.frames - before.frames);
  const auto encoded = static_cast<double>(after.encoded - before.encoded);
  std::printf(
      "cores %u, %.1f records a datagram of %.0f octets on the wire, %.0f octets a record "
      "encoded\n",
      options.cores, records / datagrams, octets / datagrams,
      static_cast<double>(after.encoded_octets - before.encoded_octets) / encoded);
  std::printf("wall clock:  %6.2f M records/s, %5.2f M datagrams/s, %5.2f Gbit/s\n",
              records / wall_s / 1e6, datagrams / wall_s / 1e6, octets * 8 / wall_s / 1e9);
  std::printf(
      "per CPU s:   %6.2f M records/s, %5.2f M datagrams/s, %5.2f Gbit/s (%.0f %% of a CPU a "
      "core)\n",
      records / cpu_s / 1e6, datagrams / cpu_s / 1e6, octets * 8 / cpu_s / 1e9,
      100 * cpu_s / wall_s / (options.cores + options.workers));
  if (options.workers != 0)
    std::printf("a datagram:  %6.1f ns where it is received, %6.1f ns at its worker\n", receiving_ns / datagrams,
                working_ns / datagrams);
  std::printf("dropped for want of buffers: %.2f %% of records; allocations: %llu\n",
              100.0 * static_cast<double>(after.dropped - before.dropped) / std::max(records, 1.0),
              static_cast<unsigned long long>(allocated));

  const Totals end = totals(p);
  if ((end.records == 0) != (options.traffic.content == ReplayContent::garbage) || end.records != end.encoded + end.dropped)
    fail("the ledger does not balance");
  if (records > 0 && static_cast<double>(allocated) > records / 1000)
    fail("the receive path allocates");
  return 0;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (key == "--smoke") {
      options.is_smoke = true;
      continue;
    }
    if (key == "--garbage") {
      options.traffic.content = ReplayContent::garbage;
      continue;
    }
    if (i + 1 == argc) fail("unknown option " + key);
    const std::string value = argv[++i];
    if (key == "--cores") {
      options.cores = static_cast<uint16_t>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (key == "--workers") {
      options.workers = static_cast<uint16_t>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (key == "--records") {
      options.traffic.records = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (key == "--exporters") {
      options.traffic.exporters = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (key == "--allow") {
      options.allow = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (key == "--from" && (value == "pcap" || value == "memory")) {
      options.from_memory = value == "memory";
    } else if (key == "--seconds") {
      options.seconds = std::strtod(value.c_str(), nullptr);
    } else if (key == "--way" && (value == "records" || value == "fused")) {
      options.may_fuse = value == "fused";
    } else if (key == "--tap" && (value == "all" || value == "one")) {
      options.tap = value;
    } else if (const auto protocol = replay_protocol(value); key == "--protocol" && protocol) {
      options.traffic.protocol = *protocol;
    } else {
      fail("unknown option " + key + " " + value);
    }
  }
  if (options.cores == 0 || options.cores > 64 || options.workers > 62 || options.seconds <= 0)
    fail("1 to 64 cores, up to 62 workers, some seconds");
  constexpr uint32_t kExportersMax = 4096;
  if (options.traffic.exporters == 0 || options.traffic.exporters > kExportersMax) fail("1 to 4096 exporters");
  if (options.from_memory && (options.cores != 1 || options.workers != 0)) fail("from memory one core receives");
  return options;
}

}  // namespace
}  // namespace weir::perf

int main(int argc, char** argv) { return weir::perf::run(weir::perf::parse(argc, argv)); }
