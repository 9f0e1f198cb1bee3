// event_support.h — An EventSink that keeps what it is told.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "decode/events.h"

namespace weir::decode {

class KeepingEvents final : public EventSink {
 public:
  bool on_event(const Event& event) noexcept override {
    if (is_full) return false;
    events.push_back(event);
    return true;
  }
  std::vector<std::string> kinds() const {
    std::vector<std::string> all;
    for (const Event& e : events) all.emplace_back(name_of(e.kind));
    return all;
  }
  /// The last event of a kind.
  const Event& last(EventKind kind) const {
    for (auto e = events.rbegin(); e != events.rend(); ++e) {
      if (e->kind == kind) return *e;
    }
    ADD_FAILURE() << "no event " << name_of(kind);
    static const Event kNone{};
    return kNone;
  }
  /// Names as `learned interface 7 Gi0/0/1 uplink`.
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const Event& e : events) {
      if (e.kind != EventKind::name_learned && e.kind != EventKind::name_changed) continue;
      std::string line = e.kind == EventKind::name_learned ? "learned " : "changed ";
      line += std::string(name_of(e.name_kind)) + " ";
      if (e.name_kind == NameKind::application) {
        for (const char c : e.key_text()) line += std::to_string(static_cast<uint8_t>(c)) + ".";
      } else {
        line += std::to_string(e.id());
      }
      line.append(" ").append(e.name());
      if (e.has_description) line.append(" | ").append(e.description());
      if (e.rate != 0) line += " 1:" + std::to_string(e.rate);
      all.push_back(line);
    }
    return all;
  }

  std::vector<Event> events;
  bool is_full = false;
};

}  // namespace weir::decode
