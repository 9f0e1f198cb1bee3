// files_view.h — How the files are that flows go by: whether somebody has written them anew, and what came of it.
//
// Runs on:  made by the control thread; immutable once published.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "service/metrics.h"

namespace weir::feed {

struct FilesView {
  bool are_watched = false;
  uint64_t taken = 0;     // how often they went without being asked for
  uint64_t taken_ns = 0;  // wall clock, the last time; 0: never
  std::string error;      // why they do not go as they are now, and what was read before goes on; empty: they go
};

nlohmann::json files_json(const FilesView& files);
/// For health: a line where files do not go as they are now, though the program works.
std::vector<std::string> degraded(const FilesView& files);
/// `program`: what the metrics' names begin with.
void add_files_metrics(service::MetricPage& page, const std::string& program, const FilesView& files);

}  // namespace weir::feed
