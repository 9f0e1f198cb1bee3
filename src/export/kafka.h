// kafka.h — Batches to Apache Kafka, where this build has librdkafka (meson -Dkafka).
//
// Runs on:  start-up and reload; the publisher on its publisher_thread.
// Failure:  make_kafka_publisher says which option is wrong, in librdkafka's words.
//
// The publisher itself is kafka_publisher.h; without librdkafka kafka_absent.cc stands in.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "export/publisher.h"

namespace weir::outbound {

struct KafkaConfig {
  std::string brokers;  // host:9092,host:9092
  /// librdkafka's own properties, as they are.
  std::vector<std::pair<std::string, std::string>> options;
};

struct KafkaPublisherConfig {
  KafkaConfig kafka;
  std::string topic = "{subject}";    // that stands for the subject
  Subjects subjects;  // by RouteId
  Framing framing = Framing::batch;
  Compression compression = Compression::none;
  RunIdentity identity;

  uint32_t window_batches = 256;
  uint32_t window_messages = 16'384;  // matters with framing single
  uint32_t retry_first_ms = 100;
  uint32_t retry_max_ms = 5000;
};

/// Whether this build can publish to Kafka.
bool kafka_is_there() noexcept;

/// Checks the configuration; connecting is poll's business, so that absent brokers are survived.
Result<std::unique_ptr<Publisher>> make_kafka_publisher(KafkaPublisherConfig config);

/// Why an option cannot be set to that; nothing when it can.
std::optional<std::string> kafka_option_trouble(const std::string& name, const std::string& value);

/// Whether a value must not be shown.
bool kafka_option_is_secret(std::string_view name);

/// `weir.{subject}` → weir.flows.raw.netflow; what no topic's name may hold becomes _.
std::string kafka_topic(std::string_view pattern, std::string_view subject);

}  // namespace weir::outbound
