// nearest_name.h — The name that was probably meant where somebody wrote another.
//
// Runs on:  any thread. Not for paths of data.
#pragma once

#include <span>
#include <string_view>

namespace weir {

/// Of `names` the one that fewest letters make of `wrong`; empty where all are further than a third of its letters (or two).
std::string_view nearest_name(std::string_view wrong, std::span<const std::string_view> names);

}  // namespace weir
