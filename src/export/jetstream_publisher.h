// jetstream_publisher.h — Batches to NATS JetStream, each acknowledged by its own replies.
//
// Runs on:  publisher_thread; last_error and counters on any.
// Owns:     the connection. A batch stays in its slot, and its octets where they are, until reported.
// Bounds:   window_batches slots and window_messages broker messages without an answer. A call blocks
//           at most for the connection's time-outs (NatsConfig).
// Failure:  a message that is not acknowledged within publish_timeout_ms, is refused, or was under way
//           when the connection broke is sent again under the same Nats-Msg-Id, with exponential
//           back-off and jitter, for as long as its batch is in flight (retry_horizon_ms bounds that).
//
// One batch is one broker message, one for each record (framings single and netflow_record), or several
// parts where it exceeds what the server or the stream takes; it is acknowledged when all of them are. A
// part's id ends in the numbers of its first and last record, so that parts of another division, after
// the limit changed, are never taken for it.
#pragma once

#include <deque>
#include <mutex>
#include <queue>

#include "export/jetstream_stream.h"
#include "export/nats_client.h"
#include "export/publisher.h"

namespace weir::outbound {

inline constexpr size_t kWindowBatchesMax = 4096;

struct JetStreamConfig {
  NatsConfig nats;
  StreamConfig stream;
  std::vector<std::string> subjects;  // by RouteId, with placeholders
  Framing framing = Framing::batch;
  Compression compression = Compression::none;
  RunIdentity identity;

  uint32_t window_batches = 64;     // at most kWindowBatchesMax
  uint32_t window_messages = 4096;  // matters with framing single
  uint32_t publish_timeout_ms = 5000;
  uint32_t api_timeout_ms = 2000;  // for requests about the stream
  uint32_t retry_first_ms = 100;
  uint32_t retry_max_ms = 5000;
  uint64_t retry_horizon_ms = 0;  // 0: while the batch is in flight
};

class JetStreamPublisher final : public Publisher {
 public:
  /// Checks the configuration; connecting is poll's business, so that an absent broker is survived.
  static Result<std::unique_ptr<JetStreamPublisher>> make(JetStreamConfig config);
  ~JetStreamPublisher() override;

  std::string_view kind() const noexcept override { return "jetstream"; }
  bool submit(OutboundBatch& batch, OutcomeSink& outcomes) override WEIR_RUNS_ON(publisher_thread);
  void poll(int wait_ms, OutcomeSink& outcomes) override WEIR_RUNS_ON(publisher_thread);
  void drain(const std::atomic<uint64_t>& deadline_steady_ns, OutcomeSink& outcomes) override
      WEIR_RUNS_ON(publisher_thread);
  void wake() noexcept override { client_->wake(); }
  size_t in_flight() const noexcept override { return in_flight_; }
  const PublisherCounters& counters() const noexcept override { return counters_; }
  std::string last_error() const override;

 private:
  /// Slot, its generation (so that a late answer meets nobody else) and message, in 64 bits.
  using Token = uint64_t;

  enum class MessageState : uint8_t {
    queued,    // in ready_
    delayed,   // in delayed_
    awaiting,  // sent; due_ns is the end of its time-out
    acknowledged,
  };
  struct Message {
    MessageSlice slice;
    uint16_t attempts = 0;
    uint8_t rejections = 0;
    MessageState state = MessageState::queued;
    uint64_t due_ns = 0;
  };
  struct Slot {
    OutboundBatch* batch = nullptr;  // null: free
    uint32_t generation = 0;
    uint32_t open = 0;  // messages not acknowledged
    uint32_t awaiting = 0;
    bool numbered = false;  // ids end in the message's number, or in those of its records
    bool duplicate = false;
    DeliveryFailure trouble = DeliveryFailure::not_connected;  // the last reason not to be done
    uint64_t submitted_ns = 0;
    std::string id;
    std::string subject;
    std::vector<Message> messages;
  };
  struct Due {
    uint64_t at_ns;
    Token token;
    bool operator>(const Due& other) const { return at_ns > other.at_ns; }
  };
  static constexpr uint64_t kNoDeadline = ~uint64_t{0};

  explicit JetStreamPublisher(JetStreamConfig config, std::unique_ptr<NatsClient> client);

  void step(uint64_t now_ns, uint64_t deadline_ns, OutcomeSink& outcomes);
  void keep_connected(uint64_t now_ns, uint64_t deadline_ns);
  void notice_disconnects();
  void check_stream(uint64_t now_ns);
  void take_replies(int wait_ms, OutcomeSink& outcomes);
  void on_reply(const NatsReply& reply, OutcomeSink& outcomes);
  void on_refusal(Token token, const PublishAck& ack, OutcomeSink& outcomes);
  void expire(uint64_t now_ns, OutcomeSink& outcomes);
  void pump(uint64_t now_ns, OutcomeSink& outcomes);
  void send(Token token, uint64_t now_ns, OutcomeSink& outcomes);
  bool divide(uint32_t slot_index);
  bool divide_further(Token token);
  size_t message_octets_max() const noexcept;
  void append_number(Slot& slot, const Message& message) const;
  void delay(Token token, uint64_t now_ns, DeliveryFailure why);
  void finish(uint32_t slot_index, const Outcome& outcome, OutcomeSink& outcomes);
  void fail(uint32_t slot_index, DeliveryFailure why, OutcomeSink& outcomes);
  Message* find(Token token, uint32_t& slot_index) noexcept;
  Token token_of(uint32_t slot_index, uint32_t message) const noexcept;
  uint64_t next_due_ns() const noexcept;
  uint64_t jittered(uint64_t ns) noexcept;
  void set_trouble(std::string text);
  void clear_trouble();

  const JetStreamConfig config_;
  const Addressing addressing_;
  MessageFormer former_;
  const std::unique_ptr<NatsClient> client_;
  PublisherCounters counters_;

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::vector<NatsReply> replies_;    // of one step
  std::vector<MessageSlice> slices_;  // of the batch that is being divided
  std::deque<uint32_t> undivided_;  // submitted, not yet made into messages
  std::deque<Token> ready_;
  std::deque<Due> deadlines_;  // of what awaits an answer, in order
  std::priority_queue<Due, std::vector<Due>, std::greater<>> delayed_;
  size_t in_flight_ = 0;
  size_t awaiting_ = 0;

  bool stream_ready_ = false;  // as far as we know
  bool may_publish_ = false;
  uint64_t next_check_ns_ = 0;
  uint64_t check_wait_ns_ = 0;
  uint64_t stream_octets_max_ = 0;
  uint64_t next_connect_ns_ = 0;
  uint64_t hold_until_ns_ = 0;  // the library would not take a message just now
  uint64_t disconnects_seen_ = 0;
  uint64_t reconnects_seen_ = 0;
  uint64_t connects_ = 0;  // our own, successful
  uint64_t random_;

  mutable std::mutex error_mutex_;
  std::string last_error_;
  bool troubled_ = false;
};

}  // namespace weir::outbound
