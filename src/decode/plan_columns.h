// plan_columns.h — Where each field lies in a FlowRecord, how wide it is, and in which block.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "flow/flow_record.h"

namespace weir::decode {

inline constexpr size_t kFields = static_cast<size_t>(Field::count_);

struct Column {
  uint16_t offset;
  uint8_t octets;     // 2, 4 or 8; 16: an address; 0: a ref
  uint8_t block_bit;  // 0: in none
  uint8_t address_bit;
};

inline constexpr auto kColumns = [] {
  std::array<Column, kFields> c{};
#define WEIR_COLUMN_(member, bit)                                        \
  c[static_cast<size_t>(Field::member)] = {offsetof(FlowRecord, member), \
                                           sizeof(FlowRecord::member), bit, 0};
#define WEIR_COLUMN_PLAIN_(member, number)   WEIR_COLUMN_(member, 0)
#define WEIR_COLUMN_BASIC_(member, number)   WEIR_COLUMN_(member, block::kBasic)
#define WEIR_COLUMN_SECOND_(member, number)  WEIR_COLUMN_(member, block::kSecond)
#define WEIR_COLUMN_HEADERS_(member, number) WEIR_COLUMN_(member, block::kHeaders)
#define WEIR_COLUMN_CONTEXT_(member, number) WEIR_COLUMN_(member, block::kContext)
#define WEIR_COLUMN_NAT_(member, number)     WEIR_COLUMN_(member, block::kNat)
#define WEIR_COLUMN_RARE_(member, number)    WEIR_COLUMN_(member, block::kRare)
#define WEIR_COLUMN_REF_(member, number) \
  c[static_cast<size_t>(Field::member)] = {offsetof(FlowRecord, member), 0, 0, 0};
#define WEIR_COLUMN_ADDRESS_(member, number)                                    \
  c[static_cast<size_t>(Field::member)] = {offsetof(FlowRecord, member), 16, 0, \
                                           address::bit(address::k_##member)};
  WEIR_BLOCK_COUNTERS(WEIR_COLUMN_PLAIN_)
  WEIR_BLOCK_BASIC(WEIR_COLUMN_BASIC_)
  WEIR_BLOCK_SECOND(WEIR_COLUMN_SECOND_)
  WEIR_BLOCK_HEADERS(WEIR_COLUMN_HEADERS_)
  WEIR_BLOCK_CONTEXT(WEIR_COLUMN_CONTEXT_)
  WEIR_BLOCK_NAT(WEIR_COLUMN_NAT_)
  WEIR_BLOCK_RARE(WEIR_COLUMN_RARE_)
  WEIR_ADDRESSES(WEIR_COLUMN_ADDRESS_)
  WEIR_STRINGS(WEIR_COLUMN_REF_)
  WEIR_NUMBER_LISTS(WEIR_COLUMN_REF_)
  WEIR_ADDRESS_LISTS(WEIR_COLUMN_REF_)
  WEIR_STRING_LISTS(WEIR_COLUMN_REF_)
  WEIR_COLUMN_REF_(unmapped, 0)
  WEIR_COLUMN_PLAIN_(time_flow_start_ns, 0)
  WEIR_COLUMN_PLAIN_(time_flow_end_ns, 0)
  WEIR_COLUMN_PLAIN_(src_mac, 0)
  WEIR_COLUMN_PLAIN_(dst_mac, 0)
  WEIR_COLUMN_PLAIN_(etype, 0)
  WEIR_COLUMN_PLAIN_(proto, 0)
#undef WEIR_COLUMN_
#undef WEIR_COLUMN_PLAIN_
#undef WEIR_COLUMN_BASIC_
#undef WEIR_COLUMN_SECOND_
#undef WEIR_COLUMN_HEADERS_
#undef WEIR_COLUMN_CONTEXT_
#undef WEIR_COLUMN_NAT_
#undef WEIR_COLUMN_RARE_
#undef WEIR_COLUMN_REF_
#undef WEIR_COLUMN_ADDRESS_
  return c;
}();

constexpr const Column& column_of(Field f) noexcept { return kColumns[static_cast<size_t>(f)]; }

}  // namespace weir::decode
