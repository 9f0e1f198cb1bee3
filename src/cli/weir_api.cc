// weir_api.cc — The program `weir-api`: questions about flows over HTTP, answered by weir-store.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>

#include "api/config.h"
#include "api/program.h"
#include "base/version.h"
#include "cli/finish_log.h"
#include "cli/run_app.h"
#include "cli/signals.h"
#include "query/check.h"
#include "query/translate.h"

namespace weir::cli {
namespace {

api::Ask ask_of(Signals& signals) {
  switch (signals.take()) {
    case 0: return api::Ask::none;
    case SIGHUP: service::log_info("SIGHUP: tokens, certificates and the log's level are read anew"); return api::Ask::reload;
    case SIGTERM: service::log_info("SIGTERM: stopping"); return api::Ask::stop;
    default: service::log_info("SIGINT: stopping"); return api::Ask::stop;
  }
}

int run(const std::string& path) {
  const auto load = [path] { return api::load_config(path, api::process_environment()); };
  const auto loaded = load();
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return 1;
  }
  Signals signals;  // before any thread
  service::start_log(loaded->config.log, stderr, service::LogWriting::own_thread);
  const FinishLog finish;
  const auto checked = api::check_files(loaded->config);
  if (!checked) {
    service::log_error("{}", checked.error().message);
    return 1;
  }
  for (const auto* warnings : {&loaded->warnings, &checked->warnings}) {
    for (const std::string& warning : *warnings) service::log_warning("{}", warning);
  }
  service::log_info("{} starting", version_line("weir-api"));
  const auto program = api::ApiProgram::create(*loaded, checked->tokens, load);
  if (!program) {
    service::log_error("{}", program.error().message);
    return 1;
  }
  const api::ListenConfig& listen = loaded->config.listen;
  if (!listen.tcp.empty()) service::log_info("listening on {} (port {})", listen.tcp, (*program)->tcp_port());
  if (!listen.unix_path.empty()) service::log_info("listening on {}", listen.unix_path);
  return (*program)->run([&signals] { return ask_of(signals); }) ? 0 : 1;
}

int check(const std::string& path) {
  const auto loaded = api::load_config(path, api::process_environment());
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return 1;
  }
  const auto checked = api::check_files(loaded->config);
  if (!checked) {
    std::fprintf(stderr, "%s\n", checked.error().message.c_str());
    return 1;
  }
  for (const auto* warnings : {&loaded->warnings, &checked->warnings}) {
    for (const std::string& warning : *warnings) std::fprintf(stderr, "warning: %s\n", warning.c_str());
  }
  std::fputs(api::describe(*loaded).c_str(), stdout);
  return 0;
}

/// What a query comes to, without a store.
int explain(const std::string& text) {
  timespec now {};
  clock_gettime(CLOCK_REALTIME, &now);
  query::Plan plan;
  if (const auto error = query::plan_query(text, now.tv_sec * query::kUsPerSec, plan)) {
    fmt::print(stderr, "{}\n{:>{}}\nat {}: {}\n", text, "^", query::column_of(text, error->place.at), query::column_of(text, error->place.at), error->message);
    return 1;
  }
  const query::Translation t = query::translate(plan, query::duckdb_dialect());
  for (const std::string& note : plan.notes) fmt::print("-- {}\n", note);
  fmt::print("-- window {} to {}, from {}, {} parameters\n{}\n", plan.window.start_us ? query::instant_text(*plan.window.start_us) : "the first flow",
             query::instant_text(*plan.window.end_us), t.table, t.statement.parameters.size(), t.statement.sql);
  return 0;
}

}  // namespace
}  // namespace weir::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app{"weir-api answers questions about flows over HTTP: SRQL, read-only SQL, and what dashboards ask for.\n", "weir-api"};
  app.footer(
      "Examples:\n"
      "  weir-api run -c /etc/weir/weir-api.yaml\n"
      "  weirctl query 'in:flows time:last_1h groupby:src_ip limit:10'\n"
      "  weir-api explain 'in:flows time:last_1h port:(22,3389) !cidr:10.0.0.0/8'\n"
      "      the SQL that a query becomes\n"
      "SIGTERM and SIGINT finish what is being answered; SIGHUP reads tokens, certificates and the log's level anew.\n"
      "Exit status: 0 done; 1 a configuration or query is wrong, or it could not start; 2 wrong command line.");
  app.require_subcommand(1);
  app.set_version_flag("--version", weir::version_line("weir-api"));
  int exit_code = 0;
  std::string path, text;
  bool keys = false;
  CLI::App* const run = app.add_subcommand("run", "Answer until a signal ends it");
  run->add_option("-c,--config", path, "Configuration file (YAML or JSON; docs/API.md)")->required();
  run->callback([&] { exit_code = weir::cli::run(path); });
  CLI::App* const check = app.add_subcommand("check", "Validate a configuration and its files, and print what would run");
  auto* const config = check->add_option("-c,--config", path, "Configuration file");
  check->add_flag("--keys", keys, "Print all keys with their defaults (Markdown)");
  check->callback([&] {
    if (keys) {
      std::fputs(weir::api::describe_keys().c_str(), stdout);
      return;
    }
    if (config->count() == 0) throw CLI::RequiredError("-c FILE or --keys");
    exit_code = weir::cli::check(path);
  });
  CLI::App* const explain = app.add_subcommand("explain", "Read a query, and print the SQL that it becomes or what is wrong with it");
  explain->add_option("QUERY", text, "SRQL (docs/SRQL.md)")->required();
  explain->callback([&] { exit_code = weir::cli::explain(text); });
  return weir::cli::run_app(app, argc, argv, exit_code);
}
