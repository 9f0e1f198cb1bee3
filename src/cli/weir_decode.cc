// weir_decode.cc — `weir decode`.
#include "cli/commands.h"

namespace weir::cli {

void add_decode_command(CLI::App&, int&) {}

}  // namespace weir::cli
