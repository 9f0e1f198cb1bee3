// fused_run.h — A form run over the records of one set: the kernels.
//
// Runs on:  rx_lcore. Pure.
// Bounds:   loads nothing outside the records, the form and the prefix; writes at most kFlatRecordOctetsMax octets
//           beside the prefix a record, and stores up to kStoreSlackOctets beyond what is written.
//
// Both kernels write what the portable encoder writes of the records that the decoder's portable columns read. The
// AVX-512 one leaves a counter beyond 42 bits to the ordinary way, and both whatever takes a look at several
// fields: times that are not plausible, ICMP in the ports, IPv6 addresses that hold IPv4 ones, an EtherType that is
// neither.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/byte_order.h"
#include "export/encode_parts.h"
#include "fuse/fused_form.h"

namespace weir::fuse {

/// What all records of a set share.
struct FusedRun {
  FusedRun(const FusedForm& f, std::span<const uint8_t> p, const decode::TimeBase& times) noexcept
      : form(f),
        prefix(p),
        export_ns(times.export_ns),
        uptime_ms(times.uptime_ms),
        window_begin_ns(times.window_begin_ns()),
        window_span_ns(times.window_span_ns()) {}

  const FusedForm& form;
  std::span<const uint8_t> prefix;  // in whole 64 octets of memory
  uint64_t export_ns;
  uint32_t uptime_ms;
  uint64_t window_begin_ns;
  uint64_t window_span_ns;
  uint64_t sampler = 0;      // whose rate is shared, where records name one
  bool has_sampler = false;  // there is one yet
  bool records_say_rate = false;  // else what they say is 0, where they may say one
  outbound::parts::FrameGuess guess;
  const uint8_t* plain_end = nullptr;  // records before it are count_plain's
  // The lanes that are no field's, as the kernels want them: their octets, or their values.
  struct Piece {
    uint8_t octets[15];
    uint8_t length;
  };
  Piece pieces[kSharedPieces];
  alignas(64) uint64_t shared[kLaneSets][kLanesMax];

  /// Which of both, the other is left as it is.
  void share(const uint64_t (&values)[kSharedPieces], Kernel kernel) noexcept;
};

struct Progress {
  uint32_t records;    // that were written
  uint8_t* end;        // behind them
  bool is_stopped;     // the next record is for the ordinary way
};

/// Writes records until `count` are done, which count_plain let pass, the next would begin behind `last`, or one is not
/// for a form.
Progress run_portable(FusedRun& run, const uint8_t* records, uint32_t count, uint8_t* out,
                      const uint8_t* last) noexcept;
#if defined(__x86_64__)
Progress run_avx512_vbmi2(FusedRun& run, const uint8_t* records, uint32_t count, uint8_t* out,
                          const uint8_t* last) noexcept;
#endif

inline constexpr uint8_t kIcmpv6 = 58;
inline bool is_icmp(uint32_t proto) noexcept { return proto == 1 || proto == kIcmpv6; }

/// Whether a record of ICMP says type and code where most do (decode::move_icmp_out_of_ports): else it takes a look
/// at what the ports hold.
WEIR_INLINE bool is_plain_icmp(const FusedForm& form, const uint8_t* record, uint8_t proto) noexcept {
  const uint8_t* const port = record + form.dst_port_offset;
  const bool has_port = (port[0] | port[1]) != 0;
  if (form.icmp == IcmpForm::in_port) {
    const uint8_t* const other = record + form.src_port_offset;
    if (!has_port) return (other[0] | other[1]) == 0;
    return proto != kIcmpv6 || port[0] != 0;
  }
  if (form.icmp != IcmpForm::named) return false;
  return !has_port || (record[form.type_offset] | record[form.code_offset]) != 0;
}

WEIR_INLINE uint64_t sampler_of(const FusedForm& form, const uint8_t* record) noexcept {
  return load_be(record + form.sampler_offset, form.sampler_width);
}
WEIR_INLINE bool has_other_sampler(const FusedRun& run, const uint8_t* record) noexcept {
  return run.form.sampler_width != 0 && (!run.has_sampler || sampler_of(run.form, record) != run.sampler);
}

/// Whether what a record says of its sampling rate is what the run takes it to say.
WEIR_INLINE bool has_other_rate(const FusedRun& run, const uint8_t* record) noexcept {
  const FusedForm& form = run.form;
  if (has_other_sampler(run, record)) return true;
  if (form.rate_width == 0) return false;
  const uint64_t said = load_be(record + form.rate_offset, form.rate_width);
  return run.records_say_rate ? said - 1 >= decode::kRatePlausibleMax : said != 0;
}

inline constexpr size_t kUnknownFamily = SIZE_MAX;

/// Where the protocol chunks of a record's IP version begin.
WEIR_INLINE size_t first_chunk_of(const FusedForm& form, const uint8_t* record) noexcept {
  switch (form.family) {
    case FamilyForm::ipv4: return 0;
    case FamilyForm::ipv6: return 256;
    case FamilyForm::by_version: {
      const uint8_t version = record[form.family_offset];
      return version == 4 ? 0 : version == 6 ? 256 : kUnknownFamily;
    }
    case FamilyForm::by_etype: {
      uint16_t type;
      std::memcpy(&type, record + form.family_offset, sizeof type);
      constexpr uint16_t kIpv4 = 0x0008, kIpv6 = 0xdd86;  // as they lie in memory
      return type == kIpv4 ? 0 : type == kIpv6 ? 256 : kUnknownFamily;
    }
  }
  return kUnknownFamily;
}

/// The chunks by protocol of the IP version that all records have; null where they say it themselves, or no protocol.
WEIR_INLINE const outbound::parts::ProtocolChunk* protocols_of_all(const FusedForm& form) noexcept {
  if (!form.has_proto || (form.family != FamilyForm::ipv4 && form.family != FamilyForm::ipv6)) return nullptr;
  return &outbound::parts::kProtocolChunks.by_family_and_number[first_chunk_of(form, nullptr)];
}

/// The EtherType alone, as a tag of two octets and a varint of two or three: IPv4's, IPv6's.
inline constexpr outbound::parts::ProtocolChunk kFamilyChunks[2] = {{{0xf0, 0x01, 0x80, 0x10}, 4},
                                                                    {{0xf0, 0x01, 0xdd, 0x8d, 0x02}, 5}};

/// The chunk of EtherType, protocol and name; null where the record is not for a form. `protocols` is
/// protocols_of_all's.
WEIR_INLINE const outbound::parts::ProtocolChunk* find_family(
    const FusedForm& form, const outbound::parts::ProtocolChunk* protocols, const uint8_t* record,
    LaneSet& set) noexcept {
  set = kPorts;
  if (protocols == nullptr) {
    const size_t first = first_chunk_of(form, record);
    if (first == kUnknownFamily) [[unlikely]] {
      return nullptr;
    }
    if (!form.has_proto) return &kFamilyChunks[first == 0 ? 0 : 1];
    protocols = &outbound::parts::kProtocolChunks.by_family_and_number[first];
  }
  const uint8_t proto = record[form.proto_offset];
  if (is_icmp(proto)) [[unlikely]] {
    if (!is_plain_icmp(form, record, proto)) return nullptr;
    set = kIcmp;
  }
  return protocols + proto;
}

WEIR_INLINE uint8_t* put_family(uint8_t* p, const outbound::parts::ProtocolChunk& chunk) noexcept {
  std::memcpy(p, &chunk, 32);
  return p + chunk.length;
}

/// Whether an address of 16 octets holds an IPv4 one, which is written as four.
WEIR_INLINE bool is_mapped(const uint8_t* address) noexcept {
  uint64_t high;
  uint32_t middle;
  std::memcpy(&high, address, sizeof high);
  std::memcpy(&middle, address + 8, sizeof middle);
  return (high | (middle ^ 0xffff0000u)) == 0;
}

/// How many records there are before one that takes a look at several fields beside times and protocol. PERF: looked for
/// beforehand, since few forms can have any, and the kernels need their registers.
/// Each record is looked at once, however often the kernel is asked again before it.
inline uint32_t count_plain(FusedRun& run, const uint8_t* records, uint32_t count) noexcept {
  const FusedForm& form = run.form;
  const bool has_rates = (form.rate_width | form.sampler_width) != 0;
  if (form.v6_count == 0 && !has_rates) return count;
  if (records < run.plain_end) {
    return std::min(count, static_cast<uint32_t>(run.plain_end - records) / form.record_octets);
  }
  uint32_t n = 0;
  for (const uint8_t* r = records; n < count; ++n, r += form.record_octets) {
    bool is_odd = has_rates && has_other_rate(run, r);
    for (size_t i = 0; i < form.v6_count; ++i) is_odd |= is_mapped(r + form.v6_offsets[i]);
    if (is_odd) break;
  }
  run.plain_end = records + size_t{n} * form.record_octets;
  return n;
}

}  // namespace weir::fuse
