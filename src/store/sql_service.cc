#include "store/sql_service.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/clock.h"
#include "base/start_thread.h"
#include "service/log.h"
#include "store/sql_file.h"
#include "store/sql_query.h"
#include "store/sql_request.h"

namespace weir::store {

using service::HttpResponse;

namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(20);

class SqlStream final : public service::HttpStream {
 public:
  explicit SqlStream(std::shared_ptr<SqlQuery> query) : query_(std::move(query)) {}
  ~SqlStream() override { query_->cancel(); }
  bool next(std::string& out) override { return query_->take(out); }
  std::string trailer() override { return query_->trailer(); }

 private:
  const std::shared_ptr<SqlQuery> query_;
};

class SqlAnswer final : public service::HttpLater {
 public:
  explicit SqlAnswer(std::shared_ptr<SqlQuery> query) : query_(std::move(query)) {}
  ~SqlAnswer() override {
    if (query_ != nullptr) query_->cancel();
  }
  std::optional<HttpResponse> look() override {
    auto head = query_->head();
    if (!head || head->status != 200) return head;
    head->stream = std::make_shared<SqlStream>(std::exchange(query_, nullptr));
    return head;
  }

 private:
  std::shared_ptr<SqlQuery> query_;
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

/// What this process has of the machine's memory; 0: not known.
uint64_t process_octets() {
  FILE* const file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long long all = 0, resident = 0;
  const int read = std::fscanf(file, "%llu %llu", &all, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace

SqlService::SqlService(OpenStore& store, SqlLimits limits) : store_(store), limits_(limits) {
  clear_answers(answers_folder(store.options()));
  const auto thread = start_thread("weir-sql-keeper", run_keeper, this);
  if (thread) {
    keeper_ = *thread;
  } else {
    service::log_error("questions are not answered: {}", thread.error().message);
  }
}

SqlService::~SqlService() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
    changed_.notify_all();
  }
  if (keeper_) pthread_join(*keeper_, nullptr);
}

void* SqlService::run_keeper(void* self) {
  static_cast<SqlService*>(self)->look_after();
  return nullptr;
}

/// Whoever is cancelled, late or too large ends, though DuckDB was not listening when he was told; and who is over leaves nothing behind.
void SqlService::look_after() {
  std::unique_lock lock(mutex_);
  while (!is_ending_ || !runners_.empty()) {
    if (runners_.empty()) {
      changed_.wait(lock, [this] { return is_ending_ || !runners_.empty(); });
    } else {
      changed_.wait_for(lock, kLookEvery);
    }
    const uint64_t now_ns = steady_clock_ns();
    for (const Runner& runner : runners_) {
      if (is_ending_) runner.query->cancel();
      runner.query->look(now_ns);
    }
    watch_memory_locked();
    std::erase_if(runners_, [](const Runner& runner) {
      if (!runner.query->is_over()) return false;
      pthread_join(runner.thread, nullptr);
      return true;
    });
  }
}

void SqlService::watch_memory_locked() {
  if (limits_.process_octets_max == UINT64_MAX) return;
  const uint64_t octets = process_octets();
  if (octets <= std::max(limits_.process_octets_max, idle_octets_ + kUncountedOctetsMax)) return;
  for (const Runner& runner : runners_) {
    if (runner.query->end_for_memory()) service::log_warning("a question is ended: this process has {} MiB", octets >> 20);
  }
}

service::HttpRoute SqlService::route() {
  return {.method = "POST", .path = "/v1/sql", .handle = [this](const service::HttpRequest& request) { return answer(request); }};
}

HttpResponse SqlService::answer(const service::HttpRequest& http) {
  auto request = parse_sql_request(http.body);
  if (!request) return service::http_error(400, request.error().message);
  const std::lock_guard lock(mutex_);
  if (!keeper_) return service::http_error(503, "there was no thread for questions");
  if (running() >= limits_.queries_max) {
    return service::http_error(503, fmt::format("{} queries run already, limit {}: try again", running(), limits_.queries_max));
  }
  auto database = store_.database();
  if (database == nullptr) return service::http_error(503, "the store is being opened anew: try again");
  auto connection = database->connect();
  if (!connection) return service::http_error(503, connection.error().message);
  SqlQuery::Limits limits;
  limits.rows_max = request->max_rows == 0 ? limits_.rows_max : std::min(request->max_rows, limits_.rows_max);
  limits.timeout_ms = request->timeout_ms == 0 ? limits_.timeout_ms : std::min(request->timeout_ms, limits_.timeout_ms);
  limits.folder = answers_folder(store_.options());
  auto query = std::make_shared<SqlQuery>(std::move(database), std::move(*connection), std::move(*request), std::move(limits));
  if (runners_.empty() && limits_.process_octets_max != UINT64_MAX) idle_octets_ = process_octets();
  running_->fetch_add(1);
  auto start = std::make_unique<Start>(Start{query, running_});
  const auto thread = start_thread("weir-sql", run_query, start.get());
  if (!thread) {
    running_->fetch_sub(1);
    return service::http_error(503, thread.error().message);
  }
  (void)start.release();
  runners_.push_back({*thread, query});
  changed_.notify_all();
  HttpResponse response;
  response.later = std::make_shared<SqlAnswer>(std::move(query));
  return response;
}

}  // namespace weir::store
