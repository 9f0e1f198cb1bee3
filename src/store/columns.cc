#include "store/columns.h"

#include <array>

namespace weir::store {

namespace {

// clang-format off
#define WEIR_STORE_COLUMN_SPEC_(name, type) ColumnSpec{#name, ColumnType::type},
constexpr std::array<ColumnSpec, kColumns> kSpecs = {WEIR_STORE_COLUMNS(WEIR_STORE_COLUMN_SPEC_)};
#undef WEIR_STORE_COLUMN_SPEC_
// clang-format on

}  // namespace

std::span<const ColumnSpec, kColumns> columns() noexcept { return kSpecs; }

std::string_view sql_type(ColumnType type) noexcept {
  switch (type) {
    case ColumnType::time: return "TIMESTAMPTZ";
    case ColumnType::address: return "UUID";
    case ColumnType::number: return "INTEGER";
    case ColumnType::big_number: return "BIGINT";
    case ColumnType::truth: return "BOOLEAN";
    case ColumnType::text: return "VARCHAR";
    case ColumnType::big_numbers: return "BIGINT[]";
    case ColumnType::texts: return "VARCHAR[]";
  }
  return "";
}

}  // namespace weir::store
