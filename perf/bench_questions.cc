// bench_questions.cc — How long questions take: a store of so many flows is made, and asked.
//
//   bench_questions fill DIR [--flows N] [--days N] [--addresses N] [--recent-hours N]
//   bench_questions ask DIR [--rounds N] [--cold] [--only TEXT] [--threads N] [--memory SIZE]
//   bench_questions sql DIR SQL [--rounds N] [--threads N] [--memory SIZE]
//   bench_questions --smoke
//
// fill makes DIR/flows.duckdb and DIR/history through the store's own tables, keeper and rollups; flows end now. One that was ended goes
// on where it is called again. Addresses are
// drawn so that a hundredth of them has a third of the flows. ask prints for each question the time of its first round (with
// --cold the page cache is dropped before each round, which wants root), the median of all, that of the CPU's time (of all threads), and which table answered; with --only of those whose name has the text. sql prints the
// time of each round of a statement, and the beginning of its last row.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "query/check.h"
#include "query/translate.h"
#include "store/address_functions.h"
#include "store/duckdb_sink.h"
#include "store/keeper.h"
#include "store/rows_asked.h"
#include "store/schema.h"

namespace {

using namespace weir;
using store::Column;
namespace fs = std::filesystem;

struct Options {
  std::string dir;
  int64_t flows = 100'000'000;
  int64_t days = 30;
  int64_t addresses = 1'000'000;
  int64_t recent_hours = 48;
  int rounds = 3;
  int threads = 2;
  std::string memory = "4GiB";
  bool is_cold = false;
  std::string only;
  std::string sql;
};

[[noreturn]] void die(const std::string& why) {
  fmt::print(stderr, "bench_questions: {}\n", why);
  std::exit(1);
}

template <class T>
T must(Result<T> result) {
  if (!result) die(result.error().message);
  return std::move(*result);
}
void must(const Result<void>& result) {
  if (!result) die(result.error().message);
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

int64_t now_micros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

struct Store {
  std::unique_ptr<store::Database> database;
  std::unique_ptr<store::Connection> connection;

  explicit Store(const Options& options) {
    const std::string history = fs::absolute(fs::path(options.dir) / "history");
    const std::string temp = fs::absolute(fs::path(options.dir) / "temp");
    fs::create_directories(history);
    database = must(store::Database::open({.path = fs::absolute(fs::path(options.dir) / "flows.duckdb"), .memory_limit = options.memory,
                                           .threads = static_cast<uint32_t>(options.threads), .temp_directory = temp, .temp_limit = "32GiB", .folders = {history}}));
    connection = std::make_unique<store::Connection>(must(database->connect()));
    must(store::register_address_functions(*connection));
    must(store::prepare_schema(*connection));
  }
  void run(const std::string& sql) { must(connection->query(sql)); }
  bool has(const std::string& sql) { return static_cast<bool>(must(must(connection->query(sql)).next())); }
};

/// Addresses with their networks: some thousand ASes, forty countries, a fifth of them IPv6.
void make_addresses(Store& store, int64_t addresses) {
  store.run(fmt::format(
      "CREATE TEMP TABLE address AS SELECT i AS id, CASE WHEN i % 5 = 4 THEN ip_parse(format('2001:db8:{{:x}}:{{:x}}::{{:x}}', i // 65536, i % "
      "65536, i % 17 + 1)) ELSE ip_parse(format('{{}}.{{}}.{{}}.{{}}', 11 + i // 16777216, i // 65536 % 256, i // 256 % 256, i % 256)) END "
      "AS addr, (64496 + hash(i // 256) % 4000)::BIGINT AS asn, chr((65 + hash(i // 4096) % 8)::INTEGER) || chr((65 + hash(i // 4096, 1) % "
      "5)::INTEGER) AS country FROM range({}) t(i)",
      addresses));
}

/// What rows have something in; hours' tables have no others.
constexpr Column kUsed[] = {
    Column::time, Column::start_time, Column::end_time, Column::received_time, Column::src_endpoint_addr, Column::dst_endpoint_addr,
    Column::src_endpoint_port, Column::dst_endpoint_port, Column::protocol_num, Column::tcp_flags, Column::ip_tos, Column::bytes_total,
    Column::packets_total, Column::bytes_raw, Column::packets_raw, Column::sampling_rate, Column::src_as, Column::dst_as, Column::next_hop,
    Column::src_net, Column::dst_net, Column::sampler_address, Column::observation_domain_id, Column::in_if, Column::out_if, Column::flow_source,
    Column::direction_id, Column::flow_end_reason, Column::src_country, Column::dst_country};

store::ColumnSet used() {
  store::ColumnSet set;
  for (const Column column : kUsed) set.set(static_cast<size_t>(column));
  return set;
}

void insert_hour(Store& store, int64_t hour, int64_t rows, int64_t addresses) {
  std::string names;
  for (const Column column : kUsed) names += fmt::format("{}{}", names.empty() ? "" : ", ", store::columns()[static_cast<size_t>(column)].name);
  // Of one number: hash() of several puts them together by XOR, and what is drawn with another salt would follow from the first.
  const auto draw = [&](int salt) { return fmt::format("hash({} + i * 64 + {})", hour << 36, salt); };
  const auto pick = [&](int salt) { return fmt::format("({} / 18446744073709551616.0)", draw(salt)); };
  // x^4 of a uniform x: a hundredth of the addresses has 10^-0.5 of the flows.
  const auto address = [&](int salt) { return fmt::format("floor({} * pow({}, 4))::BIGINT", addresses, pick(salt)); };
  store.run(fmt::format(
      "INSERT INTO {table} ({columns}) "
      "SELECT make_timestamptz(t), make_timestamptz(t - duration), make_timestamptz(t), make_timestamptz(t + 400000), s.addr, d.addr,"
      " 1024 + ({h7} % 60000)::INTEGER, [443, 443, 443, 80, 53, 53, 22, 123, 25, 3389, 8443, 5060][1 + ({h8} % 12)::BIGINT],"
      " CASE WHEN {h8} % 12 IN (4, 5, 7, 11) THEN 17 ELSE 6 END, CASE WHEN {h8} % 12 IN (4, 5, 7, 11) THEN NULL ELSE 27 END, 0,"
      " packets * size * 1000, packets * 1000, packets * size, packets, 1000, s.asn, d.asn, ip_parse('192.0.2.254'), 24, 24,"
      " ip_parse('192.0.2.' || 1 + {h9} % 8), 0, 1 + ({h10} % 24)::BIGINT, 1 + ({h11} % 24)::BIGINT, 4,"
      " 1 + ({h12} % 2)::INTEGER, 1, s.country, d.country "
      "FROM (SELECT i, {begin} + i * {step} AS t, (1000 * pow(10, 4 * {p1}))::BIGINT AS duration, ceil(pow(10, 3 * {p2} * {p2}))::BIGINT AS"
      " packets, (60 + 1400 * {p3})::BIGINT AS size, {a1} AS si, {a2} AS di FROM range({rows}) r(i)) f "
      "JOIN address s ON s.id = f.si JOIN address d ON d.id = f.di",
      fmt::arg("table", store::hour_table(hour)), fmt::arg("columns", names), fmt::arg("begin", hour * store::kMicrosPerHour),
      fmt::arg("step", store::kMicrosPerHour / std::max<int64_t>(rows, 1)), fmt::arg("p1", pick(1)), fmt::arg("p2", pick(2)),
      fmt::arg("p3", pick(3)), fmt::arg("a1", address(4)), fmt::arg("a2", address(5)), fmt::arg("rows", rows),
      fmt::arg("h7", draw(7)), fmt::arg("h8", draw(8)), fmt::arg("h9", draw(9)), fmt::arg("h10", draw(10)), fmt::arg("h11", draw(11)), fmt::arg("h12", draw(12))));
}

/// What making a store takes, by what is done.
struct Spent {
  double inserting = 0;
  double checkpoints = 0;
};

void checkpoint(Store& store, Spent& spent) {
  const auto began = std::chrono::steady_clock::now();
  store.run("CHECKPOINT");
  spent.checkpoints += seconds_since(began);
}

void print_spent(const Spent& spent, const store::KeeperView& view, double seconds) {
  fmt::print(stderr, "{:.0f} s: inserting {:.1f}, checkpoints {:.1f}", seconds, spent.inserting, spent.checkpoints);
  for (size_t i = 0; i < store::kKeeperTasks; ++i) {
    fmt::print(stderr, ", {} {:.1f}", store::name_of(store::KeeperTask{static_cast<uint8_t>(i)}), static_cast<double>(view.tasks[i].busy_ns) / 1e9);
  }
  fmt::print(stderr, "\n");
}

int fill(const Options& options) {
  Store store(options);
  const fs::path log = fs::path(options.dir) / "flows.duckdb.wal";
  make_addresses(store, options.addresses);
  const int64_t now = now_micros();
  const int64_t last = store::hour_of(now) - 1;
  const int64_t hours = options.days * 24;
  const int64_t rows = options.flows / hours;
  store::KeeperConfig config;
  config.folder = fs::absolute(fs::path(options.dir) / "history");
  config.recent_micros = options.recent_hours * store::kMicrosPerHour;
  config.quiet_micros = 0;
  auto keeper = must(store::Keeper::make(*store.database, config, now));
  const auto begin = std::chrono::steady_clock::now();
  Spent spent;
  for (int64_t hour = last - hours + 1; hour <= last; ++hour) {
    // What an earlier run that was ended made stays.
    if (store.has(fmt::format("SELECT 1 FROM history_files WHERE hour = {0} AND state = 'kept' UNION ALL SELECT 1 FROM flow_hours WHERE hour = {0}",
                              hour)) &&
        store.has(fmt::format("SELECT 1 FROM flow_rows WHERE time >= make_timestamptz({}) AND time < make_timestamptz({}) LIMIT 1",
                              hour * store::kMicrosPerHour, (hour + 1) * store::kMicrosPerHour))) {
      continue;
    }
    must(store::open_hours(*store.connection, std::span(&hour, 1), used()));
    const auto began = std::chrono::steady_clock::now();
    insert_hour(store, hour, rows, options.addresses);
    spent.inserting += seconds_since(began);
    const int64_t then = (hour + 1) * store::kMicrosPerHour + store::kRollupGraceMicros;
    for (int steps = 0; steps < 20 && keeper->step(std::max(then, hour == last ? now : then)); ++steps) {}
    // As weir-store's writer does it.
    std::error_code absent;
    if (const auto octets = fs::file_size(log, absent); !absent && octets >= store::kWalOctetsMax) checkpoint(store, spent);
    if ((hour - last) % 24 == 0) {
      fmt::print(stderr, "{} hours left, ", last - hour);
      print_spent(spent, *keeper->view(), seconds_since(begin));
    }
  }
  for (int steps = 0; steps < 20 && keeper->step(now + 3600 * store::kMicrosPerSecond); ++steps) {}
  const auto view = keeper->view();
  for (size_t i = 0; i < store::kKeeperTasks; ++i) {
    const auto& task = view->tasks[i];
    if (!task.trouble.empty()) fmt::print(stderr, "{}: {}\n", store::name_of(store::KeeperTask{static_cast<uint8_t>(i)}), task.trouble);
  }
  checkpoint(store, spent);
  print_spent(spent, *view, seconds_since(begin));
  fmt::print("flows {}, hours {} in the database ({} octets), files {} ({} rows, {} octets, {:.1f} a flow); made in {:.0f} s\n",
             rows * hours, view->hours, fs::file_size(fs::path(options.dir) / "flows.duckdb"), view->files, view->file_rows, view->file_octets,
             view->file_rows == 0 ? 0.0 : static_cast<double>(view->file_octets) / static_cast<double>(view->file_rows), seconds_since(begin));
  return 0;
}

store::SqlValue to_value(const query::Parameter& parameter) {
  return std::visit(
      [](const auto& v) -> store::SqlValue {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, IpAddress>) return v.octets;
        else if constexpr (std::is_same_v<T, query::Instant>) return store::TimeMicros{v.us};
        else return v;
      },
      parameter);
}

struct Question {
  const char* what;
  const char* text;
};
constexpr Question kQuestions[] = {
    {"two days, top sources", "in:flows time:last_2d stats:\"sum(bytes_total) as bytes by src_endpoint_ip\" sort:bytes:desc limit:25"},
    {"two days, services", "in:flows time:last_2d stats:\"sum(bytes_total) as bytes by dst_endpoint_port\" sort:bytes:desc limit:10"},
    {"two days, interfaces", "in:flows time:last_2d stats:\"sum(bytes_total) as bytes by sampler_address, in_if\" sort:bytes:desc limit:10"},
    {"two days, a chart by hour", "in:flows time:last_2d bucket:1h agg:sum value_field:bytes_total series:protocol_num limit:4000"},
    {"two days, countries' ports (rows)", "in:flows time:last_2d stats:\"sum(bytes_total) as bytes by src_country_iso2, dst_endpoint_port\" sort:bytes:desc limit:25"},
    {"two days, one interface (rows)", "in:flows time:last_2d in_if:3 stats:\"sum(bytes_total) as bytes by protocol_num, src_country_iso2\" sort:bytes:desc limit:25"},
    {"two days, pairs (rows)", "in:flows time:last_2d stats:\"sum(bytes_total) as bytes by src_endpoint_ip, dst_endpoint_ip\" sort:bytes:desc limit:10"},
    {"two days, distinct (rows)", "in:flows time:last_2d stats:\"count_distinct(dst_endpoint_ip) as peers by src_country_iso2, dst_endpoint_port\" limit:20"},
    {"an hour, newest flows", "in:flows time:last_2h sort:time:desc limit:50"},
    {"a day, largest flows", "in:flows time:last_24h sort:bytes_total:desc limit:20"},
    {"a night, who talked to one address (rows)", "in:flows time:last_12h ip:11.0.200.7 stats:\"sum(bytes_total) as bytes by src_endpoint_ip, dst_endpoint_ip\" sort:bytes:desc limit:20"},
    {"30 days, top sources", "in:flows time:last_30d stats:\"sum(bytes_total) as bytes by src_endpoint_ip\" sort:bytes:desc limit:25"},
    {"30 days, countries", "in:flows time:last_30d stats:\"sum(bytes_total) as bytes by src_country_iso2\" sort:bytes:desc limit:25"},
    {"30 days, one source", "in:flows time:last_30d src_ip:11.0.200.7 stats:\"sum(bytes_total) as bytes by dst_endpoint_port\" limit:20"},
    {"30 days, one address, either side", "in:flows time:last_30d ip:11.0.200.7 sort:bytes_total:desc limit:20"},
    {"30 days, a /24 of destinations", "in:flows time:last_30d dst_cidr:11.3.7.0/24 stats:\"sum(bytes_total) as bytes by dst_endpoint_ip\" limit:20"},
};

void drop_caches() {
  sync();
  std::ofstream("/proc/sys/vm/drop_caches") << "3\n";
}

uint64_t ask_once(Store& store, const query::Translation& translation) {
  std::vector<store::SqlValue> values;
  for (const query::Parameter& parameter : translation.statement.parameters) values.push_back(to_value(parameter));
  // As weir-store does it of what weir-api says.
  store::RowsAsked asked;
  for (const query::TimeWindow& window : translation.from_flows) asked.times.push_back({window.start_us, window.end_us});
  for (const query::EndClause& ends : translation.ends) {
    store::EndClause& clause = asked.ends.emplace_back();
    for (const query::EndRange& range : ends) {
      clause.push_back({range.end == query::End::src ? store::End::src : store::End::dst, range.first.octets, range.last.octets});
    }
  }
  auto rows = must(store.connection->query(must(store::narrowed(*store.connection, translation.statement.sql, asked)), values));
  uint64_t count = 0;
  while (true) {
    auto chunk = must(rows.next());
    if (!chunk) return count;
    count += chunk.rows();
  }
}

/// As weir-api has it from weir-store.
query::RollupsKept kept_sums(Store& store) {
  const store::KeptFrom kept = must(store::kept_from(*store.connection));
  const auto from = [](int64_t micros) { return micros > 0 ? std::optional(micros) : std::nullopt; };
  return {from(kept.days_micros), from(kept.hours_micros), from(kept.minutes_micros)};
}

int ask(const Options& options) {
  auto store = std::make_unique<Store>(options);
  const query::RollupsKept kept = kept_sums(*store);
  const int64_t now = now_micros();
  fmt::print("{:<36} {:>9} {:>9} {:>9} {:>8}  {}\n", "question", "first s", "median s", "CPU s", "rows", "from");
  for (const Question& question : kQuestions) {
    if (std::string_view(question.what).find(options.only) == std::string_view::npos) continue;
    query::Plan plan;
    if (const auto error = query::plan_query(question.text, now, plan)) die(fmt::format("{}: {}", question.text, error->message));
    plan.rollups_kept = kept;
    const query::Translation translation = query::translate(plan, query::duckdb_dialect());
    std::vector<double> times, cpu_times;
    uint64_t rows = 0;
    for (int round = 0; round < options.rounds; ++round) {
      if (options.is_cold) {
        store.reset();
        drop_caches();
        store = std::make_unique<Store>(options);
      }
      const auto begin = std::chrono::steady_clock::now();
      const std::clock_t cpu = std::clock();
      rows = ask_once(*store, translation);
      times.push_back(seconds_since(begin));
      cpu_times.push_back(static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
    }
    const double first = times.front();
    std::sort(times.begin(), times.end());
    std::sort(cpu_times.begin(), cpu_times.end());
    fmt::print("{:<36} {:>9.3f} {:>9.3f} {:>9.3f} {:>8}  {}\n", question.what, first, times[times.size() / 2], cpu_times[times.size() / 2], rows,
               translation.table);
    std::fflush(stdout);
  }
  return 0;
}

int sql(const Options& options) {
  Store store(options);
  for (int round = 0; round < options.rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    auto rows = must(store.connection->query("SELECT COLUMNS(*)::VARCHAR FROM (" + options.sql + ")"));
    std::string last;
    while (true) {
      auto chunk = must(rows.next());
      if (!chunk) break;
      for (size_t row = 0; row < chunk.rows(); ++row) last = chunk.is_null(0, row) ? "NULL" : std::string(chunk.text(0, row));
    }
    fmt::print("{:.3f} s, {:.3f} s of CPU; {}\n", seconds_since(begin), static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC, last);
    std::fflush(stdout);
  }
  return 0;
}

int smoke() {
  Options options;
  char name[] = "/tmp/weir-questions-XXXXXX";
  options.dir = mkdtemp(name);
  options.flows = 30'000;
  options.days = 3;
  options.addresses = 2000;
  options.recent_hours = 24;
  options.rounds = 1;
  const int status = fill(options) + ask(options);
  fs::remove_all(options.dir);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  bool is_smoke = false;
  CLI::App app("How long questions take: a store of so many flows is made, and asked.", "bench_questions");
  const auto number = [](CLI::App* command, const char* name, auto& value, const char* what) {
    command->add_option(name, value, what)->capture_default_str()->check(CLI::Range(int64_t{1}, int64_t{100'000'000'000}));
  };
  app.add_flag("--smoke", is_smoke, "A small store in a folder of its own, made and asked");
  CLI::App* const fills = app.add_subcommand("fill", "Make a store in DIR, or go on with one that was begun");
  CLI::App* const asks = app.add_subcommand("ask", "Ask the store in DIR each question");
  CLI::App* const sqls = app.add_subcommand("sql", "Run one statement in the store in DIR");
  fills->add_option("DIR", options.dir)->required();
  number(fills, "--flows", options.flows, "So many, evenly over all hours");
  number(fills, "--days", options.days, "Up to now");
  number(fills, "--addresses", options.addresses, "Of sources and destinations");
  number(fills, "--recent-hours", options.recent_hours, "Of these the rows stay in the database");
  for (CLI::App* const command : {asks, sqls}) {
    command->add_option("DIR", options.dir)->required()->check(CLI::ExistingDirectory);
    command->add_option("--rounds", options.rounds, "Of each")->capture_default_str()->check(CLI::Range(1, 1'000'000));
    command->add_option("--memory", options.memory, "Of the database")->capture_default_str();
    command->add_option("--threads", options.threads, "Of the database")->capture_default_str()->check(CLI::Range(1, 256));
  }
  asks->add_flag("--cold", options.is_cold, "Drop the page cache before each round (wants root)");
  asks->add_option("--only", options.only, "Those whose name has this text");
  sqls->add_option("SQL", options.sql)->required();
  CLI11_PARSE(app, argc, argv);
  if (is_smoke && app.get_subcommands().empty()) return smoke();
  if (fills->parsed()) return fill(options);
  if (asks->parsed()) return ask(options);
  if (sqls->parsed()) return sql(options);
  fmt::print(stderr, "{}", app.help());
  return 2;
}
