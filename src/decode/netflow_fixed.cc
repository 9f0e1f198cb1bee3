// netflow_fixed.cc — NetFlow versions 1, 5 and 7: records of one layout each, no templates.
//
// Spec:     docs/FLOW_MESSAGE.md; the layouts as Cisco documents them, below.
// Bounds:   as many records as the datagram has room for, however many the header promises.
#include <cstring>

#include "base/byte_order.h"
#include "decode/decoder_state.h"
#include "decode/record_fuser.h"
#include "decode/structured_data.h"

namespace weir::decode {
namespace {

// Headers, all versions:
//  0 version   2 count   4 sysUptime (ms)   8 unix_secs   12 unix_nsecs
// v5, v7:   16 flow_sequence
// v5:       20 engine_type   21 engine_id   22 sampling: mode (2 bits), interval (14)
// v7:       20 reserved
//
// Records, all versions:
//  0 srcaddr   4 dstaddr   8 nexthop   12 input   14 output   16 dPkts   20 dOctets   24 First
// 28 Last   32 srcport   34 dstport   38 prot   39 tos
// v1:       36 pad   40 tcp_flags   41 pad (some exporters have four octets more)
// v5, v7:   37 tcp_flags   40 src_as   42 dst_as   44 src_mask   45 dst_mask
// v5:       36 pad   46 pad
// v7:       36 flags (which fields are not valid; those are 0)   46 flags   48 router_sc
struct Layout {
  Protocol protocol;
  uint16_t version;
  uint32_t header_octets;
  uint32_t record_octets;
};
constexpr Layout kV1{Protocol::netflow_v1, 1, 16, 48};
constexpr Layout kV1Long{Protocol::netflow_v1, 1, 16, 52};
constexpr Layout kV5{Protocol::netflow_v5, 5, 24, 48};
constexpr Layout kV7{Protocol::netflow_v7, 7, 24, 52};

// Mode 1 is every n-th packet, 2 random. Junipers that sample 1 in 50,000 write the interval over
// both: that gives mode 3, which is none.
constexpr uint16_t kSamplingIntervalMask = 0x3fff;
constexpr uint16_t kSamplingModeNone = 0xc000;

constexpr uint32_t kRouterScArenaOctets = kUnmappedHeaderOctets + 4;

constexpr Presence present_in(Protocol protocol) noexcept {
  Presence p;
  for (const Field f : {Field::src_addr, Field::dst_addr, Field::next_hop, Field::in_if,
                        Field::out_if, Field::packets, Field::bytes, Field::time_flow_start_ns,
                        Field::time_flow_end_ns, Field::src_port, Field::dst_port, Field::tcp_flags,
                        Field::proto, Field::ip_tos, Field::etype}) {
    p.set(f);
  }
  if (protocol != Protocol::netflow_v1) {
    for (const Field f : {Field::src_as, Field::dst_as, Field::src_net, Field::dst_net}) p.set(f);
  }
  return p;
}

constexpr uint8_t kAddresses = address::bit(address::k_src_addr) |
                               address::bit(address::k_dst_addr) |
                               address::bit(address::k_next_hop);

void store_v4(IpAddress& a, const uint8_t* four) noexcept {
  uint32_t octets;
  std::memcpy(&octets, four, 4);
  const uint64_t halves[2] = {0, uint64_t{octets} << 32 | 0xffff'0000u};  // little endian
  std::memcpy(a.octets.data(), halves, sizeof halves);
}

struct Shared {
  TimeBase times;
  uint64_t window_begin;
  uint64_t window_span;
  RateResolver::Rate rate;
  Presence present;
};

template <Protocol protocol>
void read_record(const uint8_t* p, const Shared& s, FlowRecord& r, QuirkBook& quirks) noexcept {
  r.bytes = load_be32(p + 20);
  r.packets = load_be32(p + 16);
  r.sampling_rate = s.rate.rate;
  r.src_port = load_be16(p + 32);
  r.dst_port = load_be16(p + 34);
  r.in_if = load_be16(p + 12);
  r.out_if = load_be16(p + 14);
  r.ip_tos = p[39];
  if constexpr (protocol == Protocol::netflow_v1) {
    r.tcp_flags = p[40];
  } else {
    r.tcp_flags = p[37];
    r.src_as = load_be16(p + 40);
    r.dst_as = load_be16(p + 42);
    r.src_net = p[44];
    r.dst_net = p[45];
  }
  r.sampling_source = static_cast<uint32_t>(s.rate.source);
  r.time_source = static_cast<uint32_t>(TimeSource::uptime);
  r.time_flow_start_ns = s.times.from_uptime(load_be32(p + 24));
  r.time_flow_end_ns = s.times.from_uptime(load_be32(p + 28));
  r.etype = 0x0800;
  r.proto = p[38];
  r.blocks = block::kBasic | block::kSecond;
  r.addresses = kAddresses;
  r.present = s.present;
  store_v4(r.src_addr, p);
  store_v4(r.dst_addr, p + 4);
  store_v4(r.next_hop, p + 8);
  if (r.time_flow_start_ns - s.window_begin > s.window_span ||
      r.time_flow_end_ns - s.window_begin > s.window_span) [[unlikely]] {
    quirks.note(Quirk::implausible_time);
    r.time_flow_start_ns = r.time_flow_end_ns = s.times.fallback_ns();
    r.time_source = static_cast<uint32_t>(s.times.fallback_source());
  }
  if (is_icmp(r.proto)) move_icmp_out_of_ports(r, true);
}

template <Protocol protocol>
void read_records(const uint8_t* p, uint32_t stride, const Shared& s, std::span<FlowRecord> records,
                  QuirkBook& quirks) noexcept {
  // PERF: clearing all at once takes the widest stores of the machine; the records fill half of
  // it.
  std::memset(static_cast<void*>(records.data()), 0, records.size_bytes());
  for (FlowRecord& r : records) {
    read_record<protocol>(p, s, r, quirks);
    p += stride;
  }
}

class V5Reader final : public RecordReader {
 public:
  V5Reader(const Shared& shared, QuirkBook& quirks) noexcept : shared_(shared), quirks_(quirks) {}
  void read(const uint8_t* octets, FlowRecord& record) noexcept override {
    read_records<Protocol::netflow_v5>(octets, 0, shared_, {&record, 1}, quirks_);
  }

 private:
  const Shared& shared_;
  QuirkBook& quirks_;
};

/// Of v7: the router that a switch's shortcut goes around (IANA 43), which has no column.
void keep_router_sc(const uint8_t* p, uint32_t stride, std::span<FlowRecord> records,
                    Arena& arena) noexcept {
  constexpr uint32_t kNoEnterprise = 0;
  constexpr uint16_t kIpv4RouterSc = 43;
  constexpr uint16_t kOctets = 4;
  for (FlowRecord& r : records) {
    const auto at = static_cast<uint16_t>(arena.used());
    uint8_t* d = arena.take(kRouterScArenaOctets);
    std::memcpy(d, &kNoEnterprise, 4);
    std::memcpy(d + 4, &kIpv4RouterSc, 2);
    std::memcpy(d + 6, &kOctets, 2);
    std::memcpy(d + kUnmappedHeaderOctets, p + 48, kOctets);
    r.unmapped = {at, static_cast<uint16_t>(kRouterScArenaOctets)};
    r.present.set(Field::unmapped);
    r.arena_parts |= arena_part::kUnmapped;
    p += stride;
  }
}

const Layout& layout_of(Protocol protocol, size_t size, uint32_t promised) noexcept {
  if (protocol == Protocol::netflow_v5) return kV5;
  if (protocol == Protocol::netflow_v7) return kV7;
  return size == kV1Long.header_octets + size_t{promised} * kV1Long.record_octets ? kV1Long : kV1;
}

}  // namespace

bool DecoderState::decode_netflow_fixed(Protocol protocol, const Datagram& d,
                                        RecordSink& sink) noexcept {
  const uint8_t* h = d.payload.data();
  const size_t size = d.payload.size();
  const uint32_t promised = load_be16(h + 2);
  const Layout& layout = layout_of(protocol, size, promised);
  if (size < layout.header_octets) return reject(d, DatagramError::truncated_header);
  if (promised == 0) return reject(d, DatagramError::bad_count);
  const auto room = static_cast<uint32_t>((size - layout.header_octets) / layout.record_octets);
  if (room == 0) return reject(d, DatagramError::bad_length);
  const uint32_t count = std::min(promised, room);

  Message m(protocol);
  const bool has_sequence = protocol != Protocol::netflow_v1;
  if (has_sequence) m.header.sequence_num = load_be32(h + 16);
  if (protocol == Protocol::netflow_v5) m.header.engine = load_be16(h + 20);
  if (!begin(d, layout.version, m.header.engine, m)) return false;
  if (promised > room) quirks_.note(Quirk::count_mismatch);
  if (size > layout.header_octets + size_t{promised} * layout.record_octets) {
    const auto rest =
        d.payload.subspan(layout.header_octets + size_t{count} * layout.record_octets);
    quirks_.note(all_octets_zero(rest) ? Quirk::zero_filled_tail : Quirk::trailing_octets);
  }

  const uint32_t nanoseconds = load_be32(h + 12);
  m.times.export_ns = load_be32(h + 8) * kNsPerSec + (nanoseconds < kNsPerSec ? nanoseconds : 0);
  m.times.uptime_ms = load_be32(h + 4);
  m.times.has_uptime = true;
  observe_clock(m);

  Shared s{m.times, m.times.window_begin_ns(), 0, {}, present_in(protocol)};
  s.window_span = m.times.window_span_ns();
  uint32_t interval = protocol == Protocol::netflow_v5 ? load_be16(h + 22) : 0;
  if (interval < kSamplingModeNone) {
    interval &= kSamplingIntervalMask;
  } else {
    quirks_.note(Quirk::sampling_interval_overflow);
  }
  if (interval != 0) s.present.set(Field::sampling_rate);
  if (interval != m.domain->rate.rate) m.domain->rate = {interval, d.age_time_ns()};
  s.rate = rate_of_header(m, interval, SamplingSource::header);

  burst_.begin(sink, m.header, d.listener, d.payload.data());
  const uint8_t* p = h + layout.header_octets;
  const uint32_t stride = layout.record_octets;
  const uint32_t arena_octets =
      (protocol == Protocol::netflow_v7 ? kRouterScArenaOctets : 0) + inline_octets(m);
  V5Reader reader(s, quirks_);
  const bool is_fused = protocol == Protocol::netflow_v5 && may_fuse(m) &&
                        config_.fuser->on_laid_out({.header = m.header,
                                                    .listener = d.listener,
                                                    .times = m.times,
                                                    .rate = s.rate,
                                                    .rates = nullptr,
                                                    .sampler = SamplerKind::none,
                                                    .form = {},
                                                    .octets = p,
                                                    .count = count,
                                                    .arena = burst_.arena().data(),
                                                    .reader = reader}) == FuseRefusal::none;
  for (uint32_t left = is_fused ? 0 : count; left != 0;) {
    const std::span<FlowRecord> records = burst_.room(left, arena_octets);
    switch (protocol) {
      case Protocol::netflow_v1:
        read_records<Protocol::netflow_v1>(p, stride, s, records, quirks_);
        break;
      case Protocol::netflow_v7:
        read_records<Protocol::netflow_v7>(p, stride, s, records, quirks_);
        keep_router_sc(p, stride, records, burst_.arena());
        break;
      default: read_records<Protocol::netflow_v5>(p, stride, s, records, quirks_); break;
    }
    if (m.inline_names) fill_names(m, records);
    p += records.size() * stride;
    left -= static_cast<uint32_t>(records.size());
    burst_.commit(static_cast<uint32_t>(records.size()));
  }
  burst_.flush();

  count_records(m, count);
  // What was promised and did not fit is missing, but not lost between the datagrams.
  if (has_sequence) observe_sequence(m, m.header.sequence_num, promised, true);
  return true;
}

}  // namespace weir::decode
