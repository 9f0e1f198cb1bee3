// classify_support.h — Packets, sampled by sFlow, decoded and classified: what the record says then.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "classify/pattern_compiler.h"
#include "classify/stage.h"
#include "decode/decoder.h"
#include "lab/sflow_builder.h"

namespace weir::classify::testing {

using lab::Octets;
using Files = std::vector<std::pair<std::string, std::string>>;

inline constexpr uint64_t kNow = 1'760'000'000'000'000'000;

#if defined(__SANITIZE_ADDRESS__)
inline constexpr const char* kCompileSeconds = "300";  // the engine allocates all the time, which a sanitizer makes slow
#else
inline constexpr const char* kCompileSeconds = "20";
#endif
inline void use_built_compiler(const std::string& cpu_seconds = kCompileSeconds, const std::string& address_bytes = "2147483648") {
  const char* const root = std::getenv("WEIR_BUILD_ROOT");
  set_compiler_program({std::string(root != nullptr ? root : "build") + "/tests/classify/compile_patterns", {cpu_seconds, address_bytes}});
}

inline bool has_engine() { return !pattern_engine().empty(); }
#define WEIR_NEEDS_ENGINE() \
  if (!::weir::classify::testing::has_engine()) GTEST_SKIP() << "no Hyperscan in this build"

inline Octets octets(std::string_view text) { return {text.begin(), text.end()}; }

struct TcpEnds {
  lab::UdpEnds ends{.src = "192.0.2.1", .dst = "198.51.100.2", .src_port = 40'000, .dst_port = 443};
  uint8_t header_words = 5;
};

inline Octets tcp_segment(const TcpEnds& tcp, const Octets& payload) {
  Octets segment(size_t{4} * tcp.header_words);
  store_be16(segment.data(), tcp.ends.src_port);
  store_be16(segment.data() + 2, tcp.ends.dst_port);
  segment[12] = static_cast<uint8_t>(tcp.header_words << 4);
  segment[13] = 0x18;
  segment.insert(segment.end(), payload.begin(), payload.end());
  return segment;
}

inline Octets tcp_frame(uint16_t port, const Octets& payload, const char* src = "192.0.2.1") {
  TcpEnds tcp;
  tcp.ends.src = src;
  tcp.ends.dst_port = port;
  return lab::ethernet(lab::kEtherTypeIpv4,
                       lab::ipv4_packet({.src = tcp.ends.src, .dst = tcp.ends.dst, .proto = lab::kProtoTcp},
                                        tcp_segment(tcp, payload)));
}
inline Octets udp_frame(uint16_t port, const Octets& payload, uint16_t src_port = 40'000) {
  return lab::udp_frame({.src = "192.0.2.1", .dst = "198.51.100.2", .src_port = src_port, .dst_port = port}, payload);
}

struct Seen {
  Verdict verdict;
  std::vector<std::string> labels, rule_ids;
  std::string application, server_name;
  uint64_t sampling_rate = 0;
};

inline std::vector<std::string> list_of(const RecordBurst& burst, ArenaRef ref) {
  std::vector<std::string> items;
  const uint8_t* p = burst.arena + ref.offset;
  const uint8_t* const end = p + ref.count;
  while (p < end) {
    uint16_t length = 0;
    std::memcpy(&length, p, 2);
    items.emplace_back(p + 2, p + 2 + length);
    p += 2 + length;
  }
  return items;
}

/// Classifies what a decoder reads.
class Classifier final : public RecordSink {
 public:
  explicit Classifier(std::shared_ptr<const RuleSet> rules) {
    auto made = Stage::make(std::move(rules));
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    stage = std::move(*made);
    decode::DecoderConfig config;
    config.listeners.resize(1);
    config.listeners[0].inline_names = true;
    config.hash_seed = 1;
    decoder = std::move(*decode::Decoder::create(config));
  }
  /// Of one file.
  explicit Classifier(const std::string& rules) : Classifier(parse(rules)) {}

  static std::shared_ptr<const RuleSet> parse(const std::string& rules) {
    use_built_compiler();
    auto set = RuleSet::parse({{"rules.yaml", rules}}, {});
    EXPECT_TRUE(set) << (set ? "" : set.error().message);
    return set ? *set : std::make_shared<const RuleSet>();
  }

  void on_records(const RecordBurst& burst) noexcept override {
    const RoleScope role(rx_lcore);
    std::array<Verdict, kBurstRecords> verdicts{};
    if (stage->look(burst, verdicts)) verdicts = {};
    for (size_t i = 0; i < burst.records.size(); ++i) {
      const FlowRecord& r = burst.records[i];
      const auto text = [&](ArenaRef ref) { return std::string(burst.arena + ref.offset, burst.arena + ref.offset + ref.count); };
      seen.push_back({verdicts[i], list_of(burst, r.labels), list_of(burst, r.rule_ids), text(r.application_name),
                      text(r.server_name), r.sampling_rate});
    }
  }

  bool take(const Octets& datagram) {
    return decoder->decode({.payload = datagram, .source = IpAddress::from_v4(0xC0000207), .source_port = 50'000,
                            .received_ns = kNow}, *this);
  }
  /// A sample of one frame; at most `header_octets` of it.
  Seen sample(Octets frame, size_t header_octets = 512, uint32_t link = lab::sflow::kHeaderEthernet) {
    const auto whole = static_cast<uint32_t>(frame.size());
    frame.resize(std::min(frame.size(), header_octets));
    seen.clear();
    const Octets datagram = lab::SflowBuilder{}
                                .agent("192.0.2.9")
                                .flow({.sampling_rate = 100, .records = {lab::sflow::raw_header(frame, whole, link)}})
                                .build();
    EXPECT_TRUE(take(datagram));
    EXPECT_EQ(seen.size(), 1u);
    return seen.empty() ? Seen{} : seen[0];
  }

  std::unique_ptr<Stage> stage;
  std::unique_ptr<decode::Decoder> decoder;
  std::vector<Seen> seen;
};

}  // namespace weir::classify::testing
