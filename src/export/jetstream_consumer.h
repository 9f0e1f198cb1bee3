// jetstream_consumer.h — Messages of a stream by durable pull consumers, one for each subject, that any number of processes share.
//
// Spec:     JetStream's API: CONSUMER.INFO, CONSUMER.DURABLE.CREATE, CONSUMER.MSG.NEXT; acknowledgements +ACK, -NAK, +WPI.
//           One filter subject a consumer: servers before 2.10 know no more.
// Runs on:  one thread.
// Owns:     the connection.
// Bounds:   holds nothing: what was asked for, and not more than octets_asked_max at once, comes and is handed on. A call blocks
//           at most for the connection's time-outs and api_timeout_ms for each question.
// Failure:  without a server, a stream or a consumer nothing comes, and trouble says why; it is tried again. What of an existing
//           consumer cannot be ours (push, other subject, other acknowledgements) is refused in words.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "export/expiry_watch.h"
#include "export/jetstream_api.h"
#include "export/nats_client.h"
#include "export/publisher_parts.h"

namespace weir::outbound {

inline constexpr size_t kConsumerInputsMax = 16;

struct ConsumerConfig {
  NatsConfig nats;
  std::string stream = "events";
  std::string name = "weir-etl";       // what the consumers' names begin with
  std::vector<std::string> subjects;   // wildcards allowed; at most kConsumerInputsMax
  bool only_new = false;               // of a consumer that is made: nothing that was stored before
  uint32_t ack_wait_ms = 30'000;       // an unacknowledged message comes again after it
  uint32_t max_ack_pending = 1024;     // of all who share the consumer
  uint32_t api_timeout_ms = 2000;
  uint64_t octets_asked_max = 16 << 20;
};

/// `weir-etl`, `flows.raw.*` → `weir-etl-flows-raw-any`.
std::string consumer_name(std::string_view name, std::string_view subject);

/// What the subject of an acknowledgement says of its message.
struct DeliveryPlace {
  std::string_view stream;
  std::string_view consumer;
  uint64_t deliveries = 0;         // 1: the first
  uint64_t stream_sequence = 0;
  uint64_t consumer_sequence = 0;
  uint64_t stored_ns = 0;          // since the epoch, by the server; the same at each delivery
};
std::optional<DeliveryPlace> parse_ack_subject(std::string_view subject) noexcept;

struct Delivery {
  NatsReply message;
  uint32_t input = 0;  // which of the subjects
  uint64_t deliveries = 0;
  uint64_t sequence = 0;  // in the stream
  uint64_t stored_ns = 0; // when the stream took it
};

/// A consumer, as it was when it was last looked at.
struct ConsumerLook {
  std::string subject;
  std::string consumer;
  bool is_ready = false;
  std::string trouble;            // empty: none
  bool takes_whole_stream = false;
  uint64_t pending = 0;           // not delivered to anybody yet
  uint64_t ack_pending = 0;       // delivered, to whomever, and not acknowledged
  uint64_t redelivered = 0;       // of these, more than once
  uint64_t acknowledged_to = 0;   // the stream's sequence up to which all are
  uint64_t expired_in_stream = 0;
  uint64_t made = 0;              // how often it was not there
};

/// The stream, at the same time.
struct StreamLook {
  uint64_t messages = 0;
  uint64_t first = 0;
  uint64_t last = 0;
};

class JetStreamConsumer {
 public:
  /// After so long none of our requests can take a message any more.
  static constexpr uint32_t kRequestMaxMs = 7000;

  static Result<std::unique_ptr<JetStreamConsumer>> make(ConsumerConfig config);
  ~JetStreamConsumer();

  /// Connects, makes consumers, looks at them about once a second.
  void step(uint64_t steady_now_ns);
  /// At the next step, rather than in a second.
  void look_soon() noexcept { next_look_ns_ = 0; }

  /// Messages that were asked for and have not come.
  uint32_t outstanding(uint32_t input, uint64_t steady_now_ns) noexcept;
  /// While none is outstanding: asks for so many.
  void ask(uint32_t input, uint32_t messages, uint64_t steady_now_ns);
  /// Puts what has come behind `deliveries`; waits for a first one at most `wait_ms`.
  void take(std::vector<Delivery>& deliveries, int wait_ms);
  /// Ends such a wait early. Any thread.
  void wake() noexcept { client_->wake(); }

  /// False where there is no connection just now: try again.
  bool acknowledge(const NatsReply& message) { return acknowledge(message.reply()); }
  /// The same for who has kept no more of a message than its reply().
  bool acknowledge(std::string_view reply);
  /// Somebody shall have it again, after `delay_ms`. Without a delay a request of our own that is still open gets it.
  bool give_back(const NatsReply& message, uint32_t delay_ms) { return give_back(message.reply(), delay_ms); }
  bool give_back(std::string_view reply, uint32_t delay_ms);
  /// It is being worked on: its time begins anew.
  bool prolong(const NatsReply& message) { return prolong(message.reply()); }
  bool prolong(std::string_view reply);
  /// What was sent has come to the server.
  bool flush(int timeout_ms) noexcept { return client_->flush(timeout_ms); }

  size_t inputs() const noexcept { return inputs_.size(); }
  const ConsumerLook& look(size_t input) const noexcept { return inputs_[input].look; }
  const StreamLook& stream() const noexcept { return stream_; }
  /// When it was made, as the server writes it; empty: not looked at yet.
  const std::string& stream_created() const noexcept { return stream_created_; }
  bool is_connected() const noexcept { return client_->connected(); }
  uint64_t reconnects() const noexcept { return client_->reconnects() + (connects_ > 0 ? connects_ - 1 : 0); }
  uint64_t renewals() const noexcept { return client_->renewals(); }
  /// What a message may hold, headers included; 0 before the first connect.
  size_t payload_max() const noexcept { return client_->payload_max(); }
  /// Of the connection or the stream, in an operator's words; empty: none.
  std::string trouble() const;

 private:
  struct Input {
    ConsumerLook look;
    ExpiryWatch expiry;
    uint32_t outstanding = 0;
    uint64_t token = 0;  // of the last request
    uint64_t asks_from_ns = 0;  // after a refusal
    uint64_t asked_until_ns = 0;
    bool is_settled = false;  // its configuration is as ours
  };

  JetStreamConsumer(ConsumerConfig config, std::unique_ptr<NatsClient> client);
  void keep_connected(uint64_t now_ns);
  bool look_at_stream();
  bool look_at(Input& input);
  bool make_consumer(Input& input);
  bool settle(Input& input, const Json& config);
  bool note(Input& input, const ApiAnswer& answer, const char* what);
  void on_status(const NatsReply& reply);

  const ConsumerConfig config_;
  const std::unique_ptr<NatsClient> client_;
  std::vector<Input> inputs_;
  StreamLook stream_;
  std::vector<std::string> stream_subjects_;
  std::string stream_created_;  // when, as the server writes it
  std::string connection_trouble_;
  std::string stream_trouble_;
  Backoff backoff_;
  std::vector<NatsReply> replies_;
  uint64_t requests_ = 0;
  uint64_t next_look_ns_ = 0;
  uint64_t next_connect_ns_ = 0;
  uint64_t disconnects_seen_ = 0;
  uint64_t connects_ = 0;
};

}  // namespace weir::outbound
