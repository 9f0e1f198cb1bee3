#include "store/sql_service.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "sql_service_fixture.h"
#include "store/schema.h"
#include "store/sql_check.h"
#include "store/sql_file.h"
#include "store/sql_names.h"
#include "store/sql_scan.h"

namespace weir::store {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using nlohmann::json;
using testing::AnyOf;
using testing::HasSubstr;

TEST_F(SqlServiceTest, AnswersWhatIsOnTheList) {
  for (const char* sql : {
           "SELECT count(*) FROM flows", "FROM flow_rows LIMIT 2", "TABLE netflow", "SELECT * FROM main.flows;", "VALUES (1), (2)", "SHOW TABLES", "DESCRIBE flows",
           "SUMMARIZE flow_h100", "SELECT table_name FROM information_schema.tables", "SELECT * FROM pragma_table_info('flows')",
           "WITH a AS (SELECT bytes_total b FROM flows), c AS MATERIALIZED (SELECT b + 1 d FROM a) SELECT d FROM c JOIN a ON a.b = c.d",
           "SELECT 'a' || bytes_total::VARCHAR, repeat('#', 20), lpad('x', 5, '0'), replace('abc', 'b', 'xx') FROM flows",
           "SELECT list_transform(labels, lambda x: upper(x)), [x || 'y' for x in labels if x <> 'a'] FROM flows",
           "SELECT protocol_name, sum(bytes_total) OVER (PARTITION BY protocol_num ORDER BY time) FROM flows QUALIFY row_number() OVER () < 3",
           "SELECT * FROM range(10) t(i), LATERAL (SELECT i + 1) s(j) WHERE i IN (SELECT bytes_total FROM flows) ORDER BY ALL",
           "SELECT time_bucket(INTERVAL 5 minute, time) t, quantile_cont(bytes_total, 0.95), arg_max(app, bytes_total), count(DISTINCT src_endpoint_ip) FROM flows GROUP BY ALL",
           "SELECT CASE WHEN bytes_total > 5 THEN 'big' ELSE 'small' END, bytes_total::DOUBLE / 3, current_date, printf('%.2f', 1.5), format('{:>10}', 'x') FROM flows",
           "SELECT unnest(range(5)), '{}'::JSON ->> '$.a' WHERE '{}'::JSON IS NULL", "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3 ORDER BY 1",
           "SELECT bytes_total FROM flows GROUP BY GROUPING SETS ((bytes_total), ()) LIMIT 10%", "SELECT * EXCLUDE (time) FROM netflow ASOF JOIN exporters ON false",
           "SELECT 1 -- behind", "SELECT 1;\r\n", "SELECT 1;\t; -- and\n /* so /* on */ */ ", "SELECT '127.0.0.1;' AS \"a;b\", $$it's;$$, E'\\';'"}) {
    const Told told = ask(sql);
    const bool is_bad_for_itself = told.body.find("Invalid") != std::string::npos || told.body.find("Binder Error") != std::string::npos;
    EXPECT_TRUE(told.status == 200 || is_bad_for_itself) << sql << "\n" << told.body;
    EXPECT_THAT(told.body, testing::Not(AnyOf(HasSubstr("for questions"), HasSubstr("for FROM"), HasSubstr("not answered")))) << sql;
  }
  // Whatever is behind the statement goes before it is put in brackets.
  for (const char* sql : {"SELECT uuid() AS a;\r\n", "SELECT uuid() AS a; ; -- x", "SELECT [1] AS a ;\t", " ; SELECT {'a': 1} AS a; /* ; */"}) EXPECT_EQ(ask(sql).status, 200) << sql << ask(sql).body;
  EXPECT_EQ(ask("SELECT 1 AS a;\r\n", {{"format", "parquet"}}).status, 200);
}

TEST_F(SqlServiceTest, RefusesWhatHasSideEffectsOrReadsElsewhere) {
  std::ofstream(folder / "history" / "secret.csv") << "a\n1\n";
  const std::string file = folder / "history" / "secret.csv", answers = answers_folder(store->options());
  ASSERT_TRUE(store->database()->connect()->execute("COPY (SELECT 1 AS a) TO " + sql_text(answers + "/answer-1-0.parquet") + " (FORMAT parquet)"));
  for (const std::string& sql : std::vector<std::string>{
           "SELECT * FROM enable_logging(level='trace', storage='file', storage_path='" + (folder / "history" / "log").string() + "')", "SELECT * FROM enable_logging()",
           "FROM disable_logging()", "FROM truncate_duckdb_logs()", "SELECT * FROM checkpoint()", "SELECT * FROM force_checkpoint()", "CALL force_checkpoint()",
           "SELECT * FROM main.checkpoint()", "SELECT * FROM system.main.checkpoint()", "SELECT (SELECT 1 FROM checkpoint())", "SELECT 1 WHERE EXISTS (FROM checkpoint())",
           "WITH a AS (FROM checkpoint()) SELECT 1", "SELECT * FROM flows, LATERAL (FROM checkpoint())", "SELECT * FROM flows JOIN checkpoint() ON true",
           "SELECT 1 UNION ALL FROM checkpoint()", "DESCRIBE FROM checkpoint()", "SUMMARIZE FROM checkpoint()", "SELECT 1 ORDER BY (SELECT 1 FROM checkpoint())",
           "SELECT 1 LIMIT (SELECT 1 FROM checkpoint())", "SELECT sum(1) OVER (ORDER BY (SELECT 1 FROM checkpoint()))", "VALUES ((SELECT 1 FROM checkpoint()))",
           "SELECT list_transform([1], lambda x: (SELECT 1 FROM checkpoint()))", "SELECT COLUMNS(lambda c: c = (SELECT 'a' FROM checkpoint())) FROM flows",
           "FROM query('SELECT * FROM checkpoint()')", "FROM query_table('duckdb_settings')", "FROM query_table(['flows', 'netflow'])", "FROM json_execute_serialized_sql('{}')",
           "FROM read_text('" + file + "')", "FROM read_csv('" + file + "')", "FROM '" + file + "'", "FROM \"" + file + "\"", "DESCRIBE '" + file + "'", "FROM sniff_csv('" + file + "')",
           "FROM read_blob('" + file + "')", "FROM glob('" + folder.string() + "/**')", "FROM '" + answers + "/answer-1-0.parquet'", "FROM read_parquet('" + answers + "/*.parquet')",
           "FROM parquet_scan('" + answers + "/*')", "FROM parquet_metadata('" + answers + "/*')", "WITH \"" + file + "\" AS (FROM \"" + file + "\") FROM \"" + file + "\"",
           "FROM duckdb_settings()", "FROM duckdb_secrets()", "FROM duckdb_logs", "FROM main.duckdb_views", "FROM duckdb_databases()", "FROM pragma_database_list", "FROM pg_catalog.pg_settings",
           "FROM sqlite_master", "FROM system.main.duckdb_logs", "FROM information_schema.views", "WITH duckdb_logs AS (FROM duckdb_logs) FROM duckdb_logs",
           "SELECT * FROM (WITH x AS (SELECT 1) FROM x), x", "FROM which_secret('s3://x', 's3')", "FROM pragma_storage_info('flow_h100')", "FROM duckdb_temporary_files()",
           "FROM histogram_values(duckdb_logs, level)", "FROM test_all_types()", "FROM repeat('x', 1000000000)",
           "SELECT current_setting('temp_directory')", "SELECT getvariable('x')", "SELECT getenv('HOME')", "SELECT write_log('x')", "SELECT nextval('x')", "SELECT current_query()",
           "SELECT json_serialize_plan('SELECT 1')", "SELECT json_deserialize_sql('{}')", "SELECT pg_get_viewdef(1)", "SELECT has_table_privilege('a', 'b')", "SELECT setseed(0.5)",
           "SELECT system.main.current_setting('temp_directory')", "SELECT 'temp_directory'.current_setting()", "SELECT list_aggregate([1], 'bitstring_agg')",
           "EXPLAIN SELECT 1", "EXPLAIN ANALYZE FROM checkpoint()", "PRAGMA database_list", "CALL checkpoint()", "SHOW DATABASES", "SHOW VARIABLES", "SHOW TABLES FROM system",
           "SELECT 1; SELECT 2", "SET threads = 1", "RESET threads", "LOAD json", "INSTALL httpfs", "ATTACH ':memory:' AS x", "USE main", "PREPARE x AS SELECT 1", "EXECUTE x", "VACUUM",
           "COPY flows TO '" + file + "'", "EXPORT DATABASE 'x'", "CREATE TEMP TABLE x AS SELECT 1", "BEGIN", "COMMIT; SELECT 1", "CREATE MACRO a(x) AS x", "PIVOT flows ON app USING sum(bytes_total)",
           "WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT * FROM a) SELECT * FROM a", "SELECT * FROM flows AT (VERSION => 1)", "", ";", "-- nothing", "SELECT 'open", "SELECT 1 /*"}) {
    for (const char* format : {"json", "parquet"}) {
      const Told told = ask(sql, {{"format", format}});
      EXPECT_EQ(told.status, 400) << sql << "\n" << told.body;
    }
  }
  EXPECT_EQ(ask("SELECT a.bytes_total, checkpoint FROM checkpoint()").parsed()["error"], "there is no function checkpoint for FROM; allowed: range, generate_series, unnest, json_each, json_tree, pragma_table_info");
  EXPECT_EQ(ask("SELECT 1 FROM checkpoint()").parsed()["position"], 14);
  EXPECT_FALSE(fs::exists(folder / "history" / "log"));
  EXPECT_EQ(ask("SELECT count(*) FROM flows").status, 200) << "it goes on";
  DuckdbSink sink(*store);
  CommitBatch batch;
  batch.number = 1;
  const auto written = sink.write(batch);
  EXPECT_TRUE(written) << written.error().message;
}

// A later DuckDB's functions are refused until somebody has looked at them; this says that the list is of this one.
TEST_F(SqlServiceTest, KnowsNoFunctionThatDuckdbHasNot) {
  auto connection = store->database()->connect();
  const auto names = [&](const std::string& sql) {
    std::vector<std::string> all;
    auto rows = connection->query(sql);
    EXPECT_TRUE(rows) << rows.error().message;
    while (true) {
      auto chunk = rows->next();
      if (!chunk || !*chunk) return all;
      for (size_t row = 0; row < chunk->rows(); ++row) all.emplace_back(chunk->text(0, row));
    }
  };
  size_t allowed = 0;
  for (const std::string& name : names("SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro', 'pragma')")) {
    allowed += is_table_function(name) ? 1 : 0;
  }
  EXPECT_EQ(allowed, 6u);
  for (const std::string& name : names("SELECT view_name FROM duckdb_views() WHERE internal AND schema_name IN ('main', 'pg_catalog')")) {
    EXPECT_FALSE(is_store_table(name)) << name;
    EXPECT_EQ(ask("WITH \"" + name + "\" AS (SELECT 1) FROM \"" + name + "\"").status, 400) << name;
  }
  for (const std::string& name : names("SELECT view_name FROM duckdb_views() WHERE NOT internal UNION ALL SELECT table_name FROM duckdb_tables() WHERE NOT starts_with(table_name, 'identity_') AND NOT internal")) {
    const bool is_inner = name == "last_commit" || name == "flow_tail" || name.starts_with("rolled_");
    EXPECT_NE(is_store_table(name), is_inner) << name;
  }
}

TEST_F(SqlServiceTest, PlansNothingThatTakesTooMuchForIt) {
  const auto many = [](int n, const std::string& what) {
    std::string text;
    for (int i = 0; i < n; ++i) text += what;
    return text;
  };
  std::string joins = "SELECT count(*) FROM flows t0", doubled = "SELECT 'xxxxxxxxxxxxxxxx' AS x", subqueries = "SELECT 1 AS x", withs = "SELECT 1", stars = "SELECT 1 a, 2 b";
  for (int i = 1; i < 300; ++i) joins += " JOIN flows t" + std::to_string(i) + " ON t" + std::to_string(i) + ".time = t0.time";
  for (int i = 0; i < 30; ++i) doubled = "SELECT x || x AS x FROM (" + doubled + ")";
  for (int i = 0; i < 50; ++i) subqueries = "SELECT (" + subqueries + ") AS x";
  for (int i = 0; i < 12; ++i) withs = "WITH a AS MATERIALIZED (" + withs + ") SELECT * FROM a";
  for (int i = 0; i < 11; ++i) stars = "SELECT *, * FROM (" + stars + ")";
  std::string nested = "'" + many(1000, "x") + "'";
  for (int i = 0; i < 3; ++i) nested = "replace(" + nested + ", 'x', '" + many(1000, "x") + "')";
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  for (const std::string& sql : std::vector<std::string>{
           "SELECT len(range(60000000))", "SELECT length(repeat('x', 900000000))", "SELECT " + many(900, "[") + "1" + many(900, "]"), joins, doubled, subqueries, withs, stars,
           "SELECT length(" + nested + ")", "SELECT " + many(400, "1+") + "1", "SELECT unnest(generate_series(1, 1000000000))", "SELECT lpad('x', 1000000000, 'x')",
           "SELECT repeat(app, bytes_total) FROM flows", "SELECT repeat(repeat(repeat('x', 9999), 9999), 9999)", "SELECT list_resize([1], 1000000000, 1)", "SELECT printf('%1000000000d', 1)",
           "SELECT printf('%*d', 1000000000, 1)", "SELECT format('{:>1000000000}', 'x')", "SELECT format('{:>{}}', 'x', 1000000000)", "SELECT format(app, 1) FROM flows",
           "SELECT NULL::INTEGER[100000][100000]", "SELECT bitstring('1', 1000000000)", "SELECT list_reduce(['x', 'x'], lambda a, b: a || a || b)", "SELECT '" + many(300'000, "x") + "'",
           "SELECT damerau_levenshtein('" + many(30'000, "x") + "', '" + many(30'000, "y") + "')", "SELECT " + many(1200, "1,") + "1", "SELECT 1 FROM flows GROUP BY CUBE (1,2,3,4,5,6,7,8,9,10,11,12)",
           "FROM range(len(range(60000000)))", "SELECT 1 LIMIT length(repeat('x', 900000000))", "SELECT array_to_string(range(9999), '" + many(1000, "x") + "')",
           "SELECT 1" + many(300, ", max(length(repeat(s, 1000) || i))") + " FROM (SELECT 'xxxxxxxxxxxxxxxxxxxx' AS s), range(100000000) t(i)"}) {
    const auto begun = std::chrono::steady_clock::now();
    const Told told = ask(sql, {{"timeout_ms", 20'000}});
    EXPECT_EQ(told.status, 400) << sql.substr(0, 200) << "\n" << told.body.substr(0, 300);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 3s) << sql.substr(0, 200);
  }
  const std::string parameter(200'000, 'x');
  EXPECT_EQ(ask("SELECT replace(?, 'x', ?)", {{"parameters", {parameter, parameter}}}).status, 400);
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT((after.ru_maxrss - before.ru_maxrss) / 1024, 300) << "MiB";
}

TEST_F(SqlServiceTest, DoesNotHoldUpTheServerWhileItPlans) {
  // Within the bounds, and slow to plan all the same.
  std::string slow = "SELECT count(*) FROM flow_rows t0";
  for (int i = 1; i < 30; ++i) slow += " JOIN flow_rows t" + std::to_string(i) + " ON t" + std::to_string(i) + ".time = t" + std::to_string(i - 1) + ".time";
  const auto begun = std::chrono::steady_clock::now();
  auto response = begin({{"sql", slow}, {"timeout_ms", 100}});
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 50ms);
  const Told told = finish(std::move(response));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 2s);
  EXPECT_THAT(told.status, AnyOf(200u, 504u)) << told.body;
}

TEST_F(SqlServiceTest, EndsWhatIsCancelledWheneverThatIs) {
  serve({.queries_max = 2});
  for (int i = 0; i < 60; ++i) {
    auto response = begin({{"sql", "SELECT count(*) FROM range(30000000000) t(i) WHERE i % 7 = 3"}});
    ASSERT_TRUE(response.later) << i << response.body;
    std::this_thread::sleep_for(std::chrono::microseconds(i * 100));
    response.later.reset();
    ASSERT_TRUE(becomes_idle()) << "left running after " << i << " tenths of a millisecond";
  }
}

TEST_F(SqlServiceTest, LeavesTheDatabaseToItsNextOwner) {
  EXPECT_EQ(ask("SELECT 1").status, 200);
  EXPECT_EQ(ask("SELECT nothing").status, 400);
  EXPECT_EQ(ask("SELECT uuid()", {{"format", "parquet"}}).status, 200);
  ASSERT_TRUE(becomes_idle());
  const auto reopened = store->reopen(2000);
  EXPECT_TRUE(reopened) << reopened.error().message;
  EXPECT_EQ(ask("SELECT count(*) AS n FROM flows").parsed()["rows"][0][0], 10);
}

TEST_F(SqlServiceTest, SaysBeforeTheAnswerWhatWentWrong) {
  const Told late = ask("SELECT count(*) FROM range(30000000000) t(i) WHERE i % 7 = 3", {{"timeout_ms", 100}});
  EXPECT_EQ(late.status, 504);
  EXPECT_EQ(late.parsed()["error"], "it took longer than 100 ms and was stopped");
  const Told wrong = ask("SELECT error('no such luck')", {{"format", "parquet"}});
  EXPECT_EQ(wrong.status, 400);
  EXPECT_THAT(wrong.body, HasSubstr("no such luck"));
  EXPECT_EQ(ask("SELECT bytes_total FROM flows WHERE nothing").parsed()["position"], 36);
  EXPECT_EQ(ask("SELECT FROM WHERE").parsed()["position"], 12);
  const Told cast = ask("SELECT 'x'::INTEGER");
  EXPECT_EQ(cast.status, 400);
  EXPECT_THAT(cast.parsed()["error"], testing::AllOf(HasSubstr("Could not convert string 'x'"), testing::Not(HasSubstr("LINE"))));
}

// DuckDB would have its reader SET what is locked.
TEST_F(SqlServiceTest, SaysWhatHelpsWhereMemoryIsNotEnough) {
  const Told told = ask("SELECT len(list(i)) FROM range(300000000) t(i)");
  EXPECT_EQ(told.status, 507) << told.body;
  const std::string error = told.parsed()["error"];
  EXPECT_THAT(error, testing::StartsWith("Out of Memory Error: "));
  EXPECT_THAT(error, testing::EndsWith("): less time, fewer groups or a filter take less, and a higher database.memory_limit gives more"));
  EXPECT_THAT(error, testing::Not(HasSubstr("SET ")));
}

TEST_F(SqlServiceTest, EndsWhatTakesMemoryThatNobodyCounts) {
  serve({.process_octets_max = 1});  // then it is what is beyond the process's own and kUncountedOctetsMax
  // DuckDB counts what an aggregate keeps; this process is a little larger than that.
  const std::string sql = "SELECT count(*) FROM (SELECT i // 2 AS k, list(repeat(i::VARCHAR, 100)) AS l FROM range(100000000) t(i) GROUP BY k) WHERE len(l) > 3";
  const Told told = ask(sql, {{"timeout_ms", 60'000}});
  EXPECT_EQ(told.status, 507) << told.body;
  EXPECT_THAT(told.body, HasSubstr("Out of Memory"));
  ASSERT_TRUE(becomes_idle());
  EXPECT_EQ(ask("SELECT 1").status, 200);
}

/// Without anybody who looks after files: what a question lacks is written where it is asked.
TEST_F(SqlServiceTest, SaysWhatItsAnswerLacks) {
  EXPECT_TRUE(ask("SELECT 1").headers.empty());
  auto connection = store->database()->connect();
  ASSERT_TRUE(connection->execute("INSERT INTO history_files VALUES ('/nowhere/flows-489600-1.parquet', 489600, 30, 100, 'kept', '', 0, 0, 0)"));
  ASSERT_TRUE(retry_conflicts(*connection, [&] { return make_views(*connection); }));
  const Told told = ask("SELECT count(*) FROM flow_rows", {{"format", "csv"}});
  EXPECT_EQ(told.body, "count_star()\n10\n");
  EXPECT_EQ(told.headers, (std::vector<std::pair<std::string, std::string>>{{kLeftOutHeader, "files=1; rows=30; from=2025-11-08T00:00:00Z; to=2025-11-08T01:00:00Z"}}));
}

// Who says whose flows he reads hears of these alone.
TEST_F(SqlServiceTest, SaysWhatItLeftOutOfTheTimesThatAreRead) {
  auto connection = store->database()->connect();
  for (const int hour : {489'600, 489'605}) {
    ASSERT_TRUE(connection->execute(fmt::format("INSERT INTO history_files VALUES ('/nowhere/{0}.parquet', {0}, 30, 100, 'damaged', '', 0, 0, 0)", hour)));
  }
  const auto left_out = [&](const char* reads) {
    const Told told = ask("SELECT 1", {{"reads", json::parse(reads)}});
    EXPECT_EQ(told.status, 200) << reads << told.body;
    return told.headers.empty() ? std::string() : told.headers.front().second;
  };
  const std::string first = "files=1; rows=30; from=2025-11-08T00:00:00Z; to=2025-11-08T01:00:00Z", last = "files=1; rows=30; from=2025-11-08T05:00:00Z; to=2025-11-08T06:00:00Z",
                    both = "files=2; rows=60; from=2025-11-08T00:00:00Z; to=2025-11-08T06:00:00Z";
  EXPECT_EQ(left_out("[]"), "");
  EXPECT_EQ(left_out("[[null,null]]"), both);
  EXPECT_EQ(left_out(R"([["2025-11-08T00:59:59.999999Z","2025-11-08T05:00:00Z"]])"), first);
  EXPECT_EQ(left_out(R"([["2025-11-08T01:00:00Z","2025-11-08T05:00:00Z"]])"), "") << "between them";
  EXPECT_EQ(left_out(R"([["2025-11-08T01:00:00Z","2025-11-08T05:00:00.000001Z"]])"), last);
  EXPECT_EQ(left_out(R"([[null,"2025-11-08T00:00:00Z"],["2025-11-08T06:00:00Z",null]])"), "");
  EXPECT_EQ(left_out(R"([[null,"2025-11-08T00:00:01Z"],["2025-11-08T05:30:00Z",null]])"), both);
  for (const char* const wrong : {R"({"reads":5})", R"({"reads":[["x",null]]})", R"({"reads":[[null]]})", R"({"reads":[[1,2]]})", R"({"notes":"x"})", R"({"notes":[1]})",
                               R"({"ends":{}})", R"({"ends":[[]]})", R"({"ends":[{"src":["192.0.2.1","192.0.2.2"]}]})", R"({"ends":[[{"src":["192.0.2.1"]}]]})",
                               R"({"ends":[[{"via":["192.0.2.1","192.0.2.2"]}]]})", R"({"ends":[[{"src":["192.0.2.1","x"]}]]})", R"({"ends":[[{"src":[1,2]}]]})",
                               R"({"ends":[[{"src":["192.0.2.1","192.0.2.2"],"dst":["192.0.2.1","192.0.2.2"]}]]})"}) {
    const Told told = ask("SELECT 1", json::parse(wrong));
    EXPECT_EQ(told.status, 400) << wrong << told.body;
  }
  EXPECT_EQ(ask("SELECT 1", {{"reads", std::vector<json>(65, json::array({nullptr, nullptr}))}}).status, 400);
  const json range = {{"src", {"192.0.2.1", "192.0.2.2"}}};
  EXPECT_EQ(ask("SELECT 1", {{"ends", std::vector<json>(8, std::vector<json>(16, range))}}).status, 200);
  EXPECT_EQ(ask("SELECT 1", {{"ends", std::vector<json>(9, std::vector<json>(1, range))}}).status, 400);
  EXPECT_EQ(ask("SELECT 1", {{"ends", std::vector<json>(1, std::vector<json>(17, range))}}).status, 400);
  EXPECT_EQ(ask("SELECT 1", {{"notes", std::vector<std::string>(17, "x")}}).status, 400);
  EXPECT_EQ(ask("SELECT 1", {{"notes", json::array({std::string(5000, 'x')})}}).status, 400);
}

// The hour that has rows is the hundredth since 1970.
TEST_F(SqlServiceTest, ReadsTheTimesThatAreAskedAbout) {
  const auto count = [&](const char* reads) { return ask("SELECT count(*) FROM flow_rows;", {{"reads", json::parse(reads)}, {"format", "csv"}}).body; };
  EXPECT_EQ(count(R"([["1970-01-05T04:00:00Z","1970-01-05T05:00:00Z"]])"), "count_star()\n10\n");
  EXPECT_EQ(count(R"([["1970-01-05T05:00:00Z",null]])"), "count_star()\n0\n");
  EXPECT_EQ(count("[]"), "count_star()\n0\n");
  const json known = {{"reads", json::array({json::array({nullptr, nullptr})})}};
  EXPECT_EQ(ask("SELECT labels FROM flow_rows LIMIT 1 -- lists\n", known).parsed()["rows"], json::parse(R"([[["a","b"]]])"));
  const Told file = ask("SELECT bytes_total FROM flow_rows", {{"reads", known["reads"]}, {"format", "parquet"}});
  EXPECT_EQ(file.status, 200) << file.body;
  EXPECT_TRUE(file.body.starts_with("PAR1"));
  const Told wrong = ask("SELECT nothing FROM flow_rows", known);
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(wrong.parsed()["position"], 7) << wrong.body;
}

// A file is handed on without the headers that it came with.
TEST_F(SqlServiceTest, WritesIntoAFileWhatItLacks) {
  auto connection = store->database()->connect();
  ASSERT_TRUE(connection->execute("INSERT INTO history_files VALUES ('/nowhere/x.parquet', 489600, 30, 100, 'damaged', '', 0, 0, 0)"));
  const auto metadata_of = [&](const json& more) {
    json asked = more;
    asked["format"] = "parquet";
    const Told told = ask("SELECT i FROM range(100) t(i)", asked);
    const std::string path = folder / "history" / "answer.parquet";
    std::ofstream(path) << told.body;
    auto rows = store->database()->connect()->query("SELECT coalesce(string_agg(decode(key) || '=' || decode(value), ' ' ORDER BY key), '') FROM parquet_kv_metadata(" + sql_text(path) + ")");
    EXPECT_TRUE(rows) << rows.error().message << told.body.substr(0, 200);
    if (!rows) return std::string();
    const auto chunk = rows->next();
    return std::string(chunk->text(0, 0));
  };
  EXPECT_EQ(metadata_of({{"reads", json::array()}}), "weir_truncated=false");
  const std::string left_out = "weir_left_out=files=1; rows=30; from=2025-11-08T00:00:00Z; to=2025-11-08T01:00:00Z";
  EXPECT_EQ(metadata_of(json::object()), left_out + " weir_truncated=false");
  EXPECT_EQ(metadata_of({{"notes", {"it's \"gone\"", "{b: $1}"}}, {"max_rows", 7}}), left_out + R"( weir_notes=["it's \"gone\"","{b: $1}"] weir_truncated=true)");
}

TEST_F(SqlServiceTest, SaysThatAFileWasCut) {
  const auto rows_of = [&](const Told& told) {
    std::ofstream(folder / "history" / "answer.parquet") << told.body;
    auto rows = store->database()->connect()->query("SELECT count(*), min(i), max(i) FROM read_parquet(" + sql_text((folder / "history" / "answer.parquet").string()) + ")");
    EXPECT_TRUE(rows) << rows.error().message;
    auto chunk = rows->next();
    return std::array<int64_t, 3>{chunk->at<int64_t>(0, 0), chunk->at<int64_t>(1, 0), chunk->at<int64_t>(2, 0)};
  };
  const Told cut = ask("SELECT i FROM range(100000) t(i)", {{"format", "parquet"}, {"max_rows", 70'000}});
  EXPECT_THAT(cut.headers, testing::ElementsAre(testing::Pair("X-Weir-Truncated", "true")));
  EXPECT_EQ(rows_of(cut), (std::array<int64_t, 3>{70'000, 0, 69'999}));
  const Told whole = ask("SELECT i FROM range(100000) t(i)", {{"format", "parquet"}, {"max_rows", 100'000}});
  EXPECT_TRUE(whole.headers.empty());
  EXPECT_EQ(rows_of(whole)[0], 100'000);
  EXPECT_TRUE(fs::is_empty(answers_folder(store->options())));
}

TEST_F(SqlServiceTest, CutsAFileBehindTheFirstRowsInTheirOrder) {
  constexpr int kRows = 700'000;  // several row groups
  const Told cut = ask(fmt::format("SELECT i, 'n' || i AS name FROM range({}) t(i) ORDER BY i DESC", kRows + 1), {{"format", "parquet"}, {"max_rows", kRows}});
  EXPECT_THAT(cut.headers, testing::ElementsAre(testing::Pair("X-Weir-Truncated", "true")));
  const std::string path = folder / "history" / "answer.parquet";
  std::ofstream(path) << cut.body;
  auto rows = store->database()->connect()->query(fmt::format(
      "SELECT count(*), count(*) FILTER (i <> {} - file_row_number OR name <> 'n' || i), "
      "(SELECT string_agg(name, ',') FROM parquet_schema({}) WHERE num_children IS NULL) FROM read_parquet({})", kRows, sql_text(path), sql_text(path)));
  ASSERT_TRUE(rows) << rows.error().message;
  const auto chunk = rows->next();
  EXPECT_EQ(chunk->at<int64_t>(0, 0), kRows);
  EXPECT_EQ(chunk->at<int64_t>(1, 0), 0) << "rows elsewhere than where they were asked for";
  EXPECT_EQ(chunk->text(2, 0), "i,name");
}

TEST(SqlScan, FindsWhereAStatementEnds) {
  const auto of = [](std::string_view text) { return std::string(look_at_sql(text).statement); };
  EXPECT_EQ(of(" \t;SELECT 1 ;\r\n; -- x;y\n"), "SELECT 1");
  EXPECT_EQ(of("SELECT ';''x;' ; /* ; /* */ ; */"), "SELECT ';''x;'");
  EXPECT_EQ(of("SELECT \";\"\";\";"), "SELECT \";\"\";\"");
  EXPECT_EQ(of("SELECT $a$;'$a$ ;"), "SELECT $a$;'$a$");
  EXPECT_EQ(of("SELECT E'\\';' ;"), "SELECT E'\\';'");
  EXPECT_EQ(of("SELECT $1, a$b ;--"), "SELECT $1, a$b");
  EXPECT_EQ(of("-- nothing\n/* at all */ ;"), "");
  EXPECT_EQ(of("SELECT 'open ;"), "SELECT 'open ;");
  EXPECT_EQ(look_at_sql("SELECT ((([1])))").nesting, 4u);
  EXPECT_EQ(look_at_sql("WITH a AS (WITH b AS (SELECT 1) SELECT 1), c AS (WITH d AS (SELECT '(((' ) SELECT x::TIMESTAMP WITH TIME ZONE)").with_nesting, 2u);
  for (const char* open : {"'", "\"", "$$", "/*", "--", "E'\\", "$", "$a", ")))", "(((", ""}) (void)look_at_sql(open);
}

}  // namespace
}  // namespace weir::store
