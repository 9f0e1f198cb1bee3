// good_messages.h — Messages of every protocol as they should be: what to damage, and what to begin with.
#pragma once

#include <vector>

#include "lab/exporter_model.h"
#include "lab/frame_builder.h"
#include "lab/message_builder.h"
#include "lab/sflow_builder.h"

namespace weir::lab {

/// Samples of every kind, with headers in tunnels.
inline std::vector<Octets> sflow_sequence() {
  const Octets v6 = udp_packet({"2001:db8::1", "2001:db8::2", 1000, 53}, zeros(16));
  const Octets vxlan = udp_frame({"192.0.2.1", "192.0.2.2", 40'000, 4789},
                                 join({u32(0x0800'0000), u32(1), ethernet(kEtherTypeIpv6, v6)}));
  const Octets gtp =
      udp_frame({"192.0.2.1", "192.0.2.2", 2152, 2152},
                join({u8(0x34), u8(255), u16(24), u32(1), u32(0x85), u8(1), u16(9), u8(0), v6}));
  const Octets srv6 = ipv6_packet(
      {.src = "2001:db8::1", .dst = "2001:db8::2", .next_header = kProtoRouting},
      ipv6_extension(41, join({u8(4), u8(1), u8(0), u8(0), u16(0), ipv6("2001:db8::5")}), v6));
  SflowFlowSample s{
      .sampling_rate = 100,
      .input = {0, 1},
      .output = {1, 258},
      .records = {sflow::raw_header(vxlan),
                  sflow::extended_switch(1, 2),
                  sflow::extended_router("192.0.2.3", 24, 16),
                  sflow::extended_gateway({.segments = {{1, 2}}, .communities = {3}}),
                  {1004, join({u32(106), sflow::string("alice"), u32(106), sflow::string("")})}}};
  SflowBuilder m;
  m.sequence(1).flow(s).expanded_flow(s);
  m.counters({.blocks = {{1, filled(88, 3)},
                         {2000, join({sflow::string("host"), zeros(16), sflow::words({3, 2}),
                                      sflow::string("6.1")})},
                         {2001, join({sflow::words({1, 7, 1}), zeros(8)})},
                         {1003, filled(52, 1)},
                         {4413u << 12 | 1, filled(8, 2)}}});
  m.discard({.sequence = 1, .drops = 5, .reason = 258, .records = s.records});
  s.records = {sflow::raw_header(gtp)};
  m.flow(s);
  s.records = {sflow::raw_header(srv6, 0, sflow::kHeaderIpv6)};
  m.expanded_flow(s);
  return {m.build(),
          SflowBuilder{}.agent("2001:db8::9").sequence(2).flow(s).expanded_counters({}).build()};
}

/// Sequences of whole messages.
inline std::vector<std::vector<Octets>> good_messages() {
  std::vector<std::vector<Octets>> all;
  for (const ExportProtocol protocol :
       {ExportProtocol::netflow_v5, ExportProtocol::netflow_v9, ExportProtocol::ipfix}) {
    ExporterModelConfig config;
    config.protocol = protocol;
    config.flows = 3;
    config.sampling = 100;
    config.template_refresh_datagrams = 2;
    config.start_ns = 1'760'000'000ull * 1'000'000'000;
    ExporterModel model(config);
    std::vector<Octets> sequence;
    ExportDatagram d;
    for (uint64_t i = 0; i < 5; ++i) {
      model.next(config.start_ns + i * 1'000'000'000, d);
      sequence.push_back(d.octets);
    }
    all.push_back(sequence);
  }
  const Template variable{.id = 300,
                          .fields = {{8, 4},
                                     {12, 4},
                                     {27, 16},
                                     {28, 16},
                                     {96, kVariableLength},
                                     {70, 3},
                                     {71, 3},
                                     {371, 32},
                                     {4000, kVariableLength},
                                     {1, 3},
                                     {60, 1},
                                     {161, 4},
                                     {152, 8},
                                     {17, 2, 9},
                                     {56, 8},
                                     {1, 4, 29305}}};
  const Record record{ipv4("192.0.2.1"),
                      ipv4("192.0.2.2"),
                      zeros(16),
                      zeros(16),
                      variable_long_form(text("ssh")),
                      u24(0x12340),
                      u24(0x56781),
                      text("someone", 32),
                      lab::variable(u32(77)),
                      u24(1000),
                      u8(4),
                      u32(100),
                      u64(1'760'000'000'000),
                      u16(9),
                      u64(0x1234'5678'9abc),
                      u32(5)};
  const OptionsTemplate options{
      .id = 301, .scopes = {{149, 4}}, .fields = {{302, 8}, {305, 4}, {306, 4}, {160, 8}}};
  all.push_back({IpfixBuilder{}.data(300, {record}).build(),
                 IpfixBuilder{}.options_templates({options}).templates({variable}).build(),
                 IpfixBuilder{}
                     .data(301, {{u32(0), u64(1), u32(1), u32(99), u64(1'759'999'000'000)}})
                     .data(300, {record, record})
                     .build(),
                 IpfixBuilder{}.templates({{.id = 300}}).build(),
                 IpfixBuilder{}.domain(7).templates({variable}).data(300, {record}).build()});
  all.push_back(
      {NetflowV9Builder{}
           .unix_secs(1'760'000'000)
           .options_templates(
               {{.id = 500, .scopes = {{1, 4}, {2, 2}}, .fields = {{34, 4}, {35, 1}}}}, kPadToFour)
           .templates({{.id = 256, .fields = {{1, 1}}},
                       {.id = 257, .fields = {{10, 4}, {85, 8}, {32, 2}, {4, 1}}}})
           .data(500, {{u32(0), u16(4), u32(10), u8(2)}})
           .data(257, {{u32(4), u64(1000), u16(0x0301), u8(1)}}, kPadToFour)
           .data(256, {{u8(1)}, {u8(2)}}, kPadToFour)
           .data(999, {{u32(5)}})
           .set(0, zeros(0), 0)
           .build()});
  all.push_back(sflow_sequence());
  return all;
}

}  // namespace weir::lab
