// sql_query.h — One question: checked, planned, run and written on a thread of its own, beside whoever sends the answer.
//
// Runs on:  run() on its own thread; all else on any.
// Owns:     its connection and a share of the database, until it is over: nobody who keeps a question that is over keeps the database.
// Bounds:   rows and time of it; kAnswerRoomOctets of an answer that nobody has taken yet.
// Failure:  before the answer has begun a status that says what it was; later an `error` at its end.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "service/http_server.h"
#include "store/database.h"
#include "store/sql_request.h"

namespace weir::store {

inline constexpr size_t kAnswerRoomOctets = 1 << 20;
/// Files that cannot be read, of whose rows nothing is in the answer: `files=2; rows=300; from=…; to=…`.
inline constexpr const char* kLeftOutHeader = "X-Weir-Left-Out";
inline constexpr uint64_t kLateGraceNs = 500'000'000;  // DuckDB plans without looking whether it is to stop

class RowText;
class SqlFile;

class SqlQuery {
 public:
  struct Limits {
    uint64_t rows_max = 0;
    uint32_t timeout_ms = 0;
    std::string folder;  // for files; empty: none
  };
  SqlQuery(std::shared_ptr<Database> database, Connection connection, SqlRequest request, Limits limits);
  ~SqlQuery();

  void run();

  /// How the answer begins, once it does or it is over; of one that is good without a stream. Once.
  std::optional<service::HttpResponse> head();
  /// What there is of its body; false: that was all.
  bool take(std::string& out);
  /// Behind the body of rows: whether there are more of them. Nothing of one that failed.
  std::string trailer();
  /// Nobody wants it any more.
  void cancel();
  /// To be called again and again: DuckDB forgets to stop what had not begun when it was told to.
  void look(uint64_t now_ns);
  /// Ends it because it takes too much memory. False: it is ending already.
  bool end_for_memory();
  bool is_over();

 private:
  enum class Stop : uint8_t { none, cancelled, late, memory };

  void stop_locked(Stop why);
  /// False where nobody wants more.
  bool hand_out(std::string& text);
  bool is_stopped();
  /// Empty, or what is wrong.
  std::optional<service::HttpResponse> prepare();
  std::optional<service::HttpResponse> check();
  std::string run_file();
  std::string run_rows(std::string& text, bool& is_truncated);
  Result<Statement> bound(const std::string& sql);
  std::string why(std::string error) const;
  void end(std::optional<service::HttpResponse> refused, std::string error, bool is_truncated, std::string text);

  const SqlRequest request_;
  const Limits limits_;
  const uint64_t begun_ns_, deadline_ns_;
  // Its own thread's.
  std::optional<Statement> statement_;
  std::unique_ptr<RowText> rows_text_;  // none: file_
  std::unique_ptr<SqlFile> file_;

  std::mutex mutex_;
  std::condition_variable has_room_;
  std::shared_ptr<Database> database_;
  std::optional<Connection> connection_;
  std::optional<service::HttpResponse> refused_;
  std::string text_;
  std::string left_out_;
  Stop stop_ = Stop::none;
  bool is_file_cut_ = false;
  std::optional<bool> is_truncated_;  // rows, when it is known
  bool has_begun_ = false;
  bool is_over_ = false;
};

}  // namespace weir::store
