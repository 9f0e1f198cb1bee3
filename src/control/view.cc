#include "control/view.h"

#include <fmt/format.h>

#include <algorithm>

namespace weir::control {

std::string_view name_of(ApplianceState state) noexcept {
  switch (state) {
    case ApplianceState::starting: return "starting";
    case ApplianceState::running: return "running";
    case ApplianceState::draining: return "draining";
    case ApplianceState::stopped: return "stopped";
  }
  return "invalid";
}

Ledger ApplianceView::total() const {
  Ledger sum;
  for (const CoreView& core : cores) sum += core.ledger;
  return sum;
}

std::optional<size_t> ApplianceView::row_of(const IpAddress& exporter) const noexcept {
  const auto at = std::lower_bound(exporters.begin(), exporters.end(), exporter,
                                   [](const decode::ExporterStats& e, const IpAddress& a) { return e.address < a; });
  if (at == exporters.end() || at->address != exporter) return std::nullopt;
  return static_cast<size_t>(at - exporters.begin());
}

std::string ApplianceView::not_ready_because() const {
  if (state != ApplianceState::running) return fmt::format("the appliance is {}", name_of(state));
  for (const auto& port : ports) {
    if (!port.link_up)
      return fmt::format("port {}: link is down{}{}", port.name, port.trouble.empty() ? "" : ": ",
                         port.trouble);
    if (!port.trouble.empty()) return fmt::format("port {}: {}", port.name, port.trouble);
  }
  if (publishers.empty()) return "no publisher is configured";
  for (const auto& publisher : publishers) {
    if (publisher.state != PublisherState::running) continue;
    if (publisher.is_fresh && !publisher.connected) continue;
    if (publisher.connected && publisher.publish_trouble().empty()) continue;
    if (publisher.is_kept_on_disk()) continue;
    const std::string trouble = publisher.trouble();
    return fmt::format("publisher {}: {}{}{}", publisher.name,
                       publisher.connected ? "cannot publish" : "not connected",
                       trouble.empty() ? "" : ": ", trouble);
  }
  return {};
}

}  // namespace weir::control
