// configured_program.h — What the programs that consume flows or answer questions have in common on their command lines: a configuration,
// read, checked, and run until a signal ends it.
//
// Runs on:  main.
// Failure:  status 1, and what is wrong on standard error or in the log.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <string>

#include "base/thread_roles.h"
#include "base/version.h"
#include "cli/finish_log.h"
#include "cli/signals.h"
#include "service/log.h"
#include "service/program_request.h"

namespace weir::cli {

/// `reloads`: what SIGHUP has read anew.
inline service::ProgramRequest request_of(Signals& signals, const char* reloads) {
  switch (signals.take()) {
    case 0: return service::ProgramRequest::none;
    case SIGHUP: service::log_info("SIGHUP: {} are read anew", reloads); return service::ProgramRequest::reload;
    case SIGTERM: service::log_info("SIGTERM: stopping"); return service::ProgramRequest::stop;
    default: service::log_info("SIGINT: stopping"); return service::ProgramRequest::stop;
  }
}

/// From what `load` gives: signals and log are set up, files checked, then `go(loaded, checked, signals)` says the status.
template <class Load, class Check, class Go>
int run_configured(const char* program, Load load, Check check, Go go) {
  const auto loaded = load();
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return 1;
  }
  Signals signals;  // before any thread
  service::start_log(loaded->config.log, stderr, service::LogWriting::own_thread);
  const FinishLog finish;
  const auto checked = check(loaded->config);
  if (!checked) {
    service::log_error("{}", checked.error().message);
    return 1;
  }
  for (const auto* warnings : {&loaded->warnings, &checked->warnings})
    for (const std::string& warning : *warnings) service::log_warning("{}", warning);
  service::log_info("{} starting", version_line(program));
  const RoleScope role(control_thread);
  return go(*loaded, *checked, signals);
}

/// Of a program that has run: ends the process where a thread of it cannot be ended.
template <class Program>
int end_program(const Program& program, int status) {
  if (!program.is_stuck()) return status;
  service::log_error("files of the configuration are still being read two seconds after they were given up: that thread is left behind");
  service::finish_log(kFinishLogMs);
  std::_Exit(status);
}

/// What is wrong with a configuration and its files, or what would run.
template <class Load, class Check, class Describe>
int check_configured(Load load, Check check, Describe describe) {
  const auto loaded = load();
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return 1;
  }
  const auto checked = check(loaded->config);
  if (!checked) {
    std::fprintf(stderr, "%s\n", checked.error().message.c_str());
    return 1;
  }
  for (const auto* warnings : {&loaded->warnings, &checked->warnings})
    for (const std::string& warning : *warnings) std::fprintf(stderr, "warning: %s\n", warning.c_str());
  std::fputs(describe(*loaded).c_str(), stdout);
  return 0;
}

/// `memory_key`: the one that most memory is configured by.
inline CLI::App* add_run_command(CLI::App& app, const char* description, const char* manual, const char* memory_key, int& exit_code,
                                 const std::function<int(const std::string& path)>& run) {
  CLI::App* const command = app.add_subcommand("run", description);
  const auto path = std::make_shared<std::string>();
  command->add_option("-c,--config", *path, std::string("Configuration file (YAML or JSON; ") + manual + ")")->required();
  command->callback([path, run, memory_key, program = app.get_name(), &exit_code] {
    try {
      exit_code = run(*path);
    } catch (const std::bad_alloc&) {
      std::fprintf(stderr, "%s: not enough memory for this configuration (%s)\n", program.c_str(), memory_key);
      exit_code = 1;
    }
  });
  return command;
}

inline void add_check_command(CLI::App& app, const char* name, const char* description, int& exit_code,
                              const std::function<int(const std::string& path)>& check, const std::function<std::string()>& describe_keys) {
  CLI::App* const command = app.add_subcommand(name, description);
  const auto path = std::make_shared<std::string>();
  const auto keys = std::make_shared<bool>(false);
  auto* const config = command->add_option("-c,--config", *path, "Configuration file");
  command->add_flag("--keys", *keys, "Print all keys with their defaults (Markdown)");
  command->callback([path, keys, config, check, describe_keys, &exit_code] {
    if (*keys) {
      std::fputs(describe_keys().c_str(), stdout);
      return;
    }
    if (config->count() == 0) throw CLI::RequiredError("-c FILE or --keys");
    exit_code = check(*path);
  });
}

}  // namespace weir::cli
