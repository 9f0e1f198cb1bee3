// names_file.h — Tables of names over a restart: read before the first packet, written after the last.
//
// Runs on:  the control thread, while no packets are taken.
// Failure:  a file that is damaged or cannot be written is a warning; exporters repeat their options.
#pragma once

#include <string>

#include "base/thread_roles.h"
#include "control/exporter_directory.h"

namespace weir::control {

/// Nothing happens without `state_dir`, or where it has no such file.
void restore_names(ExporterDirectory& directory, const std::string& state_dir,
                   uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
void save_names(const ExporterDirectory& directory, const std::string& state_dir)
    WEIR_RUNS_ON(control_thread);

}  // namespace weir::control
