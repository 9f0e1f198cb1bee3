#include "control/exporters/names_file.h"

#include <filesystem>
#include <span>

#include "base/clock.h"
#include "control/state/state_file.h"
#include "service/log.h"

namespace weir::control {
namespace {

void warn(const std::string& why) {
  static service::LogLimit limit(3, 600 * kNsPerSec);
  service::log_limited(limit, service::LogLevel::warning, "names of exporters are not kept: {}", why);
}

flowpb::ExporterInfoList tables_of(const ExporterDirectory& directory)
    WEIR_RUNS_ON(control_thread) {
  flowpb::ExporterInfoList list;
  directory.save(list);
  return list;
}

void write(const std::string& path, const flowpb::ExporterInfoList& list) {
  const std::string octets = list.SerializeAsString();
  const auto written = write_state_file(
      path, std::span(reinterpret_cast<const uint8_t*>(octets.data()), octets.size()),
      wall_clock_ns());
  if (!written) warn(written.error().message);
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
  if (path_.empty() || is_finishing_ || steady_now_ns < due_ns_) return;
  const bool is_first = due_ns_ == 0;
  due_ns_ = steady_now_ns + interval_ns_;
  if (is_first || directory.counters().changes == changes_saved_) return;
  if (writing_.is_running()) return;  // a slow disk: at the next interval
  const uint64_t changes = directory.counters().changes;
  if (save(tables_of(directory))) changes_saved_ = changes;
}

void NamesKeeper::begin_finish(const ExporterDirectory& directory) {
  if (path_.empty()) return;
  is_finishing_ = true;
  last_ = tables_of(directory);
  has_finished();
}

bool NamesKeeper::has_finished() {
  if (writing_.is_running()) return false;
  if (!last_) return true;
  save(std::move(*last_));
  last_.reset();
  return !writing_.is_running();
}

bool NamesKeeper::save(flowpb::ExporterInfoList list) {
  const auto begun = writing_.begin([path = path_, list = std::move(list)] { write(path, list); });
  if (!begun) warn(begun.error().message);
  return static_cast<bool>(begun);
}

}  // namespace weir::control
