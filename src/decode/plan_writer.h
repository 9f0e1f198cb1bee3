// plan_writer.h — Appends operations to a plan that is being compiled.
//
// Runs on:  the decoder's thread, when a template is compiled.
// Bounds:   kOpsMax operations; an arena operation for each field.
#pragma once

#include <cassert>
#include <span>

#include "decode/plan.h"
#include "decode/plan_columns.h"

namespace weir::decode {

class PlanWriter {
 public:
  PlanWriter(std::span<const FieldSpec> fields, PlanDraft& draft) noexcept
      : fields_(fields), draft_(draft) {}

  const FieldSpec& field(uint16_t i) const noexcept { return fields_[i]; }
  Plan& plan() const noexcept { return draft_.plan; }

  void mark(Field field) noexcept {
    plan().present.set(field);
    plan().blocks |= column_of(field).block_bit;
    plan().addresses |= column_of(field).address_bit;
  }

  /// Of the i-th field, which lies at `offset`; `within` it, where not all of it is meant.
  void add_op(OpKind kind, uint16_t i, uint32_t offset, uint16_t width, Field field,
              uint32_t within = 0) noexcept {
    assert(draft_.op_count < kOpsMax && "columns and merges together fit");
    draft_.ops[draft_.op_count++] = {offset + within,         i,    width,
                                     column_of(field).offset, kind, static_cast<uint8_t>(within)};
    mark(field);
  }

  void add_arena(ArenaOpKind kind, uint16_t i, uint32_t offset, Field field) noexcept {
    const FieldSpec& f = fields_[i];
    draft_.arena_ops[draft_.arena_op_count++] = {
        offset, f.enterprise, i, f.length, f.id, column_of(field).offset, kind};
    if (kind < ArenaOpKind::structure) plan().present.set(field);
  }

 private:
  const std::span<const FieldSpec> fields_;
  PlanDraft& draft_;
};

}  // namespace weir::decode
