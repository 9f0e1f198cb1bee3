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
  add_metrics(full_view(), {}, page);
  const std::string text = page.render();
  test::expect_named_metrics_on(text, "deploy/grafana/weir-etl.json", "weir_etl");
  test::expect_named_metrics_on(text, "deploy/prometheus/weir-etl.rules.yaml", "weir_etl");
}

}  // namespace
}  // namespace weir::etl
