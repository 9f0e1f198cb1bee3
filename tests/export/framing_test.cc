// What a batch is made into for the broker, read back by protobuf's own classes or by unframe.
#include "export/framing.h"

#include <google/protobuf/io/coded_stream.h>
#include <gtest/gtest.h>

#include <random>

#include "base/value_named.h"
#include "export/batch_reader.h"
#include "netflow_record.pb.h"
#include "support/batches.h"

namespace weir::outbound {
namespace {

using test::BatchBox;

MessageSlice whole(const OutboundBatch& batch) { return {0, batch.octets, batch.records}; }

/// All messages of a batch, formed.
std::vector<std::vector<uint8_t>> messages_of(const OutboundBatch& batch, Framing framing,
                                              Compression compression, size_t octets_max) {
  MessageFormer former(framing, compression);
  std::vector<MessageSlice> slices;
  EXPECT_TRUE(former.divide(batch, whole(batch), octets_max, slices));
  std::vector<std::vector<uint8_t>> messages;
  uint32_t records = 0;
  for (const MessageSlice& slice : slices) {
    EXPECT_EQ(slice.first_record, records);
    records += slice.records;
    const auto octets = former.form(batch, slice);
    EXPECT_LE(octets.size(), octets_max);
    messages.emplace_back(octets.begin(), octets.end());
  }
  EXPECT_EQ(records, batch.records);
  return messages;
}

class EveryFramingAndCompression
    : public ::testing::TestWithParam<std::tuple<Framing, Compression, size_t>> {};

TEST_P(EveryFramingAndCompression, ComesBackAsTheBatch) {
  const auto [framing, compression, octets_max] = GetParam();
  const BatchBox box(1, 300, 0);
  std::vector<uint8_t> joined;
  size_t messages = 0;
  for (const auto& message : messages_of(box.batch, framing, compression, octets_max)) {
    const auto batch = unframe(message, framing, compression);
    ASSERT_TRUE(batch);
    joined.insert(joined.end(), batch->begin(), batch->end());
    ++messages;
  }
  if (is_record_a_message(framing)) {
    EXPECT_EQ(messages, 300u);
  } else if (octets_max > box.octets.size() * 2) {
    EXPECT_EQ(messages, 1u);
  } else {
    EXPECT_GT(messages, 1u);
  }

  if (framing != Framing::netflow_record) {
    EXPECT_EQ(std::string(joined.begin(), joined.end()), box.octets);
    return;
  }
  int i = 0;
  const ReadCounts counts = read_flows(joined, [&](const flowpb::FlowMessage& flow) {
    const flowpb::FlowMessage& was = box.flows.flows(i++);
    EXPECT_EQ(flow.src_addr(), was.src_addr());
    EXPECT_EQ(flow.dst_addr(), was.dst_addr());
    EXPECT_EQ(flow.src_port(), was.src_port());
    EXPECT_EQ(flow.dst_port(), was.dst_port());
    EXPECT_EQ(flow.proto(), was.proto());
    EXPECT_EQ(flow.bytes(), was.bytes());
  });
  EXPECT_EQ(counts.flows, 300u);
  EXPECT_EQ(counts.malformed, 0u);
}

std::string case_name(
    const ::testing::TestParamInfo<EveryFramingAndCompression::ParamType>& case_info) {
  const auto& [framing, compression, octets_max] = case_info.param;
  return std::string(name_of(framing)) + "_" + std::string(name_of(compression)) + "_" +
         std::to_string(octets_max);
}
INSTANTIATE_TEST_SUITE_P(
    Framing, EveryFramingAndCompression,
    ::testing::Combine(::testing::Values(Framing::batch, Framing::single, Framing::delimited,
                                         Framing::netflow_record),
                       ::testing::Values(Compression::none, Compression::lz4, Compression::zstd),
                       ::testing::Values(size_t{4096}, size_t{1} << 20)),
    case_name);

TEST(MessageFormer, WritesDelimitedMessagesThatProtobufReads) {
  const BatchBox box(1, 20, 0);
  const auto messages = messages_of(box.batch, Framing::delimited, Compression::none, 1 << 20);
  ASSERT_EQ(messages.size(), 1u);
  google::protobuf::io::CodedInputStream in(messages[0].data(),
                                            static_cast<int>(messages[0].size()));
  for (int i = 0; i < 20; ++i) {
    uint32_t length = 0;
    ASSERT_TRUE(in.ReadVarint32(&length));
    const auto limit = in.PushLimit(static_cast<int>(length));
    flowpb::FlowMessage flow;
    ASSERT_TRUE(flow.ParseFromCodedStream(&in));
    in.PopLimit(limit);
    EXPECT_EQ(flow.SerializeAsString(), box.flows.flows(i).SerializeAsString());
  }
  EXPECT_EQ(in.CurrentPosition(), static_cast<int>(messages[0].size()));
}

TEST(MessageFormer, WritesNetflowRecordsAsTheOlderPipelineReadsThem) {
  flowpb::FlowMessage flow;
  flow.set_time_flow_end_ns(1'760'000'000'123'456'789);
  flow.set_src_addr(std::string("\xc0\x00\x02\x01", 4));
  flow.set_dst_addr(std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16));
  flow.set_src_port(1234);
  flow.set_dst_port(443);
  flow.set_proto(6);
  flow.set_bytes(1'000'000);
  const std::string octets = flow.SerializeAsString();
  std::vector<uint8_t> out;
  append_netflow_record({reinterpret_cast<const uint8_t*>(octets.data()), octets.size()}, out);
  flowpb::NetFlowRecord record;
  ASSERT_TRUE(record.ParseFromArray(out.data(), static_cast<int>(out.size())));
  EXPECT_EQ(record.timestamp(), 1'760'000'000'123);
  EXPECT_EQ(record.src_ip(), "192.0.2.1");
  EXPECT_EQ(record.dst_ip(), "2001:db8::1");
  EXPECT_EQ(record.src_port(), 1234u);
  EXPECT_EQ(record.dst_port(), 443u);
  EXPECT_EQ(record.protocol(), 6u);
  EXPECT_EQ(record.bytes(), 1'000'000u);
}

TEST(MessageFormer, DividesAPartFurtherUnderTheNumbersOfItsRecords) {
  const BatchBox box(1, 100, 0);
  MessageFormer former(Framing::batch, Compression::none);
  std::vector<MessageSlice> slices;
  ASSERT_TRUE(former.divide(box.batch, whole(box.batch), 4096, slices));
  ASSERT_GT(slices.size(), 1u);
  const MessageSlice second = slices[1];
  ASSERT_TRUE(former.divide(box.batch, second, second.octets / 2 + 100, slices));
  ASSERT_GE(slices.size(), 2u);
  EXPECT_EQ(slices.front().first_record, second.first_record);
  EXPECT_EQ(slices.back().first_record + slices.back().records,
            second.first_record + second.records);
  EXPECT_EQ(slices.back().offset + slices.back().octets, second.offset + second.octets);
}

TEST(MessageFormer, SaysWhereARecordAloneIsTooLarge) {
  const BatchBox box(1, 3, 0);
  MessageFormer former(Framing::batch, Compression::none);
  std::vector<MessageSlice> slices;
  EXPECT_FALSE(former.divide(box.batch, whole(box.batch), 16, slices));
}

TEST(MessageFormer, SendsOtherKindsThanFlowsAsTheyAre) {
  BatchBox box(1, 2, 0);
  box.batch.kind = RecordKind::sflow_counters;
  MessageFormer former(Framing::netflow_record, Compression::none);
  std::vector<MessageSlice> slices;
  ASSERT_TRUE(former.divide(box.batch, whole(box.batch), 1 << 20, slices));
  ASSERT_EQ(slices.size(), 2u);
  const auto octets = former.form(box.batch, slices[1]);
  EXPECT_EQ(std::string(octets.begin(), octets.end()), box.flows.flows(1).SerializeAsString());
  EXPECT_EQ(former.framing_of(box.batch.kind), Framing::single);
  EXPECT_EQ(former.framing_of(RecordKind::flow), Framing::netflow_record);
}

/// Octets that are not what they are said to be are refused, whatever was done to them.
TEST(Unframe, TakesAnyOctetsWithoutHarm) {
  const BatchBox box(1, 50, 0);
  std::mt19937 random(20261120);
  for (const Framing framing : {Framing::batch, Framing::delimited, Framing::netflow_record}) {
    for (const Compression compression : {Compression::none, Compression::lz4, Compression::zstd}) {
      const auto good = messages_of(box.batch, framing, compression, 1 << 20).front();
      for (int i = 0; i < 500; ++i) {
        std::vector<uint8_t> bad = good;
        bad.resize(1 + random() % bad.size());
        for (int n = 0; n < 3; ++n) bad[random() % bad.size()] = static_cast<uint8_t>(random());
        const auto batch = unframe(bad, framing, compression);
        EXPECT_LE(batch ? batch->size() : 0, kUnframedOctetsMax);
      }
    }
  }
}

TEST(Unframe, RefusesACutMessage) {
  const BatchBox box(1, 50, 0);
  for (const Compression compression : {Compression::lz4, Compression::zstd}) {
    auto message = messages_of(box.batch, Framing::batch, compression, 1 << 20).front();
    message.pop_back();
    EXPECT_FALSE(unframe(message, Framing::batch, compression));
    message.clear();
    EXPECT_FALSE(unframe(message, Framing::batch, compression));
  }
  auto delimited = messages_of(box.batch, Framing::delimited, Compression::none, 1 << 20).front();
  delimited.pop_back();
  EXPECT_FALSE(unframe(delimited, Framing::delimited, Compression::none));
}

/// A few octets that claim to be terabytes, or unpack to more than is allowed.
TEST(Unframe, RefusesWhatUnpacksToMoreThanTheBound) {
  OutboundBatch huge;
  std::vector<uint8_t> zeros(kUnframedOctetsMax + 1);
  huge.data = zeros.data();
  huge.octets = static_cast<uint32_t>(zeros.size());
  for (const Compression compression : {Compression::lz4, Compression::zstd}) {
    MessageFormer former(Framing::batch, compression);
    const auto packed = former.form(huge, {0, huge.octets, 1});
    EXPECT_LT(packed.size(), 1u << 20);
    EXPECT_FALSE(unframe(packed, Framing::batch, compression));
  }
}

TEST(FramingNames, AreReadBack) {
  EXPECT_EQ(value_named<Framing>("netflow_record"), Framing::netflow_record);
  EXPECT_EQ(value_named<Compression>("zstd"), Compression::zstd);
  EXPECT_EQ(value_named<Framing>("Batch"), std::nullopt);
  EXPECT_EQ(value_named<Framing>("count_"), std::nullopt);
}

}  // namespace
}  // namespace weir::outbound
