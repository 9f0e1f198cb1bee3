// exporter_details.h — What one exporter said of itself, asked of the cores and the directory for a reader.
//
// Runs on:  ask and what a DetailReader has: http_thread; step: control_thread.
// Owns:     questions, and a question's room for each core. Cores that have ended keep theirs, so this outlives the
//           data plane.
// Bounds:   kDetailAsksMax readers at a time, served one after the other; kDetailOctets of each core, made when the
//           first one asks.
// Failure:  no reader where there are too many. A core that does not answer within kDetailPatienceNs is named.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/counter.h"
#include "base/ip_address.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "control/exporters/exporter_directory.h"
#include "dataplane/data_plane.h"

namespace weir::control {

inline constexpr size_t kDetailAsksMax = 8;
/// Some thousand templates of usual length, or a few of the longest.
inline constexpr size_t kDetailOctets = 1024 * 1024;
/// Cores wait for packets for up to 0.1 s.
inline constexpr uint64_t kDetailPatienceNs = kNsPerSec;

struct DetailAnswer {
  std::vector<std::vector<uint8_t>> octets;  // records of state_image.h, by core
  std::vector<size_t> silent_cores;
  flowpb::ExporterInfo names;  // its own, and the operator's before them
  bool is_cut = false;  // a core had more to say than there was room
  dataplane::RecordReaderKinds record_readers = 0;  // of any core that answered
};

class DetailAsk;

/// A question in the hands of who asked it.
class DetailReader {
 public:
  explicit DetailReader(DetailAsk& ask) : ask_(ask) {}
  ~DetailReader();
  DetailReader(const DetailReader&) = delete;
  DetailReader& operator=(const DetailReader&) = delete;

  /// Null: not yet. It stays as long as the reader.
  const DetailAnswer* answer() const noexcept;

 private:
  DetailAsk& ask_;
};

class ExporterDetails {
 public:
  ExporterDetails();
  ~ExporterDetails();

  /// Null when kDetailAsksMax ask already. Destroy it before this.
  std::unique_ptr<DetailReader> ask(const IpAddress& exporter);

  /// Asks the cores and takes their answers.
  void step(dataplane::DataPlane& plane, const ExporterDirectory& directory, uint64_t steady_now_ns)
      WEIR_RUNS_ON(control_thread);

 private:
  struct Core {
    dataplane::DetailQuery query;
    bool is_asked = false;   // and has not answered yet, perhaps for one before
    bool is_awaited = false;  // for the question at hand
    bool has_answered = false;
  };

  void begin(dataplane::DataPlane& plane, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  void take_answers(dataplane::DataPlane& plane) WEIR_RUNS_ON(control_thread);
  void settle(const ExporterDirectory& directory, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);

  uint64_t asked_count_ = 0;  // http_thread's
  Counter ended_;             // the control thread's, as all below
  SpscRing<DetailAsk*> asked_{kDetailAsksMax};
  std::deque<std::unique_ptr<DetailAsk>> asks_;
  DetailAsk* at_hand_ = nullptr;
  uint64_t begun_ns_ = 0;
  std::vector<std::unique_ptr<Core>> cores_;
};

}  // namespace weir::control
