// meta_publisher.h — Single messages to a JetStream stream of their own, each on its own subject.
//
// Runs on:  publisher_thread; wake, counters and last_error on any.
// Owns:     the connection. Messages belong to whoever submits them, until they are reported.
// Bounds:   kMetaWindow messages without an answer. A call blocks at most for the connection's
//           time-outs (NatsConfig).
// Failure:  a message that is not acknowledged in time, or was under way when the connection broke, is
//           sent again under the same Nats-Msg-Id with a growing delay. One that the server refuses
//           kMetaRejectionsMax times is reported as failed. Whoever submits sees to it that two
//           messages of one subject are not under way at once: nothing else keeps their order.
#pragma once

#include <array>
#include <mutex>

#include "base/counter.h"
#include "base/thread_roles.h"
#include "export/jetstream_stream.h"
#include "export/nats_client.h"

namespace weir::outbound {

inline constexpr size_t kMetaWindow = 32;
inline constexpr uint8_t kMetaRejectionsMax = 5;

struct MetaConfig {
  NatsConfig nats;
  StreamConfig stream;
  uint32_t publish_timeout_ms = 5000;
  uint32_t api_timeout_ms = 2000;
  uint32_t retry_first_ms = 100;
  uint32_t retry_max_ms = 5000;
};

struct MetaMessage {
  std::string subject;
  std::string id;  // Nats-Msg-Id
  std::string payload;
};

struct MetaCounters {
  Counter connected;  // gauge
  Counter messages;   // sent, retries included
  Counter acknowledged;
  Counter failed;
  Counter retries;
  Counter streams_created;  // the stream was not there
};

class MetaOutcomeSink {
 public:
  virtual void on_meta_outcome(MetaMessage& message, bool acknowledged) = 0;

 protected:
  ~MetaOutcomeSink() = default;
};

class MetaPublisher {
 public:
  /// Checks the configuration; connecting is poll's business.
  static Result<std::unique_ptr<MetaPublisher>> make(MetaConfig config);

  /// False when the window is full.
  bool submit(MetaMessage& message) WEIR_RUNS_ON(publisher_thread);
  /// Connects, sends what is due, waits for answers at most `wait_ms`.
  void poll(int wait_ms, MetaOutcomeSink& outcomes) WEIR_RUNS_ON(publisher_thread);
  /// Reports all that is under way as failed.
  void give_up(MetaOutcomeSink& outcomes) WEIR_RUNS_ON(publisher_thread);
  size_t in_flight() const noexcept { return in_flight_; }

  void wake() noexcept { client_->wake(); }
  const MetaCounters& counters() const noexcept { return counters_; }
  std::string last_error() const;

 private:
  struct Slot {
    MetaMessage* message = nullptr;  // null: free
    uint64_t generation = 0;         // so that a late answer meets nobody else
    uint64_t due_ns = 0;             // to be sent, or to be sent again
    uint32_t attempts = 0;
    uint8_t rejections = 0;
    bool is_awaiting = false;
  };

  MetaPublisher(MetaConfig config, std::unique_ptr<NatsClient> client)
      : config_(std::move(config)), client_(std::move(client)) {}

  bool keep_connected(uint64_t now_ns);
  void send_due(uint64_t now_ns, MetaOutcomeSink& outcomes);
  void take_replies(int wait_ms, MetaOutcomeSink& outcomes);
  void delay(Slot& slot, uint64_t now_ns) const noexcept;
  void finish(Slot& slot, bool acknowledged, MetaOutcomeSink& outcomes);
  int wait_for_next_ms(int wait_ms, uint64_t now_ns) const noexcept;
  void set_error(std::string text);

  const MetaConfig config_;
  const std::unique_ptr<NatsClient> client_;
  MetaCounters counters_;
  std::array<Slot, kMetaWindow> slots_;
  size_t in_flight_ = 0;
  bool stream_ready_ = false;
  uint64_t next_connect_ns_ = 0;
  uint64_t next_check_ns_ = 0;
  uint64_t disconnects_seen_ = 0;

  mutable std::mutex error_mutex_;
  std::string last_error_;
};

}  // namespace weir::outbound
