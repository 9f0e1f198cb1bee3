// sflow_records.cc — Flow samples and discarded packets: their own header, then their flow records.
#include <initializer_list>

#include "decode/sflow_filler.h"

namespace weir::decode {
namespace {

using Octets = std::span<const uint8_t>;

constexpr uint32_t kRecordHeaderOctets = 8;

/// Interfaces: what the two bits above a compact form's value say.
enum class InterfaceFormat : uint32_t { index = 0, discarded = 1, several = 2 };
struct Interface {
  uint32_t format = 0;
  uint32_t value = 0;
};
constexpr uint32_t kInterfaceValueMask = 0x3fff'ffff;

Interface compact_interface(uint32_t word) noexcept {
  return {word >> 30, word & kInterfaceValueMask};
}

/// 0 where the packet came from or went to the device itself, or nobody knows.
uint32_t index_of(const Interface& i) noexcept {
  if (i.format != static_cast<uint32_t>(InterfaceFormat::index)) return 0;
  return i.value == kInterfaceValueMask || i.value == 0xffff'ffff ? 0 : i.value;
}

/// An output interface that is no index is kept as it came, under a type that no flow record has.
constexpr uint32_t kOutputInterface = 0;

/// sFlow's reasons of discarding as RFC 7270 §4.12 numbers them; the first are ICMP's codes of
/// destination unreachable.
uint32_t dropped_status(uint32_t reason) noexcept {
  enum : uint32_t {
    kUnknown = 128,
    kAclDeny = 129,
    kUnroutable = 131,
    kAdjacency = 132,
    kFragmentation = 133,
    kBadTtl = 137,
    kPoliced = 138,
    kRandomEarly = 139,
    kReversePath = 140,
  };
  switch (reason) {
    case 0:
    case 1:
    case 6:
    case 7:
    case 11:
    case 12:
    case 269:  // a route that leads nowhere
    case 281: return kUnroutable;
    case 279:
    case 292: return kAdjacency;
    case 4:
    case 262: return kFragmentation;
    case 9:
    case 10:
    case 13:
    case 258: return kAclDeny;
    case 257: return kBadTtl;
    case 260: return kRandomEarly;
    case 261: return kPoliced;
    case 280:
    case 302: return kReversePath;
    default: return kUnknown;
  }
}
constexpr uint32_t kForwarded = 64;

/// Formats that are known to have no columns; they travel as they came, and are nothing odd.
bool is_without_columns(uint32_t type) noexcept {
  constexpr uint32_t kBroadcomEgressQueue = 4413u << kSflowFormatBits | 1;
  return (type >= 1008 && type <= 1042) || (type >= 2102 && type <= 2209) ||
         type == kBroadcomEgressQueue;
}

/// Places the flow records and keeps those that have no place, or whose place is taken.
/// PERF: by hand, not by XdrReader, which asks before each word (decode_only/sflow_raw_header).
void find_parts(Octets octets, uint32_t promised, const SampleContext& context, SflowFiller& filler,
                SflowParts& parts) noexcept {
  if (promised > kSflowRecordsMax) {
    context.quirks.note(Quirk::count_mismatch);
    promised = kSflowRecordsMax;
  }
  for (; promised != 0 && octets.size() >= kRecordHeaderOctets; --promised) {
    const uint32_t type = load_be32(octets.data());
    const size_t size = load_be32(octets.data() + 4);
    octets = octets.subspan(kRecordHeaderOctets);
    if (size > octets.size()) break;
    const Octets body = octets.first(size);
    octets = octets.subspan(std::min((size + 3) & ~size_t{3}, octets.size()));
    const SflowKind kind = sflow_kind(type);
    if (kind != SflowKind::count_ && parts.add(kind, body)) continue;
    if (kind == SflowKind::count_ && !is_without_columns(type)) {
      context.quirks.note(Quirk::unknown_flow_record);
    }
    filler.keep(type, body);
  }
  if (promised != 0) context.quirks.note(Quirk::truncated_record);
}

constexpr Presence presence_of(std::initializer_list<Field> fields) {
  Presence p;
  for (const Field f : fields) p.set(f);
  return p;
}

/// What every packet has, however it was come by; `r` is all zero.
void begin_packet(const SampleContext& context, const SourceReport& source, FlowRecord& r) {
  static constexpr Presence kAlways =
      presence_of({Field::packets, Field::in_if, Field::out_if, Field::source_id,
                   Field::time_flow_start_ns, Field::time_flow_end_ns});
  r.packets = 1;
  r.time_source = static_cast<uint32_t>(TimeSource::sampled);
  r.time_flow_start_ns = r.time_flow_end_ns = context.received_ns;
  r.source_id = source.source_class << 24 | source.source_index;
  r.blocks = block::kBasic | block::kSecond | block::kRare;
  r.present = kAlways;
}

void set_status(uint32_t status, FlowRecord& r) noexcept {
  r.forwarding_status = status;
  r.blocks |= block::kHeaders;
  r.present.set(Field::forwarding_status);
}

}  // namespace

bool read_flow_sample(Octets sample, SampleForm form, const SampleContext& context,
                      SourceReport& source, FlowRecord& r) noexcept {
  // Sequence, source, rate, pool, drops, input, output, and the number of flow records.
  const bool is_expanded = form == SampleForm::expanded;
  const size_t head_octets = is_expanded ? 44 : 32;
  if (sample.size() < head_octets) return false;
  const uint8_t* const head = sample.data();
  source = peek_source(sample, form);
  const uint8_t* const rates = head + (is_expanded ? 12 : 8);
  const uint32_t rate = load_be32(rates);
  source.pool = load_be32(rates + 4);
  source.drops = load_be32(rates + 8);
  Interface input;
  Interface output;
  Octets output_octets;
  if (is_expanded) {
    input = {load_be32(rates + 12), load_be32(rates + 16)};
    output = {load_be32(rates + 20), load_be32(rates + 24)};
    output_octets = {rates + 20, 8};
  } else {
    input = compact_interface(load_be32(rates + 12));
    output = compact_interface(load_be32(rates + 16));
    output_octets = {rates + 16, 4};
  }
  const uint32_t promised = load_be32(head + head_octets - 4);
  begin_packet(context, source, r);
  r.sampling_rate = rate != 0 ? rate : context.default_rate;
  if (r.sampling_rate != 0) {
    r.sampling_source =
        static_cast<uint32_t>(rate != 0 ? SamplingSource::record : SamplingSource::default_);
  }
  if (rate != 0) r.present.set(Field::sampling_rate);
  r.in_if = index_of(input);
  r.out_if = index_of(output);

  SflowFiller filler(context, r);
  SflowParts parts;
  if (output.format != static_cast<uint32_t>(InterfaceFormat::index)) {
    if (output.format == static_cast<uint32_t>(InterfaceFormat::discarded)) {
      set_status(dropped_status(output.value), r);
    } else if (output.format == static_cast<uint32_t>(InterfaceFormat::several)) {
      set_status(kForwarded, r);
    }
    filler.keep(kOutputInterface, output_octets);
  }
  find_parts(sample.subspan(head_octets), promised, context, filler, parts);
  filler.fill(parts);
  filler.write_kept();
  return true;
}

bool read_discard_sample(Octets sample, const SampleContext& context, SourceReport& source,
                         uint32_t& reason, FlowRecord& r) noexcept {
  if (sample.size() < source_octets(SampleForm::expanded)) return false;
  source = peek_source(sample, SampleForm::expanded);
  XdrReader in(sample.subspan(source_octets(SampleForm::expanded)));
  source.drops = in.u32();
  const Interface input{0, in.u32()};
  const Interface output{0, in.u32()};
  reason = in.u32();
  const uint32_t promised = in.u32();
  if (!in.ok()) return false;

  begin_packet(context, source, r);
  r.in_if = index_of(input);
  r.out_if = index_of(output);
  set_status(dropped_status(reason), r);
  SflowFiller filler(context, r);
  SflowParts parts;
  find_parts(sample.last(in.left()), promised, context, filler, parts);
  filler.fill(parts);
  filler.write_kept();
  return true;
}

}  // namespace weir::decode
