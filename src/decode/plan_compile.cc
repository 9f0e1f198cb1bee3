#include <algorithm>
#include <array>
#include <cstddef>

#include "decode/plan.h"
#include "decode/plan_columns.h"
#include "decode/plan_fuse.h"
#include "decode/plan_times.h"
#include "decode/plan_writer.h"

namespace weir::decode {
namespace {

constexpr uint16_t kNoField = 0xffff;
constexpr uint16_t kSelectionSequenceId = 301;

// nProbe, told by its own elements, counts the other direction in 23 and 24.
constexpr ElementUse kOtherDirectionBytes{Field::bytes_in, 3, ElementClass::number};
constexpr ElementUse kOtherDirectionPackets{Field::packets_in, 3, ElementClass::number};

bool is_text(ElementClass c) noexcept {
  return c == ElementClass::octets || c == ElementClass::text;
}

bool is_address(ElementClass c) noexcept {
  return c == ElementClass::address_v4 || c == ElementClass::address_v6;
}

OpKind number_op(uint8_t column_octets, uint16_t width) noexcept {
  if (column_octets == 8) {
    switch (width) {
      case 1: return OpKind::u8_to_u64;
      case 2: return OpKind::u16_to_u64;
      case 4: return OpKind::u32_to_u64;
      case 8: return OpKind::u64_to_u64;
      default: return OpKind::any_to_u64;
    }
  }
  if (column_octets == 2) return width == 1 ? OpKind::u8_to_u16 : OpKind::any_to_u16;
  switch (width) {
    case 1: return OpKind::u8_to_u32;
    case 2: return OpKind::u16_to_u32;
    case 4: return OpKind::u32_to_u32;
    default: return OpKind::any_to_u32;
  }
}

/// One pass over a template's fields finds who fills each column, a second writes the plan.
class Compiler {
 public:
  Compiler(std::span<const FieldSpec> fields, bool netflow_v9, PlanDraft& draft,
           CompileQuirks& quirks) noexcept
      : fields_(fields),
        netflow_v9_(netflow_v9),
        draft_(draft),
        plan_(draft.plan),
        quirks_(quirks),
        writer_(fields, draft),
        times_(writer_) {
    winner_.fill({kNoField, 0xff});
    winner_v4_.fill(kNoField);
    winner_v6_.fill(kNoField);
    second_.fill(kNoField);
  }

  void run() noexcept {
    plan_ = Plan{};
    plan_.fields = fields_;
    draft_.op_count = draft_.move_count = draft_.arena_op_count = 0;
    measure();
    choose();
    plan_.metered_if = won(Field::in_if) || (won(Field::out_if) && won(Field::flow_direction));
    directional_ = won(Field::bytes_in) || won(Field::packets_in) || initiator_;
    uint32_t offset = 0;
    for (uint32_t i = 0; i < fields_.size(); ++i) {
      emit(static_cast<uint16_t>(i), offset);
      if (fields_[i].length != kVariableLength) offset += fields_[i].length;
    }
    emit_etype();
    times_.finish();
    finish();
  }

 private:
  struct Winner {
    uint16_t field;
    uint8_t rank;
  };

  std::span<const ElementUse> uses(const FieldSpec& f) const noexcept {
    if (nprobe_ && f.enterprise == 0 && f.id == 23) return {&kOtherDirectionBytes, 1};
    if (nprobe_ && f.enterprise == 0 && f.id == 24) return {&kOtherDirectionPackets, 1};
    return uses_of(f.enterprise, f.id, netflow_v9_);
  }
  bool won(Field f) const noexcept { return winner_[static_cast<size_t>(f)].field != kNoField; }
  bool fits(ElementClass c, uint16_t i) const noexcept {
    return fields_[i].length == kVariableLength ? is_text(c) : width_fits(c, fields_[i].length);
  }

  void measure() noexcept {
    for (const FieldSpec& f : fields_) {
      nprobe_ = nprobe_ || f.enterprise == kNtop || (netflow_v9_ && is_ntop_v9(f.id));
      if (f.length == kVariableLength) {
        if (plan_.fixed_length) {
          plan_.first_variable = {static_cast<uint32_t>(&f - fields_.data()), plan_.record_octets};
        }
        plan_.fixed_length = false;
        plan_.record_octets += 1;
        ++quirks_.variable_length;
      } else {
        plan_.record_octets += f.length;
      }
    }
  }

  void choose() noexcept {
    for (uint32_t n = 0; n < fields_.size(); ++n) {
      const auto i = static_cast<uint16_t>(n);
      const FieldSpec& f = fields_[i];
      if (f.length == 0) {
        ++quirks_.zero_length_field;
        continue;
      }
      if (f.enterprise == 0 && f.id == 231) initiator_ = true;
      for (const ElementUse& use : uses(f)) {
        if (!fits(use.kind, i)) {
          ++quirks_.odd_width;
          break;
        }
        const auto slot = static_cast<size_t>(use.field);
        if (is_address(use.kind)) {
          uint16_t& w = use.kind == ElementClass::address_v4 ? winner_v4_[slot] : winner_v6_[slot];
          if (w == kNoField) {
            w = i;
          } else {
            ++quirks_.repeated_element;
            if (second_[slot] == kNoField) second_[slot] = i;
          }
          continue;
        }
        // A stack is not a choice, but an element of it counts once.
        if (use.kind == ElementClass::mpls_label) {
          if (mpls_[use.rank] == kNoField) {
            mpls_[use.rank] = i;
          } else {
            ++quirks_.repeated_element;
          }
          continue;
        }
        Winner& w = winner_[slot];
        if (use.rank < w.rank) {
          w = {i, use.rank};
        } else if (use.rank == w.rank) {
          ++quirks_.repeated_element;
          if (second_[slot] == kNoField) second_[slot] = i;
        }
      }
    }
  }

  void emit(uint16_t i, uint32_t offset) noexcept {
    const FieldSpec& f = fields_[i];
    if (f.length == 0 || (f.enterprise == 0 && f.id == kPaddingOctets)) return;
    if (f.enterprise == 0 && f.id == kIpVersion && f.length == 1) {
      ip_version_ = {i, offset};
      return;  // said by etype
    }
    note_section_fact(f, i, offset);
    if (structure_order(f.enterprise, f.id) != 0) {
      writer_.add_arena(ArenaOpKind::structure, i, offset, Field::unmapped);
      return;
    }
    const TimeUse time = time_use_of(f.enterprise, f.id);
    if (time.role != TimeRole::none && times_.add(time, i, offset, quirks_)) return;
    bool used = false;
    for (const ElementUse& use : uses(f)) {
      if (fits(use.kind, i)) used |= emit_use(use, i, offset);
    }
    if (used) return;
    // How wide a number or an address of variable length is, each record says.
    const bool by_record =
        f.length == kVariableLength && !uses(f).empty() && !is_text(uses(f).front().kind);
    writer_.add_arena(by_record ? ArenaOpKind::structure : ArenaOpKind::unmapped, i, offset,
                      Field::unmapped);
  }

  /// Found here once, not for each section of each record: a template may have thousands of either.
  void note_section_fact(const FieldSpec& f, uint16_t i, uint32_t offset) noexcept {
    if (f.enterprise != 0 || f.length > 8) return;
    SectionFact* const fact = f.id == element::kSectionOffset ? &plan_.section_offset
                              : f.id == element::kLayer2PacketSectionOffset
                                  ? &plan_.layer2_section_offset
                              : f.id == element::kDataLinkFrameType ? &plan_.frame_type
                                                                    : nullptr;
    if (fact != nullptr && fact->width == 0) *fact = {offset, i, f.length};
  }

  bool emit_use(const ElementUse& use, uint16_t i, uint32_t offset) noexcept {
    const auto slot = static_cast<size_t>(use.field);
    const uint16_t width = fields_[i].length;
    switch (use.kind) {
      case ElementClass::address_v4:
      case ElementClass::address_v6: return emit_address(use, i, offset);
      case ElementClass::mpls_label:
        if (mpls_[use.rank] != i) return false;
        writer_.add_arena(ArenaOpKind::mpls_label, i, offset, use.field);
        return true;
      default: break;
    }
    if (winner_[slot].field != i) {
      if (second_[slot] == i && emit_inner(use.field, i, offset)) return true;
      if (use.kind != ElementClass::merge && use.kind != ElementClass::type_code) return false;
      if (winner_[slot].rank == use.rank) return false;  // repeated
      if (merge_ops_ + 2 > kMergeOpsMax) return false;   // whoever repeats it so often keeps it raw
      merge_ops_ += use.kind == ElementClass::type_code ? 2 : 1;
      if (use.kind == ElementClass::type_code) {
        writer_.add_op(OpKind::merge_to_u32, i, offset, 1, Field::icmp_type, width - 2u);
        writer_.add_op(OpKind::merge_to_u32, i, offset, 1, Field::icmp_code, width - 1u);
      } else {
        writer_.add_op(OpKind::merge_to_u32, i, offset, width, use.field);
      }
      return true;
    }
    switch (use.kind) {
      case ElementClass::number:
      case ElementClass::merge: emit_number(use.field, i, offset, width); break;
      case ElementClass::dscp:
        writer_.add_op(OpKind::dscp_to_u32, i, offset, width, use.field);
        break;
      case ElementClass::type_code:
        writer_.add_op(OpKind::u8_to_u32, i, offset, 1, Field::icmp_type, width - 2u);
        writer_.add_op(OpKind::u8_to_u32, i, offset, 1, Field::icmp_code, width - 1u);
        break;
      case ElementClass::mac:
        writer_.add_op(width == 6 ? OpKind::mac6 : OpKind::mac8, i, offset, width, use.field);
        break;
      case ElementClass::octets:
        writer_.add_arena(ArenaOpKind::octets, i, offset, use.field);
        break;
      case ElementClass::text: writer_.add_arena(ArenaOpKind::text, i, offset, use.field); break;
      case ElementClass::mpls_ttl:
        writer_.add_arena(ArenaOpKind::mpls_ttl, i, offset, use.field);
        break;
      case ElementClass::mpls_ip_v4:
      case ElementClass::mpls_ip_v6:
        writer_.add_arena(ArenaOpKind::mpls_ip, i, offset, use.field);
        break;
      default: break;
    }
    return true;
  }

  void emit_number(Field field, uint16_t i, uint32_t offset, uint16_t width) noexcept {
    writer_.add_op(number_op(column_of(field).octets, width), i, offset, width, field);
    // Where the exporter tells directions apart, the forward one is `out`.
    if (directional_ && (field == Field::bytes || field == Field::packets)) {
      const Field out = field == Field::bytes ? Field::bytes_out : Field::packets_out;
      writer_.add_op(number_op(8, width), i, offset, width, out);
    }
    if (field == Field::sampling_rate) plan_.record_rate = true;
    if (field == Field::sampler_id) {
      plan_.sampler =
          fields_[i].id == kSelectionSequenceId ? SamplerKind::sequence : SamplerKind::sampler;
    }
    if (field == Field::proto) plan_.has_proto = true;
  }

  bool has_both_families() const noexcept {
    const auto src = static_cast<size_t>(Field::src_addr);
    return winner_v4_[src] != kNoField && winner_v6_[src] != kNoField;
  }
  bool has_both_addresses_twice() const noexcept {
    return second_[static_cast<size_t>(Field::src_addr)] != kNoField &&
           second_[static_cast<size_t>(Field::dst_addr)] != kNoField && !has_both_families();
  }

  /// With addresses of both families, or both addresses twice, a packet travels inside another (IOS-XR
  /// on SRv6), and what comes a second time is the inner one's.
  bool emit_inner(Field field, uint16_t i, uint32_t offset) noexcept {
    if (!has_both_families() && !has_both_addresses_twice()) return false;
    switch (field) {
      case Field::proto: field = Field::inner_proto; break;
      case Field::src_port: field = Field::inner_src_port; break;
      case Field::dst_port: field = Field::inner_dst_port; break;
      default: return false;
    }
    writer_.add_op(number_op(4, fields_[i].length), i, offset, fields_[i].length, field);
    return true;
  }

  bool emit_address(const ElementUse& use, uint16_t i, uint32_t offset) noexcept {
    const auto slot = static_cast<size_t>(use.field);
    const uint16_t v4 = winner_v4_[slot];
    const uint16_t v6 = winner_v6_[slot];
    if (i != v4 && i != v6) {
      if (second_[slot] != i || !has_both_addresses_twice()) return false;
      if (use.field != Field::src_addr && use.field != Field::dst_addr) return false;
      writer_.add_op(use.kind == ElementClass::address_v4 ? OpKind::address_v4 : OpKind::address_v6,
                     i, offset, fields_[i].length,
                     use.field == Field::src_addr ? Field::inner_src_addr : Field::inner_dst_addr);
      return true;
    }
    if (v4 == kNoField || v6 == kNoField) {
      writer_.add_op(i == v4 ? OpKind::address_v4 : OpKind::address_v6, i, offset,
                     fields_[i].length, use.field);
      return true;
    }
    uint32_t d = 0;
    const uint16_t destination = column_of(use.field).offset;
    while (d < plan_.dual_count && plan_.duals[d].destination != destination) ++d;
    if (d == kDualAddressesMax) return false;
    DualAddress& dual = plan_.duals[d];
    if (d == plan_.dual_count) {
      dual = {0, 0, v4, v6, destination};
      ++plan_.dual_count;
    }
    (i == v4 ? dual.offset_v4 : dual.offset_v6) = offset;
    writer_.mark(use.field);
    // The flow's other pair goes to the inner addresses, any other to the elements without column.
    if (use.field != Field::src_addr && use.field != Field::dst_addr) {
      writer_.add_arena(i == v4 ? ArenaOpKind::unmapped_v4_loser : ArenaOpKind::unmapped_v6_loser,
                        i, offset, Field::unmapped);
    }
    return true;
  }

  void emit_etype() noexcept {
    if (won(Field::etype)) return;
    const auto src = static_cast<size_t>(Field::src_addr);
    const auto dst = static_cast<size_t>(Field::dst_addr);
    const bool v4 = winner_v4_[src] != kNoField || winner_v4_[dst] != kNoField;
    const bool v6 = winner_v6_[src] != kNoField || winner_v6_[dst] != kNoField;
    if (v4 != v6) {
      plan_.etype = v4 ? 0x0800 : 0x86dd;
    } else if (ip_version_.field != kNoField) {
      writer_.add_op(OpKind::ip_version_to_etype, ip_version_.field, ip_version_.offset, 1,
                     Field::etype);
    }
    if (v4 || v6) plan_.present.set(Field::etype);
  }

  void finish() noexcept {
    plan_.blocks |= block::kSecond;  // where times and rates came from
    const bool icmp_named = won(Field::icmp_type);
    plan_.icmp_in_port = plan_.has_proto && !icmp_named;
    plan_.row_work = draft_.arena_op_count != 0 || plan_.dual_count != 0;
    // Unmapped elements follow one another, whatever lies between them in the template; a stack of
    // labels is in its own order, as are lists and sections.
    const auto key = [](const ArenaOp& o) {
      const auto group = uint64_t{static_cast<uint8_t>(std::min(o.kind, ArenaOpKind::unmapped))};
      uint32_t order = 0;
      if (o.kind == ArenaOpKind::mpls_label) order = o.id;
      if (o.kind == ArenaOpKind::structure) order = structure_order(o.enterprise, o.id);
      return group << 48 | uint64_t{order} << 16 | o.field;
    };
    std::sort(draft_.arena_ops.begin(), draft_.arena_ops.begin() + draft_.arena_op_count,
              [&key](const ArenaOp& a, const ArenaOp& b) { return key(a) < key(b); });
    plan_.ops = {draft_.ops, draft_.op_count};
    plan_.arena_ops = draft_.arena_ops.first(draft_.arena_op_count);
    if (plan_.fixed_length) {
      plan_.arena_octets_max = arena_octets_bound(plan_, plan_.record_octets);
    }
  }

  struct Place {
    uint16_t field = kNoField;
    uint32_t offset = 0;
  };

  std::span<const FieldSpec> fields_;
  const bool netflow_v9_;
  PlanDraft& draft_;
  uint32_t merge_ops_ = 0;
  Plan& plan_;
  CompileQuirks& quirks_;
  PlanWriter writer_;
  PlanTimes times_;
  bool directional_ = false;
  bool initiator_ = false;
  bool nprobe_ = false;
  Place ip_version_;
  std::array<Winner, kFields> winner_;
  std::array<uint16_t, kFields> winner_v4_;
  std::array<uint16_t, kFields> winner_v6_;
  std::array<uint16_t, kFields> second_;  // the next that says the same
  uint16_t mpls_[kMplsLabelsMax] = {kNoField, kNoField, kNoField, kNoField, kNoField,
                                    kNoField, kNoField, kNoField, kNoField, kNoField};
};

}  // namespace

void compile_plan(std::span<const FieldSpec> fields, bool netflow_v9, PlanDraft& draft,
                  CompileQuirks& quirks) noexcept {
  Compiler(fields, netflow_v9, draft, quirks).run();
  fuse_plan(draft);
}

}  // namespace weir::decode
