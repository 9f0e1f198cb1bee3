#include "store/config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "service/common_values.h"
#include "service/config_text.h"
#include "store/commit_batch.h"
#include "store/file_book.h"
#include "store/rules_in_use.h"
#include "store/sql_file.h"

namespace weir::store {
namespace {

using service::duration;
using service::integer;
using service::Schema;
using service::size;

const Schema<DatabaseConfig>& database_schema() {
  using C = DatabaseConfig;
  static const auto schema =
      Schema<C>()
          .key("path", &C::path, service::any_text(), "The file; made if absent. One process may have it.")
          .key("memory_limit", &C::memory_limit, size<uint64_t>(256 << 20, 1ull << 44),
               "Memory that storing and queries have together; queries that need more use temp_directory, or end.")
          .key("threads", &C::threads, integer<uint32_t>(1, 256), "Threads of queries.")
          .key("temp_directory", &C::temp_directory, service::any_text(), "Where queries put what exceeds memory; a path without *, ? and [. Empty: beside flows.duckdb temp, beside NAME.duckdb NAME.temp.")
          .key("temp_limit", &C::temp_limit, size<uint64_t>(1 << 20, 1ull << 50), "At most so much of it.");
  return schema;
}

const Schema<CommitConfig>& commit_schema() {
  using C = CommitConfig;
  static const auto schema =
      Schema<C>()
          .key("interval_ms", &C::interval_ms, duration<uint32_t>(1'000'000, 10, 1000),
               "How long rows wait for others, at most, until they are committed together.")
          .key("rows", &C::rows, integer<uint64_t>(2048, 4'000'000),
               "So many are committed without waiting. Three times as many may be in memory, at about 600 octets each and 64 MiB of texts and lists in each third.");
  return schema;
}

const Schema<HistoryConfig>& history_schema() {
  using C = HistoryConfig;
  constexpr uint64_t kSec = 1'000'000'000;
  static const auto schema =
      Schema<C>()
          .key("folder", &C::folder, service::any_text(), "Where the files (Parquet) of older rows lie; made if absent; a path without *, ? and [. Empty: beside flows.duckdb history, beside NAME.duckdb NAME.history.")
          .key("realtime_threshold_secs", &C::realtime_threshold_secs, duration<uint32_t>(kSec, 3600, UINT32_MAX),
               "Hours older than that leave the database and become files.")
          .key("retention_secs", &C::retention_secs, duration<uint32_t>(kSec, 0, UINT32_MAX),
               "Files older than that are removed; 0: never.")
          .key("rollup_minutes_secs", &C::rollup_minutes_secs, duration<uint32_t>(kSec, 0, UINT32_MAX),
               "How long sums by the minute are kept; 0: for ever.")
          .key("rollup_hours_secs", &C::rollup_hours_secs, duration<uint32_t>(kSec, 0, UINT32_MAX),
               "How long sums by the hour are kept; 0: for ever.")
          .key("rollup_days_secs", &C::rollup_days_secs, duration<uint32_t>(kSec, 0, UINT32_MAX),
               "How long sums by the day are kept; 0: for ever.")
          .key("scrub_octets_per_second", &C::scrub_octets_per_second, size<uint64_t>(0, 1ull << 34),
               "Files are read through so fast, each about once a day, and held against the sums of their octets; 0: only by weirctl verify.");
  return schema;
}

const Schema<SqlConfig>& sql_schema() {
  using C = SqlConfig;
  static const auto schema =
      Schema<C>()
          .key("queries_max", &C::queries_max, integer<uint32_t>(1, 64), "Queries that run at the same time; more are refused.")
          .key("rows_max", &C::rows_max, integer<uint64_t>(1, 1'000'000'000), "Rows that a query answers, at most.")
          .key("timeout_ms", &C::timeout_ms, duration<uint32_t>(1'000'000, 1, 3'600'000), "How long one may run, at most.");
  return schema;
}

/// A question that is told to stop may take a little longer.
constexpr int64_t kAnswerLagMs = 60'000;

/// The folder that `path` lies in.
std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

/// Of a database of the usual name `what`, beside it; of another `<name>.what`, so that several may lie in one folder.
std::string beside(const std::string& path, const std::string& what) {
  const std::filesystem::path name = std::filesystem::path(path).filename();
  const std::filesystem::path folder = std::filesystem::absolute(folder_of(path));
  return folder / (name == "flows.duckdb" ? what : name.stem().string() + "." + what);
}

/// DuckDB looks for files by patterns: of such a path it would read others, too, or none.
void refuse_patterns(const char* key, const std::string& path, service::Findings& findings) {
  const size_t at = path.find_first_of("*?[");
  if (at == std::string::npos) return;
  findings.error(key, fmt::format("{} has {} in it, of which DuckDB makes a pattern of names: a path without *, ? and [ is needed", service::printable(path), path[at]));
}

Result<LoadedConfig> finish(LoadedConfig loaded, service::ConfigReport& report) {
  service::Findings findings(loaded.origins, report);
  feed::check_connection(loaded.config, findings);
  feed::check_source(loaded.config, "whose flows would be stored twice", findings);
  feed::check_stream(loaded.config, loaded.config.dead.stream, "dead.stream", findings);
  DatabaseConfig& database = loaded.config.database;
  if (database.temp_directory.empty()) database.temp_directory = beside(database.path, "temp");
  if (loaded.config.history.folder.empty()) loaded.config.history.folder = beside(database.path, "history");
  if (loaded.config.history.folder.front() != '/') findings.error("history.folder", "is to begin with /");
  else loaded.config.history.folder = canonical_folder(loaded.config.history.folder);
  refuse_patterns("history.folder", loaded.config.history.folder, findings);
  refuse_patterns("database.temp_directory", database.temp_directory, findings);
  const HistoryConfig& history = loaded.config.history;
  if (history.retention_secs != 0 && history.retention_secs <= history.realtime_threshold_secs) {
    findings.error("history.retention_secs", fmt::format("{} is not more than history.realtime_threshold_secs ({})",
                                                         history.retention_secs, history.realtime_threshold_secs));
  }
  if (loaded.config.database.path.empty()) findings.error("database.path", "is empty; a file is needed");
  if (!report.ok()) return report.to_error();
  loaded.warnings = report.warnings();
  return loaded;
}

}  // namespace

const Schema<StoreConfig>& store_schema() {
  using C = StoreConfig;
  static const auto schema = [] {
    Schema<C> all;
    feed::add_source_keys(all);
    all.key("rules", &C::rules, service::any_text(),
            "File of rules (docs/RULES.md), or a folder of such, the same as weir-etl's; read anew when it is written (watch_files_secs), and at a reload. Empty: none, each flow becomes a row.")
        .object("enrichment", &C::enrichment, feed::enrichment_schema(),
                "What is known of addresses (docs/ENRICHMENT.md), the same as weir-etl's; files are read anew likewise.")
        .object("names", &C::names, feed::names_schema(), "Names of exporters and interfaces.")
        .object("database", &C::database, database_schema(), "Where rows go.")
        .object("commit", &C::commit, commit_schema(), "How rows are committed.")
        .object("history", &C::history, history_schema(), "Older rows, and sums of rows.")
        .object("sql", &C::sql, sql_schema(), "Questions over the control socket.");
    feed::add_operation_keys(all, {"what no row can be made of", kProgram});
    return all;
  }();
  return schema;
}

Result<LoadedConfig> read_config(std::string_view text, const std::string& name, std::span<const char* const> environment) {
  auto document = service::parse_config_document(text, name);
  if (!document) return document.error();
  LoadedConfig loaded;
  service::ConfigReport report;
  service::ReadContext context{report, loaded.origins};
  store_schema().read(&loaded.config, *document, "", context);
  store_schema().read_environment(&loaded.config, environment, context);
  return finish(std::move(loaded), report);
}

Result<LoadedConfig> load_config(const std::string& path, std::span<const char* const> environment) {
  const auto text = service::read_config_file(path);
  if (!text) return text.error();
  return read_config(*text, path, environment);
}

Result<CheckedFiles> check_files(const StoreConfig& config) {
  auto found = feed::check_files(config);
  std::string errors = found ? "" : found.error().message;
  const auto refuse = [&](const std::string& what) { errors += (errors.empty() ? "" : "\n") + what; };
  auto rules = read_rules(config.rules, config.enrichment, 1);
  if (!rules) refuse(rules.error().message);
  const std::string folder = folder_of(config.database.path);
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    refuse(fmt::format("database.path: nothing can be made in {}", service::printable(folder)));
  }
  // Made by who runs the store: root, who only checks, would leave one that the store cannot write.
  const std::string& history = config.history.folder;
  const std::string place = access(history.c_str(), F_OK) == 0 ? history : folder_of(history);
  if (access(place.c_str(), W_OK | X_OK) != 0) {
    refuse(fmt::format("history.folder: nothing can be made in {}", service::printable(place)));
  }
  if (!errors.empty()) return Error{errors};
  return CheckedFiles{std::move(*found), std::move(*rules)};
}

Result<void> make_folders(const StoreConfig& config) {
  const std::string& history = config.history.folder;
  if (mkdir(history.c_str(), 0750) == 0 || errno == EEXIST) return {};
  return Error{fmt::format("history.folder: {} cannot be made: {}", service::printable(history), std::strerror(errno))};
}

std::string describe(const LoadedConfig& loaded) {
  const StoreConfig& config = loaded.config;
  std::string out = "Values and where they come from:\n\n" +
                    service::describe_values(store_schema(), &config, loaded.origins) + "\nWhat would run:\n\n";
  for (const feed::InputConfig& input : config.source.subjects) {
    out += fmt::format("  {} of stream {} by the durable consumer {}, at most {} messages in hand\n", input.subject,
                       config.source.stream_name, outbound::consumer_name(config.source.consumer, input.subject),
                       config.source.messages_in_hand);
  }
  out += config.rules.empty() ? "  no rules: each flow becomes a row\n"
                              : fmt::format("  rules of {}\n", service::printable(config.rules));
  out += feed::describe(config.enrichment);
  out += fmt::format("  rows to {}, committed every {} ms or {} rows\n", service::printable(config.database.path),
                     config.commit.interval_ms, config.commit.rows);
  out += fmt::format("  hours older than {} s become files in {}\n", config.history.realtime_threshold_secs,
                     service::printable(config.history.folder));
  out += config.names.stream_name.empty() ? "  no names of exporters and interfaces\n"
                                          : fmt::format("  names of exporters and interfaces from stream {}\n", config.names.stream_name);
  out += fmt::format("  what no row can be made of to {}.<reason> in stream {}\n", config.dead.subject_prefix, config.dead.stream.name);
  out += config.control_socket.path.empty() ? "  no control socket\n"
                                            : fmt::format("  control socket {}\n", service::printable(config.control_socket.path));
  out += config.metrics_addr.empty() ? "  no metrics over TCP\n" : fmt::format("  metrics at http://{}/metrics\n", config.metrics_addr);
  return out;
}

std::string describe_keys() { return service::describe_keys(store_schema().document()); }

DatabaseOptions database_options(const StoreConfig& config) {
  DatabaseOptions options;
  // A name such as :memory: or x:y would be more than a file's to DuckDB; from / on it is one.
  const auto absolute = [](const std::string& path) { return path.empty() ? path : std::filesystem::absolute(path).string(); };
  options.path = absolute(config.database.path);
  options.memory_limit = fmt::format("{}MiB", config.database.memory_limit >> 20);
  options.threads = config.database.threads;
  options.temp_directory = absolute(config.database.temp_directory);
  options.temp_limit = fmt::format("{}MiB", config.database.temp_limit >> 20);
  if (!config.history.folder.empty()) options.folders.push_back(config.history.folder);
  options.history_folder = config.history.folder;
  if (const std::string answers = answers_folder(options); !answers.empty()) options.folders.push_back(answers);
  return options;
}

SqlLimits sql_limits(const StoreConfig& config) {
  constexpr uint64_t kBatches = 3, kRowOctets = 600;  // a row's columns; its texts and lists lie beside them
  const uint64_t rows_octets_max = kBatches * (config.commit.rows * kRowOctets + kBatchOctetsMax);
  return {.queries_max = config.sql.queries_max,
          .rows_max = config.sql.rows_max,
          .timeout_ms = config.sql.timeout_ms,
          .process_octets_max = config.database.memory_limit + rows_octets_max + kUncountedOctetsMax};
}

KeeperConfig keeper_config(const StoreConfig& config) {
  const auto micros = [](uint32_t secs) { return int64_t{secs} * kMicrosPerSecond; };
  const HistoryConfig& history = config.history;
  KeeperConfig keeper;
  keeper.folder = history.folder;
  keeper.recent_micros = micros(history.realtime_threshold_secs);
  keeper.history_micros = micros(history.retention_secs);
  keeper.retired_micros = std::max(kRetiredKeptMicros, 1000 * (int64_t{config.sql.timeout_ms} + kAnswerLagMs));
  keeper.scrub_octets_per_second = history.scrub_octets_per_second;
  keeper.rollups = {.minutes_micros = micros(history.rollup_minutes_secs),
                    .hours_micros = micros(history.rollup_hours_secs),
                    .days_micros = micros(history.rollup_days_secs)};
  return keeper;
}

}  // namespace weir::store
