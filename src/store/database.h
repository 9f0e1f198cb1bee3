// database.h — DuckDB: one file that belongs to one process, connections to it, statements with bound parameters, chunks
// of rows in and out.
//
// Spec:     DuckDB's C API (duckdb.h of the version that scripts/fetch_duckdb.sh pins). Nothing else includes it but what
//           fills or reads a chunk's vectors.
// Runs on:  any thread; a Connection and what came of it on one at a time, but Connection::interrupt on any.
// Bounds:   memory_limit, threads and temporary files as opened; DuckDB keeps them. A statement runs until it ends or is
//           interrupted.
// Failure:  an Error in DuckDB's words, with the statement's name or beginning. Nothing throws.
#pragma once

#include <duckdb.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace weir::store {

/// An address as the store keeps it: 16 octets, of IPv4 mapped (RFC 4291 §2.5.5.2).
using AddressOctets = std::array<uint8_t, 16>;

/// What a parameter may be. A time is microseconds since the epoch.
struct TimeMicros {
  int64_t value = 0;
};
using SqlValue = std::variant<std::monostate, bool, int64_t, double, std::string, AddressOctets, TimeMicros>;

/// DuckDB keeps a UUID as a number whose highest bit is turned, so that the order of numbers is that of octets.
duckdb_hugeint to_uuid(const AddressOctets& address) noexcept;
AddressOctets to_address(const duckdb_hugeint& uuid) noexcept;

struct DatabaseOptions {
  std::string path;              // empty: in memory
  std::string memory_limit = "1GiB";  // as DuckDB reads it
  uint32_t threads = 2;
  std::string temp_directory;    // where queries spill to; empty: they fail where memory does not do
  std::string temp_limit = "8GiB";
  /// Folders whose files statements may read and write. Nothing else outside the database's own file can be reached.
  std::vector<std::string> folders;
  std::string history_folder;    // one of them: where files of older rows lie; empty: there are none
};

/// A chunk of a result: at most duckdb_vector_size() rows, by columns.
class Chunk {
 public:
  Chunk() = default;
  explicit Chunk(duckdb_data_chunk chunk) : chunk_(chunk) {}
  Chunk(Chunk&& other) noexcept : chunk_(std::exchange(other.chunk_, nullptr)) {}
  Chunk& operator=(Chunk&& other) noexcept {
    std::swap(chunk_, other.chunk_);
    return *this;
  }
  ~Chunk() {
    if (chunk_ != nullptr) duckdb_destroy_data_chunk(&chunk_);
  }
  explicit operator bool() const noexcept { return chunk_ != nullptr; }
  duckdb_data_chunk get() const noexcept { return chunk_; }
  size_t rows() const noexcept { return duckdb_data_chunk_get_size(chunk_); }
  duckdb_vector column(size_t at) const noexcept { return duckdb_data_chunk_get_vector(chunk_, at); }
  bool is_null(size_t column_at, size_t row) const noexcept;
  /// Of a column of that C type; the row is not null.
  template <class T>
  T at(size_t column_at, size_t row) const noexcept {
    return static_cast<const T*>(duckdb_vector_get_data(column(column_at)))[row];
  }
  std::string_view text(size_t column_at, size_t row) const noexcept;

 private:
  duckdb_data_chunk chunk_ = nullptr;
};

struct ColumnLook {
  std::string name;
  duckdb_type type = DUCKDB_TYPE_INVALID;
};

/// The rows of a statement, chunk by chunk. Of one that streams, `next` does the work.
class Rows {
 public:
  Rows(duckdb_connection connection, duckdb_result result) : connection_(connection), result_(result) {}
  Rows(Rows&& other) noexcept : connection_(other.connection_), result_(other.result_) { other.connection_ = nullptr; }
  Rows& operator=(Rows&&) = delete;
  ~Rows() {
    if (connection_ != nullptr) duckdb_destroy_result(&result_);
  }
  std::vector<ColumnLook> columns() const;
  /// Without rows: the end.
  Result<Chunk> next();
  /// Of INSERT, DELETE, COPY and the like.
  uint64_t rows_changed() noexcept { return duckdb_rows_changed(&result_); }
  const duckdb_result& result() const noexcept { return result_; }

 private:
  duckdb_connection connection_;  // null: moved from
  mutable duckdb_result result_;
};

class Statement {
 public:
  explicit Statement(duckdb_connection connection, duckdb_prepared_statement statement)
      : connection_(connection), statement_(statement) {}
  Statement(Statement&& other) noexcept
      : connection_(other.connection_), statement_(std::exchange(other.statement_, nullptr)) {}
  Statement& operator=(Statement&&) = delete;
  ~Statement() {
    if (statement_ != nullptr) duckdb_destroy_prepare(&statement_);
  }
  size_t parameters() const noexcept { return duckdb_nparams(statement_); }
  /// Of what it answers, once it is prepared.
  std::vector<ColumnLook> columns() const;
  bool is_select() const noexcept { return duckdb_prepared_statement_type(statement_) == DUCKDB_STATEMENT_TYPE_SELECT; }
  /// `at` counts from 0.
  Result<void> bind(size_t at, const SqlValue& value);
  Result<Rows> run();
  /// Rows are made as they are asked for; the connection does nothing else meanwhile.
  Result<Rows> stream();

 private:
  /// Works at it with DuckDB's threads, and sleeps while they have all that is left: DuckDB itself would look for work without end.
  Result<Rows> finish(duckdb_pending_result pending);

  duckdb_connection connection_;
  duckdb_prepared_statement statement_;
};

class Connection {
 public:
  explicit Connection(duckdb_connection connection) : connection_(connection) {}
  Connection(Connection&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  Connection& operator=(Connection&& other) noexcept {
    std::swap(connection_, other.connection_);
    return *this;
  }
  ~Connection() {
    if (connection_ != nullptr) duckdb_disconnect(&connection_);
  }
  duckdb_connection get() const noexcept { return connection_; }

  /// One statement.
  Result<Statement> prepare(const std::string& sql);
  /// Any number of statements without parameters that are done at once (DuckDB spins while its other threads work); of the last, how many rows it changed.
  Result<uint64_t> execute(const std::string& sql);
  /// One statement with what stands for its question marks.
  Result<Rows> query(const std::string& sql, std::span<const SqlValue> values = {});
  /// Whatever runs on this connection ends with an Error. Any thread.
  void interrupt() noexcept { duckdb_interrupt(connection_); }

 private:
  duckdb_connection connection_;
};

class Database {
 public:
  /// Another process's file is an Error that names it.
  static Result<std::unique_ptr<Database>> open(const DatabaseOptions& options);
  explicit Database(duckdb_database database) : database_(database) {}
  ~Database() { duckdb_close(&database_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Result<Connection> connect();

  /// A question ended with these words, which may be of a file: for whoever looks after files. Any thread.
  void suspect(const std::string& words);
  std::vector<std::string> take_suspicions();

 private:
  duckdb_database database_;
  std::mutex suspicions_lock_;  // not a path of data: a question failed
  std::vector<std::string> suspicions_;
};

/// Another connection's transaction was first: nothing is wrong, only this transaction has to begin again.
bool is_conflict(const Error& error) noexcept;

inline constexpr int kConflictTriesMax = 50;

/// Runs `work` in a transaction and commits it; where it, or the commit, meets another's, once more after some milliseconds, at
/// most kConflictTriesMax times.
Result<void> retry_conflicts(Connection& connection, const std::function<Result<void>()>& work);

/// `'` doubled, in quotes.
std::string sql_text(std::string_view text);
std::string sql_name(std::string_view name);

}  // namespace weir::store
