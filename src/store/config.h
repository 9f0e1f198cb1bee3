// config.h — What `weir-store run` goes by: one struct, its schema, and how it is read.
//
// Runs on:  start-up.
// Failure:  an Error whose message has one line a mistake: file:line:column, key, value, what is allowed.
//
// The keys of the file are the names of the members. `weir-store check-config --keys` prints them all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "enrich/enrichment.h"
#include "feed/settings.h"
#include "service/config_reader.h"
#include "store/database.h"
#include "store/keeper.h"
#include "store/sql_service.h"

namespace weir::store {

inline constexpr const char* kProgram = "weir-store";

struct DatabaseConfig {
  std::string path = "/var/lib/weir-store/flows.duckdb";
  uint64_t memory_limit = 2ull << 30;
  uint32_t threads = 2;
  std::string temp_directory;  // empty: `temp` beside flows.duckdb, `NAME.temp` beside NAME.duckdb
  uint64_t temp_limit = 16ull << 30;
};

struct CommitConfig {
  uint32_t interval_ms = 500;
  uint64_t rows = 245'760;  // two of DuckDB's row groups: they go into the file at once, and not through the log
};

/// Older rows, in files; sums of rows.
struct HistoryConfig {
  std::string folder;  // empty: `history` beside flows.duckdb, `NAME.history` beside NAME.duckdb
  uint32_t realtime_threshold_secs = 172'800;
  uint32_t retention_secs = 0;           // 0: for ever; likewise below
  uint32_t rollup_minutes_secs = 604'800;
  uint32_t rollup_hours_secs = 0;
  uint32_t rollup_days_secs = 0;
  uint64_t scrub_octets_per_second = 8 << 20;
};

struct SqlConfig {
  uint32_t queries_max = 4;
  uint64_t rows_max = 1'000'000;
  uint32_t timeout_ms = 60'000;
};

struct StoreConfig : feed::FeedSettings {
  StoreConfig() {
    source.consumer = kProgram;
    source.messages_in_hand = 4096;
    source.max_ack_pending = 16'384;
    control_socket.path = "/run/weir-store/control.sock";
  }

  std::string rules;  // empty: none
  enrich::EnrichConfig enrichment;
  feed::NamesConfig names;
  DatabaseConfig database;
  CommitConfig commit;
  HistoryConfig history;
  SqlConfig sql;
};

struct LoadedConfig {
  StoreConfig config;
  service::Origins origins;
  std::vector<std::string> warnings;
};

const service::Schema<StoreConfig>& store_schema();

/// Reads the file, applies `environment` (`NAME=value` each) and checks the whole.
Result<LoadedConfig> load_config(const std::string& path, std::span<const char* const> environment);
/// The same of text; `name` stands for the file in messages.
Result<LoadedConfig> read_config(std::string_view text, const std::string& name, std::span<const char* const> environment);

/// What the machine has for a configuration, and what was read for it: a start reads it once.
struct RulesInUse;
struct CheckedFiles {
  std::vector<std::string> warnings;
  std::shared_ptr<const RulesInUse> rules;
};
/// feed::check_files, rules and data that can be read, a folder for the database; or all that is wrong.
Result<CheckedFiles> check_files(const StoreConfig& config);
/// Those that a run needs and that are not there.
Result<void> make_folders(const StoreConfig& config);

/// Every value with where it came from, secrets masked, and what would run.
std::string describe(const LoadedConfig& loaded);
/// All keys as a Markdown table.
std::string describe_keys();

DatabaseOptions database_options(const StoreConfig& config);
SqlLimits sql_limits(const StoreConfig& config);
KeeperConfig keeper_config(const StoreConfig& config);

}  // namespace weir::store
