// open_store.h — The database file while the program runs: opened, and opened anew after an error that DuckDB does not get over.
//
// Runs on:  any thread; open and reopen on one.
// Owns:     the database. Whoever uses it holds it as long as a statement runs.
// Failure:  an Error; a second process at the file is one that says so.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/snapshot.h"
#include "store/database.h"

namespace weir::store {

/// DuckDB has written it off: only opening it anew helps. Nothing that was committed is lost by it.
bool is_fatal(const Error& error) noexcept;

class OpenStore {
 public:
  /// With schema and functions.
  static Result<std::unique_ptr<OpenStore>> open(DatabaseOptions options);

  /// Null while it is being opened anew.
  std::shared_ptr<Database> database() const;
  uint64_t reopened() const noexcept { return reopened_.load(std::memory_order_relaxed); }
  const DatabaseOptions& options() const noexcept { return options_; }

  /// The keeper is asked to write nothing until then (steady clock); 0: it may.
  void ask_for_quiet(uint64_t until_steady_ns) noexcept { quiet_until_ns_.store(until_steady_ns, std::memory_order_relaxed); }
  uint64_t quiet_until_ns() const noexcept { return quiet_until_ns_.load(std::memory_order_relaxed); }

  /// Waits, at most `wait_ms`, until nobody uses the old one any more.
  Result<void> reopen(int wait_ms);

  /// Of the file, and of what is committed and not in it yet.
  uint64_t file_octets() const noexcept;
  uint64_t wal_octets() const noexcept;
  /// Of the file system that it lies in; UINT64_MAX: not known.
  uint64_t free_octets() const noexcept;

 private:
  explicit OpenStore(DatabaseOptions options) : options_(std::move(options)) {}
  Result<std::shared_ptr<Database>> open_once() const;

  const DatabaseOptions options_;
  std::atomic<std::shared_ptr<Database>> database_;
  std::atomic<uint64_t> reopened_{0};
  std::atomic<uint64_t> quiet_until_ns_{0};
};

}  // namespace weir::store
