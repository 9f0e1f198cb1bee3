// read_values.h — Texts of addresses, numbers, flags and so on → values. Nothing where a text is none.
//
// Private to src/query.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "base/ip_address.h"

namespace weir::query {

struct AddressRange {
  IpAddress first, last;
};
/// 192.0.2.1, 192.0.2.0/24 (host bits are masked), 192.0.2.1-192.0.2.9
std::optional<AddressRange> read_prefix_or_range(std::string_view text);

/// 443, 0x1bb, 10k, 10M: up to 2^63-1.
std::optional<int64_t> read_integer(std::string_view text);
/// 1024-65535
std::optional<std::pair<int64_t, int64_t>> read_number_range(std::string_view text);
/// 65000:100, or its number
std::optional<int64_t> read_community(std::string_view text);

struct Flags {
  int64_t set = 0;
  int64_t looked_at = 0;
};
/// SYN,!ACK
std::optional<Flags> read_flags(std::string_view text);

/// 00:1b:21:3c:9d:f8, 00-1b-…, 001b.213c.9df8
std::optional<int64_t> read_mac(std::string_view text);
std::optional<bool> read_boolean(std::string_view text);

/// Whether `pattern`, in which % is anything, meets `text` in any case.
bool is_like(std::string_view text, std::string_view pattern);

}  // namespace weir::query
