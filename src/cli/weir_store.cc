// weir_store.cc — The program `weir-store`: flows of a stream, stored and asked.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <memory>
#include <new>
#include <string>

#include "base/version.h"
#include "cli/finish_log.h"
#include "cli/run_app.h"
#include "cli/signals.h"
#include "service/config_text.h"
#include "service/log.h"
#include "store/config.h"
#include "store/program.h"

namespace weir::cli {
namespace {

store::Request request_of(Signals& signals) {
  switch (signals.take()) {
    case 0: return store::Request::none;
    case SIGHUP: service::log_info("SIGHUP: configuration and rules are read anew"); return store::Request::reload;
    case SIGTERM: service::log_info("SIGTERM: stopping"); return store::Request::stop;
    default: service::log_info("SIGINT: stopping"); return store::Request::stop;
  }
}

int run(const std::string& path) {
  const auto load = [path] { return store::load_config(path, service::process_environment()); };
  auto loaded = load();
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return 1;
  }
  Signals signals;  // before any thread
  service::start_log(loaded->config.log, stderr, service::LogWriting::own_thread);
  const FinishLog finish;
  const auto checked = store::check_files(loaded->config);
  if (!checked) {
    service::log_error("{}", checked.error().message);
    return 1;
  }
  for (const std::string& warning : loaded->warnings) service::log_warning("{}", warning);
  for (const std::string& warning : checked->warnings) service::log_warning("{}", warning);
  service::log_info("{} starting", version_line("weir-store"));

  const RoleScope role(control_thread);
  auto program = store::StoreProgram::create(std::move(*loaded), checked->rules, load);
  if (!program) {
    service::log_error("{}", program.error().message);
    return 1;
  }
  const auto last = (*program)->run([&signals] { return request_of(signals); });
  if (last == nullptr) return 1;
  const store::StoreBooks& books = last->books;
  service::log_info("{} messages in: {} stored, {} repeated, {} dead, {} left to be delivered again; {} flows in: {} rows, {} dropped, "
                    "{} sampled out, {} dead, {} left",
                    books.messages_in, books.messages_stored, books.messages_repeated, books.messages_dead_total(),
                    books.messages_returned, books.records_in, books.rows, books.records_dropped, books.records_sampled_out,
                    books.records_dead_total(), books.records_returned);
  return books.discrepancy().empty() ? 0 : 1;
}

int check_config(const std::string& path) {
  const auto loaded = store::load_config(path, service::process_environment());
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return 1;
  }
  const auto checked = store::check_files(loaded->config);
  if (!checked) {
    std::fprintf(stderr, "%s\n", checked.error().message.c_str());
    return 1;
  }
  for (const auto* warnings : {&loaded->warnings, &checked->warnings}) {
    for (const std::string& warning : *warnings) std::fprintf(stderr, "warning: %s\n", warning.c_str());
  }
  std::fputs(store::describe(*loaded).c_str(), stdout);
  return 0;
}

void add_run(CLI::App& app, int& exit_code) {
  CLI::App* const command = app.add_subcommand("run", "Consume flows and store them, and answer questions, until a signal ends it");
  const auto path = std::make_shared<std::string>();
  command->add_option("-c,--config", *path, "Configuration file (YAML or JSON; docs/STORE.md)")->required();
  command->footer(
      "A database belongs to one process: a second one at the same file is refused.\n"
      "SIGTERM and SIGINT commit what is begun and leave the rest to be delivered again; a second one leaves that, too.\n"
      "SIGHUP reads configuration and rules anew, as weirctl reload does.\n"
      "Status: 0 stopped; 1 it could not start, or its books did not balance; 2 wrong usage.");
  command->callback([path, &exit_code] {
    try {
      exit_code = run(*path);
    } catch (const std::bad_alloc&) {
      std::fputs("weir-store: not enough memory for this configuration (commit.rows)\n", stderr);
      exit_code = 1;
    }
  });
}

void add_check(CLI::App& app, int& exit_code) {
  CLI::App* const check = app.add_subcommand("check-config", "Validate a configuration, its rules and files, and print what would run");
  const auto path = std::make_shared<std::string>();
  const auto keys = std::make_shared<bool>(false);
  auto* const config = check->add_option("-c,--config", *path, "Configuration file");
  check->add_flag("--keys", *keys, "Print all keys with their defaults (Markdown)");
  check->callback([path, keys, config, &exit_code] {
    if (*keys) {
      std::fputs(store::describe_keys().c_str(), stdout);
      return;
    }
    if (config->count() == 0) throw CLI::RequiredError("-c FILE or --keys");
    exit_code = check_config(*path);
  });
}

}  // namespace
}  // namespace weir::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like a full disk, and no end
  CLI::App app{"weir-store stores the flows of a stream in a database of its own, and answers questions about them.\n", "weir-store"};
  app.footer(
      "Examples:\n"
      "  weir-store run -c /etc/weir/weir-store.yaml\n"
      "      flows are stored, and asked over the control socket\n"
      "  weirctl --socket /run/weir-store/control.sock ledger\n"
      "      where every message and every flow has gone\n"
      "Exit status: 0 done; 1 a configuration is wrong, or it could not start; 2 wrong command line.");
  app.require_subcommand(1);
  app.set_version_flag("--version", weir::version_line("weir-store"));
  int exit_code = 0;
  weir::cli::add_run(app, exit_code);
  weir::cli::add_check(app, exit_code);
  return weir::cli::run_app(app, argc, argv, exit_code);
}
