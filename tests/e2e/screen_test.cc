// screen_test.cc — weirctl top and weirctl tail on a terminal, as somebody sees them who types.
#include <gmock/gmock.h>

#include <regex>
#include <thread>

#include "appliance_fixture.h"
#include "support/tmux.h"

namespace weir {
namespace {

using test::Tmux;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ScreenTest : public ApplianceTest {
 protected:
  void SetUp() override {
    if (!Tmux::is_installed()) GTEST_SKIP() << "tmux is not installed";
    ApplianceTest::SetUp();
  }

  /// `weirctl …`, with what it ended with behind it, and the terminal's settings before and after in files.
  std::string command(const std::string& words) const {
    return "stty -g >" + (folder_ / "before") + "; " + test::built("weirctl") + " --socket " + control_socket() + " " + words +
           "; echo \"status=$?\"; stty -g >" + (folder_ / "after");
  }
  /// The command has ended with that, and the terminal is as it was.
  void expect_ended(Tmux& terminal, int status) {
    EXPECT_TRUE(terminal.shows("\nstatus=" + std::to_string(status) + "\n")) << terminal.screen();
    EXPECT_TRUE(eventually([&] { return !test::contents_of(folder_ / "after").empty(); }));
    EXPECT_EQ(test::contents_of(folder_ / "after"), test::contents_of(folder_ / "before"));
    EXPECT_EQ(terminal.state("alternate_on"), "0");
    EXPECT_EQ(terminal.state("cursor_flag"), "1");
    EXPECT_THAT(terminal.screen(), HasSubstr("prompt> stty -g")) << "what was there before";
  }
  /// Datagrams of ten records each, all the time.
  std::jthread traffic() {
    return std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) generate("v5", 50, 10, 500);
    });
  }
};

bool matches(const std::string& text, const char* pattern) { return std::regex_search(text, std::regex(pattern)); }

TEST_F(ScreenTest, TopFillsTheScreenAsItIsAndGivesItBack) {
  auto weir = start();
  auto sender = traffic();
  Tmux terminal(folder_, {.columns = 150, .lines = 30});
  ASSERT_TRUE(terminal.is_ready());
  terminal.enter(command("top --interval 0.2"));
  std::string screen;
  EXPECT_TRUE(eventually(
      [&] {
        screen = terminal.screen();
        return matches(screen, "in a second: [1-9][0-9.]* k? ?records") && matches(screen, "127\\.0\\.0\\.1 +[1-9]");
      },
      Tmux::kPatience))
      << screen;
  EXPECT_THAT(screen, StartsWith("weir "));
  for (const char* words : {"ready", "lost in a second: 0 packets at ports", " by publishers\n", "core ", "jetstream", "exporter "}) {
    EXPECT_THAT(screen, HasSubstr(words));
  }
  EXPECT_EQ(terminal.state("alternate_on"), "1");
  EXPECT_EQ(terminal.state("cursor_flag"), "0");

  // Smaller: lines are cut, none goes on in the next, and what is at the top stays there.
  terminal.resize({.columns = 40, .lines = 8});
  EXPECT_TRUE(eventually(
      [&] {
        const auto lines = terminal.lines();
        return lines.size() <= 8 && lines.size() > 2 && lines[0].starts_with("weir ") &&
               lines[1].starts_with("in a second: ") && lines[2].starts_with("lost in a second: ") &&
               lines[3].empty() && lines[4].starts_with("core ");
      },
      Tmux::kPatience))
      << terminal.screen();
  EXPECT_THAT(terminal.screen(), Not(HasSubstr("by publishers")));
  terminal.resize({.columns = 150, .lines = 40});
  EXPECT_TRUE(terminal.shows(" by publishers\n")) << terminal.screen();
  EXPECT_TRUE(eventually([&] { return matches(terminal.screen(), "127\\.0\\.0\\.1 +[1-9]"); }, Tmux::kPatience));

  terminal.press("q");
  expect_ended(terminal, 0);
  EXPECT_THAT(terminal.screen(), Not(HasSubstr("in a second"))) << "nothing of it stays";
  sender.request_stop();
  sender.join();
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(ScreenTest, TopGivesTheScreenBackWhereItIsInterruptedAndWhereNobodyAnswersAnyMore) {
  auto weir = start();
  {
    Tmux terminal(folder_, {.columns = 100, .lines = 30});
    ASSERT_TRUE(terminal.is_ready());
    terminal.enter(command("top"));
    ASSERT_TRUE(terminal.shows("in a second: ")) << terminal.screen();
    terminal.press("C-c");
    expect_ended(terminal, 0);
  }
  std::filesystem::remove(folder_ / "after");
  Tmux terminal(folder_, {.columns = 100, .lines = 30});
  ASSERT_TRUE(terminal.is_ready());
  terminal.enter(command("top"));
  ASSERT_TRUE(terminal.shows("in a second: ")) << terminal.screen();
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  expect_ended(terminal, 3);
  EXPECT_THAT(terminal.screen(), HasSubstr("is weir running")) << "what it says is not lost with the screen";
}

TEST_F(ScreenTest, TailShowsRecordsAndSaysAtCtrlCWhatItSaw) {
  auto weir = start();
  auto sender = traffic();
  Tmux terminal(folder_, {.columns = 180, .lines = 50});
  ASSERT_TRUE(terminal.is_ready());
  terminal.enter(command("tail"));
  std::string screen;
  EXPECT_TRUE(eventually(
      [&] {
        screen = terminal.screen();
        return matches(screen, "[0-9:.]+ +127\\.0\\.0\\.1 +[A-Z]+.* [0-9.]+:[0-9]+ -> [0-9.]+:[0-9]+\n");
      },
      Tmux::kPatience))
      << screen;
  sender.request_stop();
  sender.join();
  terminal.press("C-c");
  EXPECT_TRUE(terminal.shows("\nstatus=0\n")) << terminal.screen();
  EXPECT_TRUE(matches(terminal.screen(), "[0-9]+ flows seen, [0-9]+ matched, [0-9]+ shown")) << terminal.screen();
  EXPECT_TRUE(eventually([&] { return !test::contents_of(folder_ / "after").empty(); }));
  EXPECT_EQ(test::contents_of(folder_ / "after"), test::contents_of(folder_ / "before"));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

}  // namespace
}  // namespace weir
