// json_flow.h — A line of JSON, as append_json_line writes it, → the flow that it was.
//
// Spec:     docs/FLOW_MESSAGE.md, "JSON lines". Keys may be missing; where that writes a name, a number is taken as well.
// Runs on:  any thread; for tools, not for flows on their way.
// Failure:  an Error that names the key and what its value may be.
#pragma once

#include <string_view>

#include "base/result.h"
#include "flow.pb.h"

namespace weir::outbound {

Result<flowpb::FlowMessage> parse_json_line(std::string_view line);

}  // namespace weir::outbound
