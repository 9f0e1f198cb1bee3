#include "decode/exporter_labels.h"

#include <algorithm>
#include <utility>

#include "decode/events.h"

namespace weir::decode {

std::string_view ExporterLabel::interface_name(uint32_t index) const noexcept {
  const auto at = std::lower_bound(
      interfaces.begin(), interfaces.end(), index,
      [](const InterfaceLabel& label, uint32_t wanted) { return label.index < wanted; });
  return at != interfaces.end() && at->index == index ? std::string_view(at->name) : std::string_view();
}

ExporterLabels::ExporterLabels(std::vector<ExporterLabel> exporters) : exporters_(std::move(exporters)) {
  const auto cut = [](std::string& text) { text.resize(std::min(text.size(), kNameOctetsMax)); };
  for (ExporterLabel& exporter : exporters_) {
    cut(exporter.site);
    for (InterfaceLabel& interface : exporter.interfaces) cut(interface.name);
    std::sort(exporter.interfaces.begin(), exporter.interfaces.end(),
              [](const InterfaceLabel& a, const InterfaceLabel& b) { return a.index < b.index; });
  }
  std::sort(exporters_.begin(), exporters_.end(),
            [](const ExporterLabel& a, const ExporterLabel& b) { return a.address < b.address; });
}

const ExporterLabel* ExporterLabels::find(const IpAddress& exporter) const noexcept {
  const auto at = std::lower_bound(
      exporters_.begin(), exporters_.end(), exporter,
      [](const ExporterLabel& label, const IpAddress& wanted) { return label.address < wanted; });
  return at != exporters_.end() && at->address == exporter ? &*at : nullptr;
}

}  // namespace weir::decode
