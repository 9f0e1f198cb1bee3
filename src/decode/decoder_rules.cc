#include "decode/decoder_rules.h"

#include <cstring>

namespace weir::decode {
namespace {

/// Bits of the longest prefix that covers it; -1: none does.
int longest_match(const std::vector<ExporterPrefix>& prefixes, const IpAddress& exporter) noexcept {
  int longest = -1;
  for (const ExporterPrefix& p : prefixes) {
    if (p.bits > longest && p.covers(exporter)) longest = p.bits;
  }
  return longest;
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

bool AccessList::admits(const IpAddress& exporter) const noexcept {
  const int allowed = longest_match(allow, exporter);
  const int denied = longest_match(deny, exporter);
  if (allowed < 0 && denied < 0) return allow.empty();
  return allowed > denied;
}

}  // namespace weir::decode
