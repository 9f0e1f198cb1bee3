// jetstream_publisher.h — Batches to NATS JetStream, over one connection or several, each acknowledged by its own replies.
//
// Runs on:  publisher_thread; last_error and counters on any.
// Owns:     the connections (JetStreamConnection), which have the batches.
// Bounds:   window_batches and window_messages of all connections together. A call blocks at most for one connection's
//           time-outs (NatsConfig, api_timeout_ms): only one of them connects, or asks about the stream, in a step.
// Failure:  as each connection's. What a connection that is away has in hand goes over another, where one can publish.
//
// One batch is one broker message, one for each record (framings single and netflow_record), or several
// parts where it exceeds what the server or the stream takes; it is acknowledged when all of them are. A
// part's id ends in the numbers of its first and last record, so that parts of another division, after
// the limit changed, are never taken for it.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "export/jetstream_connection.h"

namespace weir::outbound {

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
  void wake() noexcept override;
  size_t in_flight() const noexcept override;
  const PublisherCounters& counters() const noexcept override { return counters_; }
  std::string last_error() const override;
  std::string remark() const override;

  /// The stream's own limit of a message, once it was looked at; 0: none, or not known.
  uint64_t stream_octets_max() const noexcept { return connections_.front()->stream_octets_max(); }

 private:
  explicit JetStreamPublisher(JetStreamConfig config);

  void step(uint64_t deadline_ns, OutcomeSink& outcomes);
  void await_replies(int wait_ms);
  void rescue_stranded(OutcomeSink& outcomes);
  JetStreamConnection* with_room() noexcept;
  uint64_t next_due_ns() const noexcept;

  const JetStreamConfig config_;
  const std::shared_ptr<Waker> waker_ = std::make_shared<Waker>();
  std::atomic<bool> is_woken_{false};
  PublisherCounters counters_;
  std::vector<std::unique_ptr<JetStreamConnection>> connections_;
  const size_t gather_from_;  // messages without an answer
  size_t next_ = 0;           // to be given a batch
  size_t turn_ = 0;           // to wait for the server
};

}  // namespace weir::outbound
