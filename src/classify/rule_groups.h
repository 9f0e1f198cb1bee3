// rule_groups.h — Which rules that look into payloads are scanned for together.
//
// Runs on:  any thread, when rules are read.
// Bounds:   kGateGroupsMax groups.
#pragma once

#include <cstdint>
#include <span>

#include "classify/payload_gate.h"
#include "classify/rule.h"

namespace weir::classify {

/// What can begin alike is scanned for at once; what is only looked for at certain ports, with its own. `which` of `rules` look into
/// payloads of one protocol.
void sort_into_groups(std::span<const Rule> rules, std::span<const uint16_t> which, PayloadGate& gate);

}  // namespace weir::classify
