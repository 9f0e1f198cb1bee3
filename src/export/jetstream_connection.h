// jetstream_connection.h — One connection to JetStream and the batches that go over it, each acknowledged by its own replies.
//
// Runs on:  publisher_thread; both troubles on any.
// Owns:     the connection. A batch stays in its slot, and its octets where they are, until reported or handed over.
// Bounds:   window_batches slots and window_messages broker messages without an answer. A step blocks at most for one of
//           the connection's time-outs (NatsConfig, api_timeout_ms), and only where it is its turn.
// Failure:  a message that is not acknowledged within publish_timeout_ms, is refused, or was under way
//           when the connection broke is sent again under the same Nats-Msg-Id, with exponential
//           back-off and jitter, for as long as its batch is in flight.
#pragma once

#include "base/waker.h"
#include "export/jetstream_stream.h"
#include "export/message_window.h"
#include "export/nats_client.h"
#include "export/publisher.h"
#include "export/publisher_parts.h"

namespace weir::outbound {

struct JetStreamConfig {
  NatsConfig nats;
  StreamConfig stream;
  Subjects subjects;  // by RouteId, with placeholders
  Framing framing = Framing::batch;
  Compression compression = Compression::none;
  RunIdentity identity;

  uint32_t connections = 1;         // at most kJetStreamConnectionsMax; they share the window
  uint32_t window_batches = 64;     // at most kWindowBatchesMax
  uint32_t window_messages = 4096;  // matters with framing single
  uint32_t publish_timeout_ms = 5000;
  uint32_t api_timeout_ms = 2000;  // for requests about the stream
  uint32_t retry_first_ms = 100;
  uint32_t retry_max_ms = 5000;
};

inline constexpr uint32_t kJetStreamConnectionsMax = 8;

class JetStreamConnection {
 public:
  static constexpr uint64_t kNoDeadline = ~uint64_t{0};

  /// What a step is given.
  struct Step {
    uint64_t deadline_ns = kNoDeadline;  // of a drain
    uint64_t patience_ns = kPatientForEver;
    bool is_its_turn = true;  // it may wait for the server: to connect, to look at the stream
  };

  /// `config` outlives it; this is the connection of that number, from 0, and has its share of the window. `waker` is
  /// told of replies.
  static Result<std::unique_ptr<JetStreamConnection>> make(const JetStreamConfig& config, PublisherCounters& counters,
                                                           std::shared_ptr<Waker> waker, uint32_t number);
  ~JetStreamConnection();

  void submit(OutboundBatch& batch, OutcomeSink& outcomes);
  void step(const Step& step, OutcomeSink& outcomes);
  /// One batch of which no answer is awaited, with what is known of its messages; false: there is none. `to` has room.
  bool hand_over(JetStreamConnection& to, OutcomeSink& outcomes);
  void fail_all(DeliveryFailure why, OutcomeSink& outcomes);

  bool is_full() const noexcept { return window_.is_full(); }
  size_t in_flight() const noexcept { return window_.in_flight(); }
  size_t awaiting() const noexcept { return window_.awaiting(); }
  bool connected() const noexcept { return client_->connected(); }
  bool can_publish() const noexcept { return may_publish_ && client_->connected(); }
  bool has_replies() const noexcept { return client_->has_replies(); }
  /// When step has something to do even without an answer.
  uint64_t next_due_ns(uint64_t patience_ns) const noexcept;
  /// Why this connection is away; empty when it is not. Any thread.
  std::string away_trouble() const;
  /// What the stream, or whoever has its subjects, does not take or answer; the same for every connection. Any thread.
  std::string trouble() const { return trouble_.text(); }
  /// The stream's own limit of a message, once it was looked at; 0: none, or not known.
  uint64_t stream_octets_max() const noexcept { return stream_octets_max_; }

 private:
  using Token = MessageWindow::Token;
  using State = MessageWindow::State;
  using Message = MessageWindow::Message;
  using Slot = MessageWindow::Slot;

  JetStreamConnection(const JetStreamConfig& config, PublisherCounters& counters, std::unique_ptr<NatsClient> client,
                      uint32_t number);

  void keep_connected(uint64_t now_ns, const Step& step);
  void connect(uint64_t now_ns, uint64_t deadline_ns);
  void take_subjects();
  void notice_disconnects();
  void check_stream(uint64_t now_ns);
  void note_away(std::string why);
  void note_well();
  void take_replies(OutcomeSink& outcomes);
  void on_reply(const NatsReply& reply, OutcomeSink& outcomes);
  void on_refusal(Token token, const PublishAck& ack, OutcomeSink& outcomes);
  void expire(uint64_t now_ns);
  void give_back(uint64_t now_ns, const Step& step, OutcomeSink& outcomes);
  void pump(uint64_t now_ns, OutcomeSink& outcomes);
  bool shrink(Token token);
  void send(Token token, uint64_t now_ns, OutcomeSink& outcomes);
  size_t headers_octets_max() const noexcept;
  size_t message_octets_max() const noexcept;
  void delay(Token token, uint64_t now_ns, DeliveryFailure why);
  void finish(uint32_t index, const Outcome& outcome, OutcomeSink& outcomes);
  void fail(uint32_t index, DeliveryFailure why, OutcomeSink& outcomes);

  const JetStreamConfig& config_;
  const uint32_t messages_max_;  // without an answer
  const Addressing addressing_;
  std::shared_ptr<const Subjects::List> subjects_seen_;  // those that stream_ has
  StreamConfig stream_;
  MessageFormer former_;
  const std::unique_ptr<NatsClient> client_;
  PublisherCounters& counters_;

  Trouble away_trouble_;
  Trouble trouble_;
  Backoff backoff_;
  MessageWindow window_;
  std::vector<NatsReply> replies_;  // of one step

  bool stream_ready_ = false;  // as far as we know
  bool must_check_ = false;    // it did not take a message: only a look at it tells why
  bool may_publish_ = false;
  uint64_t next_check_ns_ = 0;
  uint64_t check_wait_ns_ = 0;
  uint64_t stream_octets_max_ = 0;
  uint64_t found_octets_max_ = 0;  // by halving, where nobody tells; as long as the connection is
  uint64_t next_connect_ns_ = 0;
  uint64_t next_give_back_ns_ = 0;
  uint64_t hold_until_ns_ = 0;  // the library would not take a message just now
  uint64_t disconnects_seen_ = 0;
  uint64_t reconnects_seen_ = 0;
  uint64_t renewals_seen_ = 0;
  uint64_t connects_ = 0;  // our own, successful
};

}  // namespace weir::outbound
