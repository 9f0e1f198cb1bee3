#include "service/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::service {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(MetricPage, RendersFamiliesInTheOrderOfTheirFirstSample) {
  MetricPage page;
  page.counter("weir_frames_total", "Frames received.", {{"core", "0"}}, 7);
  page.gauge("weir_exporters", "Exporters known.", {}, 3);
  page.counter("weir_frames_total", "Frames received.", {{"core", "1"}}, 8);
  EXPECT_EQ(page.render(),
            "# HELP weir_frames_total Frames received.\n"
            "# TYPE weir_frames_total counter\n"
            "weir_frames_total{core=\"0\"} 7\n"
            "weir_frames_total{core=\"1\"} 8\n"
            "# HELP weir_exporters Exporters known.\n"
            "# TYPE weir_exporters gauge\n"
            "weir_exporters 3\n");
}

TEST(MetricPage, WritesLargeCountsAsExactIntegers) {
  MetricPage page;
  page.counter("weir_octets_total", "h", {}, (uint64_t{1} << 53) - 1);
  EXPECT_THAT(page.render(), HasSubstr("weir_octets_total 9007199254740991\n"));
}

TEST(MetricPage, SaysTimeInSeconds) {
  MetricPage page;
  page.seconds_counter("weir_work_seconds_total", "h", {}, 1'250'000'000);
  EXPECT_THAT(page.render(), HasSubstr("# TYPE weir_work_seconds_total counter\nweir_work_seconds_total 1.25\n"));
}

TEST(MetricPage, EscapesHelpAndLabels) {
  MetricPage page;
  page.counter("weir_x_total", "one\ntwo \\ three", {{"name", "a\"b\\c\nd"}}, 1);
  const std::string text = page.render();
  EXPECT_THAT(text, HasSubstr("# HELP weir_x_total one\\ntwo \\\\ three\n"));
  EXPECT_THAT(text, HasSubstr("weir_x_total{name=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

TEST(MetricPage, SumsUpTheBucketsOfAHistogram) {
  MetricPage page;
  page.histogram("weir_latency_seconds", "h", {}, {0.1, 1}, {5, 2, 1}, 3.5);
  const std::string text = page.render();
  EXPECT_THAT(text, HasSubstr("weir_latency_seconds_bucket{le=\"1\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("weir_latency_seconds_bucket{le=\"+Inf\"} 8\n"));
  EXPECT_THAT(text, HasSubstr("weir_latency_seconds_count 8\n"));
  EXPECT_THAT(text, HasSubstr("weir_latency_seconds_sum 3.5\n"));
}

}  // namespace
}  // namespace weir::service
