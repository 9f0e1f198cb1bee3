// Rules of classification as a part of the configuration: read, refused and compared with it.
#include "control/config/config_rules.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "classify/pattern_compiler.h"
#include "control/reload.h"
#include "support/process.h"

namespace weir::control {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ConfigRules : public ::testing::Test {
 protected:
  Result<LoadedConfig> load(const std::string& rules, const std::string& listener = "") {
    std::ofstream(folder_ / "rules.yaml") << "version: 1\nrules:\n" << rules;
    return read_config("listeners: [{name: a, listen_addr: '127.0.0.1:2055'" + listener + "}]\nstate_dir: ''\nclassification: {rules: ['" +
                           (folder_ / "rules.yaml") + "']}\n", "weir.yaml", {});
  }
  test::TemporaryFolder folder_;
};

TEST_F(ConfigRules, AreReadAndGoToTheirRoutes) {
  const auto loaded = load("  - {id: x, when: dst_port == 1, then: {route: 'flows.raw.x-{partition}'}}\n");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_THAT(route_subjects(loaded->config), Contains("flows.raw.x-default"));
  EXPECT_THAT(all_stream_subjects(loaded->config), Contains("flows.raw.x-default"));
  const auto plane = data_plane_config(loaded->config);
  ASSERT_EQ(plane.pipeline.rule_routes.size(), 1u);
  const auto subjects = Numbering(loaded->config).subjects;
  EXPECT_EQ(subjects[plane.pipeline.rule_routes[0].value], "flows.raw.x-default");
}

TEST_F(ConfigRules, AreRefusedWithTheConfiguration) {
  EXPECT_THAT(load("  - {id: x, then: {route: 'flows raw'}}\n").error().message, HasSubstr("rules.yaml:3: rule x: route: flows raw is no NATS subject"));
  EXPECT_THAT(load("  - {id: x, then: {route: flows.counters.sflow}}\n").error().message, HasSubstr("records of another kind"));
  EXPECT_THAT(load("  - {id: x, then: {nothing: 1}}\n").error().message, HasSubstr("classification.rules: "));
}

TEST_F(ConfigRules, GoToABoundedNumberOfSubjects) {
  const auto routes = [](int n) {
    std::string rules;
    for (int i = 0; i < n; ++i) rules += "  - {id: r" + std::to_string(i) + ", when: dst_port == " + std::to_string(i) + ", then: {route: flows.raw.r" + std::to_string(i) + "}}\n";
    return rules;
  };
  const auto few = load(routes(10));
  ASSERT_TRUE(few);
  EXPECT_THAT(few->warnings, Not(Contains(HasSubstr("batches are small"))));
  const auto many = load(routes(100));
  ASSERT_TRUE(many) << many.error().message;
  EXPECT_THAT(many->warnings, Contains(HasSubstr("a core has batches of 64 open")));
  EXPECT_THAT(load(routes(257)).error().message, HasSubstr("rules.yaml:259: rule r256: route: rules go to 256 subjects already"));
  // What is gone keeps its number; there are so many.
  Numbering numbers(many->config);
  EXPECT_TRUE(numbers.fits());
  while (numbers.subjects.size() < 65535) numbers.subjects.push_back("flows." + std::to_string(numbers.subjects.size()));
  EXPECT_TRUE(numbers.fits());
  numbers.subjects.push_back("flows.last");
  EXPECT_FALSE(numbers.fits());
}

// Who asks whether a configuration is right leaves nothing behind; who runs keeps what took long to compile.
TEST_F(ConfigRules, AreCompiledForCheckingWithoutATrace) {
  if (classify::pattern_engine().empty()) GTEST_SKIP() << "no Hyperscan in this build";
  classify::set_compiler_program({test::built("tests/classify/compile_patterns"), {}});
  std::ofstream(folder_ / "rules.yaml") << "version: 1\nrules:\n  - {id: x, in: payload, pattern: abc, then: {labels: [a]}}\n";
  const std::string state = folder_ / "state";
  const std::string text = "listeners: [{name: a, listen_addr: '127.0.0.1:2055'}]\nstate_dir: '" + state + "'\nclassification: {rules: ['" + (folder_ / "rules.yaml") + "']}\n";
  const auto checked = read_config(text, "weir.yaml", {});
  ASSERT_TRUE(checked) << checked.error().message;
  EXPECT_FALSE(std::filesystem::exists(state));
  const auto run = read_config(text, "weir.yaml", {}, Keeping::compiled_patterns);
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_FALSE(std::filesystem::is_empty(state + "/patterns"));
  EXPECT_THAT(run->warnings, Not(Contains(HasSubstr("cannot be kept"))));
  // What cannot be kept is told.
  std::filesystem::remove_all(state);
  std::ofstream{state} << "a file";
  const auto kept = read_config(text, "weir.yaml", {}, Keeping::compiled_patterns);
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_THAT(kept->warnings, Contains(HasSubstr("compiled patterns cannot be kept")));
}

TEST_F(ConfigRules, KnowWhichElementsCanBeLookedInto) {
  EXPECT_EQ(*find_classified_element("12356/34"), (classify::ElementKey{12356, 34}));
  EXPECT_EQ(*find_classified_element("httpRequestTarget"), (classify::ElementKey{0, 461}));
  EXPECT_THAT(find_classified_element("userName").error().message, HasSubstr("goes into fields of records"));
  EXPECT_TRUE(find_classified_element("noSuchElement").error().message.empty());
  EXPECT_TRUE(find_classified_element("1/2/3").error().message.empty());
}

TEST_F(ConfigRules, ThatSayTheSameAreTheSame) {
  const auto first = load("  - {id: x, then: {labels: [a]}}\n");
  const auto same = load("  - {id: x, then: {labels: [a]}}\n");
  const auto other = load("  - {id: x, then: {labels: [b]}}\n");
  ASSERT_TRUE(first && same && other);
  EXPECT_TRUE(compare(first->config, first->config, same->config).now.empty());
  EXPECT_EQ(with_live_keys(first->config, same->config).rule_set, first->config.rule_set) << "and keep what they have counted";
  EXPECT_THAT(compare(first->config, first->config, other->config).now, ElementsAre("classification.rules"));
  EXPECT_EQ(with_live_keys(first->config, other->config).rule_set, other->config.rule_set);
}

TEST_F(ConfigRules, ThatLookInNamesWantThemInRecords) {
  if (classify::pattern_engine().empty()) GTEST_SKIP() << "no Hyperscan in this build";
  const std::string rules = "  - {id: x, in: in_if_name, pattern: '^xe', then: {labels: [a]}}\n";
  classify::set_compiler_program({test::built("tests/classify/compile_patterns"), {}});
  const auto without = load(rules);
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_THAT(without->warnings, Contains(HasSubstr("rule x looks in in_if_name")));
  const auto with = load(rules, ", inline_names: true");
  ASSERT_TRUE(with);
  EXPECT_THAT(with->warnings, ::testing::Not(Contains(HasSubstr("in_if_name"))));
}

}  // namespace
}  // namespace weir::control
