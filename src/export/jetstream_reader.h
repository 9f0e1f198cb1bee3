// jetstream_reader.h — Flows read back from a stream, by an ephemeral pull consumer of its own.
//
// Runs on:  one thread.
// Bounds:   each call ends within the wait it is given and the connection's time-outs.
// Failure:  an Error when server, stream or consumer are not there. A message that does not parse is the
//           caller's to count. A consumer that is lost (the server restarted) is made again behind the
//           last message that was read.
//
// Acknowledges nothing and changes nothing: other consumers do not notice it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "export/framing.h"
#include "export/nats_client.h"
#include "export/outbound_batch.h"

namespace flowpb {
class FlowBatch;
}

namespace weir::outbound {

struct StreamMessage {
  std::string subject;
  std::string id;  // Nats-Msg-Id; empty: none
  std::optional<Framing> framing;  // nothing: one, or a packing, that is not known, or not what it is
  RecordKind kind = RecordKind::flow;
  std::string payload;     // a batch, or a single message; whatever else it was, it is a batch now
  uint64_t sequence = 0;   // in the stream
  uint64_t stored_ns = 0;  // when the server took it, since the epoch
};

struct ReaderConfig {
  NatsConfig nats;
  std::string stream = "events";
  std::string subject = "flows.raw.*";  // one token: what consumers derive from flows lies deeper
  uint64_t start_sequence = 0;          // 0: the first that the stream has
  bool only_new = false;                // nothing that was stored before now
};

class JetStreamReader {
 public:
  static Result<std::unique_ptr<JetStreamReader>> open(const ReaderConfig& config);
  ~JetStreamReader();

  /// The next message in the stream's order; nothing when none came within `wait_ms`.
  Result<std::optional<StreamMessage>> next(int wait_ms);

  /// The stream as it was when the reader was opened.
  uint64_t first_sequence() const noexcept;
  uint64_t last_sequence() const noexcept;

  /// How many messages are still to come, as the server last said.
  uint64_t pending() const noexcept;

  /// Reads again from `sequence`.
  Result<void> seek(uint64_t sequence);

 private:
  struct State;
  explicit JetStreamReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// By its header; without one a first octet of 0x0A is a FlowBatch, anything else one FlowMessage.
/// Nothing for a header that this version does not know.
std::optional<Framing> framing_of(const char* header_or_null, const std::string& payload) noexcept;

/// Takes the message for what its headers say, or for what it looks like without (null), and makes a batch
/// of it unless it is one, or a single message.
void unframe(StreamMessage& message, const char* framing, const char* compression);

/// What a message holds: its header says so; without one, its subject (flows.counters.…,
/// flows.discards.…). A kind that this version does not know is count_.
RecordKind kind_of(const char* header_or_null, std::string_view subject) noexcept;

/// The message's flows, by protobuf's own classes; false when some do not parse (the others are
/// there), or when the framing is not known.
bool parse_flows(const StreamMessage& message, flowpb::FlowBatch& flows);

}  // namespace weir::outbound
