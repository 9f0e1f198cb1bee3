#include "decode/plan_arena.h"

#include <algorithm>
#include <cstring>

#include "base/byte_order.h"
#include "base/copy_short.h"
#include "decode/plan_parts.h"
#include "decode/structured_data.h"

namespace weir::decode {
namespace {

/// Fills the columns of one record that refer to the arena.
class ArenaWriter {
 public:
  ArenaWriter(const Plan& plan, const Row& row, PlanContext& context, FlowRecord& record) noexcept
      : plan_(plan), row_(row), context_(context), arena_(context.arena), r_(record) {}

  /// Columns, then what fills columns that are still empty, then the rest: unmapped elements lie
  /// one behind the other.
  void run() noexcept {
    std::span<const ArenaOp> ops = plan_.arena_ops;
    while (!ops.empty() && ops.front().kind < ArenaOpKind::structure) {
      fill_column(ops.front());
      ops = ops.subspan(1);
    }
    finish_labels();
    if (!ops.empty() && ops.front().kind == ArenaOpKind::structure) {
      structured(ops);
    } else {
      keep_all(ops);
    }
    if (unmapped_octets_ != 0) {
      r_.unmapped = {unmapped_at_, static_cast<uint16_t>(unmapped_octets_)};
      r_.present.set(Field::unmapped);
      r_.arena_parts |= arena_part::kUnmapped;
    }
  }

 private:
  void overflow() noexcept { context_.quirks.note(Quirk::arena_overflow); }

  void fill_column(const ArenaOp& op) noexcept {
    const uint8_t* p = row_.at(op);
    const uint32_t width = row_.width(op);
    switch (op.kind) {
      case ArenaOpKind::octets: copy(op, p, width); break;
      case ArenaOpKind::text: copy(op, p, text_octets(p, width)); break;
      case ArenaOpKind::mpls_label: label(p); break;
      case ArenaOpKind::mpls_ttl: number(op, saturated(load_be(p, width))); break;
      case ArenaOpKind::mpls_ip: address(op, p, width); break;
      default: break;
    }
  }

  void structured(std::span<const ArenaOp> ops) noexcept {
    StructureReader reader(plan_, row_, context_, r_);
    while (!ops.empty() && ops.front().kind == ArenaOpKind::structure) {
      const ArenaOp& op = ops.front();
      reader.read(op.enterprise, op.id, {row_.at(op), row_.width(op)});
      ops = ops.subspan(1);
    }
    reader.finish();
    keep_all(ops);
    std::span<const uint8_t> more = reader.unmapped();
    while (!more.empty()) {
      uint16_t length;
      std::memcpy(&length, more.data() + 6, 2);
      const uint32_t octets = kUnmappedHeaderOctets + length;
      if (uint8_t* d = place_unmapped(octets); d != nullptr) std::memcpy(d, more.data(), octets);
      more = more.subspan(octets);
    }
  }

  void keep_all(std::span<const ArenaOp> ops) noexcept {
    for (const ArenaOp& op : ops) {
      const uint8_t* p = row_.at(op);
      if (op.kind == ArenaOpKind::unmapped_v4_loser && !lost(op, p, 4)) continue;
      if (op.kind == ArenaOpKind::unmapped_v6_loser && !lost(op, p, 16)) continue;
      unmapped(op, p, row_.width(op));
    }
  }

  ArenaRef& ref(const ArenaOp& op) noexcept { return column<ArenaRef>(r_, op.destination); }

  uint8_t* place(const ArenaOp& op, uint32_t octets, uint32_t count) noexcept {
    const uint32_t at = arena_.used();
    uint8_t* d = arena_.take(octets);
    if (d == nullptr) {
      overflow();
      return nullptr;
    }
    ref(op) = {static_cast<uint16_t>(at), static_cast<uint16_t>(count)};
    r_.arena_parts |= arena_part_at(op.destination);
    return d;
  }

  void copy(const ArenaOp& op, const uint8_t* p, uint32_t octets) noexcept {
    if (octets > kStringOctetsMax) {
      overflow();
      octets = kStringOctetsMax;
    }
    if (octets == 0) return;
    if (uint8_t* d = place(op, octets, octets); d != nullptr) copy_short(d, p, octets);
  }
  void number(const ArenaOp& op, uint32_t v) noexcept {
    arena_.align4();
    if (uint8_t* d = place(op, sizeof v, 1); d != nullptr) std::memcpy(d, &v, sizeof v);
  }
  void address(const ArenaOp& op, const uint8_t* p, uint32_t width) noexcept {
    if (all_zero(p, width)) return;
    const IpAddress a = width == 4 ? IpAddress::from_v4(p) : IpAddress::from_v6(p);
    if (uint8_t* d = place(op, sizeof a, 1); d != nullptr) std::memcpy(d, &a, sizeof a);
  }
  /// Label, traffic class, bottom of stack (RFC 3032 without the TTL).
  void label(const uint8_t* p) noexcept {
    if (stack_ended_ || label_count_ == kMplsLabelsMax) return;
    const uint32_t entry = static_cast<uint32_t>(load_be(p, 3));
    labels_[label_count_++] = entry >> 4;
    stack_ended_ = (entry & 1) != 0;
  }
  void finish_labels() noexcept {
    if (!stack_ended_) {
      while (label_count_ != 0 && labels_[label_count_ - 1] == 0) --label_count_;
    }
    if (label_count_ == 0) return;
    arena_.align4();
    const uint32_t at = arena_.used();
    const uint32_t octets = label_count_ * static_cast<uint32_t>(sizeof(uint32_t));
    uint8_t* d = arena_.take(octets);
    if (d == nullptr) {
      overflow();
      return;
    }
    std::memcpy(d, labels_, octets);
    r_.mpls_label = {static_cast<uint16_t>(at), static_cast<uint16_t>(label_count_)};
    r_.arena_parts |= arena_part::kNumberLists;
  }
  bool lost(const ArenaOp& op, const uint8_t* p, uint32_t octets) noexcept {
    if (all_zero(p, octets)) return false;
    for (uint32_t d = 0; d < plan_.dual_count; ++d) {
      const DualAddress& dual = plan_.duals[d];
      if (dual.field_v4 != op.field && dual.field_v6 != op.field) continue;
      const IpAddress& taken = column<IpAddress>(r_, dual.destination);
      return taken != (octets == 4 ? IpAddress::from_v4(p) : IpAddress::from_v6(p));
    }
    return false;
  }

  uint8_t* place_unmapped(uint32_t octets) noexcept {
    if (unmapped_octets_ + octets > kUnmappedOctetsMax) {
      overflow();
      return nullptr;
    }
    const uint32_t at = arena_.used();
    uint8_t* d = arena_.take(octets);
    if (d == nullptr) {
      overflow();
      return nullptr;
    }
    if (unmapped_octets_ == 0) unmapped_at_ = static_cast<uint16_t>(at);
    unmapped_octets_ += octets;
    return d;
  }
  void unmapped(const ArenaOp& op, const uint8_t* p, uint32_t width) noexcept {
    uint8_t* d = place_unmapped(kUnmappedHeaderOctets + width);
    if (d == nullptr) return;
    const auto length = static_cast<uint16_t>(width);
    std::memcpy(d, &op.enterprise, 4);
    std::memcpy(d + 4, &op.id, 2);
    std::memcpy(d + 6, &length, 2);
    copy_short(d + kUnmappedHeaderOctets, p, width);
  }

  const Plan& plan_;
  const Row& row_;
  PlanContext& context_;
  Arena& arena_;
  FlowRecord& r_;
  uint32_t labels_[kMplsLabelsMax];
  uint32_t label_count_ = 0;
  bool stack_ended_ = false;
  uint16_t unmapped_at_ = 0;
  uint32_t unmapped_octets_ = 0;
};

}  // namespace

void write_arena(const Plan& plan, const Row& row, PlanContext& context,
                 FlowRecord& record) noexcept {
  ArenaWriter(plan, row, context, record).run();
}

uint32_t arena_octets_bound(const Plan& plan, uint32_t octets) noexcept {
  uint32_t bound = 0;
  uint32_t unmapped = 0;
  uint32_t structured = 0;
  for (const ArenaOp& op : plan.arena_ops) {
    const uint32_t width = op.width == kVariableLength ? octets : op.width;
    switch (op.kind) {
      case ArenaOpKind::octets:
      case ArenaOpKind::text:
        bound += std::min<uint32_t>(width, static_cast<uint32_t>(kStringOctetsMax));
        break;
      case ArenaOpKind::mpls_label:
      case ArenaOpKind::mpls_ttl: bound += 8; break;  // aligned
      case ArenaOpKind::mpls_ip: bound += sizeof(IpAddress); break;
      case ArenaOpKind::structure: structured = octets; break;
      case ArenaOpKind::unmapped:
      case ArenaOpKind::unmapped_v4_loser:
      case ArenaOpKind::unmapped_v6_loser: unmapped += kUnmappedHeaderOctets + width; break;
    }
    if (unmapped > kUnmappedOctetsMax) unmapped = static_cast<uint32_t>(kUnmappedOctetsMax);
  }
  if (structured == 0) return bound + unmapped;
  return bound + static_cast<uint32_t>(kUnmappedOctetsMax) + structure_octets_bound(structured);
}

}  // namespace weir::decode
