// Datagrams that an operator wants to see: which are copied, how many, and what that leaves as it was.
#include "dataplane/datagram_tap.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "dataplane/pipeline.h"
#include "support.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::ElementsAre;

constexpr size_t kPlenty = 1 << 20;

decode::ExporterPrefix prefix(const char* address, int bits) {
  return {*IpAddress::parse(address), static_cast<uint8_t>(bits)};
}

TEST(TapTest, MatchesByExporterListenerAndOutcome) {
  const struct {
    const char* what;
    DatagramTap tap;
    const char* source;
    uint16_t listener;
    DatagramOutcome outcome;
    bool matches;
  } rows[] = {
      {"all", {}, "192.0.2.7", 0, {}, true},
      {"all of IPv6 too", {}, "2001:db8::7", 3, {}, true},
      {"the address", {.exporters = prefix("192.0.2.7", 128)}, "192.0.2.7", 0, {}, true},
      {"another address", {.exporters = prefix("192.0.2.7", 128)}, "192.0.2.8", 0, {}, false},
      {"in the prefix", {.exporters = prefix("192.0.2.0", 96 + 24)}, "192.0.2.255", 0, {}, true},
      {"behind the prefix", {.exporters = prefix("192.0.2.0", 96 + 24)}, "192.0.3.0", 0, {}, false},
      {"IPv6 in no IPv4 prefix", {.exporters = prefix("0.0.0.0", 96)}, "2001:db8::7", 0, {}, false},
      {"the listener", {.listener = ListenerId{1}}, "192.0.2.7", 1, {}, true},
      {"another listener", {.listener = ListenerId{1}}, "192.0.2.7", 0, {}, false},
      {"rejected", {.wants = TapWants::rejected}, "192.0.2.7", 0, {.is_rejected = true}, true},
      {"not rejected", {.wants = TapWants::rejected}, "192.0.2.7", 0, {.has_templates = true}, false},
      {"templates", {.wants = TapWants::templates}, "192.0.2.7", 0, {.has_templates = true}, true},
      {"no templates", {.wants = TapWants::templates}, "192.0.2.7", 0, {.is_rejected = true}, false},
  };
  for (const auto& row : rows) {
    const Datagram datagram{.payload = {}, .source = *IpAddress::parse(row.source), .listener = {row.listener}};
    EXPECT_EQ(row.tap.matches(datagram, row.outcome), row.matches) << row.what;
  }
}

class TapeTest : public ::testing::Test {
 protected:
  static void record(DatagramTape& tape, size_t octets, DatagramOutcome outcome = {}) {
    const RoleScope role(rx_lcore);
    const lab::Octets payload = lab::filled(octets, 0xab);
    tape.record(look_at({.payload = payload, .received_ns = 1}, {}), outcome);
  }
};

TEST_F(TapeTest, TakesAsManyAsWereAskedForAndMissesNothingThen) {
  DatagramTape tape({.datagrams = 2, .payload_octets = 1000}, kPlenty);
  for (int i = 0; i < 5; ++i) record(tape, 100, {.is_rejected = true, .has_templates = i == 1});
  EXPECT_EQ(tape.datagrams(), 2u);
  EXPECT_EQ(tape.read().size(), 2u);
  EXPECT_EQ(tape.payload_octets(), 200u);
  EXPECT_EQ(tape.rejected(), 2u);
  EXPECT_EQ(tape.with_templates(), 1u);
  EXPECT_EQ(tape.missed(), 0u);
}

TEST_F(TapeTest, TakesSomeWithTemplatesBeyondTheOthers) {
  DatagramTape tape({.datagrams = 2, .payload_octets = 1000, .more_with_templates = 2}, kPlenty);
  for (int i = 0; i < 4; ++i) record(tape, 10);
  for (int i = 0; i < 4; ++i) record(tape, 20, {.has_templates = true});
  record(tape, 30);
  std::vector<std::pair<size_t, bool>> taken;
  for (const DatagramView& view : tape.read()) taken.emplace_back(view.payload().size(), view.note.has_templates);
  using Row = std::pair<size_t, bool>;
  EXPECT_THAT(taken, ElementsAre(Row{10, false}, Row{10, false}, Row{20, true}, Row{20, true}));
  EXPECT_EQ(tape.missed(), 0u);
}

TEST_F(TapeTest, CountsWhatIsBeyondItsOctets) {
  DatagramTape tape({.datagrams = 100, .payload_octets = 250}, kPlenty);
  for (const size_t octets : {100u, 100u, 100u, 10u}) record(tape, octets);
  EXPECT_EQ(tape.datagrams(), 2u) << "nor a short one behind one that was missed";
  EXPECT_EQ(tape.missed(), 2u);
  EXPECT_FALSE(tape.is_out_of_memory());
}

TEST_F(TapeTest, CountsWhatItHasNoMemoryFor) {
  DatagramTape tape({.datagrams = 100, .payload_octets = 100'000}, 4096);
  for (int i = 0; i < 4; ++i) record(tape, 1400);
  EXPECT_EQ(tape.datagrams(), 2u);
  EXPECT_EQ(tape.missed(), 2u);
  EXPECT_TRUE(tape.is_out_of_memory());
}

TEST_F(TapeTest, ReservesWhatItsBoundsNeedHoweverShortDatagramsAre) {
  for (const size_t octets : {0u, 1u, 7u, 8u, 1472u, 65'507u}) {
    DatagramTape tape({.datagrams = 50, .payload_octets = 50 * 65'507}, 16 << 20);
    for (int i = 0; i < 50; ++i) record(tape, octets);
    EXPECT_EQ(tape.datagrams(), 50u) << octets;
    EXPECT_EQ(tape.missed(), 0u) << octets;
    for (const DatagramView& view : tape.read()) ASSERT_EQ(view.payload().size(), octets);
  }
}

TEST_F(TapeTest, CanBeReadWhileItIsBeingFilled) {
  DatagramTape tape({.datagrams = 20'000, .payload_octets = 4 << 20}, 8 << 20);
  std::atomic<bool> is_over{false};
  std::thread core([&] {
    for (size_t i = 0; i < 20'000; ++i) record(tape, i % 200);
    is_over = true;
  });
  size_t seen = 0;
  for (bool last = false; !last;) {
    last = is_over;
    const std::vector<DatagramView> views = tape.read();
    EXPECT_GE(views.size(), seen);
    seen = views.size();
    for (size_t i = 0; i < views.size(); ++i) {
      ASSERT_EQ(views[i].octets.size(), i % 200);
      if (!views[i].octets.empty()) {
        ASSERT_EQ(views[i].octets.back(), 0xab);
      }
    }
  }
  core.join();
  EXPECT_EQ(seen, 20'000u);
}

class TappedPipelineTest : public ::testing::Test {
 protected:
  TappedPipelineTest() {
    Result<std::unique_ptr<Pipeline>> made = Pipeline::create(netflow_pipeline());
    EXPECT_TRUE(made);
    pipeline_ = std::move(*made);
  }
  void tap(const DatagramTaps* taps) {
    const RoleScope control(control_thread);
    pipeline_->set_datagram_taps(taps);
  }
  void poll() {
    const RoleScope role(rx_lcore);
    pipeline_->poll(kNsPerSec, kCaptureTimeNs);
  }
  void frame(const lab::Octets& octets, uint64_t received_ns = kCaptureTimeNs) {
    const RoleScope role(rx_lcore);
    pipeline_->on_frame(octets, packet::LinkType::ethernet, received_ns);
  }
  static DatagramTaps one(DatagramTap tap) {
    DatagramTaps taps;
    taps.taps[taps.count++] = tap;
    return taps;
  }

  std::unique_ptr<Pipeline> pipeline_;
};

TEST_F(TappedPipelineTest, TakesTapsUpBetweenTwoBursts) {
  DatagramTape tape({.datagrams = 10, .payload_octets = 10'000}, kPlenty);
  const DatagramTaps taps = one({.tape = &tape});
  tap(&taps);
  EXPECT_FALSE(pipeline_->has_datagram_taps(&taps));
  frame(v5_frame(1));
  EXPECT_EQ(tape.datagrams(), 0u) << "not within one";
  poll();
  EXPECT_TRUE(pipeline_->has_datagram_taps(&taps));
  frame(v5_frame(1));
  EXPECT_EQ(tape.datagrams(), 1u);
  tap(nullptr);
  poll();
  EXPECT_TRUE(pipeline_->has_datagram_taps(nullptr));
  frame(v5_frame(1));
  EXPECT_EQ(tape.datagrams(), 1u);
}

TEST_F(TappedPipelineTest, KeepsTheIpPacketOfAFrameAsItCame) {
  DatagramTape tape({.datagrams = 10, .payload_octets = 10'000}, kPlenty);
  const DatagramTaps taps = one({.tape = &tape});
  tap(&taps);
  poll();
  const lab::Octets payload = v5_datagram(2);
  const lab::UdpEnds ends{.src = "192.0.2.1", .dst = "192.0.2.200", .src_port = 40'000, .dst_port = kNetflowPort};
  const lab::Octets packet =
      lab::ipv4_packet({.src = ends.src, .dst = ends.dst, .ttl = 7, .options = {1, 1, 1, 1}}, lab::udp_segment(ends, payload));
  const lab::Octets trailer = lab::filled(9, 0x77);
  frame(lab::ethernet(lab::kTpid8021q, lab::vlan(12, lab::kEtherTypeIpv4, lab::join({packet, trailer}))));

  const std::vector<DatagramView> views = tape.read();
  ASSERT_EQ(views.size(), 1u);
  EXPECT_EQ(lab::Octets(views[0].octets.begin(), views[0].octets.end()), packet);
  EXPECT_EQ(lab::Octets(views[0].payload().begin(), views[0].payload().end()), payload);
  EXPECT_EQ(views[0].note.header_octets, 20 + 4 + 8);
  EXPECT_EQ(views[0].note.received_ns, kCaptureTimeNs);
  EXPECT_EQ(views[0].note.source, *IpAddress::parse("192.0.2.1"));
}

TEST_F(TappedPipelineTest, KeepsWhatCameInFragmentsWithItsDestination) {
  DatagramTape tape({.datagrams = 10, .payload_octets = 10'000}, kPlenty);
  const DatagramTaps taps = one({.tape = &tape});
  tap(&taps);
  poll();
  const lab::Octets payload = v5_datagram(20);
  const lab::UdpEnds ends{.src = "192.0.2.1", .dst = "192.0.2.200", .src_port = 40'000, .dst_port = kNetflowPort};
  const lab::Octets segment = lab::udp_segment(ends, payload);
  constexpr size_t kCut = 400;
  const auto fragment = [&](uint16_t flags_and_offset, size_t from, size_t to) {
    const lab::Octets part(segment.begin() + static_cast<ptrdiff_t>(from), segment.begin() + static_cast<ptrdiff_t>(to));
    frame(lab::ethernet(lab::kEtherTypeIpv4, lab::ipv4_packet({.src = ends.src,
                                                               .dst = ends.dst,
                                                               .id = 9,
                                                               .flags_and_offset = flags_and_offset},
                                                              part)));
  };
  fragment(0x2000, 0, kCut);
  EXPECT_EQ(tape.datagrams(), 0u);
  fragment(kCut / 8, kCut, segment.size());
  const std::vector<DatagramView> views = tape.read();
  ASSERT_EQ(views.size(), 1u);
  EXPECT_EQ(lab::Octets(views[0].payload().begin(), views[0].payload().end()), payload);
  EXPECT_EQ(views[0].note.header_octets, 0);
  EXPECT_EQ(views[0].note.destination, *IpAddress::parse("192.0.2.200"));
}

TEST_F(TappedPipelineTest, KnowsTheDatagramsThatDefineTemplatesAndThoseThatAreWrong) {
  DatagramTape all({.datagrams = 10, .payload_octets = 10'000}, kPlenty);
  DatagramTape rejected({.datagrams = 10, .payload_octets = 10'000}, kPlenty);
  DatagramTape templates({.datagrams = 10, .payload_octets = 10'000}, kPlenty);
  DatagramTaps taps = one({.tape = &all});
  taps.taps[taps.count++] = {.wants = TapWants::rejected, .tape = &rejected};
  taps.taps[taps.count++] = {.wants = TapWants::templates, .tape = &templates};
  tap(&taps);
  poll();
  const lab::UdpEnds ends{.src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 9, .dst_port = kNetflowPort};
  const lab::Template good{.id = 256, .fields = {{1, 4}}};
  uint64_t time_ns = 0;
  const auto send = [&](const lab::Octets& payload) { frame(lab::udp_frame(ends, payload), ++time_ns); };
  send(lab::NetflowV9Builder{}.templates({good}).build());                           // 1
  send(lab::NetflowV9Builder{}.data(256, {{lab::u32(1)}}).build());                  // 2
  send(lab::NetflowV9Builder{}.templates({good}).build());                           // 3: the same again
  send(lab::filled(30, 0xee));                                                       // 4
  send(lab::NetflowV9Builder{}.set(7, lab::u32(0)).build());                         // 5: no such set
  send(lab::NetflowV9Builder{}.data(256, {{lab::u32(1)}}).templates({good}).build());  // 6
  send(lab::NetflowV9Builder{}.set(0, lab::u32(0x01010004)).build());                // 7: fields are missing
  const auto times = [](const DatagramTape& tape) {
    std::vector<uint64_t> found;
    for (const DatagramView& view : tape.read()) found.push_back(view.note.received_ns);
    return found;
  };
  EXPECT_THAT(times(all), ElementsAre(1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(times(rejected), ElementsAre(4, 5, 7));
  EXPECT_THAT(times(templates), ElementsAre(1, 3, 6, 7));
  EXPECT_EQ(all.rejected(), 3u);
  EXPECT_EQ(all.with_templates(), 4u);
}

TEST_F(TappedPipelineTest, LeavesTheBooksAndTheRecordsAsTheyWere) {
  DatagramTape tape({.datagrams = 3, .payload_octets = 3000}, kPlenty);
  const DatagramTaps taps = one({.tape = &tape});
  uint64_t octets[2] = {};
  for (const bool is_tapped : {false, true}) {
    tap(is_tapped ? &taps : nullptr);
    poll();
    const Ledger before = pipeline_->ledger();
    const uint64_t encoded_before = pipeline_->batcher_counters().encoded_octets.value();
    for (uint32_t i = 0; i < 20; ++i) {
      frame(v5_frame(10));
      frame(lab::zeros(i));
      frame(lab::udp_frame({.src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 1, .dst_port = kNetflowPort},
                           lab::filled(30, 0xee)));
    }
    const Ledger after = pipeline_->ledger();
    EXPECT_EQ(after.frames - before.frames, 60u);
    EXPECT_EQ(after.datagrams - before.datagrams, 40u);
    EXPECT_EQ(after.datagrams_decoded - before.datagrams_decoded, 20u);
    EXPECT_EQ(after.encoded - before.encoded, 200u);
    octets[is_tapped] = pipeline_->batcher_counters().encoded_octets.value() - encoded_before;
    expect_ledger(*pipeline_);
  }
  EXPECT_EQ(octets[0], octets[1]);
  EXPECT_EQ(tape.datagrams(), 3u);
}

}  // namespace
}  // namespace weir::dataplane::testing
