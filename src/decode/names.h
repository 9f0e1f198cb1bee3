// names.h — Names that options data give to interfaces, VRFs, applications and samplers.
//
// Spec:     RFC 5102 (82, 83, 236), RFC 6759 (94 to 96), NetFlow v9's options tables as IOS, IOS-XR
//           and Junos send them: `interface-table`, `vrf-table`, `application-table`, `sampler-table`.
// Runs on:  the decoder's thread.
// Bounds:   names_per_exporter_max of DecoderLimits for an exporter (its own oldest goes), kNames in
//           all beside those that are kept for each (shares.h); a name is cut to kNameOctetsMax octets, name and description to kNameTextOctetsMax.
//
// Names are the exporter's, whatever domain says them: indexes of interfaces and ids of VRFs are the
// device's, and options often come under another source id than the data. They are told as events
// where they change; the names themselves are kept only where records are to carry them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "decode/events.h"
#include "decode/exporter_state.h"
#include "decode/plan.h"
#include "decode/shares.h"
#include "decode/slab.h"

namespace weir::decode {

/// What a name belongs to: a number's octets in network order without leading zeros, or an
/// application id as it came.
struct NameKey {
  uint8_t octets[kNameKeyOctetsMax] = {};
  uint8_t size = 0;  // 0: none

  static NameKey of(uint64_t number) noexcept;
  /// None where it is too long.
  static NameKey of(std::span<const uint8_t> octets) noexcept;
};

/// What one options record says of one thing. The texts point into the record; one that it does not
/// have at all is null, which is not the same as empty.
struct NameValue {
  NameKey key;
  std::string_view name;
  std::string_view description;
  uint64_t rate = 0;  // of a sampler

  bool says_something() const noexcept {
    return key.size != 0 && (name.data() != nullptr || description.data() != nullptr || rate != 0);
  }
};
using NameValues = std::array<NameValue, static_cast<size_t>(NameKind::count_)>;

/// Whether records of these fields may name something.
bool has_name_fields(std::span<const FieldSpec> fields) noexcept;
/// Reads an options record; `rate` is what it amounts to.
NameValues read_names(const Template& t, const Row& row, uint64_t rate) noexcept;

class NameTable {
 public:
  static constexpr uint32_t kNames = 1u << 16;

  /// Whether names are kept, or only what is needed to see them change.
  enum class Keep : uint8_t { changes, names };

  /// As with SamplingTable.
  NameTable(uint32_t per_exporter_max, uint32_t exporters_max, uint32_t exporters_room, Keep keep, uint64_t seed) noexcept
      : per_exporter_max_(per_exporter_max),
        places_(kNames + uint64_t{places_kept(exporters_max)} * exporters_max),
        places_max_(kNames + uint64_t{places_kept(exporters_max)} * exporters_room),
        shares_(places_kept(exporters_max), kNames),
        keep_(keep),
        seed_(seed) {}
  [[nodiscard]] bool reserve() noexcept;

  /// Tells of it unless it was told before.
  void learn(const Domain& domain, NameKind kind, const NameValue& value,
             EventOutlet& events) noexcept;
  /// What it said before a restart. Nothing where it has said something since; nobody is told.
  void restore(Exporter& exporter, NameKind kind, const NameValue& value) noexcept;
  /// Empty where no name is known.
  std::string_view find(const Exporter& exporter, NameKind kind, const NameKey& key) const noexcept;
  void drop_exporter(Exporter& exporter) noexcept;

 private:
  static NameValue within_bounds(NameValue value) noexcept;
  uint64_t hash_of_key(const Exporter& exporter, NameKind kind, const NameKey& key) const noexcept;
  uint64_t hash_of_value(const NameValue& value) const noexcept;
  NameEntry* find_entry(const Exporter& exporter, NameKind kind, const NameKey& key) const noexcept;
  NameEntry* find_or_add(Exporter& exporter, NameKind kind, const NameKey& key) noexcept;
  void keep_name(NameEntry& entry, std::string_view name) noexcept;
  void remove(Exporter& exporter, NameEntry& entry) noexcept;

  const uint32_t per_exporter_max_;
  const uint64_t places_;      // to begin with
  const uint64_t places_max_;
  Shares shares_;
  const Keep keep_;
  const uint64_t seed_;
  Reservation memory_;
  Slab texts_;
  HashChains<NameEntry> chains_;
  NameEntry* free_ = nullptr;
  uint32_t untouched_ = 0;
};

/// Arena octets that the names of one record take at most.
inline constexpr uint32_t kInlineNameOctets = 5 * kNameOctetsMax;
/// Writes the names of the record's interfaces, VRFs and application where the operator or the exporter named them;
/// the operator knows better.
/// The arena has room for kInlineNameOctets.
void fill_names(const NameTable& names, const Exporter& exporter, Arena& arena,
                FlowRecord& record) noexcept;

}  // namespace weir::decode
