// weir_api.cc — The program `weir-api`: questions about flows over HTTP, answered by weir-store.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <string>

#include "api/config.h"
#include "api/program.h"
#include "base/version.h"
#include "cli/configured_program.h"
#include "cli/run_app.h"
#include "query/check.h"
#include "query/translate.h"

namespace weir::cli {
namespace {

api::ApiProgram::Load load_of(const std::string& path) {
  return [path] { return api::load_config(path, api::process_environment()); };
}

int run(const std::string& path) {
  return run_configured("weir-api", load_of(path), api::check_files, [&](const auto& loaded, const auto& checked, Signals& signals) {
    const auto program = api::ApiProgram::create(loaded, checked.tokens, load_of(path));
    if (!program) {
      service::log_error("{}", program.error().message);
      return 1;
    }
    const api::ListenConfig& listen = loaded.config.listen;
    if (!listen.tcp.empty()) service::log_info("listening on {} (port {})", listen.tcp, (*program)->tcp_port());
    if (!listen.unix_path.empty()) service::log_info("listening on {}", listen.unix_path);
    return (*program)->run([&signals] { return request_of(signals, "tokens, certificates and the log's level"); }) ? 0 : 1;
  });
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
  std::string text;
  weir::cli::add_run_command(app, "Answer until a signal ends it", "docs/API.md", "limits", exit_code, weir::cli::run);
  weir::cli::add_check_command(app, "check", "Validate a configuration and its files, and print what would run", exit_code,
                               [](const std::string& path) { return weir::cli::check_configured(weir::cli::load_of(path), weir::api::check_files, weir::api::describe); },
                               weir::api::describe_keys);
  CLI::App* const explain = app.add_subcommand("explain", "Read a query, and print the SQL that it becomes or what is wrong with it");
  explain->add_option("QUERY", text, "SRQL (docs/SRQL.md)")->required();
  explain->callback([&] { exit_code = weir::cli::explain(text); });
  return weir::cli::run_app(app, argc, argv, exit_code);
}
