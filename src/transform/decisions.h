// decisions.h — What rules may say of an event, and how it gets there.
//
// Spec:     docs/RULES.md, "What rules may set".
// Runs on:  any thread. Constant tables and views.
#pragma once

#include <string_view>
#include <vector>

#include "enrich/enrichment.h"
#include "enrich/exporter_names.h"
#include "rules/program.h"

namespace weir::transform {

/// The places of event_targets().
enum class EventTarget : uint8_t {
  severity_id,
  app_name,
  message,
  direction_id,
  boundary_id,
  src_name,
  src_hostname,
  src_svc_name,
  src_zone,
  dst_name,
  dst_hostname,
  dst_svc_name,
  dst_zone,
  device_name,
  device_hostname,
  tenant_uid,
  count_
};

/// For whoever compiles rules. Targets beyond these are unmapped.<name>.
const std::vector<rules::Target>& event_targets();

/// What rules came to for one flow, and what is known of its ends. Without either all of it is null.
struct Decisions {
  const rules::Outcome* outcome = nullptr;
  const rules::Program* program = nullptr;   // outcome's
  const rules::PrefixSet* local = nullptr;   // the operator's own networks, where they are known
  const enrich::AddressFacts* src = nullptr; // of the flow's ends, where something is asked
  const enrich::AddressFacts* dst = nullptr;
  const enrich::Enrichment* known = nullptr;  // what src and dst are of
  const enrich::ExporterNames* exporter = nullptr;  // of whoever told of the flow
  std::string_view decided;  // what a decision file makes of the flow, for whoever keeps it beside the flow: an object; empty: none

  /// Before rules run, which need none of it: tables of addresses are seldom in the cache. `enrichment` may be null.
  // PERF: memory is waited for while rules run, and then while the beginning of the event is written (enriched, perf/bench_transform).
  static void prefetch(const FlowView& flow, const enrich::Enrichment* enrichment) noexcept {
    if (enrichment == nullptr) return;
    enrichment->prefetch(flow[OctetsSlot::src_addr]);
    enrichment->prefetch(flow[OctetsSlot::dst_addr]);
  }
  /// Of flows that rules keep.
  void look_up(const FlowView& flow, const enrich::Enrichment* enrichment) noexcept {
    known = enrichment;
    if (enrichment == nullptr) return;
    src = enrichment->find(flow[OctetsSlot::src_addr]);
    dst = enrichment->find(flow[OctetsSlot::dst_addr]);
    __builtin_prefetch(src);
    __builtin_prefetch(dst);
  }
  const rules::Cell* find(EventTarget target) const noexcept {
    const auto i = static_cast<size_t>(target);
    return outcome != nullptr && outcome->has(i) ? &outcome->targets[i] : nullptr;
  }
  /// Empty where rules said nothing.
  std::string_view text(EventTarget target) const noexcept {
    const rules::Cell* const cell = find(target);
    return cell != nullptr ? cell->text : std::string_view();
  }
  /// `otherwise` where rules said nothing.
  uint64_t number(EventTarget target, uint64_t otherwise) const noexcept {
    const rules::Cell* const cell = find(target);
    return cell != nullptr ? cell->number.to_uint64().value_or(otherwise) : otherwise;
  }
};

/// An enumeration's number and caption as they stand in an event, `"severity_id":1,"severity":"Informational",`. `id` is one of it: all
/// that rules may set are.
std::string_view severity_members(uint64_t id) noexcept;
std::string_view direction_members(uint64_t id) noexcept;
std::string_view boundary_members(uint64_t id) noexcept;

}  // namespace weir::transform
