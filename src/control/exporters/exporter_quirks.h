// exporter_quirks.h — What an exporter's quirks mean, and what to look at on the router, in an operator's words.
//
// Runs on:  any thread. Constant texts.
#pragma once

#include <string_view>

#include "decode/quirks.h"

namespace weir::control {

/// A clause that goes behind how often it was seen.
std::string_view meaning_of(decode::Quirk quirk) noexcept;

}  // namespace weir::control
