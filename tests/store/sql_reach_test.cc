// What questions can reach: every function that DuckDB has, and statements that are put together at random, change nothing and show
// nothing but flows.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <set>

#include "sql_service_fixture.h"

namespace weir::store {
namespace {

constexpr const char* kSecret = "swordfish";

struct SqlReachTest : SqlServiceTest {
  std::string secret_csv = folder / "history" / "secret.csv", secret_parquet = folder / "history" / "secret.parquet";
  std::set<std::string> files_before;
  std::string state_before;

  SqlReachTest() {
    serve({.timeout_ms = 2000, .process_octets_max = uint64_t{3} << 30});
    std::ofstream(secret_csv) << "a\n" << kSecret << "\n";
    run(fmt::format("COPY (SELECT '{}' AS a) TO '{}' (FORMAT parquet)", kSecret, secret_parquet));
    setenv("WEIR_TEST_SECRET", kSecret, 1);
    files_before = files();
    state_before = state();
  }
  ~SqlReachTest() override { unsetenv("WEIR_TEST_SECRET"); }

  void run(const std::string& sql) {
    const auto done = store->database()->connect()->execute(sql);
    ASSERT_TRUE(done) << done.error().message;
  }
  std::vector<std::string> texts(const std::string& sql) {
    auto connection = store->database()->connect();
    auto rows = connection->query(sql);
    EXPECT_TRUE(rows) << rows.error().message;
    std::vector<std::string> out;
    while (rows) {
      auto chunk = rows->next();
      if (!chunk || !*chunk) break;
      for (size_t row = 0; row < chunk->rows(); ++row) out.emplace_back(chunk->text(0, row));
    }
    return out;
  }
  /// But the answers' own, which go by themselves.
  std::set<std::string> files() const {
    std::set<std::string> found;
    for (const auto& at : fs::recursive_directory_iterator(folder)) {
      if (at.is_regular_file() && at.path().string().find("/temp/") == std::string::npos) found.insert(at.path());
    }
    return found;
  }
  /// Settings, tables, and what lies in them.
  std::string state() {
    std::string all;
    for (const char* sql : {"SELECT name || '=' || coalesce(value, '') FROM duckdb_settings() ORDER BY 1", "SELECT table_name || estimated_size::VARCHAR FROM duckdb_tables() ORDER BY 1",
                            "SELECT view_name || md5(sql) FROM duckdb_views() WHERE NOT internal ORDER BY 1", "SELECT function_name FROM duckdb_functions() WHERE NOT internal ORDER BY 1",
                            "SELECT database_name || readonly::VARCHAR FROM duckdb_databases() ORDER BY 1", "SELECT sum(bytes_total)::VARCHAR FROM flow_rows"}) {
      for (const std::string& text : texts(sql)) all += text + "\n";
    }
    return all;
  }
  /// True where it was answered.
  bool ask_safely(const std::string& sql) {
    const Told told = ask(sql);
    EXPECT_TRUE(told.status == 200 || told.status == 400 || told.status == 504 || told.status == 507) << told.status << " " << sql << "\n" << told.body;
    EXPECT_THAT(told.body, testing::Not(testing::HasSubstr(kSecret))) << sql;
    return told.status == 200;
  }
  void nothing_has_changed() {
    EXPECT_TRUE(becomes_idle());
    EXPECT_EQ(ask("SELECT sum(bytes_total) FROM flows").parsed()["rows"], json::parse("[[45]]"));
    EXPECT_EQ(files(), files_before);
    EXPECT_EQ(state(), state_before);
  }
};

// DuckDB is no part of what is sanitized: there a share of its functions is enough, which took two minutes of a test run otherwise.
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kOneFunctionIn = 8;
#else
constexpr size_t kOneFunctionIn = 1;
#endif

TEST_F(SqlReachTest, NoFunctionOfDuckDbReachesOut) {
  const std::string path = "'" + secret_csv + "'";
  const std::string arguments[] = {"", path, path + ", 'a'", "'" + secret_parquet + "'", "'WEIR_TEST_SECRET'", "'SELECT 1'", "1", "'a', 'b', 'c'", "[" + path + "]", "1000000000"};
  size_t asked = 0, answered = 0, turn = 0;
  for (const std::string& name : texts("SELECT DISTINCT function_name FROM duckdb_functions() WHERE regexp_matches(function_name, '^[a-z_][a-z0-9_]*$') ORDER BY 1")) {
    if (turn++ % kOneFunctionIn != 0) continue;
    for (const std::string& given : arguments) {
      answered += ask_safely(fmt::format("SELECT {}({}) AS a", name, given));
      answered += ask_safely(fmt::format("SELECT * FROM {}({}) LIMIT 3", name, given));
      asked += 2;
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(asked, 5000 / kOneFunctionIn);
  EXPECT_GT(answered, 300 / kOneFunctionIn);
  nothing_has_changed();
}

/// Parts of statements, good and bad, that are put together without a thought.
class Statements {
 public:
  Statements(uint32_t seed, const std::string& secret) : random_(seed), secret_(secret) {}

  std::string next() {
    std::string sql = select(3);
    switch (below(12)) {
      case 0: sql.erase(below(sql.size()), 1 + below(8)); break;
      case 1: sql.insert(below(sql.size()), std::string(kSplices[below(std::size(kSplices))])); break;
      case 2: sql += std::string(kSplices[below(std::size(kSplices))]) + select(1); break;
      case 3: sql = "WITH c AS (" + select(2) + ") " + sql; break;
      case 4: sql += " UNION ALL " + select(2); break;
      case 5: sql = std::string(kSplices[below(std::size(kSplices))]) + sql; break;
      default: break;
    }
    return sql;
  }

 private:
  size_t below(size_t n) { return n == 0 ? 0 : random_() % n; }
  template <size_t N>
  std::string one_of(const char* const (&of)[N]) { return of[below(N)]; }

  std::string expression(int depth) {
    if (depth <= 0) return one_of({"1", "'x'", "NULL", "bytes_total", "time", "*", "true", "now()", "src_endpoint_ip", "$1", "\"rowid\"", "1e9", "[1, 2]", "{'a': 1}", "INTERVAL 1 day"});
    switch (below(9)) {
      case 0: return expression(depth - 1) + one_of({" + ", " || ", " = ", " AND ", " IN ", " -> ", "::", " LIKE ", " ^ "}) + expression(depth - 1);
      case 1: return one_of({"sum", "count", "repeat", "upper", "read_text", "getenv", "query", "current_setting", "list_transform", "range", "ip_text", "printf", "glob", "enable_logging", "nextval"}) + "(" + expression(depth - 1) + ")";
      case 2: return "(" + select(depth - 1) + ")";
      case 3: return "CASE WHEN " + expression(depth - 1) + " THEN " + expression(depth - 1) + " ELSE " + expression(depth - 1) + " END";
      case 4: return "CAST(" + expression(depth - 1) + " AS " + one_of({"VARCHAR", "BIGINT", "JSON", "UUID", "VARCHAR[]", "TIMESTAMP"}) + ")";
      case 5: return "EXISTS (" + select(depth - 1) + ")";
      case 6: return "COLUMNS('" + one_of({".*", "b.*", "("}) + "')";
      default: return expression(0);
    }
  }
  std::string source(int depth) {
    switch (below(8)) {
      case 0: return "(" + select(depth - 1) + ") AS s" + std::to_string(below(3));
      case 1: return "'" + secret_ + "'";
      case 2: return one_of({"read_csv", "read_text", "read_blob", "read_parquet", "parquet_metadata", "glob", "sniff_csv", "range", "unnest", "query", "query_table", "duckdb_settings", "duckdb_secrets", "pragma_database_size"}) + "('" + secret_ + "')";
      case 3: return one_of({"identity_ids", "history_files", "duckdb_tables", "sqlite_master", "pg_catalog.pg_class", "information_schema.tables", "c", "main.flows", "temp.x", "\"../x\""});
      case 4: return source(depth - 1) + one_of({" JOIN ", ", ", " ASOF JOIN ", " POSITIONAL JOIN ", " LEFT JOIN "}) + "flows USING (time)";
      default: return one_of({"flows", "flow_rows", "netflow", "exporters", "rollup_src"});
    }
  }
  std::string select(int depth) {
    if (depth <= 0) return "SELECT 1 AS time";
    std::string sql = "SELECT " + std::string(below(6) == 0 ? "DISTINCT " : "") + expression(depth) + " AS a" + (below(3) == 0 ? ", " + expression(1) : "") + " FROM " + source(depth);
    if (below(3) == 0) sql += " WHERE " + expression(depth - 1);
    if (below(4) == 0) sql += one_of({" GROUP BY ALL", " GROUP BY 1", " GROUP BY CUBE (1, 2)"});
    if (below(4) == 0) sql += " ORDER BY " + expression(1);
    if (below(3) == 0) sql += one_of({" LIMIT 3", " LIMIT 1 OFFSET 2", " LIMIT (SELECT 1)", " USING SAMPLE 1%"});
    return sql;
  }

  static constexpr std::string_view kSplices[] = {"; ", ";DROP TABLE flow_h100;", " -- ", "/*", "'", "\"", "$$", " INTO OUTFILE 'x' ", "COPY ", "EXPLAIN ANALYZE ", "PRAGMA ", "SET threads = 1; ", "ATTACH 'x.db'; ",
                                                  "INSERT INTO flow_h100 ", "CREATE TABLE x AS ", "PREPARE p AS ", "CALL ", "DESCRIBE ", "SUMMARIZE ", "PIVOT ", "FROM flows ", "\0 ", ")", "(((("};
  std::mt19937 random_;
  const std::string secret_;
};

TEST_F(SqlReachTest, StatementsPutTogetherAtRandomChangeNothing) {
  const char* const wanted = std::getenv("WEIR_TEST_SEED");
  const uint32_t seed = wanted != nullptr ? static_cast<uint32_t>(std::strtoul(wanted, nullptr, 10)) : 20261121;
  SCOPED_TRACE(fmt::format("WEIR_TEST_SEED={}", seed));
  Statements statements(seed, secret_csv);
  size_t answered = 0;
  for (int i = 0; i < 3000 && !HasFailure(); ++i) answered += ask_safely(statements.next());
  EXPECT_GT(answered, 50u);
  nothing_has_changed();
}

}  // namespace
}  // namespace weir::store
