// What append_json_line writes is read back as the same flow.
#include "export/json_flow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/utf8.h"
#include "export/json_lines.h"
#include "export/protocol_names.h"
#include "export/record_maker.h"

namespace weir::outbound {
namespace {

using ::testing::HasSubstr;

TEST(JsonFlow, ReadsBackWhatALineSays) {
  testing::RecordMaker maker(9);
  for (int round = 0; round < 500; ++round) {
    testing::ArenaWriter arena;
    const FlowRecord record = maker.record(arena, testing::Arena::some);
    flowpb::FlowMessage flow = testing::message_of(maker.header(), record, arena.data(),
                                                   record.proto < 256 ? protocol_name(static_cast<uint8_t>(record.proto)) : "");
    // A prefix length is in a line as the prefix of an address, if it is one's.
    if (flow.src_net() > 8 * flow.src_addr().size()) flow.clear_src_net();
    if (flow.dst_net() > 8 * flow.dst_addr().size()) flow.clear_dst_net();
    std::string line;
    append_json_line(flow, line);
    const auto read = parse_json_line(line);
    ASSERT_TRUE(read) << read.error().message << "\n" << line;
    ASSERT_EQ(read->SerializeAsString(), flow.SerializeAsString()) << line;
  }
}

TEST(JsonFlow, TakesNumbersWhereALineHasNames) {
  const auto flow = parse_json_line(R"({"proto":6,"etype":2048,"type":4,"src_net":24,"src_addr":"192.0.2.1"})");
  ASSERT_TRUE(flow) << flow.error().message;
  EXPECT_EQ(flow->proto(), 6u);
  EXPECT_EQ(flow->type(), flowpb::IPFIX);
  EXPECT_EQ(flow->src_net(), 24u);
}

TEST(JsonFlow, SaysWhatItCannotRead) {
  const auto error = [](const char* line) {
    const auto flow = parse_json_line(line);
    return flow ? "" : flow.error().message;
  };
  EXPECT_EQ(error("[1]"), "it is no JSON object");
  EXPECT_EQ(error("{"), "it is no JSON object");
  EXPECT_EQ(error(R"({"src_prt":1})"), "src_prt is no field of a flow");
  EXPECT_EQ(error(R"({"src_port":"x"})"), "src_port cannot be \"x\"");
  EXPECT_EQ(error(R"({"src_port":4294967296})"), "src_port cannot be 4294967296");
  EXPECT_EQ(error(R"({"src_port":-1})"), "src_port cannot be -1");
  EXPECT_EQ(error(R"({"src_addr":"192.0.2"})"), "src_addr cannot be \"192.0.2\"");
  EXPECT_EQ(error(R"({"as_path":5})"), "as_path is 5, not a list");
  EXPECT_EQ(error(R"({"type":"IPFIY"})"), "type cannot be \"IPFIY\"");
  EXPECT_EQ(error(R"({"src_mac":"1:2"})"), "src_mac cannot be \"1:2\"");
}

}  // namespace
}  // namespace weir::outbound
