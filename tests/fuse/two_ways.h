// two_ways.h — The same datagrams by FlowRecords and by fused forms: the same batches, books and state come out.
//
// Oracles: the octets of each sealed batch, its route, records, times and origins; all counters of decoder and batcher;
// what is told of exporters and domains. Datagrams end where the memory does (fuzz/guarded_octets.h).
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "decode/decoder.h"
#include "export/batcher.h"
#include "fuse/fused_way.h"
#include "fuzz/guarded_octets.h"

namespace weir::fuse {

inline void demand(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "the two ways differ: %s\n", what);
  std::abort();
}

struct TwoWaysConfig {
  decode::DecoderConfig decoder;
  outbound::BatcherConfig batcher{.buffers = 8};
  Kernel kernel = best_kernel();
  bool give_back = true;  // false: buffers run out
};

/// One way.
class OneWay final : public RecordSink, public decode::RecordFuser {
 public:
  OneWay(const TwoWaysConfig& config, bool is_fused)
      : way_(is_fused ? FusedWay::create(config.kernel) : nullptr) {
    outbound::BatcherConfig batcher = config.batcher;
    // What all others are held against.
    batcher.kernel = is_fused ? config.kernel : Kernel::portable;
    batcher_ = std::make_unique<outbound::Batcher>(batcher);
    decode::DecoderConfig decoder = config.decoder;
    decoder.kernel = batcher.kernel;
    if (is_fused) decoder.fuser = this;
    auto made = decode::Decoder::create(decoder);
    demand(made.has_value(), "a decoder");
    decoder_ = std::move(*made);
    decoder_->set_fusing(is_fused ? decode::Fusing::all : decode::Fusing::none);
  }
  void on_records(const RecordBurst& burst) noexcept override {
    const RoleScope role(rx_lcore);
    batcher_->add(burst, route_of(burst.listener));
  }
  Compiled compile(const decode::Plan& plan) noexcept override {
    const Compiled made = way_->compile(plan);
    ++verdicts[static_cast<size_t>(made.verdict)];
    return made;
  }
  decode::FuseRefusal on_laid_out(const decode::LaidOutRecords& records) noexcept override {
    const RoleScope role(rx_lcore);
    const FusedWay::Added added = way_->add(records, route_of(records.listener), *batcher_);
    const bool is_taken = added.refusal == decode::FuseRefusal::none;
    demand(added.fused <= (is_taken ? records.count : 0), "how many went by the kernel, and how many there are");
    if (is_taken) taken += records.count;
    ++offers[static_cast<size_t>(added.refusal)];
    fused += added.fused;
    return added.refusal;
  }
  bool decode(const Datagram& d) { return decoder_->decode(d, *this); }
  decode::Decoder& decoder() noexcept { return *decoder_; }
  outbound::Batcher& batcher() noexcept { return *batcher_; }
  uint64_t taken = 0;  // records that were given to the fused way and taken
  uint64_t fused = 0;  // of these, by the kernel
  std::array<uint64_t, static_cast<size_t>(decode::FuseRefusal::count_)> offers{};  // of sets, by what came of them
  std::array<uint64_t, static_cast<size_t>(decode::FuseVerdict::count_)> verdicts{};  // of templates

 private:
  static RouteId route_of(ListenerId listener) noexcept { return {listener.value}; }
  std::unique_ptr<FusedWay> way_;
  std::unique_ptr<outbound::Batcher> batcher_;
  std::unique_ptr<decode::Decoder> decoder_;
};

class TwoWays {
 public:
  explicit TwoWays(const TwoWaysConfig& config)
      : config_(config), plain_(config, false), fused_(config, true) {}

  bool decode(Datagram d) {
    d.payload = memory_.hold(d.payload);
    const bool a = plain_.decode(d);
    const bool b = fused_.decode(d);
    demand(a == b, "whether a datagram is decoded");
    demand(plain_.decoder().faults() == fused_.decoder().faults(), "faults");
    compare_sealed();
    compare_counters();
    return a;
  }
  void poll(uint64_t steady_now_ns) {
    const RoleScope role(rx_lcore);
    plain_.batcher().poll(steady_now_ns);
    fused_.batcher().poll(steady_now_ns);
    compare_sealed();
  }
  void finish() {
    {
      const RoleScope role(rx_lcore);
      plain_.batcher().seal_all();
      fused_.batcher().seal_all();
    }
    compare_sealed();
    compare_counters();
    compare_state();
  }

  uint64_t records() const { return plain_counters().records.value(); }
  uint64_t taken() const noexcept { return fused_.taken; }
  uint64_t fused() const noexcept { return fused_.fused; }
  uint64_t octets = 0;
  uint64_t batches = 0;
  OneWay& plain() noexcept { return plain_; }
  OneWay& with_forms() noexcept { return fused_; }

 private:
  const decode::DecoderCounters& plain_counters() const {
    return const_cast<OneWay&>(plain_).decoder().counters();
  }

  void compare_sealed() {
    const RoleScope role(control_thread);
    for (;;) {
      outbound::OutboundBatch* a = nullptr;
      outbound::OutboundBatch* b = nullptr;
      const bool has_a = plain_.batcher().take_sealed(a);
      const bool has_b = fused_.batcher().take_sealed(b);
      demand(has_a == has_b, "how many batches are sealed");
      if (!has_a) return;
      compare(*a, *b);
      if (!config_.give_back) continue;
      plain_.batcher().give_back(a);
      fused_.batcher().give_back(b);
    }
  }

  void compare(const outbound::OutboundBatch& a, const outbound::OutboundBatch& b) {
    demand(a.route == b.route && a.kind == b.kind && a.type == b.type && a.exporter == b.exporter,
           "a batch's route");
    demand(a.records == b.records, "a batch's records");
    demand(a.sequence == b.sequence, "a batch's sequence");
    demand(a.first_received_ns == b.first_received_ns && a.last_received_ns == b.last_received_ns,
           "a batch's times");
    demand(a.origins == b.origins, "a batch's origins");
    for (size_t i = 0; i < a.origins; ++i) {
      demand(a.origin_room[i].exporter == b.origin_room[i].exporter &&
                 a.origin_room[i].records == b.origin_room[i].records,
             "a batch's origin");
    }
    if (a.octets != b.octets || std::memcmp(a.data, b.data, a.octets) != 0) explain(a, b);
    octets += a.octets;
    ++batches;
  }

  [[noreturn]] static void explain(const outbound::OutboundBatch& a,
                                   const outbound::OutboundBatch& b) {
    size_t at = 0;
    while (at < a.octets && at < b.octets && a.data[at] == b.data[at]) ++at;
    std::fprintf(stderr, "batches of %u and %u octets differ at %zu\n", a.octets, b.octets, at);
    const size_t begin = at < 160 ? 0 : at - 160;
    for (const auto* batch : {&a, &b}) {
      for (size_t i = begin; i < std::min<size_t>(at + 64, batch->octets); ++i) {
        std::fprintf(stderr, i == at ? "[%02x]" : "%02x", batch->data[i]);
      }
      std::fprintf(stderr, "\n");
    }
    demand(false, "a batch's octets");
    std::abort();
  }

  template <class Counters>
  static void compare_all(const Counters& a, const Counters& b, const char* what) {
    static_assert(sizeof(Counters) % sizeof(Counter) == 0);
    const auto* x = reinterpret_cast<const Counter*>(&a);
    const auto* y = reinterpret_cast<const Counter*>(&b);
    for (size_t i = 0; i < sizeof(Counters) / sizeof(Counter); ++i) {
      if (x[i].value() == y[i].value()) continue;
      std::fprintf(stderr, "counter %zu: %llu and %llu\n", i,
                   static_cast<unsigned long long>(x[i].value()),
                   static_cast<unsigned long long>(y[i].value()));
      demand(false, what);
    }
  }
  void compare_counters() {
    compare_all(plain_.decoder().counters(), fused_.decoder().counters(), "the decoder's counters");
    compare_all(plain_.batcher().counters(), fused_.batcher().counters(), "the batcher's counters");
  }

  void compare_state() {
    std::vector<decode::ExporterStats> a(64), b(64);
    for (uint32_t ca = 0, cb = 0;;) {
      const size_t n = plain_.decoder().copy_exporters(ca, a);
      demand(n == fused_.decoder().copy_exporters(cb, b) && ca == cb, "how many exporters");
      for (size_t i = 0; i < n; ++i) demand(a[i] == b[i], "what is told of an exporter");
      if (ca == 0) break;
    }
    std::vector<decode::DomainStats> c(512), d(512);
    for (uint32_t cc = 0, cd = 0;;) {
      const size_t n = plain_.decoder().copy_domains(cc, c);
      demand(n == fused_.decoder().copy_domains(cd, d) && cc == cd, "how many domains");
      for (size_t i = 0; i < n; ++i) demand(c[i] == d[i], "what is told of a domain");
      if (cc == 0) break;
    }
  }

  const TwoWaysConfig config_;
  OneWay plain_;
  OneWay fused_;
  decode::GuardedOctets memory_;
};

}  // namespace weir::fuse
