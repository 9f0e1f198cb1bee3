#include "enrich/exporter_names.h"

namespace weir::enrich {
namespace {

constexpr size_t kEntryOctets = 96;  // of a map, about

}  // namespace

std::string_view ExporterNames::fit(std::string_view text) noexcept {
  if (text.size() <= kNameTextMax) return text;
  size_t end = kNameTextMax;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

template <class Map, class Key>
bool ExporterNames::add(Map& names, Key&& key, std::string_view text) {
  if (text.empty()) return true;
  if (names_ == kNamesMax) return false;
  const auto [at, is_new] = names.try_emplace(std::forward<Key>(key), fit(text));
  if (!is_new) return true;
  ++names_;
  octets_ += kEntryOctets + at->second.capacity();
  return true;
}
template bool ExporterNames::add(Numbered&, uint32_t&, std::string_view);
template bool ExporterNames::add(decltype(applications_)&, std::string&&, std::string_view);

std::string_view ExporterNames::application(std::string_view id) const noexcept {
  const auto at = id.empty() ? applications_.end() : applications_.find(id);
  return at == applications_.end() ? std::string_view() : at->second;
}

bool NamesTable::put(const IpAddress& exporter, std::shared_ptr<const ExporterNames> names) {
  const auto at = exporters_.find(exporter);
  const size_t before = at == exporters_.end() ? 0 : at->second->octets() + kEntryOctets;
  const size_t after = octets_ - before + names->octets() + kEntryOctets;
  if (after > kNamesOctetsMax || (before == 0 && exporters_.size() == kNamedExportersMax)) return false;
  octets_ = after;
  exporters_[exporter] = std::move(names);
  return true;
}

const ExporterNames* NamesTable::find(std::string_view octets) const noexcept {
  const auto* const data = reinterpret_cast<const uint8_t*>(octets.data());
  if (octets.size() != 4 && octets.size() != 16) return nullptr;
  const auto at = exporters_.find(octets.size() == 4 ? IpAddress::from_v4(data) : IpAddress::from_v6(data));
  return at == exporters_.end() ? nullptr : at->second.get();
}

}  // namespace weir::enrich
