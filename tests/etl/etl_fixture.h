// etl_fixture.h — The stream that weir-etl consumes, and the events that came of it.
#pragma once

#include "support/flow_stream.h"

namespace weir::test {

class EtlFixture : public FlowStreamFixture {
 protected:
  EtlFixture() { consumer_name_ = "weir-etl-flows-raw-any"; }

  /// The events of the result stream, whatever their framing; or what lies in another such.
  std::vector<json> events(const std::string& stream = "events_ocsf") {
    std::vector<json> all;
    for (const StoredMessage& message : read_stream(stream)) {
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
  std::vector<json> decisions() { return events("flows_decisions"); }
  /// A decision file of one node; `expressions`: its keys and their values. Rules name it d.json.
  void write_decision_file(const std::map<std::string, std::string>& expressions) {
    json list = json::array();
    for (const auto& [key, value] : expressions) list.push_back({{"key", key}, {"value", value}});
    const json nodes = {{{"id", "i"}, {"type", "inputNode"}},
                        {{"id", "e"}, {"name", "make"}, {"type", "expressionNode"}, {"content", {{"expressions", list}}}},
                        {{"id", "o"}, {"type", "outputNode"}}};
    const json edges = {{{"sourceId", "i"}, {"targetId", "e"}}, {{"sourceId", "e"}, {"targetId", "o"}}};
    std::ofstream(folder_ / "d.json") << json{{"nodes", nodes}, {"edges", edges}};
  }
  static std::multiset<uint64_t> numbers_of(const std::vector<json>& events) {
    std::multiset<uint64_t> numbers;
    for (const json& event : events) numbers.insert(event.at("traffic").at("bytes_out").get<uint64_t>() - 1000);
    return numbers;
  }
};

}  // namespace weir::test
