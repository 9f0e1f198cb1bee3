#include "store/row_chunk.h"

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "base/utf8.h"

namespace weir::store {
namespace {

/// Made once, and never given back.
struct LogicalTypes {
  std::array<duckdb_logical_type, kColumns> types{};

  LogicalTypes() {
    for (size_t i = 0; i < kColumns; ++i) types[i] = type_of(columns()[i].type);
  }
  static duckdb_logical_type type_of(ColumnType type) {
    switch (type) {
      case ColumnType::time: return duckdb_create_logical_type(DUCKDB_TYPE_TIMESTAMP_TZ);
      case ColumnType::address: return duckdb_create_logical_type(DUCKDB_TYPE_UUID);
      case ColumnType::number: return duckdb_create_logical_type(DUCKDB_TYPE_INTEGER);
      case ColumnType::big_number: return duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
      case ColumnType::truth: return duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN);
      case ColumnType::text: return duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
      case ColumnType::big_numbers: return list_of(DUCKDB_TYPE_BIGINT);
      case ColumnType::texts: return list_of(DUCKDB_TYPE_VARCHAR);
    }
    return nullptr;
  }
  static duckdb_logical_type list_of(duckdb_type type) {
    duckdb_logical_type entry = duckdb_create_logical_type(type);
    duckdb_logical_type list = duckdb_create_list_type(entry);
    duckdb_destroy_logical_type(&entry);
    return list;
  }
};

std::array<duckdb_logical_type, kColumns>& logical_types() {
  static LogicalTypes types;
  return types.types;
}

void assign_text(duckdb_vector vector, uint64_t at, std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto* octets = reinterpret_cast<const uint8_t*>(text.data());
    const size_t n = utf8_character_octets(octets + i, text.size() - i);
    if (n == 0) {
      std::string mended(text);
      make_utf8(reinterpret_cast<uint8_t*>(mended.data()), mended.size());
      return duckdb_vector_assign_string_element_len(vector, at, mended.data(), mended.size());
    }
    i += n;
  }
  duckdb_vector_assign_string_element_len(vector, at, text.data(), text.size());
}

}  // namespace

duckdb_logical_type logical_type(Column column) noexcept { return logical_types()[static_cast<size_t>(column)]; }

size_t RowChunk::capacity() noexcept {
  static const size_t capacity = duckdb_vector_size();
  return capacity;
}

RowChunk::RowChunk() {
  chunk_ = duckdb_create_data_chunk(logical_types().data(), kColumns);
  clear();
}

RowChunk::~RowChunk() { duckdb_destroy_data_chunk(&chunk_); }

void RowChunk::clear() {
  duckdb_data_chunk_reset(chunk_);
  rows_ = 0;
  octets_beside_ = 0;
  for (size_t i = 0; i < kColumns; ++i) {
    const duckdb_vector vector = duckdb_data_chunk_get_vector(chunk_, i);
    duckdb_vector_ensure_validity_writable(vector);
    data_[i] = duckdb_vector_get_data(vector);
    validity_[i] = duckdb_vector_get_validity(vector);
    std::memset(validity_[i], 0, (capacity() + 63) / 64 * sizeof(uint64_t));
  }
}

void RowChunk::lend(std::span<const Column> columns, duckdb_data_chunk output) noexcept {
  for (size_t i = 0; i < columns.size(); ++i) {
    duckdb_vector_reference_vector(duckdb_data_chunk_get_vector(output, i),
                                   duckdb_data_chunk_get_vector(chunk_, static_cast<size_t>(columns[i])));
  }
  duckdb_data_chunk_set_size(output, rows_);
}

ColumnSet RowChunk::used() const noexcept {
  ColumnSet used;
  for (size_t i = 0; i < kColumns; ++i) {
    uint64_t any = 0;
    for (size_t word = 0; word < (rows_ + 63) / 64; ++word) any |= validity_[i][word];
    used[i] = any != 0;
  }
  return used;
}

void RowChunk::set_text(Column c, std::string_view text) {
  const auto i = static_cast<size_t>(c);
  assign_text(duckdb_data_chunk_get_vector(chunk_, i), rows_, text);
  octets_beside_ += text.size();
  validity_[i][rows_ / 64] |= uint64_t{1} << rows_ % 64;
}

duckdb_vector RowChunk::grow_list(Column c, uint64_t& at) {
  const auto i = static_cast<size_t>(c);
  const duckdb_vector vector = duckdb_data_chunk_get_vector(chunk_, i);
  at = duckdb_list_vector_get_size(vector);
  auto& entry = static_cast<duckdb_list_entry*>(data_[i])[rows_];
  uint64_t& word = validity_[i][rows_ / 64];
  if ((word >> rows_ % 64 & 1) == 0) {
    word |= uint64_t{1} << rows_ % 64;
    entry = {at, 0};
  }
  ++entry.length;
  // By doubling: what it reserves it copies.
  if ((at & (at + 1)) == 0) duckdb_list_vector_reserve(vector, 2 * at + 64);
  duckdb_list_vector_set_size(vector, at + 1);
  return duckdb_list_vector_get_child(vector);
}

void RowChunk::add_big_number(Column c, uint64_t v) {
  uint64_t at = 0;
  const duckdb_vector entries = grow_list(c, at);
  static_cast<int64_t*>(duckdb_vector_get_data(entries))[at] = static_cast<int64_t>(v);
  octets_beside_ += sizeof(int64_t);
}

void RowChunk::add_text(Column c, std::string_view text) {
  uint64_t at = 0;
  const duckdb_vector entries = grow_list(c, at);
  assign_text(entries, at, text);
  octets_beside_ += sizeof(duckdb_string_t) + text.size();
}

}  // namespace weir::store
