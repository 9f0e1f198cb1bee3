// weir_check.cc — `weir check`.
#include "cli/commands.h"

namespace weir::cli {

void add_check_command(CLI::App&, int&) {}

}  // namespace weir::cli
