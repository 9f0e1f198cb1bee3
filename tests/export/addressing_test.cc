#include "export/addressing.h"

#include <gtest/gtest.h>

namespace weir::outbound {
namespace {

const RunIdentity kIdentity{"6f1c0c54-8e2e-4d0a-9a55-0d9c1b8d2f10", 1'700'000'000};

OutboundBatch batch_of(uint16_t route, FlowType type, const char* exporter) {
  OutboundBatch batch;
  batch.route = RouteId{route};
  batch.type = type;
  batch.exporter = *IpAddress::parse(exporter);
  batch.core = 5;
  batch.sequence = 77;
  return batch;
}

TEST(Addressing, NamesEachBatchOfARun) {
  const Addressing addressing(kIdentity, {"flows.raw.netflow"});
  EXPECT_EQ(addressing.id_of(batch_of(0, FlowType::ipfix, "192.0.2.1")),
            "6f1c0c54-8e2e-4d0a-9a55-0d9c1b8d2f10.1700000000.5.77");
}

TEST(Addressing, WritesProtocolAndExporterWithoutAddingTokens) {
  const Addressing addressing(kIdentity, {"flows.raw.netflow", "flows.raw.{protocol}_{exporter}"});
  EXPECT_EQ(addressing.subject_of(batch_of(0, FlowType::ipfix, "192.0.2.1")), "flows.raw.netflow");
  EXPECT_EQ(addressing.subject_of(batch_of(1, FlowType::ipfix, "192.0.2.1")),
            "flows.raw.ipfix_192-0-2-1");
  EXPECT_EQ(addressing.subject_of(batch_of(1, FlowType::sflow_5, "2001:db8::1")),
            "flows.raw.sflow_2001-db8--1");
}

TEST(Addressing, KeepsWhatABatchFromTheSpoolWasToBePublishedAs) {
  const Addressing addressing(kIdentity, {"flows.raw.netflow"});
  const ReplayedAs then{"an.earlier.run.1", "flows.raw.other"};
  OutboundBatch batch = batch_of(0, FlowType::ipfix, "192.0.2.1");
  batch.replayed_as = &then;
  EXPECT_EQ(addressing.subject_of(batch), "flows.raw.other");
  EXPECT_EQ(addressing.id_of(batch), "an.earlier.run.1");
}

TEST(SubjectPlaceholders, AreAWholeTokenToAStream) {
  EXPECT_EQ(stream_pattern("flows.raw.netflow"), "flows.raw.netflow");
  EXPECT_EQ(stream_pattern("flows.raw.netflow-{exporter}"), "flows.raw.*");
  EXPECT_EQ(stream_pattern("{protocol}.raw.x"), "*.raw.x");
}

TEST(SubjectPlaceholders, SayHowBatchesAreSplit) {
  EXPECT_FALSE(split_of("flows.raw.netflow").by_protocol);
  EXPECT_FALSE(split_of("flows.raw.netflow").by_exporter);
  EXPECT_TRUE(split_of("a.{protocol}").by_protocol);
  EXPECT_FALSE(split_of("a.{protocol}").by_exporter);
  EXPECT_TRUE(split_of("a.{exporter}").by_exporter);
}

}  // namespace
}  // namespace weir::outbound
