// flow_maker.h — FlowMessages set through protobuf's classes, and the events that they become.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "flow/flow_parser.h"
#include "flow.pb.h"
#include "transform/ocsf_event.h"

namespace weir::test {

inline std::string wire(const char* address) {
  const IpAddress a = *IpAddress::parse(address);
  return {reinterpret_cast<const char*>(a.wire_data()), a.wire_octets()};
}

inline std::span<const uint8_t> octets_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/// As text; empty where there is none.
inline std::string event_text(const flowpb::FlowMessage& flow, const transform::OcsfOptions& options = {},
                              const transform::EventContext& context = {}) {
  const std::string message = flow.SerializeAsString();
  FlowView view;
  EXPECT_TRUE(parse_flow(octets_of(message), view));
  std::vector<char> out(transform::kEventOctetsMax);
  const size_t octets = transform::OcsfWriter(options).write(view, context, out);
  return {out.data(), octets};
}

inline nlohmann::json event_of(const flowpb::FlowMessage& flow, const transform::OcsfOptions& options = {},
                               const transform::EventContext& context = {}) {
  return nlohmann::json::parse(event_text(flow, options, context));
}

/// A flow with what nearly every flow has.
inline flowpb::FlowMessage usual_flow() {
  flowpb::FlowMessage f;
  f.set_type(flowpb::IPFIX);
  f.set_time_received_ns(1'714'764'460'123'456'789);
  f.set_time_flow_start_ns(1'714'764'441'000'999'999);
  f.set_time_flow_end_ns(1'714'764'451'500'000'000);
  f.set_time_source(flowpb::TIME_MILLISECONDS);
  f.set_sampler_address(wire("203.0.113.1"));
  f.set_src_addr(wire("192.0.2.10"));
  f.set_dst_addr(wire("198.51.100.7"));
  f.set_etype(0x0800);
  f.set_proto(6);
  f.set_protocol_name("TCP");
  f.set_src_port(51514);
  f.set_dst_port(443);
  f.set_bytes(123'456);
  f.set_packets(100);
  return f;
}

}  // namespace weir::test
