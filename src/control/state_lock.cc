#include "control/state_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include "service/log.h"

namespace weir::control {
namespace {

// `weir check` has the lock for a moment when it asks for it.
constexpr int kTries = 10;
constexpr auto kBetweenTries = std::chrono::milliseconds(20);

/// On the folder itself: a file to lock would have to be made, which waits where a file system is frozen.
int open_folder(const std::string& path) { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

bool is_refused(int fd) { return ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; }

}  // namespace

StateLock::~StateLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<StateLock> StateLock::take(const std::string& state_dir) {
  if (state_dir.empty()) return StateLock();
  std::error_code ignored;  // who writes there says what is wrong
  std::filesystem::create_directories(state_dir, ignored);
  StateLock lock(open_folder(state_dir));
  if (lock.fd_ < 0) return lock;
  for (int i = 0; is_refused(lock.fd_); ++i) {
    if (i == kTries) {
      return Error{fmt::format("state_dir: {}: another weir keeps its state there; allowed: a folder for each, or \"\"",
                               service::printable(state_dir))};
    }
    std::this_thread::sleep_for(kBetweenTries);
  }
  return lock;
}

bool StateLock::is_taken(const std::string& state_dir) {
  if (state_dir.empty()) return false;
  const StateLock lock(open_folder(state_dir));
  return lock.fd_ >= 0 && is_refused(lock.fd_);
}

}  // namespace weir::control
