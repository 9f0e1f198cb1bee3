// weir.cc — The program `weir`: its command line and what every subcommand needs set up.
#include <fcntl.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "base/version.h"
#include "classify/pattern_compiler.h"
#include "cli/commands.h"
#include "cli/run_app.h"

namespace weir::cli {

/// What this program starts itself as, to compile patterns within bounds; nobody else has a use for it.
void add_compile_patterns_command(CLI::App& app, int& exit_code) {
  CLI::App* compile = app.add_subcommand("compile-patterns", "Compile patterns from standard input to standard output");
  compile->group("");
  compile->callback([&exit_code] { exit_code = classify::serve_patterns(); });
}

void add_version_command(CLI::App& app, int& exit_code) {
  CLI::App* version =
      app.add_subcommand("version", "Print the version and the commit it was built from");
  version->callback([&exit_code] {
    std::puts(version_line("weir").c_str());
    exit_code = 0;
  });
}

}  // namespace weir::cli

namespace {

/// Standard streams that are closed stay out of the hands of the next file or socket: reading finds
/// the end, writing fails.
void occupy_standard_streams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    [[maybe_unused]] const int opened = ::open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is a write error, not the end

  weir::classify::set_compiler_program({"/proc/self/exe", {"compile-patterns"}});

  CLI::App app{
      "Weir takes NetFlow, IPFIX and sFlow exports from the wire and hands every flow record,\n"
      "counted, to NATS JetStream.\n",
      "weir"};
  app.footer(
      "Try it without a broker, a NIC or a file:\n"
      "  weir run --listen netflow://:2055 --format json\n"
      "  weir generate --to 127.0.0.1:2055 --protocol v5 --count 5 --flows 3\n"
      "Look into a capture:\n"
      "  weir decode --format table capture.pcap\n"
      "Run the appliance:\n"
      "  weir check -c conf/weir.yaml && weir run -c conf/weir.yaml\n"
      "`weir COMMAND --help` explains each command; weirctl looks into a running appliance.");
  app.require_subcommand(1);
  app.set_version_flag("--version", weir::version_line("weir"));

  int exit_code = 0;
  weir::cli::add_run_command(app, exit_code);
  weir::cli::add_check_command(app, exit_code);
  weir::cli::add_doctor_command(app, exit_code);
  weir::cli::add_decode_command(app, exit_code);
  weir::cli::add_generate_command(app, exit_code);
  weir::cli::add_replay_command(app, exit_code);
  weir::cli::add_read_command(app, exit_code);
  weir::cli::add_rules_command(app, exit_code);
  weir::cli::add_compile_patterns_command(app, exit_code);
  weir::cli::add_version_command(app, exit_code);
  return weir::cli::run_app(app, argc, argv, exit_code);
}
