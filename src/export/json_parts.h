// json_parts.h — What the files that write JSON lines share. JSON of one value each.
#pragma once

#include <cstdint>
#include <string_view>

#include "export/text_buffer.h"

namespace weir::outbound::parts {

/// A string with its quotes; octets that are not UTF-8 become U+FFFD.
void put_string(TextBuffer& out, std::string_view text);
void put_quoted_address(TextBuffer& out, std::string_view octets);
void put_quoted_hex(TextBuffer& out, std::string_view octets);

/// An element without a column.
struct ElementText {
  uint32_t enterprise = 0;
  uint32_t id = 0;
  std::string_view value;
};
/// Its numbers, its name and what its octets say, where that is known.
void put_unmapped(TextBuffer& out, const ElementText& element);
/// The same of a flow record of sFlow's: its format and the octets as they came.
void put_sflow_record(TextBuffer& out, const ElementText& element);

}  // namespace weir::outbound::parts
