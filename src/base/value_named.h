// value_named.h — The enumerator of a named enumeration that a text names.
#pragma once

#include <optional>
#include <string_view>

#include "base/named_enum.h"

namespace weir {

template <class Enum>
constexpr std::optional<Enum> value_named(std::string_view name) noexcept {
  for (size_t i = 0; i < static_cast<size_t>(Enum::count_); ++i) {
    if (name_of(static_cast<Enum>(i)) == name) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace weir
