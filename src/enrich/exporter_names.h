// exporter_names.h — What exporters call their interfaces, VRFs and applications, and what the operator calls the exporters.
//
// Spec:     docs/ENRICHMENT.md, "Names".
// Runs on:  a table is filled by one thread; a copy that is published is constant, asked on any thread without an allocation.
// Bounds:   kNamedExportersMax exporters, kNamesMax names of one, kNamesOctetsMax octets in all, kNameTextMax of a name. What exceeds them
//           is left out and counted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/ip_address.h"

namespace weir::enrich {

inline constexpr size_t kNamedExportersMax = 65'536;
inline constexpr size_t kNamesMax = 65'536;
inline constexpr size_t kNamesOctetsMax = 256 << 20;
inline constexpr size_t kNameTextMax = 256;

/// Of one exporter. A name is put once; an empty one is none.
class ExporterNames {
 public:
  void set_name(std::string_view text) { name_ = fit(text); }
  void set_site(std::string_view text) { site_ = fit(text); }
  /// False where there is no room.
  bool add_interface(uint32_t if_index, std::string_view text) { return add(interfaces_, if_index, text); }
  bool add_vrf(uint32_t id, std::string_view text) { return add(vrfs_, id, text); }
  bool add_application(std::string_view id, std::string_view text) { return add(applications_, std::string(fit(id)), text); }

  std::string_view name() const noexcept { return name_; }
  std::string_view site() const noexcept { return site_; }
  /// Empty where there is none.
  std::string_view interface(uint64_t if_index) const noexcept { return of(interfaces_, if_index); }
  std::string_view vrf(uint64_t id) const noexcept { return of(vrfs_, id); }
  std::string_view application(std::string_view id) const noexcept;
  size_t octets() const noexcept { return octets_; }

 private:
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const noexcept { return std::hash<std::string_view>{}(s); }
  };
  using Numbered = std::unordered_map<uint32_t, std::string>;
  /// At a character's end.
  static std::string_view fit(std::string_view text) noexcept;
  static std::string_view of(const Numbered& names, uint64_t id) noexcept {
    const auto at = id <= UINT32_MAX ? names.find(static_cast<uint32_t>(id)) : names.end();
    return at == names.end() ? std::string_view() : at->second;
  }
  template <class Map, class Key>
  bool add(Map& names, Key&& key, std::string_view text);

  std::string name_, site_;
  Numbered interfaces_, vrfs_;
  std::unordered_map<std::string, std::string, TextHash, std::equal_to<>> applications_;
  size_t names_ = 0;
  size_t octets_ = 0;  // about what it takes
};

/// Of all exporters. A copy shares what it says of each.
class NamesTable {
 public:
  /// In the place of what was there. False where there is no room; then what was there stays.
  bool put(const IpAddress& exporter, std::shared_ptr<const ExporterNames> names);
  /// Null where nothing is known of it. `octets`: 4 or 16, as flows have them.
  const ExporterNames* find(std::string_view octets) const noexcept;
  size_t size() const noexcept { return exporters_.size(); }

 private:
  struct AddressHash {
    size_t operator()(const IpAddress& a) const noexcept { return hash_of(a, 0); }
  };
  std::unordered_map<IpAddress, std::shared_ptr<const ExporterNames>, AddressHash> exporters_;
  size_t octets_ = 0;
};

}  // namespace weir::enrich
