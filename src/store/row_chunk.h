// row_chunk.h — Rows of flows on their way into a table: a chunk of DuckDB's, filled row by row, all of whose values are NULL at
// first.
//
// Runs on:  one thread at a time.
// Owns:     the chunk.
// Bounds:   capacity() rows; what a row's texts and lists need beside.
#pragma once

#include <duckdb.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "store/columns.h"

namespace weir::store {

class RowChunk {
 public:
  RowChunk();
  ~RowChunk();
  RowChunk(const RowChunk&) = delete;
  RowChunk& operator=(const RowChunk&) = delete;

  static size_t capacity() noexcept;
  size_t rows() const noexcept { return rows_; }
  bool is_full() const noexcept { return rows_ == capacity(); }
  /// Empty again.
  void clear();
  /// Some of its columns and all of its rows, which `output` then refers to: it is emptied before the chunk is.
  void lend(std::span<const Column> columns, duckdb_data_chunk output) noexcept;
  /// Those in which a row has something.
  ColumnSet used() const noexcept;

  // Of the row that is being written, which end_row ends. What is not set is NULL; what a column does not hold is the largest that it
  // does.
  void set_number(Column c, uint64_t v) noexcept { set(c, static_cast<int32_t>(std::min<uint64_t>(v, INT32_MAX))); }
  void set_big_number(Column c, uint64_t v) noexcept { set(c, static_cast<int64_t>(std::min<uint64_t>(v, INT64_MAX))); }
  void set_time(Column c, int64_t micros) noexcept { set(c, micros); }
  void set_truth(Column c, bool v) noexcept { set(c, static_cast<uint8_t>(v)); }
  void set_address(Column c, const duckdb_hugeint& uuid) noexcept { set(c, uuid); }
  /// Octets that are not UTF-8 become '?'.
  void set_text(Column c, std::string_view text);
  /// Lists grow at their ends while the row is written.
  void add_big_number(Column c, uint64_t v);
  void add_text(Column c, std::string_view text);
  void end_row() noexcept { ++rows_; }

  /// Of its texts and lists, which lie beside its columns.
  size_t octets_beside() const noexcept { return octets_beside_; }

 private:
  template <class T>
  void set(Column c, const T& v) noexcept {
    const auto i = static_cast<size_t>(c);
    static_cast<T*>(data_[i])[rows_] = v;
    validity_[i][rows_ / 64] |= uint64_t{1} << rows_ % 64;
  }
  /// Where the next entry of the row's list goes.
  duckdb_vector grow_list(Column c, uint64_t& at);

  duckdb_data_chunk chunk_ = nullptr;
  std::array<void*, kColumns> data_{};
  std::array<uint64_t*, kColumns> validity_{};
  size_t rows_ = 0;
  size_t octets_beside_ = 0;
};

/// Made once, and never given back.
duckdb_logical_type logical_type(Column column) noexcept;

}  // namespace weir::store
