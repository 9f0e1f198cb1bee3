#include "store/sql_query.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "store/file_book.h"
#include "store/rows_asked.h"
#include "store/sql_check.h"
#include "store/sql_file.h"
#include "store/sql_rows.h"
#include "store/sql_scan.h"

namespace weir::store {

using nlohmann::json;
using service::HttpResponse;

namespace {

constexpr std::string_view kContentTypes[] = {"application/json", "application/x-ndjson", "text/csv; charset=utf-8", "application/vnd.apache.parquet"};

HttpResponse refusal(const SqlTrouble& trouble, unsigned status = 400) {
  json body{{"error", trouble.message}};
  if (trouble.position) body["position"] = *trouble.position;
  return {.status = status, .body = body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"};
}

/// In DuckDB's words; where they have a caret below the statement's only line, the place that it shows. Behind `lines` others.
HttpResponse refusal(std::string what, unsigned status = 400, unsigned lines = 0) {
  SqlTrouble trouble;
  const size_t line = what.find("\nLINE ");  // one of `lines` is none of his
  if (line != std::string::npos) {
    const size_t begin = line + 1, end = what.find('\n', begin);
    const size_t caret = end == std::string::npos ? end : what.find('^', end);
    constexpr size_t kPrefix = 8;  // LINE 1:
    if (caret != std::string::npos && what.compare(begin, kPrefix, fmt::format("LINE {}: ", lines + 1)) == 0 && what.compare(begin + kPrefix, 3, "...") != 0 && caret >= end + 1 + kPrefix) {
      trouble.position = caret - end - 1 - kPrefix;
    }
    what.resize(line);
  }
  if (const size_t trace = what.find("\n\nStack Trace"); trace != std::string::npos) what.resize(trace);
  while (!what.empty() && what.back() == '\n') what.pop_back();
  trouble.message = std::move(what);
  return refusal(trouble, status);
}

/// Of what went wrong behind the planning.
unsigned status_of(std::string_view error) {
  if (error.starts_with("it took longer than")) return 504;
  return error.find("Out of Memory") != std::string_view::npos ? 507 : 400;
}

size_t longest_text(const std::vector<SqlValue>& parameters) {
  size_t longest = 0;
  for (const SqlValue& value : parameters) {
    if (const auto* const text = std::get_if<std::string>(&value)) longest = std::max(longest, text->size());
  }
  return longest;
}

}  // namespace

SqlQuery::SqlQuery(std::shared_ptr<Database> database, Connection connection, SqlRequest request, Limits limits)
    : request_(std::move(request)),
      limits_(std::move(limits)),
      begun_ns_(steady_clock_ns()),
      deadline_ns_(begun_ns_ + limits_.timeout_ms * kNsPerMs),
      database_(std::move(database)),
      connection_(std::move(connection)) {}

SqlQuery::~SqlQuery() = default;

// ── from other threads ───────────────────────────────────────────────────────────────────────────

void SqlQuery::stop_locked(Stop why) {
  if (stop_ == Stop::none) stop_ = why;
  if (connection_) connection_->interrupt();
  has_room_.notify_all();
}

std::optional<HttpResponse> SqlQuery::head() {
  const std::lock_guard lock(mutex_);
  const uint64_t now_ns = steady_clock_ns();
  if (!is_over_ && now_ns >= deadline_ns_) stop_locked(Stop::late);
  if (refused_) return std::exchange(refused_, std::nullopt);
  if (!is_over_ && !has_begun_) {
    if (now_ns < deadline_ns_ + kLateGraceNs) return std::nullopt;
    return service::http_error(504, why({}));
  }
  HttpResponse response;
  response.content_type = kContentTypes[static_cast<size_t>(request_.format)];
  if (is_file_cut_) response.headers.emplace_back("X-Weir-Truncated", "true");
  if (!left_out_.empty()) response.headers.emplace_back(kLeftOutHeader, left_out_);
  return response;
}

bool SqlQuery::take(std::string& out) {
  const std::lock_guard lock(mutex_);
  if (!is_over_ && steady_clock_ns() >= deadline_ns_) stop_locked(Stop::late);
  out.append(text_);
  text_.clear();
  has_room_.notify_one();
  return !is_over_;
}

std::string SqlQuery::trailer() {
  const std::lock_guard lock(mutex_);
  return is_truncated_ ? fmt::format("X-Weir-Truncated: {}\r\n", *is_truncated_) : std::string();
}

void SqlQuery::cancel() {
  const std::lock_guard lock(mutex_);
  stop_locked(Stop::cancelled);
}

void SqlQuery::look(uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  if (is_over_) return;
  if (stop_ != Stop::none || now_ns >= deadline_ns_) stop_locked(Stop::late);
}

bool SqlQuery::end_for_memory() {
  const std::lock_guard lock(mutex_);
  if (is_over_ || stop_ != Stop::none) return false;
  stop_locked(Stop::memory);
  return true;
}

bool SqlQuery::is_over() {
  const std::lock_guard lock(mutex_);
  return is_over_;
}

// ── on its own ───────────────────────────────────────────────────────────────────────────────────

bool SqlQuery::hand_out(std::string& text) {
  std::unique_lock lock(mutex_);
  while (stop_ == Stop::none && text_.size() >= kAnswerRoomOctets) {
    const auto left = std::chrono::nanoseconds(deadline_ns_ - std::min(deadline_ns_, steady_clock_ns()));
    if (left.count() == 0) stop_locked(Stop::late);
    has_room_.wait_for(lock, left);
  }
  if (stop_ == Stop::none) {
    text_ += text;
    has_begun_ = true;
  }
  text.clear();
  return stop_ == Stop::none;
}

bool SqlQuery::is_stopped() {
  const std::lock_guard lock(mutex_);
  return stop_ != Stop::none;
}

Result<Statement> SqlQuery::bound(const std::string& sql) {
  auto statement = connection_->prepare(sql);
  if (!statement) return statement;
  const auto& values = request_.parameters;
  if (statement->parameters() != values.size()) {
    return Error{fmt::format("the statement has {} parameters, and {} are given", statement->parameters(), values.size())};
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (auto done = statement->bind(i, values[i]); !done) return done.error();
  }
  return statement;
}

/// Before anything is planned: planning itself calls functions.
std::optional<HttpResponse> SqlQuery::check() {
  if (const auto trouble = find_text_trouble(request_.sql)) return refusal(*trouble);
  auto rows = connection_->query("SELECT json_serialize_sql($1::VARCHAR)", std::vector<SqlValue>{request_.sql});
  if (!rows) return refusal(rows.error().message);
  const auto chunk = rows->next();
  if (!chunk || !*chunk || chunk->is_null(0, 0)) return refusal(chunk ? "the statement cannot be read" : chunk.error().message);
  const json tree = json::parse(chunk->text(0, 0), nullptr, /*allow_exceptions=*/false);
  if (!tree.is_object()) return refusal("the statement cannot be read");
  if (tree.value("error_type", "") == "parser") {
    SqlTrouble trouble{"Parser Error: " + tree.value("error_message", "")};
    const std::string at = tree.value("position", "");
    if (!at.empty() && at.find_first_not_of("0123456789") == std::string::npos && at.size() < 9) trouble.position = std::stoul(at);
    return refusal(trouble);
  }
  if (const auto trouble = find_trouble(tree, longest_text(request_.parameters))) return refusal(*trouble);
  return std::nullopt;
}

std::optional<HttpResponse> SqlQuery::prepare() {
  // Nothing that a statement does can change anything.
  if (auto begun = connection_->execute("BEGIN TRANSACTION READ ONLY"); !begun) return refusal(begun.error().message);
  // Of the views that it will see, whatever becomes of files meanwhile.
  const auto left_out = request_.reads ? left_out_sums(*connection_, *request_.reads) : left_out_sums(*connection_);
  if (!left_out) return refusal(left_out.error().message, 500);
  {
    const std::lock_guard lock(mutex_);
    left_out_ = header_of(*left_out);
  }
  if (auto wrong = check()) return wrong;
  if (is_stopped()) return std::nullopt;
  // What stands in brackets must not have its semicolon.
  const std::string_view asked = look_at_sql(request_.sql).statement;
  std::string sql(asked);
  if (request_.reads) {
    auto narrow = narrowed(*connection_, asked, {*request_.reads, request_.ends});
    if (!narrow) return refusal(narrow.error().message, 500);
    sql = std::move(*narrow);
  }
  auto plain = bound(sql);
  if (!plain) return refusal(plain.error().message, 400, sql.size() > asked.size() ? 1 : 0);
  if (!plain->is_select()) return refusal("only one SELECT is answered");
  if (request_.format == SqlFormat::parquet) {
    if (limits_.folder.empty()) return refusal("Parquet takes a folder for temporary files (database.temp_directory)");
    file_ = std::make_unique<SqlFile>(limits_.folder, SqlFile::Says{request_.notes.empty() ? std::string() : json(request_.notes).dump(), header_of(*left_out)});
    auto copy = bound(file_->statement(sql, limits_.rows_max));
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
    // A line of its own for the bracket: the question may end with a comment.
    auto wrapped = bound(fmt::format("SELECT {} FROM ({}\n) AS question({})", list, sql, names));
    if (!wrapped) return refusal(wrapped.error().message);
    statement_.emplace(std::move(*wrapped));
  }
  rows_text_ = std::make_unique<RowText>(request_.format, columns, std::move(types));
  return std::nullopt;
}

/// Empty, or why it ended early.
std::string SqlQuery::run_file() {
  auto made = statement_->run();
  if (!made) return made.error().message;
  const bool is_cut = made->rows_changed() > limits_.rows_max;
  if (is_cut) {
    if (const auto cut = file_->cut(*connection_, limits_.rows_max); !cut) return cut.error().message;
  }
  {
    const std::lock_guard lock(mutex_);
    is_file_cut_ = is_cut;
  }
  const auto read = file_->read([this](std::string& piece) { return hand_out(piece); });
  return read ? std::string() : read.error().message;
}

/// Empty, or why it ended early.
std::string SqlQuery::run_rows(std::string& text, bool& is_truncated) {
  auto rows = statement_->stream();
  if (!rows) return rows.error().message;
  uint64_t count = 0;
  rows_text_->begin(text);
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error().message;
    if (!*chunk) return {};
    const uint64_t wanted = std::min<uint64_t>(chunk->rows(), limits_.rows_max - count);
    rows_text_->add(*chunk, wanted, text);
    count += wanted;
    is_truncated = wanted < chunk->rows();
    if (!hand_out(text)) return "it was stopped";
    if (is_truncated) return {};
  }
}

std::string SqlQuery::why(std::string error) const {
  if (stop_ == Stop::late) return fmt::format("it took longer than {} ms and was stopped", limits_.timeout_ms);
  if (stop_ == Stop::memory) return "Out of Memory: what it made beside what DuckDB counts was too much, and it was stopped";
  if (stop_ == Stop::cancelled) return "it was stopped";
  if (const size_t trace = error.find("\n\nStack Trace"); trace != std::string::npos) error.resize(trace);
  // DuckDB's advice is to SET what nobody may.
  if (const size_t advice = error.find("\n\nPossible solutions"); advice != std::string::npos) {
    error.resize(advice);
    error += ": less time, fewer groups or a filter take less, and a higher database.memory_limit gives more";
  }
  return error;
}

void SqlQuery::run() {
  std::string text, error;
  std::optional<HttpResponse> refused;
  bool is_truncated = false;
  try {
    refused = prepare();
    if (!refused && statement_ && !is_stopped()) error = file_ ? run_file() : run_rows(text, is_truncated);
  } catch (const std::exception& e) {  // memory; and DuckDB lets some of its own through
    refused.reset();
    error = e.what();
  }
  statement_.reset();
  if (!error.empty()) database_->suspect(error);
  end(std::move(refused), std::move(error), is_truncated, std::move(text));
}

void SqlQuery::end(std::optional<HttpResponse> refused, std::string error, bool is_truncated, std::string text) {
  const std::lock_guard lock(mutex_);
  error = why(std::move(error));
  if (stop_ != Stop::none) refused.reset();
  if (!has_begun_ && (refused || !error.empty())) {
    refused_ = refused ? std::move(refused) : refusal(error, status_of(error));
  } else if (rows_text_) {
    rows_text_->end(is_truncated, static_cast<double>(steady_clock_ns() - begun_ns_) / 1e6, error, text);
    text_ += text;
    if (error.empty()) is_truncated_ = is_truncated;
  }
  connection_.reset();
  database_.reset();
  is_over_ = true;
}

}  // namespace weir::store
