// file_lock.h — One process at a time: a lock on an open file or folder, held while that is open.
//
// Runs on:  start-up.
// Failure:  where a file system has no locks nothing is refused.
#pragma once

#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace weir {

/// Whether another process has it now; nobody else gets it until `fd` is closed.
inline bool is_lock_refused(int fd) noexcept {
  return ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

/// The same, for who means to keep it: `weir check` has a lock for a moment when it asks for it.
inline bool is_lock_refused_for_long(int fd) {
  constexpr int kTries = 10;
  for (int i = 0; is_lock_refused(fd); ++i) {
    if (i == kTries) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

}  // namespace weir
