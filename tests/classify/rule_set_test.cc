#include "classify/rule_set.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "classify_support.h"

namespace weir::classify {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string error_of(const std::string& rules) {
  testing::use_built_compiler();
  const auto set = RuleSet::parse({{"rules.yaml", rules}}, {});
  return set ? "" : set.error().message;
}
std::string rule(const std::string& keys) { return "version: 1\nrules:\n  - id: x\n    " + keys + "\n"; }

TEST(RuleSet, ReadsConditionsWithoutPatterns) {
  const auto set = RuleSet::parse({{"a.yaml", R"(version: 1
sets: {inside: [10.0.0.0/8]}
rules:
  - {id: low, priority: -5, when: src_addr in @inside and bytes > 100, then: {labels: [big], route: flows.raw.big}}
  - {id: high, priority: 7, exporters: [192.0.2.0/24], ports: [53, 1000-1010], then: {sample: 10, route: flows.raw.big}}
)"}, {"b.yaml", "version: 1\nrules: [{id: middle, then: {drop: true}}]"}}, {});
  ASSERT_TRUE(set) << set.error().message;
  std::vector<std::string> ids;
  for (const Rule& each : (*set)->rules()) ids.push_back(each.id);
  EXPECT_THAT(ids, ElementsAre("high", "middle", "low"));
  EXPECT_THAT((*set)->routes(), ElementsAre("flows.raw.big"));
  EXPECT_TRUE((*set)->asks_every_record());
  EXPECT_FALSE((*set)->asks_elements());
  EXPECT_EQ((*set)->patterns(), 0u);
}

TEST(RuleSet, NamesFileLineAndWhatIsAllowed) {
  EXPECT_THAT(error_of("rules: []"), HasSubstr("rules.yaml:1:1: version is to be 1"));
  EXPECT_THAT(error_of("version: 1\nruls: []"), HasSubstr("rules.yaml:2:1: the file has no key 'ruls'"));
  EXPECT_THAT(error_of("version: 1\nrules: [a"), HasSubstr("rules.yaml:"));
  EXPECT_THAT(error_of("version: 1\nrules:\n  - id: x\n    wen: true\n    then: {drop: true}"),
              HasSubstr("rules.yaml:4:5: a rule has no key 'wen'"));
  EXPECT_THAT(error_of(rule("priority: high\n    then: {drop: true}")), HasSubstr("rules.yaml:4:15: rule x: priority is 'high'"));
  EXPECT_THAT(error_of(rule("protocol: icmp\n    then: {drop: true}")), HasSubstr("allowed are tcp and udp"));
  EXPECT_THAT(error_of(rule("ports: [a]\n    then: {drop: true}")), HasSubstr("rule x: ports: "));
  EXPECT_THAT(error_of(rule("exporters: [10.0.0.0/33]\n    then: {drop: true}")), HasSubstr("rule x: exporters: "));
  EXPECT_THAT(error_of(rule("name: none")), HasSubstr("it needs 'then'"));
  EXPECT_THAT(error_of(rule("then: {}")), HasSubstr("needs drop, sample, route, application or labels"));
  EXPECT_THAT(error_of(rule("then: {drop: true, labels: [a]}")), HasSubstr("what is dropped is nothing else"));
  EXPECT_THAT(error_of(rule("then: {sample: 0}")), HasSubstr("sample is '0'"));
  EXPECT_THAT(error_of(rule("then: {labels: [a,b,c,d,e,f,g,h,i]}")), HasSubstr("9 labels, limit 8"));
  EXPECT_THAT(error_of(rule("then: {labels: ['']}")), HasSubstr("a label has 1 to 256 octets"));
  EXPECT_THAT(error_of(rule("then: {labels: ['\xe9t\xe9']}")), HasSubstr("octets of UTF-8"));
  EXPECT_THAT(error_of(rule("then: {application: '\xe9t\xe9'}")), HasSubstr("application is no UTF-8"));
  EXPECT_THAT(error_of(rule("then: {labels: []}")), HasSubstr("labels: has nothing in it"));
  EXPECT_THAT(error_of(rule("ports: []\n    then: {drop: true}")), HasSubstr("ports: has nothing in it"));
  EXPECT_THAT(error_of(rule("exporters: []\n    then: {drop: true}")), HasSubstr("exporters: has nothing in it"));
  EXPECT_THAT(error_of(rule("then: {drop: true}") + "---\n- {id: y, then: {drop: true}}\n"), HasSubstr("rules.yaml:6:1: another document begins"));
  EXPECT_EQ(error_of("---\n" + rule("then: {drop: true}") + "---\n"), "");
  EXPECT_THAT(error_of(rule("extract: dns\n    then: {drop: true}")), HasSubstr("only a pattern in payload"));
  EXPECT_THAT(error_of(rule("in: payload\n    then: {drop: true}")), HasSubstr("in is of a pattern, and there is none"));
  EXPECT_THAT(error_of(rule("pattern: a\n    then: {drop: true}")), HasSubstr("where does the pattern look?"));
  EXPECT_THAT(error_of(rule("in: paylod\n    pattern: a\n    then: {drop: true}")), HasSubstr("nobody looks in 'paylod'"));
  EXPECT_THAT(error_of(rule("in: payload\n    pattern: a\n    flags: x\n    then: {drop: true}")), HasSubstr("flags are letters"));
  EXPECT_THAT(error_of(rule("when: dst_prt == 1\n    then: {drop: true}")), HasSubstr("rules.yaml:4:11: rule x: when: "));
  EXPECT_THAT(error_of(rule("when: 64500 in as_path\n    then: {drop: true}")), HasSubstr("lists cannot be asked for here"));
  EXPECT_THAT(error_of(rule("when: protocol_name == 'TCP'\n    then: {drop: true}")), HasSubstr("ask for proto"));
  EXPECT_THAT(error_of("version: 1\nrules:\n  - {id: x, then: {drop: true}}\n  - {id: x, then: {drop: true}}"),
              HasSubstr("rules.yaml:4: there is a rule x already, at rules.yaml:3"));
}

// Of octets that are no UTF-8 the engine says anything, and a sender chooses the octets.
TEST(RuleSet, LooksForUtf8OnlyInText) {
  for (const char* keys : {"in: payload\n    flags: su", "in: payload\n    flags: p", "in: application_id\n    flags: u"}) {
    EXPECT_THAT(error_of(rule(std::string(keys) + "\n    pattern: abc\n    then: {labels: [a]}")), HasSubstr("holds octets, which need be no UTF-8"));
  }
  for (const char* pattern : {"(*UTF8)abc", "(*UCP)(*UTF)abc"}) {
    EXPECT_THAT(error_of(rule(std::string("in: payload\n    pattern: '") + pattern + "'\n    then: {labels: [a]}")), HasSubstr("rule x: payload holds octets"));
  }
  WEIR_NEEDS_ENGINE();
  EXPECT_EQ(error_of(rule("in: user_name\n    flags: iup\n    pattern: 'ä.ö'\n    then: {labels: [a]}")), "");
}

TEST(RuleSet, TellsTheEnginesWordsWithFileAndLine) {
  WEIR_NEEDS_ENGINE();
  const std::string error = error_of("version: 1\nrules:\n  - {id: good, in: payload, pattern: abc, then: {labels: [a]}}\n"
                                     "  - {id: bad, in: payload, pattern: '(a)\\1', then: {labels: [a]}}\n");
  EXPECT_THAT(error, HasSubstr("rules.yaml:4: rule bad: pattern: "));
  EXPECT_THAT(error, HasSubstr("ack-reference"));
  EXPECT_THAT(error_of(rule("in: payload\n    pattern: 'a*'\n    then: {labels: [a]}")), HasSubstr("rules.yaml:3: rule x: pattern: "));
}

TEST(RuleSet, PatternsThatNeedTheEngineSaySoWithoutIt) {
  if (testing::has_engine()) GTEST_SKIP() << "this build has Hyperscan";
  EXPECT_THAT(error_of(rule("in: payload\n    pattern: abc\n    then: {labels: [a]}")), HasSubstr("there is no Hyperscan here"));
}

TEST(RuleSet, ReadsFilesAndFolders) {
  const fs::path folder = fs::temp_directory_path() / ("weir-rules-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::ofstream(folder / "b.yaml") << "version: 1\nrules: [{id: b, then: {drop: true}}]";
  std::ofstream(folder / "a.yaml") << "version: 1\nrules: [{id: a, then: {drop: true}}]";
  std::ofstream(folder / "a.txt") << "nothing of ours";
  std::ofstream(folder / ".c.yaml") << "an editor's";
  fs::create_symlink("nobody@nowhere.1", folder / ".#b.yaml");
  fs::create_directories(folder / "more.yaml");
  const auto all = RuleSet::read({folder.string()}, {});
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ((*all)->files().size(), 2u);
  EXPECT_EQ((*all)->rules()[0].id, "a");
  const auto one = RuleSet::read({(folder / "b.yaml").string()}, {});
  ASSERT_TRUE(one);
  EXPECT_NE((*one)->hash(), (*all)->hash());
  EXPECT_FALSE(RuleSet::read({(folder / "none.yaml").string()}, {}));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace weir::classify
