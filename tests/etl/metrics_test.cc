// Dashboards and alerts of deploy/ ask for metrics that are there.
#include "etl/metrics.h"

#include <gtest/gtest.h>

#include "support/named_metrics.h"

namespace weir::etl {
namespace {

/// With one of everything that is told of one by one.
EtlView full_view() {
  EtlView view;
  view.rules.rules.push_back({"rule", 1, 2, 3});
  view.rules.sources.push_back({enrich::DataSetKind::threat, "threats.csv", "threat", "version", "digest", 4});
  view.source.inputs.emplace_back();
  view.publishers.emplace_back();
  view.names = std::make_shared<const feed::NamesView>();
  return view;
}

TEST(EtlMetrics, AreWhatDashboardsAndAlertsAskFor) {
  service::MetricPage page;
  add_metrics(full_view(), {}, {}, page);
  const std::string text = page.render();
  test::expect_named_metrics_on(text, "deploy/grafana/weir-etl.json", "weir_etl");
  test::expect_named_metrics_on(text, "deploy/prometheus/weir-etl.rules.yaml", "weir_etl");
}

/// Half of a stream that nobody has worked on: what comes may push it out.
TEST(EtlMetrics, SayThatAConsumerIsBehind) {
  EtlView view = full_view();
  view.source.stream_name = "flows_raw";
  feed::SourceWatch watch;
  const auto look = [&](uint64_t messages, uint64_t pending, uint64_t unacknowledged) {
    view.source.stream.messages = messages;
    view.source.inputs[0].pending = pending;
    view.source.inputs[0].ack_pending = unacknowledged;
    service::MetricPage page;
    add_metrics(view, {}, {}, page);
    ::testing::internal::CaptureStderr();
    watch.look(view.source, "start more instances");
    const std::string log = ::testing::internal::GetCapturedStderr();
    const std::string text = page.render();
    EXPECT_NE(text.find(view.source.is_behind() ? "weir_etl_behind 1\n" : "weir_etl_behind 0\n"), std::string::npos) << text;
    return log;
  };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(look(100'000, 40'000, 10'000), "") << "half of it";
  for (int i = 0; i < 10; ++i) EXPECT_EQ(look(900, 900, 0), "") << "a stream with so little is being drained";
  for (int i = 0; i < 4; ++i) EXPECT_EQ(look(100'000, 40'000, 10'001), "") << "not in a row yet";
  EXPECT_TRUE(view.source.is_behind());
  EXPECT_EQ(look(100'000, 10, 0), "") << "it caught up";
  for (int i = 0; i < 4; ++i) EXPECT_EQ(look(100'000, 60'000, 1), "");
  const std::string told = look(100'000, 60'000, 1);
  EXPECT_NE(told.find("60001 messages of stream flows_raw are not worked on yet, more than half of the 100000 that it has"), std::string::npos) << told;
  EXPECT_NE(told.find("start more instances"), std::string::npos);
  EXPECT_EQ(look(100'000, 60'000, 1), "") << "once a minute";
}

}  // namespace
}  // namespace weir::etl
