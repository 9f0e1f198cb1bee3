// history_folder.h — A store and its files in a folder of their own, for tests of what looks after files.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "store/file_watch.h"
#include "store/history.h"
#include "store/rollups.h"
#include "store_database.h"

namespace weir::store {

struct HistoryFolder {
  std::string folder;
  std::unique_ptr<StoreDatabase> store;
  std::unique_ptr<FileWatch> watch;

  HistoryFolder() {
    char name[] = "/tmp/weir-history-XXXXXX";
    folder = mkdtemp(name);
    DatabaseOptions options;
    options.folders = {folder};
    store = std::make_unique<StoreDatabase>(options);
    watch = std::make_unique<FileWatch>(folder);
  }
  ~HistoryFolder() { std::filesystem::remove_all(folder); }

  /// An hour of so many rows, archived: the path of its file.
  std::string file_of(int64_t hour, int rows, int64_t now_micros = 1) {
    EXPECT_TRUE(open_hours(*store->connection, std::span(&hour, 1)));
    store->run(fmt::format("INSERT INTO {} (time, src_endpoint_addr, bytes_total, packets_total, bytes_raw, packets_raw, remainder) SELECT "
                           "make_timestamptz({} + i), uuid(), 1, 1, 1, 1, md5(i::VARCHAR) FROM range({}) t(i)",
                           hour_table(hour), hour * kMicrosPerHour, rows));
    EXPECT_TRUE(fold(*store->connection));
    const auto done = History(folder).archive(*store->connection, hour, now_micros);
    EXPECT_TRUE(done) << done.error().message;
    return file_rows(*store->connection, fmt::format("state = 'kept' AND hour = {}", hour))->back().path;
  }
  std::string rows() { return store->ask("SELECT count(*) FROM flow_rows"); }
};

}  // namespace weir::store
