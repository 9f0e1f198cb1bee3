// cursor.h — Where a page of flows ended, as a text that a client hands back.
//
// Runs on:  any thread. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "query/translate.h"

namespace weir::api {

/// The window stays the first page's, whatever the time is by then.
struct Cursor {
  query::TimeWindow window;
  query::PageStart start;
};

/// Letters, digits, - and _. It is good for `query` alone, as it was typed.
std::string write_cursor(const Cursor& cursor, std::string_view query);
/// Nothing where it is none, or another query's.
std::optional<Cursor> read_cursor(std::string_view text, std::string_view query);

}  // namespace weir::api
