// backend.h — Who answers SQL: weir-store behind its socket, or a test's stand-in.
//
// Runs on:  api_thread. Nothing waits; answers come by calls on the same thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "query/ends.h"
#include "query/plan.h"

namespace boost::asio {
class io_context;
}

namespace weir::api {

struct StoreQuery {
  std::string sql;
  std::vector<query::Parameter> parameters;
  std::string format = "json";  // json, parquet
  uint64_t max_rows = 0;        // 0: as the store has it
  uint32_t timeout_ms = 0;
  // Whose flows it reads, so that the store says what is missing of these alone; none of them: of no flows at all. Not known of SQL of others.
  std::optional<std::vector<query::TimeWindow>> reads = {};
  std::vector<query::EndClause> ends = {};  // what those flows have at their ends
  std::vector<std::string> notes = {};  // of parquet: what is to be said in the file
};

/// A part of the answer. Failed: nothing more comes; `octets` says why, in an operator's words, and `status` is HTTP's for it.
struct StorePart {
  enum class State : uint8_t { more, over, failed } state = State::more;
  std::string octets;
  unsigned status = 0;
  size_t position = 0;     // of what is wrong in the statement, from 1; 0: not known
  bool is_cut = false;     // there were more rows than max_rows: known of a file from its first part on
  std::string left_out{};  // what the store has and cannot read, in its header's words; empty: nothing
};

/// A statement that runs. Destroyed early it is cancelled, and calls nobody.
class StoreCall {
 public:
  virtual ~StoreCall() = default;
  /// Calls back once with what comes next.
  virtual void next(std::function<void(StorePart)> done) = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::unique_ptr<StoreCall> begin(const StoreQuery& query) = 0;
  /// Whether it can be asked at all: an empty text, or why not.
  virtual void look(std::function<void(std::string)> done) = 0;
  /// What it has of sums and flows, as JSON; empty where it cannot be asked.
  virtual void kept(std::function<void(std::string)> done) = 0;
};

/// weir-store's unix socket. `io` outlives it.
std::unique_ptr<Backend> unix_backend(boost::asio::io_context& io, std::string path);

/// `[1, "web", {"addr": "192.0.2.1"}, {"time": "2026-11-01T00:00:00Z"}]`
std::string parameters_json(const std::vector<query::Parameter>& parameters);
/// `[["2026-11-01T00:00:00Z", null]]`
std::string windows_json(const std::vector<query::TimeWindow>& windows);
/// `[[{"src": ["192.0.2.0", "192.0.2.255"]}, …], …]`
std::string ends_json(const std::vector<query::EndClause>& ends);

}  // namespace weir::api
