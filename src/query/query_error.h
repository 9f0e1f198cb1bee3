// query_error.h — What is wrong with a query, and where.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace weir::query {

/// Octets of the query's text, from 0.
struct Place {
  size_t at = 0;
  size_t octets = 0;
};

/// `message` says what is wrong and what is allowed. Thrown inside this room only: parse and check hand it back.
struct QueryError {
  std::string message;
  Place place;
};

[[noreturn]] inline void refuse(Place place, std::string message) { throw QueryError{std::move(message), place}; }

/// How many characters stand before octet `at`, plus one: what people count.
inline size_t column_of(std::string_view text, size_t at) {
  size_t column = 1;
  for (size_t i = 0; i < at && i < text.size(); ++i) column += (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
  return column;
}

}  // namespace weir::query
