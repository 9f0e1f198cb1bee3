#include "api/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "api/store_rows.h"
#include "base/printable.h"
#include "service/log.h"

namespace weir::api {
namespace {

/// Of what went wrong while the store was at it; it has no status of its own then.
unsigned status_of(std::string_view why) {
  if (why.find("it took longer than") != std::string_view::npos) return 504;
  if (why.find("Out of Memory") != std::string_view::npos) return 507;
  return 400;
}

constexpr std::string_view kParquetMark = "PAR1";  // at both ends of a file

std::optional<int64_t> integer_of(std::string_view cell) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
  if (error != std::errc() || end != cell.data() + cell.size()) return std::nullopt;
  return number;
}

}  // namespace

class Answer final : public Body, public std::enable_shared_from_this<Answer> {
 public:
  Answer(Question question, Done done)
      : q_(std::move(question)), done_(std::move(done)), begun_(std::chrono::steady_clock::now()), format_(row_format(q_.format, q_.head, q_.json_rows)) {
    ++q_.desk->asked;
    if (q_.page) last_ = *q_.page;
  }
  ~Answer() override {
    call_.reset();  // before another begins
    if (is_running_) {
      --q_.desk->running;
      begin_next(*q_.desk);
    }
    q_.desk->seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
  }

  void begin() {
    is_running_ = true;
    ++q_.desk->running;
    if (!q_.probe) return begin_rows();
    call_ = q_.backend->begin(*q_.probe);
    read_probe();
  }

  void next(std::function<void(Piece)> done) override {
    piece_done_ = std::move(done);
    if (!out_.empty() || is_over_) return give();
    read();
  }

 private:
  static void begin_next(Desk& desk) {
    while (!desk.waiting.empty() && desk.running < desk.running_max) {
      const auto next = desk.waiting.front().lock();
      desk.waiting.pop_front();
      if (!next) continue;
      // Called where another one ends, in its destructor: nothing may come out of here.
      try {
        next->begin();
      } catch (const std::exception& e) {
        next->fail(500, e.what());
      }
    }
  }

  // Calls of the store's hold no more than a weak reference: whoever lets go of this cancels them.
  template <class Handle>
  void read_part(Handle handle) {
    call_->next([weak = weak_from_this(), handle](StorePart part) {
      if (const auto self = weak.lock()) (self.get()->*handle)(std::move(part));
    });
  }

  // ── first, where the page ends ─────────────────────────────────────────────────────────────────

  void read_probe() { read_part(&Answer::on_probe); }
  void on_probe(StorePart part) {
    if (part.state == StorePart::State::failed) return fail(part.status, part.octets);
    const bool is_good = probe_.feed(part.octets, [this](const auto& cells) {
      if (const auto us = integer_of(cells.empty() ? std::string_view() : cells.front())) q_.store.parameters.at(q_.cut) = query::Instant{*us};
      return true;
    });
    if (!is_good) return fail(502, probe_.trouble());
    if (part.state == StorePart::State::more) return read_probe();
    if (!probe_.is_whole()) return fail(502, "the store's answer was cut");
    begin_rows();
  }

  // ── rows ───────────────────────────────────────────────────────────────────────────────────────

  void begin_rows() {
    call_ = q_.backend->begin(q_.store);
    read();
  }
  void read() { read_part(&Answer::on_part); }

  void on_part(StorePart part) {
    if (part.state == StorePart::State::failed) return fail(part.status, part.octets, part.position);
    const bool is_last = part.state == StorePart::State::over;
    if (!part.left_out.empty()) left_out_ = printable(part.left_out);
    if (q_.format == Format::parquet) {
      is_file_cut_ |= part.is_cut;
      if (done_) is_truncated_ = is_file_cut_ ? "true" : "false";
      out_ += part.octets;
      end_.append(part.octets);
      if (end_.size() > kParquetMark.size()) end_.erase(0, end_.size() - kParquetMark.size());
      // What goes wrong while the file is made comes in its place.
      if (done_ && out_.starts_with('{')) return is_last ? fail_as_said(out_) : read();
      if (is_last && end_ != kParquetMark) return fail(502, "the store's answer was cut");
      is_over_ = is_last;
    } else if (!take_rows(part.octets, is_last)) {
      return;
    }
    if (!is_over_ && (done_ ? out_.size() < kBufferedOctets : out_.empty())) return read();
    give();
  }

  void fail_as_said(const std::string& text) {
    const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    const bool has_error = json.is_object() && json.contains("error") && json["error"].is_string();
    const std::string why = has_error ? json["error"].get<std::string>() : "the store's answer is no Parquet";
    fail(has_error ? status_of(why) : 502, why);
  }

  /// False where it failed.
  bool take_rows(std::string_view octets, bool is_last) {
    if (!rows_.feed(octets, [this](const auto& cells) { return take_row(cells); }) && !has_more_) {
      fail(rows_.is_row_too_large() ? 400 : 502, !rows_.trouble().empty() ? rows_.trouble() : row_trouble_.empty() ? "the store's answer names no columns" : row_trouble_);
      return false;
    }
    if (has_more_ || (is_last && rows_.is_whole())) {
      if (!end_rows()) return false;
    } else if (is_last) {
      fail(502, "the store's answer was cut");
      return false;
    }
    return true;
  }

  bool take_row(const std::vector<std::string_view>& all) {
    if (!begin_format()) return false;
    if (q_.rows_max != 0 && given_ == q_.rows_max) {
      has_more_ = true;
      return false;
    }
    const size_t own = q_.columns->names.size() - q_.more_cells.size();
    if (all.size() != own + (q_.has_page_columns ? 2 : 0)) {
      row_trouble_ = fmt::format("the store's answer has {} columns where {} were asked for", all.size(), own + (q_.has_page_columns ? 2 : 0));
      return false;
    }
    std::vector<std::string_view> cells(all);
    if (q_.has_page_columns) {
      const auto time = integer_of(cells[cells.size() - 2]), tie = integer_of(cells.back());
      cells.resize(cells.size() - 2);
      if (time && tie) {
        const bool is_same = last_ && last_->time_us == *time && last_->tie == *tie;
        last_ = query::PageStart{*time, *tie, is_same ? last_->skip + 1 : 1};
      }
    }
    for (const std::string& cell : q_.more_cells) cells.push_back(cell);
    format_->row(out_, cells);
    ++given_;
    ++q_.desk->rows;
    return true;
  }

  /// With the first row, or without any at the end.
  bool begin_format() {
    if (has_begun_) return true;
    has_begun_ = true;
    if (!q_.columns) {
      // What was there before the rows lacks its end.
      std::string text = rows_.members();
      if (!rows_.is_whole()) text += "]}";
      const auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
      if (!json.is_object() || !json.contains("columns") || !json["columns"].is_array()) return false;
      ColumnNames columns{{}, json["columns"].dump()};
      for (const auto& column : json["columns"]) {
        columns.names.push_back(column.is_object() && column.contains("name") && column["name"].is_string() ? column["name"].get<std::string>() : "?");
      }
      q_.columns = std::move(columns);
    }
    format_->begin(out_, *q_.columns);
    return true;
  }

  bool end_rows() {
    if (!begin_format()) {
      fail(502, "the store's answer names no columns");
      return false;
    }
    is_over_ = true;
    bool truncated = has_more_;
    if (rows_.is_whole()) {
      const auto json = nlohmann::json::parse(rows_.members(), nullptr, /*allow_exceptions=*/false);
      if (json.is_object() && json.contains("error")) {
        const std::string why = json["error"].is_string() ? json["error"].get<std::string>() : "the store failed";
        fail(status_of(why), why);
        return false;
      }
      truncated |= json.is_object() && json.contains("truncated") && json["truncated"] == true;
    }
    is_truncated_ = truncated ? "true" : "false";
    std::string members = fmt::format("\"count\":{},\"truncated\":{}", given_, truncated);
    if (!left_out_.empty()) members += fmt::format(",\"left_out\":{}", nlohmann::json(left_out_).dump());
    if (q_.has_page_columns && !q_.text.empty()) {
      members += ",\"next_cursor\":";
      members += has_more_ && last_ ? fmt::format("\"{}\"", write_cursor({q_.window, *last_}, q_.text)) : "null";
    }
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun_).count();
    format_->end(out_, members + fmt::format(",\"elapsed_ms\":{}", ms));
    return true;
  }

  // ── what goes out ──────────────────────────────────────────────────────────────────────────────

  void give() {
    if (const Done done = std::exchange(done_, nullptr)) {
      Response response;
      response.content_type = content_type_of(q_.format);
      if (!is_truncated_.empty()) response.headers.emplace_back(kTruncatedHeader, std::exchange(is_truncated_, {}));
      if (!left_out_.empty()) response.headers.emplace_back(kLeftOutHeader, left_out_);
      if (!q_.notes.empty()) response.headers.emplace_back(kNotesHeader, notes_header(q_.notes));
      if (is_over_) {
        response.body = std::move(out_);
      } else {
        response.stream = shared_from_this();
      }
      return done(std::move(response));
    }
    if (const auto done = std::exchange(piece_done_, nullptr)) {
      done({std::exchange(out_, {}), is_over_ ? Piece::State::over : Piece::State::more, is_over_ ? is_truncated_ : std::string()});
    }
  }

  /// `position`: in the statement; of SQL that this program wrote it is nothing to the asker.
  void fail(unsigned status, const std::string& why, size_t position = 0) {
    ++q_.desk->failed;
    if (const Done done = std::exchange(done_, nullptr)) {
      Response response = error_response(status_for(status), why);
      if (position != 0 && !q_.is_srql) {
        response.body = nlohmann::ordered_json{{"error", printable(why)}, {"position", position}, {"length", 1}}.dump() + "\n";
      }
      return done(std::move(response));
    }
    service::log_warning("an answer is cut: {}", why);
    if (const auto done = std::exchange(piece_done_, nullptr)) done({{}, Piece::State::broken});
  }

  unsigned status_for(unsigned status) const {
    if (status >= 500 || status == 408 || status == 429) return status;
    return q_.is_srql && !q_.has_regular_expression ? 500 : 400;
  }

  Question q_;
  Done done_;  // until the response has begun
  std::function<void(Piece)> piece_done_;
  const std::chrono::steady_clock::time_point begun_;
  const std::unique_ptr<RowFormat> format_;
  std::unique_ptr<StoreCall> call_;
  StoreRows probe_, rows_;
  std::string row_trouble_;
  std::string is_truncated_;  // true or false, when it is known and until it is said: of a file at the beginning, else at the end
  bool is_file_cut_ = false;
  std::string left_out_;      // empty: nothing of what was asked for
  std::string end_;  // of a file, as far as it has come
  std::string out_;
  std::optional<query::PageStart> last_;  // of the last row: its time and tie, and how many rows had the same
  uint64_t given_ = 0;
  bool is_running_ = false;
  bool has_begun_ = false;
  bool has_more_ = false;
  bool is_over_ = false;
};

size_t Desk::waiting_now() const noexcept {
  return static_cast<size_t>(std::count_if(waiting.begin(), waiting.end(), [](const auto& each) { return !each.expired(); }));
}

std::string notes_header(const std::vector<std::string>& notes) {
  return nlohmann::json(notes).dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

Work ask(Question question, Done done) {
  Desk& desk = *question.desk;
  const bool has_room = desk.running < desk.running_max;
  if (!has_room && desk.waiting_now() >= desk.waiting_max) {
    ++desk.turned_away;
    Response response = error_response(503, fmt::format("{} questions are being answered and {} wait already (limits): try again", desk.running, desk.waiting_now()));
    response.headers.emplace_back("Retry-After", "1");
    done(std::move(response));
    return nullptr;
  }
  const auto answer = std::make_shared<Answer>(std::move(question), std::move(done));
  if (has_room) {
    answer->begin();
  } else {
    std::erase_if(desk.waiting, [](const auto& waiting) { return waiting.expired(); });
    desk.waiting.push_back(answer);
  }
  return answer;
}

}  // namespace weir::api
