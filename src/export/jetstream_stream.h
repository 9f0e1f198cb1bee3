// jetstream_stream.h — The stream that flows are published to: create it, or add our subjects to it.
//
// Runs on:  publisher_thread. Each call makes a few requests, each bounded by its time-out.
// Failure:  nothing that exists is deleted, and of an existing stream only `subjects` is changed: its
//           configuration goes back to the server as the JSON that came, with the settings that this
//           program does not know.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/named_enum.h"
#include "export/nats_client.h"

namespace weir::outbound {

#define WEIR_STREAM_STORAGES(X) X(file) X(memory)
WEIR_NAMED_ENUM(StreamStorage, uint8_t, WEIR_STREAM_STORAGES)

/// limits: messages go when the stream is full or they are too old. workqueue: when a consumer has
/// acknowledged them. interest: when all consumers have.
#define WEIR_STREAM_RETENTIONS(X) X(limits) X(workqueue) X(interest)
WEIR_NAMED_ENUM(StreamRetention, uint8_t, WEIR_STREAM_RETENTIONS)

/// What to do when another stream has one of our subjects.
enum class SubjectOverlap : uint8_t {
  refuse,  // publish nothing, say what to do
  adopt,   // publish into that stream
};

/// For a stream that is created; of one that exists only the subjects are looked at.
struct StreamConfig {
  std::string name = "events";
  std::vector<std::string> subjects;
  StreamStorage storage = StreamStorage::file;
  StreamRetention retention = StreamRetention::limits;
  uint64_t max_bytes = 10ull << 30;
  uint32_t replicas = 1;
  uint64_t max_age_ns = 0;            // 0: no limit
  uint64_t messages_per_subject = 0;  // the newest so many are kept; 0: no limit
  // Within it the server knows a message that it has by its id. It should exceed the time that a
  // broker is away; the server keeps every id of the window in memory.
  uint64_t duplicate_window_ns = 120'000'000'000;
  SubjectOverlap overlap = SubjectOverlap::refuse;
};

struct StreamCheck {
  enum class State : uint8_t {
    ready,
    unknown,  // no answer, or no permission to ask: publishing will tell
    refused,  // publishing cannot work, or must not; `trouble` says why and what to do
  };
  State state = State::unknown;
  std::string trouble;              // in an operator's words; empty when ready
  uint64_t message_octets_max = 0;  // the stream's own limit; 0: none
  bool created = false;             // it was not there
  bool extended = false;            // it was, without some of our subjects
};

/// Creates the stream, or merges our subjects into it, unless it has them already.
StreamCheck ensure_stream(NatsClient& client, const StreamConfig& config, int timeout_ms);

/// Whether every subject that `subject` (which may have wildcards itself) stands for matches `pattern`.
bool covers(std::string_view pattern, std::string_view subject) noexcept;
/// Whether some subject matches both.
bool overlap(std::string_view a, std::string_view b) noexcept;

/// A server's answer to a publish.
struct PublishAck {
  bool valid = false;  // it was one
  bool positive = false;
  bool duplicate = false;
  int code = 0;      // HTTP-like
  int err_code = 0;  // JetStream's own
  std::string description;
};
PublishAck parse_publish_ack(std::string_view json);

}  // namespace weir::outbound
