// exporter_labels.h — What the operator calls exporters and their interfaces, for records to carry.
//
// Runs on:  made on any thread; constant once a decoder has it.
// Bounds:   its maker's; texts are cut to kNameOctetsMax octets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"

namespace weir::decode {

struct InterfaceLabel {
  uint32_t index = 0;  // ifIndex
  std::string name;
};

struct ExporterLabel {
  IpAddress address;
  std::string site;                        // empty: not said
  std::vector<InterfaceLabel> interfaces;  // those that have a name, by index

  /// Empty where it has none.
  std::string_view interface_name(uint32_t index) const noexcept;
};

class ExporterLabels {
 public:
  explicit ExporterLabels(std::vector<ExporterLabel> exporters);

  /// Null where nothing is said of it.
  const ExporterLabel* find(const IpAddress& exporter) const noexcept;

 private:
  std::vector<ExporterLabel> exporters_;  // by address
};

}  // namespace weir::decode
