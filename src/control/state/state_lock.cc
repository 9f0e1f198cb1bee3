#include "control/state/state_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "base/file_lock.h"
#include "service/log.h"

namespace weir::control {
namespace {

/// On the folder itself: a file to lock would have to be made, which waits where a file system is frozen.
int open_folder(const std::string& path) { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

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
  if (is_lock_refused_for_long(lock.fd_)) {
    return Error{fmt::format("state_dir: {}: another weir keeps its state there; allowed: a folder for each, or \"\"",
                             service::printable(state_dir))};
  }
  return lock;
}

bool StateLock::is_taken(const std::string& state_dir) {
  if (state_dir.empty()) return false;
  const StateLock lock(open_folder(state_dir));
  return lock.fd_ >= 0 && is_lock_refused(lock.fd_);
}

}  // namespace weir::control
