// Rows of a batch as a table: each of them goes in once, however many of DuckDB's threads take them, and nobody else can name it.
#include "store/row_source.h"

#include <gtest/gtest.h>

#include <optional>

#include "store/hour_tables.h"
#include "store_database.h"
#include "support/process.h"

namespace weir::store {
namespace {

constexpr int64_t kHour = 489'600;
const std::vector<Column> kColumnsUsed = {Column::time, Column::bytes_raw, Column::app};

using Chunks = std::vector<std::unique_ptr<RowChunk>>;

/// Numbered from 1 in bytes_raw.
Chunks chunks_of(size_t rows) {
  Chunks chunks;
  for (size_t i = 0; i < rows; ++i) {
    if (chunks.empty() || chunks.back()->is_full()) chunks.push_back(std::make_unique<RowChunk>());
    RowChunk& chunk = *chunks.back();
    chunk.set_time(Column::time, kHour * kMicrosPerHour + static_cast<int64_t>(i));
    chunk.set_big_number(Column::bytes_raw, i + 1);
    if (i % 3 == 0) chunk.set_text(Column::app, "an application of more octets than fit " + std::to_string(i + 1));
    chunk.end_row();
  }
  return chunks;
}

class RowSourceTest : public ::testing::Test {
 protected:
  RowSourceTest() : db_({.path = folder_ / "flows.duckdb", .threads = 4, .temp_directory = "", .folders = {folder_ / ""}}) {
    ColumnSet used;
    for (const Column column : kColumnsUsed) used.set(static_cast<size_t>(column));
    EXPECT_TRUE(open_hours(*db_.connection, {&kHour, 1}, used, used));
    auto made = RowSource::make(*db_.connection);
    EXPECT_TRUE(made) << made.error().message;
    source_.emplace(std::move(*made));
  }
  Result<void> insert(const Chunks& chunks, const std::vector<Column>& columns = kColumnsUsed) {
    return source_->insert(*db_.connection, hour_table(kHour), columns, chunks);
  }
  std::string ask_all() {
    return db_.ask("SELECT count(*), count(DISTINCT bytes_raw), min(bytes_raw), max(bytes_raw), count(app), "
                   "count(*) FILTER (app = 'an application of more octets than fit ' || bytes_raw) FROM " + hour_table(kHour));
  }

  const test::TemporaryFolder folder_;
  StoreDatabase db_;
  std::optional<RowSource> source_;
};

TEST_F(RowSourceTest, EachRowGoesInOnceWhateverTheNumberOfThreads) {
  // Without this DuckDB takes them with one.
  EXPECT_EQ(db_.ask("SELECT current_setting('preserve_insertion_order')"), "false\n");
  for (const size_t rows : {size_t{1}, RowChunk::capacity(), kRowGroupRows - 1, 4 * kRowGroupRows, 3 * kRowGroupRows + 1}) {
    const Chunks chunks = chunks_of(rows);
    db_.run("DELETE FROM " + hour_table(kHour));
    const auto inserted = insert(chunks);
    ASSERT_TRUE(inserted) << inserted.error().message;
    EXPECT_EQ(ask_all(), fmt::format("{0}|{0}|1|{0}|{1}|{1}\n", rows, (rows + 2) / 3));
  }
  EXPECT_TRUE(insert({})) << "no rows are nothing to do";
}

TEST_F(RowSourceTest, RowsGoWithTheirTransaction) {
  const Chunks chunks = chunks_of(2 * kRowGroupRows + 7);
  db_.run("BEGIN");
  ASSERT_TRUE(insert(chunks));
  EXPECT_EQ(db_.ask("SELECT count(*) FROM " + hour_table(kHour)), fmt::format("{}\n", 2 * kRowGroupRows + 7));
  db_.run("ROLLBACK");
  EXPECT_EQ(db_.ask("SELECT count(*) FROM " + hour_table(kHour)), "0\n");
}

TEST_F(RowSourceTest, AfterAnErrorTheNextOneGoesIn) {
  const Chunks chunks = chunks_of(10);
  EXPECT_FALSE(insert(chunks, {Column::time, Column::bytes_raw}));
  EXPECT_TRUE(insert(chunks));
  EXPECT_EQ(ask_all(), "10|10|1|10|4|4\n");
}

TEST_F(RowSourceTest, NobodyElseIsGivenRows) {
  ASSERT_TRUE(insert(chunks_of(10)));
  const std::string name = db_.ask("SELECT DISTINCT function_name FROM duckdb_functions() WHERE starts_with(function_name, 'weir_rows')");
  ASSERT_FALSE(name.empty());
  EXPECT_NE(db_.ask("SELECT * FROM " + name.substr(0, name.find('\n')) + "()").find("there are no rows of a batch"), std::string::npos);
}

}  // namespace
}  // namespace weir::store
