#include "classify/pattern.h"

namespace weir::classify {

std::optional<uint32_t> pattern_flags_of(std::string_view letters) noexcept {
  uint32_t flags = 0;
  for (const char letter : letters) {
    switch (letter) {
      case 'i': flags |= pattern_flag::kCaseless; break;
      case 's': flags |= pattern_flag::kDotAll; break;
      case 'm': flags |= pattern_flag::kMultiline; break;
      case 'u': flags |= pattern_flag::kUtf8; break;
      case 'p': flags |= pattern_flag::kUcp; break;
      default: return std::nullopt;
    }
  }
  return flags;
}

}  // namespace weir::classify
