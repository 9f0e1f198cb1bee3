// metrics_doc_test.cc — docs/METRICS.md says what /metrics has, and whatever dashboards and alerts name is there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "control/http/metrics.h"
#include "full_view.h"

namespace weir::control {
namespace {

std::string source_file(const std::string& path) {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  return std::string(root != nullptr ? root : ".") + "/" + path;
}

std::string text_of(const std::string& path) {
  std::ifstream in(source_file(path));
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Family {
  std::string type;
  std::string help;
  std::vector<std::string> labels;
};

std::vector<std::pair<std::string, Family>> families() {
  std::vector<std::pair<std::string, Family>> found;
  std::istringstream lines(metrics_text(full_view()));
  static const std::regex label("([a-z_]+)=\"");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, what, name;
    words >> hash >> what >> name;
    if (hash == "#" && what == "HELP") {
      std::string help;
      std::getline(words >> std::ws, help);
      found.push_back({name, {"", help, {}}});
    } else if (hash == "#" && what == "TYPE") {
      words >> found.back().second.type;
    } else if (!found.empty()) {
      std::vector<std::string>& labels = found.back().second.labels;
      for (std::sregex_iterator it(line.begin(), line.end(), label), end; it != end; ++it) {
        if (std::find(labels.begin(), labels.end(), (*it)[1]) == labels.end()) labels.push_back((*it)[1]);
      }
    }
  }
  return found;
}

std::string document() {
  std::string text =
      "# Metrics\n\n"
      "What `/metrics` has, on the control socket and on `metrics_addr`, in Prometheus' text format. This table is made from the\n"
      "code: a test holds it, and writes it anew with `WEIR_WRITE_DOCS=1`. Counters begin at 0 with each start. What a device cannot\n"
      "tell has no row. Labels are bounded: exporters by address come at most 1000.\n\n"
      "| metric | kind | labels | |\n|---|---|---|---|\n";
  for (const auto& [name, family] : families()) {
    std::string labels;
    for (const std::string& label : family.labels) labels += (labels.empty() ? "`" : ", `") + label + "`";
    text += "| `" + name + "` | " + family.type + " | " + labels + " | " + family.help + " |\n";
  }
  return text;
}

TEST(MetricsDoc, SaysWhatTheCodeHas) {
  const std::string made = document();
  if (std::getenv("WEIR_WRITE_DOCS") != nullptr) std::ofstream(source_file("docs/METRICS.md")) << made;
  EXPECT_EQ(text_of("docs/METRICS.md"), made) << "run this test with WEIR_WRITE_DOCS=1";
  EXPECT_GT(families().size(), 50u);
}

TEST(MetricsDoc, FollowsPrometheusConventions) {
  for (const auto& [name, family] : families()) {
    EXPECT_TRUE(std::regex_match(name, std::regex("weir_[a-z][a-z0-9_]*"))) << name;
    EXPECT_EQ(family.type == "counter", name.ends_with("_total")) << name;
    EXPECT_TRUE(family.help.ends_with(".") && family.help.size() > 10) << name << ": " << family.help;
  }
}

class NamedMetrics : public ::testing::TestWithParam<const char*> {};

TEST_P(NamedMetrics, AreAllThere) {
  std::set<std::string> known;
  for (const auto& [name, family] : families()) {
    known.insert(name);
    if (family.type != "histogram") continue;
    for (const char* series : {"_bucket", "_sum", "_count"}) known.insert(name + series);
  }
  const std::string text = text_of(GetParam());
  std::set<std::string> named;
  static const std::regex metric("weir_[a-z0-9_]+");
  for (std::sregex_iterator it(text.begin(), text.end(), metric), end; it != end; ++it) named.insert(it->str());
  EXPECT_GE(named.size(), 10u);
  for (const std::string& name : named) EXPECT_TRUE(known.count(name)) << name << " is in no answer of /metrics";
}

INSTANTIATE_TEST_SUITE_P(Files, NamedMetrics,
                         ::testing::Values("deploy/prometheus/weir.rules.yaml", "deploy/grafana/weir.json"));

/// What ends in records lost when nobody looks.
TEST_P(NamedMetrics, WatchWhatFillsUp) {
  const std::string text = text_of(GetParam());
  for (const char* metric : {"weir_publisher_queue_fill_ratio", "weir_spool_octets_max"}) {
    EXPECT_NE(text.find(metric), std::string::npos) << metric;
  }
}

TEST(AlertRules, TellOfAPublisherThatSpoolsThoughWeirIsReady) {
  EXPECT_NE(text_of("deploy/prometheus/weir.rules.yaml").find("rate(weir_publisher_records_spooled_total["), std::string::npos);
}

TEST(AlertRules, ArePrometheusOwn) {
  // scripts/fetch_promtool.sh puts it there.
  const std::string path = "PATH=\"$PATH:" + source_file("build/tools") + "\"; ";
  if (std::system((path + "command -v promtool >/dev/null").c_str()) != 0) {
    GTEST_SKIP() << "promtool is not installed";
  }
  EXPECT_EQ(std::system((path + "promtool check rules " + source_file("deploy/prometheus/weir.rules.yaml") + " >/dev/null").c_str()),
            0);
}

}  // namespace
}  // namespace weir::control
