// kafka_client.h — An idempotent producer: librdkafka behind a small face.
//
// Runs on:  the thread that uses it; wake on any. The library's own threads touch the payloads of what
//           is under way, and nothing else of ours.
// Owns:     the producer. A payload that is not copied stays until its report was taken, or after close().
// Bounds:   whatever the caller keeps under way; the library's queue refuses beyond its own bounds.
// Failure:  each message that was queued comes back as exactly one KafkaReport, unless close() came
//           first. The library retries for as long as it may; a report other than `stored` is final for
//           it, not for the caller. is_dead(): the producer can do nothing any more and must be closed.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "base/result.h"
#include "base/waker.h"
#include "export/kafka.h"

namespace weir::outbound {

struct KafkaReport {
  enum class Result : uint8_t {
    stored,
    given_up,   // by a purge, or with the producer
    no_topic,   // the cluster does not have it (now)
    refused,    // it will never take this message
    too_large,
    failed,     // anything else that may pass
  };
  uint64_t token = 0;
  Result result = Result::failed;
  const char* text = "";  // the library's words, static
};

struct KafkaHeader {
  const char* name;
  std::string_view value;
};

struct KafkaMessage {
  uint64_t token = 0;
  const char* topic = "";
  std::string_view key;  // empty: none
  std::span<const uint8_t> payload;
  bool is_passing = false;  // the payload lasts for the call only: it is copied
  std::span<const KafkaHeader> headers;
};

enum class KafkaSent : uint8_t { queued, full, not_now, too_large, refused, dead };

/// all: also what a broker may have stored, whose answer is not waited for.
enum class KafkaPurge : uint8_t { waiting, all };

class KafkaClient {
 public:
  /// Checks all options, without a broker.
  static Result<std::unique_ptr<KafkaClient>> make(KafkaConfig config);
  ~KafkaClient();

  bool is_open() const noexcept;
  Result<void> open();
  /// Ends the producer and its threads: nothing is under way any more, nothing is reported any more.
  void close();

  /// Of one message, with its key and headers.
  size_t message_octets_max() const noexcept { return message_octets_max_; }
  bool is_connected() const noexcept { return is_connected_; }
  bool is_dead() const noexcept { return is_dead_; }
  /// What went wrong last, and forgets it.
  std::string take_trouble();

  KafkaSent send(const KafkaMessage& message);
  /// Waits at most `wait_ms` for news.
  void perform(int wait_ms);
  bool take_report(KafkaReport& report);
  /// What waits in the library, or all that is under way, is given up; the reports follow.
  void purge(KafkaPurge what);
  /// How often the library has sent a message again by itself.
  uint64_t retries() const noexcept { return retries_; }

  /// Ends a wait in perform, or the next one.
  void wake() noexcept;

 private:
  struct Library;  // librdkafka's own

  KafkaClient(KafkaConfig config, std::unique_ptr<Library> library);
  void on_error(int error, const char* text);
  void on_statistics(const char* text);

  const KafkaConfig config_;
  const std::unique_ptr<Library> library_;
  std::mutex wake_mutex_;  // guards the queue that wake needs against close
  Waker closed_;           // what perform waits on without a producer
  std::deque<KafkaReport> reports_;
  std::string trouble_;
  std::string cause_;  // the last trouble with one broker
  size_t message_octets_max_ = 0;
  bool is_connected_ = false;
  bool is_dead_ = false;
  uint64_t retries_ = 0;
  uint64_t retries_before_ = 0;  // of producers that were closed
};

}  // namespace weir::outbound
