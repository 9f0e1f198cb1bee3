// weir_store.cc — The program `weir-store`: flows of a stream, stored and asked.
#include <CLI/CLI.hpp>
#include <csignal>
#include <string>

#include "base/version.h"
#include "cli/configured_program.h"
#include "cli/run_app.h"
#include "service/config_text.h"
#include "store/config.h"
#include "store/program.h"

namespace weir::cli {
namespace {

store::StoreProgram::Load load_of(const std::string& path) {
  return [path] { return store::load_config(path, service::process_environment()); };
}

int run(const std::string& path) {
  return run_configured(store::kProgram, load_of(path), store::check_files, [&](const auto& loaded, const auto& checked, Signals& signals) {
    auto program = store::StoreProgram::create(loaded, checked.rules, load_of(path));
    if (!program) {
      service::log_error("{}", program.error().message);
      return 1;
    }
    const auto last = (*program)->run([&signals] { return request_of(signals, "configuration and rules"); });
    if (last == nullptr) return 1;
    const store::StoreBooks& books = last->books;
    service::log_info("{} messages in: {} stored, {} repeated, {} dead, {} left to be delivered again; {} flows in: {} rows, {} dropped, "
                      "{} sampled out, {} dead, {} left",
                      books.messages_in, books.messages_stored, books.messages_repeated, books.messages_dead_total(),
                      books.messages_returned, books.records_in, books.rows, books.records_dropped, books.records_sampled_out,
                      books.records_dead_total(), books.records_returned);
    return end_program(**program, books.discrepancy().empty() ? 0 : 1);
  });
}

void add_commands(CLI::App& app, int& exit_code) {
  add_run_command(app, "Consume flows and store them, and answer questions, until a signal ends it", "docs/STORE.md", "commit.rows", exit_code, run)
      ->footer(
          "A database belongs to one process: a second one at the same file is refused.\n"
          "SIGTERM and SIGINT commit what is begun and leave the rest to be delivered again; a second one leaves that, too.\n"
          "SIGHUP reads configuration and rules anew, as weirctl reload does.\n"
          "Status: 0 stopped; 1 it could not start, or its books did not balance; 2 wrong usage.");
  add_check_command(app, "check-config", "Validate a configuration, its rules and files, and print what would run", exit_code,
                    [](const std::string& path) { return check_configured(load_of(path), store::check_files, store::describe); }, store::describe_keys);
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
  weir::cli::add_commands(app, exit_code);
  return weir::cli::run_app(app, argc, argv, exit_code);
}
