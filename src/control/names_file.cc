#include "control/names_file.h"

#include <filesystem>
#include <span>

#include "base/clock.h"
#include "control/state_file.h"
#include "service/log.h"

namespace weir::control {
namespace {

void write(const std::string& path, const flowpb::ExporterInfoList& list) {
  const std::string octets = list.SerializeAsString();
  const auto written = write_state_file(
      path, std::span(reinterpret_cast<const uint8_t*>(octets.data()), octets.size()),
      wall_clock_ns());
  static service::LogLimit limit(3, 600 * kNsPerSec);
  if (!written) {
    service::log_limited(limit, service::LogLevel::warning, "names of exporters are not kept: {}",
                         written.error().message);
  }
}

}  // namespace

NamesKeeper::NamesKeeper(const std::string& state_dir, uint64_t interval_ns)
    : path_(state_dir.empty() ? std::string()
                              : (std::filesystem::path(state_dir) / "exporter_names").string()),
      interval_ns_(interval_ns) {}

void NamesKeeper::restore(ExporterDirectory& directory, uint64_t steady_now_ns) {
  if (path_.empty()) return;
  const auto file = read_state_file(path_);
  flowpb::ExporterInfoList list;
  if (!file) {
    service::log_warning("{}; exporters will tell their names again", file.error().message);
  } else if (*file) {
    const std::vector<uint8_t>& octets = (*file)->records;
    if (!list.ParseFromArray(octets.data(), static_cast<int>(octets.size()))) {
      service::log_warning("{}: holds no names; exporters will tell them again", path_);
      return;
    }
    directory.restore(list, steady_now_ns);
  }
  changes_saved_ = directory.counters().changes;
}

void NamesKeeper::step(const ExporterDirectory& directory, uint64_t steady_now_ns) {
  if (path_.empty() || steady_now_ns < due_ns_) return;
  const bool is_first = due_ns_ == 0;
  due_ns_ = steady_now_ns + interval_ns_;
  if (is_first || directory.counters().changes == changes_saved_) return;
  if (writing_.is_running()) return;  // a slow disk: at the next interval
  save(directory);
}

void NamesKeeper::finish(const ExporterDirectory& directory) {
  if (path_.empty()) return;
  save(directory);
  writing_.wait();
}

void NamesKeeper::save(const ExporterDirectory& directory) {
  changes_saved_ = directory.counters().changes;
  flowpb::ExporterInfoList list;
  directory.save(list);
  writing_.begin([path = path_, list = std::move(list)] { write(path, list); });
}

}  // namespace weir::control
