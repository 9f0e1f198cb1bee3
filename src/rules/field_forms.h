// field_forms.h — Addresses and MAC addresses as the fields of flows have them as text, made of any other form of them.
//
// Runs on:  any thread. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::rules {

/// `2001:DB8:0::1` → `2001:db8::1`. Nothing of what is no address.
std::optional<std::string> address_as_field(const std::string& text);
/// `02-00-00-00-00-0A` → `02:00:00:00:00:0a`. Nothing of what are not twelve digits.
std::optional<std::string> mac_as_field(std::string_view text);
/// At most kMacMax.
std::string mac_as_field(uint64_t mac);

}  // namespace weir::rules
