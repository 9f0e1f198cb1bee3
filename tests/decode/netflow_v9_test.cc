#include <gtest/gtest.h>

#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;
using lab::Template;

constexpr uint32_t kUptime = 10'000'000;

NetflowV9Builder message() {
  return NetflowV9Builder{}.uptime_ms(kUptime).unix_secs(kNowSecs).sequence(5).source_id(9);
}

const lab::Template kBasic{
    .id = 256,
    .fields = {{8, 4}, {12, 4}, {4, 1}, {7, 2}, {11, 2}, {1, 4}, {2, 4}, {22, 4}, {21, 4}}};

Record basic(uint32_t bytes) {
  return Record{ipv4("192.0.2.1"),  ipv4("198.51.100.2"), u8(6),  u16(443),
                u16(50'000),        u32(bytes),           u32(7), u32(kUptime - 5000),
                u32(kUptime - 1000)};
}

TEST(NetflowV9, DecodesByATemplateOfTheSameDatagram) {
  Bench b;
  ASSERT_TRUE(b.send(message().templates({kBasic}).data(256, {basic(1500), basic(40)}).build()));
  ASSERT_EQ(b.records(), 2u);
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(r.dst_addr.to_string(), "198.51.100.2");
  EXPECT_EQ(r.proto, 6u);
  EXPECT_EQ(r.src_port, 443u);
  EXPECT_EQ(r.dst_port, 50'000u);
  EXPECT_EQ(r.bytes, 1500u);
  EXPECT_EQ(r.packets, 7u);
  EXPECT_EQ(r.etype, 0x0800u);
  EXPECT_EQ(r.time_flow_start_ns, kNow - 5'000'000'000);
  EXPECT_EQ(r.time_flow_end_ns, kNow - 1'000'000'000);
  EXPECT_EQ(r.time_source, static_cast<uint32_t>(TimeSource::uptime));
  EXPECT_EQ(b.record(1).bytes, 40u);
  EXPECT_EQ(b.kept(0).header.type, FlowType::netflow_v9);
  EXPECT_EQ(b.kept(0).header.observation_domain_id, 9u);
  EXPECT_EQ(b.outcome(SetOutcome::decoded), 2u);
  EXPECT_EQ(b.decoder->counters().quirks.total(), 0u);
}

TEST(NetflowV9, ToleratesEveryTruncation) {
  expect_truncations_tolerated(
      message().templates({kBasic}).data(256, {basic(1500), basic(40)}).build());
}

TEST(NetflowV9, KeepsRecordsThatArriveBeforeTheirTemplate) {
  Bench b;
  b.send(message().sequence(1).data(256, {basic(1), basic(2)}).build());
  EXPECT_EQ(b.outcome(SetOutcome::waiting_for_template), 1u);
  EXPECT_EQ(b.exporter().sets_waiting, 1u);
  b.send(message().sequence(2).data(256, {basic(3)}).build(), {.at_ns = kNow + 1000});
  b.send(message().sequence(3).templates({kBasic}).data(256, {basic(4)}).build());
  ASSERT_EQ(b.records(), 4u);
  for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ(b.record(i).bytes, i + 1);
  EXPECT_EQ(b.kept(0).header.sequence_num, 1u);
  EXPECT_EQ(b.kept(2).header.sequence_num, 2u);
  EXPECT_EQ(b.kept(2).header.time_received_ns, kNow + 1000);
  EXPECT_EQ(b.outcome(SetOutcome::waiting_for_template), 0u);
  EXPECT_EQ(b.outcome(SetOutcome::decoded), 4u);
  EXPECT_EQ(b.decoder->counters().pending_octets.value(), 0u);
}

}  // namespace
}  // namespace weir::decode
