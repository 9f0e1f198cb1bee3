// sql_service_fixture.h — A service of questions over a store with ten flows, and what it tells.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "store/duckdb_sink.h"
#include "store/hour_tables.h"
#include "store/schema.h"
#include "store/sql_file.h"
#include "store/sql_query.h"
#include "store/sql_service.h"

namespace weir::store {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using nlohmann::json;

struct Told {
  unsigned status = 0;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  json parsed() const { return json::parse(body, nullptr, false); }
};

struct SqlServiceTest : testing::Test {
  fs::path folder;
  std::unique_ptr<OpenStore> store;
  std::unique_ptr<SqlService> service;

  SqlServiceTest() {
    char name[] = "/tmp/weir-sql-XXXXXX";
    folder = mkdtemp(name);
    fs::create_directories(folder / "history");
    DatabaseOptions options;
    options.path = folder / "flows.duckdb";
    options.temp_directory = folder / "temp";
    options.memory_limit = "512MiB";
    options.folders = {folder / "history", answers_folder(options)};
    auto opened = OpenStore::open(options);
    EXPECT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
    auto connection = store->database()->connect();
    const int64_t hour = 100;
    EXPECT_TRUE(open_hours(*connection, std::span(&hour, 1)));
    EXPECT_TRUE(connection->execute("INSERT INTO flow_h100 (time, bytes_total, protocol_num, labels) SELECT now(), range, 6, ['a', 'b'] FROM range(10)"));
    serve({});
  }
  ~SqlServiceTest() override {
    service.reset();
    store.reset();
    fs::remove_all(folder);
  }
  void serve(SqlLimits limits) {
    service.reset();
    service = std::make_unique<SqlService>(*store, limits);
  }

  service::HttpResponse begin(const json& body) {
    service::HttpRequest request;
    request.body = body.dump();
    return service->route().handle(request);
  }
  static Told finish(service::HttpResponse response) {
    while (response.later) {
      if (auto head = response.later->look()) {
        response = std::move(*head);
      } else {
        std::this_thread::sleep_for(1ms);
      }
    }
    Told told{response.status, response.body, response.headers};
    while (response.stream && response.stream->next(told.body)) std::this_thread::sleep_for(1ms);
    return told;
  }
  Told ask(const std::string& sql, json more = json::object()) {
    more["sql"] = sql;
    return finish(begin(more));
  }
  bool becomes_idle() const {
    for (int i = 0; i < 500 && service->running() > 0; ++i) std::this_thread::sleep_for(10ms);
    return service->running() == 0;
  }
};

}  // namespace weir::store
