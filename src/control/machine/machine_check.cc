#include "control/machine/machine_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "service/config_findings.h"
#include "control/config/config_security.h"
#include "control/delivery/publishers.h"
#include "control/state/state_lock.h"
#include "service/http_server.h"
#include "service/process_rights.h"

namespace weir::control {
namespace {

using dataplane::PlaneKey;
using dataplane::PlaneTrouble;

class Checker {
 public:
  Checker(const ApplianceConfig& config, const dataplane::Machine& machine, InUse in_use,
          Findings& findings)
      : config_(config), machine_(machine), in_use_(in_use), findings_(findings) {}

  void check() {
    check_plane();
    check_memory();
    check_sockets();
    check_state_dir();
    check_spools();
    if (check_security_files(config_, in_use_, findings_)) check_publishers();
  }

 private:
  void say(const std::string& path, const std::string& what, bool may_pass) {
    if (may_pass && in_use_ == InUse::warn) {
      findings_.warning(path, what + " (now; it must be free when weir starts)");
    } else {
      findings_.error(path, {}, what);
    }
  }

  /// The key behind a trouble of the data plane.
  std::string path_of(const PlaneTrouble& trouble, const dataplane::DataPlaneConfig& plane) const {
    switch (trouble.key) {
      case PlaneKey::ports: return "ports";
      case PlaneKey::memory_mb:
      case PlaneKey::hugepages:
      case PlaneKey::main_lcore: return fmt::format("eal.{}", name_of(trouble.key));
      case PlaneKey::socket: {
        const size_t i = plane.socket_ports[trouble.index].listener.value;
        const bool own = config_.listeners[i].listen_addr.has_value();
        return at_index("listeners", i) + (own ? ".listen_addr" : ".port");
      }
      case PlaneKey::replicate: return at_index("replicate", trouble.index) + ".to";
      default: break;
    }
    size_t dpdk = 0;
    for (size_t i = 0; i < config_.ports.size(); ++i) {
      if (config_.ports[i].kind == PortKind::socket || dpdk++ != trouble.index) continue;
      const bool is_room = trouble.key == PlaneKey::data_room;
      return fmt::format("ports[{}].{}", i, is_room ? "data_room_bytes" : name_of(trouble.key));
    }
    return "ports";
  }

  void check_plane() {
    const dataplane::DataPlaneConfig plane = data_plane_config(config_);
    for (const PlaneTrouble& trouble : dataplane::find_trouble(plane, machine_)) {
      say(path_of(trouble, plane), trouble.what, trouble.may_pass);
    }
    for (const PlaneTrouble& trouble : dataplane::try_sockets(plane)) {
      say(path_of(trouble, plane), trouble.what, trouble.may_pass);
    }
    size_t burning = 0;
    for (const PortConfig& port : config_.ports) {
      if (port.kind == PortKind::dpdk && port.lcores.empty()) burning += port.queues;
      if (port.kind == PortKind::dpdk && port.worker_lcores.empty()) burning += port.workers;
    }
    if (config_.idle == dataplane::IdlePolicy::poll && burning >= machine_.cpus.size()) {
      findings_.warning("idle", fmt::format("poll: {} receive cores burn all {} CPUs of this process",
                                            burning, machine_.cpus.size()));
    }
  }

  /// What is reserved at start, or may be held by its own bound: no one of them and not all together
  /// can be more than there is.
  void check_memory() {
    if (machine_.memory_octets == 0) return;
    const uint64_t cores = std::max(decoding_cores(config_), 1u);
    const bool has_dpdk = !data_plane_config(config_).dpdk_ports.empty();
    const struct {
      const char* path;
      uint64_t octets;
    } parts[] = {
        {"buffer_bytes", config_.buffer_bytes},
        {"limits.template_octets_total", config_.limits.template_octets_total},
        {"limits.pending_octets_total", config_.limits.pending_octets_total},
        {"limits.name_octets_total", config_.limits.name_octets_total},
        {"limits.fragmented_datagrams",
         has_dpdk ? cores * config_.limits.fragmented_datagrams * packet::ReassemblyLimits::kOctetsPerDatagram : 0},
        // A row of a table for each, at the least.
        {"limits.exporters_per_core",
         cores * exporters_of_core(config_) * sizeof(decode::ExporterStats)},
        {"eal.memory_mb",
         has_dpdk && !config_.eal.hugepages ? uint64_t{config_.eal.memory_mb} << 20 : 0},
    };
    uint64_t sum = 0;
    const char* largest = parts[0].path;
    uint64_t largest_octets = 0;
    bool is_told = false;
    for (const auto& part : parts) {
      sum += std::min(part.octets, UINT64_MAX / 8);
      if (part.octets > largest_octets) {
        largest = part.path;
        largest_octets = part.octets;
      }
      if (part.octets <= machine_.memory_octets) continue;
      is_told = true;
      if (std::string_view(part.path) == "eal.memory_mb") continue;  // the data plane says it
      findings_.error(part.path, {},
                      fmt::format("{} are more than this machine has ({})", shown(part.octets),
                                  shown(machine_.memory_octets)));
    }
    if (is_told || sum <= machine_.memory_octets) return;
    findings_.error(largest, {},
                    fmt::format("{}, with buffer_bytes, limits and eal.memory_mb together {}, are "
                                "more than this machine has ({})",
                                shown(largest_octets), shown(sum), shown(machine_.memory_octets)));
  }

  static std::string shown(uint64_t octets) {
    constexpr uint64_t kMiB = 1 << 20;
    return octets % kMiB == 0 && octets < 16 * kMiB * 1024
               ? service::print_size(octets)
               : fmt::format("{:.1f}GiB", static_cast<double>(octets) / (1024.0 * kMiB));
  }

  void check_sockets() {
    for (const service::ListenTrouble& trouble :
         service::find_listen_trouble(http_server_config(config_))) {
      using Key = service::ListenTrouble::Key;
      const char* path = trouble.key == Key::unix_path    ? "control_socket.path"
                         : trouble.key == Key::unix_group ? "control_socket.group"
                         : trouble.key == Key::admin_group ? "control_socket.admin_group"
                                                          : "metrics_addr";
      say(path, trouble.what, trouble.may_pass);
    }
  }

  struct KeptFolder {
    std::string key;
    std::string path;
    std::string_view allowed;
  };

  void check_state_dir() {
    if (config_.state_dir.empty()) return;
    const KeptFolder folder{"state_dir", config_.state_dir,
                            "a folder that can be written, or \"\" to keep nothing over a restart"};
    if (StateLock::is_taken(folder.path)) {
      say(folder.key,
          fmt::format("{}: another weir keeps its state there; allowed: a folder for each, or \"\"",
                      service::printable(folder.path)),
          true);
    }
    check_folder(folder);
  }

  void check_spools() {
    for (const PublisherConfig& publisher : config_.publishers) {
      if (drop_policy_of(config_, publisher) != DropPolicy::spool) continue;
      const KeptFolder folder{config_.spool.dir.empty() ? "state_dir" : "spool.dir",
                              spool_config(config_, publisher).dir, "a folder that can be written"};
      if (outbound::Spool::is_taken(folder.path)) {
        say(folder.key,
            fmt::format("{}: another weir has its spool there; allowed: a folder for each",
                        service::printable(folder.path)),
            true);
      }
      if (check_folder(folder)) check_files(folder);
    }
  }

  /// As it is, or as it would be made: the nearest folder above that exists must let us.
  bool check_folder(const KeptFolder& folder) {
    namespace fs = std::filesystem;
    if (service::is_for_root_to_make(folder.path)) return true;
    std::error_code error;
    fs::path at = fs::absolute(folder.path, error);
    while (!error && !fs::exists(at, error) && at.has_relative_path()) at = at.parent_path();
    if (error) return refuse(folder, at, error.message());
    if (!fs::is_directory(at, error)) return refuse(folder, at, at.string() + " is not a folder");
    if (faccessat(AT_FDCWD, at.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
      return refuse(folder, at, fmt::format("{}: {}", at.string(), std::strerror(errno)));
    }
    return true;
  }

  /// What is in a spool already, perhaps made by another user.
  void check_files(const KeptFolder& folder) {
    std::error_code error;
    for (const auto& file : std::filesystem::directory_iterator(folder.path, error)) {
      if (faccessat(AT_FDCWD, file.path().c_str(), R_OK | W_OK, AT_EACCESS) == 0) continue;
      const int why = errno;
      if (why == ENOENT) continue;  // it was removed meanwhile
      refuse(folder, file.path(), fmt::format("{}: {}", file.path().string(), std::strerror(why)));
      return;
    }
  }

  /// One mistake, one line: folders may be below the same one.
  bool refuse(const KeptFolder& folder, const std::filesystem::path& at, const std::string& why) {
    if (!refused_.insert(at.string()).second) return false;
    findings_.error(folder.key, {},
                    fmt::format("{}: {}; allowed: {}", service::printable(folder.path),
                                service::printable(why), folder.allowed));
    return false;
  }

  /// They are made, which connects to nothing, and forgotten.
  void check_publishers() {
    const auto publishers = make_publishers(config_, {}, route_subjects(config_));
    if (!publishers) findings_.error("publishers", {}, publishers.error().message);
    const auto meta = make_meta_publisher(config_);
    if (publishers && !meta) findings_.error("exporter_info", {}, meta.error().message);
  }

  const ApplianceConfig& config_;
  const dataplane::Machine& machine_;
  const InUse in_use_;
  Findings& findings_;
  std::set<std::string> refused_;  // folders and files
};

}  // namespace

Result<std::vector<std::string>> check_machine(const LoadedConfig& loaded,
                                               const dataplane::Machine& machine, InUse in_use) {
  service::ConfigReport report;
  Findings findings(loaded.origins, report);
  Checker(loaded.config, machine, in_use, findings).check();
  if (!report.ok()) return report.to_error();
  return report.warnings();
}

std::string why_without_end(const ApplianceConfig& config) {
  return dataplane::why_without_end(data_plane_config(config));
}

}  // namespace weir::control
