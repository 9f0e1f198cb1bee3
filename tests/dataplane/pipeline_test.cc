#include "dataplane/pipeline.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "support.h"

namespace weir::dataplane::testing {
namespace {

using packet::FrameVerdict;
using packet::LinkType;
using ::testing::HasSubstr;

class PipelineTest : public ::testing::Test {
 protected:
  void make(const PipelineConfig& config = netflow_pipeline()) {
    Result<std::unique_ptr<Pipeline>> made = Pipeline::create(config);
    ASSERT_TRUE(made) << made.error().message;
    pipeline_ = std::move(*made);
  }
  void frame(const lab::Octets& octets, const Moment& received = kCaptureTimeNs) {
    const RoleScope role(rx_lcore);
    pipeline_->on_frame(octets, LinkType::ethernet, received);
  }
  void poll(uint64_t steady_ns, const Moment& now = kCaptureTimeNs) {
    const RoleScope role(rx_lcore);
    pipeline_->poll(steady_ns, now);
  }
  void finish() {
    const RoleScope role(rx_lcore);
    pipeline_->finish();
  }

  std::unique_ptr<Pipeline> pipeline_;
};

TEST_F(PipelineTest, BringsAFramesRecordsIntoABatch) {
  make();
  frame(v5_frame(30));
  finish();
  Collected collected;
  collected.take(*pipeline_);
  EXPECT_EQ(collected.batches, 1u);
  EXPECT_EQ(collected.records, 30u);
  EXPECT_EQ(collected.first_received_ns, kCaptureTimeNs);
  expect_ledger(*pipeline_);
}

TEST_F(PipelineTest, CountsEveryFrameUnderItsVerdict) {
  make();
  const lab::UdpEnds ends{
      .src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 9, .dst_port = kNetflowPort};
  const lab::Octets segment = lab::udp_segment(ends, v5_datagram(1));
  const auto ip = [&](lab::Ipv4Header header) {
    header.src = "192.0.2.1";
    header.dst = "192.0.2.2";
    return lab::ethernet(lab::kEtherTypeIpv4, lab::ipv4_packet(header, segment));
  };
  const std::vector<std::pair<FrameVerdict, lab::Octets>> cases = {
      {FrameVerdict::udp, v5_frame(1)},
      {FrameVerdict::not_ip, lab::ethernet(lab::kEtherTypeArp, lab::zeros(28))},
      {FrameVerdict::not_udp, ip({.proto = lab::kProtoTcp})},
      {FrameVerdict::fragment, ip({.flags_and_offset = 0x2000})},
      {FrameVerdict::truncated_ethernet, lab::zeros(13)},
      {FrameVerdict::truncated_ip, lab::ethernet(lab::kEtherTypeIpv4, lab::zeros(4))},
      {FrameVerdict::bad_ip_version, ip({.version_and_ihl = 0x65})},
      {FrameVerdict::bad_ip_length, ip({.total_length = 8})},
  };
  uint64_t expected = 0;
  for (const auto& [verdict, octets] : cases) {
    const uint64_t before = pipeline_->counters().verdicts[verdict].value();
    frame(octets);
    EXPECT_EQ(pipeline_->counters().verdicts[verdict].value(), before + 1) << name_of(verdict);
    EXPECT_EQ(pipeline_->counters().frames.value(), ++expected);
  }
  EXPECT_EQ(pipeline_->counters().datagrams.value(), 1u);
  expect_ledger(*pipeline_);
}

// Whether a core of its own decodes or it hands over.
TEST_F(PipelineTest, VerifiesChecksumsWhereThePortAsksForIt) {
  make();
  const lab::Octets sound = v5_frame(1);
  lab::Octets wrong_ip = sound, wrong_udp = sound;
  wrong_ip[14 + 10] ^= 1;   // the header's checksum
  wrong_udp.back() ^= 1;
  constexpr auto kVerify = packet::ChecksumPolicy::Check::verify;
  const FrameRules verify{.checksums = {.ip_header = kVerify, .udp = kVerify}};
  const RoleScope role(rx_lcore);
  for (const lab::Octets* octets : std::initializer_list<const lab::Octets*>{&sound, &wrong_ip, &wrong_udp}) {
    pipeline_->on_frame(*octets, LinkType::ethernet, kCaptureTimeNs);
    pipeline_->on_frame(*octets, LinkType::ethernet, kCaptureTimeNs, nullptr, verify);
    HandedFrame handed;
    IpAddress source;
    EXPECT_EQ(pipeline_->sort_frame(*octets, LinkType::ethernet, nullptr, handed, source, verify), octets == &sound);
  }
  const auto& verdicts = pipeline_->counters().verdicts;
  EXPECT_EQ(verdicts[FrameVerdict::udp].value(), 5u);
  EXPECT_EQ(verdicts[FrameVerdict::bad_ip_checksum].value(), 2u);
  EXPECT_EQ(verdicts[FrameVerdict::bad_udp_checksum].value(), 2u);
  EXPECT_EQ(pipeline_->counters().datagrams.value(), 4u);
}

TEST_F(PipelineTest, TakesExportTrafficOfThePortsVlansOnly) {
  make();
  const lab::UdpEnds ends{.src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 9, .dst_port = kNetflowPort};
  const lab::Octets packet = lab::ipv4_packet({.src = "192.0.2.1", .dst = "192.0.2.2"}, lab::udp_segment(ends, v5_datagram(1)));
  const lab::Octets part =
      lab::ipv4_packet({.src = "192.0.2.1", .dst = "192.0.2.2", .flags_and_offset = 0x2002}, lab::zeros(16));
  const auto in = [](const std::vector<uint16_t>& tags, const lab::Octets& ip) {  // outermost first
    uint16_t type = lab::kEtherTypeIpv4;
    lab::Octets rest = ip;
    for (size_t i = tags.size(); i != 0; --i, type = lab::kTpid8021q) rest = lab::vlan(tags[i - 1], type, rest);
    return lab::ethernet(type, rest);
  };
  const struct {
    const char* what;
    lab::Octets octets;
    FrameVerdict verdict;
  } cases[] = {{"no tag", in({}, packet), FrameVerdict::udp},
               {"priority only", in({0}, packet), FrameVerdict::udp},
               {"its VLAN", in({100}, packet), FrameVerdict::udp},
               {"its VLAN around another", in({100, 200}, packet), FrameVerdict::udp},
               {"another", in({200}, packet), FrameVerdict::other_vlan},
               {"another around its own", in({200, 100}, packet), FrameVerdict::other_vlan},
               {"a fragment", in({100}, part), FrameVerdict::fragment},
               {"a fragment of another", in({200}, part), FrameVerdict::other_vlan}};
  VlanSet vlans;
  vlans.set(0).set(100);
  Waker waker;
  ExceptionLane lane({.mac = packet::parse_frame(cases[0].octets, LinkType::ethernet).dst_mac}, waker);
  const RoleScope role(rx_lcore);
  const auto& exceptions = pipeline_->counters().exceptions;
  for (const auto& c : cases) {
    const bool is_other = c.verdict == FrameVerdict::other_vlan;
    const uint64_t before = pipeline_->counters().verdicts[c.verdict].value();
    const uint64_t passed = exceptions[ExceptionOutcome::passed].value();
    pipeline_->on_frame(c.octets, LinkType::ethernet, kCaptureTimeNs, &lane, {.checksums = {}, .vlans = &vlans});
    EXPECT_EQ(pipeline_->counters().verdicts[c.verdict].value(), before + 1) << c.what;
    EXPECT_EQ(exceptions[ExceptionOutcome::passed].value() - passed, is_other ? 1u : 0u) << c.what;
    HandedFrame handed;
    IpAddress source;
    if (is_other) {
      const FrameRules rules{.checksums = {}, .vlans = &vlans};
      EXPECT_FALSE(pipeline_->sort_frame(c.octets, LinkType::ethernet, nullptr, handed, source, rules)) << c.what;
    }
  }
  EXPECT_EQ(exceptions[ExceptionOutcome::no_interface].value(), 3u);
  EXPECT_EQ(pipeline_->counters().datagrams.value(), 4u);
  EXPECT_THAT(pipeline_->ledger().discrepancies(), ::testing::IsEmpty());
}

TEST_F(PipelineTest, OffersTheKernelWhatIsSoundAndNoExportTraffic) {
  make();
  const lab::UdpEnds elsewhere{.src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 9, .dst_port = 53};
  const auto icmp = lab::ethernet(
      lab::kEtherTypeIpv4, lab::ipv4_packet({.src = "192.0.2.1", .dst = "192.0.2.2", .proto = 1}, lab::zeros(8)));
  const struct {
    const char* what;
    lab::Octets octets;
    bool is_offered;
  } cases[] = {
      {"export", v5_frame(1), false},
      {"ARP", lab::ethernet(lab::kEtherTypeArp, lab::zeros(28)), true},
      {"ICMP", icmp, true},
      {"UDP without listener", lab::udp_frame(elsewhere, lab::zeros(12)), true},
      {"cut", lab::ethernet(lab::kEtherTypeIpv4, lab::zeros(4)), false},
      {"shorter than a header", lab::zeros(13), false},
  };
  packet::FrameView view = packet::parse_frame(icmp, LinkType::ethernet);
  Waker waker;
  ExceptionLane lane({.mac = view.dst_mac}, waker);
  const auto& exceptions = pipeline_->counters().exceptions;
  for (const auto& c : cases) {
    const uint64_t passed = exceptions[ExceptionOutcome::passed].value();
    const uint64_t none = exceptions[ExceptionOutcome::no_interface].value();
    const RoleScope role(rx_lcore);
    pipeline_->on_frame(c.octets, LinkType::ethernet, kCaptureTimeNs, &lane);
    pipeline_->on_frame(c.octets, LinkType::ethernet, kCaptureTimeNs);
    EXPECT_EQ(exceptions[ExceptionOutcome::passed].value() - passed, c.is_offered ? 1u : 0u) << c.what;
    EXPECT_EQ(exceptions[ExceptionOutcome::no_interface].value() - none, c.is_offered ? 1u : 0u) << c.what;
  }
  EXPECT_EQ(lane.waiting(), 3u);
  EXPECT_THAT(pipeline_->ledger().discrepancies(), ::testing::IsEmpty());
}

TEST_F(PipelineTest, DecodesWhatCameInFragments) {
  make();
  const lab::UdpEnds ends4 = {"192.0.2.1", "192.0.2.200", 40'000, kNetflowPort};
  const lab::UdpEnds ends6 = {"2001:db8::1", "2001:db8::200", 40'000, kNetflowPort};
  for (const lab::UdpEnds& ends : {ends4, ends6}) {
    const bool v4 = ends.src.value.is_v4();
    for (const lab::Octets& packet :
         lab::fragment_packets(ends, 1, lab::udp_segment(ends, v5_datagram(30)), 496)) {
      frame(lab::ethernet(v4 ? lab::kEtherTypeIpv4 : lab::kEtherTypeIpv6, packet));
    }
  }
  EXPECT_EQ(pipeline_->counters().verdicts[FrameVerdict::fragment].value(), 6u);
  EXPECT_EQ(pipeline_->decoder_counters().records.value(), 60u);
  expect_ledger(*pipeline_);
  EXPECT_THAT(pipeline_->ledger().discrepancies(), ::testing::IsEmpty());
}

TEST_F(PipelineTest, CountsFragmentsThatMadeNothingAndDatagramsThatNobodyWanted) {
  PipelineConfig config = netflow_pipeline();
  config.reassembly.timeout_ns = 2 * kNsPerSec;
  make(config);
  const auto pieces_for = [](uint16_t port) {
    const lab::UdpEnds ends = {"192.0.2.1", "192.0.2.200", 40'000, port};
    return lab::fragment_packets(ends, 1, lab::udp_segment(ends, v5_datagram(30)), 496);
  };
  const auto elsewhere = pieces_for(9'999);
  for (size_t i = elsewhere.size(); i-- > 0;) frame(lab::ethernet(lab::kEtherTypeIpv4, elsewhere[i]));
  EXPECT_EQ(pipeline_->counters().no_listener.value(), 1u);
  EXPECT_EQ(pipeline_->counters().exceptions[ExceptionOutcome::joined].value(), 1u);

  const auto pieces = pieces_for(kNetflowPort);
  const auto waiting = [&] { return pipeline_->ledger().fragments_waiting; };
  const auto expired = [&] { return pipeline_->ledger().fragments[packet::FragmentOutcome::expired]; };
  frame(lab::ethernet(lab::kEtherTypeIpv4, pieces[0]));
  poll(kNsPerSec);
  EXPECT_EQ(waiting(), 1u);
  poll(4 * kNsPerSec);  // nothing comes: time passes all the same
  EXPECT_EQ(waiting(), 0u);
  EXPECT_EQ(expired(), 1u);
  frame(lab::ethernet(lab::kEtherTypeIpv4, pieces[2]));
  EXPECT_EQ(waiting(), 1u);
  finish();
  EXPECT_EQ(expired(), 2u);
  EXPECT_THAT(pipeline_->ledger().discrepancies(), ::testing::IsEmpty());
}

const lab::UdpEnds kHost4 = {"192.0.2.9", "192.0.2.200", 40'000, 9'999};
const lab::UdpEnds kHost6 = {"2001:db8::9", "2001:db8::200", 40'000, 9'999};

std::vector<lab::Octets> frames_of(const lab::UdpEnds& ends, uint32_t id, const lab::Octets& payload = v5_datagram(30)) {
  std::vector<lab::Octets> frames;
  const uint16_t type = ends.src.value.is_v4() ? lab::kEtherTypeIpv4 : lab::kEtherTypeIpv6;
  for (const lab::Octets& packet : lab::fragment_packets(ends, id, lab::udp_segment(ends, payload), 496))
    frames.push_back(lab::ethernet(type, packet));
  return frames;
}

/// Where frames go that are for this host.
class HostLane {
 public:
  HostLane() : lane_({.mac = packet::parse_frame(frames_of(kHost4, 1)[0], LinkType::ethernet).dst_mac}, waker_) {}
  ExceptionLane* get() { return &lane_; }
  lab::Octets take() {
    const RoleScope role(exception_thread);
    const auto front = lane_.front();
    lab::Octets octets(front.begin(), front.end());
    if (!front.empty()) lane_.pop();
    return octets;
  }

 private:
  Waker waker_;
  ExceptionLane lane_;
};

TEST_F(PipelineTest, FragmentsForTheHostGoOnAsTheyCameAndTakeNobodysRoom) {
  PipelineConfig config = netflow_pipeline();
  config.reassembly = {.datagrams_max = 1, .datagrams_per_source_max = 1};
  config.decoder.access = {{{*IpAddress::parse("192.0.2.1"), 128}}, {}};  // what the host is sent is none of its business
  make(config);
  HostLane lane;
  const auto on = [&](const lab::Octets& octets) {
    const RoleScope role(rx_lcore);
    pipeline_->on_frame(octets, LinkType::ethernet, kCaptureTimeNs, lane.get());
  };
  const auto exported = frames_of({"192.0.2.1", "192.0.2.200", 40'000, kNetflowPort}, 1);
  on(exported[0]);
  for (const lab::UdpEnds& host : {kHost4, kHost6}) {
    for (uint32_t id = 1; id <= 3; ++id) {
      const auto frames = frames_of(host, id);
      for (const lab::Octets& octets : frames) on(octets);
      for (const lab::Octets& octets : frames) EXPECT_EQ(lane.take(), octets);
    }
  }
  for (size_t i = 1; i < exported.size(); ++i) on(exported[i]);
  EXPECT_EQ(pipeline_->decoder_counters().records.value(), 30u);
  EXPECT_EQ(lane.take(), lab::Octets());
  EXPECT_EQ(pipeline_->ledger().fragments[packet::FragmentOutcome::no_listener], 2u * 3 * 3);
  EXPECT_EQ(pipeline_->counters().exceptions[ExceptionOutcome::passed].value(), 2u * 3 * 3);
  EXPECT_THAT(pipeline_->ledger().discrepancies(), ::testing::IsEmpty());
}

TEST_F(PipelineTest, FragmentsForTheHostThatComeBeforeTheirFirstAreGivenOnTogether) {
  make();
  HostLane lane;
  const RoleScope role(rx_lcore);
  for (const lab::UdpEnds& host : {kHost4, kHost6}) {
    for (const size_t size : {size_t{1400}, size_t{60'000}}) {
      const lab::Octets payload = lab::filled(size, 0x5a);
      auto frames = frames_of(host, 5, payload);
      std::rotate(frames.begin(), frames.begin() + 1, frames.end());  // the first comes last
      for (const lab::Octets& octets : frames) pipeline_->on_frame(octets, LinkType::ethernet, kCaptureTimeNs, lane.get());
      const lab::Octets whole = lane.take();
      const packet::FrameView view = packet::parse_frame(
          whole, LinkType::ethernet, {.ip_header = packet::ChecksumPolicy::Check::verify, .udp = packet::ChecksumPolicy::Check::verify});
      EXPECT_EQ(name_of(view.verdict), name_of(FrameVerdict::udp));
      EXPECT_EQ(view.dst_port, host.dst_port);
      EXPECT_EQ(lab::Octets(view.payload.begin(), view.payload.end()), payload);
      EXPECT_EQ(lane.take(), lab::Octets());
    }
  }
  EXPECT_EQ(pipeline_->counters().exceptions[ExceptionOutcome::passed].value(), 4u);
  EXPECT_EQ(pipeline_->counters().no_listener.value(), 4u);
  EXPECT_THAT(pipeline_->ledger().discrepancies(), ::testing::IsEmpty());
}

TEST_F(PipelineTest, WhatTurnsOutToBeNoUdpIsGivenOnToo) {
  make();
  HostLane lane;
  const RoleScope role(rx_lcore);
  // Nobody can tell from an option header what is behind it.
  const lab::Octets inside = lab::ipv6_extension(58, lab::zeros(6), lab::filled(200, 0x80));
  const auto piece = [&](size_t offset, size_t size) {
    const auto begin = inside.begin() + static_cast<std::ptrdiff_t>(offset);
    return lab::ethernet(lab::kEtherTypeIpv6,
                         lab::ipv6_packet({.src = kHost6.src, .dst = kHost6.dst, .next_header = lab::kProtoFragment},
                                          lab::ipv6_fragment({.next_header = lab::kProtoDestinationOptions,
                                                              .offset_octets = static_cast<uint16_t>(offset),
                                                              .more = offset + size < inside.size(),
                                                              .id = 9},
                                                             lab::Octets(begin, begin + static_cast<std::ptrdiff_t>(size)))));
  };
  pipeline_->on_frame(piece(0, 104), LinkType::ethernet, kCaptureTimeNs, lane.get());
  pipeline_->on_frame(piece(104, inside.size() - 104), LinkType::ethernet, kCaptureTimeNs, lane.get());
  EXPECT_EQ(lane.take().size(), 14 + 40 + inside.size());
  EXPECT_EQ(pipeline_->ledger().reassembled[FrameVerdict::not_udp], 1u);
  EXPECT_THAT(pipeline_->ledger().discrepancies(), ::testing::IsEmpty());
}

TEST_F(PipelineTest, AnIdentificationThatComesRoundIsTheListenersAgain) {
  make();
  HostLane lane;
  const auto on = [&](const lab::Octets& octets) {
    const RoleScope role(rx_lcore);
    pipeline_->on_frame(octets, LinkType::ethernet, kCaptureTimeNs, lane.get());
  };
  for (int round = 0; round < 2; ++round) {
    for (const lab::Octets& octets : frames_of({"192.0.2.1", "192.0.2.200", 40'000, 9'999}, 1)) on(octets);
    for (const lab::Octets& octets : frames_of({"192.0.2.1", "192.0.2.200", 40'000, kNetflowPort}, 1)) on(octets);
  }
  EXPECT_EQ(pipeline_->decoder_counters().records.value(), 60u);
  EXPECT_EQ(pipeline_->counters().exceptions[ExceptionOutcome::passed].value(), 2u * 3);
  EXPECT_THAT(pipeline_->ledger().discrepancies(), ::testing::IsEmpty());
}

TEST_F(PipelineTest, AFloodOfFragmentsDoesNotPushOutThoseOfExportersThatItKnows) {
  PipelineConfig config = netflow_pipeline();
  config.reassembly = {.datagrams_max = 16, .datagrams_per_source_max = 4};
  make(config);
  const auto pieces_of = [](const std::string& exporter) { return frames_of({exporter.c_str(), "192.0.2.200", 40'000, kNetflowPort}, 1); };
  const auto flood = [&](int from) {
    for (int i = from; i < from + 300; ++i) frame(pieces_of(fmt::format("198.51.{}.{}", i / 250, i % 250 + 1))[0]);
  };
  frame(v5_frame(30));  // of 192.0.2.1
  for (const char* exporter : {"192.0.2.1", "192.0.2.2"}) {
    const auto pieces = pieces_of(exporter);
    for (size_t i = 0; i < pieces.size(); ++i) {
      frame(pieces[i]);
      flood(static_cast<int>(i) * 300);
    }
  }
  EXPECT_EQ(pipeline_->decoder_counters().records.value(), 60u) << "of 192.0.2.1, and not of 192.0.2.2, which nobody has heard of";
  EXPECT_THAT(pipeline_->ledger().discrepancies(), ::testing::IsEmpty());
}

TEST_F(PipelineTest, FragmentsWaitThroughAStepOfTheWallClock) {
  PipelineConfig config = netflow_pipeline();
  config.reassembly.timeout_ns = 2 * kNsPerSec;
  make(config);
  const lab::UdpEnds ends = {"192.0.2.1", "192.0.2.200", 40'000, kNetflowPort};
  const auto pieces = lab::fragment_packets(ends, 1, lab::udp_segment(ends, v5_datagram(30)), 496);
  constexpr uint64_t kSteps[] = {0, 86'400 * kNsPerSec, uint64_t{0} - 86'400 * kNsPerSec};
  for (size_t i = 0; i < pieces.size(); ++i) {
    const uint64_t aged_ns = kCaptureTimeNs + i * kNsPerSec / 2;
    frame(lab::ethernet(lab::kEtherTypeIpv4, pieces[i]), {aged_ns + kSteps[i % 3], aged_ns});
    poll((i + 1) * 2 * kNsPerSec, {aged_ns + kSteps[i % 3], aged_ns});
  }
  EXPECT_EQ(pipeline_->decoder_counters().records.value(), 30u);
  EXPECT_EQ(pipeline_->ledger().fragments[packet::FragmentOutcome::expired], 0u);
}

class PipelineClock : public PipelineTest {
 protected:
  /// When the only exporter was heard of last, as it is told.
  uint64_t last_seen_ns(uint64_t steady_ns, const Moment& now) {
    ExporterQuery query;
    query.rows.resize(4);
    {
      const RoleScope role(control_thread);
      EXPECT_TRUE(pipeline_->ask_exporters(query));
    }
    ExporterQuery* answer = nullptr;
    for (int polls = 0; polls < 10 && answer == nullptr; ++polls) {
      poll(steady_ns, now);
      const RoleScope role(control_thread);
      pipeline_->take_answer(answer);
    }
    EXPECT_EQ(query.filled, 1u);
    return query.rows[0].last_seen_ns;
  }
  static constexpr uint64_t kStep = 86'400 * kNsPerSec;
};

TEST_F(PipelineClock, WhatIsToldFollowsAStepOfTheWallClockWhileNothingComes) {
  make();
  const uint64_t began = kCaptureTimeNs;
  frame(v5_frame(1), {began, began});
  EXPECT_EQ(last_seen_ns(kNsPerSec, {began, began}), began);
  const Moment idle = {began + 100 * kNsPerSec + kStep, began + 100 * kNsPerSec};
  poll(101 * kNsPerSec, idle);
  EXPECT_EQ(last_seen_ns(101 * kNsPerSec, idle), began + kStep) << "by the clock as it stands now";
  frame(v5_frame(1, 1), idle);
  EXPECT_EQ(last_seen_ns(101 * kNsPerSec + 1, idle), idle.wall_ns);
  const Moment back = {began + 200 * kNsPerSec - kStep, began + 200 * kNsPerSec};
  poll(201 * kNsPerSec, back);
  EXPECT_EQ(last_seen_ns(201 * kNsPerSec, back), began + 100 * kNsPerSec - kStep);
  finish();
  Collected collected;
  collected.take(*pipeline_);
  EXPECT_EQ(collected.records, 2u);
}

TEST_F(PipelineClock, OfACaptureThatIsReplayedTheOwnTimesAreToldWhateverTheClockIsSetTo) {
  make();
  frame(v5_frame(1), kCaptureTimeNs);
  const uint64_t now = kCaptureTimeNs + 1000 * kStep;
  poll(kNsPerSec, {now, now});
  poll(3 * kNsPerSec, {now + 2 * kNsPerSec + kStep, now + 2 * kNsPerSec});
  EXPECT_EQ(last_seen_ns(3 * kNsPerSec, {now + kStep, now}), kCaptureTimeNs);
}

TEST_F(PipelineTest, FragmentsOfWhoMayNotExportTakeNobodysPlace) {
  PipelineConfig config = netflow_pipeline();
  config.decoder.access = {{{*IpAddress::parse("192.0.2.0"), 96 + 24}}, {}};
  config.reassembly = {.datagrams_max = 2, .datagrams_per_source_max = 2};
  make(config);
  const auto pieces = [](const char* exporter, uint32_t id) {
    const lab::UdpEnds ends = {exporter, "192.0.2.200", 40'000, kNetflowPort};
    return lab::fragment_packets(ends, id, lab::udp_segment(ends, v5_datagram(30)), 736);
  };
  const auto good = pieces("192.0.2.1", 1);
  frame(lab::ethernet(lab::kEtherTypeIpv4, good[0]));
  for (uint32_t id = 0; id < 10; ++id) {
    frame(lab::ethernet(lab::kEtherTypeIpv4, pieces("198.51.100.1", id)[0]));
  }
  frame(lab::ethernet(lab::kEtherTypeIpv4, good[1]));
  EXPECT_EQ(pipeline_->decoder_counters().records.value(), 30u);
  EXPECT_EQ(pipeline_->ledger().fragments[packet::FragmentOutcome::not_allowed], 10u);
  EXPECT_THAT(pipeline_->ledger().discrepancies(), ::testing::IsEmpty());
}

TEST_F(PipelineTest, CountsADatagramThatNoListenerWants) {
  make();
  frame(v5_frame(1, 0, 9'999));
  frame(v5_frame(1, 0, 0));
  EXPECT_EQ(pipeline_->counters().verdicts[FrameVerdict::udp].value(), 2u);
  EXPECT_EQ(pipeline_->counters().no_listener.value(), 2u);
  EXPECT_EQ(pipeline_->counters().datagrams.value(), 0u);
}

TEST_F(PipelineTest, CountsWhatTheDecoderRejects) {
  make();
  frame(lab::udp_frame(
      {.src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 1, .dst_port = kNetflowPort},
      lab::filled(100, 0xee)));
  EXPECT_EQ(pipeline_->counters().datagrams.value(), 1u);
  EXPECT_EQ(pipeline_->decoder_counters().datagram_errors.total(), 1u);
  expect_ledger(*pipeline_);
}

TEST_F(PipelineTest, HandsOnWhatTheDecoderTellsAndCountsWhatNobodyTakes) {
  make();
  const size_t templates = 2 * kEventsWaitingMax;
  for (size_t i = 0; i < templates; ++i) {
    const lab::Template t{.id = static_cast<uint16_t>(256 + i), .fields = {{1, 4}}};
    frame(lab::udp_frame(
        {.src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 1, .dst_port = kNetflowPort},
        lab::NetflowV9Builder{}.templates({t}).build()));
  }
  const RoleScope role(control_thread);
  decode::Event event;
  ASSERT_TRUE(pipeline_->take_event(event));
  EXPECT_EQ(event.kind, decode::EventKind::exporter_seen);
  ASSERT_TRUE(pipeline_->take_event(event));
  EXPECT_EQ(event.kind, decode::EventKind::template_learned);
  EXPECT_EQ(event.template_id, 256);
  size_t taken = 2;
  while (pipeline_->take_event(event)) ++taken;
  const decode::DecoderCounters& c = pipeline_->decoder_counters();
  EXPECT_EQ(taken, kEventsWaitingMax);
  EXPECT_EQ(c.events.value(), taken);
  EXPECT_GT(c.events_dropped.value(), templates - taken) << "evictions are told too";
  expect_ledger(*pipeline_);
}

TEST_F(PipelineTest, TakesDatagramsFromSocketsWithoutCountingFrames) {
  make();
  const lab::Octets payload = v5_datagram(7);
  {
    const RoleScope role(rx_lcore);
    pipeline_->on_datagram({.payload = payload,
                            .source = IpAddress::from_v4(0xC0000201u),
                            .source_port = 4000,
                            .local_port = kNetflowPort,
                            .listener = {0},
                            .received_ns = kCaptureTimeNs});
  }
  EXPECT_EQ(pipeline_->counters().frames.value(), 0u);
  EXPECT_EQ(pipeline_->counters().datagrams.value(), 1u);
  EXPECT_EQ(pipeline_->decoder_counters().records.value(), 7u);
  expect_ledger(*pipeline_);
}

TEST_F(PipelineTest, SendsEachListenersRecordsItsWay) {
  PipelineConfig config = netflow_pipeline();
  config.listeners[0].route = {3};
  config.listeners.push_back({.name = "other", .port = 9995, .route = {8}, .rules = {}});
  make(config);
  frame(v5_frame(2));
  frame(v5_frame(5, 0, 9995));
  finish();
  const RoleScope role(control_thread);
  outbound::OutboundBatch* batch;
  std::vector<std::pair<uint16_t, uint32_t>> seen;
  while (pipeline_->batcher().take_sealed(batch)) {
    seen.emplace_back(batch->route.value, batch->records);
    pipeline_->batcher().give_back(batch);
  }
  EXPECT_THAT(seen, ::testing::UnorderedElementsAre(std::pair(3, 2u), std::pair(8, 5u)));
}

TEST_F(PipelineTest, SendsWhatSflowTellsBesideFlowsItsOwnWay) {
  const lab::Octets payload = lab::SflowBuilder{}
                                  .flow({.sampling_rate = 1})
                                  .counters({.blocks = {{1002, lab::sflow::words({1, 2, 3})}}})
                                  .discard({.reason = 258})
                                  .discard({.reason = 257})
                                  .build();
  const auto send = [&] {
    const RoleScope role(rx_lcore);
    pipeline_->on_datagram({.payload = payload,
                            .source = IpAddress::from_v4(0xC0000201u),
                            .source_port = 4000,
                            .local_port = kNetflowPort,
                            .listener = {0},
                            .received_ns = kCaptureTimeNs});
  };
  PipelineConfig config = netflow_pipeline();
  config.listeners[0].route = {3};
  config.listeners[0].counters_route = RouteId{4};
  config.listeners[0].discards_route = RouteId{5};
  make(config);
  send();
  finish();
  {
    const RoleScope role(control_thread);
    outbound::OutboundBatch* batch;
    std::vector<std::tuple<uint16_t, outbound::RecordKind, uint32_t>> seen;
    while (pipeline_->batcher().take_sealed(batch)) {
      seen.emplace_back(batch->route.value, batch->kind, batch->records);
      pipeline_->batcher().give_back(batch);
    }
    using outbound::RecordKind;
    EXPECT_THAT(seen,
                ::testing::UnorderedElementsAre(std::tuple(3, RecordKind::flow, 1u),
                                                std::tuple(4, RecordKind::sflow_counters, 1u),
                                                std::tuple(5, RecordKind::sflow_discard, 2u)));
  }
  EXPECT_EQ(pipeline_->decoder_counters().records.value(), 1u);
  EXPECT_EQ(pipeline_->decoder_counters().counter_records.value(), 1u);
  EXPECT_EQ(pipeline_->decoder_counters().discard_records.value(), 2u);
  expect_ledger(*pipeline_);

  make();  // without routes for them
  send();
  EXPECT_EQ(pipeline_->batcher_counters().drops[outbound::RecordDrop::filtered].value(), 3u);
  expect_ledger(*pipeline_);
}

TEST_F(PipelineTest, RefusesTwoListenersOnOnePort) {
  PipelineConfig config = netflow_pipeline();
  config.listeners.push_back({.name = "again", .port = kNetflowPort, .route = {}, .rules = {}});
  const Result<std::unique_ptr<Pipeline>> made = Pipeline::create(config);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message,
              HasSubstr("listener again: port 2055 is already listener netflow's"));

  config.listeners[0].port = config.listeners[1].port = 0;  // both by kernel sockets only
  EXPECT_TRUE(Pipeline::create(config));
}

TEST_F(PipelineTest, SealsALingeringBatchAndIsQuietAgain) {
  make();
  const RoleScope role(rx_lcore);
  EXPECT_TRUE(pipeline_->is_quiet());
  poll(kNsPerSec);
  frame(v5_frame(1));
  EXPECT_FALSE(pipeline_->is_quiet());
  poll(kNsPerSec + 1);
  poll(kNsPerSec + 2 * netflow_pipeline().batcher.linger_ns);
  EXPECT_TRUE(pipeline_->is_quiet());
  EXPECT_EQ(pipeline_->batcher_counters().batches_sealed.value(), 1u);
}

TEST_F(PipelineTest, AnswersForItsExportersInSlices) {
  PipelineConfig config = netflow_pipeline();
  config.decoder.limits.exporters_max = 256;
  make(config);
  constexpr size_t kExporters = 200;
  for (size_t i = 0; i < kExporters; ++i)
    frame(v5_frame(1, 0, kNetflowPort, fmt::format("198.51.100.{}", i)));

  const RoleScope control(control_thread);
  ExporterQuery query;
  query.rows.resize(kExporters);
  ExporterQuery* answer = nullptr;
  ASSERT_TRUE(pipeline_->ask_exporters(query));
  EXPECT_FALSE(pipeline_->ask_exporters(query)) << "one question at a time";
  size_t polls = 0;
  for (; polls < 1000 && !pipeline_->take_answer(answer); ++polls) poll(kNsPerSec);
  ASSERT_EQ(answer, &query);
  EXPECT_GT(polls, 2u) << "not all in one go";
  EXPECT_EQ(query.filled, kExporters);
  EXPECT_EQ(query.omitted, 0u);
  uint64_t records = 0;
  for (const decode::ExporterStats& row : query.rows) records += row.records;
  EXPECT_EQ(records, kExporters);

  query.rows.resize(150);
  ASSERT_TRUE(pipeline_->ask_exporters(query));
  finish();  // an open question is answered at the end
  ASSERT_TRUE(pipeline_->take_answer(answer));
  EXPECT_EQ(query.filled, 150u);
  EXPECT_EQ(query.omitted, 50u);

  query.rows.clear();
  ASSERT_TRUE(pipeline_->ask_exporters(query));
  poll(kNsPerSec);
  ASSERT_TRUE(pipeline_->take_answer(answer));
  EXPECT_EQ(query.omitted, kExporters);
}

TEST_F(PipelineTest, TellsItsBooksBetweenBursts) {
  make();
  ExporterQuery query;
  query.rows.resize(4);
  for (int round = 1; round <= 5; ++round) {
    frame(v5_frame(20));
    frame(v5_frame(10, 0, 9999));
    frame(lab::zeros(round));
    if (round == 3) {
      const RoleScope role(rx_lcore);
      pipeline_->batcher().seal_all();
    }
    const RoleScope control(control_thread);
    ExporterQuery* answer = nullptr;
    ASSERT_TRUE(pipeline_->ask_exporters(query));
    frame(v5_frame(1));  // between question and answer
    poll(kNsPerSec);
    ASSERT_TRUE(pipeline_->take_answer(answer));
    const CoreBooks& books = answer->books;
    EXPECT_TRUE(books.discrepancies().empty()) << books.discrepancies()[0].text();
    EXPECT_EQ(books.ledger.frames, 4u * round);
    EXPECT_EQ(books.ledger.no_listener, 1u * round);
    EXPECT_EQ(books.ledger.encoded, 21u * round);
    EXPECT_EQ(books.records_open + books.records_sealed, 21u * round);
    EXPECT_EQ(books.records_sealed, round < 3 ? 0u : 62u);
  }
}

// A capture from years ago: data that waits for its template must outlive the first tick.
TEST_F(PipelineTest, AgesWaitingDataByTheClockOfItsDatagrams) {
  PipelineConfig config = netflow_pipeline();
  config.decoder.limits.pending_ttl_ns = 10 * kNsPerSec;
  make(config);
  const lab::UdpEnds ends{
      .src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 9, .dst_port = kNetflowPort};
  frame(lab::udp_frame(
      ends, lab::NetflowV9Builder{}.data(256, {{lab::ipv4("192.0.2.1"), lab::u32(1)}}).build()));
  const decode::DecoderCounters& decoder = pipeline_->decoder_counters();
  const auto waiting = [&] {
    return decoder.set_outcomes[decode::SetOutcome::waiting_for_template].value();
  };
  ASSERT_EQ(waiting(), 1u);
  const uint64_t years_later_ns = kCaptureTimeNs + 100'000'000 * kNsPerSec;
  poll(5 * kNsPerSec, years_later_ns);
  EXPECT_EQ(waiting(), 1u);
  poll(20 * kNsPerSec, years_later_ns);  // 15 s later by the steady clock
  for (uint64_t s = 21; s < 40; ++s) poll(s * kNsPerSec, years_later_ns);  // a tick is bounded work
  EXPECT_EQ(waiting(), 0u);
  EXPECT_EQ(decoder.set_outcomes[decode::SetOutcome::expired].value(), 1u);
}

}  // namespace
}  // namespace weir::dataplane::testing
