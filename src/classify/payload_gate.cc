#include "classify/payload_gate.h"

#include <algorithm>
#include <cassert>

namespace weir::classify {

void ExactMatch::add(uint16_t pattern, const std::vector<std::vector<OctetRange>>& ways) {
  for (const auto& way : ways) {
    ways_.push_back({pattern, static_cast<uint16_t>(way.size())});
    steps_.insert(steps_.end(), way.begin(), way.end());
  }
}

void PayloadGate::add(GateGroup group, std::span<const std::optional<PatternHead>> heads,
                      std::span<const PortRange> ports) {
  assert(groups_.size() < kGateGroupsMax);
  const uint64_t bit = uint64_t{1} << groups_.size();
  for (const auto& head : heads) {
    for (size_t place = 0; place < kHeadOctets; ++place) {
      for (size_t octet = 0; octet < 256; ++octet) {
        if (!head || (*head)[place].test(octet)) admits_[place][octet] |= bit;
      }
    }
  }
  Ports& known = ports_[groups_.size()];
  if (!ports.empty() && ports.size() <= known.ranges.size()) {
    std::copy(ports.begin(), ports.end(), known.ranges.begin());
    known.count = static_cast<uint32_t>(ports.size());
    with_ports_ |= bit;
    for (const PortRange& range : ports)
      for (uint32_t port = range.first; port <= range.last; ++port) port_hints_[port & 255] |= bit;
  } else {
    for (uint64_t& hint : port_hints_) hint |= bit;
  }
  groups_.push_back(std::move(group));
}

}  // namespace weir::classify
