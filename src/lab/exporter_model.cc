#include "lab/exporter_model.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/clock.h"

namespace weir::lab {
namespace {

constexpr uint64_t kUptimeAtStartMs = 3'600'000;
constexpr uint8_t kSystematic = 1;    // NetFlow v5's mode of sampling
constexpr uint16_t kAsTrans = 23456;  // what 16 bits say for a longer AS (RFC 6793)
constexpr size_t kV9HeaderOctets = 20;
constexpr size_t kIpfixHeaderOctets = 16;
constexpr size_t kSetHeaderOctets = 4;
constexpr size_t kPaddingOctetsMax = 3;

/// Of one template set, one options template set and one set of options data.
template <class Builder>
void add_options(Builder& b, const OptionsData& options, ExportDatagram& datagram) {
  if (options.records.empty()) return;
  b.options_templates({options.layout}, kPadToFour);
  b.data(options.layout.id, options.records, kPadToFour);
  ++datagram.templates;
  datagram.options_records += static_cast<uint32_t>(options.records.size());
}

}  // namespace

IpAddress exporter_address_v4(uint32_t i) noexcept {
  return IpAddress::from_v4(i < 254 ? 0xC0000201u + i : 0xC6120000u + i);
}

ExporterModel::ExporterModel(const ExporterModelConfig& config)
    : config_(config),
      // Hashed, because SplitMix64 seeded with neighbouring multiples of its step repeats itself.
      traffic_(Random(config.seed).next() ^ Random(~uint64_t{config.index}).next(),
               config.protocol == ExportProtocol::netflow_v5 ? Families::ipv4_only
                                                             : Families::ipv4_and_ipv6),
      details_(Random(~config.seed).next() ^ Random(uint64_t{config.index} << 32).next()),
      templates_(flow_templates(config.protocol, config.extras)),
      sflow_({.extras = config.extras,
              .sampling = std::max(config.sampling, 1u),
              .agent = exporter_address_v4(config.index)}) {
  const uint32_t most = config_.protocol == ExportProtocol::netflow_v5
                            ? static_cast<uint32_t>(kNetflowV5RecordsMax)
                            : kFlowsPerDatagramMax;
  config_.flows = std::min(config_.flows, most);
}

bool ExporterModel::has_templates() const noexcept {
  return config_.protocol == ExportProtocol::netflow_v9 || config_.protocol == ExportProtocol::ipfix;
}

bool ExporterModel::templates_due() const noexcept {
  return has_templates() &&
         (due_ != Due::flows || since_templates_ >= config_.template_refresh_datagrams);
}

ExporterModel::Now ExporterModel::at(uint64_t now_ns) const noexcept {
  const uint64_t elapsed_ms =
      now_ns > config_.start_ns ? (now_ns - config_.start_ns) / kNsPerMs : 0;
  return {now_ns, static_cast<uint32_t>(kUptimeAtStartMs + elapsed_ms)};
}

void ExporterModel::next(uint64_t now_ns, ExportDatagram& datagram) {
  std::vector<uint8_t> memory = std::move(datagram.octets);
  datagram = {};
  datagram.octets = std::move(memory);
  datagram.octets.clear();
  const Now now = at(now_ns);
  if (templates_due()) {
    flows_.clear();
    const Due what = due_ == Due::interfaces ? Due::interfaces : Due::templates;
    const bool is_again = what == Due::templates && since_templates_ != 0;
    if (is_again && config_.templates_change) change_templates();
    write_templates(now, what, datagram);
    due_ = what == Due::templates && config_.extras.interfaces ? Due::interfaces : Due::flows;
    since_templates_ = 0;
    return;
  }
  gather_flows();
  count_flows(datagram);
  switch (config_.protocol) {
    case ExportProtocol::netflow_v5: write_v5(now, datagram); break;
    case ExportProtocol::sflow: write_sflow(now, datagram); break;
    default: write_data(now, datagram); ++since_templates_;
  }
}

size_t ExporterModel::octets_of(const ExportedFlow& flow) const {
  switch (config_.protocol) {
    case ExportProtocol::netflow_v5: return kNetflowV5RecordOctets;
    case ExportProtocol::sflow: return sflow_.octets_of(flow);
    default: return record_octets(templates_[static_cast<size_t>(flow.kind)], flow);
  }
}

size_t ExporterModel::octets_before_flows() const noexcept {
  switch (config_.protocol) {
    case ExportProtocol::netflow_v5: return kNetflowV5HeaderOctets;
    case ExportProtocol::sflow:
      return kSflowHeaderOctets + (sflow_.counters_due() ? kCounterSampleOctets : 0);
    default:
      return kV9HeaderOctets + templates_.size() * (kSetHeaderOctets + kPaddingOctetsMax);
  }
}

void ExporterModel::gather_flows() {
  flows_.clear();
  size_t octets = octets_before_flows();
  const size_t most = config_.flows != 0                                       ? config_.flows
                      : config_.protocol == ExportProtocol::netflow_v5 ? kNetflowV5RecordsMax
                                                                       : kFlowsPerDatagramMax;
  // However many are wanted, they stay a UDP datagram.
  const size_t octets_max = config_.flows == 0 ? config_.datagram_octets : kUdpPayloadOctetsMax;
  while (flows_.size() < most) {
    ExportedFlow flow = left_over_ ? std::move(*left_over_)
                                   : with_details(traffic_.next(), config_.protocol, config_.extras, details_);
    left_over_.reset();
    octets += octets_of(flow);
    if (octets > octets_max && !flows_.empty()) {
      left_over_ = std::move(flow);
      return;
    }
    flows_.push_back(std::move(flow));
  }
}

void ExporterModel::count_flows(ExportDatagram& datagram) const {
  datagram.records = static_cast<uint32_t>(flows_.size());
  for (const ExportedFlow& f : flows_) {
    if (f.kind == RecordKind::nat) continue;
    const bool is_sample = config_.protocol == ExportProtocol::sflow;
    datagram.flow_packets += is_sample ? 1 : f.packets;
    datagram.flow_octets += is_sample ? sampled_frame(f).octets + kFrameCheckOctets : f.octets;
  }
}

void ExporterModel::write_sflow(Now now, ExportDatagram& datagram) {
  datagram.counter_samples = sflow_.counters_due() ? 1 : 0;
  datagram.octets = sflow_.write(now.uptime_ms, flows_);
}

void ExporterModel::write_v5(Now now, ExportDatagram& datagram) {
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
  for (const ExportedFlow& f : flows_) {
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

OptionsWanted ExporterModel::options() const {
  return {.protocol = config_.protocol,
          .extras = config_.extras,
          .sampling = config_.sampling,
          .domain = config_.index};
}

void ExporterModel::change_templates() {
  for (FlowTemplate& t : templates_) {
    auto& fields = t.layout.fields;
    std::rotate(fields.begin(), fields.begin() + 1, fields.end());
  }
}

void ExporterModel::write_templates(Now now, Due what, ExportDatagram& datagram) {
  const auto secs = static_cast<uint32_t>(now.ns / kNsPerSec);
  const auto fill = [&](auto& b) {
    if (what == Due::interfaces) {
      add_options(b, interface_options(options()), datagram);
    } else {
      std::vector<Template> layouts;
      for (const FlowTemplate& t : templates_) layouts.push_back(t.layout);
      b.templates(layouts);
      datagram.templates += static_cast<uint32_t>(layouts.size());
      add_options(b, sampler_options(options()), datagram);
    }
    datagram.octets = b.build();
  };
  if (config_.protocol == ExportProtocol::netflow_v9) {
    NetflowV9Builder b;
    b.uptime_ms(now.uptime_ms).unix_secs(secs).sequence(sequence_++).source_id(config_.index);
    fill(b);
    return;
  }
  IpfixBuilder b;
  b.export_time(secs).sequence(sequence_).domain(config_.index);
  fill(b);
  sequence_ += datagram.options_records;
}

/// A set for each kind of record that there is; returns the end of the last.
uint8_t* ExporterModel::put_sets(Now now, uint8_t* p) const {
  for (const FlowTemplate& t : templates_) {
    uint8_t* const set = p;
    p += kSetHeaderOctets;
    for (const ExportedFlow& f : flows_) {
      if (f.kind == t.kind) p = put_record(p, t, f, times_of(f, now.ns, now.uptime_ms));
    }
    if (p == set + kSetHeaderOctets) {  // none of this kind: no set
      p = set;
      continue;
    }
    while ((p - set) % 4 != 0) *p++ = 0;
    store_be16(set, t.layout.id);
    store_be16(set + 2, static_cast<uint16_t>(p - set));
  }
  return p;
}

void ExporterModel::write_data(Now now, ExportDatagram& datagram) {
  const bool v9 = config_.protocol == ExportProtocol::netflow_v9;
  const size_t header = v9 ? kV9HeaderOctets : kIpfixHeaderOctets;
  size_t octets = header + templates_.size() * (kSetHeaderOctets + kPaddingOctetsMax);
  for (const ExportedFlow& f : flows_) octets += octets_of(f);
  datagram.octets.assign(octets, 0);

  uint8_t* const begin = datagram.octets.data();
  datagram.octets.resize(static_cast<size_t>(put_sets(now, begin + header) - begin));

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
