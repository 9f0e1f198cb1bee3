#include "control/taps/live_flows.h"

#include <algorithm>
#include <utility>

namespace weir::control {

using dataplane::TapCounters;
using dataplane::TapLane;
using dataplane::TapSet;

class LiveWatch {
 public:
  LiveWatch(const dataplane::FlowFilter& wanted, const std::atomic<bool>& ending) : filter(wanted), is_ending(ending) {}
  ~LiveWatch() {
    LiveFlow* flow = nullptr;
    while (flows.pop(flow)) delete flow;
  }
  LiveWatch(const LiveWatch&) = delete;
  LiveWatch& operator=(const LiveWatch&) = delete;

  const dataplane::FlowFilter filter;
  const std::atomic<bool>& is_ending;
  std::vector<std::unique_ptr<TapLane>> lanes;  // by core; made before has_lanes
  SpscRing<LiveFlow*> flows{kLiveFlowsWaitingMax};
  Counter no_room;  // there: the control thread's
  std::atomic<bool> has_lanes{false};  // this and the next say the control thread
  std::atomic<bool> is_open{false};
  std::atomic<bool> is_left{false};  // says the reader, and does not come back
};

// ---- a reader's side ----

LiveReader::~LiveReader() { watch_.is_left.store(true, std::memory_order_release); }

bool LiveReader::is_open() const noexcept { return watch_.is_open.load(std::memory_order_acquire); }

bool LiveReader::is_ending() const noexcept { return watch_.is_ending.load(std::memory_order_relaxed); }

std::unique_ptr<LiveFlow> LiveReader::take() {
  LiveFlow* flow = nullptr;
  return std::unique_ptr<LiveFlow>(watch_.flows.pop(flow) ? flow : nullptr);
}

LiveCounts LiveReader::counts() const noexcept {
  LiveCounts sum;
  if (!watch_.has_lanes.load(std::memory_order_acquire)) return sum;
  sum.no_room = watch_.no_room.value();
  for (const auto& lane : watch_.lanes) {
    const TapCounters& c = lane->counters();
    sum.sampled_away += c.sampled_away.value();
    sum.too_large += c.too_large.value();
    sum.no_room += c.no_room.value();
    // After what became of them, so that none of that is more than matched.
    sum.matched += c.matched.value();
    sum.seen += c.seen.value();
  }
  return sum;
}

LiveFlows::LiveFlows() = default;

LiveFlows::~LiveFlows() {
  LiveWatch* watch = nullptr;
  while (asked_.pop(watch)) delete watch;
}

std::unique_ptr<LiveReader> LiveFlows::open(const dataplane::FlowFilter& filter) {
  if (opened_ - closed_.value() >= dataplane::kTapWatchesMax) return nullptr;
  auto watch = std::make_unique<LiveWatch>(filter, is_ending_);
  if (!asked_.push(watch.get())) return nullptr;
  ++opened_;
  return std::make_unique<LiveReader>(*watch.release());
}

// ---- the control thread's side ----

bool LiveFlows::step(dataplane::DataPlane& plane, const ExporterDirectory& directory) {
  LiveWatch* asked = nullptr;
  while (asked_.pop(asked)) {
    watches_.emplace_back(asked);
    for (size_t i = 0; i < plane.cores().size(); ++i) {
      asked->lanes.push_back(std::make_unique<TapLane>(asked->filter));
    }
    asked->has_lanes.store(true, std::memory_order_release);
  }
  if (watches_.empty()) return false;
  const auto wants_change = [](const auto& watch) {
    return !watch->is_open.load(std::memory_order_relaxed) || watch->is_left.load(std::memory_order_acquire);
  };
  if (!next_round_ && std::any_of(watches_.begin(), watches_.end(), wants_change)) begin_round(plane);
  if (next_round_) settle_round(plane);
  return move_flows(directory);
}

/// Who has come and not left since is served; one change at a time, as with rules.
void LiveFlows::begin_round(dataplane::DataPlane& plane) {
  next_round_ = std::make_unique<Round>();
  for (const auto& watch : watches_) {
    if (!watch->is_left.load(std::memory_order_acquire)) next_round_->watches.push_back(watch.get());
  }
  if (!next_round_->watches.empty()) next_round_->sets.resize(plane.cores().size());
  for (size_t core = 0; core < next_round_->sets.size(); ++core) {
    TapSet& set = next_round_->sets[core];
    for (LiveWatch* watch : next_round_->watches) set.lanes[set.count++] = watch->lanes[core].get();
  }
  for (size_t core = 0; core < plane.cores().size(); ++core) {
    plane.pipeline(core).set_tap(next_round_->sets.empty() ? nullptr : &next_round_->sets[core]);
  }
}

void LiveFlows::settle_round(dataplane::DataPlane& plane) {
  for (size_t core = 0; core < plane.cores().size(); ++core) {
    const TapSet* const set = next_round_->sets.empty() ? nullptr : &next_round_->sets[core];
    if (!plane.pipeline(core).goes_by(set)) return;
  }
  round_ = std::move(next_round_);
  const auto is_served = [this](const auto& watch) {
    return std::find(round_->watches.begin(), round_->watches.end(), watch.get()) != round_->watches.end();
  };
  for (const auto& watch : watches_) {
    if (is_served(watch)) watch->is_open.store(true, std::memory_order_release);
  }
  // Those that are not and have been left: no core knows them any more. One that was asked for meanwhile waits.
  closed_.add(std::erase_if(watches_, [&](const auto& watch) {
    return !is_served(watch) && watch->is_left.load(std::memory_order_acquire);
  }));
}

/// A bounded amount: what the lanes hold.
bool LiveFlows::move_flows(const ExporterDirectory& directory) {
  bool moved = false;
  for (const auto& watch : watches_) {
    for (const auto& lane : watch->lanes) {
      for (size_t i = 0; i < dataplane::kTapFlowsWaitingMax && lane->take(flow_); ++i) {
        moved = true;
        auto flow = std::make_unique<LiveFlow>();
        const auto batch = flow_.batch();
        flow->batch.assign(batch.begin(), batch.end());
        flow->listener = flow_.listener;
        flow->exporter_name = directory.exporter_name(flow_.exporter);
        flow->in_interface_name = directory.interface_name(flow_.exporter, flow_.in_interface);
        flow->out_interface_name = directory.interface_name(flow_.exporter, flow_.out_interface);
        if (watch->flows.push(flow.get())) {
          static_cast<void>(flow.release());
        } else {
          watch->no_room.increment();
        }
      }
    }
  }
  return moved;
}

}  // namespace weir::control
