// Files of rules: what they do to flows, and what is said of those that are wrong.
#include "rules/rule_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "rules/flow_maker.h"
#include "rules/outcome_text.h"

namespace weir::rules {
namespace {

using ::testing::HasSubstr;
using testing::error_of;
using testing::FlowMaker;
using testing::rules_of;
using testing::Viewed;

flowpb::FlowMessage web_flow() {
  flowpb::FlowMessage f;
  f.set_proto(6);
  f.set_dst_port(443);
  f.set_bytes(100);
  f.set_src_addr(std::string("\x0a\0\0\1", 4));
  return f;
}

struct Ran {
  Outcome out;
  Scratch scratch;
  std::vector<RuleCounts> counts;
  explicit Ran(const RuleSet& rules, const FlowView& flow) : counts(rules.rules().size()) {
    rules.program().run(flow, scratch, out, counts);
  }
};

TEST(RuleSet, HasOneBudgetForAllConstantsOfAFile) {
  const auto file = [](int rules, const std::string& when) {
    std::string text = "version: 1\nrules:\n";
    for (int i = 0; i < rules; ++i) text += "  - {id: r" + std::to_string(i) + ", when: '" + when + "', then: {drop: true}}\n";
    return text;
  };
  EXPECT_THAT(error_of(file(100, "bytes == mode(map([1..99999], 1))")), HasSubstr("takes more than an expression may"));
  std::string ports = "1";
  for (int i = 2; i < 1000; ++i) ports += "," + std::to_string(i % 10);
  EXPECT_EQ(rules_of(file(2000, "dst_port in [" + ports + "]"))->rules().size(), 2000u) << "what is written out goes, however much";
}

TEST(RuleSet, SaysHowLargeAProgramIsThatIsTooLarge) {
  std::string text = "version: 1\nrules:\n";
  for (int i = 0; i < 9'999; ++i) {
    text += "  - {id: r" + std::to_string(i) + ", when: bytes == 1 and packets == 2 and proto == 3 and dst_port == 4 and in_if == 5 and out_if == 6 and src_port == 7, then: {drop: true}}\n";
  }
  EXPECT_THAT(error_of(text), HasSubstr("rules.yaml: the rules come to 1"));
  EXPECT_THAT(error_of(text), HasSubstr(" instructions (limit 100000), 0 constants and 0 sets (limit 65535 each)"));
}

TEST(RuleSet, AppliesRulesInTheirOrder) {
  const auto rules = rules_of(R"yaml(
version: 1
sets: {local: [10.0.0.0/8], web: [80, 443, 8000-8999]}
derive: {is_web: proto == 6 and dst_port in @web}
rules:
  - {id: drop-small, when: bytes < 50, then: {drop: true}}
  - {id: web, when: is_web, then: {set: {app_name: "'web'", severity_id: 2}, labels: [web]}}
  - {id: inside, when: "cidr(src_addr, @local)", then: {set: {severity_id: 3}, labels: [inside]}}
  - {id: never, when: dst_port == 1, then: {set: {severity_id: 4}}}
)yaml");
  const Viewed flow(web_flow());
  Ran ran(*rules, flow.view);
  EXPECT_FALSE(ran.out.is_dropped);
  EXPECT_EQ(ran.out.targets[0].text, "web");
  EXPECT_EQ(ran.out.targets[1].number.to_string(), "3") << "the last one that sets it";
  ASSERT_EQ(ran.out.labels, 2u);
  EXPECT_EQ(ran.out.label[1], "inside");
  EXPECT_EQ(ran.counts[0].hits, 0u);
  EXPECT_EQ(ran.counts[1].hits, 1u);
  EXPECT_EQ(ran.counts[3].hits, 0u);
  flowpb::FlowMessage small = web_flow();
  small.set_bytes(49);
  const Viewed small_flow(small);
  Ran dropped(*rules, small_flow.view);
  EXPECT_TRUE(dropped.out.is_dropped);
  EXPECT_EQ(dropped.counts[1].hits, 0u) << "nothing is asked behind a drop";
}

TEST(RuleSet, CountsLabelsThatAFlowHasNoRoomFor) {
  std::string text = "version: 1\nrules:\n";
  for (int i = 0; i < 20; ++i) text += "  - {id: r" + std::to_string(i) + ", then: {labels: [l" + std::to_string(i) + "]}}\n";
  const auto rules = rules_of(text);
  const Viewed flow(web_flow());
  Ran ran(*rules, flow.view);
  EXPECT_EQ(ran.out.labels, kFlowLabelsMax);
  EXPECT_EQ(ran.out.labels_left_out, 4u);
  const PlainOutcome plain = run_plainly(*rules, flow.view);
  EXPECT_EQ(plain.labels_left_out, 4u);
  EXPECT_EQ(plain.trace[15].did, (std::vector<std::string>{"labelled it l15"}));
  EXPECT_EQ(plain.trace[16].did, (std::vector<std::string>{"left the label l16 out: a flow has 16 already"}));
}

TEST(RuleSet, GivesALabelOnce) {
  std::string text = "version: 1\nrules:\n";
  for (int i = 0; i < 20; ++i) text += "  - {id: r" + std::to_string(i) + ", then: {labels: [same, same, l" + std::to_string(i % 15) + "]}}\n";
  const auto rules = rules_of(text);
  const Viewed flow(web_flow());
  Ran ran(*rules, flow.view);
  EXPECT_EQ(ran.out.labels, kFlowLabelsMax);
  EXPECT_EQ(ran.out.labels_left_out, 0u);
  EXPECT_EQ(ran.out.label[15], "l14");
  const PlainOutcome plain = run_plainly(*rules, flow.view);
  EXPECT_EQ(plain.labels.size(), kFlowLabelsMax);
  EXPECT_EQ(plain.labels_left_out, 0u);
  EXPECT_EQ(plain.trace[0].did, (std::vector<std::string>{"labelled it same", "labelled it same, as it was already", "labelled it l0"}));
}

/// Together they take more than one evaluation may, each for itself does not.
TEST(RuleSet, InterpretsAllRulesOutOfOneBudget) {
  std::string text = "version: 1\nrules:\n";
  for (int i = 0; i < 60; ++i) {
    text += "  - {id: r" + std::to_string(i) + ", then: {set: {unmapped.x: \"";
    for (int k = 0; k < 100; ++k) text += "application_name == 'a' or ";
    text += "false\"}}}\n";
  }
  flowpb::FlowMessage long_name = web_flow();
  long_name.set_application_name(std::string(16'000, 'x'));
  const auto rules = rules_of(text);
  ASSERT_NE(rules, nullptr);
  const Viewed flow(long_name);
  const PlainOutcome plain = run_plainly(*rules, flow.view);
  EXPECT_EQ(plain.trace.front().error, "");
  EXPECT_THAT(plain.trace.back().error, HasSubstr("it takes more than an expression may"));
}

/// Quotes, escapes, and lines that YAML joins: the place is that of the file.
TEST(RuleSet, SaysWhereInTheFileAnExpressionIsWrong) {
  const auto when = [](const std::string& yaml) { return error_of("version: 1\nrules:\n  - id: a\n    then: {drop: true}\n    when: " + yaml + "\n"); };
  constexpr const char* kSays = "rule a: when: there is no field prto; is it proto?";
  EXPECT_EQ(when("bytes > 1 and prto == 6"), std::string("rules.yaml:5:25: ") + kSays);
  EXPECT_EQ(when("'site == ''x'' and prto == 6'"), std::string("rules.yaml:5:30: ") + kSays);
  EXPECT_EQ(when("\"site == \\\"x\\\" and prto == 6\""), std::string("rules.yaml:5:30: ") + kSays);
  EXPECT_EQ(when("bytes > 1\n      and prto == 6"), std::string("rules.yaml:6:11: ") + kSays);
  EXPECT_EQ(when(">-\n      bytes > 1\n      and prto == 6"), std::string("rules.yaml:7:11: ") + kSays);
  EXPECT_EQ(when("|\n      bytes > 1\n      and prto == 6"), std::string("rules.yaml:7:11: ") + kSays);
  EXPECT_EQ(when("bytes > 1 and"), "rules.yaml:5:24: rule a: when: the expression ends where a value is expected");
  // What yaml-cpp makes of an escape that is not followed here: where the expression begins.
  EXPECT_EQ(when("\"site == '\\u00e9' and prto == 6\""), std::string("rules.yaml:5:11: ") + kSays);
}

TEST(RuleSet, RefusesWhatIsNoRegularFileAndDoesNotWaitForIt) {
  const std::string pipe = ::testing::TempDir() + "weir_rules_pipe_" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const auto rules = RuleSet::read(pipe, testing::targets());
  unlink(pipe.c_str());
  ASSERT_FALSE(rules);
  EXPECT_EQ(rules.error().message, pipe + ": is no regular file");
  EXPECT_THAT(RuleSet::read("/nowhere/rules.yaml", testing::targets()).error().message, HasSubstr("/nowhere/rules.yaml: No such file"));
}

constexpr const char* kDecision =
    R"({"nodes":[{"id":"i","type":"inputNode"},{"id":"e","name":"make","type":"expressionNode","content":{"expressions":[{"key":"a","value":"%s"}]}},)"
    R"({"id":"o","type":"outputNode"}],"edges":[{"sourceId":"i","targetId":"e"},{"sourceId":"e","targetId":"o"}]})";

TEST(RuleSet, NamesADecisionFile) {
  const std::string path = ::testing::TempDir() + "weir_decision_" + std::to_string(getpid()) + ".json";
  const auto read = [&](const std::string& expression) {
    std::string text = kDecision;
    text.replace(text.find("%s"), 2, expression);
    std::ofstream(path) << text;
    return RuleSet::parse("version: 1\ndecision: " + path + "\n", "rules.yaml", "", testing::targets());
  };
  const auto one = read("bytes + 1");
  ASSERT_TRUE(one) << one.error().message;
  ASSERT_NE((*one)->decision(), nullptr);
  EXPECT_EQ((*one)->decision()->program.name, path.substr(path.rfind('/') + 1));
  const auto other = read("bytes + 2");
  ASSERT_TRUE(other);
  EXPECT_NE((*one)->hash(), (*other)->hash());
  EXPECT_EQ(read("bytes +").error().message,
            "rules.yaml:2:11: " + path + ": node 'make': a = bytes +: at 8: the expression ends where a value is expected");
  EXPECT_EQ(read("as_path[0]").error().message, "rules.yaml:2:11: " + path +
                                                    ": node 'make': a = as_path[0]: at 8: an index of what only a flow's values would show; of flows that "
                                                    "cannot be asked");
  unlink(path.c_str());
  EXPECT_THAT(error_of("version: 1\ndecision: /nowhere/d.json\n"), HasSubstr("rules.yaml:2:11: /nowhere/d.json: No such file"));
  EXPECT_THAT(error_of("version: 1\ndecision: [a]\n"), HasSubstr("rules.yaml:2:11: decision is to be a decision file"));
}

TEST(RuleSet, IsOfAllFilesOfAFolderInTheOrderOfTheirNames) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(::testing::TempDir()) / ("weir_rules_d_" + std::to_string(getpid()));
  fs::create_directory(folder);
  const auto write = [&](const char* name, const std::string& text) { std::ofstream(folder / name) << "version: 1\n" << text; };
  const auto why = [&](const char* name, const std::string& text) {
    write(name, text);
    const auto read = RuleSet::read(folder, testing::targets());
    fs::remove(folder / name);
    return read ? "" : read.error().message;
  };
  EXPECT_THAT(why("none.txt", ""), HasSubstr("a folder without a file that ends in .yaml"));
  std::ofstream(folder / "who.csv") << "key,name\n443,web\n";
  write("20-own.yaml", "derive: {tls: dst_port in @web}\nrules:\n  - {id: b, when: tls and big, then: {set: {app_name: \"lookup('who', dst_port)\"}, labels: [b]}}\n");
  write("10-all.yaml", "sets: {web: [443]}\ndictionaries: {who: who.csv}\nderive: {big: bytes > 50}\nrules:\n  - {id: a, then: {labels: [a]}}\n");
  write("30-none.yaml", "rules: []\n");
  write("40-last.yaml", "local_prefixes: [10.0.0.0/8]\nrules:\n  - {id: c, then: {labels: [c]}}\n");
  std::ofstream(folder / ".30.yaml.swp") << "an editor's";
  std::ofstream(folder / "notes.txt") << "no rules";
  StampedFiles files;
  const auto rules = RuleSet::read(folder.string() + "/", testing::targets(), &files);
  ASSERT_TRUE(rules) << rules.error().message;
  EXPECT_EQ((*rules)->name(), folder.filename());
  ASSERT_NE((*rules)->local_prefixes(), nullptr);
  const Viewed flow(web_flow());
  const Ran ran(**rules, flow.view);
  EXPECT_EQ(testing::summary(**rules, ran.out), "kept factor 1 app_name=\"web\" #a #b #c left out 0 errors 0");
  EXPECT_EQ(testing::summary(**rules, run_plainly(**rules, flow.view)), testing::summary(**rules, ran.out));

  // What is wrong is said with its file, and what is there twice.
  EXPECT_THAT(why("50.yaml", "rules:\n  - {id: d, then: {labels: [d]}}\n  - {id: a, then: {drop: true}}\n"), HasSubstr("50.yaml:4:5: there is a rule a in " + (folder / "10-all.yaml").string()));
  EXPECT_THAT(why("50.yaml", "rules:\n  - {id: d, when: \"dst_port == 1 and no_such == 1\", then: {drop: true}}\n"), HasSubstr("50.yaml:3:38: rule d: when: there is no field no_such"));
  EXPECT_THAT(why("15.yaml", "rules:\n  - {id: d, when: tls, then: {drop: true}}\n"), ::testing::IsEmpty()) << "derived values are there before all rules";
  EXPECT_THAT(why("15.yaml", "rules: [\n"), HasSubstr("15.yaml:"));
  EXPECT_THAT(why("50.yaml", "sets: {web: [1]}\n"), HasSubstr("50.yaml:2:8: there are two sets web"));
  EXPECT_THAT(why("50.yaml", "dictionaries: {who: who.csv}\n"), HasSubstr("there are two dictionaries who"));
  EXPECT_THAT(why("50.yaml", "derive: {big: bytes > 1}\n"), HasSubstr("there is big already"));
  EXPECT_THAT(why("50.yaml", "local_prefixes: [192.0.2.0/24]\n"), HasSubstr("there are local_prefixes in another file, too"));

  // Whoever watches files sees one that is put beside them.
  EXPECT_EQ(files.size(), 6u) << "the folder, four files and a dictionary";
  const auto before = look_again(files);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // a file system's clock has ticks
  write("60.yaml", "rules: []\n");
  EXPECT_NE(look_again(files), before);
  fs::remove_all(folder);
}

TEST(RuleSet, CountsWhatHasNoValueAndGoesOn) {
  const auto rules = rules_of(R"yaml(
version: 1
rules:
  - {id: a, when: "number(application_name) > 5", then: {labels: [large]}}
  - {id: b, then: {set: {count: bytes / 3}, labels: [not_reached]}}
  - {id: c, then: {labels: [reached]}}
)yaml");
  const Viewed flow(web_flow());
  Ran ran(*rules, flow.view);
  EXPECT_EQ(ran.out.errors, 2u) << "a text that is no number; 33.3…, which a whole number cannot be";
  EXPECT_EQ(ran.counts[0].errors, 1u);
  EXPECT_EQ(ran.counts[1].errors, 1u);
  ASSERT_EQ(ran.out.labels, 1u);
  EXPECT_EQ(ran.out.label[0], "reached");
}

TEST(RuleSet, LeavesOutWhatIsNull) {
  const auto rules = rules_of(R"yaml(
version: 1
rules:
  - {id: a, then: {set: {app_name: "'x'", unmapped.ratio: "1"}, labels: [one]}}
  - {id: b, then: {set: {app_name: "bytes > 1 ? null : 'y'", unmapped.ratio: bytes / packets, unmapped.other: "5"}, labels: [two]}}
  - {id: c, then: {set: {severity_id: bytes / packets}, labels: [three]}}
)yaml");
  const Viewed flow(web_flow());  // without packets
  Ran ran(*rules, flow.view);
  EXPECT_EQ(ran.out.labels, 2u);
  EXPECT_EQ(ran.out.errors, 1u) << "a number is no number";
  EXPECT_EQ(ran.counts[1].errors, 0u);
  EXPECT_FALSE(ran.out.has(0)) << "what came last holds";
  EXPECT_EQ(ran.out.targets_set, uint64_t{1} << 4) << "unmapped.other";
  const PlainOutcome plain = run_plainly(*rules, flow.view);
  EXPECT_EQ(plain.errors, 1u);
  ASSERT_EQ(plain.set.size(), 1u);
  EXPECT_EQ(plain.set[0].first, "unmapped.other");
  EXPECT_EQ(plain.trace[1].did[0], "left app_name out, for it is null");
}

/// Readers of JSON hold no others as integers.
TEST(RuleSet, TakesNoNumberBeyond63BitsForAnEvent) {
  const auto setting = [](const std::string& value) { return "version: 1\nrules:\n  - {id: a, then: {set: {unmapped.x: \"" + value + "\"}, labels: [behind]}}\n"; };
  for (const char* const good : {"9223372036854775807", "-9223372036854775807", "9223372036854775806.5", "0.0000000000000000000000000001", "string(9223372036854775808)"}) {
    EXPECT_EQ(error_of(setting(good)), "") << good;
  }
  for (const char* const wrong : {"9223372036854775808", "-9223372036854775808", "9223372036854775807.5", "2 ^ 90"}) {
    EXPECT_THAT(error_of(setting(wrong)), ::testing::AllOf(HasSubstr("rules.yaml:3:38: rule a: unmapped.x cannot be "), HasSubstr("or a number from -9223372036854775807 to 9223372036854775807; string()"))) << wrong;
  }
  const auto rules = rules_of(setting("bytes * 8"));
  ASSERT_NE(rules, nullptr);
  flowpb::FlowMessage f = web_flow();
  for (const bool fits : {true, false}) {
    f.set_bytes(fits ? INT64_MAX / 8 : UINT64_MAX);
    const Viewed flow(f);
    const Ran ran(*rules, flow.view);
    EXPECT_EQ(ran.out.targets_set != 0, fits);
    EXPECT_EQ(ran.out.labels, fits ? 1 : 0);
    EXPECT_EQ(ran.counts[0].errors, fits ? 0u : 1u);
    const PlainOutcome plain = run_plainly(*rules, flow.view);
    EXPECT_EQ(plain.errors, fits ? 0u : 1u);
    if (!fits) {
      EXPECT_THAT(plain.trace[0].error, HasSubstr("set unmapped.x: it cannot be 147573952589676412920; it is a text, true or false, or a number from"));
    }
  }
}

/// What is left out is made up for: bytes times the factor of what is kept add up to what came in.
TEST(RuleSet, SamplingKeepsScaledTotalsRight) {
  const auto rules = rules_of(R"yaml(
version: 1
rules:
  - {id: web, when: "dst_port in [80, 443]", then: {sample: 10}}
  - {id: all, then: {sample: 5}}
)yaml");
  Scratch scratch;
  Outcome out;
  double sent[2] = {}, scaled[2] = {};
  size_t kept[2] = {};
  constexpr int kFlows = 200'000;
  for (int i = 0; i < kFlows; ++i) {
    flowpb::FlowMessage f = web_flow();
    const bool web = i % 2 == 0;
    f.set_dst_port(web ? 443 : 22);
    f.set_sequence_num(static_cast<uint32_t>(i));
    f.set_bytes(1000 + static_cast<uint64_t>(i % 500));
    const Viewed flow(f);
    rules->program().run(flow.view, scratch, out);
    sent[web] += static_cast<double>(f.bytes());
    if (out.is_dropped) continue;
    EXPECT_EQ(out.sampling_factor, web ? 50u : 5u);
    scaled[web] += static_cast<double>(f.bytes()) * static_cast<double>(out.sampling_factor);
    ++kept[web];
    rules->program().run(flow.view, scratch, out);
    EXPECT_FALSE(out.is_dropped) << "a flow that was kept is kept again";
  }
  for (const int web : {0, 1}) {
    // Five standard deviations of the number kept.
    const double expected = kFlows / 2.0 / (web == 1 ? 50 : 5);
    EXPECT_NEAR(static_cast<double>(kept[web]), expected, 5 * std::sqrt(expected));
    EXPECT_NEAR(scaled[web] / sent[web], 1, 5 / std::sqrt(expected) + 0.01);
  }
}

/// Our encoder and protobuf's classes write fields in different orders.
TEST(RuleSet, SamplesTheSameFlowAlikeInWhateverOrderItsFieldsAre) {
  size_t kept = 0;
  for (uint32_t i = 0; i < 1000; ++i) {
    flowpb::FlowMessage numbers, addresses;
    numbers.set_bytes(i);
    numbers.set_dst_port(443);
    addresses.set_src_addr(std::string("\x0a\0\0\1", 4));
    addresses.set_sampling_rate(100);
    const std::string one = numbers.SerializeAsString() + addresses.SerializeAsString();
    const std::string other = addresses.SerializeAsString() + numbers.SerializeAsString();
    FlowView a, b;
    ASSERT_TRUE(parse_flow({reinterpret_cast<const uint8_t*>(one.data()), one.size()}, a));
    ASSERT_TRUE(parse_flow({reinterpret_cast<const uint8_t*>(other.data()), other.size()}, b));
    ASSERT_EQ(keeps_sample(a, 3, 10), keeps_sample(b, 3, 10));
    kept += keeps_sample(a, 3, 10);
  }
  EXPECT_NEAR(static_cast<double>(kept), 100, 50);
}

TEST(RuleSet, LooksUpInDictionaries) {
  const auto dictionary = Dictionary::parse("sites.csv", "\xef\xbb\xbfkey,site,\"long \"\"name\"\"\"\r\n10.0.0.1,Bern,\"B, CH\"\r\n443,web,x\r\n");
  ASSERT_TRUE(dictionary) << dictionary.error().message;
  EXPECT_EQ(dictionary->columns()[2], "long \"name\"");
  EXPECT_EQ(dictionary->find("10.0.0.1", 2), "B, CH");
  EXPECT_EQ(dictionary->find("443", 1), "web");
  EXPECT_EQ(dictionary->find("444", 1), std::nullopt);
  EXPECT_EQ(Dictionary::parse("d", "a,b\nx,y,z\n").error().message, "d:2: 3 columns, the heading has 2");
  EXPECT_EQ(Dictionary::parse("d", "a,b\nx,\"y\n").error().message, "d:2: a quote has no end");
  EXPECT_EQ(Dictionary::parse("d", "a,b\n" + std::string(1 << 20, ',')).error().message, "d:2: more than 64 columns");
  EXPECT_EQ(Dictionary::parse("d", "\n\na\n").error().message, "d:3: one column; it takes a key and 1 to 63 values");
  EXPECT_EQ(Dictionary::parse("d", "a,b\nx,y\nx,z\n").error().message, "d:3: its key stands there twice");
}

TEST(RuleSet, SaysWhatIsWrongAndWhere) {
  struct Case {
    const char* rules;  // behind `version: 1` and `rules:`
    const char* says;
  };
  const Case cases[] = {
      {"  - {id: a, when: dst_prt == 1, then: {drop: true}}", "rules.yaml:3:19: rule a: when: there is no field dst_prt; is it dst_port?"},
      {"  - {id: a, when: dst_port == , then: {drop: true}}", "rules.yaml:3:30: rule a: when: the expression ends where a value is expected"},
      {"  - {id: a, when: \"dst_port == 'x'\", then: {drop: true}}", "a number and a text are never equal"},
      {"  - {id: a, when: src_addr > 5, then: {drop: true}}", "'>' of a text and a number"},
      {"  - {id: a, when: bytes, then: {drop: true}}", "a number where true or false is wanted"},
      {"  - {id: a, when: dst_port in @web, then: {drop: true}}", "there is no set @web; there are none"},
      {"  - {id: a, when: \"cidr(src_addr, '10.0.0.0/40')\", then: {drop: true}}", "'10.0.0.0/40' is no prefix"},
      {"  - {id: a, when: \"some(as_path, # > 5)\", then: {drop: true}}", "of the list as_path rules may ask"},
      {"  - {id: a, when: \"matches(site, 'x')\", then: {drop: true}}", "matches() is not for rules on flows"},
      {"  - {id: a, when: \"startWith(site, 'x')\", then: {drop: true}}", "there is no function startWith(); is it startsWith?"},
      {"  - {id: a, when: \"lookup('x', site) == 'y'\", then: {drop: true}}", "there is no dictionary x"},
      {"  - {id: a, when: true}", "rule a does nothing: it needs 'then'"},
      {"  - {id: a, then: {dorp: true}}", "rule a: then has no key 'dorp'; there are drop, sample, set, labels"},
      {"  - {id: a, then: {drop: true, sample: 2}}", "what is dropped is nothing else"},
      {"  - {id: a, then: {sample: 0}}", "rules.yaml:3:28: rule a: sample is '0', allowed are 1 to 1000000000"},
      {"  - {id: a, then: {set: {severity_id: 9}}}", "severity_id cannot be 9; it is one of 0, 1, 2, 3, 4, 5, 6, 99"},
      {"  - {id: a, then: {set: {app_name: 5}}}", "app_name cannot be 5; it is a text"},
      {"  - {id: a, then: {set: {ap_name: \"'x'\"}}}", "ap_name cannot be set; unmapped.<a name that no field has>, app_name"},
      {"  - {id: a, then: {set: {severity_id: 6, severity_id: 2}}}", "set has severity_id twice"},
      {"  - {id: a, then: {set: {unmapped.bytes: 1}}}", "unmapped.bytes cannot be set"},
      {"  - {id: a, then: {set: {unmapped.decision: 1}}}", "unmapped.decision cannot be set"},
      {"  - {id: a, then: {set: {unmapped.enrichments: 1}}}", "unmapped.enrichments cannot be set"},
      {"  - {id: a, then: {set: {unmapped.osint: 1}}}", "unmapped.osint cannot be set"},
      {"  - {id: a, then: {set: {unmapped.flow_type: 1}}}", "unmapped.flow_type cannot be set"},
      {"  - {id: a, then: {set: {unmapped.message: \"'a'\"}}}", "unmapped.message cannot be set"},
      {"  - {id: a, then: {drop: true}}\n  - {id: a, then: {drop: true}}", "rules.yaml:4:5: there are two rules a"},
      {"  - id: a\n    then: {set: {app_name: \"site + 1\"}}", "rules.yaml:4:34: rule a: set app_name: '+' of a text and a number"},
      {"  - {id: a, then: [drop]}", "rule a: then is to be a mapping"},
      {"  - {id: a, when: \"(((1\", then: {drop: true}}", "ends where ')' is expected"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(error_of(std::string("version: 1\nrules:\n") + c.rules + "\n"), HasSubstr(c.says)) << c.rules;
  }
  EXPECT_THAT(error_of("rules: []\n"), HasSubstr("version is to be 1"));
  EXPECT_THAT(error_of("version: 1\nruls: []\n"), HasSubstr("rules.yaml:2:1: the file has no key 'ruls'; there are version, sets"));
  EXPECT_THAT(error_of("version: 1\nsets: {a: [10.0.0.0/8, x]}\n"), HasSubstr("rules.yaml:2:24: set a: 'x' is no prefix; it is a set of prefixes"));
  EXPECT_THAT(error_of("version: 1\nderive: {bytes: 1}\n"), HasSubstr("derive bytes: there is bytes already"));
  EXPECT_THAT(error_of("version: 1\nderive: {a: b + 1, b: bytes}\n"),
              HasSubstr("rules.yaml:2:13: derive a: b is derived further down; a derived value sees those above it: b has to come first, and not to need this one"));
  EXPECT_THAT(error_of("version: 1\nderive: {a: bytes, b: a + b}\n"), HasSubstr("rules.yaml:2:27: derive b: b is derived from itself"));
  EXPECT_EQ(error_of("version: 1\nderive: {a: bytes, b: a + 1}\n"), "");
  EXPECT_THAT(error_of("version: 1\nlocal_prefixes: '@x'\n"), HasSubstr("there is no set @x"));
  EXPECT_THAT(error_of("version: 1\ndictionaries: {a: /nowhere/a.csv}\n"), HasSubstr("rules.yaml:2:19: /nowhere/a.csv: No such file"));
  EXPECT_THAT(error_of("version: [\n"), HasSubstr("rules.yaml:"));
  // Places at which yaml-cpp would find empty documents for ever.
  for (const char* const text : {",", ",\"a", "version: 1\n---\n,x\n", "]", "a: 1\n}"}) EXPECT_THAT(error_of(text), HasSubstr("rules.yaml:")) << text;
  EXPECT_EQ(error_of("version: 1\n# gr\xc3\xbcn\nrules:\n  - {id: gr\xfcn, then: {drop: true}}\n"), "rules.yaml:4:12: octet fc is no UTF-8");
  EXPECT_THAT(error_of("version: 1\nrules:\n  - {id: a, when: \"" + std::string(200, '(') + "\", then: {drop: true}}\n"),
              HasSubstr("deeper than 64"));
}

/// In the first place as in the second: a set of texts has no address in it, and `not in` it is everything.
TEST(Sets, AreNotMadeTextsByASlipInTheirFirstItem) {
  const char* const slips[] = {"10.0.0.0/33", "10.0.0/8", "@a", "192.168.*", "192.168.1.0-192.168.1.255", "192.168.0.0 /16"};
  for (const std::string slip : slips) {
    const std::string quoted = "'" + slip + "'";
    EXPECT_THAT(error_of("version: 1\nsets: {keep: [" + quoted + ", 192.168.0.0/16]}\n"),
                ::testing::AllOf(HasSubstr("rules.yaml:2:15: set keep: '" + slip + "'"), HasSubstr("192.168.0.0/16 is one")))
        << slip;
    // Alone it may be a text; not where an address is looked for in it.
    const std::string alone = "version: 1\nsets: {keep: [" + quoted + "]}\nrules:\n  - {id: a, when: src_addr not in @keep, then: {drop: true}}\n";
    EXPECT_THAT(error_of(alone), ::testing::AllOf(HasSubstr("rules.yaml:4:35: rule a: when: src_addr is never in @keep, a set of texts by its first item: "), HasSubstr(slip)));
  }
  EXPECT_THAT(error_of("version: 1\nlocal_prefixes: [10.0.0.0/33, 10.0.0.0/8]\n"), HasSubstr("rules.yaml:2:18: set local_prefixes: '10.0.0.0/33': the length is 0 to 32"));
  EXPECT_THAT(error_of("version: 1\nsets: {p: [8o, 80]}\n"), HasSubstr("rules.yaml:2:12: set p: '8o' is neither a number nor a range; 80 is one"));
  EXPECT_EQ(error_of("version: 1\nsets: {p: [ssh, http, '']}\nrules: [{id: a, when: site in @p, then: {drop: true}}]\n"), "");
}

/// As a list that is made by a program may be today.
TEST(Sets, MayBeEmpty) {
  const auto rules = rules_of(R"yaml(
version: 1
sets: {none: []}
local_prefixes: []
derive: {a: site in @none}
rules:
  - {id: port, when: dst_port in @none, then: {labels: [x]}}
  - {id: address, when: "src_addr in @none or cidr(src_addr, @none)", then: {labels: [x]}}
  - {id: number, when: "bytes + 1 in @none or a or src_mac in @none", then: {labels: [x]}}
  - {id: not, when: "src_addr not in @none and dst_port not in @none", then: {labels: [y]}}
)yaml");
  ASSERT_NE(rules, nullptr);
  const Viewed flow(web_flow());
  Ran ran(*rules, flow.view);
  ASSERT_EQ(ran.out.labels, 1u);
  EXPECT_EQ(ran.out.label[0], "y");
  EXPECT_EQ(run_plainly(*rules, flow.view).labels, (std::vector<std::string>{"y"}));
}

TEST(RuleSet, KnowsAnAddressInAnyOfItsForms) {
  const std::string forms[] = {"src_addr == '2001:DB8::1'", "'2001:0db8:0000:0000:0000:0000:0000:0001' == src_addr", "src_addr in ['x', '2001:DB8:0::1']",
                               "src_addr in ['10.0.0.1', '2001:DB8:0::1']", "'2001:DB8::1' in srv6_segments", "contains(srv6_segments, '2001:db8:0::1')",
                               "(src_addr == '2001:DB8::1' ? 1 : 0) == 1"};
  flowpb::FlowMessage f = web_flow();
  f.set_src_addr(std::string("\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16));
  f.add_srv6_segments(f.src_addr());
  const Viewed flow(f);
  for (const std::string& form : forms) {
    const std::string text = "version: 1\nrules:\n  - {id: a, when: \"" + form + "\", then: {labels: [x]}}\n";
    if (form.find("'x'") != std::string::npos) {
      EXPECT_THAT(error_of(text), HasSubstr("rules.yaml:3:33: rule a: when: 'x' is no address"));
      continue;
    }
    const auto rules = rules_of(text);
    ASSERT_NE(rules, nullptr);
    EXPECT_EQ(Ran(*rules, flow.view).out.labels, 1u) << form;
    EXPECT_EQ(run_plainly(*rules, flow.view).labels.size(), 1u) << form;
  }
}

TEST(RuleSet, RefusesConstantsThatNoFlowHas) {
  const auto when = [](const std::string& condition) {
    return error_of("version: 1\nsets: {macs: ['02-00-00-00-00-01'], nets: [10.0.0.0/8], good: ['02:00:00:00:00:0a']}\nrules:\n  - {id: a, when: \"" + condition + "\", then: {drop: true}}\n");
  };
  EXPECT_THAT(when("src_addr == '10.0.0.001'"), HasSubstr("rules.yaml:4:32: rule a: when: '10.0.0.001' is no address; src_addr is '192.0.2.1', '2001:db8::1', or ''"));
  EXPECT_THAT(when("src_addr != '10.0.0.0/8'"), HasSubstr("'10.0.0.0/8' is a prefix, no address: ask cidr(src_addr, '10.0.0.0/8')"));
  EXPECT_THAT(when("src_mac == '02-00-00-00-00-01'"), HasSubstr("rules.yaml:4:31: rule a: when: src_mac is never '02-00-00-00-00-01'; write '02:00:00:00:00:01'"));
  EXPECT_THAT(when("src_mac in ['0200.0000.00AA']"), HasSubstr("write '02:00:00:00:00:aa'"));
  EXPECT_THAT(when("dst_mac == ''"), HasSubstr("'' is no MAC address; dst_mac is '02:00:00:00:00:01', and '00:00:00:00:00:00' where there is none"));
  EXPECT_THAT(when("src_mac in @macs"), HasSubstr("@macs: src_mac is never '02-00-00-00-00-01'; write '02:00:00:00:00:01'"));
  EXPECT_THAT(when("src_mac in @nets"), HasSubstr("src_mac is never in @nets, a set of prefixes by its first item, 10.0.0.0/8"));
  EXPECT_THAT(when("flow_type == 'ipfix'"), HasSubstr("flow_type is never 'ipfix'; it is one of 'FLOWUNKNOWN', 'SFLOW_5', 'NETFLOW_V5', 'NETFLOW_V9', 'IPFIX', 'NETFLOW_V1'"));
  EXPECT_THAT(when("flow_type not in ['NetFlow v9']"), HasSubstr("flow_type is never 'NetFlow v9'"));
  EXPECT_THAT(when("application_id == '0D00'"), HasSubstr("application_id is never '0D00'"));
  for (const char* const good : {"src_addr == ''", "src_mac == '02:00:00:00:00:0a'", "src_mac in @good", "flow_type in ['IPFIX', 'SFLOW_4', '']",
                                 "application_id == '0d00'", "site == '2001:DB8::1'", "src_addr in @nets"}) {
    EXPECT_EQ(when(good), "") << good;
  }
}

TEST(RuleSet, HoldsAnotherNameOfAFieldToWhatTheFieldCanBe) {
  const auto with = [](const std::string& condition) {
    return "version: 1\nsets: {texts: [abc]}\nderive: {who: src_addr, from: who, card: src_mac, kind: flow_type, protocol: proto, half: bytes / 2}\nrules:\n  - {id: a, when: \"" + condition +
           "\", then: {labels: [x]}}\n";
  };
  EXPECT_THAT(error_of(with("from == '10.0.0.001'")), HasSubstr("rules.yaml:5:28: rule a: when: '10.0.0.001' is no address; src_addr is"));
  EXPECT_THAT(error_of(with("who in @texts")), HasSubstr("src_addr is never in "));
  EXPECT_THAT(error_of(with("card == '02-00-00-00-00-01'")), HasSubstr("write '02:00:00:00:00:01'"));
  EXPECT_THAT(error_of(with("kind in ['ipfix']")), HasSubstr("flow_type is never 'ipfix'"));
  EXPECT_THAT(error_of(with("protocol == 'tcp'")), HasSubstr("a number and a text are never equal"));
  EXPECT_THAT(error_of(with("half == 'x'")), HasSubstr("a number or null and a text are never equal"));
  const auto rules = rules_of(with("from == '0a00::0001' or who == '10.0.0.1' and protocol in [6] and half == 50"));
  ASSERT_NE(rules, nullptr);
  const Viewed flow(web_flow());
  EXPECT_EQ(Ran(*rules, flow.view).out.labels, 1u);
  const PlainOutcome plain = run_plainly(*rules, flow.view);
  EXPECT_EQ(plain.labels.size(), 1u);
  EXPECT_EQ(plain.derived[1], (std::pair<std::string, std::string>{"from", "\"10.0.0.1\""}));
}

TEST(RuleSet, HoldsWhatIsOneOfSeveralFieldsToWhatTheyCanBe) {
  const auto with = [](const std::string& condition) {
    return "version: 1\nsets: {texts: [abc], macs: ['02:00:00:00:00:01'], some: [10.0.0.0/8]}\nderive:\n"
           "  out: dst_port == 443\n  peer: 'out ? dst_addr : src_addr'\n  known: \"out ? peer : 'nobody'\"\n  any: 'out ? peer : site'\n"
           "  mixed: 'out ? src_addr : src_mac'\nrules:\n  - {id: a, when: \"" +
           condition + "\", then: {labels: [x]}}\n";
  };
  EXPECT_THAT(error_of(with("peer == '10.0.0.001'")), HasSubstr("rule a: when: '10.0.0.001' is no address; dst_addr is"));
  EXPECT_THAT(error_of(with("(out ? src_addr : dst_addr) != 'x'")), HasSubstr("'x' is no address; src_addr is"));
  EXPECT_THAT(error_of(with("peer in ['10.0.0.1', 'x']")), HasSubstr("'x' is no address"));
  EXPECT_THAT(error_of(with("peer in @texts")), HasSubstr("dst_addr is never in @texts"));
  EXPECT_THAT(error_of(with("known == 'somebody'")), HasSubstr("'somebody' is no address"));
  EXPECT_THAT(error_of(with("mixed == '02-00-00-00-00-01'")), HasSubstr("'02-00-00-00-00-01' is no address"));
  for (const char* const good : {"known == 'nobody'", "any == 'here'", "any in @texts", "mixed == '02:00:00:00:00:01'", "mixed in @macs", "peer in @some",
                                 "known in @texts", "(out ? 'a' : 'b') == 'c'", "((src_as / dst_as) ?? src_addr) == 'x'"}) {
    EXPECT_EQ(error_of(with(good)), "") << good;
  }
  const auto rules = rules_of(with("peer == '0a00::0001' or known == 'C000:0201::1' or peer == '192.0.2.80'"));
  ASSERT_NE(rules, nullptr);
  const Viewed flow(web_flow());
  EXPECT_EQ(Ran(*rules, flow.view).out.labels, run_plainly(*rules, flow.view).labels.size());
}

TEST(RuleSet, RoundsQuotientsDownAsInterpretingThemDoes) {
  const auto rules = rules_of(
      "version: 1\nrules:\n  - id: a\n    then: {set: {unmapped.a: floor(bytes / packets), unmapped.b: trunc(bytes / packets), unmapped.c: floor(-bytes / packets),\n"
      "      unmapped.d: floor(bytes / 1.5), unmapped.e: floor(bytes / -packets), unmapped.f: ceil(bytes / packets), unmapped.g: 'floor((bytes > 9 ? bytes : packets) / packets)'}}\n"
      "  - {id: b, then: {set: {unmapped.h: floor(bytes / packets)}}}\n  - {id: c, then: {set: {unmapped.i: \"floor(src_as / 0 ?? bytes / packets)\"}}}\n");
  ASSERT_NE(rules, nullptr);
  constexpr uint64_t kMost = UINT64_MAX;
  constexpr uint64_t kNumbers[] = {0, 1, 2, 3, 7, 999, 1000, UINT32_MAX, uint64_t{1} << 63, 9999999999999999999u, 10000000000000000000u, kMost - 1, kMost};
  for (const uint64_t bytes : kNumbers) {
    for (const uint64_t packets : kNumbers) {
      flowpb::FlowMessage f;
      f.set_bytes(bytes);
      f.set_packets(packets);
      const Viewed flow(f);
      ASSERT_EQ(testing::summary(*rules, Ran(*rules, flow.view).out), testing::summary(*rules, run_plainly(*rules, flow.view))) << bytes << " / " << packets;
    }
  }
  const Viewed flow(web_flow());
  EXPECT_EQ(Ran(*rules, flow.view).out.errors, 3u) << "a quotient by 0 is null, and null is not rounded";
}

TEST(RuleSet, KeepsConditionsThatAreDerivedOrSet) {
  const auto rules = rules_of(
      "version: 1\nsets: {ports: [80, 443], local: [10.0.0.0/8]}\n"
      "derive: {large: bytes > 99, web: dst_port in @ports, away: 'dst_port not in [1..79]', here: src_addr in @local, there: \"cidr(dst_addr, @local)\", is: \"src_addr == '10.0.0.1'\"}\n"
      "rules:\n  - {id: a, when: large and web and away and here and not there and is, then: {labels: [x], set: {unmapped.a: bytes < 100, unmapped.b: 'proto in [6]', unmapped.c: '443 in as_path'}}}\n"
      "  - {id: b, when: \"(bytes == 100) == (proto == 6) and (large ? 1 : 2) + (there ? 1 : 2) == 3\", then: {labels: [y]}}\n");
  ASSERT_NE(rules, nullptr);
  const Viewed flow(web_flow());
  const Ran ran(*rules, flow.view);
  EXPECT_EQ(testing::summary(*rules, ran.out), "kept factor 1 unmapped.a=false unmapped.b=true unmapped.c=false #x #y left out 0 errors 0");
  EXPECT_EQ(testing::summary(*rules, run_plainly(*rules, flow.view)), testing::summary(*rules, ran.out));
}

TEST(RuleSet, RefusesKeysOfADictionaryThatNoFieldIs) {
  const std::string path = ::testing::TempDir() + "weir_keys_" + std::to_string(getpid()) + ".csv";
  const auto why = [&](const std::string& keys, const std::string& asked) {
    std::ofstream(path) << "key,name\n" << keys;
    return error_of("version: 1\ndictionaries: {d: " + path + "}\nderive: {end: 'proto == 6 ? src_mac : dst_mac'}\nrules:\n  - {id: a, then: {set: {app_name: \"lookup('d', " + asked + ")\"}}}\n");
  };
  EXPECT_THAT(why("02:00:00:00:00:0a,x\n02-00-00-00-00-0A,y\n", "src_mac"),
              HasSubstr("src_mac is never '02-00-00-00-00-0A', a key of " + path + "; write '02:00:00:00:00:0a' there, or look up what upper() makes of it"));
  EXPECT_THAT(why("02:00:00:00:00:0A,x\n", "end"), HasSubstr("src_mac is never '02:00:00:00:00:0A'"));
  EXPECT_THAT(why("2001:DB8::1,x\n", "dst_addr"), HasSubstr("dst_addr is never '2001:DB8::1', a key of " + path + "; write '2001:db8::1' there"));
  EXPECT_EQ(why("02:00:00:00:00:0A,x\n", "upper(src_mac)"), "");
  EXPECT_EQ(why("2001:DB8::1,x\n", "site"), "");
  EXPECT_EQ(why("2001:DB8::1,x\n", "src_mac"), "");
  EXPECT_EQ(why("2001:db8::1,x\n10.0.0.1,y\n02:00:00:00:00:0a,z\nnobody,n\n123456789012,d\n", "proto == 6 ? src_addr : end"), "");
  unlink(path.c_str());
}

TEST(RuleSet, MakesMacAddressesOfTextsAndOfNumbers) {
  struct Case {
    const char* expression;
    const char* is;  // as JSON
  };
  const Case cases[] = {
      {"mac(site)", "\"02:00:5e:10:00:0a\""},
      {"mac(upper(site))", "\"02:00:5e:10:00:0a\""},
      {"mac('0200.5E10.000A')", "\"02:00:5e:10:00:0a\""},
      {"mac('02005e10000a')", "\"02:00:5e:10:00:0a\""},
      {"mac(bytes)", "\"00:00:00:00:00:64\""},
      {"mac(bytes * 2.5)", "\"00:00:00:00:00:fa\""},
      {"mac(bytes / 3)", "null"},
      {"mac(0 - bytes)", "null"},
      {"mac(281474976710655)", "\"ff:ff:ff:ff:ff:ff\""},
      {"mac(281474976710556 + bytes)", "null"},
      {"mac(in_if_name)", "null"},
      {"mac(null)", "null"},
      {"mac(mac(src_mac))", "\"02:00:5e:10:00:0a\""},
      {"mac(site) == src_mac", "true"},
      {"src_mac != mac('02-00-5E-10-00-0B')", "true"},
      {"mac(site) in ['02-00-5e-10-00-0a', src_mac]", "true"},
      {"mac(site) ?? 'none'", "\"02:00:5e:10:00:0a\""},
  };
  flowpb::FlowMessage message = web_flow();
  message.set_bytes(100);
  message.set_site("02-00-5e-10-00-0A");
  message.set_in_if_name("02-00-5e-10-00");
  message.set_src_mac(0x02005e10000a);
  const Viewed flow(message);
  for (const Case& c : cases) {
    const auto rules = rules_of(std::string("version: 1\nrules:\n  - {id: a, then: {set: {unmapped.x: \"") + c.expression + "\"}}}\n");
    ASSERT_NE(rules, nullptr);
    const Ran ran(*rules, flow.view);
    const std::string expected = std::string(c.is) == "null" ? "" : std::string(" unmapped.x=") + c.is;
    EXPECT_EQ(testing::summary(*rules, ran.out), "kept factor 1" + expected + " left out 0 errors 0") << c.expression;
    EXPECT_EQ(testing::summary(*rules, run_plainly(*rules, flow.view)), testing::summary(*rules, ran.out)) << c.expression;
  }
  const auto why = [](const std::string& expression) {
    return error_of("version: 1\nrules:\n  - {id: a, when: \"" + expression + "\", then: {drop: true}}\n");
  };
  EXPECT_THAT(why("src_mac == mac('02-00-5e-10-00')"), HasSubstr("'02-00-5e-10-00' is no MAC address: twelve hexadecimal digits"));
  EXPECT_THAT(why("src_mac == mac(281474976710656)"), HasSubstr("281474976710656 is no MAC address"));
  EXPECT_THAT(why("src_mac == mac(proto == 6)"), HasSubstr("mac() of true or false"));
  EXPECT_THAT(why("src_mac == mac()"), HasSubstr("mac() takes 1 arguments"));
  EXPECT_THAT(why("mac(src_mac) == bytes"), HasSubstr("never equal"));
}

TEST(RuleSet, RefusesWhatCanNeverBeAsItsTypesAre) {
  const auto when = [](const std::string& condition) {
    return "version: 1\nderive: {half: bytes / 2, big: bytes > 9, word: site + 'x', text: 'big ? word : site'}\nrules:\n  - {id: a, when: \"" + condition +
           "\", then: {labels: [x]}}\n";
  };
  const struct {
    const char* condition;
    const char* why;  // empty: it is good
  } cases[] = {{"proto in ['tcp']", "a number and a text are never equal"},
               {"proto in [6, 'udp']", "a number and a text are never equal"},
               {"not (proto in [6, true])", "a number and true or false are never equal"},
               {"half in ['1', '2']", "a number or null and a text are never equal"},
               {"half in [null, 2]", ""},
               {"'64500' in as_path", "a text is never in a list each entry of which is a number"},
               {"contains(as_path, '64500')", "a text is never in a list each entry of which is a number"},
               {"6 in labels", "a number is never in a list each entry of which is a text"},
               {"half in as_path", ""},
               {"half", "a number or null where true or false is wanted"},
               {"big and word", "true or false is wanted"},
               {"big and bytes > 1", ""},
               {"big == null", ""},
               {"text + 1 == 2", "'+' of a text or null and a number"},
               {"text == 'x'", ""},
               {"len(half) > 1", "len() of a number or null, takes a text"}};
  for (const auto& c : cases) {
    const std::string error = error_of(when(c.condition));
    if (*c.why == 0) EXPECT_EQ(error, "") << c.condition;
    else EXPECT_THAT(error, HasSubstr(c.why)) << c.condition;
  }
}

TEST(RuleSet, RefusesToSetWhatAnAttributeCanNeverBe) {
  const auto set = [](const std::string& what) { return "version: 1\nderive: {half: bytes / 2}\nrules:\n  - {id: a, then: {set: {" + what + "}}}\n"; };
  EXPECT_THAT(error_of(set("app_name: bytes")), HasSubstr("rule a: app_name cannot be a number; it is a text"));
  EXPECT_THAT(error_of(set("severity_id: site")), HasSubstr("rule a: severity_id cannot be a text; it is one of 0"));
  EXPECT_THAT(error_of(set("app_name: half")), HasSubstr("app_name cannot be a number or null; it is a text"));
  EXPECT_EQ(error_of(set("severity_id: half, unmapped.a: half, unmapped.b: site")), "");
}

TEST(Sets, HoldWhatIsUnderTheirPrefixesOnly) {
  auto set = NamedSet::make("s", {"10.1.0.0/16", "10.0.0.0/16", "192.0.2.7", "2001:db8::/33"});
  ASSERT_TRUE(set) << set.error().message;
  for (const char* const in : {"10.0.0.0", "10.1.255.255", "192.0.2.7", "2001:db8:7fff::1", "::ffff:10.0.0.1"}) EXPECT_TRUE(set->contains(in)) << in;
  for (const char* const out : {"9.255.255.255", "10.2.0.0", "192.0.2.6", "192.0.2.8", "2001:db8:8000::", "", "x"}) EXPECT_FALSE(set->contains(out)) << out;
  auto all = NamedSet::make("s", {"0.0.0.0/0"});
  EXPECT_TRUE(all->contains("255.255.255.255"));
  EXPECT_FALSE(all->contains("::1")) << "0.0.0.0/0 is IPv4's";
}

TEST(Sets, HoldNumbersOfAnySize) {
  auto set = NamedSet::make("s", {"80", "1024-2000", "65535-65600", "4200000000-4294967295", "18446744073709551615"});
  ASSERT_TRUE(set) << set.error().message;
  for (const uint64_t in : {80ull, 1024ull, 2000ull, 65535ull, 65536ull, 65600ull, 4294967295ull, ~0ull}) EXPECT_TRUE(set->contains(in)) << in;
  for (const uint64_t out : {0ull, 79ull, 81ull, 2001ull, 65601ull, 4199999999ull, 4294967296ull}) EXPECT_FALSE(set->contains(out)) << out;
}

TEST(Decimals, AreRoundedOnce) {
  const auto d = [](const char* text) { return *Decimal::parse(text); };
  EXPECT_EQ(multiply(d("4.008310145909942271132978649"), d("58414678794"))->to_string(), "234144149680.06055061931580624");
  EXPECT_EQ(add(d("0.0000000000000004080673237"), d("-1605132958"))->to_string(), "-1605132957.9999999999999995919");
  EXPECT_EQ(multiply(d("79228162514264337593543950335"), d("0.1"))->to_string(), "7922816251426433759354395033.5");
  EXPECT_EQ(multiply(d("0.0000000000000000000000000001"), d("0.5"))->to_string(), "0.0000000000000000000000000000");
  EXPECT_EQ(add(d("79228162514264337593543950335"), d("0.5")), std::nullopt) << "2^96";
  EXPECT_EQ(add(d("-7922816251426433759354395033.5"), d("0.05"))->to_string(), "-7922816251426433759354395033.4");
}

TEST(Decimals, AreExact) {
  const auto d = [](const char* text) { return *Decimal::parse(text); };
  EXPECT_EQ(add(d("0.1"), d("0.2"))->to_string(), "0.3");
  EXPECT_EQ(d("1.50").to_string(), "1.50");
  EXPECT_EQ(d("1.50").to_json(), "1.5");
  EXPECT_EQ(d("-100.00").to_json(), "-100");
  EXPECT_EQ(d("0.0").to_json(), "0");
  EXPECT_EQ(d("100").to_json(), "100");
  EXPECT_EQ(divide(d("7"), d("2"))->to_string(), "3.50") << "as the reference engine's numbers have it";
  EXPECT_EQ(divide(d("1"), d("3"))->to_string(), "0.3333333333333333333333333333");
  EXPECT_EQ(divide(d("2"), d("3"))->to_string(), "0.6666666666666666666666666667");
  EXPECT_EQ(divide(d("-2"), d("3"))->to_string(), "-0.6666666666666666666666666667");
  EXPECT_EQ(multiply(Decimal(UINT64_MAX), Decimal(2))->to_string(), "36893488147419103230");
  EXPECT_EQ(multiply(Decimal(UINT64_MAX), Decimal(UINT64_MAX)), std::nullopt) << "128 bits";
  EXPECT_EQ(divide(d("1"), d("0")), std::nullopt);
  EXPECT_EQ(compare(d("79228162514264337593543950335"), d("0.0000000000000000000000000001")), 1);
  EXPECT_EQ(compare(d("-79228162514264337593543950335"), d("0.0000000000000000000000000001")), -1);
  EXPECT_EQ(Decimal::parse("79228162514264337593543950336"), std::nullopt);
  EXPECT_EQ(d("-7.555").rounded(Decimal::Toward::nearest, 2).to_string(), "-7.56");
  EXPECT_EQ(d("-7.1").rounded(Decimal::Toward::minus_infinity).to_string(), "-8");
  for (const char* const none : {"", "-", "1e", "1x", "1.2.3", "e5", "0x10"}) EXPECT_EQ(Decimal::parse(none), std::nullopt) << none;
}

}  // namespace
}  // namespace weir::rules
