// loss_log.h — Says in the log what is being lost or soon will be, and what helps.
//
// Runs on:  control_thread, once for each view.
// Bounds:   a line for each kind of loss in kLossLineIntervalNs, for each fill in kFillLineIntervalNs; as many kinds as there are reasons,
//           ports and publishers.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "control/view.h"

namespace weir::control {

inline constexpr uint64_t kLossLineIntervalNs = 10'000'000'000;

/// How full a publisher's channel may be before that is said.
inline constexpr double kFillWarned = 0.8;
inline constexpr uint64_t kFillLineIntervalNs = 60'000'000'000;

/// A line for the log, when there is one: `publisher jetstream: 1200 records lost in the last 10 s
/// (queue_full, 4000 in all): …`.
class LossLog {
 public:
  using Say = void (*)(const std::string& line);
  explicit LossLog(Say say) noexcept : say_(say) {}

  void look(const ApplianceView& view, uint64_t steady_now_ns);

 private:
  struct Seen {
    uint64_t said = 0;  // the total when it was last said
    uint64_t said_at_ns = 0;
  };
  void look_at(const std::string& whose, const char* unit, std::string_view reason, uint64_t total,
               const char* advice, uint64_t steady_now_ns);

  void look_at_fill(const PublisherView& publisher, uint64_t steady_now_ns);

  const Say say_;
  std::map<std::string, uint64_t> fill_said_at_ns_;  // by publisher
  std::map<std::string, Seen> seen_;
};

}  // namespace weir::control
