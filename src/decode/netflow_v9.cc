// netflow_v9.cc — The header of NetFlow version 9.
//
// Spec:     RFC 3954 §5.1. `count` means records, and FlowSets to some exporters: the walk goes by
//           octets, and the count is only compared.
#include "base/byte_order.h"
#include "decode/decoder_state.h"

namespace weir::decode {
namespace {

// 0 version   2 count   4 sysUptime (ms)   8 unix_secs   12 sequence (packets)   16 source id
constexpr uint32_t kHeaderOctets = 20;

}  // namespace

bool DecoderState::decode_netflow_v9(const Datagram& d, RecordSink& sink) noexcept {
  const uint8_t* h = d.payload.data();
  if (d.payload.size() < kHeaderOctets) return reject(d, DatagramError::truncated_header);
  Message m(Protocol::netflow_v9);
  m.header.sequence_num = load_be32(h + 12);
  m.header.observation_domain_id = load_be32(h + 16);
  if (!begin(d, 9, m.header.observation_domain_id, m)) return false;
  m.times.export_ns = load_be32(h + 8) * kNsPerSec;
  m.times.uptime_ms = load_be32(h + 4);
  m.times.has_uptime = true;
  observe_clock(m);

  burst_.begin(sink, m.header, d.listener, d.payload.data());
  walk_sets(m, d.payload.subspan(kHeaderOctets), sink);
  burst_.flush();

  const uint32_t promised = load_be16(h + 2);
  const uint32_t records = m.data_records + m.options_records + m.templates;
  if (m.all_known && promised != records && promised != m.sets) {
    quirks_.note(Quirk::count_mismatch);
  }
  observe_sequence(m, content_of(m));
  return true;
}

}  // namespace weir::decode
