// Files of rows in the eyes of others: PyIceberg and pyarrow, where python3 (or $WEIR_READERS_PYTHON) has them. PyIceberg before 0.12 adds
// no file that has field ids (0.9), or cannot make a table with UUIDs (0.10, 0.11).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "store/history.h"
#include "store/rollups.h"
#include "store/schema.h"
#include "store_database.h"
#include "support/program.h"
#include "support/process.h"

namespace weir::store {
namespace {

constexpr int64_t kHour = 489'600;

constexpr const char* kReader = R"(
import sys, pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import pyarrow_to_schema
path, folder = sys.argv[1:]
schema = pyarrow_to_schema(pq.ParquetFile(path).schema_arrow)
for field in schema.fields: print(field.field_id, field.name, field.field_type)
catalog = SqlCatalog('c', uri=f'sqlite:///{folder}/c.db', warehouse=f'file://{folder}')
catalog.create_namespace('n')
table = catalog.create_table('n.flows', schema=schema)
table.add_files([path])
rows = table.scan().to_arrow()
print(rows.num_rows, sum(rows.column('bytes_total').to_pylist()), rows.column('src_endpoint_addr')[0], rows.column('labels')[0])
print(table.scan(row_filter="time >= '2025-11-08T00:00:01+00:00'").to_arrow().num_rows)
)";

std::string_view iceberg_type(ColumnType type) {
  switch (type) {
    case ColumnType::time: return "timestamptz";
    case ColumnType::address: return "uuid";
    case ColumnType::number: return "int";
    case ColumnType::big_number: return "long";
    case ColumnType::truth: return "boolean";
    case ColumnType::text: return "string";
    case ColumnType::big_numbers: return "list<long>";
    case ColumnType::texts: return "list<string>";
  }
  return "";
}

TEST(FileReaders, IcebergAdoptsAFileAsItIs) {
  const char* const named = std::getenv("WEIR_READERS_PYTHON");
  const std::string python = named != nullptr ? named : "python3";
  constexpr const char* kHasReaders =
      "import pyarrow, pyiceberg, pyiceberg.catalog.sql, sys; sys.exit(tuple(map(int, pyiceberg.__version__.split('.')[:2])) < (0, 12))";
  if (test::run_program({"sh", "-c", "\"$0\" -c \"$1\"", python, kHasReaders}).status != 0) {
    GTEST_SKIP() << python << " has no pyiceberg[pyarrow,sql-sqlite] of 0.12 or later";
  }
  const test::TemporaryFolder folder;
  const std::string files = folder / "files", lake = folder / "lake";
  for (const std::string& path : {files, lake}) std::filesystem::create_directories(path);
  DatabaseOptions options;
  options.folders = {files};
  StoreDatabase store(options);
  ASSERT_TRUE(open_hours(*store.connection, std::span(&kHour, 1)));
  store.run(fmt::format("INSERT INTO {} (time, src_endpoint_addr, bytes_total, packets_total, bytes_raw, packets_raw, labels) SELECT "
                        "make_timestamptz({} + i * 1000000), ip_parse('2001:db8::7'), i, 1, i, 1, ['a', 'b'] FROM range(3) t(i)",
                        hour_table(kHour), kHour * kMicrosPerHour));
  ASSERT_TRUE(fold(*store.connection));
  ASSERT_TRUE(*History(files).archive(*store.connection, kHour, 1));
  std::string expected;
  size_t id = 0;
  for (const ColumnSpec& column : columns()) expected += fmt::format("{} {} {}\n", ++id, column.name, iceberg_type(column.type));
  expected += "3 3 20010db8-0000-0000-0000-000000000007 ['a', 'b']\n2\n";
  const auto read = test::run_program({python, "-c", kReader, kept_files(*store.connection)->front().path, lake});
  EXPECT_EQ(read.out, expected) << read.err;
}

}  // namespace
}  // namespace weir::store
