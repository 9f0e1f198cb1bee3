// pattern_head.h — Which octets a match of an anchored pattern can begin with.
//
// Runs on:  any thread, when rules are read.
// Failure:  nothing where the pattern is not anchored, or uses what is not looked through here: then it may begin with anything,
//           and anywhere. What is told is never too little (tests/classify/pattern_head_test.cc asks the engine).
#pragma once

#include <array>
#include <bitset>
#include <optional>

#include "classify/pattern.h"

namespace weir::classify {

inline constexpr size_t kHeadOctets = 4;

/// Octets that may stand at each of the first places.
using PatternHead = std::array<std::bitset<256>, kHeadOctets>;

std::optional<PatternHead> head_of(const Pattern& pattern);

/// Whether something can begin as both.
bool overlap(const PatternHead& a, const PatternHead& b);

}  // namespace weir::classify
