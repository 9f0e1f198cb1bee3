#include "control/names_file.h"

#include <filesystem>
#include <span>

#include "base/clock.h"
#include "control/state_file.h"
#include "service/log.h"

namespace weir::control {
namespace {

std::string path_in(const std::string& state_dir) {
  return (std::filesystem::path(state_dir) / "exporter_names").string();
}

}  // namespace

void restore_names(ExporterDirectory& directory, const std::string& state_dir,
                   uint64_t steady_now_ns) {
  if (state_dir.empty()) return;
  const std::string path = path_in(state_dir);
  const auto file = read_state_file(path);
  flowpb::ExporterInfoList list;
  if (!file) {
    service::log_warning("{}; exporters will tell their names again", file.error().message);
  } else if (*file) {
    const std::vector<uint8_t>& octets = (*file)->records;
    if (!list.ParseFromArray(octets.data(), static_cast<int>(octets.size()))) {
      service::log_warning("{}: holds no names; exporters will tell them again", path);
      return;
    }
    directory.restore(list, steady_now_ns);
  }
}

void save_names(const ExporterDirectory& directory, const std::string& state_dir) {
  if (state_dir.empty()) return;
  flowpb::ExporterInfoList list;
  directory.save(list);
  const std::string octets = list.SerializeAsString();
  const auto written = write_state_file(
      path_in(state_dir), std::span(reinterpret_cast<const uint8_t*>(octets.data()), octets.size()),
      wall_clock_ns());
  if (!written) {
    service::log_warning("names of exporters are not kept: {}", written.error().message);
  }
}

}  // namespace weir::control
