#include "base/version.h"

#include "weir_version.h"

namespace weir {

std::string_view version() noexcept { return WEIR_VERSION; }
std::string_view commit() noexcept { return WEIR_COMMIT; }

}  // namespace weir
