#include "service/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace weir::service {
namespace {

using testing::HasSubstr;

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    file_ = std::tmpfile();
    ASSERT_NE(file_, nullptr);
  }
  void TearDown() override {
    start_log({});
    std::fclose(file_);
  }
  void start(LogLevel level, LogFormat format) { start_log({level, format}, file_); }
  std::vector<std::string> lines() {
    std::rewind(file_);
    std::string text(1 << 20, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file_));
    std::istringstream stream(text);
    std::vector<std::string> out;
    for (std::string line; std::getline(stream, line);) out.push_back(line);
    return out;
  }

  std::FILE* file_ = nullptr;
};

TEST_F(LogTest, WritesOneLineAnEventAtOrAboveItsLevel) {
  start(LogLevel::info, LogFormat::text);
  log_debug("not {}", "this");
  log_info("port {}: {} queues", "p0", 2);
  log_warning("w");
  log_error("e");
  set_log_level(LogLevel::debug);
  log_debug("this one");
  const auto out = lines();
  ASSERT_EQ(out.size(), 4u);
  EXPECT_THAT(out[0],
              testing::MatchesRegex("[0-9]{4}-..-..T..:..:..\\....Z info    port p0: 2 queues"));
  EXPECT_THAT(out[1], HasSubstr("warning w"));
  EXPECT_THAT(out[3], HasSubstr("debug   this one"));
}

TEST_F(LogTest, KeepsHostileOctetsOnOneLine) {
  start(LogLevel::info, LogFormat::text);
  log_info("{}", std::string_view("a\nforged\x1b[31m\0 \xff\xc3\xbc", 18));
  const auto out = lines();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_THAT(out[0], HasSubstr("a\\x0aforged\\x1b[31m\\x00 \\xff\xc3\xbc"));
}

TEST_F(LogTest, WritesJsonThatParsesWhateverIsLogged) {
  start(LogLevel::info, LogFormat::json);
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  log_warning("{}", all);
  const auto out = lines();
  ASSERT_EQ(out.size(), 1u);
  const auto parsed = nlohmann::json::parse(out[0]);
  EXPECT_EQ(parsed["level"], "warning");
  EXPECT_THAT(parsed["message"].get<std::string>(), HasSubstr("\\x00"));
  EXPECT_THAT(parsed["message"].get<std::string>(), HasSubstr("\"#$%"));
}

TEST_F(LogTest, HoldsBackARepeatingMessageAndSaysHowMany) {
  start(LogLevel::info, LogFormat::text);
  LogLimit limit{2, 3600 * kNsPerSec};
  for (int i = 0; i < 10; ++i) log_limited(limit, LogLevel::warning, "queue full, {} lost", i);
  EXPECT_EQ(lines().size(), 2u);
  flush_log_limits(steady_clock_ns());
  EXPECT_EQ(lines().size(), 2u) << "the interval is not over";
  flush_log_limits(steady_clock_ns() + 3600 * kNsPerSec);
  ASSERT_EQ(lines().size(), 3u);
  EXPECT_THAT(lines()[2], HasSubstr("warning 8 more like it held back: queue full, 9 lost"));
  flush_log_limits(steady_clock_ns() + 7200 * kNsPerSec);
  EXPECT_EQ(lines().size(), 3u) << "said once";
}

TEST(LogLimit, AdmitsAFewInEachInterval) {
  LogLimit limit{2, 100};
  EXPECT_TRUE(limit.admit(1000).admitted);
  EXPECT_TRUE(limit.admit(1001).admitted);
  EXPECT_FALSE(limit.admit(1002).admitted);
  EXPECT_FALSE(limit.admit(1099).admitted);
  const auto next = limit.admit(1100);
  EXPECT_TRUE(next.admitted);
  EXPECT_EQ(next.suppressed_before, 2u);
  EXPECT_EQ(limit.admit(1300).suppressed_before, 0u);
}

TEST_F(LogTest, TakesLinesFromManyThreadsWhole) {
  start(LogLevel::info, LogFormat::text);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i) log_info("thread {} line {}", t, i);
    });
  }
  for (auto& t : threads) t.join();
  const auto out = lines();
  EXPECT_EQ(out.size(), 800u);
  for (const auto& line : out)
    EXPECT_THAT(line, testing::ContainsRegex("thread [0-3] line [0-9]+$"));
}

TEST_F(LogTest, AReaderThatIsStuckHoldsUpNobodyWhoLogs) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::FILE* const out = ::fdopen(ends[1], "w");
  start_log({}, out, LogWriting::own_thread);
  // More than the pipe and the queue take; nobody reads.
  const std::string padding(500, 'x');
  constexpr size_t kLines = 2 * kLogLinesWaitingMax;
  for (size_t i = 0; i < kLines; ++i) log_info("line {} {}", i, padding);
  EXPECT_FALSE(finish_log(10));
  EXPECT_GT(log_lines_lost(), 0u);

  std::string text;
  std::thread reader([&] {
    char octets[4096];
    for (ssize_t n; (n = ::read(ends[0], octets, sizeof octets)) > 0;) {
      text.append(octets, static_cast<size_t>(n));
    }
  });
  EXPECT_TRUE(finish_log(60'000));
  const uint64_t lost = log_lines_lost();
  start_log({});
  std::fclose(out);
  reader.join();
  ::close(ends[0]);
  const auto written = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  // A flush that gave way to a line, or took its place, is one of those lost.
  EXPECT_NEAR(static_cast<double>(written + lost), static_cast<double>(kLines), 2);
  EXPECT_THAT(text, HasSubstr(fmt::format("line {} ", kLines - 1))) << "the newest are kept";
}

TEST_F(LogTest, AReaderThatIsStuckDoesNotHoldUpTheEndOfTheProgram) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    start_log({}, stderr, LogWriting::own_thread);
    const std::string padding(500, 'x');
    for (size_t i = 0; i < kLogLinesWaitingMax; ++i) log_info("line {} {}", i, padding);
    std::exit(finish_log(50) ? 4 : 3);
  }
  int status = 0;
  bool has_ended = false;
  for (int i = 0; i < 2000 && !has_ended; ++i) {  // 20 s
    has_ended = ::waitpid(child, &status, WNOHANG) == child;
    if (!has_ended) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (!has_ended) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
  }
  ::close(ends[0]);
  ::close(ends[1]);
  ASSERT_TRUE(has_ended) << "it hung in exit()";
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3) << "finish_log gave up";
}

TEST_F(LogTest, WhatWasLoggedIsWrittenWhenTheLogIsFinished) {
  start_log({}, file_, LogWriting::own_thread);
  for (int i = 0; i < 1000; ++i) log_info("line {}", i);
  ASSERT_TRUE(finish_log(60'000));
  EXPECT_EQ(lines().size(), 1000u);
  EXPECT_EQ(log_lines_lost(), 0u);
}

}  // namespace
}  // namespace weir::service
