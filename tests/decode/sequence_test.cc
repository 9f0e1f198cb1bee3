#include "decode/sequence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;

constexpr uint64_t kSecond = 1'000'000'000;

uint32_t draw(std::mt19937& random) { return static_cast<uint32_t>(random()); }

/// An exporter that counts in one unit, and a tracker that has to find out.
class Stream {
 public:
  Stream(SequenceUnit assumed, SequenceUnit counts, uint32_t first = 1000)
      : tracker(assumed), counts_(counts), next_(first) {}

  SequenceMessage make(uint32_t data, uint32_t options = 0, uint32_t templates = 0) {
    SequenceMessage m{.sequence = next_,
                      .data_records = data,
                      .options_records = options,
                      .templates = templates,
                      .received_ns = now_ += kSecond / 100};
    switch (counts_) {
      case SequenceUnit::messages: next_ += 1; break;
      case SequenceUnit::records: next_ += data + options; break;
      case SequenceUnit::data_records: next_ += data; break;
      case SequenceUnit::records_and_templates: next_ += data + options + templates; break;
      case SequenceUnit::count_: break;
    }
    return m;
  }
  void send(const SequenceMessage& m) { lost += tracker.observe(m); }
  void send(uint32_t data, uint32_t options = 0, uint32_t templates = 0) {
    send(make(data, options, templates));
  }
  void jump(uint32_t to) { next_ = to; }
  /// In all, once nothing can come late any more.
  uint64_t lost_in_the_end() {
    lost += tracker.close_old(now_ += 10 * kSecond);
    return lost + tracker.open_units();
  }

  SequenceTracker tracker;
  uint64_t lost = 0;

 private:
  SequenceUnit counts_;
  uint32_t next_;
  uint64_t now_ = kNow;
};

constexpr SequenceUnit kUnits[] = {SequenceUnit::messages, SequenceUnit::records,
                                   SequenceUnit::data_records, SequenceUnit::records_and_templates};

/// Traffic in which the units differ: templates now and then, options data between.
void send_ordinary(Stream& s, int messages, uint32_t seed = 1) {
  std::mt19937 random(seed);
  for (int i = 0; i < messages; ++i) {
    const bool refresh = i % 10 == 0;
    s.send(draw(random) % 30 + 2, i % 10 == 5 ? 3 : 0, refresh ? 2 : 0);
  }
}

TEST(Sequence, LearnsTheUnitThatLeavesNoGap) {
  for (const SequenceUnit assumed : kUnits) {
    for (const SequenceUnit counts : kUnits) {
      SCOPED_TRACE(testing::Message()
                   << name_of(assumed) << " assumed, counts " << name_of(counts));
      Stream s(assumed, counts);
      send_ordinary(s, 200);
      EXPECT_EQ(s.tracker.unit(), counts);
      EXPECT_EQ(s.lost_in_the_end(), 0u) << "what was counted in the wrong unit was not missing";
    }
  }
}

TEST(Sequence, LearnsTheUnitOfASlowExporterWithoutCountingLosses) {
  // Gaps close by time before the unit is known.
  Stream s(SequenceUnit::messages, SequenceUnit::data_records);
  uint64_t at = kNow;
  for (int i = 0; i < 20; ++i) {
    SequenceMessage m = s.make(7);
    m.received_ns = at += 60 * kSecond;
    s.send(m);
  }
  EXPECT_EQ(s.lost, 0u);
  EXPECT_EQ(s.tracker.open_units(), 0u);
}

TEST(Sequence, LossesAreCountedInTheUnitOfTheExporter) {
  for (const SequenceUnit counts : kUnits) {
    SCOPED_TRACE(name_of(counts));
    Stream s(SequenceUnit::messages, counts);
    send_ordinary(s, 100);
    ASSERT_EQ(s.tracker.unit(), counts);
    for (int i = 0; i < 3; ++i) s.make(10);  // on their way, never here
    send_ordinary(s, 100, 2);
    EXPECT_EQ(s.lost_in_the_end(), counts == SequenceUnit::messages ? 3u : 30u);
  }
}

TEST(Sequence, MessagesOfOneRecordTellNoUnitApartButLossesCount) {
  Stream s(SequenceUnit::records, SequenceUnit::data_records);
  for (int i = 0; i < 50; ++i) s.send(1);
  s.make(1);
  for (int i = 0; i < 50; ++i) s.send(1);
  EXPECT_EQ(s.lost_in_the_end(), 1u);
}

TEST(Sequence, ToleratesReorderingWithinTheWindow) {
  for (const SequenceUnit counts : {SequenceUnit::messages, SequenceUnit::records}) {
    SCOPED_TRACE(name_of(counts));
    Stream s(counts, counts);
    std::mt19937 random(3);
    std::vector<SequenceMessage> all;
    for (int i = 0; i < 1000; ++i) all.push_back(s.make(10));
    // Each at most four places from where it was.
    for (size_t i = 0; i + 4 < all.size(); i += 4) {
      std::shuffle(all.begin() + static_cast<std::ptrdiff_t>(i),
                   all.begin() + static_cast<std::ptrdiff_t>(i + 4), random);
    }
    uint64_t at = kNow;
    for (SequenceMessage& m : all) {
      m.received_ns = at += kSecond / 1000;
      s.send(m);
    }
    // The first may have been overtaken before anything was known.
    EXPECT_LE(s.lost_in_the_end(), 0u);
    EXPECT_EQ(s.tracker.unit(), counts);
    EXPECT_EQ(s.tracker.restarts(), 0u);
  }
}

TEST(Sequence, DuplicatesFillNoGap) {
  Stream s(SequenceUnit::messages, SequenceUnit::messages);
  for (int i = 0; i < 10; ++i) s.send(5);
  const SequenceMessage late = s.make(5);
  s.make(5);  // lost
  for (int i = 0; i < 3; ++i) s.send(5);
  s.send(late);
  s.send(late);  // again: the other one is still missing
  s.send(late);
  for (int i = 0; i < 3; ++i) s.send(5);
  EXPECT_EQ(s.lost_in_the_end(), 1u);
  EXPECT_EQ(s.tracker.duplicates(), 2u);
}

TEST(Sequence, EveryMessageTwiceLosesNothing) {
  // As after a balancer's failover.
  for (const SequenceUnit counts : {SequenceUnit::messages, SequenceUnit::records}) {
    Stream s(counts, counts);
    for (int i = 0; i < 100; ++i) {
      const SequenceMessage m = s.make(10);
      s.send(m);
      s.send(m);
    }
    EXPECT_EQ(s.lost_in_the_end(), 0u);
    EXPECT_EQ(s.tracker.duplicates(), 100u);
    EXPECT_EQ(s.tracker.unit(), counts);
  }
}

TEST(Sequence, ALateMessageInTheMiddleLeavesBothEndsOfTheGap) {
  Stream s(SequenceUnit::records, SequenceUnit::records);
  s.send(10);
  s.make(10);
  const SequenceMessage middle = s.make(10);
  s.make(10);
  s.send(10);
  EXPECT_EQ(s.tracker.open_units(), 30u);
  s.send(middle);
  EXPECT_EQ(s.tracker.open_units(), 20u);
  s.send(middle);
  EXPECT_EQ(s.tracker.open_units(), 20u);
  EXPECT_EQ(s.lost_in_the_end(), 20u);
}

TEST(Sequence, RestartsAreRecognised) {
  struct Case {
    const char* name;
    uint32_t before;
    uint32_t after;
    bool told;  // by the uptime
  };
  const Case cases[] = {
      {"the uptime went back", 500'000, 0, true},
      {"the uptime went back, a little further on", 5, 300, true},
      {"far back", 5'000'000, 0, false},
      {"a little back", 1500, 0, false},
      {"far ahead", 100, 3'000'000'000u, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Stream s(SequenceUnit::messages, SequenceUnit::messages, c.before);
    for (int i = 0; i < 20; ++i) s.send(5);
    s.jump(c.after);
    SequenceMessage first = s.make(5);
    first.restarted = c.told;
    s.send(first);
    for (int i = 0; i < 50; ++i) s.send(5);
    EXPECT_EQ(s.tracker.restarts(), 1u);
    // And what is lost from then on is seen again.
    s.make(5);
    for (int i = 0; i < 50; ++i) s.send(5);
    EXPECT_EQ(s.lost_in_the_end(), 1u);
  }
}

TEST(Sequence, NumbersWrap) {
  for (const SequenceUnit counts : kUnits) {
    SCOPED_TRACE(name_of(counts));
    Stream s(counts, counts, 0xffff'ff00u);
    send_ordinary(s, 100);
    s.make(4);
    send_ordinary(s, 100);
    EXPECT_EQ(s.lost_in_the_end(), counts == SequenceUnit::messages ? 1u : 4u);
    EXPECT_EQ(s.tracker.restarts(), 0u);
  }
}

TEST(Sequence, WhatWaitsForItsTemplateCannotBeCounted) {
  Stream s(SequenceUnit::records, SequenceUnit::records);
  for (int i = 0; i < 20; ++i) {
    SequenceMessage m = s.make(10);
    m.records_known = i % 2 == 0;
    if (!m.records_known) m.data_records = 0;
    s.send(m);
  }
  EXPECT_EQ(s.lost_in_the_end(), 0u);
}

TEST(Sequence, GapsAreBoundedAndNoneIsForgotten) {
  Stream s(SequenceUnit::messages, SequenceUnit::messages);
  s.send(5);
  for (int i = 0; i < 100; ++i) {
    s.make(5);
    s.send(5);
  }
  EXPECT_EQ(s.lost_in_the_end(), 100u);
}

TEST(Sequence, AnyNumbersAreStood) {
  std::mt19937 random(9);
  for (int round = 0; round < 200; ++round) {
    Stream s(kUnits[draw(random) % 4], kUnits[draw(random) % 4],
             static_cast<uint32_t>(draw(random)));
    uint64_t before = 0;
    for (int i = 0; i < 200; ++i) {
      SequenceMessage m = s.make(draw(random) % 40, draw(random) % 3, draw(random) % 3);
      if (draw(random) % 4 == 0) m.sequence += draw(random) % 200 - 100;
      if (draw(random) % 50 == 0) m.sequence = static_cast<uint32_t>(draw(random));
      m.records_known = draw(random) % 10 != 0;
      m.restarted = draw(random) % 60 == 0;
      s.send(m);
      ASSERT_GE(s.lost, before);
      before = s.lost;
      ASSERT_LE(s.tracker.open_units(), uint64_t{SequenceTracker::kJumpMax} * 200);
    }
  }
}

// ---- As the decoder uses it ---------------------------------------------------------------------

lab::Template bytes_template() { return {.id = 256, .fields = {{1, 4}}}; }
OptionsTemplate rate_template() { return {.id = 300, .scopes = {{149, 4}}, .fields = {{34, 4}}}; }

std::vector<DomainStats> domains_of(const Bench& b) {
  std::vector<DomainStats> rows(16);
  uint32_t cursor = 0;
  rows.resize(b.decoder->copy_domains(cursor, rows));
  EXPECT_EQ(cursor, 0u);
  std::sort(rows.begin(), rows.end(), [](const auto& x, const auto& y) { return x.id < y.id; });
  return rows;
}

TEST(Sequence, OfIpfixIsLearnedPerExporter) {
  struct Case {
    SequenceUnit unit;
    uint32_t step_template, step_options, step_data;
  };
  for (const Case& c : {Case{SequenceUnit::records, 0, 1, 4}, Case{SequenceUnit::messages, 1, 1, 1},
                        Case{SequenceUnit::data_records, 0, 0, 4},
                        Case{SequenceUnit::records_and_templates, 2, 1, 4}}) {
    SCOPED_TRACE(name_of(c.unit));
    Bench b;
    uint32_t sequence = 77;
    for (int i = 0; i < 20; ++i) {
      const auto at = [&] { return IpfixBuilder{}.export_time(kNowSecs).sequence(sequence); };
      b.send(at().templates({bytes_template()}).options_templates({rate_template()}).build());
      sequence += c.step_template;
      b.send(at().data(300, {{u32(0), u32(9)}}).build());
      sequence += c.step_options;
      b.send(at().data(256, {{u32(1)}, {u32(2)}, {u32(3)}, {u32(4)}}).build());
      sequence += c.step_data;
    }
    b.decoder->tick(kNow + 100 * kSecond);
    EXPECT_EQ(b.exporter().sequence_lost, 0u);
    ASSERT_EQ(domains_of(b).size(), 1u);
    EXPECT_EQ(domains_of(b)[0].sequence_unit, c.unit);
  }
}

TEST(Sequence, OfV5MayCountPackets) {
  Bench b;
  for (uint32_t i = 0; i < 40; ++i) {
    NetflowV5Builder m =
        NetflowV5Builder{}.unix_time(kNowSecs).sequence(500 + i + (i >= 30 ? 2 : 0));
    for (int r = 0; r < 20; ++r) m.record({});
    b.send(m.build());
  }
  b.decoder->tick(kNow + 100 * kSecond);
  EXPECT_EQ(domains_of(b).at(0).sequence_unit, SequenceUnit::messages);
  EXPECT_EQ(b.exporter().sequence_lost, 2u);
  EXPECT_EQ(b.decoder->counters().sequence_lost.value(), 2u);
}

TEST(Sequence, LossIsCountedByDomain) {
  Bench b;
  const auto send = [&b](uint32_t source_id, uint32_t sequence) {
    b.send(NetflowV9Builder{}
               .unix_secs(kNowSecs)
               .source_id(source_id)
               .sequence(sequence)
               .templates({bytes_template()})
               .build());
  };
  for (uint32_t i = 0; i < 10; ++i) {
    send(1, 100 + i);
    send(2, 900 + i * 3);
  }
  const auto rows = domains_of(b);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].sequence_lost, 0u);
  EXPECT_EQ(rows[1].sequence_lost, 18u);
  EXPECT_EQ(b.exporter().sequence_lost, 18u);
  EXPECT_EQ(rows[0].version, 9u);
  EXPECT_EQ(rows[0].templates, 1u);
}

TEST(Sequence, OfEnginesAndAgentsIsFollowedApart) {
  Bench b;
  for (uint32_t i = 0; i < 10; ++i) {
    for (uint8_t engine = 1; engine <= 3; ++engine) {
      b.send(NetflowV5Builder{}
                 .unix_time(kNowSecs)
                 .engine(1, engine)
                 .sequence(engine * 100'000u + i)
                 .record({})
                 .build());
    }
  }
  EXPECT_EQ(b.exporter().sequence_lost, 0u);
  EXPECT_EQ(domains_of(b).size(), 3u);
}

}  // namespace
}  // namespace weir::decode
