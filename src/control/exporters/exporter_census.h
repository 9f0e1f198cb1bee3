// exporter_census.h — Asks the cores about once a second who their exporters are and how their books
// stand, and keeps the last answers.
//
// Runs on:  control_thread.
// Bounds:   one question a core at a time; a row for each exporter that a core may have, and kDomainRowsPerCore of a core.
// Failure:  a core that does not answer is not asked again; its last answer stands.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/thread_roles.h"
#include "control/view.h"
#include "dataplane/data_plane.h"

namespace weir::control {

class ExporterCensus {
 public:
  /// Called with each answer's books.
  using OnBooks = std::function<void(size_t core, const CoreBooks&)>;

  /// `exporters_most`: of a core, up to which expect may go.
  ExporterCensus(size_t cores, uint32_t exporters_per_core, uint32_t exporters_most, OnBooks on_books);

  /// Rows for so many from the next question on. They do not become fewer: those beyond a lowered bound go one by one.
  void expect(uint32_t exporters_per_core) WEIR_RUNS_ON(control_thread);

  /// Takes answers; asks when it is time.
  void step(dataplane::DataPlane& plane, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  /// The cores have ended: what they know last.
  void finish(dataplane::DataPlane& plane) WEIR_RUNS_ON(control_thread);

  /// One row an exporter, by address, whatever cores it has met; domains by exporter.
  void fill(ApplianceView& view) const;

 private:
  struct Core {
    dataplane::ExporterQuery query;
    bool is_asked = false;
    std::vector<decode::ExporterStats> rows;
    std::vector<decode::DomainStats> domains;
    uint64_t omitted = 0;
    uint64_t taken_ns = 0;  // when it answered, by the wall clock
  };

  const OnBooks on_books_;
  const size_t rows_most_;
  size_t rows_;  // of the next questions
  std::vector<std::unique_ptr<Core>> cores_;
  uint64_t next_ns_ = 0;
};

}  // namespace weir::control
