// our_decode.h — Captures through decoder and encoder, as a consumer would read the result.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "decode/events.h"
#include "flow.pb.h"
#include "sflow.pb.h"

namespace weir::truth {

struct Decoded {
  std::vector<flowpb::FlowMessage> flows;
  std::vector<flowpb::SflowCounters> counters;
  std::vector<flowpb::SflowDiscard> discards;
  std::vector<decode::Event> events;
  uint64_t options_records = 0;
  std::vector<uint64_t> domain_rates;  // that options data gave to domains as a whole
};

/// One decoder for all of them, in their order.
Decoded decode_captures(const std::vector<std::filesystem::path>& captures);

/// Each frame of a capture of any traffic, sampled by an sFlow agent: one flow a frame, whose
/// `sequence_num` is the frame's number from 1 on. As IP: without the Ethernet header and padding.
enum class SampleAs : uint8_t { frame, ip };
Decoded decode_sampled(const std::filesystem::path& capture, SampleAs as = SampleAs::frame);

}  // namespace weir::truth
