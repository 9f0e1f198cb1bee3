#include "lab/exporter_model.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <span>

#include "base/clock.h"

namespace weir::lab {
namespace {

constexpr uint64_t kUptimeAtStartMs = 3'600'000;
constexpr uint16_t kTemplateIpv4 = 256;
constexpr uint16_t kTemplateIpv6 = 257;
constexpr uint16_t kTemplateSampler = 258;
constexpr uint8_t kSamplerId = 1;
constexpr uint8_t kProtoIcmp = 1, kProtoIcmp6 = 58;
constexpr uint8_t kSystematic = 1, kRandom = 2;  // values of 35 and 49
constexpr uint16_t kAsTrans = 23456;             // what 16 bits say for a longer AS (RFC 6793)
constexpr size_t kV9HeaderOctets = 20;
constexpr size_t kIpfixHeaderOctets = 16;
constexpr size_t kSetHeaderOctets = 4;
constexpr size_t kPaddingOctetsMax = 3;

// A router's classic record with 32-bit counters and uptimes: 56 octets.
constexpr FieldSpecifier kV9Ipv4[] = {
    {8, 4}, {12, 4}, {15, 4}, {10, 4}, {14, 4}, {2, 4},  {1, 4}, {22, 4}, {21, 4}, {7, 2}, {11, 2},
    {4, 1}, {6, 1},  {5, 1},  {61, 1}, {16, 4}, {17, 4}, {9, 1}, {13, 1}, {48, 1}, {89, 1}};
constexpr FieldSpecifier kV9Ipv6[] = {{27, 16}, {28, 16}, {62, 16}, {10, 4}, {14, 4}, {2, 4},
                                      {1, 4},   {22, 4},  {21, 4},  {7, 2},  {11, 2}, {4, 1},
                                      {6, 1},   {5, 1},   {61, 1},  {16, 4}, {17, 4}, {29, 1},
                                      {30, 1},  {31, 3},  {48, 1}};
// 64-bit counters, milliseconds since the epoch, layer 2.
constexpr FieldSpecifier kIpfixIpv4[] = {{8, 4},  {12, 4},  {15, 4},  {10, 4}, {14, 4}, {2, 8},
                                         {1, 8},  {152, 8}, {153, 8}, {7, 2},  {11, 2}, {4, 1},
                                         {6, 2},  {5, 1},   {61, 1},  {16, 4}, {17, 4}, {9, 1},
                                         {13, 1}, {32, 2},  {136, 1}, {58, 2}, {56, 6}, {80, 6}};
constexpr FieldSpecifier kIpfixIpv6[] = {
    {27, 16}, {28, 16}, {62, 16}, {10, 4},  {14, 4}, {2, 8},  {1, 8},  {152, 8}, {153, 8},
    {7, 2},   {11, 2},  {4, 1},   {6, 2},   {5, 1},  {61, 1}, {16, 4}, {17, 4},  {29, 1},
    {30, 1},  {31, 4},  {139, 2}, {136, 1}, {58, 2}, {56, 6}, {80, 6}};

constexpr size_t octets_of_fields(std::span<const FieldSpecifier> fields) {
  size_t octets = 0;
  for (const FieldSpecifier& f : fields) octets += f.length;
  return octets;
}

std::span<const FieldSpecifier> fields_of(ExportProtocol protocol, bool v4) {
  if (protocol == ExportProtocol::netflow_v9) {
    return v4 ? std::span<const FieldSpecifier>(kV9Ipv4) : kV9Ipv6;
  }
  return v4 ? std::span<const FieldSpecifier>(kIpfixIpv4) : kIpfixIpv6;
}

uint8_t* put_be(uint8_t* to, uint64_t value, size_t width) {
  for (size_t i = width; i-- > 0; value >>= 8) to[i] = static_cast<uint8_t>(value);
  return to + width;
}

bool is_icmp(const Flow& f) { return f.proto == kProtoIcmp || f.proto == kProtoIcmp6; }

struct FlowTimes {
  uint32_t first_uptime_ms, last_uptime_ms;
  uint64_t first_ms, last_ms;  // since the epoch
};

/// A flow cannot have begun before its exporter booted.
FlowTimes times_of(const Flow& f, uint64_t now_ns, uint32_t uptime_ms) {
  const uint32_t idle = std::min(f.idle_ms, uptime_ms);
  const uint32_t duration = std::min(f.duration_ms, uptime_ms - idle);
  const uint64_t last_ms = now_ns / kNsPerMs - idle;
  return {uptime_ms - idle - duration, uptime_ms - idle, last_ms - duration, last_ms};
}

/// Information elements (below 128: v9's field types too) as this exporter fills them.
uint64_t value_of(uint16_t id, const Flow& f, const FlowTimes& t) {
  switch (id) {
    case 1: return f.octets;
    case 2: return f.packets;
    case 4: return f.proto;
    case 5: return f.tos;
    case 6: return f.tcp_flags;
    case 7: return f.src_port;
    case 9:
    case 29: return f.src_mask;
    case 10: return f.in_if;
    case 11: return f.dst_port;
    case 13:
    case 30: return f.dst_mask;
    case 14: return f.out_if;
    case 16: return f.src_as;
    case 17: return f.dst_as;
    case 21: return t.last_uptime_ms;
    case 22: return t.first_uptime_ms;
    case 31: return f.flow_label;
    case 32:
    case 139: return is_icmp(f) ? f.dst_port : 0;
    case 48: return kSamplerId;
    case 56: return f.src_mac;
    case 58: return f.vlan;
    case 61: return f.direction;
    case 80: return f.dst_mac;
    case 89: return 64;  // forwarded
    case 136: return f.end_reason;
    case 152: return t.first_ms;
    case 153: return t.last_ms;
    default: return 0;
  }
}

const IpAddress* address_of(uint16_t id, const Flow& f) {
  switch (id) {
    case 8:
    case 27: return &f.src;
    case 12:
    case 28: return &f.dst;
    case 15:
    case 62: return &f.next_hop;
    default: return nullptr;
  }
}

uint8_t* put_record(uint8_t* to, std::span<const FieldSpecifier> fields, const Flow& f,
                    const FlowTimes& t) {
  for (const FieldSpecifier& field : fields) {
    if (const IpAddress* a = address_of(field.id, f)) {
      std::memcpy(to, a->wire_data(), field.length);
      to += field.length;
    } else {
      to = put_be(to, value_of(field.id, f, t), field.length);
    }
  }
  return to;
}

std::vector<FieldSpecifier> as_vector(std::span<const FieldSpecifier> fields) {
  return {fields.begin(), fields.end()};
}

}  // namespace

ExporterModel::ExporterModel(const ExporterModelConfig& config)
    : config_(config),
      // Hashed, because SplitMix64 seeded with neighbouring multiples of its step repeats itself.
      traffic_(Random(config.seed).next() ^ Random(~uint64_t{config.index}).next(),
               config.protocol == ExportProtocol::netflow_v5 ? Families::ipv4_only
                                                             : Families::ipv4_and_ipv6) {
  const uint32_t most = config_.protocol == ExportProtocol::netflow_v5
                            ? static_cast<uint32_t>(kNetflowV5RecordsMax)
                            : kFlowsPerDatagramMax;
  config_.flows = std::min(config_.flows, most);
}

bool ExporterModel::templates_due() const noexcept {
  return config_.protocol != ExportProtocol::netflow_v5 &&
         (!templates_sent_ || since_templates_ >= config_.template_refresh_datagrams);
}

ExporterModel::Now ExporterModel::at(uint64_t now_ns) const noexcept {
  const uint64_t elapsed_ms =
      now_ns > config_.start_ns ? (now_ns - config_.start_ns) / kNsPerMs : 0;
  return {now_ns, static_cast<uint32_t>(kUptimeAtStartMs + elapsed_ms)};
}

void ExporterModel::next(uint64_t now_ns, ExportDatagram& datagram) {
  datagram.octets.clear();
  datagram.records = datagram.options_records = datagram.templates = 0;
  const Now now = at(now_ns);
  if (config_.protocol == ExportProtocol::netflow_v5) {
    gather_flows();
    write_v5(now, datagram);
  } else if (templates_due()) {
    write_templates(now, datagram);
    templates_sent_ = true;
    since_templates_ = 0;
  } else {
    gather_flows();
    write_data(now, datagram);
    ++since_templates_;
  }
}

size_t ExporterModel::octets_of(const Flow& flow) const noexcept {
  if (config_.protocol == ExportProtocol::netflow_v5) return kNetflowV5RecordOctets;
  return octets_of_fields(fields_of(config_.protocol, flow.src.is_v4()));
}

void ExporterModel::gather_flows() {
  flows_.clear();
  size_t octets = kNetflowV5HeaderOctets;
  size_t most = config_.flows;
  if (config_.protocol != ExportProtocol::netflow_v5) {
    octets = kV9HeaderOctets + 2 * (kSetHeaderOctets + kPaddingOctetsMax);
  }
  if (most == 0) {
    most = config_.protocol == ExportProtocol::netflow_v5 ? kNetflowV5RecordsMax
                                                          : size_t{kFlowsPerDatagramMax};
  }
  while (flows_.size() < most) {
    const Flow flow = left_over_ ? *left_over_ : traffic_.next();
    left_over_.reset();
    octets += octets_of(flow);
    if (config_.flows == 0 && octets > config_.datagram_octets && !flows_.empty()) {
      left_over_ = flow;
      return;
    }
    flows_.push_back(flow);
  }
}

void ExporterModel::write_v5(Now now, ExportDatagram& datagram) {
  datagram.records = static_cast<uint32_t>(flows_.size());
  datagram.octets.resize(kNetflowV5HeaderOctets + kNetflowV5RecordOctets * flows_.size());
  uint8_t* p = datagram.octets.data();
  const uint32_t rate = std::min(config_.sampling, 0x3fffu);
  p = put_be(p, 5, 2);
  p = put_be(p, flows_.size(), 2);
  p = put_be(p, now.uptime_ms, 4);
  p = put_be(p, now.ns / kNsPerSec, 4);
  p = put_be(p, now.ns % kNsPerSec, 4);
  p = put_be(p, sequence_, 4);
  p = put_be(p, config_.index & 0xff, 2);  // engine type 0, id
  p = put_be(p, rate == 0 ? 0 : kSystematic << 14 | rate, 2);
  for (const Flow& f : flows_) {
    const FlowTimes t = times_of(f, now.ns, now.uptime_ms);
    p = put_be(p, load_be32(f.src.wire_data()), 4);
    p = put_be(p, load_be32(f.dst.wire_data()), 4);
    p = put_be(p, load_be32(f.next_hop.wire_data()), 4);
    p = put_be(p, f.in_if, 2);
    p = put_be(p, f.out_if, 2);
    p = put_be(p, f.packets, 4);
    p = put_be(p, f.octets, 4);
    p = put_be(p, t.first_uptime_ms, 4);
    p = put_be(p, t.last_uptime_ms, 4);
    p = put_be(p, f.src_port, 2);
    p = put_be(p, f.dst_port, 2);
    p = put_be(p, f.tcp_flags, 2);  // a pad octet in front
    p = put_be(p, f.proto, 1);
    p = put_be(p, f.tos, 1);
    p = put_be(p, f.src_as > 0xffff ? kAsTrans : f.src_as, 2);
    p = put_be(p, f.dst_as > 0xffff ? kAsTrans : f.dst_as, 2);
    p = put_be(p, f.src_mask, 1);
    p = put_be(p, f.dst_mask, 1);
    p = put_be(p, 0, 2);
  }
  assert(p == datagram.octets.data() + datagram.octets.size());
  sequence_ += datagram.records;
}

void ExporterModel::write_templates(Now now, ExportDatagram& datagram) {
  const auto secs = static_cast<uint32_t>(now.ns / kNsPerSec);
  const std::vector<Template> templates = {
      {.id = kTemplateIpv4, .fields = as_vector(fields_of(config_.protocol, true))},
      {.id = kTemplateIpv6, .fields = as_vector(fields_of(config_.protocol, false))}};
  datagram.templates = 2;
  if (config_.protocol == ExportProtocol::netflow_v9) {
    NetflowV9Builder b;
    b.uptime_ms(now.uptime_ms).unix_secs(secs).sequence(sequence_++).source_id(config_.index);
    b.templates(templates);
    if (config_.sampling != 0) {
      // Sampler 1 of the system samples at random, 1 in N.
      b.options_templates(
          {{.id = kTemplateSampler, .scopes = {{1, 4}}, .fields = {{48, 1}, {49, 1}, {50, 4}}}},
          kPadToFour);
      b.data(kTemplateSampler, {{u32(0), u8(kSamplerId), u8(kRandom), u32(config_.sampling)}},
             kPadToFour);
      datagram.templates = 3;
      datagram.options_records = 1;
    }
    datagram.octets = b.build();
    return;
  }
  IpfixBuilder b;
  b.export_time(secs).sequence(sequence_).domain(config_.index);
  b.templates(templates);
  if (config_.sampling != 0) {
    // The whole observation domain samples every N-th packet.
    b.options_templates(
        {{.id = kTemplateSampler, .scopes = {{149, 4}}, .fields = {{34, 4}, {35, 1}}}}, kPadToFour);
    b.data(kTemplateSampler, {{u32(config_.index), u32(config_.sampling), u8(kSystematic)}},
           kPadToFour);
    datagram.templates = 3;
    datagram.options_records = 1;
    ++sequence_;
  }
  datagram.octets = b.build();
}

void ExporterModel::write_data(Now now, ExportDatagram& datagram) {
  const bool v9 = config_.protocol == ExportProtocol::netflow_v9;
  datagram.records = static_cast<uint32_t>(flows_.size());
  const size_t header = v9 ? kV9HeaderOctets : kIpfixHeaderOctets;
  size_t octets = header + 2 * (kSetHeaderOctets + kPaddingOctetsMax);
  for (const Flow& f : flows_) octets += octets_of(f);
  datagram.octets.assign(octets, 0);

  uint8_t* const begin = datagram.octets.data();
  uint8_t* p = begin + header;
  for (const bool v4 : {true, false}) {
    uint8_t* const set = p;
    p += kSetHeaderOctets;
    for (const Flow& f : flows_) {
      if (f.src.is_v4() != v4) continue;
      p = put_record(p, fields_of(config_.protocol, v4), f, times_of(f, now.ns, now.uptime_ms));
    }
    if (p == set + kSetHeaderOctets) {  // none of this family: no set
      p = set;
      continue;
    }
    while ((p - set) % 4 != 0) *p++ = 0;
    store_be16(set, v4 ? kTemplateIpv4 : kTemplateIpv6);
    store_be16(set + 2, static_cast<uint16_t>(p - set));
  }
  datagram.octets.resize(static_cast<size_t>(p - begin));

  const auto secs = static_cast<uint32_t>(now.ns / kNsPerSec);
  if (v9) {
    store_be16(begin, 9);
    store_be16(begin + 2, static_cast<uint16_t>(datagram.records));
    store_be32(begin + 4, now.uptime_ms);
    store_be32(begin + 8, secs);
    store_be32(begin + 12, sequence_++);
    store_be32(begin + 16, config_.index);
  } else {
    store_be16(begin, 10);
    store_be16(begin + 2, static_cast<uint16_t>(datagram.octets.size()));
    store_be32(begin + 4, secs);
    store_be32(begin + 8, sequence_);
    store_be32(begin + 12, config_.index);
    sequence_ += datagram.records;
  }
}

}  // namespace weir::lab
