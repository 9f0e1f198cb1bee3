// standin_store.h — What weir-store answers at POST /v1/sql, in a test's own process: real DuckDB, one question at a time.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "service/http_server.h"
#include "store/store_database.h"

namespace weir::api {

class StandinStore {
 public:
  StandinStore(store::StoreDatabase& db, const std::string& path) : db_(db) {
    auto server = service::HttpServer::start({.unix_path = path}, {{"POST", "/v1/sql", false, [this](const auto& r) { return answer(r.body); }, service::HttpAccess::read, {}},
                                                                   {"GET", "/healthz", false, [](const auto&) { return service::HttpResponse{}; }, service::HttpAccess::read, {}}});
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }

  std::mutex mutex;  // of the database

 private:
  static store::SqlValue value_of(const nlohmann::json& v) {
    if (v.is_string()) return v.get<std::string>();
    if (v.is_boolean()) return v.get<bool>();
    if (v.is_number_integer()) return v.get<int64_t>();
    if (v.is_number()) return v.get<double>();
    if (v.contains("addr")) return IpAddress::parse(v["addr"].get<std::string>())->octets;
    const std::string time = v["time"].get<std::string>();  // 2026-11-02T12:00:00.123456Z
    int64_t us = 0, unit = 100'000;
    for (size_t i = 20; i < time.size() && time[i] != 'Z'; ++i, unit /= 10) us += (time[i] - '0') * unit;
    std::tm tm{};
    strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &tm);
    return store::TimeMicros{timegm(&tm) * 1'000'000 + us};
  }

  service::HttpResponse answer(const std::string& body) {
    const std::lock_guard lock(mutex);
    const auto asked = nlohmann::json::parse(body);
    std::vector<store::SqlValue> values;
    for (const auto& v : asked["parameters"]) values.push_back(value_of(v));
    const std::string sql = asked["sql"].get<std::string>();
    // Each row as an object in the order of its columns; DuckDB writes it.
    auto rows = db_.connection->query("SELECT to_json(t)::VARCHAR FROM (" + sql + ") AS t", values);
    if (!rows) return service::http_error(400, rows.error().message);
    nlohmann::ordered_json out = {{"columns", nlohmann::ordered_json::array()}, {"rows", nlohmann::ordered_json::array()}};
    while (true) {
      auto chunk = rows->next();
      if (!chunk) return service::http_error(500, chunk.error().message);
      if (!*chunk) break;
      for (size_t row = 0; row < chunk->rows(); ++row) {
        const auto object = nlohmann::ordered_json::parse(chunk->text(0, row));
        nlohmann::ordered_json cells = nlohmann::ordered_json::array();
        const bool is_first = out["columns"].empty();
        for (const auto& [name, value] : object.items()) {
          cells.push_back(value);
          if (is_first) out["columns"].push_back({{"name", name}, {"type", "?"}});
        }
        out["rows"].push_back(std::move(cells));
      }
    }
    out["truncated"] = false;
    service::HttpResponse response;
    response.body = out.dump();
    return response;
  }

  store::StoreDatabase& db_;
  std::unique_ptr<service::HttpServer> server_;
};

}  // namespace weir::api
