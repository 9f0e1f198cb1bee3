// store_database.h — A database in memory with the store's schema and functions, and answers as text.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <string>

#include "store/address_functions.h"
#include "store/database.h"
#include "store/schema.h"

namespace weir::store {

struct StoreDatabase {
  std::unique_ptr<Database> database;
  std::unique_ptr<Connection> connection;

  explicit StoreDatabase(DatabaseOptions options = {}) {
    auto opened = Database::open(options);
    EXPECT_TRUE(opened) << opened.error().message;
    database = std::move(*opened);
    auto connected = database->connect();
    EXPECT_TRUE(connected);
    connection = std::make_unique<Connection>(std::move(*connected));
    const auto registered = register_address_functions(*connection);
    EXPECT_TRUE(registered) << registered.error().message;
    const auto prepared = prepare_schema(*connection);
    EXPECT_TRUE(prepared) << prepared.error().message;
  }

  void run(const std::string& sql) {
    const auto done = connection->execute(sql);
    EXPECT_TRUE(done) << done.error().message;
  }

  /// Rows with `|` between columns and `\n` behind each; NULL is empty.
  std::string ask(const std::string& sql, std::span<const SqlValue> values = {}) {
    auto answered = connection->query("SELECT COLUMNS(*)::VARCHAR FROM (" + sql + ")", values);
    if (!answered) return "error: " + answered.error().message;
    std::string text;
    while (true) {
      auto chunk = answered->next();
      if (!chunk) return "error: " + chunk.error().message;
      if (!*chunk) return text;
      for (size_t row = 0; row < chunk->rows(); ++row) {
        for (size_t at = 0; at < answered->columns().size(); ++at) {
          if (at > 0) text += '|';
          if (!chunk->is_null(at, row)) text += chunk->text(at, row);
        }
        text += '\n';
      }
    }
  }
};

}  // namespace weir::store
