#include "corpus.h"

#include "base/byte_order.h"
#include "base/clock.h"
#include "lab/exporter_model.h"
#include "lab/message_builder.h"
#include "lab/traffic.h"

namespace weir::perf {
namespace {

constexpr uint32_t kUptimeMs = 90'000'000;
constexpr uint32_t kExportSecs = static_cast<uint32_t>(kReceivedNs / kNsPerSec);
constexpr uint16_t kTemplateId = 256;
constexpr uint32_t kV9Records = 22;

// A router's flow record: 20 fields, 59 octets.
const std::vector<lab::FieldSpecifier> kV9Fields = {
    {8, 4},  {12, 4}, {15, 4}, {10, 4}, {14, 4}, {2, 4},  {1, 4}, {22, 4}, {21, 4}, {7, 2},
    {11, 2}, {6, 1},  {4, 1},  {5, 1},  {16, 4}, {17, 4}, {9, 1}, {13, 1}, {61, 1}, {58, 2}};

uint32_t first_ms(const lab::Flow& f) { return kUptimeMs - f.idle_ms - f.duration_ms; }
uint32_t last_ms(const lab::Flow& f) { return kUptimeMs - f.idle_ms; }
uint32_t v4_of(const IpAddress& a) { return load_be32(a.octets.data() + 12); }

lab::Octets v5_datagram(lab::TrafficModel& traffic, uint32_t exporter, uint32_t sequence) {
  lab::NetflowV5Builder builder;
  builder.uptime_ms(kUptimeMs).unix_time(kExportSecs - 1, 500'000'000).sequence(sequence);
  builder.engine(0, static_cast<uint8_t>(exporter % 4)).sampling(1 << 14 | 1000);
  for (size_t i = 0; i < lab::kNetflowV5RecordsMax; ++i) {
    const lab::Flow f = traffic.next();
    builder.record({.src_addr = v4_of(f.src),
                    .dst_addr = v4_of(f.dst),
                    .next_hop = v4_of(f.next_hop),
                    .in_if = static_cast<uint16_t>(f.in_if),
                    .out_if = static_cast<uint16_t>(f.out_if),
                    .packets = f.packets,
                    .octets = static_cast<uint32_t>(f.octets),
                    .first_ms = first_ms(f),
                    .last_ms = last_ms(f),
                    .src_port = f.src_port,
                    .dst_port = f.dst_port,
                    .tcp_flags = f.tcp_flags,
                    .proto = f.proto,
                    .tos = f.tos,
                    .src_as = static_cast<uint16_t>(f.src_as),
                    .dst_as = static_cast<uint16_t>(f.dst_as),
                    .src_mask = f.src_mask,
                    .dst_mask = f.dst_mask});
  }
  return builder.build();
}

lab::Octets v9_header_only(lab::NetflowV9Builder builder, uint32_t exporter, uint32_t sequence) {
  return builder.uptime_ms(kUptimeMs)
      .unix_secs(kExportSecs - 1)
      .source_id(exporter % 8)
      .sequence(sequence)
      .build();
}

lab::Octets v9_datagram(lab::TrafficModel& traffic, uint32_t exporter, uint32_t sequence) {
  using lab::u16;
  using lab::u32;
  using lab::u8;
  std::vector<lab::Record> records;
  for (uint32_t i = 0; i < kV9Records; ++i) {
    const lab::Flow f = traffic.next();
    records.push_back(
        {u32(v4_of(f.src)), u32(v4_of(f.dst)), u32(v4_of(f.next_hop)), u32(f.in_if),
         u32(f.out_if),     u32(f.packets),    u32(f.octets),          u32(first_ms(f)),
         u32(last_ms(f)),   u16(f.src_port),   u16(f.dst_port),        u8(f.tcp_flags),
         u8(f.proto),       u8(f.tos),         u32(f.src_as),          u32(f.dst_as),
         u8(f.src_mask),    u8(f.dst_mask),    u8(f.direction),        u16(f.vlan)});
  }
  lab::NetflowV9Builder builder;
  builder.data(kTemplateId, records, lab::kPadToFour);
  return v9_header_only(builder, exporter, sequence);
}

uint32_t sequence_offset(Protocol p) {
  switch (p) {
    case Protocol::netflow_v5: return 16;
    case Protocol::netflow_v9: return 12;
    case Protocol::ipfix: return 8;
  }
  return 0;
}

}  // namespace

std::string_view name_of(Protocol p) {
  switch (p) {
    case Protocol::netflow_v5: return "netflow_v5";
    case Protocol::netflow_v9: return "netflow_v9";
    case Protocol::ipfix: return "ipfix";
  }
  return {};
}

void Corpus::advance_sequences() {
  for (size_t i = 0; i < packets.size(); ++i) {
    uint8_t* p = octets.data() + packets[i].offset + sequence_offset(protocol);
    store_be32(p, load_be32(p) + sequence_steps_[i]);
  }
}

Corpus make_corpus(Protocol protocol) {
  Corpus corpus;
  corpus.protocol = protocol;
  const auto append = [&](std::vector<Corpus::Packet>& to, const lab::Octets& datagram,
                          uint32_t exporter) {
    to.push_back({static_cast<uint32_t>(corpus.octets.size()),
                  static_cast<uint32_t>(datagram.size()),
                  IpAddress::from_v4(0xC6120000u + exporter)});  // 198.18.0.0/15
    corpus.octets.insert(corpus.octets.end(), datagram.begin(), datagram.end());
  };

  std::vector<lab::TrafficModel> traffic;
  std::vector<lab::ExporterModel> models;
  std::vector<uint32_t> sequences(kExporters, 1), units_a_pass(kExporters, 0);
  for (uint32_t e = 0; e < kExporters; ++e) {
    traffic.emplace_back(1000 + e, lab::Families::ipv4_only);
    models.emplace_back(lab::ExporterModelConfig{.protocol = lab::ExportProtocol::ipfix,
                                                 .seed = 1000 + e,
                                                 .index = e,
                                                 .start_ns = kReceivedNs - kNsPerSec,
                                                 .template_refresh_datagrams = 1'000'000});
    if (protocol == Protocol::netflow_v9) {
      lab::NetflowV9Builder builder;
      builder.templates({{.id = kTemplateId, .fields = kV9Fields}});
      append(corpus.templates, v9_header_only(builder, e, sequences[e]++), e);
    }
  }
  lab::ExportDatagram made;
  for (uint32_t i = 0; i < kPacketsPerExporter; ++i) {
    for (uint32_t e = 0; e < kExporters; ++e) {
      uint32_t records = 0, units = 0;
      switch (protocol) {
        case Protocol::netflow_v5:
          append(corpus.packets, v5_datagram(traffic[e], e, sequences[e]), e);
          records = units = lab::kNetflowV5RecordsMax;
          break;
        case Protocol::netflow_v9:
          append(corpus.packets, v9_datagram(traffic[e], e, sequences[e]), e);
          records = kV9Records;
          units = 1;
          break;
        case Protocol::ipfix:
          do {
            models[e].next(kReceivedNs - kNsPerSec / 2, made);
            if (made.records == 0) append(corpus.templates, made.octets, e);
          } while (made.records == 0);
          append(corpus.packets, made.octets, e);
          records = units = made.records;
          break;
      }
      sequences[e] += units;
      units_a_pass[e] += units;
      corpus.records += records;
    }
  }
  for (size_t i = 0; i < corpus.packets.size(); ++i) {
    corpus.sequence_steps_.push_back(units_a_pass[i % kExporters]);
  }
  return corpus;
}

}  // namespace weir::perf
