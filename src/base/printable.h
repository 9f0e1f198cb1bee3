// printable.h — Text of somebody else's, fit for a line of a log or a terminal.
#pragma once

#include <string>
#include <string_view>

namespace weir {

/// `text` on one line. Octets that are no UTF-8 become \xNN, and so do characters that a reader would not see but be
/// misled by: controls (C0, C1), line and paragraph separators, and marks that turn the direction of what follows.
std::string printable(std::string_view text);

}  // namespace weir
