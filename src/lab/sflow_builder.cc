#include "lab/sflow_builder.h"

namespace weir::lab {
namespace sflow {

Octets padded(const Octets& octets) { return join({octets, zeros((4 - octets.size() % 4) % 4)}); }

Octets opaque(const Octets& octets) { return join({u32(octets.size()), padded(octets)}); }

Octets address(std::string_view text) {
  const bool v4 = text.find(':') == std::string_view::npos;
  return v4 ? join({u32(1), ipv4(text)}) : join({u32(2), ipv6(text)});
}

Octets words(const std::vector<uint32_t>& values) {
  Octets octets;
  for (const uint32_t v : values) append(octets, u32(v));
  return octets;
}

Octets list(const std::vector<uint32_t>& values) {
  return join({u32(values.size()), words(values)});
}

FlowRecord raw_header(const Octets& header, uint32_t frame_octets, uint32_t protocol) {
  static constexpr uint32_t kFrameCheckOctets = 4;
  return {1, join({u32(protocol), u32(frame_octets != 0 ? frame_octets : header.size()),
                   u32(kFrameCheckOctets), opaque(header)})};
}

FlowRecord extended_switch(uint32_t src_vlan, uint32_t dst_vlan) {
  return {1001, words({src_vlan, 0, dst_vlan, 0})};
}

FlowRecord extended_router(std::string_view next_hop, uint32_t src_mask, uint32_t dst_mask) {
  return {1002, join({address(next_hop), words({src_mask, dst_mask})})};
}

FlowRecord extended_gateway(const Gateway& g) {
  static constexpr uint32_t kSequence = 2;
  Octets body =
      join({address(g.next_hop), words({g.as, g.src_as, g.src_peer_as}), u32(g.segments.size())});
  for (const auto& segment : g.segments) append(body, join({u32(kSequence), list(segment)}));
  append(body, list(g.communities));
  append(body, u32(100));  // local preference
  return {1003, body};
}

}  // namespace sflow

namespace {

Octets records_of(const std::vector<sflow::FlowRecord>& records, std::optional<uint32_t> count) {
  Octets octets = u32(count.value_or(static_cast<uint32_t>(records.size())));
  for (const sflow::FlowRecord& r : records) {
    const auto length = r.length.value_or(static_cast<uint32_t>(r.body.size()));
    append(octets, join({u32(r.type), u32(length), sflow::padded(r.body)}));
  }
  return octets;
}

}  // namespace

SflowBuilder& SflowBuilder::flow(const SflowFlowSample& s) {
  const auto interface = [](const SflowInterface& i) { return i.format << 30 | i.value; };
  return sample(
      1, join({sflow::words({s.sequence, s.source_class << 24 | s.source_index, s.sampling_rate,
                             s.pool, s.drops, interface(s.input), interface(s.output)}),
               records_of(s.records, s.record_count)}));
}

SflowBuilder& SflowBuilder::expanded_flow(const SflowFlowSample& s) {
  return sample(
      3,
      join({sflow::words({s.sequence, s.source_class, s.source_index, s.sampling_rate, s.pool,
                          s.drops, s.input.format, s.input.value, s.output.format, s.output.value}),
            records_of(s.records, s.record_count)}));
}

SflowBuilder& SflowBuilder::counters(const SflowCounterSample& s) {
  return sample(2, join({sflow::words({s.sequence, s.source_class << 24 | s.source_index}),
                         records_of(s.blocks, s.block_count)}));
}

SflowBuilder& SflowBuilder::expanded_counters(const SflowCounterSample& s) {
  return sample(4, join({sflow::words({s.sequence, s.source_class, s.source_index}),
                         records_of(s.blocks, s.block_count)}));
}

SflowBuilder& SflowBuilder::discard(const SflowDiscardSample& s) {
  return sample(5, join({sflow::words({s.sequence, s.source_class, s.source_index, s.drops, s.input,
                                       s.output, s.reason}),
                         records_of(s.records, s.record_count)}));
}

SflowBuilder& SflowBuilder::sample(uint32_t type, const Octets& body,
                                   std::optional<uint32_t> length) {
  append(samples_,
         join({u32(type), u32(length.value_or(static_cast<uint32_t>(body.size()))), body}));
  ++added_;
  return *this;
}

Octets SflowBuilder::build() const {
  return join({u32(version_), agent_,
               sflow::words({sub_agent_, sequence_, uptime_ms_, count_.value_or(added_)}),
               samples_});
}

}  // namespace weir::lab
