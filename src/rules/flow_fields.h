// flow_fields.h — What rules call the fields of a flow, and what they are to them.
//
// Spec:     docs/RULES.md, "Fields". Numbers are numbers; addresses and MAC addresses are their text; `flow_type` is the name of the
//           type; lists are arrays. What is absent is 0, "" or [].
// Runs on:  any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/named_enum.h"
#include "flow/flow_view.h"
#include "rules/value.h"

namespace weir::rules {

#define WEIR_FIELD_KINDS(X) X(number) X(text) X(octets) X(address) X(mac) X(flow_type) X(numbers) X(addresses) X(texts)
WEIR_NAMED_ENUM(FieldKind, uint8_t, WEIR_FIELD_KINDS)

struct FieldRef {
  FieldKind kind = FieldKind::number;
  uint8_t slot = 0;  // of NumberSlot, OctetsSlot or ListSlot, by the kind
};

std::optional<FieldRef> find_field(std::string_view name);
const std::vector<std::string_view>& field_names();

/// What an expression sees of a field; plainly.
Value value_of(const FlowView& flow, FieldRef field);
/// All of them, as the root of an expression.
Value context_of(const FlowView& flow);

/// Text that must be written first goes to `room`, of kFieldTextMax octets; all other views are into the flow.
inline constexpr size_t kFieldTextMax = 48;
std::string_view text_of(const FlowView& flow, FieldRef field, char* room) noexcept;

}  // namespace weir::rules
