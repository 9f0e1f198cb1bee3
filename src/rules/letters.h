// letters.h — Text beyond ASCII, as the reference engine has it: what counts as space.
//
// Spec:     Unicode's White_Space, which is what Rust's trim() goes by.
// Runs on:  any thread. Pure, no allocation.
#pragma once

#include <string_view>

namespace weir::rules {

/// Without the space at both ends.
std::string_view without_space(std::string_view text) noexcept;

}  // namespace weir::rules
