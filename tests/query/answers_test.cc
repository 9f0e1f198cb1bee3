// What real DuckDB answers, against what a test counts itself from the same flows: every query that people type, and more.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "query/check.h"
#include "query/known_flows.h"
#include "query/parser.h"
#include "query/rollups.h"
#include "query/sql_shape.h"
#include "query/srql_queries.h"
#include "query/translate.h"
#include "store/rollups.h"
#include "store/sql_check.h"
#include "store/sql_request.h"

namespace weir::query {
namespace {

using Row = std::vector<std::string>;
using Rows = std::vector<Row>;

// What weir-api says of a query's ends the store takes.
static_assert(kEndClausesMax <= store::kEndClausesMax && kEndRangesMax <= store::kEndRangesMax);
constexpr int64_t kMinute = 60 * kUsPerSec, kHour = 60 * kMinute, kDay = 24 * kHour;

store::SqlValue sql_value(const Parameter& parameter) {
  struct Visit {
    store::SqlValue operator()(std::monostate v) const { return v; }
    store::SqlValue operator()(int64_t v) const { return v; }
    store::SqlValue operator()(double v) const { return v; }
    store::SqlValue operator()(bool v) const { return v; }
    store::SqlValue operator()(const std::string& v) const { return v; }
    store::SqlValue operator()(const IpAddress& v) const { return v.octets; }
    store::SqlValue operator()(const Instant& v) const { return store::TimeMicros{v.us}; }
  };
  return std::visit(Visit{}, parameter);
}

class Answers : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    flows_ = new KnownFlows;
    setenv("TZ", "UTC", 1);  // texts of times are the session's
    db_ = new store::StoreDatabase;
    flows_->store(*db_);
    make_rollups();
  }
  static void TearDownTestSuite() {
    delete db_;
    delete flows_;
    db_ = nullptr;
  }

  /// Of some flows, as the store does it from time to time: what is not in them yet its views take from the flows.
  static void make_rollups() {
    ASSERT_TRUE(store::fold(*db_->connection));
    ASSERT_TRUE(store::roll_up(*db_->connection, kNowUs));
    ASSERT_TRUE(store::make_views(*db_->connection));
  }

  Rows run(const Statement& statement) {
    EXPECT_EQ(trouble_in(statement), std::nullopt) << statement.sql;
    std::vector<store::SqlValue> values;
    for (const Parameter& p : statement.parameters) values.push_back(sql_value(p));
    expect_allowed(statement.sql);
    const std::string text = db_->ask(statement.sql, values);
    EXPECT_FALSE(text.starts_with("error")) << text << statement.sql;
    Rows rows;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      Row& row = rows.emplace_back();
      std::istringstream cells(line + "|");
      for (std::string cell; std::getline(cells, cell, '|');) row.push_back(cell);
    }
    return rows;
  }

  /// As weir-store looks at it before it answers.
  void expect_allowed(const std::string& sql) {
    const auto in_text = store::find_text_trouble(sql);
    EXPECT_FALSE(in_text) << in_text->message << "\n" << sql.substr(0, 2000);
    auto rows = db_->connection->query("SELECT json_serialize_sql($1::VARCHAR)", std::vector<store::SqlValue>{sql});
    ASSERT_TRUE(rows) << rows.error().message;
    const auto chunk = rows->next();
    ASSERT_TRUE(chunk && *chunk);
    const auto wrong = store::find_trouble(nlohmann::json::parse(chunk->text(0, 0)), 1000);
    EXPECT_FALSE(wrong) << wrong->message << "\n" << sql.substr(0, 2000);
  }

  /// At most limit + 1 rows.
  Rows ask(std::string_view text, const std::optional<PageStart>& page = std::nullopt) {
    Plan plan;
    const auto error = plan_query(text, kNowUs, plan);
    EXPECT_FALSE(error) << text << ": " << error->message;
    if (error) return {};
    limit_ = plan.limit;
    Translation t = translate(plan, duckdb_dialect(), page);
    if (t.probe) {
      const Rows cut = run(*t.probe);
      if (!cut.at(0).at(0).empty()) t.statement.parameters[t.cut] = Instant{std::stoll(cut[0][0])};
    }
    columns_.clear();
    for (const AnswerColumn& column : t.columns) columns_.push_back(column.name);
    return run(t.statement);
  }

  size_t column(std::string_view name) const {
    const auto found = std::find(columns_.begin(), columns_.end(), name);
    EXPECT_NE(found, columns_.end()) << name;
    return static_cast<size_t>(found - columns_.begin());
  }

  using Holds = std::function<bool(const KnownFlow&)>;

  /// Single flows: those that hold, in order, which `fields:` does not change.
  void expect_flows(std::string_view text, int64_t ago_us, const Holds& holds, bool by_bytes = false) {
    SCOPED_TRACE(text);
    std::vector<const KnownFlow*> expected;
    for (const KnownFlow& f : flows_->all()) {
      if (f.time_us >= kNowUs - ago_us && f.time_us < kNowUs && holds(f)) expected.push_back(&f);
    }
    EXPECT_FALSE(expected.empty()) << "the flows have none of these";
    Rows rows = ask(text);
    EXPECT_EQ(rows.size(), std::min(expected.size(), size_t{limit_} + 1));
    std::multiset<int64_t> order_expected;
    for (const KnownFlow* f : expected) order_expected.insert(by_bytes ? f->bytes_total() : f->time_us);
    auto next = order_expected.rbegin();
    std::set<std::string> seen;
    for (const Row& row : rows) {
      const std::string& bytes = row[column("bytes_total")];
      const auto found = std::find_if(expected.begin(), expected.end(), [&](const KnownFlow* f) { return std::to_string(f->bytes_total()) == bytes && row[column("src_endpoint_ip")] == f->src; });
      ASSERT_NE(found, expected.end()) << bytes;
      EXPECT_EQ(by_bytes ? (*found)->bytes_total() : (*found)->time_us, *next++);
      EXPECT_TRUE(seen.insert(bytes + row[column("src_endpoint_ip")] + row[0]).second) << "twice: " << bytes;
      EXPECT_EQ(row[column("dst_endpoint_ip")], (*found)->dst);
      EXPECT_EQ(row[column("dst_endpoint_port")], (*found)->dst_port ? std::to_string(*(*found)->dst_port) : "");
      EXPECT_EQ(row[column("exporter_name")], KnownFlows::exporter_name(**found));
    }
  }

  using KeyOf = std::function<std::optional<std::string>(const KnownFlow&)>;
  using ValueOf = std::function<int64_t(const std::vector<const KnownFlow*>&)>;

  /// Groups: their keys (of several columns with | between) with one value behind, largest first.
  void expect_groups(std::string_view text, int64_t ago_us, const KeyOf& key_of, const ValueOf& value_of, bool is_series = false) {
    SCOPED_TRACE(text);
    std::map<std::string, std::vector<const KnownFlow*>> groups;
    for (const KnownFlow& f : flows_->all()) {
      if (f.time_us < kNowUs - ago_us || f.time_us >= kNowUs) continue;
      if (const auto key = key_of(f)) groups[*key].push_back(&f);
    }
    std::map<std::string, int64_t> expected;
    std::multiset<int64_t> values;
    for (const auto& [key, flows] : groups) {
      expected[key] = value_of(flows);
      values.insert(expected[key]);
    }
    EXPECT_GT(expected.size(), 0u);
    const Rows rows = ask(text);
    EXPECT_EQ(rows.size(), std::min(expected.size(), size_t{limit_} + 1));
    auto next = values.rbegin();
    std::string before;
    std::set<std::string> seen;
    for (const Row& row : rows) {
      std::string key;
      for (size_t i = 0; i + 1 < row.size(); ++i) key += (i == 0 ? "" : "|") + row[i];
      ASSERT_TRUE(expected.count(key)) << key;
      EXPECT_EQ(row.back(), std::to_string(expected[key])) << key;
      EXPECT_TRUE(seen.insert(key).second);
      if (is_series) {
        EXPECT_LE(before, row[0]);
        before = row[0];
      } else {
        EXPECT_EQ(row.back(), std::to_string(*next++));
      }
    }
  }

  static int64_t sum_bytes(const std::vector<const KnownFlow*>& flows) {
    int64_t sum = 0;
    for (const KnownFlow* f : flows) sum += f->bytes_total();
    return sum;
  }
  static int64_t sum_packets(const std::vector<const KnownFlow*>& flows) {
    int64_t sum = 0;
    for (const KnownFlow* f : flows) sum += f->packets_total();
    return sum;
  }
  static int64_t count(const std::vector<const KnownFlow*>& flows) { return static_cast<int64_t>(flows.size()); }
  static std::string port_text(const std::optional<int>& port) { return port ? std::to_string(*port) : ""; }
  static std::string bucket_text(int64_t us, int64_t width) {
    std::string text = instant_text(us / width * width);
    text[10] = ' ';
    return text.substr(0, 19) + "+00";
  }
  static std::string network_24(const std::string& address) {
    if (address.find(':') != std::string::npos) return "2001:d00::/24";
    return address.substr(0, address.rfind('.')) + ".0/24";
  }
  static bool is_in_ten(const std::string& address) { return address.starts_with("10."); }

  static KnownFlows* flows_;
  static store::StoreDatabase* db_;
  uint32_t limit_ = 0;
  std::vector<std::string> columns_;
};
KnownFlows* Answers::flows_ = nullptr;
store::StoreDatabase* Answers::db_ = nullptr;

/// kQueries, one by one, in their order.
TEST_F(Answers, OfWhatPeopleTypeAreWhatTheFlowsAddUpTo) {
  size_t asked = 0;
  const auto next = [&] { return kQueries[asked++]; };
  const auto any = [](const KnownFlow&) { return true; };
  const auto by_src = [](const KnownFlow& f) -> std::optional<std::string> { return f.src; };

  expect_groups(next(), kDay, by_src, sum_bytes);
  expect_flows(next(), kDay, any);
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.proto == 17; }, /*by_bytes=*/true);
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.proto == 6; });
  expect_groups(next(), kHour, by_src, sum_bytes);
  expect_groups(next(), kHour, [](const KnownFlow& f) -> std::optional<std::string> { return port_text(f.dst_port); }, sum_bytes);
  expect_groups(next(), kHour, [](const KnownFlow& f) -> std::optional<std::string> { return f.src + "|" + f.dst; }, sum_bytes);
  expect_groups(next(), kHour, [](const KnownFlow& f) -> std::optional<std::string> {
    return network_24(f.src) + "|" + port_text(f.dst_port) + "|" + network_24(f.dst); }, sum_bytes);
  expect_groups(next(), kHour, [](const KnownFlow& f) -> std::optional<std::string> {
    if (!f.tcp_flags) return "";
    switch (*f.tcp_flags) {
      case 0: return "none";
      case 2: return "SYN";
      case 16: return "ACK";
      case 17: return "FIN,ACK";
      case 18: return "SYN,ACK";
      default: return "PSH,ACK";
    } }, count);
  expect_groups(next(), kHour, [](const KnownFlow& f) -> std::optional<std::string> {
    if (!f.duration_ms) return "";
    return *f.duration_ms < 1000 ? "<1s" : *f.duration_ms < 10'000 ? "1-10s" : *f.duration_ms < 60'000 ? "10-60s" : *f.duration_ms <= 300'000 ? "1-5m" : ">5m"; }, count);
  expect_groups(next(), kDay, [](const KnownFlow&) -> std::optional<std::string> { return ""; }, [](const auto& flows) {
    std::set<std::string> talkers;
    for (const KnownFlow* f : flows) talkers.insert(f->src);
    return static_cast<int64_t>(talkers.size()); });
  expect_groups(next(), 5 * kMinute, by_src, [](const auto& flows) {
    std::set<int> ports;
    for (const KnownFlow* f : flows) {
      if (f->dst_port) ports.insert(*f->dst_port);
    }
    return static_cast<int64_t>(ports.size()); });
  {
    const Rows rows = ask(next());  // two values: both, by the first of them
    std::map<std::string, std::vector<const KnownFlow*>> groups;
    for (const KnownFlow& f : flows_->all()) {
      if (f.time_us >= kNowUs - kHour && f.time_us < kNowUs) groups[f.src].push_back(&f);
    }
    EXPECT_EQ(rows.size(), groups.size());
    for (const Row& row : rows) {
      EXPECT_EQ(row.at(1), std::to_string(sum_bytes(groups[row[0]])));
      EXPECT_EQ(row.at(2), std::to_string(sum_packets(groups[row[0]])));
    }
  }
  expect_groups(next(), kHour, [](const KnownFlow& f) -> std::optional<std::string> {
    return bucket_text(f.time_us, 5 * kMinute) + "|" + (f.proto == 6 ? "tcp" : f.proto == 17 ? "udp" : "other"); }, sum_bytes, /*is_series=*/true);
  expect_groups(next(), kDay, [](const KnownFlow& f) -> std::optional<std::string> {
    return bucket_text(f.time_us, kHour) + "|" + port_text(f.dst_port); }, sum_packets, /*is_series=*/true);
  expect_groups(next(), kHour, [](const KnownFlow& f) -> std::optional<std::string> { return f.app; }, sum_bytes);
  expect_flows(next(), kDay, [](const KnownFlow& f) { return port_text(f.dst_port).find("443") != std::string::npos; });
  expect_flows(next(), kHour, [](const KnownFlow& f) { return port_text(f.src_port).starts_with("53"); });
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.dst_country == "US"; });
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.src.starts_with("192.168."); });
  expect_groups(next(), kHour, [](const KnownFlow& f) -> std::optional<std::string> {
    return KnownFlows::exporter_name(f) + "|" + KnownFlows::interface_name(f, f.in_if) + "|" + KnownFlows::interface_name(f, f.out_if); }, sum_bytes);
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.direction == 1; });
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.source == 1; });
  expect_flows(next(), kDay, [](const KnownFlow& f) { return f.dst == "8.8.8.8"; });
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.bytes_total() > 10'000'000; });
  {
    const Rows rows = ask(next());  // count, bytes, packets, by bytes
    std::map<std::string, std::vector<const KnownFlow*>> groups;
    for (const KnownFlow& f : flows_->all()) {
      if (f.time_us >= kNowUs - kHour && f.time_us < kNowUs) groups[f.src].push_back(&f);
    }
    EXPECT_EQ(rows.size(), groups.size());
    int64_t before = INT64_MAX;
    for (const Row& row : rows) {
      const auto& flows = groups[row[0]];
      EXPECT_EQ(row, (Row{row[0], std::to_string(flows.size()), std::to_string(sum_bytes(flows)), std::to_string(sum_packets(flows))}));
      EXPECT_LE(sum_bytes(flows), before);
      before = sum_bytes(flows);
    }
  }
  expect_flows(next(), kHour, [](const KnownFlow& f) { return !f.as_path.empty() && !f.communities.empty(); });
  expect_flows(next(), kHour, [](const KnownFlow& f) { return f.src == "8.8.8.8" || f.dst == "8.8.8.8"; });
  expect_flows(next(), 7 * kDay, [](const KnownFlow& f) {
    const auto is_asked = [](const std::optional<int>& port) { return port == 22 || port == 3389; };
    return (is_asked(f.src_port) || is_asked(f.dst_port)) && !is_in_ten(f.src) && !is_in_ten(f.dst); });
  {
    const Rows rows = ask(std::string(next()) + " limit:10000");
    size_t expected = 0;
    for (const KnownFlow& f : flows_->all()) {
      const int64_t day = 1'793'491'200 * kUsPerSec;  // 2026-11-01
      expected += f.time_us >= day && f.time_us < day + kDay && (f.src == "10.0.0.1" || f.dst == "10.0.0.2");
    }
    EXPECT_GT(expected, 0u);
    EXPECT_EQ(rows.size(), expected);
  }
  EXPECT_EQ(asked, std::size(kQueries));
}

TEST_F(Answers, OfWhateverElseCanBeAskedComeFromDuckDb) {
  for (const char* const query : kMoreQueries) {
    SCOPED_TRACE(query);
    ask(query);
    EXPECT_FALSE(HasFailure());
    if (HasFailure()) return;
  }
}

/// weir-store learns from the plan, before any value is bound, what columns an answer has.
TEST_F(Answers, HaveColumnsAndTypesBeforeValuesAreBound) {
  std::vector<std::string> queries(std::begin(kQueries), std::end(kQueries));
  queries.insert(queries.end(), std::begin(kMoreQueries), std::end(kMoreQueries));
  static constexpr const char* kValues[] = {"1", "(1,2)", "[1,2]", ">1", "%1%", "~x", "SYN,!ACK", "192.0.2.1", "192.0.2.0/24", "192.0.2.1-192.0.2.9", "tcp",
                                            "00:1b:21:3c:9d:f8", "true", "[2026-11-01,2026-11-02]", ">2026-11-01", "ingress", "egress", "idle_timeout", "IPFIX", "denied", "%e%", "SYN,ACK"};
  // What a value becomes goes by the kind of the field, how many columns it has and whether they are columns as they are.
  std::set<std::tuple<FieldKind, bool, bool>> seen;
  for (const Field& field : fields()) {
    if (!seen.emplace(field.kind, field.is_either_side(), field.column.starts_with("f.")).second) continue;
    for (const char* const value : kValues) {
      const std::string query = fmt::format("in:flows !{}:{} groupby:proto", field.name, value);
      Plan plan;
      if (!plan_query(query, kNowUs, plan)) queries.push_back(query);
    }
  }
  EXPECT_GT(queries.size(), 120u);
  for (const std::string& query : queries) {
    SCOPED_TRACE(query);
    Plan plan;
    ASSERT_FALSE(plan_query(query, kNowUs, plan));
    const Translation t = translate(plan, duckdb_dialect());
    expect_allowed(t.statement.sql);
    const auto prepared = db_->connection->prepare(t.statement.sql);
    ASSERT_TRUE(prepared) << prepared.error().message;
    const auto columns = prepared->columns();
    ASSERT_EQ(columns.size(), t.columns.size() + (t.has_page_columns ? 2 : 0)) << t.statement.sql;
    for (size_t i = 0; i < columns.size(); ++i) {
      EXPECT_NE(columns[i].type, DUCKDB_TYPE_INVALID) << columns[i].name;
      if (i < t.columns.size()) {
        EXPECT_EQ(columns[i].name, t.columns[i].name);
      }
    }
  }
}

TEST_F(Answers, OfTheLargestQueriesAreAllowedByTheStore) {
  std::string list = "in:flows time:last_7d groupby:src_ip dst_port:(", conditions = "in:flows time:last_7d groupby:src_ip ", nested = "in:flows time:last_7d groupby:src_ip ";
  for (size_t i = 0; i < kListMax; ++i) list += (i == 0 ? "" : ",") + std::to_string(i);
  for (size_t i = 0; i < kConditionsMax; ++i) conditions += fmt::format("!cidr:10.{}.0.0/16 ", i % 256);
  for (unsigned i = 1; i < kNestingMax; ++i) nested += fmt::format("(dst_port:{} OR ", i);
  nested += "proto:6";
  for (unsigned i = 1; i < kNestingMax; ++i) nested += ")";
  std::string lists = "in:flows time:last_7d groupby:src_ip ";  // of either side, and negated
  for (const char* const field : {"ip", "!port", "as", "if", "vlan", "!if", "!as"}) {
    lists += fmt::format("{}:(", field);
    for (size_t i = 0; i < kListMax; ++i) lists += (i == 0 ? "" : ",") + (field[0] == 'i' && field[1] == 'p' ? fmt::format("192.0.2.{}", i) : std::to_string(i));
    lists += ") ";
  }
  for (const std::string& text : {list + ")", conditions, nested, lists}) {
    Plan plan;
    const auto error = plan_query(text, kNowUs, plan);
    ASSERT_FALSE(error) << error->message;
    const Statement statement = translate(plan, duckdb_dialect()).statement;
    expect_allowed(statement.sql);
    EXPECT_LE(statement.parameters.size(), kStatementParametersMax);
  }
  static_assert(kStatementOctetsMax == store::kSqlOctetsMax && kStatementParametersMax == store::kParametersMax);
}

TEST_F(Answers, NegationTakesFlowsThatHaveNoSuchField) {
  expect_flows("in:flows !port:53 time:last_1h", kHour, [](const KnownFlow& f) { return f.src_port != 53 && f.dst_port != 53; });
  expect_flows("in:flows !dst_country:US time:last_1h", kHour, [](const KnownFlow& f) { return f.dst_country != "US"; });
  expect_flows("in:flows !(proto:6 OR ip:8.8.8.8) time:last_1h", kHour, [](const KnownFlow& f) { return f.proto != 6 && f.dst != "8.8.8.8"; });
  expect_flows("in:flows !tcp_flags:SYN time:last_1h", kHour, [](const KnownFlow& f) { return !f.tcp_flags || (*f.tcp_flags & 2) == 0; });
}

TEST_F(Answers, OperatorsMeanWhatTheySay) {
  expect_flows("in:flows tcp_flags:SYN,!ACK time:last_1h", kHour, [](const KnownFlow& f) { return f.tcp_flags == 2; });
  expect_flows("in:flows tcp_flags:(SYN,FIN) time:last_1h", kHour, [](const KnownFlow& f) { return f.tcp_flags && (*f.tcp_flags & 3) != 0; });
  expect_flows("in:flows dst_port:100-4000 time:last_1h", kHour, [](const KnownFlow& f) { return f.dst_port && *f.dst_port >= 100 && *f.dst_port <= 4000; });
  expect_flows("in:flows dst_ip:10.0.0.2-198.51.100.7 time:last_1h", kHour, [](const KnownFlow& f) { return f.dst == "10.0.0.2" || f.dst == "198.51.100.7"; });
  // 10.0.0.0 and ::ffff:10.0.0.0 are one; of IPv6 none is smaller or larger than an IPv4 address.
  expect_flows("in:flows src_ip:>10.1.2.3 time:last_1h", kHour, [](const KnownFlow& f) { return f.src.starts_with("192.") || f.src.starts_with("203."); });
  expect_flows("in:flows src_ip:<=10.0.0.2 time:last_1h", kHour, [](const KnownFlow& f) { return f.src == "10.0.0.1" || f.src == "10.0.0.2"; });
  expect_flows("in:flows src_ip:<2001:db8:0:1::2 time:last_1h", kHour, [](const KnownFlow& f) { return f.src == "2001:db8::1"; });
  expect_flows("in:flows src_ip:>::1 time:last_1h", kHour, [](const KnownFlow& f) { return f.src.starts_with("2001:"); });
  expect_flows("in:flows src_ip:::ffff:10.0.0.0/104 time:last_1h", kHour, [](const KnownFlow& f) { return is_in_ten(f.src); });
  // IPv4 lies in the midst of IPv6 and is none of it.
  const auto is_v6 = [](const KnownFlow& f) { return f.src.find(':') != std::string::npos; };
  for (const char* const all_v6 : {"src_cidr:::/0", "src_ip:::-ffff::", "src_ip:(::/0,::/1)", "!src_cidr:0.0.0.0/0"}) {
    expect_flows(fmt::format("in:flows {} time:last_1h", all_v6), kHour, is_v6);
  }
  EXPECT_TRUE(ask("in:flows src_ip:::/79 time:last_1h").empty());
  expect_flows("in:flows !src_cidr:::/0 time:last_1h", kHour, [&](const KnownFlow& f) { return !is_v6(f); });
  expect_groups("in:flows cidr:::/0 stats:\"sum(bytes_total) as b by src_ip\" time:last_1h", kHour, [&](const KnownFlow& f) -> std::optional<std::string> {
    if (!is_v6(f) && f.dst.find(':') == std::string::npos) return std::nullopt;
    return f.src; }, sum_bytes);
  expect_flows("in:flows app:web_m% time:last_1h", kHour, [](const KnownFlow& f) { return f.app == "web_mail"; });
  expect_flows("in:flows app:WEB% time:last_1h", kHour, [](const KnownFlow& f) { return f.app.starts_with("web"); });
  expect_flows("in:flows app:~^(dns|ssh)$ time:last_1h", kHour, [](const KnownFlow& f) { return f.app == "dns" || f.app == "ssh"; });
  expect_flows("in:flows src_ip:(10.0.0.0/8,2001:db8::/48) time:last_1h", kHour, [](const KnownFlow& f) { return is_in_ten(f.src) || f.src.starts_with("2001:"); });
  expect_flows("in:flows src_ip:2001:DB8:0:0::1 time:last_1h", kHour, [](const KnownFlow& f) { return f.src == "2001:db8::1"; });
  expect_flows("in:flows src_ip:192.168.% time:last_1h", kHour, [](const KnownFlow& f) { return f.src.starts_with("192.168."); });
  expect_flows("in:flows as_path:(9999,3356) time:last_1h", kHour, [](const KnownFlow& f) { return !f.as_path.empty(); });
  expect_flows("in:flows as:64501 time:last_1h", kHour, [](const KnownFlow& f) { return f.src_as == 64'501 || f.dst_as == 64'501; });
  expect_flows("in:flows direction:bidirectional time:last_1h", kHour, [](const KnownFlow& f) { return f.direction == 3 || f.direction == 4; });
  expect_flows("in:flows exporter_name:edge in_if_name:%1 time:last_1h", kHour, [](const KnownFlow& f) { return f.exporter == "192.0.2.1" && f.in_if == 1; });
  expect_flows("in:flows protocol_name:%ud% time:last_1h", kHour, [](const KnownFlow& f) { return f.proto == 17; });
  expect_flows("in:flows duration_ms:>=60000 time:last_1h", kHour, [](const KnownFlow& f) { return f.duration_ms && *f.duration_ms >= 60'000; });
  expect_flows("in:flows duration_bucket:10-60s time:last_1h", kHour, [](const KnownFlow& f) { return f.duration_ms && *f.duration_ms >= 10'000 && *f.duration_ms < 60'000; });
}

TEST_F(Answers, RawCountersAreAsExported) {
  expect_groups("in:flows raw:true stats:\"sum(bytes_total) as b by src_ip\" time:last_24h", kDay,
                [](const KnownFlow& f) -> std::optional<std::string> { return f.src; }, [](const auto& flows) {
                  int64_t sum = 0;
                  for (const KnownFlow* f : flows) sum += f->bytes;
                  return sum; });
  expect_groups("in:flows stats:\"sum(bytes_in) as b by src_ip\" time:last_24h", kDay,
                [](const KnownFlow& f) -> std::optional<std::string> { return f.src; }, [](const auto& flows) {
                  int64_t sum = 0;
                  for (const KnownFlow* f : flows) sum += f->bytes / 2 * f->scale();
                  return sum; });
}

TEST_F(Answers, FunctionsAreWhatTheyAreCalled) {
  const Rows rows = ask("in:flows time:last_1h stats:\"count(*), count(dst_port), avg(bytes_total), min(bytes_total), max(bytes_total), p50(bytes_total), "
                        "p95(bytes_total), p99(bytes_total), rate(bytes_total), rate(*)\"");
  std::vector<int64_t> bytes;
  int64_t with_port = 0, sum = 0;
  for (const KnownFlow& f : flows_->all()) {
    if (f.time_us < kNowUs - kHour || f.time_us >= kNowUs) continue;
    bytes.push_back(f.bytes_total());
    sum += f.bytes_total();
    with_port += f.dst_port.has_value();
  }
  std::sort(bytes.begin(), bytes.end());
  const auto percentile = [&](double p) {
    const double at = p * static_cast<double>(bytes.size() - 1);
    const auto low = static_cast<size_t>(at);
    const double part = at - static_cast<double>(low);
    return static_cast<double>(bytes[low]) * (1 - part) + static_cast<double>(bytes[std::min(low + 1, bytes.size() - 1)]) * part;
  };
  const auto n = static_cast<double>(bytes.size());
  const double expected[] = {n, double(with_port), double(sum) / n, double(bytes.front()), double(bytes.back()), percentile(0.5), percentile(0.95),
                             percentile(0.99), double(sum) / 3600, n / 3600};
  ASSERT_EQ(rows.size(), 1u);
  ASSERT_EQ(rows[0].size(), std::size(expected));
  for (size_t i = 0; i < std::size(expected); ++i) EXPECT_NEAR(std::stod(rows[0][i]), expected[i], std::fabs(expected[i]) * 1e-9) << columns_[i];
}

TEST_F(Answers, GroupsSayWhenTheyWereSeenFirstAndLast) {
  const Rows rows = ask("in:flows time:last_24h stats:\"min(start_time) as first_seen, max(time) as last_seen, count(*) as n by src_ip\" sort:last_seen:desc");
  EXPECT_EQ(columns_, (std::vector<std::string>{"src_endpoint_ip", "first_seen", "last_seen", "n"}));
  std::map<std::string, std::pair<int64_t, int64_t>> expected;
  for (const KnownFlow& f : flows_->all()) {
    if (f.time_us < kNowUs - kDay || f.time_us >= kNowUs) continue;
    auto& [first, last] = expected.try_emplace(f.src, INT64_MAX, 0).first->second;
    if (f.duration_ms) first = std::min(first, f.time_us - *f.duration_ms * 1000);
    last = std::max(last, f.time_us);
  }
  const auto stored = [&](int64_t us) { return db_->ask(fmt::format("SELECT make_timestamptz({})", us)); };
  ASSERT_EQ(rows.size(), expected.size());
  std::string before = "9999";
  for (const Row& row : rows) {
    EXPECT_EQ(row[1] + "\n", stored(expected[row[0]].first)) << row[0];
    EXPECT_EQ(row[2] + "\n", stored(expected[row[0]].second)) << row[0];
    EXPECT_LE(row[2], before);
    before = row[2];
  }
  Plan plan;
  ASSERT_FALSE(plan_query("in:flows stats:\"max(time) as seen, max(bytes_total) as most\"", kNowUs, plan));
  const auto columns = translate(plan, duckdb_dialect()).columns;
  ASSERT_EQ(columns.size(), 2u);
  EXPECT_EQ(columns[0].kind, "time");
  EXPECT_EQ(columns[0].function, "max");
  EXPECT_EQ(columns[1].kind, "integer");
}

TEST_F(Answers, RatesOfBucketsAreOverWhatLiesInTheWindow) {
  // From 11:57:30: the first of the buckets has half of its five minutes in the window.
  const Rows rows = ask("in:flows time:[2026-11-02T11:52:30Z,2026-11-02T12:00:00Z] bucket:5m agg:rate value_field:bytes_total");
  std::map<std::string, double> sums;
  for (const KnownFlow& f : flows_->all()) {
    if (f.time_us >= kNowUs - 450 * kUsPerSec && f.time_us < kNowUs) sums[bucket_text(f.time_us, 5 * kMinute)] += double(f.bytes_total());
  }
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_NEAR(std::stod(rows[0][1]), sums[rows[0][0]] / 150, 1e-3);
  EXPECT_NEAR(std::stod(rows[1][1]), sums[rows[1][0]] / 300, 1e-3);
}

TEST_F(Answers, AConversationHasNoFirst) {
  expect_groups("in:flows time:last_24h stats:\"sum(bytes_total) as b by conversation\"", kDay, [](const KnownFlow& f) -> std::optional<std::string> {
    const auto a = *IpAddress::parse(f.src), b = *IpAddress::parse(f.dst);
    return a < b ? f.src + " <-> " + f.dst : f.dst + " <-> " + f.src; }, sum_bytes);
}

TEST_F(Answers, DaysBeginWhereTheZoneHasThem) {
  const auto berlin_day = [](const KnownFlow& f) -> std::optional<std::string> {
    // UTC+1 since October 25th; UTC+2 before.
    const int64_t offset = f.time_us >= 1'792'890'000 * kUsPerSec ? kHour : 2 * kHour;
    const int64_t midnight = (f.time_us + offset) / kDay * kDay;
    const int64_t at = midnight - (midnight - kHour >= 1'792'890'000 * kUsPerSec ? kHour : 2 * kHour);
    std::string text = instant_text(at);
    text[10] = ' ';
    return text.substr(0, 19) + "+00";
  };
  expect_groups("in:flows time:last_10d bucket:1d agg:sum value_field:bytes_total tz:Europe/Berlin", 10 * kDay, berlin_day, sum_bytes, true);
  expect_groups("in:flows time:last_10d bucket:1d agg:sum value_field:bytes_in tz:Europe/Berlin", 10 * kDay, berlin_day, [](const auto& flows) {
    int64_t sum = 0;
    for (const KnownFlow* f : flows) sum += f->bytes / 2 * f->scale();
    return sum; }, true);
}

/// Where each begins and how long it is, against the zone itself: clocks change in Berlin on October 25th, in Cairo at a midnight before the
/// 30th, in Chicago on November 1st.
TEST_F(Answers, BucketsBeginAndEndByLocalClocks) {
  struct Window {
    const char* said;
    int64_t start_us, end_us;
  };
  const auto at = [](const char* text) { return *instant_of(text); };
  // The last one lies in the seventh hour of Chicago's first six.
  const Window windows[] = {{"last_10d", kNowUs - 10 * kDay, kNowUs},
                            {"[2026-10-25T10:00:00Z,2026-11-02T12:00:00Z]", at("2026-10-25T10:00:00Z"), kNowUs},
                            {"[2026-11-01T11:02:00Z,2026-11-01T11:16:00Z]", at("2026-11-01T11:02:00Z"), at("2026-11-01T11:16:00Z")}};
  constexpr std::pair<const char*, int64_t> kWidths[] = {{"2h", 7200}, {"6h", 21'600}, {"1d", 86'400}, {"1w", 604'800}, {"366d", 366 * 86'400}};
  for (const char* const name : {"Europe/Berlin", "Africa/Cairo", "America/Chicago", "Australia/Lord_Howe", "Asia/Kolkata", "-03:00"}) {
    const auto zone = TimeZone::find(name);
    ASSERT_TRUE(zone) << zone.error().message;
    for (const auto& [width_said, width] : kWidths) {
      for (const Window& window : windows) {
        const std::string query = fmt::format("in:flows time:{} tz:{} bucket:{} stats:\"sum(bytes_total) as s, rate(bytes_total) as r\"", window.said, name, width_said);
        SCOPED_TRACE(query);
        const int64_t shift = 946'857'600 % width;
        std::map<int64_t, int64_t> sums;  // by what clocks show where the bucket begins
        for (const KnownFlow& f : flows_->all()) {
          if (f.time_us < window.start_us || f.time_us >= window.end_us) continue;
          const int64_t secs = f.time_us / kUsPerSec, local = secs + zone->offset_at(secs);
          sums[(local - shift) / width * width + shift] += f.bytes_total();
        }
        const Rows rows = ask(query);
        ASSERT_EQ(rows.size(), sums.size());
        size_t i = 0;
        for (const auto& [local, sum] : sums) {
          const int64_t begin = zone->to_utc(local) * kUsPerSec, end = zone->to_utc(local + width) * kUsPerSec;
          EXPECT_EQ(rows[i][0], bucket_text(begin, kUsPerSec));
          EXPECT_EQ(rows[i][1], std::to_string(sum));
          const double length = double(std::min(end, window.end_us) - std::max(begin, window.start_us)) / kUsPerSec;
          EXPECT_GT(length, 0);
          EXPECT_NEAR(std::stod(rows[i][2]), double(sum) / length, double(sum) / length * 1e-9);
          ++i;
        }
      }
    }
  }
  // Of all changes that are known: beside each other, not within each other.
  EXPECT_EQ(ask("in:flows time:[,2199-01-01] tz:Europe/Berlin bucket:366d agg:count series:src_ip").empty(), false);
}

TEST_F(Answers, OfRollupsAreThoseOfTheFlows) {
  // max() makes the flows answer.
  static constexpr const char* kAsked[] = {"src_ip", "dst_cidr:16", "protocol_group, dst_port, app", "src_as, dst_as", "exporter_name, in_if"};
  for (const char* const by : kAsked) {
    for (const char* const time : {"last_7d", "last_24h", "last_5m", "[2026-10-25T10:20:30.5Z,2026-11-02T11:02:03Z]", "[,2026-11-01]"}) {
      SCOPED_TRACE(fmt::format("{} {}", by, time));
      const std::string tail = fmt::format("by {}\" time:{} limit:1000", by, time);
      Rows quick = ask("in:flows stats:\"sum(bytes_total) as b, count(*) as n, avg(packets_total) as a " + tail);
      Rows slow = ask("in:flows stats:\"sum(bytes_total) as b, count(*) as n, avg(packets_total) as a, max(bytes_total) as m " + tail);
      ASSERT_EQ(quick.size(), slow.size());
      EXPECT_FALSE(quick.empty());
      for (size_t i = 0; i < quick.size(); ++i) {
        slow[i].pop_back();
        EXPECT_NEAR(std::stod(quick[i].back()), std::stod(slow[i].back()), 1e-6);
        quick[i].pop_back();
        slow[i].pop_back();
        EXPECT_EQ(quick[i], slow[i]);
      }
    }
  }
}

TEST_F(Answers, HavingComparesWhatWasSummedUp) {
  const Rows all = ask("in:flows time:last_24h stats:\"sum(bytes_total) as b, count(*) as n by src_ip\"");
  int64_t least = INT64_MAX;
  for (const Row& row : all) least = std::min<int64_t>(least, std::stoll(row[2]));
  const Rows some = ask(fmt::format("in:flows time:last_24h stats:\"sum(bytes_total) as b, count(*) as n by src_ip\" having:\"n>{} and b > 1M\"", least));
  size_t expected = 0;
  for (const Row& row : all) expected += std::stoll(row[2]) > least && std::stoll(row[1]) > 1'000'000;
  EXPECT_GT(expected, 0u);
  EXPECT_LT(expected, all.size());
  EXPECT_EQ(some.size(), expected);
}

/// SQL over the view `flows` must not know less of a flow than SRQL, or otherwise.
TEST(FlowsForPeople, SayWhatSrqlSays) {
  setenv("TZ", "UTC", 1);
  store::StoreDatabase db;
  const int64_t hour = kNowUs / store::kMicrosPerHour - 1;
  ASSERT_TRUE(store::open_hours(*db.connection, {&hour, 1}));
  static constexpr int kSources[] = {0, 1, 2, 3, 4, 1001, 1007, 1012, 1014, 77}, kWays[] = {0, 1, 2, 3, 4, 5, 99};
  std::string rows;
  for (int i = 0; i < 300; ++i) {
    const int64_t time = hour * store::kMicrosPerHour + i * 1000;
    rows += fmt::format("{}(make_timestamptz({}), make_timestamptz({}), make_timestamptz({}), {}, {}, {}, {}, {}, 3, {})", i == 0 ? "" : ",", time, time - 1'000'900,
                        time - (i % 3 == 0 ? 999'100 : i % 3 == 1 ? 100 : 1'000'901), i < 256 ? std::to_string(i) : i == 256 ? "NULL" : "300", kSources[i % 10], kWays[i % 7], i,
                        i % 2 == 0 ? "NULL" : std::to_string(INT64_MAX / 2), i % 5);
  }
  db.run(fmt::format("INSERT INTO {} (time, start_time, end_time, protocol_num, flow_source, direction_id, ip_tos, bytes_in_raw, bytes_total, sampling_rate) VALUES {}",
                     store::hour_table(hour), rows));
  constexpr std::string_view kNames = "time,protocol_num,protocol_name,protocol_group,flow_source,direction,duration_ms,dscp,bytes_in";
  Plan plan;
  ASSERT_FALSE(plan_query(fmt::format("in:flows time:last_2h limit:1000 sort:time:asc fields:{}", kNames), kNowUs, plan));
  const Translation t = translate(plan, duckdb_dialect(), std::nullopt, RowsAsked::plain);
  std::vector<store::SqlValue> values;
  for (const Parameter& p : t.statement.parameters) values.push_back(sql_value(p));
  const std::string asked = db.ask(t.statement.sql, values);
  EXPECT_EQ(std::count(asked.begin(), asked.end(), '\n'), 300);
  EXPECT_EQ(db.ask(fmt::format("SELECT {} FROM flows ORDER BY time", kNames)), asked);
}

/// Pages over all of a day in both directions.
TEST_F(Answers, PagesHaveEachFlowOnce) {
  for (const char* const way : {"desc", "asc"}) {
    SCOPED_TRACE(way);
    const std::string query = fmt::format("in:flows time:[2026-11-02T09:00:00Z,2026-11-02T11:59:00Z] sort:time:{} limit:61 fields:time,src_ip,dst_port", way);
    Rows whole = ask(query.substr(0, query.find("limit")) + "limit:100000 fields:time,src_ip,dst_port");
    Rows paged;
    std::optional<PageStart> page;
    size_t twins = 0;
    for (int pages = 0; pages < 2000; ++pages) {
      Rows rows = ask(query, page);
      const bool has_more = rows.size() > 61;
      if (has_more) rows.resize(61);
      for (const Row& row : rows) {
        const PageStart at{std::stoll(row[3]), std::stoll(row[4]), 1};
        const bool is_same = page && page->time_us == at.time_us && page->tie == at.tie;
        twins += is_same;
        page = PageStart{at.time_us, at.tie, is_same ? page->skip + 1 : 1};
        paged.push_back(row);
      }
      if (!has_more) break;
    }
    EXPECT_EQ(paged, whole);
    EXPECT_GT(whole.size(), 500u);
    EXPECT_GT(twins, 0u) << "no two flows are the same: nothing was proven";
  }
}

}  // namespace
}  // namespace weir::query
