// stalled_thread.h — A thread of this process that gets no further, as one that lost its CPU.
#pragma once

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace weir::dataplane::testing {

/// Threads of this process whose names begin with `prefix`, in the order of their making.
inline std::vector<pid_t> threads_named(const std::string& prefix) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(entry.path() / "comm"), name);
    if (name.starts_with(prefix)) found.push_back(std::stoi(entry.path().filename()));
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// It stands still until resume, or the end of the scope: another process traces it.
class StalledThread {
 public:
  explicit StalledThread(pid_t thread) {
    int said[2], asked[2];
    if (pipe2(said, O_CLOEXEC) != 0 || pipe2(asked, O_CLOEXEC) != 0) return;
    tracer_ = fork();
    if (tracer_ == 0) {
      close(asked[1]);
      int status;
      const char done = ptrace(PTRACE_SEIZE, thread, 0, 0) == 0 && ptrace(PTRACE_INTERRUPT, thread, 0, 0) == 0 &&
                                waitpid(thread, &status, __WALL) == thread
                            ? 1
                            : 0;
      [[maybe_unused]] ssize_t n = write(said[1], &done, 1);
      char ignored;
      n = read(asked[0], &ignored, 1);
      ptrace(PTRACE_DETACH, thread, 0, 0);
      _exit(0);
    }
    char done = 0;
    close(said[1]);
    close(asked[0]);
    stands_ = read(said[0], &done, 1) == 1 && done == 1;
    close(said[0]);
    resume_fd_ = asked[1];
  }
  ~StalledThread() { resume(); }
  StalledThread(const StalledThread&) = delete;
  StalledThread& operator=(const StalledThread&) = delete;

  /// False: this system lets nobody do that.
  bool stands() const { return stands_; }
  bool is_standing() const { return stands_ && tracer_ > 0; }
  void resume() {
    if (tracer_ <= 0) return;
    close(resume_fd_);
    waitpid(tracer_, nullptr, 0);
    tracer_ = -1;
  }

 private:
  pid_t tracer_ = -1;
  int resume_fd_ = -1;
  bool stands_ = false;
};

}  // namespace weir::dataplane::testing
