// sflow_json.h — Counter samples and discarded packets as JSON lines, beside those of flows.
//
// Spec:     docs/FLOW_MESSAGE.md, section JSON lines: an object of another kind than a flow says so in
//           its first key, `kind`; its other keys are the message's fields that are there.
// Runs on:  any thread. Allocates only when the text that it appends to must grow.
// Failure:  messages that protobuf refuses are counted, and cost no other.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "export/batch_reader.h"
#include "export/outbound_batch.h"
#include "sflow.pb.h"

namespace weir::outbound {

/// Appends one object and a newline.
void append_json_line(const flowpb::SflowCounters& sample, std::string& out);
void append_json_line(const flowpb::SflowDiscard& discard, std::string& out);

/// Appends a line for each record of a broker message, whatever its kind.
ReadCounts append_json_lines(RecordKind kind, std::span<const uint8_t> payload, std::string& out);

}  // namespace weir::outbound
