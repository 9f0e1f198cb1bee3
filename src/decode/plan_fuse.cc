#include "decode/plan_fuse.h"

#include <algorithm>
#include <cstring>

namespace weir::decode {
namespace {

constexpr uint32_t kLineOctets = 64;

enum class Direction : uint8_t { as_it_is, reversed };

/// What an operation that only moves octets moves, and where to in the FlowRecord.
struct Span {
  bool pure = false;
  Direction direction = Direction::reversed;
  uint16_t to = 0;
  uint16_t octets = 0;
};

Span span_of(const Op& op) noexcept {
  const Span number{true, Direction::reversed, op.destination, op.width};
  switch (op.kind) {
    case OpKind::u8_to_u16:
    case OpKind::u8_to_u32:
    case OpKind::u16_to_u32:
    case OpKind::u32_to_u32:
    case OpKind::u8_to_u64:
    case OpKind::u16_to_u64:
    case OpKind::u32_to_u64:
    case OpKind::u64_to_u64:
    case OpKind::mac6:
    case OpKind::time_uptime:  // the kernel makes times of them
    case OpKind::time_ms:
    case OpKind::time_s: return number;
    case OpKind::any_to_u64: return op.width <= 8 ? number : Span{};
    case OpKind::any_to_u32: return op.width <= 4 ? number : Span{};
    case OpKind::any_to_u16: return op.width <= 2 ? number : Span{};
    case OpKind::address_v4:
      return {true, Direction::as_it_is, static_cast<uint16_t>(op.destination + 12), 4};
    case OpKind::address_v6: return {true, Direction::as_it_is, op.destination, 16};
    case OpKind::merge_to_u32:
    case OpKind::dscp_to_u32:
    case OpKind::ip_version_to_etype:
    case OpKind::mac8: return {};
  }
  return {};
}

/// Where two operations fill one column the later has the last word, and a merge looks at what was
/// there before: such columns keep their order, but for merges behind the only other.
bool alone(std::span<const Op> ops, size_t i) noexcept {
  for (size_t k = 0; k < ops.size(); ++k) {
    if (k == i || ops[k].destination != ops[i].destination) continue;
    if (k < i || ops[k].kind != OpKind::merge_to_u32) return false;
  }
  return true;
}

bool can_fuse(std::span<const Op> ops, size_t i) noexcept {
  return span_of(ops[i]).pure && alone(ops, i);
}

uint32_t line_of(const Op& op) noexcept { return op.destination / kLineOctets; }

/// Whether the octets between two fields are the same number in each record.
bool in_one_run(std::span<const FieldSpec> fields, uint16_t first, uint16_t last) noexcept {
  for (size_t i = first; i < last; ++i) {
    if (fields[i].length == kVariableLength) return false;
  }
  return true;
}

/// Adds to a line's move what `op` moves; the move begins at or before it.
void add(LineMove& move, const Op& op) noexcept {
  const Span s = span_of(op);
  const uint32_t from = op.offset - move.offset;
  const uint32_t to = s.to % kLineOctets;
  for (uint32_t i = 0; i < s.octets; ++i) {
    const uint32_t octet = s.direction == Direction::reversed ? s.octets - 1u - i : i;
    move.from[to + i] = static_cast<uint8_t>(from + octet);
    move.filled |= uint64_t{1} << (to + i);
    move.read |= uint64_t{1} << (from + i);
  }
}

uint8_t address_bit(uint16_t destination) noexcept {
  const size_t first = offsetof(FlowRecord, src_addr);
  return static_cast<uint8_t>(1u << (destination - first) / sizeof(IpAddress));
}

}  // namespace

void fuse_plan(PlanDraft& draft) noexcept {
  Plan& plan = draft.plan;
  const std::span<Op> ops(draft.ops, draft.op_count);
  draft.move_count = 0;
  plan.fused_ops = 0;
  plan.fused_v4 = 0;

  Op fused[kOpsMax];
  Op rest[kOpsMax];
  uint32_t fused_count = 0;
  uint32_t rest_count = 0;
  for (size_t i = 0; i < ops.size(); ++i) {
    if (can_fuse(ops, i)) {
      fused[fused_count++] = ops[i];
    } else {
      rest[rest_count++] = ops[i];
    }
  }
  std::sort(fused, fused + fused_count, [](const Op& a, const Op& b) {
    return line_of(a) != line_of(b) ? line_of(a) < line_of(b) : a.offset < b.offset;
  });

  uint32_t moves = 0;
  uint8_t v4 = 0;
  for (const Op& op : std::span(fused, fused_count)) {
    LineMove* move = moves != 0 ? &draft.moves[moves - 1] : nullptr;
    if (move == nullptr || move->line != line_of(op) ||
        op.offset + op.width > move->offset + kLineOctets ||
        !in_one_run(plan.fields, move->field, op.field)) {
      if (moves == kLineMovesMax) return;
      move = &draft.moves[moves++];
      *move = {};
      move->offset = op.offset;
      move->field = op.field;
      move->within = op.within;
      move->line = static_cast<uint8_t>(line_of(op));
    }
    add(*move, op);
    if (op.kind == OpKind::address_v4) v4 |= address_bit(op.destination);
  }
  std::copy(fused, fused + fused_count, ops.begin());
  std::copy(rest, rest + rest_count, ops.begin() + fused_count);
  plan.fused_ops = fused_count;
  plan.fused_v4 = v4;
  draft.move_count = moves;
  plan.moves = {draft.moves, moves};
}

}  // namespace weir::decode
