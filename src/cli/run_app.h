// run_app.h — A program of subcommands: reads its command line, and ends with the status of what was asked.
//
// Runs on:  main.
// Failure:  2 where the command line is wrong, which CLI11 says on standard error.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/finish_output.h"

namespace weir::cli {

/// Subcommands run while the line is read, and set `exit_code`.
inline int run_app(CLI::App& app, int argc, char** argv, const int& exit_code) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int status = app.exit(e);
    return status == 0 ? finish_output(0) : 2;
  }
  return finish_output(exit_code);
}

}  // namespace weir::cli
