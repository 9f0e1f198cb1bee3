// thread_look.h — What /proc says of this process's threads: whose each is, and what it may.
//
// Runs on:  any thread.
// Failure:  an Error where threads cannot be seen; one that cannot be looked into counts as one that may everything.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::service {

struct ThreadFacts {
  pid_t id = 0;
  std::string name;
  bool is_seen = true;   // false: what follows is the worst that it could be
  bool is_of = false;    // all its user ids are that one
  uint64_t permitted = UINT64_MAX;
};

/// The calling one's among them.
Result<std::vector<pid_t>> thread_ids();

/// Without those that have ended meanwhile, and without `besides`.
Result<std::vector<ThreadFacts>> look_at_threads(uid_t uid, pid_t besides = 0);

std::vector<std::string> names_with_any(const std::vector<ThreadFacts>& threads);

/// For those that come after ProcessRights::give_up(). One that had capabilities at a single look may be about to give them
/// up, as it begins: it is told of when it still has them at the next.
class ThreadWatch {
 public:
  /// By name. What cannot be seen is named, too.
  std::vector<std::string> look();

 private:
  std::vector<pid_t> had_any_;  // at the look before
};

}  // namespace weir::service
