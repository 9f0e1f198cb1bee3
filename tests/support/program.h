// program.h — Run a program to its end and look at what it wrote; folders that clean up behind them.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern char** environ;

namespace weir::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = testing::TempDir() + "weir-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::string contents_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const std::string& file, const std::string& contents) {
  std::ofstream(file, std::ios::binary) << contents;
}

struct Outcome {
  int status = -1;  // exit status; 128 + signal where one ended it
  std::string out;
  std::string err;
};

/// Runs `arguments` (the program first, found in PATH) without a shell; output goes through files, so
/// that neither side waits for the other. What does not end by itself is killed: status 137.
inline Outcome run_program(const std::vector<std::string>& arguments) {
  const TemporaryFolder folder;
  std::vector<char*> argv;
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const std::string out = folder / "out", err = folder / "err";
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT, 0600);
  pid_t pid = 0;
  const int spawned = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  Outcome outcome;
  if (spawned != 0) return outcome;
  int status = 0;
  constexpr int kStepUs = 2000;
  constexpr int kStepsMax = 120 * 1000 * 1000 / kStepUs;  // two minutes
  for (int steps = 0; waitpid(pid, &status, WNOHANG) == 0; ++steps) {
    if (steps == kStepsMax) kill(pid, SIGKILL);
    usleep(kStepUs);
  }
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = contents_of(out);
  outcome.err = contents_of(err);
  return outcome;
}

/// The program that this build made.
inline std::string built(const std::string& name) {
  const char* root = std::getenv("WEIR_BUILD_ROOT");
  return (std::filesystem::path(root != nullptr ? root : "build") / name).string();
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

}  // namespace weir::test
