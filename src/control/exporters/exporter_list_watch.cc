#include "control/exporters/exporter_list_watch.h"

#include <utility>

#include "service/log.h"

namespace weir::control {

std::shared_ptr<const ExporterList> ExporterListWatch::step(const std::string& path,
                                                            const std::shared_ptr<const ExporterList>& running,
                                                            uint64_t steady_now_ns) {
  if (job_.is_running()) return nullptr;
  std::shared_ptr<const ExporterList> taken;
  if (std::exchange(has_looked_, false)) taken = judge(path, running);
  if (path.empty()) trouble_.clear();
  if (path.empty() || running == nullptr || taken != nullptr || steady_now_ns < due_ns_) return taken;
  due_ns_ = steady_now_ns + kListLookNs;
  begin_look(path, running->stamp());
  return nullptr;
}

void ExporterListWatch::begin_look(const std::string& path, const FileStamp& running) {
  look_ = Look{};
  look_.path = path;
  // A file that is still being written is not read, and one that was refused already not again.
  const auto begun = job_.begin([this, running, seen = seen_, refused = refused_] {
    look_.stamp = stamp_of(look_.path);
    if (!look_.stamp || *look_.stamp == running || *look_.stamp == refused || *look_.stamp != seen) return;
    look_.list.emplace(ExporterList::read(look_.path));
  });
  has_looked_ = static_cast<bool>(begun);  // else at the next turn that is due
}

std::shared_ptr<const ExporterList> ExporterListWatch::judge(const std::string& path,
                                                             const std::shared_ptr<const ExporterList>& running) {
  if (look_.path != path || running == nullptr) return nullptr;  // a reload has changed what to look at
  if (!look_.stamp) {
    seen_.reset();
    refused_.reset();
    say(look_.stamp.error().message);
    return nullptr;
  }
  seen_ = *look_.stamp;
  if (*seen_ == running->stamp()) say({});
  if (!look_.list) return nullptr;
  if (!*look_.list) {
    refused_ = seen_;
    say(look_.list->error().message);
    return nullptr;
  }
  say({});
  const std::shared_ptr<const ExporterList> list = **look_.list;
  return list;
}

void ExporterListWatch::say(std::string trouble) {
  if (trouble == trouble_) return;
  static service::LogLimit limit(6, 60 * kNsPerSec);
  if (trouble.empty()) {
    service::log_limited(limit, service::LogLevel::info, "exporter_info.names_file: can be read again");
  } else {
    service::log_limited(limit, service::LogLevel::error,
                         "exporter_info.names_file refused, the names that were read before go on: {}", trouble);
  }
  trouble_ = std::move(trouble);
}

}  // namespace weir::control
