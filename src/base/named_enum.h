// named_enum.h — Enumerations whose enumerators are also counter labels, log keys and rows in docs.
//
//     #define WEIR_FRUIT(X) X(apple) X(pear)
//     WEIR_NAMED_ENUM(Fruit, uint8_t, WEIR_FRUIT)
//
// declares `enum class Fruit : uint8_t { apple, pear, count_ }` and `name_of(Fruit)`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#define WEIR_NAMED_ENUM_ENTRY(n) n,
#define WEIR_NAMED_ENUM_NAME(n)  #n,
#define WEIR_NAMED_ENUM(Type, Underlying, LIST)                                             \
  enum class Type : Underlying { LIST(WEIR_NAMED_ENUM_ENTRY) count_ };                      \
  constexpr std::string_view name_of(Type e) noexcept {                                     \
    constexpr std::string_view kNames[] = {LIST(WEIR_NAMED_ENUM_NAME)};                     \
    const auto i = static_cast<size_t>(e);                                                  \
    return i < static_cast<size_t>(Type::count_) ? kNames[i] : std::string_view("invalid"); \
  }
