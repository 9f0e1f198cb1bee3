// sql_service.h — POST /v1/sql: one SELECT, read-only, beside what is stored; its rows are streamed as they come.
//
// Spec:     docs/STORE.md, "Questions".
// Runs on:  its route on the http_thread, which waits for nothing; each query on a thread of its own; one that looks after them.
// Bounds:   queries_max at a time; rows, time and memory of each; kAnswerRoomOctets of an answer that nobody has taken yet.
// Failure:  400 with {"error", "position"} for what cannot be answered, 504 and 507 for what takes too long or too much, 503 where there is no
//           room; what goes wrong later ends the answer with an `error`. Who goes away ends his query.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "service/http_server.h"
#include "store/open_store.h"

namespace weir::store {

struct SqlLimits {
  uint32_t queries_max = 4;
  uint64_t rows_max = 1'000'000;
  uint32_t timeout_ms = 60'000;
  /// The process's own memory, with which queries are ended: DuckDB does not count the texts and lists that it makes in between.
  uint64_t process_octets_max = UINT64_MAX;
};

/// Beyond what the process had before the first of those that run, so that what is not given back ends nobody for ever.
inline constexpr uint64_t kUncountedOctetsMax = uint64_t{1} << 30;

class SqlQuery;

class SqlService {
 public:
  SqlService(OpenStore& store, SqlLimits limits);
  /// Ends what runs.
  ~SqlService();

  service::HttpRoute route();
  size_t running() const noexcept { return running_->load(); }

 private:
  struct Runner {
    pthread_t thread;
    std::shared_ptr<SqlQuery> query;
  };
  service::HttpResponse answer(const service::HttpRequest& request);
  static void* run_keeper(void* self);
  void look_after();
  void watch_memory_locked();

  OpenStore& store_;
  const SqlLimits limits_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Runner> runners_;
  uint64_t idle_octets_ = 0;  // of the process, when nothing ran
  bool is_ending_ = false;
  std::optional<pthread_t> keeper_;
  const std::shared_ptr<std::atomic<size_t>> running_ = std::make_shared<std::atomic<size_t>>(0);
};

}  // namespace weir::store
