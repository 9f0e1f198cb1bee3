// list_builder.h — The values of structured elements, built octet by octet for tests.
//
// Spec:     RFC 6313 §4.5.
// Failure:  none: a builder writes what it is told, wrong lengths included.
#pragma once

#include <optional>
#include <vector>

#include "lab/message_builder.h"

namespace weir::lab {

/// RFC 6313 §4.4.
enum class ListSemantic : uint8_t {
  none_of = 0,
  exactly_one_of = 1,
  one_or_more_of = 2,
  all_of = 3,
  ordered = 4,
  undefined = 255,
};

/// `element`.length is each value's; kVariableLength expects values built by `variable`.
inline Octets basic_list(FieldSpecifier element, const std::vector<Octets>& values,
                         ListSemantic semantic = ListSemantic::all_of) {
  const uint16_t bit = element.enterprise != 0 ? 0x8000 : 0;
  Octets o = join({u8(static_cast<uint8_t>(semantic)), u16(element.id | bit), u16(element.length)});
  if (element.enterprise != 0) append(o, u32(element.enterprise));
  for (const Octets& v : values) append(o, v);
  return o;
}

inline Octets sub_template_list(uint16_t template_id, const std::vector<Record>& records,
                                ListSemantic semantic = ListSemantic::all_of) {
  Octets o = join({u8(static_cast<uint8_t>(semantic)), u16(template_id)});
  for (const Record& r : records) append(o, r.octets);
  return o;
}

struct ListEntry {
  uint16_t template_id = 0;
  std::vector<Record> records{};
  std::optional<uint16_t> length{};  // default: the entry's octets
};

inline Octets sub_template_multi_list(const std::vector<ListEntry>& entries,
                                      ListSemantic semantic = ListSemantic::all_of) {
  Octets o = u8(static_cast<uint8_t>(semantic));
  for (const ListEntry& e : entries) {
    Octets records;
    for (const Record& r : e.records) append(records, r.octets);
    append(o, join({u16(e.template_id),
                    u16(e.length.value_or(static_cast<uint16_t>(records.size() + 4)))}));
    append(o, records);
  }
  return o;
}

}  // namespace weir::lab
