// run_app.h — A program of subcommands: reads its command line, and ends with the status of what was asked.
//
// Runs on:  main.
// Failure:  2 where the command line is wrong, which CLI11 says on standard error; of a command that there is not, this does.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/nearest_name.h"
#include "base/printable.h"
#include "cli/finish_output.h"

namespace weir::cli {

inline constexpr int kUsageStatus = 2;

/// Says which command is not there and which may be meant. False where it was something else that was wrong.
inline bool explain_command(const CLI::App& app) {
  if (!app.get_subcommands().empty() || app.remaining().empty()) return false;
  const std::string wrong = app.remaining().front();
  if (wrong.empty() || wrong.front() == '-') return false;
  std::vector<std::string_view> names;
  std::string all;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
    all += fmt::format("{}{}", all.empty() ? "" : ", ", command->get_name());
  }
  const std::string_view nearest = nearest_name(wrong, names);
  fmt::print(stderr, "{}: there is no command {}{}\n", app.get_name(), printable(wrong),
             nearest.empty() ? "; there are " + all : fmt::format("; is it {}?", nearest));
  return true;
}

/// Reads the line, while which subcommands run. The status to end with where it is wrong or was only asked for help.
inline std::optional<int> parse_line(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() != 0 && explain_command(app)) return kUsageStatus;
    return app.exit(e) == 0 ? 0 : kUsageStatus;
  }
}

/// Subcommands set `exit_code`.
inline int run_app(CLI::App& app, int argc, char** argv, const int& exit_code) {
  const auto status = parse_line(app, argc, argv);
  if (status && *status != 0) return *status;
  return finish_output(status ? 0 : exit_code);
}

}  // namespace weir::cli
