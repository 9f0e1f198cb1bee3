#include "store/database.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "base/byte_order.h"

namespace weir::store {

namespace {

constexpr size_t kSuspicionsMax = 16;
constexpr uint64_t kSignBit = uint64_t{1} << 63;

std::string beginning(std::string_view sql) {
  constexpr size_t kShown = 60;
  return std::string(sql.substr(0, kShown)) + (sql.size() > kShown ? "…" : "");
}

Error error_of(duckdb_result& result) {
  const char* text = duckdb_result_error(&result);
  Error error{text != nullptr ? text : "DuckDB does not say why"};
  duckdb_destroy_result(&result);
  return error;
}

Error pending_error(duckdb_pending_result pending) {
  const char* text = duckdb_pending_error(pending);
  Error error{text != nullptr ? text : "DuckDB does not say why"};
  duckdb_destroy_pending(&pending);
  return error;
}

struct Config {
  duckdb_config config = nullptr;
  Config() { duckdb_create_config(&config); }
  ~Config() { duckdb_destroy_config(&config); }
};

/// Extensions that are in the library, and what must be said before anybody else says anything: no file outside `folders`, and no way to change that.
std::string lock_statements(const DatabaseOptions& options) {
  std::string folders;
  for (const std::string& folder : options.folders) folders += fmt::format("{}{}", folders.empty() ? "" : ", ", sql_text(folder));
  // A checkpoint that fails within a commit, and then a clean close, would lose every row of a table (1.4.4, full disk):
  // whoever writes makes checkpoints when there is room for them.
  return "SET GLOBAL wal_autocheckpoint = '1TB'; PRAGMA disable_checkpoint_on_shutdown; "
         "LOAD icu; LOAD json; LOAD parquet; SET GLOBAL TimeZone = 'UTC'; "
         "SET GLOBAL parquet_metadata_cache = true; "
         // A checkpoint writes what it knows of every column of every table, however little has changed.
         "SET GLOBAL checkpoint_threshold = '512MiB'; "
         // Two that are tried on every column and are hardly ever the smallest (docs/decisions/0293).
         "SET GLOBAL disabled_compression_methods = 'rle,roaring'; "
         // Whoever wants an order says it; what is inserted goes in from as many threads as there are (docs/decisions/0294).
         "SET GLOBAL preserve_insertion_order = false; "
         "SET autoinstall_known_extensions = false; SET autoload_known_extensions = false; "
         "SET allowed_directories = [" + folders + "]; SET enable_external_access = false; "
         "SET lock_configuration = true;";
}

}  // namespace

duckdb_hugeint to_uuid(const AddressOctets& address) noexcept {
  duckdb_hugeint uuid;
  uuid.upper = static_cast<int64_t>(load_be64(address.data()) ^ kSignBit);
  uuid.lower = load_be64(address.data() + 8);
  return uuid;
}

AddressOctets to_address(const duckdb_hugeint& uuid) noexcept {
  AddressOctets address;
  store_be64(address.data(), static_cast<uint64_t>(uuid.upper) ^ kSignBit);
  store_be64(address.data() + 8, uuid.lower);
  return address;
}

bool Chunk::is_null(size_t column_at, size_t row) const noexcept {
  uint64_t* validity = duckdb_vector_get_validity(column(column_at));
  return validity != nullptr && !duckdb_validity_row_is_valid(validity, row);
}

std::string_view Chunk::text(size_t column_at, size_t row) const noexcept {
  duckdb_string_t* value = static_cast<duckdb_string_t*>(duckdb_vector_get_data(column(column_at))) + row;
  return {duckdb_string_t_data(value), duckdb_string_t_length(*value)};
}

std::vector<ColumnLook> Rows::columns() const {
  std::vector<ColumnLook> columns;
  for (idx_t i = 0; i < duckdb_column_count(&result_); ++i) {
    columns.push_back({duckdb_column_name(&result_, i), duckdb_column_type(&result_, i)});
  }
  return columns;
}

Result<Chunk> Rows::next() {
  Chunk chunk(duckdb_fetch_chunk(result_));
  if (!chunk) {
    const char* text = duckdb_result_error(&result_);
    if (text != nullptr && *text != '\0') return Error{text};
  }
  return chunk;
}

Result<void> Statement::bind(size_t at, const SqlValue& value) {
  const idx_t place = at + 1;
  const duckdb_state state = std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::monostate>) {
          return duckdb_bind_null(statement_, place);
        } else if constexpr (std::is_same_v<T, bool>) {
          return duckdb_bind_boolean(statement_, place, v);
        } else if constexpr (std::is_same_v<T, int64_t>) {
          return duckdb_bind_int64(statement_, place, v);
        } else if constexpr (std::is_same_v<T, double>) {
          return duckdb_bind_double(statement_, place, v);
        } else if constexpr (std::is_same_v<T, std::string>) {
          return duckdb_bind_varchar_length(statement_, place, v.data(), v.size());
        } else if constexpr (std::is_same_v<T, AddressOctets>) {
          // As a value it has no turned bit.
          duckdb_value uuid = duckdb_create_uuid({.lower = load_be64(v.data() + 8), .upper = load_be64(v.data())});
          const duckdb_state bound = duckdb_bind_value(statement_, place, uuid);
          duckdb_destroy_value(&uuid);
          return bound;
        } else {
          return duckdb_bind_timestamp_tz(statement_, place, {.micros = v.value});
        }
      },
      value);
  if (state == DuckDBSuccess) return {};
  return Error{"parameter " + std::to_string(place) + " cannot be bound: the statement has " +
               std::to_string(parameters())};
}

std::vector<ColumnLook> Statement::columns() const {
  std::vector<ColumnLook> columns;
  for (idx_t i = 0; i < duckdb_prepared_statement_column_count(statement_); ++i) {
    const char* const name = duckdb_prepared_statement_column_name(statement_, i);
    columns.push_back({name != nullptr ? name : "", duckdb_prepared_statement_column_type(statement_, i)});
    duckdb_free(const_cast<char*>(name));
  }
  return columns;
}

Result<Rows> Statement::run() {
  duckdb_pending_result pending = nullptr;
  if (duckdb_pending_prepared(statement_, &pending) != DuckDBSuccess) return pending_error(pending);
  return finish(pending);
}

Result<Rows> Statement::stream() {
  duckdb_pending_result pending = nullptr;
  if (duckdb_pending_prepared_streaming(statement_, &pending) != DuckDBSuccess) return pending_error(pending);
  return finish(pending);
}

Result<Rows> Statement::finish(duckdb_pending_result pending) {
  constexpr auto kNap = std::chrono::microseconds(100);
  auto state = duckdb_pending_execute_task(pending);
  for (; !duckdb_pending_execution_is_finished(state); state = duckdb_pending_execute_task(pending)) {
    if (state == DUCKDB_PENDING_NO_TASKS_AVAILABLE) std::this_thread::sleep_for(kNap);
  }
  // Asked for its result, it would say first that it has none, and only then why.
  if (state == DUCKDB_PENDING_ERROR) return pending_error(pending);
  duckdb_result result;
  const duckdb_state executed = duckdb_execute_pending(pending, &result);
  duckdb_destroy_pending(&pending);
  if (executed != DuckDBSuccess) return error_of(result);
  return Rows(connection_, result);
}

Result<Statement> Connection::prepare(const std::string& sql) {
  if (sql.find('\0') != std::string::npos) return Error{"a statement cannot hold an octet 0"};
  duckdb_prepared_statement statement = nullptr;
  if (duckdb_prepare(connection_, sql.c_str(), &statement) == DuckDBSuccess) return Statement(connection_, statement);
  const char* text = statement != nullptr ? duckdb_prepare_error(statement) : nullptr;
  Error error{text != nullptr ? text : "cannot be prepared: " + beginning(sql)};
  duckdb_destroy_prepare(&statement);
  return error;
}

Result<uint64_t> Connection::execute(const std::string& sql) {
  duckdb_result result;
  if (duckdb_query(connection_, sql.c_str(), &result) != DuckDBSuccess) {
    return Error{error_of(result).message + " (" + beginning(sql) + ")"};
  }
  const uint64_t changed = duckdb_rows_changed(&result);
  duckdb_destroy_result(&result);
  return changed;
}

Result<Rows> Connection::query(const std::string& sql, std::span<const SqlValue> values) {
  auto statement = prepare(sql);
  if (!statement) return statement.error();
  for (size_t i = 0; i < values.size(); ++i) {
    if (auto bound = statement->bind(i, values[i]); !bound) return bound.error();
  }
  return statement->run();
}

Result<std::unique_ptr<Database>> Database::open(const DatabaseOptions& options) {
  Config config;
  const std::pair<const char*, std::string> settings[] = {
      {"memory_limit", options.memory_limit},
      {"threads", std::to_string(options.threads)},
      {"temp_directory", options.temp_directory},
      {"max_temp_directory_size", options.temp_limit},
  };
  for (const auto& [name, value] : settings) {
    if (duckdb_set_config(config.config, name, value.c_str()) != DuckDBSuccess) {
      return Error{std::string("DuckDB: ") + name + " cannot be " + value};
    }
  }
  duckdb_database database = nullptr;
  char* text = nullptr;
  if (duckdb_open_ext(options.path.empty() ? nullptr : options.path.c_str(), &database, config.config, &text) !=
      DuckDBSuccess) {
    Error error{options.path + " cannot be opened: " + (text != nullptr ? text : "DuckDB does not say why")};
    duckdb_free(text);
    return error;
  }
  auto opened = std::make_unique<Database>(database);
  auto connection = opened->connect();
  if (!connection) return connection.error();
  if (auto locked = connection->execute(lock_statements(options)); !locked) return locked.error();
  return opened;
}

Result<Connection> Database::connect() {
  duckdb_connection connection = nullptr;
  if (duckdb_connect(database_, &connection) != DuckDBSuccess) return Error{"DuckDB gives no connection"};
  return Connection(connection);
}

void Database::suspect(const std::string& words) {
  const std::lock_guard lock(suspicions_lock_);
  if (suspicions_.size() < kSuspicionsMax) suspicions_.push_back(words);
}

std::vector<std::string> Database::take_suspicions() {
  const std::lock_guard lock(suspicions_lock_);
  return std::exchange(suspicions_, {});
}

bool is_conflict(const Error& error) noexcept {
  for (const std::string_view words : {"onflict", "has been dropped by a different transaction", "has been altered"}) {
    if (error.message.find(words) != std::string::npos) return true;
  }
  return false;
}

Result<void> retry_conflicts(Connection& connection, const std::function<Result<void>()>& work) {
  constexpr auto kPause = std::chrono::milliseconds(10);
  for (int tries = 1;; ++tries) {
    if (auto begun = connection.execute("BEGIN"); !begun) return begun.error();
    auto done = work();
    if (done) {
      auto committed = connection.execute("COMMIT");
      if (committed) return {};
      done = committed.error();
    }
    (void)connection.execute("ROLLBACK");  // after a commit that failed there is nothing left to roll back
    if (!is_conflict(done.error()) || tries == kConflictTriesMax) return done;
    std::this_thread::sleep_for(kPause);
  }
}

std::string sql_text(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += c;
    quoted += c;
  }
  return quoted + "'";
}

std::string sql_name(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += c;
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace weir::store
