// The messages of a stream, however it is cut, and what a decoder makes of transport sessions.
#include "decode/message_framer.h"

#include <gtest/gtest.h>

#include "decode_support.h"
#include "fuzz/framer_oracle.h"

namespace weir::decode {
namespace {

using namespace lab;

IpfixBuilder ipfix() { return IpfixBuilder{}.export_time(kNowSecs); }

const lab::Template kTwoFields{.id = 256, .fields = {{8, 4}, {1, 4}}};
const lab::Template kOtherFields{.id = 256, .fields = {{8, 4}, {12, 4}, {1, 4}}};

Octets stream_of(const std::vector<Octets>& messages) {
  Octets all;
  for (const Octets& message : messages) append(all, message);
  return all;
}

struct Framed {
  std::vector<Octets> messages;
  bool is_malformed = false;
  size_t held = 0;
};

Framed frame(const Octets& stream, size_t cut) {
  static std::vector<uint8_t> room(MessageFramer::kMessageOctetsMax);
  MessageFramer framer(room.data());
  Framed framed;
  std::span<const uint8_t> message;
  for (auto part : {std::span(stream).first(cut), std::span(stream).subspan(cut)}) {
    for (auto step = framer.next(part, message); step != MessageFramer::Step::wait; step = framer.next(part, message)) {
      if (step == MessageFramer::Step::malformed) {
        framed.is_malformed = true;
        return framed;
      }
      framed.messages.emplace_back(message.begin(), message.end());
    }
  }
  framed.held = framer.held().size();
  return framed;
}

TEST(MessageFramer, FindsTheSameMessagesWhereverTheStreamIsCut) {
  const std::vector<Octets> messages = {ipfix().templates({kTwoFields}).build(), ipfix().build(),
                                        ipfix().data(256, {{u32(1), u32(2)}, {u32(3), u32(4)}}).build()};
  const Octets stream = stream_of(messages);
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    const Framed framed = frame(stream, cut);
    EXPECT_EQ(framed.messages, messages) << "cut at " << cut;
    EXPECT_FALSE(framed.is_malformed);
    EXPECT_EQ(framed.held, 0u);
  }
}

TEST(MessageFramer, HoldsWhatHasNoEndYet) {
  const Octets message = ipfix().templates({kTwoFields}).build();
  for (size_t octets = 0; octets < message.size(); ++octets) {
    const Framed framed = frame(Octets(message.begin(), message.begin() + static_cast<ptrdiff_t>(octets)), octets / 2);
    EXPECT_TRUE(framed.messages.empty());
    EXPECT_EQ(framed.held, octets);
  }
}

TEST(MessageFramer, HasRoomForTheLongestMessage) {
  Octets longest = ipfix().set(2, zeros(65'535 - 16 - 4)).build();
  ASSERT_EQ(longest.size(), 65'535u);
  const Octets stream = stream_of({longest, longest});
  FramerOracle oracle;
  for (const uint8_t cut : {uint8_t{0}, uint8_t{1}, uint8_t{255}}) oracle.check_cut(stream, cut);
}

TEST(MessageFramer, SaysWhereAStreamMakesNoSense) {
  const Octets good = ipfix().templates({kTwoFields}).build();
  for (const Octets& bad : {ipfix().version(9).build(), ipfix().version(0).build(), ipfix().version(2570).build(),
                            ipfix().length(0).build(), ipfix().length(15).build()}) {
    const Octets stream = stream_of({good, bad, good});
    for (size_t cut = 0; cut <= stream.size(); ++cut) {
      const Framed framed = frame(stream, cut);
      EXPECT_EQ(framed.messages, std::vector<Octets>{good}) << "cut at " << cut;
      EXPECT_TRUE(framed.is_malformed);
    }
  }
}

TEST(MessageFramer, IsAsItsOracleSaysForRandomStreams) {
  FramerOracle oracle;
  uint32_t random = 7;
  for (int i = 0; i < 2000; ++i) {
    Octets stream;
    for (int m = 0; m < 6; ++m) {
      random = random * 1'664'525u + 1'013'904'223u;
      append(stream, ipfix().set(300, zeros((random >> 16) % 300)).build());
    }
    random = random * 1'664'525u + 1'013'904'223u;
    if ((random >> 20) % 4 == 0) stream[(random >> 8) % stream.size()] ^= 0x41;
    stream.insert(stream.begin(), static_cast<uint8_t>(random >> 24));
    oracle.check(stream.data(), stream.size());
  }
}

// ── what a session says is the session's ─────────────────────────────────────────────────────────

class TransportSessions : public ::testing::Test {
 protected:
  bool send(uint32_t session, const Octets& message, uint16_t port = 40'000) {
    return decoder().decode({.payload = message,
                             .source = kExporter,
                             .source_port = static_cast<uint16_t>(port + session),
                             .listener = {0},
                             .received_ns = kNow,
                             .session = session},
                            bench_.sink);
  }
  Decoder& decoder() { return *bench_.decoder; }
  const DecoderCounters& counters() { return decoder().counters(); }

  const IpAddress kExporter = IpAddress::from_v4(0xC0000207u);
  Bench bench_{Bench::default_config()};
};

TEST_F(TransportSessions, HaveTemplatesOfOneNumberEach) {
  ASSERT_TRUE(send(1, ipfix().templates({kTwoFields}).data(256, {{u32(1), u32(100)}}).build()));
  ASSERT_TRUE(send(2, ipfix().templates({kOtherFields}).data(256, {{u32(2), u32(3), u32(200)}}).build()));
  ASSERT_TRUE(send(0, ipfix().templates({kTwoFields}).build()));
  ASSERT_TRUE(send(1, ipfix().data(256, {{u32(4), u32(101)}}).build()));
  ASSERT_TRUE(send(2, ipfix().data(256, {{u32(5), u32(6), u32(201)}}).build()));
  ASSERT_EQ(bench_.sink.records.size(), 4u);
  const uint64_t octets[] = {100, 200, 101, 201};
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(bench_.sink.records[i].record.bytes, octets[i]);
  EXPECT_EQ(counters().quirks[Quirk::template_redefined].value(), 0u);
  EXPECT_EQ(counters().quirks[Quirk::template_conflict].value(), 0u);
}

TEST_F(TransportSessions, ForgetTheirTemplatesWhenTheyEnd) {
  ASSERT_TRUE(send(1, ipfix().domain(7).templates({kTwoFields}).data(256, {{u32(1), u32(100)}}).build()));
  ASSERT_TRUE(send(1, ipfix().domain(8).data(300, {{u32(1)}}).build()));  // waits
  ASSERT_TRUE(send(2, ipfix().domain(7).templates({kTwoFields}).build()));
  EXPECT_EQ(counters().templates.value(), 2u);
  decoder().end_session(kExporter, 1);
  EXPECT_EQ(counters().templates.value(), 1u);
  EXPECT_EQ(counters().set_outcomes[SetOutcome::expired].value(), 1u);
  EXPECT_EQ(counters().set_outcomes[SetOutcome::evicted].value(), 0u);
  EXPECT_EQ(counters().template_events[TemplateEvent::withdrawn].value(), 1u);
  EXPECT_EQ(counters().template_events[TemplateEvent::evicted].value(), 0u);
  EXPECT_EQ(counters().set_outcomes[SetOutcome::waiting_for_template].value(), 0u);
  // The next one with that number knows nothing; nor does what comes by UDP.
  ASSERT_TRUE(send(1, ipfix().domain(7).data(256, {{u32(1), u32(100)}}).build()));
  ASSERT_TRUE(send(0, ipfix().domain(7).data(256, {{u32(1), u32(100)}}).build()));
  EXPECT_EQ(bench_.sink.records.size(), 1u);
  ASSERT_TRUE(send(2, ipfix().domain(7).data(256, {{u32(2), u32(200)}}).build()));
  EXPECT_EQ(bench_.sink.records.size(), 2u);
  EXPECT_EQ(ledger_error(counters()), "");
}

TEST_F(TransportSessions, MayWithdrawATemplateAndDefineItAnew) {
  ASSERT_TRUE(send(1, ipfix().templates({kTwoFields}).build()));
  ASSERT_TRUE(send(1, ipfix().templates({{.id = 256, .fields = {}}}).build()));
  EXPECT_EQ(counters().template_events[TemplateEvent::withdrawn].value(), 1u);
  ASSERT_TRUE(send(1, ipfix().templates({kOtherFields}).data(256, {{u32(2), u32(3), u32(200)}}).build()));
  ASSERT_EQ(bench_.sink.records.size(), 1u);
  EXPECT_EQ(bench_.sink.records[0].record.bytes, 200u);
}

TEST_F(TransportSessions, CountTheirOwnSequence) {
  const auto data = [](uint32_t sequence) { return ipfix().sequence(sequence).data(256, {{u32(1), u32(1)}}).build(); };
  for (const uint32_t session : {1u, 2u}) ASSERT_TRUE(send(session, ipfix().templates({kTwoFields}).build()));
  for (uint32_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(send(1, data(i)));
    ASSERT_TRUE(send(2, data(5000 + i)));
  }
  EXPECT_EQ(counters().sequence_lost.value(), 0u);
}

TEST_F(TransportSessions, RejectWhatIsNoWholeMessageByName) {
  const Octets whole = ipfix().templates({kTwoFields}).build();
  for (size_t octets = 1; octets < whole.size(); ++octets)
    EXPECT_FALSE(send(1, Octets(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(octets))));
  EXPECT_EQ(counters().datagram_errors[DatagramError::truncated_message].value(), whole.size() - 1);
  EXPECT_FALSE(send(1, NetflowV9Builder{}.templates({kTwoFields}).build()));
  EXPECT_FALSE(send(1, {'G', 'E', 'T', ' ', '/'}));
  EXPECT_EQ(counters().datagram_errors[DatagramError::unknown_version].value(), 2u);
  EXPECT_FALSE(send(1, ipfix().length(15).build()));
  EXPECT_EQ(counters().datagram_errors[DatagramError::bad_length].value(), 1u);
  EXPECT_EQ(counters().templates.value(), 0u);
}

TEST_F(TransportSessions, AreNotWhatARestartRemembers) {
  ASSERT_TRUE(send(1, ipfix().templates({kTwoFields}).build()));
  ASSERT_TRUE(send(0, ipfix().templates({kOtherFields}).build()));
  std::vector<uint8_t> octets(4 * kStateChunkOctetsMin);
  StateCursor cursor;
  size_t filled = 0;
  while (!cursor.is_over) filled += decoder().copy_state(cursor, std::span(octets).subspan(filled));
  uint32_t templates = 0;
  for (size_t at = 0; at < filled;) {
    const StateRecord r{octets.data() + at};
    templates += r.type() == StateRecordType::template_;
    at += r.octets();
  }
  EXPECT_EQ(templates, 1u);
}

// Who has a session open would not say its templates again.
TEST(TransportSessionsOfMany, KeepTheirExporterInAFullTable) {
  DecoderConfig config = Bench::default_config();
  config.limits.exporters_max = 2;
  Bench bench(config);
  const auto send = [&](uint32_t exporter, uint32_t session, const Octets& message, uint64_t now_ns) {
    return bench.decoder->decode({.payload = message,
                                  .source = IpAddress::from_v4(exporter),
                                  .source_port = 40'000,
                                  .listener = {0},
                                  .received_ns = now_ns,
                                  .session = session},
                                 bench.sink);
  };
  constexpr uint64_t kLater = kNow + 3600ull * 1'000'000'000;
  ASSERT_TRUE(send(1, 1, ipfix().templates({kTwoFields}).build(), kNow));
  ASSERT_TRUE(send(2, 0, ipfix().templates({kTwoFields}).build(), kNow + 1));
  for (uint32_t flood = 3; flood < 50; ++flood)
    send(flood, 0, ipfix().templates({kTwoFields}).build(), kLater + flood * 20ull * 1'000'000'000);
  ASSERT_TRUE(send(1, 1, ipfix().data(256, {{u32(1), u32(100)}}).build(), kLater));
  EXPECT_EQ(bench.sink.records.size(), 1u);
}

}  // namespace
}  // namespace weir::decode
