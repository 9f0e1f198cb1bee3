// The last datagrams that could not be decoded: which are kept, how many of a flood, and that they show what was wrong.
#include "dataplane/quarantine.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/pipeline.h"
#include "support.h"

namespace weir::dataplane::testing {
namespace {

using decode::Fault;
using ::testing::ElementsAre;

class NoSink final : public RecordSink {
 public:
  void on_records(const RecordBurst&) noexcept override {}
};

class QuarantineTest : public ::testing::Test {
 protected:
  void make(const PipelineConfig& config = netflow_pipeline()) {
    Result<std::unique_ptr<Pipeline>> made = Pipeline::create(config);
    ASSERT_TRUE(made) << made.error().message;
    pipeline_ = std::move(*made);
  }
  void send(const lab::Octets& payload, uint64_t received_ns = 1, std::string_view source = "192.0.2.1") {
    const RoleScope role(rx_lcore);
    pipeline_->on_datagram({.payload = payload,
                            .source = *IpAddress::parse(std::string(source)),
                            .source_port = 4000,
                            .local_port = kNetflowPort,
                            .listener = {0},
                            .received_ns = received_ns});
  }
  void poll() {
    const RoleScope role(rx_lcore);
    pipeline_->poll(steady_ns_ += kQuarantineRefillNs, kCaptureTimeNs);
  }
  /// Asks, and polls until there is an answer.
  std::vector<QuarantinedDatagram> kept() {
    const RoleScope control(control_thread);
    QuarantineQuery query;
    query.rows.resize(kQuarantineRowsMax);
    QuarantineQuery* answer = nullptr;
    EXPECT_TRUE(pipeline_->ask_quarantine(query));
    for (polls_ = 0; polls_ < 100 && !pipeline_->take_quarantine(answer); ++polls_) poll();
    EXPECT_EQ(answer, &query);
    query.rows.resize(query.filled);
    return query.rows;
  }
  std::vector<uint64_t> times_kept() {
    std::vector<uint64_t> times;
    for (const QuarantinedDatagram& row : kept()) times.push_back(row.note.received_ns);
    return times;
  }

  std::unique_ptr<Pipeline> pipeline_;
  uint64_t steady_ns_ = kNsPerSec;
  size_t polls_ = 0;
};

struct Bad {
  Fault reason;
  lab::Octets payload;
};

/// Of each reason that a datagram has by itself.
std::vector<Bad> bad_datagrams() {
  using lab::IpfixBuilder, lab::NetflowV9Builder;
  return {
      {Fault::empty, {}},
      {Fault::truncated_header, {0, 9}},
      {Fault::unknown_version, lab::filled(40, 0xee)},
      {Fault::unsupported_version, lab::join({lab::u16(8), lab::zeros(30)})},
      {Fault::bad_count, lab::join({lab::u16(5), lab::u16(0), lab::zeros(20)})},
      {Fault::bad_length, IpfixBuilder{}.length(3).build()},
      {Fault::bad_agent_address, lab::join({lab::u32(5), lab::u32(9), lab::zeros(40)})},
      {Fault::skipped_reserved_id, NetflowV9Builder{}.set(7, lab::u32(0)).build()},
      {Fault::skipped_bad_length, NetflowV9Builder{}.set(300, lab::u32(1), 900).build()},
      {Fault::skipped_bad_template, NetflowV9Builder{}.set(0, lab::u32(0x01010004)).build()},
  };
}

TEST_F(QuarantineTest, KeepsWhatHasAFaultUnderItAndNothingElse) {
  make();
  send(v5_datagram(3));
  for (const Bad& bad : bad_datagrams()) send(bad.payload, kCaptureTimeNs);
  const std::vector<QuarantinedDatagram> rows = kept();
  ASSERT_EQ(rows.size(), bad_datagrams().size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const Bad bad = bad_datagrams()[i];
    EXPECT_EQ(rows[i].reason, bad.reason) << name_of(bad.reason);
    EXPECT_EQ(lab::Octets(rows[i].octets.begin(), rows[i].octets.begin() + rows[i].note.kept_octets), bad.payload);
    EXPECT_EQ(rows[i].note.source, *IpAddress::parse("192.0.2.1"));
    EXPECT_EQ(rows[i].note.source_port, 4000);
    EXPECT_EQ(rows[i].note.received_ns, kCaptureTimeNs);
  }
  expect_ledger(*pipeline_);
}

TEST_F(QuarantineTest, WhatItKeepsIsRejectedAgainForTheSameReason) {
  make();
  for (const Bad& bad : bad_datagrams()) send(bad.payload);
  for (const QuarantinedDatagram& row : kept()) {
    decode::DecoderConfig config;
    config.listeners.emplace_back();
    auto decoder = decode::Decoder::create(config);
    ASSERT_TRUE(decoder);
    NoSink sink;
    (*decoder)->decode({.payload = row.view().payload(), .source = row.note.source}, sink);
    EXPECT_EQ((*decoder)->faults(), bit_of(row.reason)) << name_of(row.reason);
  }
}

TEST_F(QuarantineTest, KeepsWhatTheOperatorDoesNotLetIn) {
  PipelineConfig config = netflow_pipeline();
  config.listeners[0].rules.protocol = decode::ProtocolFilter::sflow;
  config.decoder.access = {{}, {{*IpAddress::parse("192.0.2.9"), 128}}};
  make(config);
  send(v5_datagram(1), 1);
  send(v5_datagram(1), 2, "192.0.2.9");
  const auto rows = kept();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].reason, Fault::protocol_not_allowed);
  EXPECT_EQ(rows[1].reason, Fault::exporter_not_allowed);
}

TEST_F(QuarantineTest, KeepsTheLastFewOfAReason) {
  make();
  for (uint64_t i = 1; i <= 3 * kQuarantinePerReason; ++i) {
    send(lab::filled(40, 0xee), i);
    poll();
  }
  EXPECT_THAT(times_kept(), ElementsAre(9, 10, 11, 12)) << "the oldest first";
  EXPECT_EQ(pipeline_->quarantine_counters().passed_over.total(), 0u);
}

TEST_F(QuarantineTest, CopiesAFewOfAFloodAndCountsTheOthers) {
  make();
  for (uint64_t i = 1; i <= 1000; ++i) send(lab::filled(40, 0xee), i);
  send(lab::zeros(2), 1001);  // another reason has a share of its own
  EXPECT_THAT(times_kept(), ElementsAre(1001, 1, 2, 3, 4));
  const QuarantineCounters& counters = pipeline_->quarantine_counters();
  EXPECT_EQ(counters.copied[Fault::unknown_version].value(), kQuarantinePerReason);
  EXPECT_EQ(counters.passed_over[Fault::unknown_version].value(), 1000 - kQuarantinePerReason);
  EXPECT_EQ(pipeline_->decoder_counters().datagram_errors.total(), 1001u);
  send(lab::filled(40, 0xee), 2000);  // those polls have let time pass
  EXPECT_THAT(times_kept(), ElementsAre(1001, 2, 3, 4, 2000));
}

TEST_F(QuarantineTest, KeepsTheBeginningOfALongOneAndItsTrueLength) {
  make();
  for (const size_t octets : {kQuarantineOctets, kQuarantineOctets + 1, size_t{65'507}}) send(lab::filled(octets, 0xee));
  const auto rows = kept();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].note.kept_octets, rows[0].note.payload_octets);
  EXPECT_EQ(rows[1].note.payload_octets, kQuarantineOctets + 1);
  EXPECT_EQ(rows[1].note.kept_octets, kQuarantineOctets);
  EXPECT_EQ(rows[2].note.payload_octets, 65'507u);
  EXPECT_EQ(rows[2].note.kept_octets, kQuarantineOctets);
}

TEST_F(QuarantineTest, DataThatFollowsABadDatagramIsNoFault) {
  make();
  send(lab::filled(40, 0xee));
  send(v5_datagram(1));
  send(lab::NetflowV9Builder{}.data(256, {{lab::u32(1)}}).build());  // waits for its template
  EXPECT_EQ(kept().size(), 1u);
}

TEST_F(QuarantineTest, AnswersAReasonAtATimeAndAllOfItAtTheEnd) {
  make();
  for (const Bad& bad : bad_datagrams()) send(bad.payload);
  EXPECT_EQ(kept().size(), bad_datagrams().size());
  EXPECT_GE(polls_, bad_datagrams().size()) << "not all in one go";

  const RoleScope control(control_thread);
  QuarantineQuery query, other;
  query.rows.resize(kQuarantineRowsMax);
  QuarantineQuery* answer = nullptr;
  ASSERT_TRUE(pipeline_->ask_quarantine(query));
  EXPECT_FALSE(pipeline_->ask_quarantine(other)) << "one question at a time";
  {
    const RoleScope role(rx_lcore);
    EXPECT_TRUE(pipeline_->has_open_question());
    pipeline_->finish();
  }
  ASSERT_TRUE(pipeline_->take_quarantine(answer));
  EXPECT_EQ(answer->filled, bad_datagrams().size());
}

}  // namespace
}  // namespace weir::dataplane::testing
