// run_journal.h — What a run had taken and settled, in a file that survives the process: so that the next
// one can say what was lost when it was killed.
//
// Runs on:  note: control_thread.
// Owns:     a file of one page, mapped. Nothing is flushed: after a power cut it may be old.
// Failure:  a file that cannot be made is an Error; one that is none of ours is taken for new.
//
// Until the first note the file says what the run before left there: a start that fails changes nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/thread_roles.h"

namespace weir::control {

struct BatchesAndRecords {
  uint64_t batches = 0;
  uint64_t records = 0;
};

class RunJournal {
 public:
  static Result<std::unique_ptr<RunJournal>> open(const std::string& path);
  ~RunJournal();
  RunJournal(const RunJournal&) = delete;
  RunJournal& operator=(const RunJournal&) = delete;

  /// What the last run had taken and not settled, where it did not come to its end and there was anything.
  const std::optional<BatchesAndRecords>& lost_before() const noexcept { return lost_before_; }

  void note(BatchesAndRecords taken, BatchesAndRecords settled) noexcept
      WEIR_RUNS_ON(control_thread);
  /// The run has come to its end: what it lost it has said itself.
  void end() noexcept WEIR_RUNS_ON(control_thread);

 private:
  struct Page;
  explicit RunJournal(Page* page) noexcept;

  Page* const page_;
  std::optional<BatchesAndRecords> lost_before_;
  bool has_begun_ = false;
};

}  // namespace weir::control
