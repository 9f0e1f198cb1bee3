#include "store/row_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cassert>

namespace weir::store {

/// What the function gives while `insert` runs.
struct RowSource::Lent {
  std::span<const Column> columns;
  std::span<const std::unique_ptr<RowChunk>> chunks;
  std::atomic<size_t> next{0};  // chunk that no thread has

  size_t chunks_a_part() const noexcept { return std::max<size_t>(kRowGroupRows / RowChunk::capacity(), 1); }
  size_t parts() const noexcept { return (chunks.size() + chunks_a_part() - 1) / chunks_a_part(); }

  // DuckDB's calls.
  static Lent& of(void* extra) noexcept { return **static_cast<std::shared_ptr<Lent>*>(extra); }
  static void bind(duckdb_bind_info info) {
    const Lent& lent = of(duckdb_bind_get_extra_info(info));
    if (lent.columns.empty()) return duckdb_bind_set_error(info, "there are no rows of a batch");
    for (const Column column : lent.columns) {
      duckdb_bind_add_result_column(info, std::string(weir::store::columns()[static_cast<size_t>(column)].name).c_str(), logical_type(column));
    }
  }
  static void init(duckdb_init_info info) {
    duckdb_init_set_max_threads(info, std::max<size_t>(of(duckdb_init_get_extra_info(info)).parts(), 1));
  }
  static void init_thread(duckdb_init_info info) {
    duckdb_init_set_init_data(info, new Part, [](void* part) { delete static_cast<Part*>(part); });
  }
  static void give(duckdb_function_info info, duckdb_data_chunk output) {
    of(duckdb_function_get_extra_info(info)).give(*static_cast<Part*>(duckdb_function_get_local_init_data(info)), output);
  }

 private:
  /// A thread's.
  struct Part {
    size_t at = 0, end = 0;
  };

  void give(Part& part, duckdb_data_chunk output) noexcept {
    if (part.at == part.end) {
      part.at = std::min(next.fetch_add(chunks_a_part(), std::memory_order_relaxed), chunks.size());
      part.end = std::min(part.at + chunks_a_part(), chunks.size());
    }
    // Without rows it is the end; of chunks none is empty.
    if (part.at == part.end) return duckdb_data_chunk_set_size(output, 0);
    assert(chunks[part.at]->rows() != 0);
    chunks[part.at++]->lend(columns, output);
  }
};

Result<RowSource> RowSource::make(Connection& connection) {
  static std::atomic<uint64_t> number{0};
  std::string name = fmt::format("weir_rows_{}", ++number);
  auto lent = std::make_shared<Lent>();
  duckdb_table_function function = duckdb_create_table_function();
  duckdb_table_function_set_name(function, name.c_str());
  duckdb_table_function_set_extra_info(function, new std::shared_ptr<Lent>(lent),
                                       [](void* extra) { delete static_cast<std::shared_ptr<Lent>*>(extra); });
  duckdb_table_function_set_bind(function, Lent::bind);
  duckdb_table_function_set_init(function, Lent::init);
  duckdb_table_function_set_local_init(function, Lent::init_thread);
  duckdb_table_function_set_function(function, Lent::give);
  const duckdb_state state = duckdb_register_table_function(connection.get(), function);
  duckdb_destroy_table_function(&function);
  if (state != DuckDBSuccess) return Error{"DuckDB does not take the function " + name};
  return RowSource(std::move(name), std::move(lent));
}

Result<void> RowSource::insert(Connection& connection, const std::string& table, std::span<const Column> columns,
                               std::span<const std::unique_ptr<RowChunk>> chunks) {
  uint64_t rows = 0;
  for (const auto& chunk : chunks) rows += chunk->rows();
  if (rows == 0) return {};
  lent_->columns = columns;
  lent_->chunks = chunks;
  lent_->next.store(0, std::memory_order_relaxed);
  auto inserted = connection.query(fmt::format("INSERT INTO {} FROM {}()", table, name_));
  lent_->columns = {};
  lent_->chunks = {};
  if (!inserted) return inserted.error();
  if (const uint64_t there = inserted->rows_changed(); there != rows) {
    return Error{fmt::format("{} rows went into {} where {} were to", there, table, rows)};
  }
  return {};
}

}  // namespace weir::store
