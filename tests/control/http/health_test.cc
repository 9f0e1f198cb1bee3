#include "control/http/health.h"

#include <gtest/gtest.h>

#include "control/http/routes.h"

namespace weir::control {
namespace {

using service::HttpRequest;

constexpr uint64_t kNow = 1'000 * kNsPerSec;

ApplianceView running_view() {
  ApplianceView view;
  view.state = ApplianceState::running;
  view.taken_steady_ns = kNow;
  for (uint16_t i = 0; i < 2; ++i) {
    CoreView core;
    core.info = {.core = i, .cpu = -1, .serves = "p0 queue " + std::to_string(i)};
    core.turned_steady_ns = kNow;
    view.cores.push_back(core);
  }
  return view;
}

TEST(Health, IsGoodWhileAllTurns) {
  const ApplianceView view = running_view();
  EXPECT_EQ(unhealthy_because(&view, 0, kNow), "");
  EXPECT_EQ(unhealthy_because(&view, 0, kNow + kStandstillMaxNs), "") << "the bound itself is allowed";
  EXPECT_EQ(unhealthy_because(&view, 0, kNow - kNsPerSec), "") << "a view taken after the look at the clock";
}

TEST(Health, NamesTheControlThreadWhenTheViewIsOld) {
  const ApplianceView view = running_view();
  EXPECT_EQ(unhealthy_because(&view, 0, kNow + kStandstillMaxNs + kNsPerSec),
            "the control thread has stood still for 6.0 s");
}

TEST(Health, NamesTheCoreWhoseLoopDoesNotTurn) {
  ApplianceView view = running_view();
  view.cores[1].turned_steady_ns = kNow - kStandstillMaxNs - kNsPerSec;
  EXPECT_EQ(unhealthy_because(&view, 0, kNow),
            "receive core 1 (p0 queue 1) has stood still for 6.0 s");
  view.cores[1].turned_steady_ns = kNow - kStandstillMaxNs;
  EXPECT_EQ(unhealthy_because(&view, 0, kNow), "");
}

TEST(Health, ExpectsNothingOfCoresThatAreToEnd) {
  ApplianceView view = running_view();
  view.cores[0].turned_steady_ns = 1;
  for (const ApplianceState state : {ApplianceState::draining, ApplianceState::stopped}) {
    view.state = state;
    EXPECT_EQ(unhealthy_because(&view, 0, kNow), "");
  }
}

TEST(Health, LetsAStartTakeItsTimeButNotForEver) {
  EXPECT_EQ(unhealthy_because(nullptr, kNow, kNow + kStartMaxNs), "");
  EXPECT_EQ(unhealthy_because(nullptr, kNow, kNow + kStartMaxNs + kNsPerSec),
            "it has been starting for 121 s");
}

TEST(Health, NamesTheThreadThatAnswersWhenItDoesNotTurn) {
  EXPECT_EQ(http_stands_because(kNow, kNow), "");
  EXPECT_EQ(http_stands_because(kNow, kNow + kStandstillMaxNs), "");
  EXPECT_EQ(http_stands_because(kNow, kNow - 1), "");
  EXPECT_NE(http_stands_because(kNow, kNow + kStandstillMaxNs + kNsPerSec).find("stood still for 6.0 s"), std::string::npos);
}

TEST(Health, IsWhatHealthzAnswers) {
  Snapshot<ApplianceView> snapshot;
  uint64_t now_ns = kNow;
  const auto routes = appliance_routes(snapshot, kNow, [&now_ns] { return now_ns; });
  const auto ask = [&](const std::string& path) {
    for (const auto& route : routes) {
      if (route.path == path) return route.handle(HttpRequest{.method = "GET", .path = path});
    }
    return service::HttpResponse{};
  };
  const auto healthz = [&] { return ask("/healthz"); };
  EXPECT_EQ(healthz().status, 200u) << "it starts";
  ApplianceView view = running_view();
  view.publishers.emplace_back().connected = true;
  snapshot.publish(std::make_shared<const ApplianceView>(view));
  EXPECT_EQ(healthz().status, 200u);
  EXPECT_EQ(ask("/readyz").status, 200u);
  now_ns += 2 * kStandstillMaxNs;
  const auto answer = healthz();
  EXPECT_EQ(answer.status, 503u);
  EXPECT_EQ(nlohmann::json::parse(answer.body),
            (nlohmann::json{{"status", "unhealthy"},
                            {"because", "the control thread has stood still for 10.0 s"}}));
  EXPECT_EQ(ask("/readyz").status, 503u) << "it takes no packets either";
}

}  // namespace
}  // namespace weir::control
