// A FlowView holds what protobuf's own classes read from the same octets, and both refuse the same octets.
#include "flow/flow_parser.h"

#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include "export/protocol_names.h"
#include "export/record_maker.h"
#include "export/wire.h"

namespace weir::outbound {
namespace {

std::span<const uint8_t> octets_of(const std::string& s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

/// Every field, compared by name.
void expect_same(const FlowView& view, const flowpb::FlowMessage& flow) {
#define WEIR_SAME_(member, number) \
  EXPECT_EQ(view[NumberSlot::member], static_cast<std::make_unsigned_t<decltype(+flow.member())>>(flow.member())) << #member;
  WEIR_VIEW_NUMBERS_64(WEIR_SAME_)
#undef WEIR_SAME_
#define WEIR_SAME_(member, number) \
  EXPECT_EQ(view[NumberSlot::member], static_cast<uint32_t>(flow.member())) << #member;
  WEIR_VIEW_NUMBERS_32(WEIR_SAME_)
#undef WEIR_SAME_
#define WEIR_SAME_(member, number) EXPECT_EQ(view[OctetsSlot::member], flow.member()) << #member;
  WEIR_VIEW_OCTETS(WEIR_SAME_)
#undef WEIR_SAME_
#define WEIR_SAME_(member, number)                                                                         \
  {                                                                                                        \
    std::vector<uint32_t> numbers;                                                                         \
    for_each_number(view, ListSlot::member, [&](uint32_t v) { numbers.push_back(v); });                    \
    EXPECT_EQ(numbers, std::vector<uint32_t>(flow.member().begin(), flow.member().end())) << #member;      \
    EXPECT_EQ(view.has(ListSlot::member), !numbers.empty()) << #member;                                    \
  }
  WEIR_NUMBER_LISTS(WEIR_SAME_)
#undef WEIR_SAME_
#define WEIR_SAME_(member, number)                                                                         \
  {                                                                                                        \
    std::vector<std::string> entries;                                                                      \
    for_each_octets(view, ListSlot::member, [&](std::string_view v) { entries.emplace_back(v); });         \
    EXPECT_EQ(entries, std::vector<std::string>(flow.member().begin(), flow.member().end())) << #member;   \
  }
  WEIR_ADDRESS_LISTS(WEIR_SAME_)
  WEIR_STRING_LISTS(WEIR_SAME_)
#undef WEIR_SAME_
  int i = 0;
  for_each_octets(view, ListSlot::unmapped, [&](std::string_view entry) {
    UnmappedView element;
    ASSERT_TRUE(parse_unmapped(entry, element));
    ASSERT_LT(i, flow.unmapped_size());
    EXPECT_EQ(element.enterprise, flow.unmapped(i).enterprise());
    EXPECT_EQ(element.id, flow.unmapped(i).id());
    EXPECT_EQ(element.value, flow.unmapped(i).value());
    ++i;
  });
  EXPECT_EQ(i, flow.unmapped_size());
}

std::string random_message(testing::RecordMaker& maker) {
  testing::ArenaWriter arena;
  const FlowRecord record = maker.record(arena, maker.one_in(2) ? testing::Arena::some : testing::Arena::none);
  return testing::message_of(maker.header(), record, arena.data(),
                             record.proto < 256 ? protocol_name(static_cast<uint8_t>(record.proto)) : "")
      .SerializeAsString();
}

TEST(FlowParser, ReadsWhatProtobufReads) {
  testing::RecordMaker maker(1);
  for (int round = 0; round < 2000; ++round) {
    SCOPED_TRACE(round);
    const std::string message = random_message(maker);
    flowpb::FlowMessage flow;
    ASSERT_TRUE(flow.ParseFromString(message));
    FlowView view;
    ASSERT_TRUE(parse_flow(octets_of(message), view));
    expect_same(view, flow);
    if (::testing::Test::HasFailure()) break;
  }
}

/// Two messages one behind the other are one whose lists are both's: entries lie apart, and scalars come twice.
TEST(FlowParser, JoinsListsThatLieApart) {
  testing::RecordMaker maker(2);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    const std::string message = random_message(maker) + random_message(maker);
    flowpb::FlowMessage flow;
    ASSERT_TRUE(flow.ParseFromString(message));
    FlowView view;
    ASSERT_TRUE(parse_flow(octets_of(message), view));
    expect_same(view, flow);
    if (::testing::Test::HasFailure()) break;
  }
}

TEST(FlowParser, RefusesEveryTruncationThatProtobufRefuses) {
  const google::protobuf::LogSilencer quiet;
  testing::RecordMaker maker(3);
  for (int round = 0; round < 20; ++round) {
    const std::string message = random_message(maker);
    for (size_t length = 0; length <= message.size(); ++length) {
      const std::vector<uint8_t> cut(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(length));
      flowpb::FlowMessage flow;
      FlowView view;
      const bool whole = flow.ParseFromArray(cut.data(), static_cast<int>(cut.size()));
      ASSERT_EQ(parse_flow(cut, view), whole) << length;
      if (whole) expect_same(view, flow);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

/// Protobuf looks into texts and groups, which a view does not: there it may refuse more, or take more.
TEST(FlowParser, SurvivesDamageAnywhere) {
  const google::protobuf::LogSilencer quiet;
  testing::RecordMaker maker(4);
  size_t both = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string message = random_message(maker);
    if (message.empty()) continue;
    for (uint64_t i = 0; i <= maker.below(3); ++i) {
      message[maker.below(message.size())] = static_cast<char>(maker.below(256));
    }
    const std::vector<uint8_t> octets(message.begin(), message.end());
    flowpb::FlowMessage flow;
    FlowView view;
    if (!parse_flow(octets, view)) continue;
    size_t entries = 0;
    for (size_t slot = 0; slot < view.lists.size(); ++slot) {
      for_each_number(view, static_cast<ListSlot>(slot), [&](uint32_t) { ++entries; });
      for_each_octets(view, static_cast<ListSlot>(slot), [&](std::string_view) { ++entries; });
    }
    ASSERT_LE(entries, 2 * octets.size());
    if (!flow.ParseFromArray(octets.data(), static_cast<int>(octets.size()))) continue;
    ++both;
#define WEIR_SAME_(member, number) \
  ASSERT_EQ(view[NumberSlot::member], static_cast<std::make_unsigned_t<decltype(+flow.member())>>(flow.member())) << #member;
    WEIR_VIEW_NUMBERS_64(WEIR_SAME_)
#undef WEIR_SAME_
  }
  EXPECT_GT(both, 5000u);
}

/// It would be a flow that says nothing, at 1970.
TEST(FlowParser, RefusesMessagesOfSomethingElse) {
  testing::RecordMaker maker(5);
  std::string flow = random_message(maker);
  while (flow.size() < 20) flow = random_message(maker);
  flowpb::FlowBatch batch;
  for (int i = 0; i < 14; ++i) ASSERT_TRUE(batch.add_flows()->ParseFromString(flow));
  FlowView view;
  EXPECT_FALSE(parse_flow(octets_of(batch.SerializeAsString()), view)) << "field 1 is a number";
  const std::string unknown = "\x98\xb5\x18\x05";
  EXPECT_FALSE(parse_flow(octets_of(unknown), view));
  EXPECT_TRUE(parse_flow(octets_of(unknown + flow), view)) << "of a newer schema";
  EXPECT_TRUE(parse_flow(octets_of(flow + unknown), view));
  EXPECT_TRUE(parse_flow({}, view));
}

TEST(FlowParser, RefusesWhatIsLargerThanAFlowCanBe) {
  std::string message = "\x3a";  // dst_addr
  uint8_t length[10];
  const size_t n = kFlowMessageOctetsMax - 4;
  message.append(length, wire::put_varint(length, n));
  message.append(n, 'x');
  ASSERT_EQ(message.size(), kFlowMessageOctetsMax);
  FlowView view;
  EXPECT_TRUE(parse_flow(octets_of(message), view));
  message += std::string("\x08\x01", 2);
  EXPECT_FALSE(parse_flow(octets_of(message), view));
}

}  // namespace
}  // namespace weir::outbound
