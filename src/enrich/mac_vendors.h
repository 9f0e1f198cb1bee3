// mac_vendors.h — Who made the interface with a MAC address, by the address's first bits.
//
// Spec:     the IEEE's registries MA-L, MA-M and MA-S (24, 28 and 36 bits) as CSV files, or Wireshark's `manuf`.
// Runs on:  filled when files are read, constant from then on; asked on any thread, without an allocation.
// Bounds:   kVendorsMax blocks, kVendorsOctetsMax octets a file, kNameOctetsMax of a name, which is cut there.
// Failure:  an Error with the file and the line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::enrich {

inline constexpr size_t kVendorsMax = 1'000'000;
inline constexpr size_t kVendorsOctetsMax = 64 << 20;

class VendorTable {
 public:
  /// Adds a file's blocks; of a block that stands there twice the first line holds. How many they were.
  Result<size_t> add(std::string_view text, const std::string& path);

  /// Empty where nobody is known, of groups, and of addresses that somebody made up (locally administered).
  std::string_view find(uint64_t mac) const noexcept;
  size_t size() const noexcept { return size_; }

 private:
  struct Slot {
    uint64_t key = 0;  // 0: free
    uint32_t name = 0;
  };
  Result<size_t> add_csv(std::string_view text, const std::string& path);
  Result<size_t> add_manuf(std::string_view text, const std::string& path);
  Result<void> put(uint64_t prefix, unsigned bits, std::string_view name);
  /// The block's bits, with a one in front: no two lengths have a key in common.
  static uint64_t key_of(uint64_t mac, unsigned bits) noexcept { return (uint64_t{1} << bits) | mac >> (48 - bits); }
  size_t place_of(uint64_t key) const noexcept;
  void grow();

  std::vector<Slot> slots_;  // a power of two of them, at most half of them taken
  std::vector<std::string> names_;
  size_t size_ = 0;
  bool has_28_ = false, has_36_ = false;
};

}  // namespace weir::enrich
