// etl_fixture.h — The stream that weir-etl consumes, and the events that came of it.
#pragma once

#include "support/flow_stream.h"

namespace weir::test {

class EtlFixture : public FlowStreamFixture {
 protected:
  EtlFixture() { consumer_name_ = "weir-etl-flows-raw-any"; }

  /// The events of the result stream, whatever their framing.
  std::vector<json> events() {
    std::vector<json> all;
    for (const StoredMessage& message : read_stream("events_ocsf")) {
      size_t at = 0;
      const std::string& text = message.body;
      while (at < text.size()) {
        const size_t end = std::min(text.find('\n', at), text.size());
        all.push_back(json::parse(text.substr(at, end - at), nullptr, false));
        EXPECT_FALSE(all.back().is_discarded()) << text.substr(at, 200);
        at = end + 1;
      }
    }
    return all;
  }
  static std::multiset<uint64_t> numbers_of(const std::vector<json>& events) {
    std::multiset<uint64_t> numbers;
    for (const json& event : events) numbers.insert(event.at("traffic").at("bytes_out").get<uint64_t>() - 1000);
    return numbers;
  }
};

}  // namespace weir::test
