#include "cli/weir_etl_run.h"

#include <string>

#include "cli/configured_program.h"
#include "etl/config.h"
#include "etl/program.h"
#include "service/config_text.h"

namespace weir::cli {
namespace {

etl::EtlProgram::Load load_of(const std::string& path) {
  return [path] { return etl::load_config(path, service::process_environment()); };
}

int run(const std::string& path) {
  return run_configured(etl::kProgram, load_of(path), etl::check_files, [&](const auto& loaded, const auto& checked, Signals& signals) {
    auto program = etl::EtlProgram::create(loaded, checked.rules, load_of(path));
    if (!program) {
      service::log_error("{}", program.error().message);
      return 1;
    }
    const auto last = (*program)->run([&signals] { return request_of(signals, "configuration and rules"); });
    if (last == nullptr) return 1;
    const etl::EtlBooks& books = last->books;
    service::log_info("{} messages in: {} done, {} dead, {} left to be delivered again; {} flows in: {} events, {} results "
                      "of a decision file, {} dropped, {} sampled out, {} dead, {} left",
                      books.messages_in, books.messages_done, books.messages_dead_total(), books.messages_returned,
                      books.records_in, books.events_acknowledged, books.decisions_acknowledged, books.records_dropped, books.records_sampled_out,
                      books.records_dead_total(), books.records_returned);
    return end_program(**program, books.discrepancy().empty() ? 0 : 1);
  });
}

}  // namespace

void add_etl_run_commands(CLI::App& app, int& exit_code) {
  add_run_command(app, "Consume flows, make events of them by rules, publish these, until a signal ends it", "docs/ETL.md",
                  "events.buffer_bytes", exit_code, run)
      ->footer(
          "Any number of instances share the work: start more of them with the same configuration (but for\n"
          "control_socket.path and metrics_addr on one machine).\n"
          "SIGTERM and SIGINT deliver what is begun and leave the rest to others; a second one leaves that, too.\n"
          "SIGHUP reads configuration and rules anew, as weirctl reload does.\n"
          "Status: 0 stopped; 1 it could not start, or its books did not balance; 2 wrong usage.");
  add_check_command(app, "check-config", "Validate a configuration, its rules and files, and print what would run", exit_code,
                    [](const std::string& path) { return check_configured(load_of(path), etl::check_files, etl::describe); }, etl::describe_keys);
}

}  // namespace weir::cli
