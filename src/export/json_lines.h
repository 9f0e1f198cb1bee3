// json_lines.h — Flows as text: JSON lines for programs, a table for people.
//
// Spec:     docs/FLOW_MESSAGE.md, section JSON lines: every key of its table in every line, in its
//           order; Weir's additions behind them, where present.
// Runs on:  any thread. Allocates only when the text that it appends to must grow.
// Failure:  none. What exporters send as text is escaped; octets that are not UTF-8 become U+FFFD.
#pragma once

#include <string>
#include <string_view>

#include "flow.pb.h"

namespace weir::outbound {

/// Appends one object and a newline.
void append_json_line(const flowpb::FlowMessage& flow, std::string& out);

/// Appends `text` as a JSON string, with its quotes.
void append_json_string(std::string_view text, std::string& out);

/// Flows in columns for a terminal: when, who says so, what, how much. Control characters never
/// reach it.
class FlowTable {
 public:
  /// The heading and a newline.
  static void append_heading(std::string& out);
  /// One flow and a newline. What is too wide for its column pushes the rest to the right.
  static void append_row(const flowpb::FlowMessage& flow, std::string& out);
};

}  // namespace weir::outbound
