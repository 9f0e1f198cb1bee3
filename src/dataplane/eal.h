// eal.h — DPDK's environment: started once, with the arguments that work here, and cleaned up.
//
// Runs on:  control_thread, which becomes the EAL main lcore. Block signals before: all EAL threads
//           inherit the mask.
// Bounds:   one start in the life of a process, also after it was cleaned up or has failed.
// Failure:  an Error with what EAL said.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dataplane/data_plane.h"
#include "dataplane/placement.h"

namespace weir::dataplane {

class Eal {
 public:
  /// `pci_devices`: addresses with their arguments; the only PCI devices that are touched.
  static Result<std::unique_ptr<Eal>> start(const EalConfig& config, const Placement& placement,
                                            std::span<const std::string> pci_devices,
                                            IdlePolicy idle);
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  /// The lcore of a receive core.
  static unsigned lcore_of(size_t core) noexcept { return static_cast<unsigned>(core) + 1; }

  /// What EAL and the drivers have complained about since forget_complaints, for an Error's text:
  /// ` (…)`, or empty.
  static std::string complaints();
  static void forget_complaints();

 private:
  Eal() = default;
  bool answers_dumpcap_ = false;
};

/// The arguments, without the program's name. Pure.
std::vector<std::string> eal_arguments(const EalConfig& config, const Placement& placement,
                                       std::span<const std::string> pci_devices);

}  // namespace weir::dataplane
