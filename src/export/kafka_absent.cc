// In the place of kafka_publisher.cc and kafka_client.cc where there is no librdkafka.
#include "export/kafka.h"

namespace weir::outbound {

bool kafka_is_there() noexcept { return false; }

Result<std::unique_ptr<Publisher>> make_kafka_publisher(KafkaPublisherConfig) {
  return Error{"kafka is not part of this build (librdkafka-dev was not there)"};
}

std::optional<std::string> kafka_option_trouble(const std::string&, const std::string&) { return {}; }

}  // namespace weir::outbound
