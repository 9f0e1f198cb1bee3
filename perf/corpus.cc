#include "corpus.h"

#include <algorithm>
#include <optional>

#include "base/byte_order.h"
#include "base/clock.h"
#include "lab/exporter_model.h"
#include "lab/message_builder.h"
#include "lab/traffic.h"
#include "sflow_source.h"

namespace weir::perf {
namespace {

constexpr uint32_t kUptimeMs = 90'000'000;
constexpr uint64_t kExportNs = kReceivedNs - kNsPerSec / 2;
constexpr auto kExportSecs = static_cast<uint32_t>(kReceivedNs / kNsPerSec);
constexpr uint16_t kTemplateId = 256;
constexpr uint16_t kOptionsId = 300;
constexpr uint32_t kV9Records = 22;
constexpr uint32_t kIpfixRecords = 20;
constexpr uint32_t kOptionsMixRecords = 20;
constexpr uint32_t kVarlenRecords = 13;
constexpr uint32_t kMixedTemplates = 4;  // of a NetFlow v9 exporter in the mix
constexpr uint32_t kSamplers = 4;

using Fields = std::vector<lab::FieldSpecifier>;

// A router's flow record: 20 fields, 56 octets.
const Fields kV9Fields = {{8, 4},  {12, 4}, {15, 4}, {10, 4}, {14, 4}, {2, 4}, {1, 4},
                          {22, 4}, {21, 4}, {7, 2},  {11, 2}, {6, 1},  {4, 1}, {5, 1},
                          {16, 4}, {17, 4}, {9, 1},  {13, 1}, {61, 1}, {58, 2}};

// The same router's by IPFIX: counters of 64 bits, milliseconds since the epoch, 72 octets.
const Fields kIpfixFields = {{8, 4},   {12, 4},  {15, 4}, {10, 4}, {14, 4}, {2, 8}, {1, 8},
                             {152, 8}, {153, 8}, {7, 2},  {11, 2}, {6, 1},  {4, 1}, {5, 1},
                             {16, 4},  {17, 4},  {9, 1},  {13, 1}, {61, 1}, {58, 2}};

// A firewall's: application, user and server by name. 72 octets and the names.
const Fields kVarlenFields = {{8, 4},
                              {12, 4},
                              {15, 4},
                              {10, 4},
                              {14, 4},
                              {2, 8},
                              {1, 8},
                              {152, 8},
                              {153, 8},
                              {7, 2},
                              {11, 2},
                              {4, 1},
                              {6, 2},
                              {5, 1},
                              {96, lab::kVariableLength},
                              {61, 1},
                              {16, 4},
                              {17, 4},
                              {9, 1},
                              {13, 1},
                              {136, 1},
                              {371, lab::kVariableLength},
                              {460, lab::kVariableLength}};

/// The same fields in another order for each template.
Fields rotated(Fields fields, uint32_t by) {
  std::rotate(fields.begin(), fields.begin() + by % fields.size(), fields.end());
  return fields;
}

Fields with_sampler(Fields fields) {
  fields.push_back({48, 1});
  return fields;
}

/// A name of 4 to 19 octets; few are common.
lab::Octets name(uint32_t number) {
  static constexpr std::string_view kLetters = "flow-collector-name-of-some-service";
  const uint32_t n = lab::Random(number).by_octave(10);
  return lab::variable(lab::text(kLetters.substr(n % 16, 4 + n % 16)));
}

lab::Octets value_of(const lab::FieldSpecifier& field, const lab::Flow& f) {
  const auto number = [&field](uint64_t v) { return lab::be(v, field.length); };
  const uint64_t last_ms = kExportNs / kNsPerMs - f.idle_ms;
  switch (field.id) {
    case 1: return number(f.octets);
    case 2: return number(f.packets);
    case 4: return number(f.proto);
    case 5: return number(f.tos);
    case 6: return number(f.tcp_flags);
    case 7: return number(f.src_port);
    case 8: return lab::address(f.src);
    case 9: return number(f.src_mask);
    case 10: return number(f.in_if);
    case 11: return number(f.dst_port);
    case 12: return lab::address(f.dst);
    case 13: return number(f.dst_mask);
    case 14: return number(f.out_if);
    case 15: return lab::address(f.next_hop);
    case 16: return number(f.src_as);
    case 17: return number(f.dst_as);
    case 21: return number(kUptimeMs - f.idle_ms);
    case 22: return number(kUptimeMs - f.idle_ms - f.duration_ms);
    case 48: return number(1 + f.in_if % kSamplers);
    case 58: return number(f.vlan);
    case 61: return number(f.direction);
    case 96: return name(f.dst_port);
    case 136: return number(f.end_reason);
    case 152: return number(last_ms - f.duration_ms);
    case 153: return number(last_ms);
    case 371: return name(f.in_if);
    case 460: return name(f.dst_as);
    default: return lab::zeros(field.length);
  }
}

std::vector<lab::Record> records_of(const Fields& fields, uint32_t count,
                                    lab::TrafficModel& traffic) {
  std::vector<lab::Record> records;
  for (uint32_t i = 0; i < count; ++i) {
    const lab::Flow f = traffic.next();
    lab::Octets octets;
    for (const lab::FieldSpecifier& field : fields) lab::append(octets, value_of(field, f));
    records.emplace_back(std::move(octets));
  }
  return records;
}

/// One datagram, and how far the exporter's sequence number goes on with it.
struct Made {
  lab::Octets octets;
  uint32_t records = 0;
  uint32_t units = 0;
};

/// An exporter that sends what `protocol` says.
class Source {
 public:
  Source(Protocol protocol, uint32_t index, bool several_templates)
      : protocol_(protocol),
        index_(index),
        templates_(several_templates ? kMixedTemplates : 1),
        traffic_(1000 + index, lab::Families::ipv4_only),
        model_({.protocol = lab::ExportProtocol::ipfix,
                .seed = 1000 + index,
                .index = index,
                .start_ns = kReceivedNs - kNsPerSec,
                .template_refresh_datagrams = 1'000'000}) {}

  /// What has to come first; empty if nothing has.
  lab::Octets templates() {
    lab::ExportDatagram made;
    switch (protocol_) {
      case Protocol::netflow_v9: return v9(define(v9_builder())).octets;
      case Protocol::netflow_v9_options_mix: return v9(samplers(define(v9_builder()))).octets;
      case Protocol::ipfix: model_.next(kExportNs, made); return made.octets;
      case Protocol::ipfix_20_fields:
        return ipfix_builder().templates({{.id = kTemplateId, .fields = kIpfixFields}}).build();
      case Protocol::ipfix_varlen:
        return ipfix_builder().templates({{.id = kTemplateId, .fields = kVarlenFields}}).build();
      default: return {};
    }
  }

  Made next() {
    const uint32_t i = datagrams_++;
    switch (protocol_) {
      case Protocol::netflow_v9: {
        const uint32_t t = i % templates_;
        return v9(v9_builder().data(static_cast<uint16_t>(kTemplateId + t),
                                    records_of(rotated(kV9Fields, 5 * t), kV9Records, traffic_),
                                    lab::kPadToFour),
                  kV9Records);
      }
      case Protocol::netflow_v9_options_mix: {
        lab::NetflowV9Builder b = v9_builder();
        if (i % 8 == 3) define(b);
        if (i % 8 == 7) samplers(b);
        b.data(kTemplateId, records_of(with_sampler(kV9Fields), kOptionsMixRecords, traffic_),
               lab::kPadToFour);
        return v9(b, kOptionsMixRecords);
      }
      case Protocol::ipfix: {
        lab::ExportDatagram made;
        model_.next(kExportNs, made);
        return {made.octets, made.records, made.records};
      }
      case Protocol::ipfix_20_fields: {
        const auto records = records_of(kIpfixFields, kIpfixRecords, traffic_);
        return ipfix(ipfix_builder().data(kTemplateId, records), kIpfixRecords);
      }
      case Protocol::ipfix_varlen: {
        const auto records = records_of(kVarlenFields, kVarlenRecords, traffic_);
        return ipfix(ipfix_builder().data(kTemplateId, records), kVarlenRecords);
      }
      case Protocol::sflow_raw_header:
        return {sflow_datagram(traffic_, i), kSflowSamplesPerDatagram, 1};
      default: return v5();
    }
  }

 private:
  lab::NetflowV9Builder v9_builder() const {
    lab::NetflowV9Builder b;
    b.uptime_ms(kUptimeMs).unix_secs(kExportSecs - 1).source_id(index_ % 8).sequence(sequence_);
    return b;
  }
  lab::IpfixBuilder ipfix_builder() const {
    lab::IpfixBuilder b;
    b.export_time(kExportSecs - 1).domain(index_ % 8).sequence(sequence_);
    return b;
  }
  Made v9(const lab::NetflowV9Builder& b, uint32_t records = 0) {
    ++sequence_;
    return {b.build(), records, 1};
  }

  Made ipfix(const lab::IpfixBuilder& b, uint32_t records) {
    Made made{b.build(), records, records};
    sequence_ += records;
    return made;
  }

  lab::NetflowV9Builder& define(lab::NetflowV9Builder&& b) { return define(b); }
  lab::NetflowV9Builder& define(lab::NetflowV9Builder& b) {
    std::vector<lab::Template> all;
    for (uint32_t t = 0; t < templates_; ++t) {
      all.push_back({.id = static_cast<uint16_t>(kTemplateId + t),
                     .fields = protocol_ == Protocol::netflow_v9_options_mix
                                   ? with_sampler(kV9Fields)
                                   : rotated(kV9Fields, 5 * t)});
    }
    return b.templates(all);
  }
  static lab::NetflowV9Builder& samplers(lab::NetflowV9Builder& b) {
    b.options_templates(
        {{.id = kOptionsId, .scopes = {{1, 4}}, .fields = {{48, 1}, {49, 1}, {50, 4}}}},
        lab::kPadToFour);
    std::vector<lab::Record> records;
    for (uint32_t s = 1; s <= kSamplers; ++s) {
      records.push_back({lab::u32(0), lab::u8(s), lab::u8(2), lab::u32(100 * s)});
    }
    return b.data(kOptionsId, records, lab::kPadToFour);
  }

  Made v5() {
    lab::NetflowV5Builder builder;
    builder.uptime_ms(kUptimeMs).unix_time(kExportSecs - 1, 500'000'000).sequence(sequence_);
    builder.engine(0, static_cast<uint8_t>(index_ % 4)).sampling(1 << 14 | 1000);
    for (size_t i = 0; i < lab::kNetflowV5RecordsMax; ++i) {
      const lab::Flow f = traffic_.next();
      const auto v4 = [](const IpAddress& a) { return load_be32(a.wire_data()); };
      builder.record({.src_addr = v4(f.src),
                      .dst_addr = v4(f.dst),
                      .next_hop = v4(f.next_hop),
                      .in_if = static_cast<uint16_t>(f.in_if),
                      .out_if = static_cast<uint16_t>(f.out_if),
                      .packets = f.packets,
                      .octets = static_cast<uint32_t>(f.octets),
                      .first_ms = kUptimeMs - f.idle_ms - f.duration_ms,
                      .last_ms = kUptimeMs - f.idle_ms,
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
    constexpr auto kRecords = static_cast<uint32_t>(lab::kNetflowV5RecordsMax);
    sequence_ += kRecords;
    return {builder.build(), kRecords, kRecords};
  }

  Protocol protocol_;
  uint32_t index_;
  uint32_t templates_;
  uint32_t datagrams_ = 0;
  uint32_t sequence_ = 1;
  lab::TrafficModel traffic_;
  lab::ExporterModel model_;
};

constexpr uint32_t kPacketsPerExporter = 16;  // but of the mixes

struct Shape {
  uint32_t exporters;
  uint32_t packets_per_exporter;
  bool mixed;
};

Shape shape_of(Protocol p) {
  switch (p) {
    case Protocol::mixed_1000_exporters: return {1000, 8, true};
    case Protocol::mixed_10_exporters: return {10, 800, true};
    case Protocol::fixed_1000_exporters: return {1000, 8, true};
    case Protocol::fixed_10_exporters: return {10, 800, true};
    default: return {256, kPacketsPerExporter, false};
  }
}

/// A mix has as many exporters of each kind; where all records are of fixed length, of the first three.
constexpr Protocol kMix[] = {Protocol::netflow_v5, Protocol::netflow_v9, Protocol::ipfix,
                             Protocol::ipfix_varlen, Protocol::netflow_v9_options_mix};
constexpr size_t kFixedKinds = 3;

Protocol kind_of(Protocol p, uint32_t exporter) {
  switch (p) {
    case Protocol::mixed_1000_exporters:
    case Protocol::mixed_10_exporters: return kMix[exporter % std::size(kMix)];
    case Protocol::fixed_1000_exporters:
    case Protocol::fixed_10_exporters: return kMix[exporter % kFixedKinds];
    default: return p;
  }
}

uint32_t sequence_offset(const uint8_t* datagram) {
  switch (load_be16(datagram)) {
    case 5: return 16;
    case 9: return 12;
    case 0: return 16;  // sFlow of an agent with an IPv4 address
    default: return 8;
  }
}

}  // namespace

std::string_view name_of(Protocol p) {
  switch (p) {
    case Protocol::netflow_v5: return "netflow_v5";
    case Protocol::netflow_v9: return "netflow_v9";
    case Protocol::ipfix: return "ipfix";
    case Protocol::ipfix_20_fields: return "ipfix_20_fields";
    case Protocol::ipfix_varlen: return "ipfix_varlen";
    case Protocol::netflow_v9_options_mix: return "netflow_v9_options_mix";
    case Protocol::mixed_1000_exporters: return "mixed_1000_exporters";
    case Protocol::mixed_10_exporters: return "mixed_10_exporters";
    case Protocol::fixed_1000_exporters: return "fixed_1000_exporters";
    case Protocol::fixed_10_exporters: return "fixed_10_exporters";
    case Protocol::sflow_raw_header: return "sflow_raw_header";
  }
  return {};
}

void Corpus::advance_sequences() {
  for (size_t i = 0; i < packets.size(); ++i) {
    uint8_t* const datagram = octets.data() + packets[i].offset;
    uint8_t* const p = datagram + sequence_offset(datagram);
    store_be32(p, load_be32(p) + sequence_steps_[i]);
    if (load_be16(datagram) == 0) {
      constexpr uint32_t kSamplesAPass = kPacketsPerExporter * kSflowSamplesPerDatagram;
      advance_sflow_samples(datagram, kSamplesAPass / kSflowDataSources);
    }
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

  const Shape shape = shape_of(protocol);
  std::vector<Source> sources;
  std::vector<uint32_t> units_a_pass(shape.exporters, 0);
  for (uint32_t e = 0; e < shape.exporters; ++e) {
    sources.emplace_back(kind_of(protocol, e), e, shape.mixed);
    if (const lab::Octets t = sources[e].templates(); !t.empty()) append(corpus.templates, t, e);
  }
  for (uint32_t i = 0; i < shape.packets_per_exporter; ++i) {
    for (uint32_t e = 0; e < shape.exporters; ++e) {
      const Made made = sources[e].next();
      append(corpus.packets, made.octets, e);
      units_a_pass[e] += made.units;
      corpus.records += made.records;
    }
  }
  for (size_t i = 0; i < corpus.packets.size(); ++i) {
    corpus.sequence_steps_.push_back(units_a_pass[i % shape.exporters]);
  }
  return corpus;
}

}  // namespace weir::perf
