#include "export/encoder.h"

#include <algorithm>

#include "base/utf8.h"
#include "export/encode_parts.h"

namespace weir::outbound {

using wire::put_field;
using wire::put_tag;
using wire::put_varint;
using wire::tag;
using wire::WireType;

// ---- what all records of a datagram share ----

namespace {

uint8_t* put_exact_address(uint8_t* p, uint32_t number, const IpAddress& address) noexcept {
  p = put_tag(p, tag(number, WireType::octets));
  const size_t octets = address.wire_octets();
  *p++ = static_cast<uint8_t>(octets);
  std::memcpy(p, address.wire_data(), octets);
  return p + octets;
}

uint8_t* put_text(uint8_t* p, uint32_t number, std::string_view text) noexcept {
  const size_t octets = std::min(text.size(), kStringOctetsMax);
  if (octets == 0) return p;
  p = put_varint(put_tag(p, tag(number, WireType::octets)), octets);
  std::memcpy(p, text.data(), octets);
  make_utf8(p, octets);
  return p + octets;
}

uint8_t* put_number(uint8_t* p, uint32_t number, uint64_t v) noexcept {
  return put_field(p, tag(number, WireType::varint), v);
}

constexpr size_t kPrefixNumbersOctetsMax = 6 * (wire::kTagOctetsMax + wire::kVarint32OctetsMax) +
                                           wire::kTagOctetsMax + wire::kVarint64OctetsMax;
constexpr size_t kPrefixAddressesOctetsMax = 2 * (wire::kTagOctetsMax + 1 + 16);
constexpr size_t kPrefixTextsOctetsMax = 2 * (wire::kTagOctetsMax + 2 + kStringOctetsMax);
static_assert(kPrefixNumbersOctetsMax + kPrefixAddressesOctetsMax + kPrefixTextsOctetsMax +
                  kStoreSlackOctets <=
              kPrefixOctetsMax);

}  // namespace

HeaderPrefix::HeaderPrefix(const ExportHeader& h) noexcept {
  uint8_t* p = octets_;
  p = put_number(p, 1, static_cast<uint32_t>(h.type));
  p = put_number(p, 110, h.time_received_ns);
  p = put_number(p, 4, h.sequence_num);
  const IpAddress none;
  if (h.sampler_address != none) p = put_exact_address(p, 11, h.sampler_address);
  if (h.exporter_address != none && h.exporter_address != h.sampler_address) {
    p = put_exact_address(p, 1005, h.exporter_address);
  }
  p = put_number(p, 1006, h.exporter_port);
  p = put_number(p, 70, h.observation_domain_id);
  p = put_number(p, 1007, h.engine);
  p = put_number(p, 1020, h.sub_agent_id);
  p = put_text(p, 1035, h.partition);
  p = put_text(p, 1036, h.site);
  length_ = static_cast<uint32_t>(p - octets_);
}

// ---- the parts that are not worth a place in the kernels ----

namespace parts {
namespace {

constexpr ProtocolChunk make_chunk(uint32_t etype, size_t number) {
  ProtocolChunk chunk;
  size_t n = 0;
  const auto put = [&](uint64_t v) {
    while (v >= 0x80) {
      chunk.octets[n++] = static_cast<uint8_t>(v | 0x80);
      v >>= 7;
    }
    chunk.octets[n++] = static_cast<uint8_t>(v);
  };
  put(30 << 3);
  put(etype);
  if (number != 0) {
    put(20 << 3);
    put(number);
  }
  if (const std::string_view name = protocol_name(static_cast<uint8_t>(number)); !name.empty()) {
    put(107 << 3 | 2);
    put(name.size());
    for (const char c : name) chunk.octets[n++] = static_cast<uint8_t>(c);
  }
  chunk.length = static_cast<uint8_t>(n);
  return chunk;
}

constexpr ProtocolChunks make_chunks() {
  ProtocolChunks all{};
  for (size_t i = 0; i < 256; ++i) {
    all.by_family_and_number[i] = make_chunk(kEtypeIpv4, i);
    all.by_family_and_number[256 + i] = make_chunk(kEtypeIpv6, i);
  }
  return all;
}

}  // namespace

constinit const ProtocolChunks kProtocolChunks = make_chunks();

uint8_t* put_protocol_slowly(uint8_t* p, const FlowRecord& r) noexcept {
  p = put_number(p, 30, r.etype);
  p = put_number(p, 20, r.proto);
  if (r.proto > 255 || (r.proto == 0 && !r.present.has(Field::proto))) return p;
  return put_text(p, 107, protocol_name(static_cast<uint8_t>(r.proto)));
}

uint8_t* reframe(uint8_t* frame, size_t reserved, size_t message_octets) noexcept {
  const uint8_t* const message = frame + reserved;
  // PERF: records without ports or AS numbers are often just below 128 octets: two overlapping
  // moves of 64 instead of a call of memmove (with arena_parts tested in line: 13.8 to 12.1 ns,
  // encode_only/netflow_v5).
  if (message_octets >= 64 && message_octets < 128) {
    uint8_t head[64], tail[64];
    std::memcpy(head, message, 64);
    std::memcpy(tail, message + message_octets - 64, 64);
    frame[0] = kFlowsTag;
    frame[1] = static_cast<uint8_t>(message_octets);
    std::memcpy(frame + 2, head, 64);
    std::memcpy(frame + 2 + message_octets - 64, tail, 64);
    return frame + 2 + message_octets;
  }
  const size_t length_octets = wire::varint_octets(message_octets);
  std::memmove(frame + 1 + length_octets, message, message_octets);
  frame[0] = kFlowsTag;
  put_varint(frame + 1, message_octets);
  return frame + 1 + length_octets + message_octets;
}

// ---- the portable kernel: the specification ----

namespace {

template <class Integer>
WEIR_INLINE uint8_t* put_block(uint8_t* p, const Integer* fields, const BlockTags& tags) noexcept {
  for (size_t i = 0; i < kBlockFields; ++i) p = put_field(p, tags.tags[i], fields[i]);
  return p;
}

}  // namespace

size_t encode_portable(std::span<const uint8_t> prefix, std::span<const FlowRecord> records,
                       const uint8_t* arena, uint8_t* out) noexcept {
  uint8_t* p = out;
  FrameGuess guess;
  for (const FlowRecord& r : records) {
    uint8_t* const frame = p;
    p = put_prefix(p + guess.octets, prefix);
    p = put_time(p, kTimeStart, r.time_flow_start_ns);
    p = put_time(p, kTimeEnd, r.time_flow_end_ns);
    p = put_addresses(p, r, r.addresses);
    p = put_protocol(p, r);
    p = put_block(p, &r.bytes, kCounters);
    if ((r.blocks & block::kBasic) != 0) p = put_block(p, &r.src_port, kBasic);
    if ((r.blocks & block::kSecond) != 0) p = put_block(p, &r.src_net, kSecond);
    if ((r.blocks & block::kHeaders) != 0) p = put_block(p, &r.src_vlan, kHeaders);
    if ((r.blocks & block::kContext) != 0) p = put_block(p, &r.next_hop_as, kContext);
    if ((r.blocks & block::kNat) != 0) p = put_block(p, &r.post_nat_dst_port, kNat);
    p = put_rare(p, r);
    p = put_macs(p, r);
    if (r.arena_parts != 0) [[unlikely]] {
      p = put_arena(p, r, arena);
    }
    p = finish_frame(frame, p, guess);
  }
  return static_cast<size_t>(p - out);
}

// The most that a record without arena fields can take.
static_assert(1 + wire::kVarint32OctetsMax                                 // frame
                  + 12 * (wire::kTagOctetsMax + wire::kVarint64OctetsMax)  // counters, times, MACs
                  + 42 * (wire::kTagOctetsMax + wire::kVarint32OctetsMax)  // 32-bit blocks
                  + kAddressTags.size() * (wire::kTagOctetsMax + 1 + 16)   // addresses
                  + 2 * (wire::kTagOctetsMax + wire::kVarint32OctetsMax)   // etype, proto
                  + wire::kTagOctetsMax + 1 + kProtocolNameOctetsMax       // protocol_name
              <= kFlatRecordOctetsMax);

}  // namespace parts

// ---- Encoder ----

Encoder::Encoder(Kernel kernel) noexcept : kernel_(kernel) {}

size_t Encoder::arena_octets_max(const FlowRecord& record) noexcept {
  return parts::arena_octets_max(record);
}

size_t Encoder::encode(const HeaderPrefix& prefix, std::span<const FlowRecord> records,
                       const uint8_t* arena, uint8_t* out) const noexcept {
#if defined(__x86_64__)
  if (kernel_ == Kernel::avx512_vbmi2) {
    return parts::encode_avx512_vbmi2(prefix.octets(), records, arena, out);
  }
#endif
  return parts::encode_portable(prefix.octets(), records, arena, out);
}

}  // namespace weir::outbound
