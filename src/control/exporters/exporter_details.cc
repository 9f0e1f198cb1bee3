#include "control/exporters/exporter_details.h"

#include <algorithm>

namespace weir::control {

class DetailAsk {
 public:
  explicit DetailAsk(const IpAddress& of) : exporter(of) {}

  const IpAddress exporter;
  DetailAnswer answer;  // the control thread's until is_answered
  std::atomic<bool> is_answered{false};
  std::atomic<bool> is_left{false};  // says the reader, and does not come back
};

// ---- a reader's side ----

DetailReader::~DetailReader() { ask_.is_left.store(true, std::memory_order_release); }

const DetailAnswer* DetailReader::answer() const noexcept {
  return ask_.is_answered.load(std::memory_order_acquire) ? &ask_.answer : nullptr;
}

ExporterDetails::ExporterDetails() = default;

ExporterDetails::~ExporterDetails() {
  DetailAsk* ask = nullptr;
  while (asked_.pop(ask)) delete ask;
}

std::unique_ptr<DetailReader> ExporterDetails::ask(const IpAddress& exporter) {
  if (asked_count_ - ended_.value() >= kDetailAsksMax) return nullptr;
  auto ask = std::make_unique<DetailAsk>(exporter);
  if (!asked_.push(ask.get())) return nullptr;
  ++asked_count_;
  return std::make_unique<DetailReader>(*ask.release());
}

// ---- the control thread's side ----

void ExporterDetails::step(dataplane::DataPlane& plane, const ExporterDirectory& directory, uint64_t steady_now_ns) {
  DetailAsk* asked = nullptr;
  while (asked_.pop(asked)) asks_.emplace_back(asked);
  if (asks_.empty()) return;
  take_answers(plane);
  if (at_hand_ != nullptr) settle(directory, steady_now_ns);
  if (at_hand_ == nullptr) begin(plane, steady_now_ns);
  ended_.add(std::erase_if(asks_, [this](const auto& ask) {
    return ask.get() != at_hand_ && ask->is_left.load(std::memory_order_acquire);
  }));
}

void ExporterDetails::begin(dataplane::DataPlane& plane, uint64_t steady_now_ns) {
  const auto next = std::find_if(asks_.begin(), asks_.end(), [](const auto& ask) {
    return !ask->is_answered.load(std::memory_order_relaxed) && !ask->is_left.load(std::memory_order_acquire);
  });
  if (next == asks_.end()) return;
  at_hand_ = next->get();
  begun_ns_ = steady_now_ns;
  if (cores_.empty()) {
    for (size_t i = 0; i < plane.cores().size(); ++i) {
      cores_.emplace_back(std::make_unique<Core>())->query.octets.resize(kDetailOctets);
    }
  }
  at_hand_->answer.octets.resize(cores_.size());
  for (size_t i = 0; i < cores_.size(); ++i) {
    Core& core = *cores_[i];
    core.has_answered = false;
    if (core.is_asked) continue;  // it is stuck: its room is not ours
    core.query.exporter = at_hand_->exporter;
    core.is_asked = core.is_awaited = plane.pipeline(i).ask_detail(core.query);
  }
}

void ExporterDetails::take_answers(dataplane::DataPlane& plane) {
  for (size_t i = 0; i < cores_.size(); ++i) {
    Core& core = *cores_[i];
    dataplane::DetailQuery* query = nullptr;
    if (!core.is_asked || !plane.pipeline(i).take_detail(query)) continue;
    core.is_asked = false;
    if (!core.is_awaited) continue;  // too late: nobody waits for it any more
    core.is_awaited = false;
    core.has_answered = true;
    at_hand_->answer.octets[i].assign(query->octets.begin(),
                                      query->octets.begin() + static_cast<ptrdiff_t>(query->filled));
    at_hand_->answer.is_cut |= query->is_cut;
    at_hand_->answer.record_readers |= query->record_readers;
  }
}

void ExporterDetails::settle(const ExporterDirectory& directory, uint64_t steady_now_ns) {
  const bool is_awaited = std::any_of(cores_.begin(), cores_.end(), [](const auto& core) { return core->is_awaited; });
  if (is_awaited && steady_now_ns - begun_ns_ < kDetailPatienceNs) return;
  for (size_t i = 0; i < cores_.size(); ++i) {
    if (!cores_[i]->has_answered) at_hand_->answer.silent_cores.push_back(i);
    cores_[i]->is_awaited = false;
  }
  directory.find(at_hand_->exporter, at_hand_->answer.names);
  at_hand_->is_answered.store(true, std::memory_order_release);
  at_hand_ = nullptr;
}

}  // namespace weir::control
