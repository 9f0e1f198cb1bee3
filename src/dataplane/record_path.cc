#include "dataplane/record_path.h"

#include <algorithm>
#include <cassert>

#include "classify/stages.h"

namespace weir::dataplane {

RecordPath::RecordPath(const PipelineConfig& config, const PlaneRules& rules, Counter& records_fused)
    : rules_(&rules),
      why_unfused_(config.may_fuse ? decode::FuseVerdict::left_out : decode::FuseVerdict::switched_off),
      fused_way_(config.may_fuse ? fuse::FusedWay::create(config.batcher.kernel) : nullptr),
      batcher_(std::make_unique<outbound::Batcher>(config.batcher)),
      sflow_encoder_(config.batcher.kernel),
      rate_limiter_(config.rate_limits, config.decoder.limits.exporters_max, config.decoder.hash_seed,
                    config.decoder.limits.exporters_most()),
      core_(config.batcher.core),
      verdicts_(std::make_unique<classify::Verdict[]>(kBurstRecords)),
      records_fused_(records_fused) {
  choose_stage();
}

RecordPath::~RecordPath() = default;

void RecordPath::serve(decode::Decoder& decoder) noexcept {
  decoder_ = &decoder;
  choose_way();
}

void RecordPath::take_rules(const PlaneRules& rules) noexcept {
  rules_ = &rules;
  batcher_->set_splits(rules.splits);
  batcher_->set_reserve(rules.buffers_in_reserve);
  rate_limiter_.set_limits(rules.rate_limits);
  rate_limiter_.set_exporters_max(rules.decoder.exporters_max);
  choose_stage();
  choose_way();
}

void RecordPath::take_tap(const TapSet* set) noexcept {
  tap_ = set;
  choose_way();
  tap_in_use_.store(set, std::memory_order_release);
}

void RecordPath::poll(uint64_t steady_now_ns) noexcept {
  if (const TapSet* wanted = wanted_tap_.load(std::memory_order_acquire); wanted != tap_) take_tap(wanted);
  if (tap_ != nullptr) [[unlikely]] tap_->tick(steady_now_ns);
  batcher_->poll(steady_now_ns);
  rate_limiter_.tick(steady_now_ns);
}

void RecordPath::on_records(const RecordBurst& burst) noexcept {
  assert(burst.listener.value < rules_->listeners.size());
  const bool go_together = stage_ == nullptr || stage_->look(burst, {verdicts_.get(), burst.records.size()});
  if (tap_ != nullptr) [[unlikely]] tap_->look(burst);
  const RouteId route = rules_->listeners[burst.listener.value].route;
  if (!go_together) return sort_records(burst, route);
  pass_records(burst, route);
}

/// By what rules said: those of one verdict that lie together go on together.
void RecordPath::sort_records(const RecordBurst& burst, RouteId route) noexcept {
  size_t end = 0;
  for (size_t begin = 0; begin < burst.records.size(); begin = end) {
    const classify::Verdict verdict = verdicts_[begin];
    end = begin + 1;
    while (end < burst.records.size() && verdicts_[end] == verdict) ++end;
    const size_t count = end - begin;
    if (verdict.fate == classify::Fate::dropped) {
      batcher_->drop(outbound::RecordDrop::dropped_by_rule, count);
    } else if (verdict.fate == classify::Fate::sampled_away) {
      batcher_->drop(outbound::RecordDrop::sampled_by_rule, count);
    } else {
      pass_records({burst.header, burst.records.subspan(begin, count), burst.arena, burst.listener, burst.packets,
                    burst.stage_arena},
                   verdict.route == 0 ? route : rules_->rule_routes[verdict.route - 1u]);
    }
  }
}

void RecordPath::pass_records(const RecordBurst& burst, RouteId route) noexcept {
  if (!rate_limiter_.is_off() &&
      !rate_limiter_.admit(burst.header.exporter_address, burst.records.size())) {
    return batcher_->drop(outbound::RecordDrop::rate_limited, burst.records.size(), burst.header,
                          route);
  }
  batcher_->add(burst, route);
}

void RecordPath::choose_stage() noexcept {
  stage_ = rules_->stages != nullptr ? &rules_->stages->of_core(core_) : nullptr;
}

/// Who looks at flows needs them as records, as do rules that ask for what each of them has; rate limits count by
/// bursts of them.
void RecordPath::choose_way() noexcept {
  RecordReaderKinds readers = 0;
  const auto note = [&readers](RecordReaderKind kind, bool reads) {
    if (reads) readers = static_cast<RecordReaderKinds>(readers | 1u << static_cast<unsigned>(kind));
  };
  note(RecordReaderKind::live_tail, tap_ != nullptr);
  note(RecordReaderKind::rate_limit, !rate_limiter_.is_off());
  note(RecordReaderKind::rules, stage_ != nullptr && stage_->rules().asks_every_record());
  const bool may_fuse = fused_way_ != nullptr && readers == 0;
  // Neither NetFlow v5 nor most templates have what these ask for.
  const bool asks_elements = stage_ != nullptr && stage_->rules().asks_elements();
  note(RecordReaderKind::element_rules, asks_elements);
  decoder_->set_fusing(!may_fuse       ? decode::Fusing::none
                       : asks_elements ? decode::Fusing::without_elements
                                       : decode::Fusing::all);
  // That is by listener, and the decoder's to mind.
  const auto& listeners = rules_->decoder.listeners;
  note(RecordReaderKind::inline_names, std::any_of(listeners.begin(), listeners.end(),
                                                   [](const auto& listener) { return listener.inline_names; }));
  record_readers_ = readers;
}

decode::RecordFuser::Compiled RecordPath::compile(const decode::Plan& plan) noexcept {
  if (fused_way_ == nullptr) return {.verdict = why_unfused_, .form = {}};
  return fused_way_->compile(plan);
}

decode::FuseRefusal RecordPath::on_laid_out(const decode::LaidOutRecords& records) noexcept {
  assert(records.listener.value < rules_->listeners.size());
  const fuse::FusedWay::Added added =
      fused_way_->add(records, rules_->listeners[records.listener.value].route, *batcher_);
  records_fused_.add(added.fused);
  return added.refusal;
}

void RecordPath::on_counters(const SflowCounters& sample) noexcept {
  deliver(sample, outbound::RecordKind::sflow_counters,
          rules_->listeners[sample.listener.value].counters_route);
}

void RecordPath::on_discard(const SflowDiscard& discard) noexcept {
  deliver(discard, outbound::RecordKind::sflow_discard,
          rules_->listeners[discard.listener.value].discards_route);
}

template <class Sample>
void RecordPath::deliver(const Sample& sample, outbound::RecordKind kind,
                         std::optional<RouteId> route) noexcept {
  if (!route) return batcher_->drop(outbound::RecordDrop::filtered);
  if (!rate_limiter_.is_off() && !rate_limiter_.admit(sample.header.exporter_address, 1)) {
    return batcher_->drop(outbound::RecordDrop::rate_limited, 1, sample.header, *route);
  }
  batcher_->add_message(sflow_encoder_.encode(sample), kind, *route, sample.header);
}

}  // namespace weir::dataplane
