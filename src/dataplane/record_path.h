// record_path.h — What a core does with what its decoder finds: classify, limit, encode, batch.
//
// Runs on:  rx_lcore; where it says so the control_thread.
// Owns:     the core's Batcher and its fused way.
// Failure:  every record ends in a batch or in one of the batcher's drops.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/counter.h"
#include "base/named_enum.h"
#include "base/thread_roles.h"
#include "dataplane/flow_tap.h"
#include "dataplane/pipeline_config.h"
#include "dataplane/plane_rules.h"
#include "dataplane/rate_limiter.h"
#include "decode/decoder.h"
#include "decode/record_fuser.h"
#include "export/batcher.h"
#include "export/sflow_encoder.h"
#include "fuse/fused_way.h"

namespace weir::classify {
class Stage;
struct Verdict;
}  // namespace weir::classify

namespace weir::dataplane {

/// What wants records one by one just now, so that no template's records go straight to wire octets; `element_rules`
/// only those with elements that have no column.
#define WEIR_RECORD_READERS(X) X(live_tail) X(rate_limit) X(rules) X(element_rules) X(inline_names)
WEIR_NAMED_ENUM(RecordReaderKind, uint8_t, WEIR_RECORD_READERS)
/// A bit each, from the first on.
using RecordReaderKinds = uint8_t;

class RecordPath final : public RecordSink, public decode::RecordFuser {
 public:
  /// `records_fused` is the core's own.
  RecordPath(const PipelineConfig& config, const PlaneRules& rules, Counter& records_fused);
  ~RecordPath();
  RecordPath(const RecordPath&) = delete;
  RecordPath& operator=(const RecordPath&) = delete;

  /// False: there was no address space for rates.
  bool is_ready() const noexcept { return rate_limiter_.is_ready(); }
  /// Once, before anything comes: whose records these are, which learns whether it may fuse.
  void serve(decode::Decoder& decoder) noexcept WEIR_RUNS_ON(rx_lcore);
  /// Between two bursts; the decoder has them already.
  void take_rules(const PlaneRules& rules) noexcept WEIR_RUNS_ON(rx_lcore);

  /// Control thread: who looks at flow records from the next burst on; null: nobody. The set before and its lanes
  /// stay alive until goes_by(set).
  void set_tap(const TapSet* set) noexcept WEIR_RUNS_ON(control_thread) {
    wanted_tap_.store(set, std::memory_order_release);
  }
  bool goes_by(const TapSet* set) const noexcept { return tap_in_use_.load(std::memory_order_acquire) == set; }

  /// After each burst and when idle.
  void poll(uint64_t steady_now_ns) noexcept WEIR_RUNS_ON(rx_lcore);

  void on_records(const RecordBurst& burst) noexcept override WEIR_RUNS_ON(rx_lcore);
  void on_counters(const SflowCounters& sample) noexcept override WEIR_RUNS_ON(rx_lcore);
  void on_discard(const SflowDiscard& discard) noexcept override WEIR_RUNS_ON(rx_lcore);
  Compiled compile(const decode::Plan& plan) noexcept override;
  decode::FuseRefusal on_laid_out(const decode::LaidOutRecords& records) noexcept override WEIR_RUNS_ON(rx_lcore);

  RecordReaderKinds record_readers() const noexcept WEIR_RUNS_ON(rx_lcore) { return record_readers_; }
  outbound::Batcher& batcher() noexcept { return *batcher_; }
  const outbound::Batcher& batcher() const noexcept { return *batcher_; }
  RateLimiter& rate_limiter() noexcept { return rate_limiter_; }

 private:
  void take_tap(const TapSet* set) noexcept WEIR_RUNS_ON(rx_lcore);
  void choose_way() noexcept WEIR_RUNS_ON(rx_lcore);
  void choose_stage() noexcept;
  /// Records of one verdict.
  void pass_records(const RecordBurst& burst, RouteId route) noexcept WEIR_RUNS_ON(rx_lcore);
  void sort_records(const RecordBurst& burst, RouteId route) noexcept WEIR_RUNS_ON(rx_lcore);
  template <class Sample>
  void deliver(const Sample& sample, outbound::RecordKind kind,
               std::optional<RouteId> route) noexcept WEIR_RUNS_ON(rx_lcore);

  const PlaneRules* rules_;
  const TapSet* tap_ = nullptr;  // rx_lcore's
  std::atomic<const TapSet*> wanted_tap_{nullptr};  // the control thread's
  std::atomic<const TapSet*> tap_in_use_{nullptr};  // tap_, as others read it
  const decode::FuseVerdict why_unfused_;  // without a fused way
  const std::unique_ptr<fuse::FusedWay> fused_way_;  // null: all goes by FlowRecords
  decode::Decoder* decoder_ = nullptr;
  const std::unique_ptr<outbound::Batcher> batcher_;
  outbound::SflowEncoder sflow_encoder_;
  RateLimiter rate_limiter_;
  const uint16_t core_;
  classify::Stage* stage_ = nullptr;  // of rules_; null: records are not classified
  RecordReaderKinds record_readers_ = 0;
  const std::unique_ptr<classify::Verdict[]> verdicts_;  // of a burst
  Counter& records_fused_;
};

}  // namespace weir::dataplane
