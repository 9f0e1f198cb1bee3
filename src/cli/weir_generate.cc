// weir_generate.cc — `weir generate`.
#include "cli/commands.h"

namespace weir::cli {

void add_generate_command(CLI::App&, int&) {}

}  // namespace weir::cli
