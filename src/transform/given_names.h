// given_names.h — The names that an exporter told apart from its flows, in the places where flows may have them themselves.
//
// Spec:     docs/ENRICHMENT.md, "Names". Before rules run, so that they see them.
// Runs on:  any thread. Pure. The flow then has views into `names`.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "enrich/exporter_names.h"
#include "flow/flow_view.h"

namespace weir::transform {

/// What a flow says itself stays, but for its application: an exporter's own name for the id that it says goes before whatever
/// found out another one.
inline void give_names(FlowView& flow, const enrich::ExporterNames& names) noexcept {
  using N = NumberSlot;
  using O = OctetsSlot;
  const auto give = [&](O slot, std::string_view name) {
    std::string_view& there = flow.octets[static_cast<size_t>(slot)];
    if (there.empty()) there = name;
  };
  if (flow[N::in_if] != 0) give(O::in_if_name, names.interface(flow[N::in_if]));
  if (flow[N::out_if] != 0) give(O::out_if_name, names.interface(flow[N::out_if]));
  if (flow[N::ingress_vrf_id] != 0) give(O::ingress_vrf_name, names.vrf(flow[N::ingress_vrf_id]));
  if (flow[N::egress_vrf_id] != 0) give(O::egress_vrf_name, names.vrf(flow[N::egress_vrf_id]));
  give(O::site, names.site());
  if (const std::string_view own = names.application(flow[O::application_id]); !own.empty()) {
    flow.octets[static_cast<size_t>(O::application_name)] = own;
  }
}

/// For whoever keeps the names beside the flows: those that the flow does not say itself are not there any more. The application's
/// stays.
class LentNames {
 public:
  explicit LentNames(const FlowView& flow) noexcept {
    for (size_t i = 0; i < kSlots.size(); ++i) said_[i] = flow[kSlots[i]];
  }
  void take_back(FlowView& flow) const noexcept {
    for (size_t i = 0; i < kSlots.size(); ++i) flow.octets[static_cast<size_t>(kSlots[i])] = said_[i];
  }

 private:
  static constexpr std::array kSlots = {OctetsSlot::in_if_name, OctetsSlot::out_if_name, OctetsSlot::ingress_vrf_name,
                                        OctetsSlot::egress_vrf_name, OctetsSlot::site};
  std::array<std::string_view, kSlots.size()> said_;
};

/// The names of one flow's exporter after another's: mostly the same one's again.
class NamesCursor {
 public:
  /// Null where there are none, or `table` is null. A table is asked anew where it is another one.
  const enrich::ExporterNames* find(const enrich::NamesTable* table, std::string_view exporter) noexcept {
    if (table == nullptr || table->size() == 0) return nullptr;
    if (table != table_ || exporter.size() != octets_ || exporter != std::string_view(exporter_.data(), octets_)) {
      if (exporter.size() > exporter_.size()) return nullptr;
      table_ = table;
      octets_ = exporter.size();
      std::copy(exporter.begin(), exporter.end(), exporter_.begin());
      found_ = table->find(exporter);
    }
    return found_;
  }
  /// Whenever the table may be gone: another could come to lie in its place.
  void forget() noexcept { table_ = nullptr; }

 private:
  const enrich::NamesTable* table_ = nullptr;
  std::array<char, 16> exporter_{};
  size_t octets_ = 0;
  const enrich::ExporterNames* found_ = nullptr;
};

}  // namespace weir::transform
