#include "cli/weir_etl_run.h"

#include <cstdio>
#include <memory>
#include <new>
#include <string>

#include "base/version.h"
#include "cli/finish_log.h"
#include "cli/signals.h"
#include "etl/config.h"
#include "etl/program.h"
#include "service/config_text.h"
#include "service/log.h"

namespace weir::cli {
namespace {

etl::Request request_of(Signals& signals) {
  switch (signals.take()) {
    case 0: return etl::Request::none;
    case SIGHUP: service::log_info("SIGHUP: configuration and rules are read anew"); return etl::Request::reload;
    case SIGTERM: service::log_info("SIGTERM: stopping"); return etl::Request::stop;
    default: service::log_info("SIGINT: stopping"); return etl::Request::stop;
  }
}

int run(const std::string& path) {
  const auto load = [path] { return etl::load_config(path, service::process_environment()); };
  auto loaded = load();
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return 1;
  }
  Signals signals;  // before any thread
  service::start_log(loaded->config.log, stderr, service::LogWriting::own_thread);
  const FinishLog finish;
  const auto checked = etl::check_files(loaded->config);
  if (!checked) {
    service::log_error("{}", checked.error().message);
    return 1;
  }
  for (const std::string& warning : loaded->warnings) service::log_warning("{}", warning);
  for (const std::string& warning : checked->warnings) service::log_warning("{}", warning);
  service::log_info("{} starting", version_line("weir-etl"));

  const RoleScope role(control_thread);
  auto program = etl::EtlProgram::create(std::move(*loaded), checked->rules, load);
  if (!program) {
    service::log_error("{}", program.error().message);
    return 1;
  }
  const auto last = (*program)->run([&signals] { return request_of(signals); });
  if (last == nullptr) return 1;
  const etl::EtlBooks& books = last->books;
  service::log_info("{} messages in: {} done, {} dead, {} left to be delivered again; {} flows in: {} events, {} dropped, {} "
                    "sampled out, {} dead, {} left",
                    books.messages_in, books.messages_done, books.messages_dead_total(), books.messages_returned,
                    books.records_in, books.events_acknowledged, books.records_dropped, books.records_sampled_out,
                    books.records_dead_total(), books.records_returned);
  return books.discrepancy().empty() ? 0 : 1;
}

int check_config(const std::string& path) {
  const auto loaded = etl::load_config(path, service::process_environment());
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return 1;
  }
  const auto checked = etl::check_files(loaded->config);
  if (!checked) {
    std::fprintf(stderr, "%s\n", checked.error().message.c_str());
    return 1;
  }
  for (const auto* warnings : {&loaded->warnings, &checked->warnings}) {
    for (const std::string& warning : *warnings) std::fprintf(stderr, "warning: %s\n", warning.c_str());
  }
  std::fputs(etl::describe(*loaded).c_str(), stdout);
  return 0;
}

}  // namespace

void add_etl_run_commands(CLI::App& app, int& exit_code) {
  CLI::App* const command = app.add_subcommand("run", "Consume flows, make events of them by rules, publish these, until a signal ends it");
  const auto path = std::make_shared<std::string>();
  command->add_option("-c,--config", *path, "Configuration file (YAML or JSON; docs/ETL.md)")->required();
  command->footer(
      "Any number of instances share the work: start more of them with the same configuration (but for\n"
      "control_socket.path and metrics_addr on one machine).\n"
      "SIGTERM and SIGINT deliver what is begun and leave the rest to others; a second one leaves that, too.\n"
      "SIGHUP reads configuration and rules anew, as weirctl reload does.\n"
      "Status: 0 stopped; 1 it could not start, or its books did not balance; 2 wrong usage.");
  command->callback([path, &exit_code] {
    try {
      exit_code = run(*path);
    } catch (const std::bad_alloc&) {
      std::fputs("weir-etl: not enough memory for this configuration (events.buffer_bytes)\n", stderr);
      exit_code = 1;
    }
  });
  CLI::App* const check = app.add_subcommand("check-config", "Validate a configuration, its rules and files, and print what would run");
  const auto keys = std::make_shared<bool>(false);
  auto* const config = check->add_option("-c,--config", *path, "Configuration file");
  check->add_flag("--keys", *keys, "Print all keys with their defaults (Markdown)");
  check->callback([path, keys, config, &exit_code] {
    if (*keys) {
      std::fputs(etl::describe_keys().c_str(), stdout);
      return;
    }
    if (config->count() == 0) throw CLI::RequiredError("-c FILE or --keys");
    exit_code = check_config(*path);
  });
}

}  // namespace weir::cli
