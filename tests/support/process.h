// process.h — A program started by a test: its output, its status, its end.
#pragma once

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace weir::test {

using namespace std::chrono_literals;

/// A folder that is gone when the test is.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::string contents_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Polls until `done` or the time is up; whether it was done.
inline bool eventually(const std::function<bool()>& done,
                       std::chrono::milliseconds patience = 20s) {
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

class Process {
 public:
  /// `arguments[0]` is the program. Standard output and error go to files in `folder`. It dies with
  /// the test program.
  Process(const TemporaryFolder& folder, std::vector<std::string> arguments,
          std::vector<std::string> environment = {})
      : out_(folder / ("out." + std::to_string(count_.fetch_add(1)))),
        err_(out_ + ".err") {
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (std::string& e : environment) ::putenv(e.data());
      redirect("/dev/null", 0, O_RDONLY);
      redirect(out_, 1);
      redirect(err_, 2);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
  }
  ~Process() {
    if (!ended_) {
      ::kill(pid_, SIGKILL);
      int status;
      ::waitpid(pid_, &status, 0);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const noexcept { return pid_; }
  void signal(int number) const { ::kill(pid_, number); }

  bool is_running() {
    if (!ended_) take_status(WNOHANG);
    return !ended_;
  }

  /// The exit status; -signal when a signal ended it; -1000 when it had to be killed for time.
  int wait(std::chrono::milliseconds patience = 60s) {
    if (!eventually([&] { return !is_running(); }, patience)) {
      ::kill(pid_, SIGKILL);
      take_status(0);
      status_ = -1000;
    }
    return status_;
  }

  int terminate(std::chrono::milliseconds patience = 60s) {
    if (is_running()) signal(SIGTERM);
    return wait(patience);
  }

  std::string out() const { return contents_of(out_); }
  std::string err() const { return contents_of(err_); }

 private:
  static void redirect(const std::string& path, int fd, int flags = O_WRONLY | O_CREAT | O_TRUNC) {
    const int file = ::open(path.c_str(), flags, 0600);
    ::dup2(file, fd);
  }
  void take_status(int flags) {
    int raw = 0;
    if (::waitpid(pid_, &raw, flags) != pid_) return;
    ended_ = true;
    status_ = WIFEXITED(raw) ? WEXITSTATUS(raw) : -WTERMSIG(raw);
  }

  static inline std::atomic<int> count_ = 0;  // threads of a test begin programs at once
  std::string out_;
  std::string err_;
  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;
};

/// `build/weir` or `build/weirctl` of the build that the test belongs to.
inline std::string built(const std::string& name) {
  const char* root = std::getenv("WEIR_BUILD_ROOT");
  return (std::filesystem::path(root != nullptr ? root : "build") / name).string();
}

}  // namespace weir::test
