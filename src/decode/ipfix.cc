// ipfix.cc — The header of an IPFIX Message.
//
// Spec:     RFC 7011 §3.1.
#include "base/byte_order.h"
#include "decode/decoder_state.h"
#include "decode/message_framer.h"

namespace weir::decode {
namespace {

// 0 version   2 length   4 export time (s)   8 sequence (data records)   12 observation domain id
constexpr uint32_t kHeaderOctets = kIpfixHeaderOctets;

}  // namespace

bool DecoderState::decode_ipfix(const Datagram& d, RecordSink& sink) noexcept {
  const uint8_t* h = d.payload.data();
  if (d.payload.size() < kHeaderOctets) return reject(d, DatagramError::truncated_header);
  const uint32_t length = load_be16(h + 2);
  if (length < kHeaderOctets) return reject(d, DatagramError::bad_length);
  Message m(Protocol::ipfix);
  m.header.sequence_num = load_be32(h + 8);
  m.header.observation_domain_id = load_be32(h + 12);
  if (!begin(d, 10, m.header.observation_domain_id, m)) return false;
  m.times.export_ns = load_be32(h + 4) * kNsPerSec;
  observe_clock(m);
  set_system_init(m);

  // What is there is decoded, whatever the length says: a set that was cut off is counted as such.
  std::span<const uint8_t> message = d.payload;
  if (message.size() < length) {
    quirks_.note(Quirk::count_mismatch);
  } else if (message.size() > length) {
    const auto rest = message.subspan(length);
    quirks_.note(all_octets_zero(rest) ? Quirk::zero_filled_tail : Quirk::trailing_octets);
    message = message.first(length);
  }
  burst_.begin(sink, m.header, d.listener, d.payload.data());
  walk_sets(m, message.subspan(kHeaderOctets), sink);
  burst_.flush();
  // Options data counts, templates do not; records that wait cannot be counted yet.
  observe_sequence(m, content_of(m));
  return true;
}

void DecoderState::set_system_init(Message& m) const noexcept {
  if (m.protocol != Protocol::ipfix) return;
  if (m.domain->has_system_init) {
    m.times.set_system_init(m.domain->system_init_ms);
  } else if (m.exporter->has_system_init) {
    m.times.set_system_init(m.exporter->system_init_ms);
  }
}

}  // namespace weir::decode
