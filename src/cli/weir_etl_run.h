// weir_etl_run.h — The commands of weir-etl that have to do with a configuration: run, check-config.
#pragma once

#include <CLI/CLI.hpp>

namespace weir::cli {

void add_etl_run_commands(CLI::App& app, int& exit_code);

}  // namespace weir::cli
