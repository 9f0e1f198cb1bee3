// commands.h — weir's subcommands: each adds its options to the program and its action as a callback.
//
// The action writes the process's exit status to `exit_code`: 0 done, 1 the work failed, 2 the
// command line was wrong (CLI11's own errors are mapped to 2 by main).
#pragma once

#include <CLI/CLI.hpp>

namespace weir::cli {

void add_run_command(CLI::App& app, int& exit_code);
void add_check_command(CLI::App& app, int& exit_code);
void add_doctor_command(CLI::App& app, int& exit_code);
void add_decode_command(CLI::App& app, int& exit_code);
void add_generate_command(CLI::App& app, int& exit_code);
void add_replay_command(CLI::App& app, int& exit_code);
void add_read_command(CLI::App& app, int& exit_code);
void add_rules_command(CLI::App& app, int& exit_code);
void add_compile_patterns_command(CLI::App& app, int& exit_code);
void add_version_command(CLI::App& app, int& exit_code);

}  // namespace weir::cli
