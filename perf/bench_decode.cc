// bench_decode.cc — From the octets of export datagrams to encoded FlowMessages in batches: one core.
//
//     build/perf/bench_decode                   the figures of docs/PERFORMANCE.md
//     build/perf/bench_decode --smoke           one pass of each, all checked; part of the tests
//
// items_per_second counts records. An iteration is a pass over a corpus larger than L2 (corpus.h),
// and batches come back late, so that the output does not stay in L2 either.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>

#include "allocation_counter.h"
#include "bare_netflow_v5.h"
#include "corpus.h"
#include "decode/decoder.h"
#include "export/batch_reader.h"
#include "export/batcher.h"
#include "fuse/fused_way.h"

namespace weir::perf {
namespace {

using outbound::Batcher;
using outbound::OutboundBatch;

constexpr uint32_t kBuffers = 64;
constexpr size_t kBatchesOut = 48;  // with whoever publishes: 3 MiB
constexpr uint32_t kBurstPackets = 32;

/// Eight octets at a time; not a good hash, but one that every octet of the output goes into.
uint64_t hash_octets(std::span<const uint8_t> octets, uint64_t h) {
  size_t i = 0;
  for (; i + 8 <= octets.size(); i += 8) {
    uint64_t v;
    std::memcpy(&v, octets.data() + i, 8);
    h = (h ^ v) * 0x9E3779B97F4A7C15ull;
    h ^= h >> 29;
  }
  for (; i < octets.size(); ++i) h = (h ^ octets[i]) * 0x9E3779B97F4A7C15ull;
  return h;
}

std::unique_ptr<decode::Decoder> make_decoder(Kernel kernel, decode::RecordFuser* fuser = nullptr) {
  decode::DecoderConfig config;
  config.fuser = fuser;
  config.kernel = kernel;
  config.partition = "default";
  config.listeners.resize(1);
  config.hash_seed = 42;
  auto decoder = decode::Decoder::create(config);
  if (!decoder) {
    std::fprintf(stderr, "%s\n", decoder.error().message.c_str());
    std::exit(1);
  }
  return std::move(decoder).value();
}

/// Keeps nothing: what decoding alone costs.
class Discard final : public RecordSink {
 public:
  void on_records(const RecordBurst& burst) noexcept override {
    records += burst.records.size();
    for (const FlowRecord& r : burst.records) sum += r.bytes;
  }
  uint64_t records = 0;
  uint64_t sum = 0;
};

enum class Way : uint8_t { records, fused };

class Encode final : public RecordSink, public decode::RecordFuser {
 public:
  explicit Encode(Batcher& batcher, std::unique_ptr<fuse::FusedWay> way = nullptr)
      : batcher_(batcher), way_(std::move(way)) {}
  void on_records(const RecordBurst& burst) noexcept override {
    RoleScope role(rx_lcore);
    batcher_.add(burst, RouteId{});
  }
  Compiled compile(const decode::Plan& plan) noexcept override { return way_->compile(plan); }
  decode::FuseRefusal on_laid_out(const decode::LaidOutRecords& records) noexcept override {
    RoleScope role(rx_lcore);
    return way_->add(records, RouteId{}, batcher_).refusal;
  }
  decode::RecordFuser* fuser() noexcept { return way_ == nullptr ? nullptr : this; }

 private:
  Batcher& batcher_;
  std::unique_ptr<fuse::FusedWay> way_;
};

/// What the control thread and a publisher do: take batches, and give them back a good while later.
class Publish {
 public:
  explicit Publish(Batcher& batcher) : batcher_(batcher) {}
  enum class Look : uint8_t { octets, nothing };
  void drain(size_t keep, Look look) {
    RoleScope role(control_thread);
    OutboundBatch* batch = nullptr;
    while (batcher_.take_sealed(batch)) {
      records += batch->records;
      octets += batch->octets;
      if (look == Look::octets) hash = hash_octets(batch->payload(), hash);
      out_[last_++ % kBuffers] = batch;
    }
    while (last_ - first_ > keep) batcher_.give_back(out_[first_++ % kBuffers]);
  }
  uint64_t records = 0;
  uint64_t octets = 0;
  uint64_t hash = 0;

 private:
  Batcher& batcher_;
  OutboundBatch* out_[kBuffers] = {};
  size_t first_ = 0, last_ = 0;
};

/// Everything between a datagram and a batch, as a receive core has it.
struct Line {
  explicit Line(Corpus& c, Kernel kernel = best_kernel(), Way way = Way::records)
      : corpus(c),
        batcher({.buffers = kBuffers, .kernel = kernel}),
        encode(batcher, way == Way::fused ? fuse::FusedWay::create(kernel) : nullptr),
        decoder(make_decoder(kernel, encode.fuser())) {
    decoder->set_fusing(way == Way::fused ? decode::Fusing::all : decode::Fusing::none);
    for (const Corpus::Packet& p : corpus.templates) decoder->decode(corpus.datagram(p), discard);
    if (discard.records != 0) std::abort();
  }

  // A function of its own, so that perf/check.sh can have instructions counted in it alone.
  [[gnu::noinline]] void decode_encode(Publish::Look look) {
    RoleScope role(rx_lcore);
    uint32_t in_burst = 0;
    for (const Corpus::Packet& p : corpus.packets) {
      decoder->decode(corpus.datagram(p), encode);
      if (++in_burst == kBurstPackets) {
        in_burst = 0;
        batcher.poll(now += 1000);
        publish.drain(kBatchesOut, look);
      }
    }
  }
  void finish(Publish::Look look) {
    RoleScope role(rx_lcore);
    batcher.seal_all();
    publish.drain(0, look);
  }
  void decode_only() {
    for (const Corpus::Packet& p : corpus.packets) decoder->decode(corpus.datagram(p), discard);
  }

  Corpus& corpus;
  Batcher batcher;
  Encode encode;
  std::unique_ptr<decode::Decoder> decoder;
  Publish publish{batcher};
  Discard discard;
  uint64_t now = 1;
};

/// Some bursts as the decoder makes them, to be encoded over and over: few enough to stay in L2,
/// where they are when they come from the decoder, and many enough that branch predictors do not
/// learn them by heart.
class SomeBursts final : public RecordSink {
 public:
  static constexpr size_t kBursts = 48;
  struct Burst {
    ExportHeader header;
    std::vector<FlowRecord> records;
    std::vector<uint8_t> arena;
  };
  void on_records(const RecordBurst& burst) noexcept override {
    if (bursts.size() < kBursts) {
      bursts.push_back({burst.header,
                        {burst.records.begin(), burst.records.end()},
                        {burst.arena, burst.arena + kArenaOctets}});
    }
  }
  std::vector<Burst> bursts;
};

void report(benchmark::State& state, uint64_t records, uint64_t octets, uint64_t allocated) {
  state.SetItemsProcessed(static_cast<int64_t>(records));
  const auto per_record = [records](uint64_t n) {
    return static_cast<double>(n) / static_cast<double>(records);
  };
  if (octets != 0) state.counters["octets_out_per_record"] = per_record(octets);
  state.counters["allocations_per_record"] = per_record(allocated);
  state.counters["ns_per_record"] =
      benchmark::Counter(static_cast<double>(records) * 1e-9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

template <Way kWay>
void bench_decode_encode(benchmark::State& state, Protocol protocol, Kernel kernel) {
  Corpus corpus = make_corpus(protocol);
  Line line(corpus, kernel, kWay);
  uint64_t allocated = 0;
  for (auto _ : state) {
    const uint64_t before = allocations();
    line.decode_encode(Publish::Look::nothing);
    allocated += allocations() - before;
    state.PauseTiming();  // of sFlow it touches every sample
    corpus.advance_sequences();
    state.ResumeTiming();
  }
  line.finish(Publish::Look::octets);
  benchmark::DoNotOptimize(line.publish.hash);
  if (line.batcher.counters().drops.total() != 0) state.SkipWithError("records were dropped");
  report(state, line.publish.records, line.publish.octets, allocated);
}

void bench_decode_only(benchmark::State& state, Protocol protocol, Kernel kernel) {
  Corpus corpus = make_corpus(protocol);
  Line line(corpus, kernel);
  uint64_t allocated = 0;
  for (auto _ : state) {
    const uint64_t before = allocations();
    line.decode_only();
    allocated += allocations() - before;
    state.PauseTiming();  // of sFlow it touches every sample
    corpus.advance_sequences();
    state.ResumeTiming();
  }
  benchmark::DoNotOptimize(line.discard.sum);
  report(state, line.discard.records, 0, allocated);
}

void bench_encode_only(benchmark::State& state, Protocol protocol, Kernel kernel) {
  Corpus corpus = make_corpus(protocol);
  Line line(corpus, kernel);
  SomeBursts some;
  for (const Corpus::Packet& p : corpus.packets) line.decoder->decode(corpus.datagram(p), some);
  uint64_t allocated = 0;
  RoleScope role(rx_lcore);
  for (auto _ : state) {
    const uint64_t before = allocations();
    for (int i = 0; i < 8; ++i) {
      for (SomeBursts::Burst& b : some.bursts) {
        line.batcher.add({b.header, b.records, b.arena.data(), ListenerId{}}, RouteId{});
      }
      line.batcher.poll(line.now += 1000);
      line.publish.drain(kBatchesOut, Publish::Look::nothing);
    }
    allocated += allocations() - before;
  }
  line.finish(Publish::Look::octets);
  benchmark::DoNotOptimize(line.publish.hash);
  report(state, line.publish.records, line.publish.octets, allocated);
}

void bench_bare(benchmark::State& state) {
  const Corpus corpus = make_corpus(Protocol::netflow_v5);
  constexpr size_t kRingOctets = kBatchesOut * 64 * 1024;
  constexpr size_t kDatagramOctetsMax = 30 * 768;
  std::vector<uint8_t> ring(kRingOctets + kDatagramOctetsMax);
  uint64_t octets = 0, records = 0;
  size_t at = 0;
  for (auto _ : state) {
    for (const Corpus::Packet& p : corpus.packets) {
      const size_t n = bare_netflow_v5(corpus.datagram(p), ring.data() + at);
      octets += n;
      at = at + n < kRingOctets ? at + n : 0;
    }
    records += corpus.records;
  }
  uint64_t hash = hash_octets(ring, 0);
  benchmark::DoNotOptimize(hash);
  report(state, records, octets, 0);
}

constexpr Protocol kProtocols[] = {
    Protocol::netflow_v5,
    Protocol::netflow_v9,
    Protocol::ipfix,
    Protocol::ipfix_20_fields,
    Protocol::ipfix_varlen,
    Protocol::netflow_v9_options_mix,
    Protocol::mixed_1000_exporters,
    Protocol::mixed_10_exporters,
    Protocol::fixed_1000_exporters,
    Protocol::fixed_10_exporters,
    Protocol::sflow_raw_header,
};

void register_all() {
  const auto all = [](std::string_view what, auto bench, Kernel kernel) {
    for (const Protocol p : kProtocols) {
      const std::string name = std::string(what) + "/" + std::string(name_of(p));
      benchmark::RegisterBenchmark(name.c_str(), bench, p, kernel);
    }
  };
  all("decode_encode", bench_decode_encode<Way::records>, best_kernel());
  all("decode_encode_portable", bench_decode_encode<Way::records>, Kernel::portable);
  if (fuse::FusedWay::create() != nullptr) {
    all("fused", bench_decode_encode<Way::fused>, best_kernel());
    all("fused_portable", bench_decode_encode<Way::fused>, Kernel::portable);
  }
  all("decode_only", bench_decode_only, best_kernel());
  all("decode_only_portable", bench_decode_only, Kernel::portable);
  all("encode_only", bench_encode_only, best_kernel());
  all("encode_only_portable", bench_encode_only, Kernel::portable);
  benchmark::RegisterBenchmark("bare_loop/netflow_v5", bench_bare);
}

// ---- some passes, for whoever counts instructions ----

constexpr int kPasses = 3;

/// Prints how many records went through Line::decode_encode.
int passes(std::string_view way, std::string_view protocol) {
  const auto* const wanted = std::find_if(std::begin(kProtocols), std::end(kProtocols),
                                          [&](Protocol p) { return name_of(p) == protocol; });
  const bool is_fused = way == "fused";
  if (wanted == std::end(kProtocols) || (!is_fused && way != "records")) {
    std::fprintf(stderr, "bench_decode --passes records|fused PROTOCOL\n");
    return 2;
  }
  if (is_fused && fuse::FusedWay::create() == nullptr) return 77;  // built without it
  Corpus corpus = make_corpus(*wanted);
  Line line(corpus, best_kernel(), is_fused ? Way::fused : Way::records);
  for (int i = 0; i < kPasses; ++i) {
    line.decode_encode(Publish::Look::nothing);
    corpus.advance_sequences();
  }
  std::printf("%llu\n", static_cast<unsigned long long>(corpus.records * kPasses));
  return 0;
}

// ---- smoke ----

int failures = 0;

void check(bool good, Protocol p, const char* what) {
  if (good) return;
  std::fprintf(stderr, "bench_decode: %s: %s\n", std::string(name_of(p)).c_str(), what);
  ++failures;
}

std::vector<std::string> messages_of(std::span<const uint8_t> batch) {
  std::vector<std::string> messages;
  outbound::read_flows(batch, [&](const flowpb::FlowMessage& flow) {
    messages.push_back(flow.SerializeAsString());  // in the order of the field numbers
  });
  return messages;
}

/// The yardstick is fair only if it writes the same messages.
void check_bare_loop(const Corpus& corpus) {
  const auto decoder = make_decoder(best_kernel());
  Batcher batcher({.buffers = 2});
  Encode encode(batcher);
  std::vector<uint8_t> out(30 * 768);
  for (const Corpus::Packet& packet : corpus.packets) {
    const Datagram datagram = corpus.datagram(packet);
    const size_t octets = bare_netflow_v5(datagram, out.data());
    decoder->decode(datagram, encode);
    RoleScope receiver(rx_lcore);
    RoleScope controller(control_thread);
    batcher.seal_all();
    OutboundBatch* batch = nullptr;
    if (!batcher.take_sealed(batch)) std::abort();
    const auto ours = messages_of(batch->payload());
    const auto bare = messages_of({out.data(), octets});
    batcher.give_back(batch);
    if (ours == bare && !ours.empty()) continue;
    check(false, Protocol::netflow_v5, "the bare loop writes other messages");
    for (size_t r = 0; r < std::min(ours.size(), bare.size()); ++r) {
      if (ours[r] == bare[r]) continue;
      flowpb::FlowMessage a, b;
      a.ParseFromString(ours[r]);
      b.ParseFromString(bare[r]);
      std::fprintf(stderr, "ours: %s\nbare: %s\n", a.ShortDebugString().c_str(),
                   b.ShortDebugString().c_str());
      break;
    }
    return;
  }
}

constexpr double kOctetsPerRecordMin = 110;

int smoke() {
  for (const Protocol p : kProtocols) {
    Corpus corpus = make_corpus(p);
    uint64_t hashes[4] = {};
    uint64_t octets = 0;
    const bool has_fused = fuse::FusedWay::create() != nullptr;
    for (const auto& [kernel, way, place] :
         {std::tuple{Kernel::portable, Way::records, 0}, {best_kernel(), Way::records, 1},
          {Kernel::portable, Way::fused, 2}, {best_kernel(), Way::fused, 3}}) {
      if (way == Way::fused && !has_fused) continue;
      Line line(corpus, kernel, way);
      const uint64_t before = allocations();
      line.decode_encode(Publish::Look::octets);
      line.finish(Publish::Look::octets);
      check(allocations() == before, p, "memory was allocated on the receive path");
      check(line.publish.records == corpus.records, p, "records went in that did not come out");
      check(line.batcher.counters().drops.total() == 0, p, "records were dropped");
      check(line.decoder->counters().records.value() == corpus.records, p,
            "records were not decoded");
      hashes[place] = line.publish.hash;
      octets = line.publish.octets;
    }
    if (best_kernel() != Kernel::portable) {
      check(hashes[0] == hashes[1], p, "the kernels' octets differ");
    }
    if (has_fused) {
      check(hashes[2] == hashes[0], p, "the fused way's octets differ");
      check(best_kernel() == Kernel::portable || hashes[3] == hashes[0], p,
            "the fused way's octets differ by the best kernel");
    }
    const double per_record = static_cast<double>(octets) / static_cast<double>(corpus.records);
    check(per_record >= kOctetsPerRecordMin, p, "records are too short to be realistic");
    std::printf("%s: %llu records, %.3f octets each, hash %016llx\n",
                std::string(name_of(p)).c_str(), static_cast<unsigned long long>(corpus.records),
                per_record, static_cast<unsigned long long>(hashes[0]));
    if (p == Protocol::netflow_v5) check_bare_loop(corpus);
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace weir::perf

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--smoke") return weir::perf::smoke();
  if (argc == 4 && std::string_view(argv[1]) == "--passes") return weir::perf::passes(argv[2], argv[3]);
  weir::perf::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
