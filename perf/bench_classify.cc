// bench_classify.cc — What the rules of classification cost a core, per sampled packet and per record.
//
//     build/perf/bench_classify                the figures of docs/PERFORMANCE.md
//     build/perf/bench_classify --smoke        one pass of each, all checked; part of the tests
//
// items_per_second counts records. Decoding and encoding without rules is the yardstick in the same run: what rules cost is
// the difference. Samples are of 128 octets: more than half of them carry the middle of something (random octets), a quarter nothing, a
// fifth the first octets of TLS, HTTP, DNS, SSH, QUIC and NTP; in sflow_all_known all do, and
// in sflow_raw_header, which bench_decode has too, none.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "allocation_counter.h"
#include "classify/pattern_compiler.h"
#include "classify/stage.h"
#include "corpus.h"
#include "decode/decoder.h"
#include "export/encoder.h"
#include "lab/frame_builder.h"
#include "lab/sflow_builder.h"

namespace weir::perf {
namespace {

using classify::RuleSet;
using classify::Stage;
using Rules = std::shared_ptr<const RuleSet>;

constexpr size_t kDatagrams = 4096;
constexpr size_t kSamplesPerDatagram = 7;
constexpr size_t kHeaderOctets = 128;

struct Datagrams {
  std::vector<std::vector<uint8_t>> octets;
  uint64_t records = 0;
};

/// What an agent samples: mostly the middle of something and bare acknowledgements; or only what rules are for.
enum class Mix : uint8_t { usual, all_known };

class Packets {
 public:
  explicit Packets(Mix mix) : mix_(mix) {}
  lab::Octets next() {
    const size_t choice = random_() % (mix_ == Mix::usual ? 40 : 7);
    switch (choice) {
      case 0: return tcp(443, tls_hello());
      case 1: return tcp(80, lab::text("GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: curl\r\nAccept: */*\r\n\r\n"));
      case 2: return udp(53, lab::join({lab::be(random_(), 2), lab::be(0x0100000100000000, 8), lab::u16(0),
                                        lab::text("\3www\7example\3org"), lab::zeros(1), lab::u16(1), lab::u16(1)}));
      case 3: return tcp(22, lab::text("SSH-2.0-OpenSSH_9.2p1\r\n"));
      case 4: return udp(123, lab::join({lab::u8(0x23), lab::zeros(47)}));
      case 5: return udp(443, lab::join({lab::be(0xc300000001, 5), lab::u8(8), noise()}));
      case 6: return tcp(443, lab::join({lab::be(0x1703030540, 5), noise()}));
      case 7: return tcp(443, lab::join({lab::be(0x1703030540, 5), noise()}));
      default: break;
    }
    if (choice < 18) return tcp(443, {});
    if (choice < 24) return udp(static_cast<uint16_t>(1024 + random_() % 60000), noise());
    return tcp(static_cast<uint16_t>(random_() % 65536), noise());
  }

 private:
  lab::Octets noise() {
    lab::Octets octets(200);
    for (uint8_t& octet : octets) octet = static_cast<uint8_t>(random_());
    return octets;
  }
  lab::Octets tls_hello() {
    return lab::join({lab::be(0x1603010200, 5), lab::be(0x010001fc0303, 6), noise()});
  }
  lab::UdpEnds ends(uint16_t port) {
    return {.src = IpAddress::from_v4(static_cast<uint32_t>(0xC6336400 + random_() % 256)),
            .dst = IpAddress::from_v4(static_cast<uint32_t>(0xC0000200 + random_() % 256)),
            .src_port = static_cast<uint16_t>(32768 + random_() % 28000),
            .dst_port = port};
  }
  lab::Octets tcp(uint16_t port, const lab::Octets& payload) {
    const lab::UdpEnds e = ends(port);
    const lab::Octets segment = lab::join({lab::u16(e.src_port), lab::u16(port), lab::u32(1), lab::u32(2), lab::u8(8 << 4),
                                           lab::u8(0x18), lab::zeros(6), lab::zeros(12), payload});
    return lab::ethernet(lab::kEtherTypeIpv4, lab::ipv4_packet({.src = e.src, .dst = e.dst, .proto = lab::kProtoTcp}, segment));
  }
  lab::Octets udp(uint16_t port, const lab::Octets& payload) { return lab::udp_frame(ends(port), payload); }
  const Mix mix_;
  std::mt19937 random_{42};
};

Datagrams sampled_packets(Mix mix) {
  Packets packets(mix);
  Datagrams all;
  for (size_t i = 0; i < kDatagrams; ++i) {
    lab::SflowBuilder builder;
    builder.sequence(static_cast<uint32_t>(i + 1));
    for (size_t k = 0; k < kSamplesPerDatagram; ++k) {
      lab::Octets frame = packets.next();
      const auto whole = static_cast<uint32_t>(frame.size());
      frame.resize(std::min(frame.size(), kHeaderOctets));
      builder.flow({.sequence = static_cast<uint32_t>(i * kSamplesPerDatagram + k), .sampling_rate = 1000,
                    .records = {lab::sflow::raw_header(frame, whole)}});
    }
    all.octets.push_back(builder.build());
    all.records += kSamplesPerDatagram;
  }
  return all;
}

Datagrams of_corpus(Protocol protocol) {
  const Corpus corpus = make_corpus(protocol);
  Datagrams all;
  for (const auto& list : {&corpus.templates, &corpus.packets}) {
    for (const Corpus::Packet& p : *list) {
      const auto octets = corpus.datagram(p).payload;
      all.octets.emplace_back(octets.begin(), octets.end());
    }
  }
  all.records = corpus.records;
  return all;
}

/// Decoder, stage where there are rules, encoder.
class Line final : public RecordSink {
 public:
  explicit Line(Rules rules) {
    decode::DecoderConfig config;
    config.listeners.resize(1);
    config.hash_seed = 42;
    decoder_ = std::move(*decode::Decoder::create(config));
    if (rules == nullptr) return;
    auto made = Stage::make(std::move(rules));
    if (!made) std::abort();
    stage = std::move(*made);
  }
  void on_records(const RecordBurst& burst) noexcept override {
    if (stage != nullptr) {
      const RoleScope role(rx_lcore);
      benchmark::DoNotOptimize(stage->look(burst, verdicts_));
    }
    const outbound::HeaderPrefix prefix(burst.header);
    octets += encoder_.encode(prefix, burst.records, burst.arena, out_.data());
    records += burst.records.size();
  }
  void pass(const Datagrams& all) {
    for (const auto& each : all.octets)
      decoder_->decode({.payload = each, .source = IpAddress::from_v4(0xC0000207), .source_port = 6343, .received_ns = kReceivedNs}, *this);
  }
  std::unique_ptr<Stage> stage;
  uint64_t octets = 0;
  uint64_t records = 0;

 private:
  std::unique_ptr<decode::Decoder> decoder_;
  outbound::Encoder encoder_;
  std::array<classify::Verdict, kBurstRecords> verdicts_;
  std::vector<uint8_t> out_ = std::vector<uint8_t>(1 << 20);
};

Rules made(Result<Rules> rules) {
  if (rules) return *rules;
  std::fprintf(stderr, "bench_classify: %s\n", rules.error().message.c_str());
  std::exit(1);
}

std::string rules_folder() {
  const char* const root = std::getenv("WEIR_SOURCE_ROOT");
  return std::string(root != nullptr ? root : ".") + "/conf/rules";
}

Rules shipped() { return made(RuleSet::read({rules_folder()}, {})); }

/// As users write them: words somewhere in the payload or at a place of it, some with classes and alternatives.
Rules thousand() {
  std::mt19937 random(7);
  std::string text = "version: 1\nrules:\n";
  const auto word = [&random] {
    std::string w;
    for (int i = 0; i < 8; ++i) w += static_cast<char>('a' + random() % 26);
    return w;
  };
  for (int i = 0; i < 1000; ++i) {
    static constexpr struct {
      const char* pattern;
      const char* flags;
    } kForms[] = {{"{}", "is"}, {"{}[0-9]{{2,4}}", "is"}, {"^{} [^ ]{{1,20}}", "is"}, {"{}|x{}", "is"},
                  {"host: [a-z.]{{0,30}}{}", "is"}, {"^{}", "s"}, {"^.{{8}}{}", "s"}, {"^GET /{}", "s"}};
    const auto& form = kForms[static_cast<size_t>(i) % std::size(kForms)];
    const std::string pattern = fmt::format(fmt::runtime(form.pattern), word(), i);
    text += fmt::format("  - {{id: u{}, in: payload, pattern: '{}', flags: {}, then: {{labels: [u]}}}}\n", i, pattern, form.flags);
  }
  return made(RuleSet::parse({{"thousand", text}}, {}));
}

/// Conditions only: what a build without Hyperscan has.
Rules conditions(int count) {
  std::string text = "version: 1\nrules:\n";
  for (int i = 0; i < count; ++i)
    text += fmt::format("  - {{id: c{}, when: 'dst_port == {} and bytes > 10', then: {{labels: [c]}}}}\n", i, 10 + i);
  return made(RuleSet::parse({{"conditions", text}}, {}));
}

void bench(benchmark::State& state, const Datagrams& all, Rules rules) {
  Line line(std::move(rules));
  line.pass(all);
  const uint64_t before = allocations();
  for (auto _ : state) line.pass(all);
  const auto records = static_cast<double>(state.iterations() * all.records);
  state.SetItemsProcessed(static_cast<int64_t>(records));
  state.counters["allocations_per_record"] = static_cast<double>(allocations() - before) / records;
  state.counters["ns_per_record"] = benchmark::Counter(records * 1e-9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

int smoke() {
  const Datagrams samples = sampled_packets(Mix::all_known);
  const Datagrams flows = of_corpus(Protocol::netflow_v5);
  int failures = 0;
  std::vector<std::pair<std::string, Rules>> sets{{"conditions", conditions(10)}};
  if (!classify::pattern_engine().empty()) {
    sets.emplace_back("shipped", shipped());
    sets.emplace_back("thousand", thousand());
  }
  for (const auto& [name, rules] : sets) {
    Line line(rules);
    line.pass(samples);
    const uint64_t before = allocations();
    line.pass(samples);
    line.pass(flows);
    const uint64_t allocated = allocations() - before;
    const auto& counters = line.stage->counters();
    std::printf("%s: %llu records, %llu scans, %llu matched, %llu names\n", name.c_str(),
                static_cast<unsigned long long>(counters.records.value()), static_cast<unsigned long long>(counters.scans.value()),
                static_cast<unsigned long long>(counters.matched.value()), static_cast<unsigned long long>(counters.names.value()));
    const bool found = name != "shipped" || counters.matched.value() > samples.records / 2;
    if (allocated != 0 || !found || counters.records.value() != 2 * samples.records + flows.records) {
      std::fprintf(stderr, "bench_classify: %s: %llu allocations\n", name.c_str(), static_cast<unsigned long long>(allocated));
      ++failures;
    }
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace weir::perf

int main(int argc, char** argv) {
  using namespace weir::perf;
  if (argc == 2 && std::string_view(argv[1]) == "--compile-patterns") return weir::classify::serve_patterns();
  weir::classify::set_compiler_program({"/proc/self/exe", {"--compile-patterns"}});
  if (argc == 2 && std::string_view(argv[1]) == "--smoke") return smoke();
  // Made when a benchmark first asks: what a filter leaves out costs nothing.
  const auto once = [](auto make) {
    return [make, made = std::make_shared<std::optional<decltype(make())>>()]() -> const auto& {
      if (!*made) made->emplace(make());
      return **made;
    };
  };
  std::vector<std::pair<std::string, std::function<const Rules&()>>> sets{{"no_rules", once([]() -> Rules { return nullptr; })}, {"one_condition", once([] { return conditions(1); })}, {"conditions", once([] { return conditions(10); })}};
  if (!weir::classify::pattern_engine().empty()) {
    sets.emplace_back("shipped", once(shipped));
    sets.emplace_back("thousand", once(thousand));
  }
  const std::pair<std::string, std::function<const Datagrams&()>> traffic[] = {
      {"sflow", once([] { return sampled_packets(Mix::usual); })},
      {"sflow_all_known", once([] { return sampled_packets(Mix::all_known); })},
      {"sflow_raw_header", once([] { return of_corpus(Protocol::sflow_raw_header); })},
      {"netflow_v5", once([] { return of_corpus(Protocol::netflow_v5); })}};
  for (const auto& [name, datagrams] : traffic) {
    for (const auto& [what, rules] : sets) {
      benchmark::RegisterBenchmark((name + "/" + what).c_str(),
                                   [all = datagrams, of = rules](benchmark::State& state) { bench(state, all(), of()); });
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
