// A configuration read anew: what goes at once, what only a restart takes up, and what is refused.
#include "control/reload.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace weir::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

LoadedConfig load(const std::string& text) {
  auto loaded = read_config("ports: [{kind: socket, address: 127.0.0.1}]\npublishers: [{kind: stdout}]\n" + text,
                            "test.yaml", {});
  EXPECT_TRUE(loaded) << loaded.error().message;
  return loaded ? *loaded : LoadedConfig{};
}

constexpr char kOneListener[] = "listeners: [{protocol: netflow, port: 2055}]\n";

TEST(LiveKeys, StandInTheTableOfTheDocument) {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  std::ifstream file(std::string(root != nullptr ? root : ".") + "/docs/REST.md");
  ASSERT_TRUE(file);
  std::string rows, line;  // of keys that go, `all else` is the last
  while (std::getline(file, line) && !line.starts_with("| keys | a reload")) {
  }
  while (std::getline(file, line) && !line.starts_with("| all else")) rows += line + "\n";
  EXPECT_FALSE(file.eof());
  for (const std::string_view key : live_keys()) {
    const std::string family(key.substr(0, key.find('_')));  // nats_…, stream_…
    const bool is_told = rows.find(fmt::format("`{}`", key)) != std::string::npos ||
                         rows.find(fmt::format("`{}_…`", family)) != std::string::npos;
    EXPECT_TRUE(is_told) << key;
  }
}

TEST(CompareConfigs, TellsWhatGoesNowFromWhatARestartTakesUp) {
  const ApplianceConfig a = load(kOneListener).config;
  EXPECT_THAT(compare(a, a, a).now, IsEmpty());
  EXPECT_THAT(compare(a, a, a).at_restart, IsEmpty());

  const ApplianceConfig b =
      load("listeners: [{protocol: netflow, port: 9995}]\n"
           "log: {level: debug, format: json}\n"
           "limits: {records_per_second: 7, packets_per_second_per_exporter: 8, exporters_per_core: 100, domains_per_exporter: 9}\n"
           "sampling: {override: [{exporters: 192.0.2.0/24, rate: 5}]}\n"
           "exporters: {allow: [192.0.2.0/24], sites: [{exporters: 192.0.2.0/24, site: here}]}\n"
           "replicate: [{to: '192.0.2.20:2055'}]\n"
           "nats_password: other\n"
           "batch_linger_ms: 70\n")
          .config;
  const ConfigChange change = compare(a, a, b);
  EXPECT_THAT(change.now, ElementsAre("listeners[0].port", "limits.exporters_per_core", "limits.records_per_second",
                                      "limits.packets_per_second_per_exporter", "sampling.override", "exporters.allow",
                                      "exporters.sites", "replicate", "nats_password", "log.level"));
  EXPECT_THAT(change.at_restart, ElementsAre("limits.domains_per_exporter", "batch_linger_ms", "log.format"));

  const ApplianceConfig merged = with_live_keys(a, b);
  EXPECT_THAT(compare(a, merged, b).now, IsEmpty()) << "all that goes now has been taken over";
  EXPECT_THAT(compare(a, merged, b).at_restart, change.at_restart) << "and is told again";
}

TEST(CompareConfigs, AListenerGetsNoMoreThanDecodersHaveReservedAtTheStart) {
  const ApplianceConfig a = load("listeners: [{protocol: netflow, port: 2055, max_templates: 500}]\n").config;
  const ApplianceConfig less = load("listeners: [{protocol: netflow, port: 2055, max_templates: 100}]\n").config;
  const ApplianceConfig more =
      load("listeners: [{protocol: netflow, port: 2055, max_templates: 600, inline_names: true}]\n").config;
  EXPECT_THAT(compare(a, a, less).now, ElementsAre("listeners[0].max_templates"));
  EXPECT_THAT(compare(a, a, less).at_restart, IsEmpty());
  EXPECT_THAT(compare(a, less, a).at_restart, IsEmpty()) << "there is room for what was there at first";
  EXPECT_THAT(compare(a, a, more).now, IsEmpty());
  EXPECT_THAT(compare(a, a, more).at_restart,
              ElementsAre("listeners[0].max_templates", "listeners[0].inline_names"));
}

TEST(CompareConfigs, ExportersGetAsManyPlacesAsTheStartMadeRoomFor) {
  const auto limits = [](const std::string& text) { return load(kOneListener + ("limits: {" + text + "}\n")).config; };
  const ApplianceConfig a = limits("exporters_per_core: 1000");
  const auto expect = [&](const ApplianceConfig& started, const ApplianceConfig& wanted, std::vector<std::string> now,
                          std::vector<std::string> at_restart) {
    const ConfigChange change = compare(started, started, wanted);
    EXPECT_EQ(change.now, now);
    EXPECT_EQ(change.at_restart, at_restart);
    EXPECT_EQ(change.notes.size(), at_restart.empty() ? 0u : 1u);
    return change;
  };
  expect(a, limits("exporters_per_core: 10"), {"limits.exporters_per_core"}, {});
  expect(a, limits("exporters_per_core: 65536"), {"limits.exporters_per_core"}, {});
  expect(a, limits("exporters_per_core: 65537"), {"limits.exporters_per_core"}, {});  // exporters_total is the smaller bound
  const ConfigChange beyond = expect(a, limits("exporters_per_core: 65537, exporters_total: 70000"), {},
                                     {"limits.exporters_per_core", "limits.exporters_total"});
  EXPECT_THAT(beyond.notes, ElementsAre("limits: 65537 exporters a core are wanted, and the start made room for 65536"));
  const ApplianceConfig large = limits("exporters_per_core: 50000");
  expect(large, limits("exporters_per_core: 200000, exporters_total: 400000"),
         {"limits.exporters_per_core", "limits.exporters_total"}, {});
  expect(large, limits("exporters_per_core: 200001, exporters_total: 400000"), {},
         {"limits.exporters_per_core", "limits.exporters_total"});
}

TEST(Numbering, KeepsPlacesOfWhatIsGoneAndPutsWhatIsNewBehind) {
  Numbering numbers(load("listeners: [{name: a, protocol: netflow, port: 1000, subject: flows.raw.a},\n"
                         "            {name: b, protocol: netflow, port: 1001, subject: flows.raw.b}]\n")
                        .config);
  const ApplianceConfig next =
      load("listeners: [{name: c, protocol: netflow, port: 1002, subject: flows.raw.c},\n"
           "            {name: b, protocol: netflow, port: 1003, subject: flows.raw.b}]\n")
          .config;
  numbers.extend(next);
  EXPECT_THAT(numbers.listeners, ElementsAre("a", "b", "c"));
  EXPECT_THAT(numbers.subjects, ElementsAre("flows.raw.a", "flows.raw.b", "flows.raw.c"));
  const auto plane = data_plane_config(next, numbers);
  ASSERT_EQ(plane.pipeline.listeners.size(), 3u);
  EXPECT_EQ(plane.pipeline.listeners[0].port, 0u) << "it is gone";
  EXPECT_EQ(plane.pipeline.listeners[1].port, 1003u);
  EXPECT_EQ(plane.pipeline.listeners[1].route.value, 1u);
  EXPECT_EQ(plane.pipeline.listeners[2].port, 1002u);
  EXPECT_EQ(plane.pipeline.listeners[2].route.value, 2u);
  for (const dataplane::SocketPort& port : plane.socket_ports) {
    EXPECT_EQ(port.listener.value, port.port == 1003 ? 1u : 2u);
  }
}

class ReloaderTest : public ::testing::Test {
 protected:
  ReloaderTest() : running_(load(kOneListener).config), reloader_(running_) {}

  /// Steps until the reload has ended.
  std::shared_ptr<const ReloadView> run(uint64_t number) {
    for (int i = 0; i < 5000; ++i) {
      step();
      const auto view = reloader_.view();
      if (view->number == number && view->state != ReloadState::running) return view;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ADD_FAILURE() << "reload " << number << " does not end";
    return reloader_.view();
  }
  void step() {
    RoleScope role(control_thread);
    reloader_.step(running_,
                   {.prepare = [this](const ApplianceConfig&) -> Result<Reloader::Preparation> {
                      if (!cannot_now_.empty()) return Error{cannot_now_};
                      if (!prepares_) return Reloader::Preparation();
                      return Reloader::Preparation([this]() -> Result<void> {
                        ++prepared_;
                        if (!preparation_fails_.empty()) return Error{preparation_fails_};
                        return {};
                      });
                    },
                    .apply = [this](const ApplianceConfig& config, const service::Origins&) -> Result<void> {
                      if (!refusal_.empty()) return Error{refusal_};
                      running_ = config;
                      ++applied_;
                      return {};
                    },
                    .is_settled = [this] { return settled_; }});
  }
  void source(const std::string& text) {
    reloader_.set_source([text]() -> Result<LoadedConfig> { return read_config(text, "test.yaml", {}); });
  }
  static std::string whole(const std::string& text) {
    return "ports: [{kind: socket, address: 127.0.0.1}]\npublishers: [{kind: stdout}]\n" + text;
  }

  ApplianceConfig running_;
  Reloader reloader_;
  std::string cannot_now_;  // said before anything is made,
  std::string preparation_fails_;
  std::string refusal_;  // and when all is there
  bool prepares_ = false;
  std::atomic<int> prepared_{0};
  bool settled_ = true;
  int applied_ = 0;
};

TEST_F(ReloaderTest, AppliesWhatDiffersAndSaysSo) {
  EXPECT_EQ(reloader_.view()->state, ReloadState::none);
  source(whole("listeners: [{protocol: netflow, port: 9995}]\nbatch_bytes: 128KiB\n"));
  ASSERT_EQ(reloader_.ask(), 1u);
  const auto view = run(1);
  EXPECT_EQ(view->state, ReloadState::applied);
  EXPECT_THAT(view->applied, ElementsAre("listeners[0].port"));
  EXPECT_THAT(view->needs_restart, ElementsAre("batch_bytes"));
  EXPECT_EQ(running_.listeners[0].port, 9995u);
  EXPECT_EQ(running_.batch_bytes, 64u * 1024);

  ASSERT_EQ(reloader_.ask(), 2u);
  const auto again = run(2);
  EXPECT_EQ(applied_, 1) << "nothing is left that goes now";
  EXPECT_THAT(again->applied, IsEmpty());
  EXPECT_THAT(again->needs_restart, ElementsAre("batch_bytes"));
}

TEST_F(ReloaderTest, RefusesAWrongFileAsAWhole) {
  source(whole("listeners: [{protocol: netflow, port: 9995}, {protocol: netflow, port: 70000}]\n"));
  reloader_.ask();
  const auto view = run(1);
  EXPECT_EQ(view->state, ReloadState::refused);
  EXPECT_THAT(view->error, HasSubstr("listeners[1].port"));
  EXPECT_EQ(applied_, 0);
  EXPECT_EQ(running_.listeners[0].port, 2055u);
}

TEST_F(ReloaderTest, RefusesWhatTheMachineWillNotHave) {
  source(whole("listeners: [{protocol: netflow, port: 9995}]\nbatch_bytes: 128KiB\n"));
  refusal_ = "port p0/netflow: UDP 127.0.0.1:9995 is in use by another program";
  reloader_.ask();
  const auto view = run(1);
  EXPECT_EQ(view->state, ReloadState::refused);
  EXPECT_EQ(view->error, refusal_);
  EXPECT_THAT(view->applied, IsEmpty());
}

TEST_F(ReloaderTest, OneAtATimeAndItEndsWhenAllHaveTakenItUp) {
  source(whole("listeners: [{protocol: netflow, port: 9995}]\n"));
  settled_ = false;
  ASSERT_EQ(reloader_.ask(), 1u);
  EXPECT_EQ(reloader_.ask(), std::nullopt);
  for (int i = 0; i < 2000 && applied_ == 0; ++i) {
    step();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ASSERT_EQ(applied_, 1);
  step();
  EXPECT_EQ(reloader_.view()->state, ReloadState::running);
  EXPECT_EQ(reloader_.ask(), std::nullopt);
  settled_ = true;
  EXPECT_EQ(run(1)->state, ReloadState::applied);
  EXPECT_EQ(reloader_.ask(), 2u);
  EXPECT_EQ(run(2)->state, ReloadState::unchanged);
}

}  // namespace
}  // namespace weir::control
