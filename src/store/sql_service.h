// sql_service.h — POST /v1/sql: one SELECT, read-only, beside what is stored; its rows are streamed as they come.
//
// Spec:     docs/STORE.md, "Questions".
// Runs on:  its route on the http_thread; each query on a thread of its own.
// Bounds:   queries_max at a time; rows, time and memory of each; kAnswerRoomOctets of an answer that nobody has taken yet.
// Failure:  400 with {"error", "position"} for what cannot be prepared; what goes wrong later ends the answer with an `error`. Who goes
//           away ends his query.
#pragma once

#include <pthread.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "service/http_server.h"
#include "store/open_store.h"

namespace weir::store {

inline constexpr size_t kAnswerRoomOctets = 1 << 20;

struct SqlLimits {
  uint32_t queries_max = 4;
  uint64_t rows_max = 1'000'000;
  uint32_t timeout_ms = 60'000;
};

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
  void reap(bool all);

  OpenStore& store_;
  const SqlLimits limits_;
  std::vector<Runner> runners_;
  const std::shared_ptr<std::atomic<size_t>> running_ = std::make_shared<std::atomic<size_t>>(0);
};

}  // namespace weir::store
