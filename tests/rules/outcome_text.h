// outcome_text.h — All that rules came to for a flow, in one text: of the flat program, and of interpreting them.
#pragma once

#include <string>

#include "rules/rule_set.h"

namespace weir::rules::testing {

inline std::string text_of_cell(const Cell& cell) {
  switch (cell.kind) {
    case CellKind::boolean: return cell.boolean ? "true" : "false";
    case CellKind::number: return cell.number.to_string();
    case CellKind::text: return Value::of(std::string(cell.text)).to_json();
    default: return "null";
  }
}

/// Numbers with the zeros that they have as text.
inline std::string text_of_value(const Value& value) {
  return value.kind == ValueKind::number ? value.number.to_string() : value.to_json();
}

/// All that a run came to, in one text.
inline std::string summary(const RuleSet& rules, const Outcome& out) {
  std::string text = out.is_sampled_out ? "sampled_out" : out.is_dropped ? "dropped" : "kept";
  if (!out.is_dropped) {
    text += " factor " + std::to_string(out.sampling_factor);
    for (size_t i = 0; i < rules.program().targets.size(); ++i) {
      if (out.has(i)) text += " " + rules.program().targets[i].name + "=" + text_of_cell(out.targets[i]);
    }
    for (size_t i = 0; i < out.labels; ++i) text += " #" + std::string(out.label[i]);
    text += " left out " + std::to_string(out.labels_left_out);
  }
  return text + " errors " + std::to_string(out.errors);
}
inline std::string summary(const RuleSet& rules, const PlainOutcome& out) {
  std::string text = out.is_sampled_out ? "sampled_out" : out.is_dropped ? "dropped" : "kept";
  if (!out.is_dropped) {
    text += " factor " + std::to_string(out.sampling_factor);
    for (const Target& target : rules.program().targets) {
      for (const auto& [name, value] : out.set) {
        if (name == target.name) text += " " + name + "=" + text_of_value(value);
      }
    }
    for (const std::string& label : out.labels) text += " #" + label;
    text += " left out " + std::to_string(out.labels_left_out);
  }
  return text + " errors " + std::to_string(out.errors);
}

}  // namespace weir::rules::testing
