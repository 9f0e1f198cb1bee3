// What of Kafka needs no library: names.
#include <algorithm>
#include <cctype>

#include "export/kafka.h"

namespace weir::outbound {

bool kafka_option_is_secret(std::string_view name) {
  // sasl.password, ssl.key.password, ssl.key.pem, sasl.oauthbearer.client.secret, sasl.jaas.config, …
  for (const std::string_view part :
       {"password", "secret", "key.pem", "oauthbearer.config", "token", "jaas", "credential"}) {
    if (name.find(part) != std::string_view::npos) return true;
  }
  return false;
}

std::string kafka_topic(std::string_view pattern, std::string_view subject) {
  constexpr std::string_view kSubject = "{subject}";
  constexpr size_t kTopicOctetsMax = 249;
  std::string topic;
  while (!pattern.empty()) {
    if (pattern.starts_with(kSubject)) {
      topic += subject;
      pattern.remove_prefix(kSubject.size());
    } else {
      topic += pattern.front();
      pattern.remove_prefix(1);
    }
  }
  std::replace_if(
      topic.begin(), topic.end(),
      [](unsigned char c) { return std::isalnum(c) == 0 && c != '.' && c != '_' && c != '-'; }, '_');
  if (topic.size() > kTopicOctetsMax) topic.resize(kTopicOctetsMax);
  return topic;
}

}  // namespace weir::outbound
