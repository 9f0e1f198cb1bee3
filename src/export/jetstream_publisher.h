// jetstream_publisher.h — Batches to NATS JetStream, each acknowledged by its own replies.
//
// Runs on:  publisher_thread; last_error and counters on any.
// Owns:     the connection. A batch stays in its slot, and its octets where they are, until reported.
// Bounds:   window_batches slots and window_messages broker messages without an answer. A call blocks
//           at most for the connection's time-outs (NatsConfig).
// Failure:  a message that is not acknowledged within publish_timeout_ms, is refused, or was under way
//           when the connection broke is sent again under the same Nats-Msg-Id, with exponential
//           back-off and jitter, for as long as its batch is in flight (set_patience bounds that).
//
// One batch is one broker message, one for each record (framings single and netflow_record), or several
// parts where it exceeds what the server or the stream takes; it is acknowledged when all of them are. A
// part's id ends in the numbers of its first and last record, so that parts of another division, after
// the limit changed, are never taken for it.
#pragma once

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

  uint32_t window_batches = 64;     // at most kWindowBatchesMax
  uint32_t window_messages = 4096;  // matters with framing single
  uint32_t publish_timeout_ms = 5000;
  uint32_t api_timeout_ms = 2000;  // for requests about the stream
  uint32_t retry_first_ms = 100;
  uint32_t retry_max_ms = 5000;
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
  size_t in_flight() const noexcept override { return window_.in_flight(); }
  const PublisherCounters& counters() const noexcept override { return counters_; }
  std::string last_error() const override;

  /// The stream's own limit of a message, once it was looked at; 0: none, or not known.
  uint64_t stream_octets_max() const noexcept { return stream_octets_max_; }

 private:
  using Token = MessageWindow::Token;
  using State = MessageWindow::State;
  using Message = MessageWindow::Message;
  using Slot = MessageWindow::Slot;
  static constexpr uint64_t kNoDeadline = ~uint64_t{0};

  explicit JetStreamPublisher(JetStreamConfig config, std::unique_ptr<NatsClient> client);

  void step(uint64_t now_ns, uint64_t deadline_ns, OutcomeSink& outcomes);
  void keep_connected(uint64_t now_ns, uint64_t deadline_ns);
  void take_subjects();
  void notice_disconnects();
  void check_stream(uint64_t now_ns);
  void take_replies(int wait_ms, OutcomeSink& outcomes);
  void on_reply(const NatsReply& reply, OutcomeSink& outcomes);
  void on_refusal(Token token, const PublishAck& ack, OutcomeSink& outcomes);
  void expire(uint64_t now_ns);
  void give_back(uint64_t now_ns, uint64_t deadline_ns, OutcomeSink& outcomes);
  void pump(uint64_t now_ns, OutcomeSink& outcomes);
  bool shrink(Token token);
  void send(Token token, uint64_t now_ns, OutcomeSink& outcomes);
  size_t headers_octets_max() const noexcept;
  size_t message_octets_max() const noexcept;
  void delay(Token token, uint64_t now_ns, DeliveryFailure why);
  void finish(uint32_t index, const Outcome& outcome, OutcomeSink& outcomes);
  void fail(uint32_t index, DeliveryFailure why, OutcomeSink& outcomes);
  uint64_t next_due_ns() const noexcept;

  const JetStreamConfig config_;
  const Addressing addressing_;
  std::shared_ptr<const Subjects::List> subjects_seen_;  // those that stream_ has
  StreamConfig stream_;
  MessageFormer former_;
  const std::unique_ptr<NatsClient> client_;
  PublisherCounters counters_;

  Trouble trouble_;
  Backoff backoff_;
  MessageWindow window_;
  const size_t gather_from_;  // messages without an answer
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
  uint64_t connects_ = 0;  // our own, successful
};

}  // namespace weir::outbound
