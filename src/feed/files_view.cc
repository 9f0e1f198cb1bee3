#include "feed/files_view.h"

#include <nlohmann/json.hpp>

namespace weir::feed {

using nlohmann::json;

json files_json(const FilesView& files) {
  return {{"watched", files.are_watched},
          {"taken", files.taken},
          {"taken_ns", files.taken_ns == 0 ? json() : json(files.taken_ns)},
          {"error", files.error}};
}

std::vector<std::string> degraded(const FilesView& files) {
  if (files.error.empty()) return {};
  return {"files of rules or enrichment do not go as they are now: " + files.error};
}

void add_files_metrics(service::MetricPage& page, const std::string& program, const FilesView& files) {
  page.gauge(program + "_files_read_good", "0: files of rules or enrichment do not go as they are now; what was read before goes on.", {},
             files.error.empty() ? 1 : 0);
  page.counter(program + "_files_read_anew_total", "How often files that were written anew went without a reload.", {}, files.taken);
}

}  // namespace weir::feed
