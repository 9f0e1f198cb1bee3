// weir_read.cc — `weir read`.
#include "cli/commands.h"

namespace weir::cli {

void add_read_command(CLI::App&, int&) {}

}  // namespace weir::cli
