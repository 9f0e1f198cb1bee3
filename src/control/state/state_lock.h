// state_lock.h — One appliance at a time keeps its state in a folder: two would write over each other's.
//
// Runs on:  start-up.
// Owns:     a lock on the folder, until it is destroyed or the process ends, however that happens.
// Failure:  where a file system has no locks there is none, and nothing is said.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace weir::control {

class StateLock {
 public:
  /// Makes the folder where it is missing. An error: another process has the lock.
  static Result<StateLock> take(const std::string& state_dir);
  /// Whether another process has it now.
  static bool is_taken(const std::string& state_dir);

  StateLock() = default;  // of nothing
  StateLock(StateLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  StateLock& operator=(StateLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~StateLock();

 private:
  explicit StateLock(int fd) noexcept : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace weir::control
