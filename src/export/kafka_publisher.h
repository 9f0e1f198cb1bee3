// kafka_publisher.h — Batches to Apache Kafka, each acknowledged by the delivery reports of its messages.
//
// Runs on:  publisher_thread; wake, last_error and counters on any.
// Owns:     the producer. A batch stays in its slot, and its octets where they are, until reported.
// Bounds:   window_batches slots and window_messages messages without a report; of messages whose octets are
//           not the batch's own, kFormedOctetsMax under way (or one).
// Failure:  the library sends again what the cluster does not take now. What it gives up is handed to it
//           again under the same Weir-Msg-Id, with back-off and jitter, for as long as its batch is in
//           flight; what is refused kRefusalsMax times is rejected. A producer that can do nothing any more
//           (a fatal error) is replaced by a new one, which gets everything that had no report; what the
//           old one had stored without telling is stored twice then, with the same Weir-Msg-Id.
//
// One batch is one message, one for each record (framing single, netflow_record), or several parts where it
// exceeds message.max.bytes; it is acknowledged when all of them are.
#pragma once

#include <deque>
#include <queue>

#include "export/kafka_client.h"
#include "export/publisher_parts.h"

namespace weir::outbound {

inline constexpr size_t kFormedOctetsMax = 64 << 20;

class KafkaPublisher final : public Publisher {
 public:
  static Result<std::unique_ptr<KafkaPublisher>> make(KafkaPublisherConfig config);

  std::string_view kind() const noexcept override { return "kafka"; }
  bool submit(OutboundBatch& batch, OutcomeSink& outcomes) override WEIR_RUNS_ON(publisher_thread);
  void poll(int wait_ms, OutcomeSink& outcomes) override WEIR_RUNS_ON(publisher_thread);
  void drain(const std::atomic<uint64_t>& deadline_steady_ns, OutcomeSink& outcomes) override
      WEIR_RUNS_ON(publisher_thread);
  void wake() noexcept override { client_->wake(); }
  size_t in_flight() const noexcept override { return in_flight_; }
  const PublisherCounters& counters() const noexcept override { return counters_; }
  std::string last_error() const override { return trouble_.text(); }

 private:
  /// Slot and number of the message. Neither is used again before the report has come or the producer,
  /// with all that it knew, is closed.
  using Token = uint64_t;

  enum class MessageState : uint8_t { ready, delayed, under_way, stored };
  struct Message {
    MessageSlice slice;
    uint32_t formed_octets = 0;  // under way, beside the batch
    uint32_t attempts = 0;
    uint8_t refusals = 0;
    MessageState state = MessageState::ready;
  };
  struct Slot {
    OutboundBatch* batch = nullptr;  // null: free
    uint32_t open = 0;               // messages not stored
    uint32_t under_way = 0;
    uint64_t submitted_ns = 0;
    bool numbered = false;           // ids end in the message's number
    // Why it fails as soon as nothing of it is under way; its octets are in use until then.
    DeliveryFailure doomed = DeliveryFailure::count_;
    std::string id;
    std::string topic;
    std::string key;
    std::vector<Message> messages;
  };
  struct Due {
    uint64_t at_ns;
    Token token;
    bool operator>(const Due& other) const { return at_ns > other.at_ns; }
  };

  KafkaPublisher(KafkaPublisherConfig config, std::unique_ptr<KafkaClient> client);

  enum class Draining : bool { no, yes };
  void step(int wait_ms, Draining draining, OutcomeSink& outcomes);
  void give_back(uint64_t now_ns, Draining draining, OutcomeSink& outcomes);
  void keep_open(uint64_t now_ns, OutcomeSink& outcomes);
  void replace_producer(OutcomeSink& outcomes);
  void purge(KafkaPurge what, uint64_t at_most_ns, OutcomeSink& outcomes);
  void take_reports(OutcomeSink& outcomes);
  void on_report(const KafkaReport& report, OutcomeSink& outcomes);
  void note_state();
  void pump(uint64_t now_ns, OutcomeSink& outcomes);
  bool divide(Slot& slot);
  /// False when there is no more room for now.
  bool send(Token token, uint64_t now_ns, OutcomeSink& outcomes);
  void back_from_library(Slot& slot, Message& message) noexcept;
  void delay(Token token, uint64_t now_ns);
  void doom(uint32_t index, DeliveryFailure why, OutcomeSink& outcomes);
  void settle(uint32_t index, const Outcome& outcome, OutcomeSink& outcomes);
  Message* find(Token token, uint32_t& index) noexcept;
  int wait_until_due(int wait_ms) const noexcept;

  const KafkaPublisherConfig config_;
  const Addressing addressing_;
  MessageFormer former_;
  std::vector<MessageSlice> slices_;  // of the batch that is being divided
  const std::unique_ptr<KafkaClient> client_;
  PublisherCounters counters_;
  Trouble trouble_;
  Backoff backoff_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::deque<uint32_t> undivided_;
  std::deque<Token> ready_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> delayed_;
  size_t in_flight_ = 0;
  size_t under_way_ = 0;
  size_t formed_octets_ = 0;  // of messages under way
  uint64_t own_retries_ = 0;
  uint64_t next_give_back_ns_ = 0;
  uint64_t hold_until_ns_ = 0;  // the library's queue was full
  uint64_t next_open_ns_ = 0;
  uint32_t deaths_ = 0;  // of producers, since one of them stored something
};

}  // namespace weir::outbound
