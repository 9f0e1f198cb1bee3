// Every command of weirctl against a running appliance: its table, its JSON, its exit status.
#include <gmock/gmock.h>

#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "appliance_fixture.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

/// The commands that --help lists.
std::set<std::string> commands_of(const std::string& help) {
  std::set<std::string> commands;
  bool is_list = false;
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("Subcommands:")) {
      is_list = true;
    } else if (line.empty()) {
      is_list = false;
    } else if (is_list && line.starts_with("  ") && line[2] != ' ') {
      commands.insert(line.substr(2, line.find(' ', 2) - 2));
    }
  }
  return commands;
}

struct Command {
  std::vector<std::string> words;
  const char* shows;              // a piece of what people see
  const char* key = nullptr;      // at the top of its JSON; null: it has none
  int status = 0;
};

using WeirctlTest = ApplianceTest;

TEST_F(WeirctlTest, EveryCommandAnswersPeopleAndScripts) {
  const auto weir = start("exporters: {deny: [198.51.100.0/24]}\nlog: {level: info}\n");
  ASSERT_GT(generate("ipfix", 200, 10), 0u);
  send_udp(port_, {std::string("\0\x07garbage", 9)});  // from another exporter: for the quarantine
  ASSERT_TRUE(eventually([&] {
    return ctl({"exporters"}).out.find("ipfix") != std::string::npos &&
           ctl({"quarantine"}).out.find("truncated_header") != std::string::npos;
  })) << ctl({"quarantine"}).out;
  const std::string file = folder_ / "out.pcap";

  const std::vector<Command> commands = {
      {{"status"}, "ready", "ports"},
      {{"ports"}, "host", "ports"},
      {{"cores"}, "serves", "cores"},
      {{"listeners"}, "ipfix", "listeners"},
      {{"queues"}, "batch buffers", "queues"},
      {{"publishers"}, "jetstream", "publishers"},
      {{"ledger"}, "books balance", "records"},
      {{"exporters"}, "ipfix", "exporters"},
      {{"exporters", "127.0.0.1"}, "127.0.0.1", "domain_list"},
      {{"top", "--count", "1"}, "exporter"},
      {{"ready"}, "ready", "status"},
      {{"health"}, "alive", "status"},
      {{"rules"}, "not classified", "rules"},
      {{"rules", "hits"}, "records looked at", "rules"},
      {{"config"}, "listeners[0].port", "values"},
      {{"reload"}, "nothing has changed", "state"},
      {{"log-level"}, "info", "level"},
      {{"log-level", "debug"}, "", "level"},
      {{"doctor", "-c", folder_ / "weir.yaml"}, "hugepages", "findings"},
      {{"metrics"}, "weir_listener_records_total{"},
      {{"captures"}, "", "captures"},
      {{"quarantine"}, "truncated_header", "datagrams"},
  };
  std::set<std::string> tried;
  for (const Command& c : commands) {
    tried.insert(c.words[0]);
    SCOPED_TRACE(c.words[0]);
    const Answer people = ctl(c.words);
    EXPECT_EQ(people.status, c.status) << people.err;
    EXPECT_THAT(people.out, HasSubstr(c.shows));
    if (c.key == nullptr) continue;
    std::vector<std::string> words = c.words;
    words.insert(words.begin(), "--json");
    const Answer scripts = ctl(words);
    EXPECT_EQ(scripts.status, c.status) << scripts.err;
    const json answer = json::parse(scripts.out, nullptr, false);
    ASSERT_TRUE(answer.is_object()) << scripts.out;
    EXPECT_TRUE(answer.contains(c.key)) << scripts.out;
  }

  // These two wait for what comes.
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"tail", "-n", "3", "--seconds", "20"}, {"capture", "--count", "2", "--seconds", "20", "-w", file}}) {
    SCOPED_TRACE(words[0]);
    tried.insert(words[0]);
    std::vector<std::string> arguments = {test::built("weirctl"), "--socket", control_socket()};
    arguments.insert(arguments.end(), words.begin(), words.end());
    Process waiting(folder_, arguments);
    ASSERT_TRUE(eventually([&] {
      generate("ipfix", 10, 5);
      return !waiting.is_running();
    })) << waiting.err();
    EXPECT_EQ(waiting.wait(), 0) << waiting.err();
  }
  EXPECT_EQ(run({weir->is_running() ? test::built("weir") : "", "decode", file}).status, 0);

  // These ask weir-api; tests/api/weirctl_query_test.cc has their answers.
  for (const char* const command : {"query", "sql"}) {
    tried.insert(command);
    const Answer nobody = ctl({command, "--api", folder_ / "api.sock", "in:flows"});
    EXPECT_EQ(nobody.status, 3);
    EXPECT_THAT(nobody.err, HasSubstr("is weir-api running"));
  }

  // And this weir-store; tests/store/program_test.cc has its answer.
  tried.insert("verify");
  const Answer no_store = ctl({"verify"});
  EXPECT_EQ(no_store.status, 1);
  EXPECT_THAT(no_store.err, HasSubstr("/v1/verify"));

  EXPECT_EQ(tried, commands_of(ctl({"--help"}).out)) << "a row here for each";
}

TEST_F(WeirctlTest, EveryCommandSaysThatNobodyIsThere) {
  for (const std::string& command : commands_of(ctl({"--help"}).out)) {
    if (command == "doctor" || command == "query" || command == "sql") continue;  // they go without
    SCOPED_TRACE(command);
    const Answer nobody = ctl({command});
    EXPECT_EQ(nobody.status, 3) << nobody.out;
    EXPECT_THAT(nobody.err, HasSubstr("is weir running"));
  }
}

TEST_F(WeirctlTest, TheDoctorLooksWhereTheServiceLooks) {
  const std::string config = write_config();
  std::string text = test::contents_of(config);
  text.replace(text.find(nats_.url()), nats_.url().size(), "nats://127.0.0.1:1");
  std::ofstream(config) << text;
  // As systemd reads it, and no shell would.
  const std::string variables = folder_ / "variables";
  std::ofstream(variables) << "# of the service\nNATS_URL=" << nats_.url() << "\nWEIR_EXPORTERS_DENY=192.0.2.0/24, 10.0.0.0/8\n";
  const auto findings = [&](std::vector<std::string> words, int status) {
    words.insert(words.begin(), {"--json", "doctor", "-c", config});
    const Answer answer = ctl(words);
    EXPECT_EQ(answer.status, status) << answer.out;
    std::multimap<std::string, std::string> found;
    const json body = json::parse(answer.out, nullptr, false);
    if (!body.is_object()) return found;
    for (const json& f : body.at("findings")) {
      found.emplace(f.at("about").get<std::string>(), f.at("grade").get<std::string>() + ": " + f.at("found").get<std::string>());
    }
    return found;
  };
  EXPECT_THAT(findings({}, 1).find("nats")->second, HasSubstr("wrong: "));
  EXPECT_THAT(findings({"--environment", variables}, 0).find("nats")->second, HasSubstr("fine: "));
  EXPECT_THAT(findings({"--environment", folder_ / ""}, 1).find("environment")->second, HasSubstr("not a regular file"));
  EXPECT_THAT(run({weir(), "check", "-c", config, "--environment", variables}).out, HasSubstr(nats_.url()));
  const Answer without = run({weir(), "check", "-c", config, "--environment", "none"});
  EXPECT_EQ(without.status, 0) << without.err;
  EXPECT_THAT(without.out, ::testing::Not(HasSubstr(nats_.url())));
  EXPECT_EQ(without.err.find("none"), std::string::npos) << without.err;

  auto weir = std::make_unique<Process>(folder_, std::vector<std::string>{this->weir(), "run", "-c", config},
                                        std::vector<std::string>{"NATS_URL=" + nats_.url()});
  ASSERT_TRUE(eventually([&] { return ctl({"ready"}).status == 0 || !weir->is_running(); })) << weir->err();
  const auto beside = findings({}, 0);
  EXPECT_EQ(beside.count("nats"), 2u);
  EXPECT_THAT(beside.find("nats")->second, HasSubstr("note: the running weir goes by another nats_url than is known here"));
  EXPECT_THAT(std::next(beside.find("nats"))->second, HasSubstr("fine: " + nats_.url()));
  EXPECT_EQ(findings({"--environment", variables}, 0).count("nats"), 1u);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(WeirctlTest, TheDoctorGoesWithoutAnAppliance) {
  const std::string config = write_config();
  const Answer alone = ctl({"--json", "doctor", "-c", config});
  const json findings = json::parse(alone.out, nullptr, false);
  ASSERT_TRUE(findings.is_object()) << alone.err;
  std::map<std::string, std::string> grades;
  for (const json& f : findings.at("findings")) grades[f.at("about")] = f.at("grade");
  EXPECT_EQ(grades["appliance"], "note");
  EXPECT_EQ(grades["nats"], "fine");
  EXPECT_EQ(grades["stream events"], "note") << "it is not there yet";
  EXPECT_EQ(alone.status, 0);
  nats_.kill();
  EXPECT_EQ(ctl({"doctor", "-c", config}).status, 1);
}

}  // namespace
}  // namespace weir
