#include "decode/decoder_rules.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace weir::decode {
namespace {

/// A prefix's addresses, and what it says of them.
struct Said {
  IpAddress first;
  IpAddress last;
  uint8_t bits;
  bool admits;
};

Said said_by(const ExporterPrefix& prefix, bool admits) noexcept {
  Said said{prefix.address, prefix.address, prefix.bits, admits};
  for (size_t i = 0; i < said.first.octets.size(); ++i) {
    const size_t bits = std::clamp<size_t>(prefix.bits, 8 * i, 8 * i + 8) - 8 * i;  // of this octet
    const auto rest = static_cast<uint8_t>(0xffu >> bits);
    said.first.octets[i] = static_cast<uint8_t>(said.first.octets[i] & ~rest);
    said.last.octets[i] |= rest;
  }
  return said;
}

/// None: it is the last.
std::optional<IpAddress> behind(IpAddress address) noexcept {
  for (size_t i = address.octets.size(); i-- > 0;)
    if (++address.octets[i] != 0) return address;
  return {};
}

}  // namespace

bool ExporterPrefix::covers(const IpAddress& exporter) const noexcept {
  const size_t octets = bits / 8;
  const unsigned rest = bits % 8;
  if (std::memcmp(exporter.octets.data(), address.octets.data(), octets) != 0) return false;
  const auto mask = static_cast<uint8_t>(0xff00u >> rest);
  return rest == 0 || ((exporter.octets[octets] ^ address.octets[octets]) & mask) == 0;
}

std::string_view site_of(const std::vector<SiteRule>& rules, const IpAddress& exporter) noexcept {
  const SiteRule* best = nullptr;
  for (const SiteRule& rule : rules)
    if ((best == nullptr || rule.exporters.bits > best->exporters.bits) && rule.exporters.covers(exporter)) best = &rule;
  return best != nullptr ? std::string_view(best->site) : std::string_view();
}

/// From there on; in place of what has the same beginning, and not where the range before says the same.
void AccessList::begin(const IpAddress& first, bool admits) {
  if (!ranges_.empty() && ranges_.back().first == first) ranges_.pop_back();
  if (ranges_.empty() || ranges_.back().admits != admits) ranges_.push_back({first, admits});
}

/// Prefixes lie within each other or apart: those that are open as the addresses go by are a stack.
AccessList::AccessList(const std::vector<ExporterPrefix>& allow, const std::vector<ExporterPrefix>& deny) {
  if (allow.empty() && deny.empty()) return;
  std::vector<Said> all;
  for (const ExporterPrefix& prefix : allow) all.push_back(said_by(prefix, true));
  for (const ExporterPrefix& prefix : deny) all.push_back(said_by(prefix, false));
  std::stable_sort(all.begin(), all.end(), [](const Said& one, const Said& other) {
    return one.first != other.first ? one.first < other.first : one.bits < other.bits;
  });
  const bool admits_others = allow.empty();
  std::vector<const Said*> open;
  const auto close = [&] {
    const IpAddress last = open.back()->last;
    open.pop_back();
    if (const std::optional<IpAddress> next = behind(last); next) begin(*next, open.empty() ? admits_others : open.back()->admits);
  };
  begin(IpAddress{}, admits_others);
  for (const Said& said : all) {
    while (!open.empty() && open.back()->last < said.first) close();
    begin(said.first, said.admits);
    open.push_back(&said);
  }
  while (!open.empty()) close();
}

bool AccessList::admits(const IpAddress& exporter) const noexcept {
  if (ranges_.empty()) return true;
  const auto behind_it = std::upper_bound(ranges_.begin(), ranges_.end(), exporter,
                                          [](const IpAddress& address, const Range& range) { return address < range.first; });
  return std::prev(behind_it)->admits;
}

}  // namespace weir::decode
