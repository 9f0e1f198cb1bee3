#include "export/batch_reader.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

namespace weir::outbound {
namespace {

std::span<const uint8_t> octets_of(const std::string& s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

std::string text_of(std::span<const uint8_t> octets) { return {octets.begin(), octets.end()}; }

/// `count` flows numbered by their bytes, from 1 on; user names make some long.
flowpb::FlowBatch make_batch(int count) {
  flowpb::FlowBatch batch;
  for (int i = 1; i <= count; ++i) {
    auto* flow = batch.add_flows();
    flow->set_bytes(static_cast<uint64_t>(i));
    flow->set_user_name(std::string(static_cast<size_t>(i % 5) * 100, 'x'));
  }
  return batch;
}

struct Read {
  std::vector<uint64_t> numbers;
  ReadCounts counts;
};

/// From an allocation of exactly this size, so that ASan sees a read beyond.
Read read(const std::string& payload) {
  const auto exact = std::make_unique<uint8_t[]>(payload.size());
  std::copy(payload.begin(), payload.end(), exact.get());
  Read r;
  r.counts = read_flows({exact.get(), payload.size()}, [&](const flowpb::FlowMessage& flow) {
    r.numbers.push_back(flow.bytes());
  });
  EXPECT_EQ(r.counts.flows, r.numbers.size());
  return r;
}

TEST(BatchWalk, SplitsABatchIntoItsMessages) {
  const flowpb::FlowBatch batch = make_batch(20);
  const std::string payload = batch.SerializeAsString();
  BatchWalk walk(octets_of(payload));
  std::string again;
  int i = 0;
  for (BatchEntry entry; walk.next(entry); ++i) {
    EXPECT_EQ(text_of(entry.message), batch.flows(i).SerializeAsString());
    again += text_of(entry.framed);
  }
  EXPECT_EQ(i, 20);
  EXPECT_TRUE(walk.complete());
  EXPECT_EQ(again, payload);
}

TEST(BatchWalk, EndsWhereTheOctetsAreNoBatch) {
  struct {
    const char* what;
    std::string payload;
    int messages;
    bool complete;
  } cases[] = {
      {"nothing", "", 0, true},
      {"one empty message", std::string("\x0a\x00", 2), 1, true},
      {"a tag alone", "\x0a", 0, false},
      {"another field", std::string("\x08\x01", 2), 0, false},
      {"another field behind a message", std::string("\x0a\x00\x12\x00", 4), 1, false},
      {"more announced than there is", std::string("\x0a\x05\x08", 3), 0, false},
      {"a length without an end", std::string("\x0a\xff\xff\xff", 4), 0, false},
      {"a length of too many octets", std::string("\x0a\xff\xff\xff\xff\xff\x00", 7), 0, false},
      {"a length of all ones", std::string("\x0a\xff\xff\xff\xff\x7f", 6), 0, false},
      {"a length that is not minimal", std::string("\x0a\x80\x00\x0a\x00", 5), 2, true},
  };
  for (const auto& c : cases) {
    BatchWalk walk(octets_of(c.payload));
    int messages = 0;
    for (BatchEntry entry; walk.next(entry);) ++messages;
    EXPECT_EQ(messages, c.messages) << c.what;
    EXPECT_EQ(walk.complete(), c.complete) << c.what;
  }
}

TEST(ReadFlows, ReadsABatchAndASingleMessage) {
  const flowpb::FlowBatch batch = make_batch(3);
  EXPECT_EQ(read(batch.SerializeAsString()).numbers, (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(read(batch.flows(2).SerializeAsString()).numbers, std::vector<uint64_t>{3});
  EXPECT_EQ(read(batch.flows(2).SerializeAsString()).counts.malformed, 0u);
}

TEST(ReadFlows, CountsAMessageThatIsNoneAndReadsTheOthers) {
  std::string payload = make_batch(1).SerializeAsString();
  payload += std::string("\x0a\x02\xff\xff", 4);
  payload += make_batch(1).SerializeAsString();
  const Read r = read(payload);
  EXPECT_EQ(r.numbers, (std::vector<uint64_t>{1, 1}));
  EXPECT_EQ(r.counts.malformed, 1u);
}

TEST(ReadFlows, KeepsWhatStandsBeforeEveryTruncation) {
  const flowpb::FlowBatch batch = make_batch(6);
  const std::string payload = batch.SerializeAsString();
  std::vector<size_t> ends = {0};
  BatchWalk walk(octets_of(payload));
  for (BatchEntry entry; walk.next(entry);) ends.push_back(ends.back() + entry.framed.size());
  size_t whole = 0;
  for (size_t octets = 1; octets <= payload.size(); ++octets) {
    if (octets == ends[whole + 1]) ++whole;
    const Read r = read(payload.substr(0, octets));
    ASSERT_EQ(r.numbers.size(), whole) << octets;
    ASSERT_EQ(r.counts.malformed, octets == ends[whole] ? 0u : 1u) << octets;
  }
}

TEST(ReadFlows, SurvivesAnyOctets) {
  std::mt19937_64 random(5);
  const std::string good = make_batch(8).SerializeAsString();
  for (int i = 0; i < 5000; ++i) {
    std::string payload = good;
    for (uint64_t n = random() % 4 + 1; n-- > 0;) {
      payload[random() % payload.size()] = static_cast<char>(random());
    }
    const Read r = read(payload);
    EXPECT_LE(r.counts.flows + r.counts.malformed, payload.size());
  }
}

}  // namespace
}  // namespace weir::outbound
