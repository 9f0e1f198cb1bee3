// child.h — A part of a test in a process of its own, whose failed expectations are the test's.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

namespace weir::test {

/// Writes down what a child expected and did not find, for the one that waits for it.
class TellsOfParts : public ::testing::EmptyTestEventListener {
 public:
  explicit TellsOfParts(std::FILE* file) : file_(file) {}

  void OnTestPartResult(const ::testing::TestPartResult& part) override {
    if (part.passed()) return;
    has_failed_ = has_failed_ || part.failed();
    const std::string file = part.file_name() == nullptr ? "" : part.file_name();
    const std::string message = part.message();
    std::fprintf(file_, "%d %d %zu %zu\n", part.failed() ? 1 : 0, part.line_number(), file.size(), message.size());
    std::fwrite(file.data(), 1, file.size(), file_);
    std::fwrite(message.data(), 1, message.size(), file_);
    std::fflush(file_);  // it may be killed next
  }
  bool has_failed() const { return has_failed_; }

 private:
  std::FILE* file_;
  bool has_failed_ = false;
};

/// Makes them parts of this test, with the places where they were expected.
inline void report_parts(std::FILE* file) {
  int is_failure = 0, line = 0;
  size_t file_octets = 0, message_octets = 0;
  std::string skipped;
  std::rewind(file);
  while (std::fscanf(file, "%d %d %zu %zu", &is_failure, &line, &file_octets, &message_octets) == 4) {
    std::string place(file_octets, '\0'), message(message_octets, '\0');
    std::fgetc(file);
    if (std::fread(place.data(), 1, place.size(), file) != place.size() ||
        std::fread(message.data(), 1, message.size(), file) != message.size())
      break;  // killed while it wrote
    if (is_failure != 0) {
      ADD_FAILURE_AT(place.c_str(), line) << message;
    } else {
      skipped = message;
    }
  }
  if (!skipped.empty()) GTEST_SKIP() << skipped;
}

/// Who must leave a process behind (DPDK starts once in one, rights are given up for good) does so in a child. It ends by
/// exit(3), so that sanitizers look for leaks, and not later than `seconds`.
inline void in_child(const std::function<void()>& body, unsigned seconds = 600) {
  std::FILE* told = std::tmpfile();
  ASSERT_NE(told, nullptr);
  std::fflush(nullptr);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(seconds);  // beyond what any of them waits for, however busy this machine is
    auto* const parts = new TellsOfParts(told);
    ::testing::UnitTest::GetInstance()->listeners().Append(parts);  // its own from here on
    body();
    std::exit(parts->has_failed() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  report_parts(told);
  std::fclose(told);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "of the child, whose output is above";
}

}  // namespace weir::test
