// weir_run.cc — `weir run`.
#include "cli/commands.h"

namespace weir::cli {

void add_run_command(CLI::App&, int&) {}

}  // namespace weir::cli
