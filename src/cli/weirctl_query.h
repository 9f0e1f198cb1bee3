// weirctl_query.h — Questions to weir-api: SRQL and SQL, shown as a table, a chart, or as they come.
//
// Failure:  weirctl's statuses; what is wrong with a query is pointed at.
#pragma once

#include <string>

namespace weir::cli {

inline constexpr const char* kDefaultApi = "/run/weir-api/api.sock";

struct QueryOptions {
  std::string api = kDefaultApi;  // a socket, or http://host:port
  std::string text;               // empty or -: standard input
  std::string format = "table";   // table, json, ndjson, csv, parquet
  std::string chart = "auto";     // auto: in a terminal; on, off
  std::string ca_file, cert_file, key_file;
  unsigned timeout_secs = 60;
  bool is_sql = false;
};

int run_query(const QueryOptions& options);

}  // namespace weir::cli
