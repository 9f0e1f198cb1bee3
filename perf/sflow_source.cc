#include "sflow_source.h"

#include "base/byte_order.h"
#include "lab/frame_builder.h"
#include "lab/sflow_builder.h"

namespace weir::perf {
namespace {

constexpr uint32_t kRate = 1000;
constexpr size_t kHeaderOctets = 128;
constexpr uint32_t kDatagramHeaderOctets = 28;  // of an agent with an IPv4 address
constexpr uint32_t kSampleHeaderOctets = 8;

lab::Octets header_of(const lab::Flow& f) {
  using lab::u16;
  using lab::u32;
  using lab::u8;
  const lab::Octets ports = lab::join({u16(f.src_port), u16(f.dst_port)});
  const lab::Octets segment =
      f.proto == lab::kProtoTcp
          ? lab::join({ports, u32(1), u32(2), u8(5 << 4), u8(f.tcp_flags), lab::zeros(6)})
          : lab::join({ports, lab::zeros(4)});
  lab::Octets frame = lab::ethernet(
      lab::kEtherTypeIpv4,
      lab::ipv4_packet({.src = f.src, .dst = f.dst, .proto = f.proto, .id = f.src_port}, segment));
  frame.resize(kHeaderOctets, 0x5a);
  return frame;
}

}  // namespace

lab::Octets sflow_datagram(lab::TrafficModel& traffic, uint32_t index) {
  lab::SflowBuilder builder;
  builder.sequence(index + 1);
  for (uint32_t i = 0; i < kSflowSamplesPerDatagram; ++i) {
    const lab::Flow f = traffic.next();
    const uint32_t sample = index * kSflowSamplesPerDatagram + i;
    const uint32_t sequence = sample / kSflowDataSources + 1;
    builder.flow({.sequence = sequence,
                  .source_index = sample % kSflowDataSources + 1,
                  .sampling_rate = kRate,
                  .pool = sequence * kRate,
                  .input = {0, f.in_if % 48 + 1},
                  .output = {0, f.out_if % 48 + 1},
                  .records = {lab::sflow::raw_header(header_of(f), 64 + f.src_port % 1400),
                              lab::sflow::extended_switch(f.vlan % 4096, f.vlan % 4096)}});
  }
  return builder.build();
}

void advance_sflow_samples(uint8_t* datagram, uint32_t step) {
  const uint32_t samples = load_be32(datagram + kDatagramHeaderOctets - 4);
  uint8_t* p = datagram + kDatagramHeaderOctets;
  for (uint32_t i = 0; i < samples; ++i) {
    uint8_t* const sequence = p + kSampleHeaderOctets;
    uint8_t* const pool = sequence + 12;
    store_be32(sequence, load_be32(sequence) + step);
    store_be32(pool, load_be32(pool) + step * kRate);
    p += kSampleHeaderOctets + load_be32(p + 4);
  }
}

}  // namespace weir::perf
