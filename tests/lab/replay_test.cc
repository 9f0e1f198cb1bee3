// Captures that go on over rounds and as many exporters, at a rate, with faults by dice.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include "base/byte_order.h"
#include "base/clock.h"
#include "decode/decoder.h"
#include "fuzz/guarded_octets.h"
#include "lab/capture_file.h"
#include "lab/exporter_model.h"
#include "lab/frame_builder.h"
#include "lab/message_builder.h"
#include "lab/replay_player.h"
#include "packet/frame.h"
#include "support/program.h"

namespace weir::lab {
namespace {

using testing::HasSubstr;

constexpr uint64_t kStartNs = 1'755'636'366'000'000'000;
constexpr packet::ChecksumPolicy kVerify{.ip_header = packet::ChecksumPolicy::Check::verify,
                                         .udp = packet::ChecksumPolicy::Check::verify};

/// Counts, and keeps what it is given.
class Kept final : public ReplayOutput {
 public:
  uint8_t* room(uint32_t exporter, size_t octets) override {
    if (frames.size() == frames_max) return nullptr;
    frames.emplace_back(octets);
    exporters.push_back(exporter);
    return frames.back().data();
  }
  void commit(size_t octets) override { EXPECT_EQ(octets, frames.back().size()); }
  void flush() override {}

  size_t frames_max = SIZE_MAX;
  std::vector<Octets> frames;
  std::vector<uint32_t> exporters;
};

class Nowhere final : public RecordSink {
 public:
  void on_records(const RecordBurst&) noexcept override {}
};

class ReplayTest : public testing::Test {
 protected:
  /// `datagrams` of each of `exporters`, a millisecond apart.
  std::string capture(ExportProtocol protocol, uint32_t exporters = 2, uint32_t datagrams = 40, bool v6 = false,
                      packet::LinkType link = packet::LinkType::ethernet) {
    const std::string path = folder_ / fmt::format("{}-{}.pcap", static_cast<int>(protocol), v6);
    auto writer = CaptureWriter::create(path, link);
    EXPECT_TRUE(writer) << writer.error().message;
    std::vector<ExporterModel> models;
    for (uint32_t i = 0; i < exporters; ++i) {
      models.emplace_back(ExporterModelConfig{.protocol = protocol, .flows = 5, .index = i, .start_ns = kStartNs});
    }
    ExportDatagram datagram;
    for (uint32_t n = 0; n < datagrams; ++n) {
      for (uint32_t i = 0; i < exporters; ++i) {
        const uint64_t now_ns = kStartNs + n * kNsPerMs;
        models[i].next(now_ns, datagram);
        UdpEnds ends{.src = IpAddress::from_v4(0xC0000201u + i), .dst = "192.0.2.200", .src_port = 4000, .dst_port = 2055};
        if (v6) {
          ends.src = i == 0 ? "2001:db8::1" : "2001:db8::2";
          ends.dst = "2001:db8::ff";
        }
        const Octets frame = link == packet::LinkType::ethernet ? udp_frame(ends, datagram.octets) : udp_packet(ends, datagram.octets);
        EXPECT_TRUE(writer->write(frame, now_ns));
      }
    }
    EXPECT_TRUE(writer->close());
    return path;
  }
  ReplayFrames load(const std::string& path) {
    auto frames = ReplayFrames::load(std::vector<std::string>{path});
    EXPECT_TRUE(frames) << frames.error().message;
    return std::move(*frames);
  }
  Kept play(const ReplayFrames& frames, const ReplayPlan& plan) {
    Kept kept;
    ReplayPlayer player(frames, plan);
    player.run(kept, stop_);
    counted_ = {player.counters().lost.value(), player.counters().duplicated.value(), player.counters().reordered.value(),
                player.counters().corrupted.value()};
    EXPECT_EQ(player.counters().frames.value(), kept.frames.size());
    return kept;
  }

  struct Decoded {
    uint64_t records = 0, sequence_lost = 0, exporters = 0, rejected = 0;
  };
  Decoded decode(const Kept& kept) {
    decode::DecoderConfig config;
    config.listeners.resize(1);
    auto decoder = decode::Decoder::create(config);
    EXPECT_TRUE(decoder);
    Nowhere nowhere;
    const uint64_t now_ns = wall_clock_ns();
    for (const Octets& frame : kept.frames) {
      const packet::FrameView view = packet::parse_frame(frame, packet::LinkType::ethernet, kVerify);
      EXPECT_EQ(view.verdict, packet::FrameVerdict::udp) << name_of(view.verdict);
      (*decoder)->decode({.payload = view.payload, .source = view.src, .source_port = view.src_port, .local_port = view.dst_port,
                          .listener = {}, .received_ns = now_ns},
                         nowhere);
    }
    // Gaps are lost for good when they are old.
    (*decoder)->tick(now_ns + 10 * kNsPerSec);
    const auto& c = (*decoder)->counters();
    return {c.records.value(), c.sequence_lost.value(), c.exporters.value(), c.datagram_errors[decode::DatagramError::unknown_version].value()};
  }

  test::TemporaryFolder folder_;
  std::atomic<bool> stop_{false};
  struct {
    uint64_t lost, duplicated, reordered, corrupted;
  } counted_{};
};

TEST_F(ReplayTest, KnowsWhatCapturesHold) {
  const ReplayFrames frames = load(capture(ExportProtocol::netflow_v5));
  EXPECT_EQ(frames.frames().size(), 80u);
  EXPECT_EQ(frames.records(), 400u);
  EXPECT_EQ(frames.sources().size(), 2u);
  EXPECT_THAT(frames.udp_ports(), testing::ElementsAre(2055));
  EXPECT_EQ(frames.left_out(), 0u);
  EXPECT_GE(frames.duration_ns(), 39 * kNsPerMs);
  EXPECT_LE(frames.duration_ns(), 41 * kNsPerMs);
}

TEST_F(ReplayTest, SequencesAndTimesGoOnOverRounds) {
  for (const auto protocol : {ExportProtocol::netflow_v5, ExportProtocol::netflow_v9, ExportProtocol::ipfix}) {
    for (const bool v6 : {false, true}) {
      SCOPED_TRACE(fmt::format("{} v6 {}", static_cast<int>(protocol), v6));
      const ReplayFrames frames = load(capture(protocol, 2, 40, v6));
      const Kept kept = play(frames, {.rounds = 5});
      ASSERT_EQ(kept.frames.size(), 400u);
      const Decoded decoded = decode(kept);
      EXPECT_EQ(decoded.records, 5 * frames.records());
      EXPECT_EQ(decoded.sequence_lost, 0u);
      EXPECT_EQ(decoded.exporters, 2u);
      const packet::FrameView view = packet::parse_frame(kept.frames.back(), packet::LinkType::ethernet);
      const uint32_t seconds = load_be32(view.payload.data() + (protocol == ExportProtocol::ipfix ? 4 : 8));
      EXPECT_NEAR(static_cast<double>(seconds), static_cast<double>(wall_clock_ns() / kNsPerSec), 60);
    }
  }
}

TEST_F(ReplayTest, WithoutRewritingTheSecondRoundWouldBeARepetition) {
  const ReplayFrames frames = load(capture(ExportProtocol::netflow_v9));
  Kept kept = play(frames, {.rounds = 1});
  const Kept again = play(frames, {.rounds = 1});
  EXPECT_TRUE(std::equal(kept.frames.begin(), kept.frames.end(), again.frames.begin(), [](const Octets& a, const Octets& b) {
    return load_be32(a.data() + 42 + 12) == load_be32(b.data() + 42 + 12);
  }));
  const Kept rounds = play(frames, {.rounds = 2});
  EXPECT_EQ(load_be32(rounds.frames[80].data() + 42 + 12), load_be32(rounds.frames[78].data() + 42 + 12) + 1);
}

TEST_F(ReplayTest, MultipliesExporters) {
  for (const bool v6 : {false, true}) {
    const ReplayFrames frames = load(capture(ExportProtocol::ipfix, 2, 10, v6));
    const Kept kept = play(frames, {.rounds = 2, .copies = 50});
    const Decoded decoded = decode(kept);
    EXPECT_EQ(decoded.exporters, 100u);
    EXPECT_EQ(decoded.records, 100 * frames.records());
    EXPECT_EQ(decoded.sequence_lost, 0u);
    EXPECT_EQ(std::set<uint32_t>(kept.exporters.begin(), kept.exporters.end()).size(), 100u);
    std::map<IpAddress, std::set<uint32_t>> by_address;
    for (size_t i = 0; i < kept.frames.size(); ++i) {
      const auto view = packet::parse_frame(kept.frames[i], packet::LinkType::ethernet);
      by_address[view.src].insert(kept.exporters[i]);
      EXPECT_THAT(view.src.to_string(), testing::StartsWith(v6 ? "2001:db8:e::" : "198.18."));
    }
    EXPECT_EQ(by_address.size(), 100u);
    for (const auto& [address, exporters] : by_address) EXPECT_EQ(exporters.size(), 1u) << address.to_string();
  }
}

TEST_F(ReplayTest, WhatIsLostIsMissedByItsSequence) {
  const ReplayFrames frames = load(capture(ExportProtocol::netflow_v5, 1, 2000));
  const Kept kept = play(frames, {.faults = {.lost = 50'000}, .seed = 3});
  EXPECT_NEAR(static_cast<double>(counted_.lost), 100, 40);
  EXPECT_EQ(kept.frames.size() + counted_.lost, 2000u);
  EXPECT_EQ(decode(kept).sequence_lost, 5 * counted_.lost) << "v5 counts flows";
}

TEST_F(ReplayTest, TheSameDiceFallTheSame) {
  const ReplayFrames frames = load(capture(ExportProtocol::netflow_v9, 1, 1000));
  const ReplayFaults faults{.lost = 20'000, .duplicated = 30'000, .reordered = 40'000, .corrupted = 50'000};
  const auto sequences = [&](uint64_t seed) {
    std::vector<uint32_t> all;
    for (const Octets& frame : play(frames, {.faults = faults, .seed = seed}).frames) all.push_back(load_be32(frame.data() + 54));
    return all;
  };
  const auto first = sequences(1);
  EXPECT_EQ(first.size() + counted_.lost, 1000 + counted_.duplicated);
  for (const uint64_t n : {counted_.lost, counted_.duplicated, counted_.reordered, counted_.corrupted}) EXPECT_GT(n, 5u);
  EXPECT_EQ(first, sequences(1));
  EXPECT_NE(first, sequences(2));
}

/// Of all frames, however they take turns: what is held back takes no other's place in the count.
TEST_F(ReplayTest, HarmsAsManyAsItWasAsked) {
  const ReplayFrames frames = load(capture(ExportProtocol::netflow_v5, 2, 500));
  for (const uint32_t of_a_million : {10'000u, 100'000u, 300'000u, 500'000u, 1'000'000u}) {
    SCOPED_TRACE(of_a_million);
    const Kept kept = play(frames, {.rounds = 20, .faults = {.duplicated = of_a_million, .reordered = of_a_million, .corrupted = of_a_million}});
    const double wanted = 20'000.0 * of_a_million / 1e6;
    // Four standard deviations; of the reordered there are half at most.
    const double off = 4 * std::sqrt(wanted);
    EXPECT_NEAR(static_cast<double>(counted_.duplicated), wanted, off);
    EXPECT_NEAR(static_cast<double>(counted_.reordered), std::min(wanted, 10'000.0), off);
    EXPECT_NEAR(static_cast<double>(counted_.corrupted), static_cast<double>(kept.frames.size()) * of_a_million / 1e6, off);
    EXPECT_EQ(kept.frames.size(), 20'000 + counted_.duplicated);
  }
}

TEST_F(ReplayTest, ReordersWhatAnExporterSendsThoughOthersTakeTurns) {
  for (const uint32_t copies : {1u, 3u}) {
    const ReplayFrames frames = load(capture(ExportProtocol::netflow_v9, 2, 9));
    const Kept kept = play(frames, {.copies = copies, .faults = {.reordered = 1'000'000}});
    ASSERT_EQ(kept.frames.size(), 2 * 9 * copies) << "also those behind which nothing came";
    EXPECT_EQ(counted_.reordered, 2 * 5 * copies);
    std::map<uint32_t, std::vector<uint32_t>> sequences;
    for (size_t i = 0; i < kept.frames.size(); ++i) sequences[kept.exporters[i]].push_back(load_be32(kept.frames[i].data() + 54));
    EXPECT_EQ(sequences.size(), 2 * copies);
    for (auto& [exporter, got] : sequences) {
      for (uint32_t& n : got) n -= *std::min_element(got.begin(), got.end());
      EXPECT_THAT(got, testing::ElementsAre(1, 0, 3, 2, 5, 4, 7, 6, 8)) << "exporter " << exporter << " of " << copies << " copies";
    }
  }
}

TEST_F(ReplayTest, WhatIsCorruptedStillHasRightChecksums) {
  const ReplayFrames frames = load(capture(ExportProtocol::netflow_v5, 1, 500, true));
  const Kept kept = play(frames, {.faults = {.corrupted = 1'000'000}});
  EXPECT_EQ(counted_.corrupted, 500u);
  EXPECT_LT(decode(kept).records, 2500u) << "no frame is rejected, but some datagrams are";
}

TEST_F(ReplayTest, GoesAtItsRate) {
  const ReplayFrames frames = load(capture(ExportProtocol::netflow_v5, 1, 100));
  struct {
    const char* rate;
    double seconds;
    uint32_t lost;
  } const wanted[] = {{"1kpps", 0.1, 0},       {"5krps", 0.1, 0},       {"x0.5", 0.2, 0},         {"2448kbps", 0.1, 0},
                      {"1kpps", 0.1, 1'000'000}, {"5krps", 0.1, 1'000'000}, {"2448kbps", 0.1, 1'000'000}};
  for (const auto& w : wanted) {
    const auto rate = ReplayRate::parse(w.rate);
    ASSERT_TRUE(rate) << w.rate;
    Kept kept;
    ReplayPlayer player(frames, {.rate = *rate, .faults = {.lost = w.lost}});
    player.run(kept, stop_);
    const double seconds = static_cast<double>(player.ended_steady_ns() - player.began_steady_ns()) / 1e9;
    EXPECT_GE(seconds, w.seconds * 0.95) << w.rate << ": never faster, " << w.lost << " of a million lost";
    EXPECT_EQ(player.progress(steady_clock_ns()), 1.0);
  }
}

TEST_F(ReplayTest, EndsByTimeByStopAndByItsOutput) {
  const ReplayFrames frames = load(capture(ExportProtocol::netflow_v5, 1, 10));
  const Kept timed = play(frames, {.rate = *ReplayRate::parse("10kpps"), .rounds = 0, .duration_ns = 20 * kNsPerMs});
  EXPECT_LE(timed.frames.size(), 201u);
  Kept full;
  full.frames_max = 7;
  ReplayPlayer player(frames, {.rounds = 0});
  player.run(full, stop_);
  EXPECT_EQ(full.frames.size(), 7u);
  stop_ = true;
  EXPECT_EQ(play(frames, {.rounds = 0}).frames.size(), 0u);
}

/// So slowly that no clock reaches the second frame: it is not due at once for that.
TEST_F(ReplayTest, PlaysNothingBeforeItsTimeHoweverSlowly) {
  const ReplayFrames frames = load(capture(ExportProtocol::netflow_v5, 1, 10));
  for (const char* rate : {"x0.00001", "x0.0000000001", "x0.000000000000001"}) {
    const Kept kept = play(frames, {.rate = *ReplayRate::parse(rate), .rounds = 3, .duration_ns = 20 * kNsPerMs});
    EXPECT_EQ(kept.frames.size(), 1u) << rate;
  }
}

TEST_F(ReplayTest, ReadsRates) {
  using Unit = ReplayRate::Unit;
  struct {
    const char* text;
    Unit unit;
    double value;
  } const good[] = {{"max", Unit::unlimited, 0},     {"200kpps", Unit::packets, 200e3}, {"1.5Gbps", Unit::bits, 1.5e9},
                    {"3Mrps", Unit::records, 3e6}, {"10pps", Unit::packets, 10},       {"x2", Unit::recorded, 2}};
  for (const auto& g : good) {
    const auto rate = ReplayRate::parse(g.text);
    ASSERT_TRUE(rate) << g.text;
    EXPECT_EQ(rate->unit, g.unit);
    EXPECT_DOUBLE_EQ(rate->value, g.value);
  }
  for (const char* bad : {"", "fast", "0pps", "x0", "x", "-1pps", "1e3pps", "10", "kpps", "1.2.3pps", "10Tpps", "99999Gpps", "0x10pps"}) {
    EXPECT_FALSE(ReplayRate::parse(bad)) << bad;
  }
}

TEST_F(ReplayTest, LeavesOutWhatNoBufferHoldsAndWhatNobodyCanListenFor) {
  const std::string path = folder_ / "long.pcap";
  auto writer = CaptureWriter::create(path, packet::LinkType::ethernet);
  ASSERT_TRUE(writer);
  const auto add = [&](size_t octets, uint16_t port) {
    const UdpEnds ends{.src = "192.0.2.1", .dst = "192.0.2.200", .src_port = 4000, .dst_port = port};
    ASSERT_TRUE(writer->write(udp_frame(ends, Octets(octets)), kStartNs));
  };
  add(65'507, 2055);
  add(64'900, 2055);
  add(100, 0);
  ASSERT_TRUE(writer->close());
  const ReplayFrames frames = load(path);
  EXPECT_EQ(frames.frames().size(), 1u);
  EXPECT_EQ(frames.left_out(), 2u);
}

#if !defined(WEIR_ADDRESS_SANITIZER)  // which takes more address space than any limit here
/// However much memory there is: it is enough, or that it is not is said.
TEST_F(ReplayTest, SaysThatThereIsNoMemory) {
  const std::string path = folder_ / "large.pcap";
  auto writer = CaptureWriter::create(path, packet::LinkType::ethernet);
  ASSERT_TRUE(writer);
  const UdpEnds ends{.src = "192.0.2.1", .dst = "192.0.2.200", .src_port = 4000, .dst_port = 2055};
  const Octets frame = udp_frame(ends, Octets(60'000));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(writer->write(frame, kStartNs));
  ASSERT_TRUE(writer->close());
  enum : int { kLoaded, kNoMemory, kOther };
  std::map<int, int> ends_of;
  for (rlim_t more = 0; ends_of[kLoaded] == 0; more += 16 << 20) {
    ASSERT_LT(more, rlim_t{4} << 30);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      rlim_t pages = 0;
      std::ifstream("/proc/self/statm") >> pages;
      const rlim_t octets = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + more;
      const rlimit limit{octets, octets};
      if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(kOther);
      const auto frames = ReplayFrames::load(std::vector<std::string>{path});
      _exit(frames ? kLoaded : frames.error().message.starts_with("no memory to hold") ? kNoMemory : kOther);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status) << " with " << (more >> 20) << " MiB";
    ++ends_of[WEXITSTATUS(status)];
  }
  EXPECT_GT(ends_of[kNoMemory], 0);
}
#endif

TEST_F(ReplayTest, TellsAgentsBehindOneSourceApart) {
  const std::string path = folder_ / "agents.pcap";
  auto writer = CaptureWriter::create(path, packet::LinkType::ethernet);
  ASSERT_TRUE(writer);
  for (uint32_t n = 0; n < 10; ++n) {
    for (const auto& [agent, first] : {std::pair{"192.0.2.11", 1000u}, {"192.0.2.12", 500'000u}}) {
      const UdpEnds ends{.src = "192.0.2.1", .dst = "192.0.2.200", .src_port = 4000, .dst_port = 6343};
      const Octets sflow = join({u32(5), u32(1), ipv4(agent), u32(0), u32(first + n), u32(1000 + n), u32(0)});
      ASSERT_TRUE(writer->write(udp_frame(ends, sflow), kStartNs + n));
    }
  }
  ASSERT_TRUE(writer->close());
  const ReplayFrames frames = load(path);
  EXPECT_EQ(frames.sources().size(), 2u);
  EXPECT_EQ(decode(play(frames, {.rounds = 3})).sequence_lost, 0u);
  EXPECT_EQ(decode(play(frames, {.rounds = 3, .copies = 4})).exporters, 8u);
}

TEST_F(ReplayTest, LeavesOutWhatIsNoUdpAndTakesOtherLinks) {
  const ReplayFrames raw = load(capture(ExportProtocol::netflow_v5, 1, 3, false, packet::LinkType::raw_ip));
  EXPECT_EQ(raw.frames().size(), 3u);
  EXPECT_EQ(decode(play(raw, {})).records, 15u);

  const std::string path = folder_ / "arp.pcap";
  auto writer = CaptureWriter::create(path, packet::LinkType::ethernet);
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->write(ethernet(kEtherTypeArp, Octets(28)), kStartNs));
  ASSERT_TRUE(writer->close());
  const auto nothing = ReplayFrames::load(std::vector<std::string>{path});
  ASSERT_FALSE(nothing);
  EXPECT_THAT(nothing.error().message, HasSubstr("1 packets are no whole UDP datagrams"));
  EXPECT_FALSE(ReplayFrames::load(std::vector<std::string>{folder_ / "none"}));
}

}  // namespace
}  // namespace weir::lab
