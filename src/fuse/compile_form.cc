#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "decode/structured_data.h"
#include "export/encode_parts.h"
#include "fuse/chunk_writer.h"
#include "fuse/fused_form.h"

namespace weir::fuse {
namespace {

using decode::FuseVerdict;
using decode::Op;
using decode::OpKind;
using outbound::wire::tag;
using outbound::wire::WireType;

/// A column of integers, in the encoder's order.
struct Column {
  uint16_t destination;
  uint8_t octets;
  Tag tag;
};

#define WEIR_COLUMN_(member, number) \
  {offsetof(FlowRecord, member), sizeof(FlowRecord::member), tag(number, WireType::varint)},
constexpr Column kColumns[] = {WEIR_BLOCK_COUNTERS(WEIR_COLUMN_) WEIR_BLOCK_BASIC(WEIR_COLUMN_)
                                   WEIR_BLOCK_SECOND(WEIR_COLUMN_) WEIR_BLOCK_HEADERS(WEIR_COLUMN_)
                                       WEIR_BLOCK_CONTEXT(WEIR_COLUMN_) WEIR_BLOCK_NAT(WEIR_COLUMN_)
                                           WEIR_BLOCK_RARE(WEIR_COLUMN_)};
constexpr Column kMacColumns[] = {
    {offsetof(FlowRecord, src_mac), 8, tag(27, WireType::varint)},
    {offsetof(FlowRecord, dst_mac), 8, tag(28, WireType::varint)},
};
#undef WEIR_COLUMN_
static_assert(std::size(kColumns) <= kLanesMax);
static_assert(outbound::parts::kAddressTags.size() == kAddressesMax);

bool is_plain_number(const Op& op) noexcept {
  switch (op.kind) {
    case OpKind::u8_to_u32:
    case OpKind::u16_to_u32:
    case OpKind::u32_to_u32:
    case OpKind::u8_to_u64:
    case OpKind::u16_to_u64:
    case OpKind::u32_to_u64:
    case OpKind::u64_to_u64: return true;
    case OpKind::any_to_u32: return op.width <= 4;
    case OpKind::any_to_u64: return op.width <= 8;
    default: return false;
  }
}

class FormCompiler {
 public:
  explicit FormCompiler(const decode::Plan& plan) noexcept : plan_(plan) {}

  FuseVerdict run() noexcept {
    if (!plan_.fixed_length) return FuseVerdict::variable_length;
    if (plan_.record_octets > kFusedRecordOctetsMax) return FuseVerdict::record_too_long;
    if (plan_.dual_count != 0) return FuseVerdict::both_address_families;
    form.record_octets = plan_.record_octets;
    for (const auto stage : {&FormCompiler::add_times, &FormCompiler::add_family, &FormCompiler::add_lanes,
                             &FormCompiler::add_macs, &FormCompiler::add_tail}) {
      if (const FuseVerdict v = (this->*stage)(); v != FuseVerdict::fused) return v;
    }
    add_addresses();
    return form.unmapped_octets != 0 ? FuseVerdict::fused_with_elements : FuseVerdict::fused;
  }

  FusedForm form{};
  Lane lanes[kLaneSets][kLanesMax]{};
  Chunk tail[kTailChunksMax]{};
  TailMove tail_moves[kTailElementsMax]{};

  std::span<const Lane> lanes_of(LaneSet set) const noexcept {
    return {lanes[set], form.shared[set].count};
  }

 private:
  /// The only operation that fills a column; null where there is none.
  const Op* op_of(size_t destination, FuseVerdict& verdict) const noexcept {
    const Op* found = nullptr;
    for (const Op& op : plan_.ops) {
      if (op.destination != destination) continue;
      if (found != nullptr) verdict = FuseVerdict::column_filled_twice;
      found = &op;
    }
    return found;
  }

  FuseVerdict add_times() noexcept {
    FuseVerdict verdict = FuseVerdict::fused;
    if (!plan_.fast_times) {
      const bool none = plan_.start_count == 0 && plan_.end_count == 0;
      form.times = TimesForm::shared;
      return none ? verdict : FuseVerdict::times_to_choose;
    }
    const Op* start = op_of(offsetof(FlowRecord, time_flow_start_ns), verdict);
    const Op* end = op_of(offsetof(FlowRecord, time_flow_end_ns), verdict);
    if (start == nullptr || end == nullptr) return FuseVerdict::times_to_choose;
    form.start_offset = static_cast<uint16_t>(start->offset);
    form.end_offset = static_cast<uint16_t>(end->offset);
    form.time_source = static_cast<uint8_t>(plan_.time_source);
    switch (plan_.time_source) {
      case TimeSource::uptime: form.times = TimesForm::uptime; break;
      case TimeSource::milliseconds: form.times = TimesForm::milliseconds; break;
      case TimeSource::seconds: form.times = TimesForm::seconds; break;
      default: return FuseVerdict::times_to_choose;
    }
    return verdict;
  }

  FuseVerdict add_family() noexcept {
    FuseVerdict verdict = FuseVerdict::fused;
    if (const Op* etype = op_of(offsetof(FlowRecord, etype), verdict); etype != nullptr) {
      if (etype->kind == OpKind::ip_version_to_etype) {
        form.family = FamilyForm::by_version;
      } else if (etype->kind == OpKind::u16_to_u32) {
        form.family = FamilyForm::by_etype;
      } else {
        return FuseVerdict::unusual_width;
      }
      form.family_offset = static_cast<uint16_t>(etype->offset);
    } else if (plan_.etype == outbound::parts::kEtypeIpv4) {
      form.family = FamilyForm::ipv4;
    } else if (plan_.etype == outbound::parts::kEtypeIpv6) {
      form.family = FamilyForm::ipv6;
    } else {
      return FuseVerdict::no_ip_version;
    }
    if (const Op* proto = op_of(offsetof(FlowRecord, proto), verdict); proto != nullptr) {
      if (proto->kind != OpKind::u8_to_u16) return FuseVerdict::unusual_width;
      form.has_proto = true;
      form.proto_offset = static_cast<uint16_t>(proto->offset);
    }
    return verdict;
  }

  FuseVerdict add_lanes() noexcept {
    FuseVerdict verdict = FuseVerdict::fused;
    choose_icmp(verdict);
    add_lanes(kPorts, verdict);
    if (verdict == FuseVerdict::fused && form.icmp != IcmpForm::odd) add_lanes(kIcmp, verdict);
    return verdict;
  }

  static bool has_octets(const Op* op, uint16_t width) noexcept {
    return op != nullptr && op->width == width && is_plain_number(*op);
  }

  /// What becomes of ports that say type and code, see decode::move_icmp_out_of_ports.
  void choose_icmp(FuseVerdict& verdict) noexcept {
    const Op* const src = op_of(offsetof(FlowRecord, src_port), verdict);
    const Op* const dst = op_of(offsetof(FlowRecord, dst_port), verdict);
    if (!form.has_proto || !has_octets(src, 2) || !has_octets(dst, 2)) return;
    form.src_port_offset = static_cast<uint16_t>(src->offset);
    form.dst_port_offset = static_cast<uint16_t>(dst->offset);
    const Op* const type = op_of(offsetof(FlowRecord, icmp_type), verdict);
    const Op* const code = op_of(offsetof(FlowRecord, icmp_code), verdict);
    if (type == nullptr && code == nullptr && plan_.icmp_in_port) {
      form.icmp = IcmpForm::in_port;
    } else if (has_octets(type, 1) && has_octets(code, 1) && !plan_.icmp_in_port) {
      form.icmp = IcmpForm::named;
      form.type_offset = static_cast<uint16_t>(type->offset);
      form.code_offset = static_cast<uint16_t>(code->offset);
    }
  }

  /// A column of a record of ICMP. Whether it has one that others have not, or lacks one that they have.
  bool icmp_lane(size_t destination, Lane& lane) const noexcept {
    switch (destination) {
      case offsetof(FlowRecord, src_port):
      case offsetof(FlowRecord, dst_port): return true;
      case offsetof(FlowRecord, icmp_type):
      case offsetof(FlowRecord, icmp_code):
        if (form.icmp != IcmpForm::in_port) return false;
        lane.offset = static_cast<uint16_t>(
            form.dst_port_offset + (destination == offsetof(FlowRecord, icmp_code) ? 1 : 0));
        lane.width = 1;
        return true;
      default: return false;
    }
  }

  void add_lanes(LaneSet set, FuseVerdict& verdict) noexcept {
    SharedLanes& shared = form.shared[set];
    for (const Column& c : kColumns) {
      Lane lane{0, 0, kSharedPieces, c.tag};
      if (set == kIcmp && icmp_lane(c.destination, lane)) {
        if (lane.width == 0) continue;
      } else if (const Op* op = op_of(c.destination, verdict); op != nullptr) {
        if (!is_plain_number(*op)) verdict = FuseVerdict::unusual_width;
        lane.offset = static_cast<uint16_t>(op->offset);
        lane.width = static_cast<uint8_t>(op->width);
        if (c.destination == offsetof(FlowRecord, sampler_id)) {
          form.sampler_width = lane.width;
          form.sampler_offset = lane.offset;
        }
        // A rate of 0 is none: then what is known otherwise is shared.
        if (c.destination == offsetof(FlowRecord, sampling_rate)) {
          shared.at[kRate] = shared.count;
          lane.piece = kRate;
          form.rate_width = lane.width;
          form.rate_offset = lane.offset;
        }
      } else if (const SharedPiece piece = piece_of(c.destination); piece != kSharedPieces) {
        shared.at[piece] = shared.count;
        lane.piece = piece;
      } else {
        continue;
      }
      lanes[set][shared.count++] = lane;
    }
  }

  static SharedPiece piece_of(size_t destination) noexcept {
    switch (destination) {
      case offsetof(FlowRecord, sampling_rate): return kRate;
      case offsetof(FlowRecord, sampling_source): return kRateSource;
      case offsetof(FlowRecord, time_source): return kTimeSource;
      default: return kSharedPieces;
    }
  }

  FuseVerdict add_macs() noexcept {
    FuseVerdict verdict = FuseVerdict::fused;
    for (const Column& c : kMacColumns) {
      const Op* op = op_of(c.destination, verdict);
      if (op == nullptr) continue;
      if (op->kind != OpKind::mac6) return FuseVerdict::unusual_width;
      form.macs[form.mac_count++] = {static_cast<uint16_t>(op->offset), 0, c.tag};
    }
    return verdict;
  }

  /// Elements without a column, as put_arena writes them: each a message of its own.
  FuseVerdict add_tail() noexcept {
    static constexpr Tag kUnmapped = tag(1038, WireType::octets);
    ChunkWriter to(tail);
    size_t kept = 0;
    for (const decode::ArenaOp& op : plan_.arena_ops) {
      if (op.kind != decode::ArenaOpKind::unmapped) return FuseVerdict::texts_or_lists;
      using outbound::wire::varint_octets;
      const size_t length = (op.enterprise != 0 ? 1 + varint_octets(op.enterprise) : 0) +
                            (op.id != 0 ? 1 + varint_octets(op.id) : 0) + 1 +
                            varint_octets(op.width) + op.width;
      kept += decode::kUnmappedHeaderOctets + op.width;
      if (form.tail_move_count == kTailElementsMax || op.width == 0) {
        return FuseVerdict::elements_kept_raw;
      }
      to.fix_tag(kUnmapped);
      to.fix_varint(length);
      if (op.enterprise != 0) {
        to.fix_tag(tag(1, WireType::varint));
        to.fix_varint(op.enterprise);
      }
      if (op.id != 0) {
        to.fix_tag(tag(2, WireType::varint));
        to.fix_varint(op.id);
      }
      to.fix_tag(tag(3, WireType::octets));
      to.fix_varint(op.width);
      tail_moves[form.tail_move_count++] = {static_cast<uint16_t>(op.offset), op.width,
                                            static_cast<uint16_t>(to.octets()), 0};
      to.move(op.offset, op.width);
    }
    if (!to.fits() || kept > kUnmappedOctetsMax) return FuseVerdict::elements_kept_raw;
    form.tail_octets = static_cast<uint16_t>(to.octets());
    form.unmapped_octets = static_cast<uint16_t>(kept);
    form.tail_chunk_count = to.finish();
    return FuseVerdict::fused;
  }

  void add_addresses() noexcept {
    for (size_t i = 0; i < kAddressesMax; ++i) {
      const size_t destination = offsetof(FlowRecord, src_addr) + i * sizeof(IpAddress);
      FuseVerdict unused{};
      const Op* op = op_of(destination, unused);
      if (op == nullptr) continue;
      form.addresses[form.address_count++] = {static_cast<uint16_t>(op->offset),
                                              static_cast<uint16_t>(op->width),
                                              outbound::parts::kAddressTags[i]};
      if (op->width == 16) form.v6_offsets[form.v6_count++] = static_cast<uint16_t>(op->offset);
    }
  }

  const decode::Plan& plan_;
};

LaneBlock block_of(std::span<const Lane> lanes) noexcept {
  LaneBlock b{};
  for (size_t i = 0; i < lanes.size(); ++i) {
    const Lane& lane = lanes[i];
    const bool is_short = lane.tag.length == 1;
    b.tags[i] = static_cast<uint16_t>(is_short ? lane.tag.octets << 8 : lane.tag.octets);
    for (size_t k = 0; k < lane.width; ++k) {
      b.from[8 * i + k] = static_cast<uint8_t>(lane.offset + lane.width - 1u - k);
      b.filled |= uint64_t{1} << (8 * i + k);
    }
  }
  return b;
}

std::span<const Lane> part_of(std::span<const Lane> lanes, size_t block) noexcept {
  const size_t begin = std::min(lanes.size(), block * kBlockLanes);
  return lanes.subspan(begin, std::min(kBlockLanes, lanes.size() - begin));
}

/// The addresses one behind the other, each behind its tag and length.
void add_addresses(const FusedForm& form, ChunkWriter& to) noexcept {
  for (const Address& a : std::span(form.addresses, form.address_count)) {
    to.fix_tag(a.tag);
    to.fix(a.octets);
    to.move(a.offset, a.octets);
  }
}

void cut_times(FusedForm& form) noexcept {
  const size_t width = form.times == TimesForm::milliseconds ? 8 : 4;
  for (size_t lane = 0; lane < 4; ++lane) {
    const size_t offset = lane < 2 ? form.start_offset : form.end_offset;
    for (size_t k = 0; k < width; ++k) {
      form.times_from[8 * lane + k] = static_cast<uint8_t>(offset + width - 1 - k);
      form.times_filled |= uint64_t{1} << (8 * lane + k);
    }
  }
}

template <class T>
void append(uint8_t*& to, const T* items, size_t count) noexcept {
  std::memcpy(to, items, count * sizeof(T));
  to += count * sizeof(T);
}

}  // namespace

size_t compile_form(const decode::Plan& plan, Kernel kernel, std::span<uint8_t, kFormOctetsMax> out,
                    decode::FuseVerdict& verdict) noexcept {
  FormCompiler c(plan);
  verdict = c.run();
  if (verdict != FuseVerdict::fused && verdict != FuseVerdict::fused_with_elements) return 0;
  LaneBlock blocks[kLaneSets][kBlocksMax]{};
  Chunk chunks[kChunksMax]{};
  const std::span<const Lane> most = c.lanes_of(kPorts);
  const std::span<const Lane> icmp = c.lanes_of(kIcmp);
  if (kernel == Kernel::avx512_vbmi2) {
    const size_t lanes = std::max(most.size(), icmp.size());
    c.form.block_count =
        static_cast<uint8_t>(std::max(kBlocksMin, (lanes + kBlockLanes - 1) / kBlockLanes));
    for (size_t i = 0; i < c.form.block_count; ++i) {
      blocks[kPorts][i] = block_of(part_of(most, i));
      blocks[kIcmp][i] = block_of(part_of(icmp, i));
    }
    ChunkWriter addresses(chunks);
    add_addresses(c.form, addresses);
    c.form.chunk_count = std::max<uint8_t>(1, addresses.finish());  // the kernel's least, be it empty
    if (c.form.times != TimesForm::shared) cut_times(c.form);
  }
  uint8_t* to = out.data();
  append(to, &c.form, 1);
  if (kernel == Kernel::portable) {
    append(to, most.data(), most.size());
    append(to, icmp.data(), icmp.size());
    append(to, c.tail_moves, c.form.tail_move_count);
    for (size_t i = 0; i < c.form.tail_chunk_count; ++i) append(to, c.tail[i].fixed, kChunkOctets);
    return static_cast<size_t>(to - out.data());
  }
  append(to, chunks, c.form.chunk_count);
  append(to, c.tail, c.form.tail_chunk_count);
  append(to, blocks[kPorts], c.form.block_count);
  if (!icmp.empty()) append(to, blocks[kIcmp], c.form.block_count);
  return static_cast<size_t>(to - out.data());
}

size_t compile_netflow_v5(Kernel kernel, std::span<uint8_t, kFormOctetsMax> out) noexcept {
  static constexpr uint16_t kPad = 210;  // paddingOctets
  // As netflow_fixed.cc has them, by the numbers of NetFlow v9.
  static constexpr decode::FieldSpec kFields[] = {
      {0, 8, 4},  {0, 12, 4}, {0, 15, 4}, {0, 10, 2}, {0, 14, 2}, {0, 2, 4},  {0, 1, 4},
      {0, 22, 4}, {0, 21, 4}, {0, 7, 2},  {0, 11, 2}, {0, kPad, 1}, {0, 6, 1}, {0, 4, 1},
      {0, 5, 1},  {0, 16, 2}, {0, 17, 2}, {0, 9, 1},  {0, 13, 1}, {0, kPad, 2}};
  decode::ArenaOp arena_ops[std::size(kFields)];
  const std::unique_ptr<decode::PlanDraft> draft(new (std::nothrow) decode::PlanDraft);
  if (draft == nullptr) return 0;
  draft->arena_ops = arena_ops;
  decode::CompileQuirks quirks;
  decode::compile_plan(kFields, true, *draft, quirks);
  FuseVerdict verdict{};
  return compile_form(draft->plan, kernel, out, verdict);
}

}  // namespace weir::fuse
