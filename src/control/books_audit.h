// books_audit.h — Whether the ledgers of the running program balance, and that it is said when not.
//
// Runs on:  control_thread.
//
// Only numbers that belong together are compared: a core's books are copied by the core between two
// bursts, a publisher's are the control thread's own. So nothing has to be waited for or guessed: the
// first difference is told, and so is every one that grows.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "control/view.h"

namespace weir::control {

class BooksAudit {
 public:
  using SayLine = std::function<void(const std::string&)>;
  explicit BooksAudit(SayLine say) : say_(std::move(say)) {}

  /// The result of a check of `whose` books (`core 0`, `publisher jetstream`): it stands until the next.
  void on_check(const std::string& whose, const std::vector<Discrepancy>& found);

  /// What does not balance, in words.
  std::vector<std::string> standing() const;
  /// Checks that found a difference.
  uint64_t mismatches() const noexcept { return mismatches_; }

 private:
  const SayLine say_;
  std::map<std::string, std::vector<Discrepancy>> standing_;  // by whose; only what differs
  uint64_t mismatches_ = 0;
};

}  // namespace weir::control
