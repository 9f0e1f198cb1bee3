#include "store/sql_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/clock.h"
#include "base/start_thread.h"
#include "service/log.h"
#include "store/sql_file.h"
#include "store/sql_request.h"
#include "store/sql_rows.h"

namespace weir::store {

using nlohmann::json;
using service::HttpResponse;

namespace {

constexpr std::string_view kContentTypes[] = {"application/json", "application/x-ndjson", "text/csv; charset=utf-8", "application/vnd.apache.parquet"};

/// In DuckDB's words; where they have a caret below the statement's only line, the place that it shows.
HttpResponse refusal(std::string what) {
  json body;
  const size_t line = what.find("\nLINE 1: ");
  if (line != std::string::npos) {
    const size_t begin = line + 1, end = what.find('\n', begin);
    const size_t caret = end == std::string::npos ? end : what.find('^', end);
    constexpr size_t kPrefix = 8;  // LINE 1:
    if (caret != std::string::npos && what.compare(begin + kPrefix, 3, "...") != 0 && caret >= end + 1 + kPrefix) {
      body["position"] = caret - end - 1 - kPrefix;
    }
    what.resize(line);
  }
  if (const size_t trace = what.find("\n\nStack Trace"); trace != std::string::npos) what.resize(trace);
  while (!what.empty() && what.back() == '\n') what.pop_back();
  body["error"] = what;
  return {.status = 400, .body = body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"};
}

/// What stands in brackets must not have its semicolon.
std::string_view without_end(std::string_view sql) {
  while (!sql.empty() && (sql.back() == ';' || sql.back() == ' ' || sql.back() == '\n')) sql.remove_suffix(1);
  return sql;
}

}  // namespace

/// What its thread and whoever sends the answer share. The thread makes text; the other takes it, and stops the first.
class SqlQuery {
 public:
  SqlQuery(std::shared_ptr<Database> database, Connection connection, SqlFormat format, uint64_t rows_max, uint32_t timeout_ms)
      : database_(std::move(database)),
        connection_(std::move(connection)),
        format_(format),
        rows_max_(rows_max),
        timeout_ms_(timeout_ms),
        begun_ns_(steady_clock_ns()),
        deadline_ns_(begun_ns_ + timeout_ms * kNsPerMs) {}

  /// Empty, or what is wrong with it.
  std::optional<HttpResponse> prepare(const SqlRequest& request, const std::string& folder);
  void run();

  bool take(std::string& out) {
    const std::lock_guard lock(mutex_);
    if (!is_over_ && steady_clock_ns() >= deadline_ns_) stop_locked(true);
    out.append(text_);
    text_.clear();
    has_room_.notify_one();
    return !is_over_;
  }
  void cancel() {
    const std::lock_guard lock(mutex_);
    stop_locked(false);
  }
  bool is_over() {
    const std::lock_guard lock(mutex_);
    return is_over_;
  }

 private:
  void stop_locked(bool is_late) {
    is_late_ |= is_late;
    is_cancelled_ = true;
    connection_.interrupt();
    has_room_.notify_all();
  }
  /// False where nobody wants more.
  bool hand_out(std::string& text) {
    std::unique_lock lock(mutex_);
    while (!is_cancelled_ && text_.size() >= kAnswerRoomOctets) {
      const auto left = std::chrono::nanoseconds(deadline_ns_ - std::min(deadline_ns_, steady_clock_ns()));
      if (left.count() == 0) stop_locked(true);
      has_room_.wait_for(lock, left);
    }
    if (!is_cancelled_) text_ += text;
    text.clear();
    return !is_cancelled_;
  }
  std::string run_rows(std::string& text, bool& is_truncated);
  std::string run_file(std::string& text, bool& has_begun);
  Result<Statement> bound(const std::string& sql, const std::vector<SqlValue>& parameters);

  const std::shared_ptr<Database> database_;
  Connection connection_;
  const SqlFormat format_;
  const uint64_t rows_max_;
  const uint32_t timeout_ms_;
  const uint64_t begun_ns_, deadline_ns_;
  std::optional<Statement> statement_;
  std::optional<RowText> rows_text_;  // none: file_
  std::unique_ptr<SqlFile> file_;

  std::mutex mutex_;
  std::condition_variable has_room_;
  std::string text_;
  bool is_over_ = false;
  bool is_cancelled_ = false;
  bool is_late_ = false;
};

namespace {

class SqlStream final : public service::HttpStream {
 public:
  explicit SqlStream(std::shared_ptr<SqlQuery> query) : query_(std::move(query)) {}
  ~SqlStream() override { query_->cancel(); }
  bool next(std::string& out) override { return query_->take(out); }

 private:
  const std::shared_ptr<SqlQuery> query_;
};

struct Start {
  std::shared_ptr<SqlQuery> query;
  std::shared_ptr<std::atomic<size_t>> running;
};

void* run_query(void* argument) {
  const std::unique_ptr<Start> start(static_cast<Start*>(argument));
  start->query->run();
  start->running->fetch_sub(1);
  return nullptr;
}

}  // namespace

Result<Statement> SqlQuery::bound(const std::string& sql, const std::vector<SqlValue>& parameters) {
  auto statement = connection_.prepare(sql);
  if (!statement) return statement;
  if (statement->parameters() != parameters.size()) {
    return Error{fmt::format("the statement has {} parameters, and {} are given", statement->parameters(), parameters.size())};
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (auto done = statement->bind(i, parameters[i]); !done) return done.error();
  }
  return statement;
}

std::optional<HttpResponse> SqlQuery::prepare(const SqlRequest& request, const std::string& folder) {
  // Nothing that a statement does can change anything.
  if (auto begun = connection_.execute("BEGIN TRANSACTION READ ONLY"); !begun) return refusal(begun.error().message);
  auto plain = bound(request.sql, request.parameters);
  if (!plain) return refusal(plain.error().message);
  if (!plain->is_select()) return refusal("only one SELECT is answered");
  if (format_ == SqlFormat::parquet) {
    if (folder.empty()) return refusal("Parquet takes a folder for temporary files (database.temp_directory)");
    file_ = std::make_unique<SqlFile>(folder);
    auto copy = bound(file_->statement(without_end(request.sql), rows_max_), request.parameters);
    if (!copy) return refusal(copy.error().message);
    statement_.emplace(std::move(*copy));
    return std::nullopt;
  }
  const std::vector<ColumnLook> columns = plain->columns();
  std::vector<duckdb_type> types;
  std::string list, names;
  bool is_plain = true;
  for (size_t i = 0; i < columns.size(); ++i) {
    const ColumnForm form = form_of(columns[i].type);
    const std::string name = fmt::format("c{}", i);
    list += fmt::format("{}{}", i == 0 ? "" : ", ",
                        form == ColumnForm::plain  ? name
                        : form == ColumnForm::text ? name + "::VARCHAR"
                                                   : "to_json(" + name + ")::VARCHAR");
    names += (i == 0 ? "" : ", ") + name;
    types.push_back(form == ColumnForm::plain ? columns[i].type : DUCKDB_TYPE_VARCHAR);
    is_plain &= form == ColumnForm::plain;
  }
  if (is_plain) {
    statement_.emplace(std::move(*plain));
  } else {
    const std::string_view sql = without_end(request.sql);
    // A line of its own for the bracket: the question may end with a comment.
    auto wrapped = bound(fmt::format("SELECT {} FROM ({}\n) AS question({})", list, sql, names), request.parameters);
    if (!wrapped) return refusal(wrapped.error().message);
    statement_.emplace(std::move(*wrapped));
  }
  rows_text_.emplace(format_, columns, std::move(types));
  return std::nullopt;
}

/// Empty, or why it ended early.
std::string SqlQuery::run_file(std::string& text, bool& has_begun) {
  if (const auto made = statement_->run(); !made) return made.error().message;
  const auto read = file_->read([&](std::string& piece) {
    has_begun = true;
    text = std::move(piece);
    return hand_out(text);
  });
  return read ? std::string() : read.error().message;
}

/// Empty, or why it ended early.
std::string SqlQuery::run_rows(std::string& text, bool& is_truncated) {
  auto rows = statement_->stream();
  if (!rows) return rows.error().message;
  uint64_t count = 0;
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error().message;
    if (!*chunk) return {};
    const uint64_t wanted = std::min<uint64_t>(chunk->rows(), rows_max_ - count);
    rows_text_->add(*chunk, wanted, text);
    count += wanted;
    is_truncated = wanted < chunk->rows();
    if (!hand_out(text)) return "it was stopped";
    if (is_truncated) return {};
  }
}

void SqlQuery::run() {
  std::string text;
  if (rows_text_) rows_text_->begin(text);
  bool is_truncated = false, has_begun = false;
  std::string error = rows_text_ ? run_rows(text, is_truncated) : run_file(text, has_begun);
  statement_.reset();
  const std::lock_guard lock(mutex_);
  if (is_late_) error = fmt::format("it took longer than {} ms and was stopped", timeout_ms_);
  if (const size_t trace = error.find("\n\nStack Trace"); trace != std::string::npos) error.resize(trace);
  if (rows_text_) {
    rows_text_->end(is_truncated, static_cast<double>(steady_clock_ns() - begun_ns_) / 1e6, error, text);
    text_ += text;
  } else if (!error.empty() && !has_begun) {
    text_ = "{\"error\":" + json_text(error) + "}\n";  // in place of the file
  }
  is_over_ = true;
}

SqlService::SqlService(OpenStore& store, SqlLimits limits) : store_(store), limits_(limits) {
  clear_answers(answers_folder(store.options()));
}

SqlService::~SqlService() {
  for (const Runner& runner : runners_) runner.query->cancel();
  reap(true);
}

void SqlService::reap(bool all) {
  std::erase_if(runners_, [&](const Runner& runner) {
    if (!all && !runner.query->is_over()) return false;
    pthread_join(runner.thread, nullptr);
    return true;
  });
}

service::HttpRoute SqlService::route() {
  return {.method = "POST", .path = "/v1/sql", .handle = [this](const service::HttpRequest& request) { return answer(request); }};
}

HttpResponse SqlService::answer(const service::HttpRequest& http) {
  const auto request = parse_sql_request(http.body);
  if (!request) return service::http_error(400, request.error().message);
  reap(false);
  if (running() >= limits_.queries_max) {
    return service::http_error(503, fmt::format("{} queries run already, limit {}: try again", running(), limits_.queries_max));
  }
  auto database = store_.database();
  if (database == nullptr) return service::http_error(503, "the store is being opened anew: try again");
  auto connection = database->connect();
  if (!connection) return service::http_error(503, connection.error().message);
  const uint64_t rows_max = request->max_rows == 0 ? limits_.rows_max : std::min(request->max_rows, limits_.rows_max);
  const uint32_t timeout_ms = request->timeout_ms == 0 ? limits_.timeout_ms : std::min(request->timeout_ms, limits_.timeout_ms);
  auto query = std::make_shared<SqlQuery>(std::move(database), std::move(*connection), request->format, rows_max, timeout_ms);
  if (auto wrong = query->prepare(*request, answers_folder(store_.options()))) return std::move(*wrong);
  running_->fetch_add(1);
  auto start = std::make_unique<Start>(Start{query, running_});
  const auto thread = start_thread("weir-sql", run_query, start.get());
  if (!thread) {
    running_->fetch_sub(1);
    return service::http_error(503, thread.error().message);
  }
  (void)start.release();
  runners_.push_back({*thread, query});
  HttpResponse response;
  response.content_type = kContentTypes[static_cast<size_t>(request->format)];
  response.stream = std::make_shared<SqlStream>(std::move(query));
  return response;
}

}  // namespace weir::store
