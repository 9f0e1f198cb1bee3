// field_constants.h — Constants that stand beside a flow's addresses, MAC addresses and the like: as a flow would have them, or refused.
//
// Spec:     docs/RULES.md, "Fields". To a rule these fields are text of one form; another form of the same address would be "good", and
//           never match.
// Runs on:  any thread, when rules are read. Not for decision files: those mean what the reference engine makes of them.
// Failure:  an Error with the place: a constant, or a set's item, that no flow has, and the form that one could have.
#pragma once

#include "base/result.h"
#include "rules/ast.h"
#include "rules/compiler.h"

namespace weir::rules {

/// Addresses are rewritten in their one form; everything else is as it was.
Result<void> fit_constants(Node& expression, const Environment& environment);

}  // namespace weir::rules
