// jetstream_api.h — One question to JetStream's API, and its answer as JSON that nothing is taken for granted of.
//
// Spec:     $JS.API.…, ADR-1 and ADR-9 of the NATS architecture.
// Runs on:  whoever owns the client. Each call is one request, bounded by its time-out.
//
// Private to src/export.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "export/nats_client.h"

namespace weir::outbound {

using Json = nlohmann::ordered_json;  // keeps 64-bit integers exact and the server's order

// JetStream's own error codes.
inline constexpr int kStreamNotFound = 10059;
inline constexpr int kConsumerNotFound = 10014;

struct ApiError {
  int err_code = 0;
  std::string description;
};

struct ApiAnswer {
  enum class State : uint8_t { ok, error, no_jetstream, no_answer };
  State state = State::no_answer;
  Json body;
  ApiError error;

  bool is_error(int err_code) const noexcept { return state == State::error && error.err_code == err_code; }
};

/// What lies between us and the server, or another program on its subjects, may answer anything: a value of
/// another type is one that is not there.
std::optional<int64_t> number_in(const Json& object, const char* key);
std::optional<std::string> text_in(const Json& object, const char* key);
/// Null where there is none.
const Json* object_in(const Json& object, const char* key);

/// `operation`: what stands behind `$JS.API.`.
ApiAnswer call_jetstream(NatsClient& client, const std::string& operation, const std::string& body, int timeout_ms);

}  // namespace weir::outbound
