// quarantine_desk.h — Asks the cores for the datagrams that they could not decode, when there are others than last
// time, and keeps the last answers.
//
// Runs on:  control_thread; view on any.
// Bounds:   one question a core at a time, about one a second; kQuarantineRowsMax rows of a core.
// Failure:  a core that does not answer is not asked again; its last answer stands.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/snapshot.h"
#include "base/thread_roles.h"
#include "dataplane/data_plane.h"

namespace weir::control {

struct QuarantineRow {
  uint16_t core = 0;
  dataplane::QuarantinedDatagram datagram;
};

struct QuarantineView {
  uint64_t taken_ns = 0;
  std::vector<QuarantineRow> rows;  // by reason, then by time
  dataplane::Tally<decode::Fault> copied;
  dataplane::Tally<decode::Fault> passed_over;
};

class QuarantineDesk {
 public:
  QuarantineDesk() { view_.publish(std::make_shared<const QuarantineView>()); }

  /// Takes answers; asks when it is time.
  void step(dataplane::DataPlane& plane, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  std::shared_ptr<const QuarantineView> view() const { return view_.read(); }

 private:
  struct Core {
    dataplane::QuarantineQuery query;
    bool is_asked = false;
    uint64_t copied = 0;  // as it was when it was asked
    std::vector<dataplane::QuarantinedDatagram> rows;
  };
  void publish(dataplane::DataPlane& plane) WEIR_RUNS_ON(control_thread);

  std::vector<std::unique_ptr<Core>> cores_;
  uint64_t next_ns_ = 0;
  Snapshot<QuarantineView> view_;
};

}  // namespace weir::control
