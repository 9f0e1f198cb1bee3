#include "dataplane/plane_rules.h"

#include <fmt/format.h>

#include <utility>

namespace weir::dataplane {

Result<std::shared_ptr<const PlaneRules>> PlaneRules::make(PlaneRules rules) {
  if (rules.listeners.size() > decode::kListenersMax) {
    return Error{
        fmt::format("{} listeners, limit {}; those that a reload took away count until a restart",
                    rules.listeners.size(), decode::kListenersMax)};
  }
  auto made = std::make_shared<PlaneRules>(std::move(rules));
  made->listener_by_port = {};
  made->decoder.listeners.clear();
  for (size_t i = 0; i < made->listeners.size(); ++i) {
    const Listener& listener = made->listeners[i];
    made->decoder.listeners.push_back(listener.rules);
    if (listener.port == 0) continue;
    uint16_t& place = made->listener_by_port[listener.port];
    if (place != 0) {
      return Error{fmt::format("listener {}: port {} is already listener {}'s", listener.name,
                               listener.port, made->listeners[place - 1u].name)};
    }
    place = static_cast<uint16_t>(i + 1);
  }
  return std::shared_ptr<const PlaneRules>(std::move(made));
}

}  // namespace weir::dataplane
