#include "transform/decision_writer.h"

#include "export/json_parts.h"
#include "flow/flow_parser.h"
#include "rules/flow_fields.h"
#include "transform/flow_facts.h"

namespace weir::transform {
namespace {

using outbound::TextBuffer;
using rules::DecisionOp;
using rules::FieldKind;

void put_cell(TextBuffer& out, const rules::Cell& cell) noexcept {
  switch (cell.kind) {
    case rules::CellKind::null:
    case rules::CellKind::count_: return out.put("null");
    case rules::CellKind::boolean: return out.put(cell.boolean ? "true" : "false");
    case rules::CellKind::text: return outbound::parts::put_string(out, cell.text);
    case rules::CellKind::number: break;
  }
  char number[rules::Decimal::kTextMax];
  out.put({number, static_cast<size_t>(cell.number.write_json(number) - number)});
}

void put_field(TextBuffer& out, const FlowView& flow, rules::FieldRef field) noexcept {
  if (field.kind == FieldKind::number) return out.put_number(flow.numbers[field.slot]);
  char room[rules::kFieldTextMax];
  outbound::parts::put_string(out, rules::text_of(flow, field, room));
}

void put_list(TextBuffer& out, const FlowView& flow, rules::FieldRef field) noexcept {
  const auto slot = static_cast<ListSlot>(field.slot);
  const size_t before = out.used();
  if (field.kind == FieldKind::numbers) {
    for_each_number(flow, slot, [&](uint32_t v) {
      out.put_number(v);
      out.put(',');
    });
  } else {
    for_each_octets(flow, slot, [&](std::string_view item) {
      char room[rules::kFieldTextMax];
      FlowView one;  // whose first octets are the item
      one.octets[0] = item;
      const bool is_address = field.kind == FieldKind::addresses;
      outbound::parts::put_string(out, is_address ? rules::text_of(one, {FieldKind::address, 0}, room) : item);
      out.put(',');
    });
  }
  if (out.used() != before && !out.overflowed()) out.cut(out.used() - 1);
}

}  // namespace

size_t DecisionWriter::write(const rules::DecisionProgram& program, const FlowView& flow, const Decisions& decisions,
                             std::span<char> out, DecisionEnd& end) noexcept {
  const uint64_t rate = sampling_rate_of(flow, decisions);
  if (rate == flow[NumberSlot::sampling_rate]) return run(program, flow, out, end);
  scaled_ = flow;
  scaled_.numbers[static_cast<size_t>(NumberSlot::sampling_rate)] = rate;
  return run(program, scaled_, out, end);
}

size_t DecisionWriter::run(const rules::DecisionProgram& program, const FlowView& flow, std::span<char> out, DecisionEnd& end) noexcept {
  TextBuffer text(out);
  const rules::Cell& value = scratch_.registers[0];
  for (size_t pc = 0;;) {
    const rules::DecisionStep& step = program.steps[pc++];
    bool jumps = false;
    switch (step.op) {
      case DecisionOp::put_text: text.put(std::string_view(program.texts).substr(step.at, step.octets)); break;
      case DecisionOp::put_field: put_field(text, flow, step.field); break;
      case DecisionOp::put_list: put_list(text, flow, step.field); break;
      case DecisionOp::put_value: put_cell(text, value); break;
      case DecisionOp::close_object:
        if (text.overflowed() || text.used() == 0 || text.last() != ',') text.put('}');
        else text.last() = '}';
        break;
      case DecisionOp::evaluate:
        program.values.run(flow, scratch_, outcome_, {}, step.at);
        if (outcome_.errors == 0) break;
        end = DecisionEnd::no_value;
        without_value_ = program.places[step.value];
        return 0;
      case DecisionOp::unless_number: jumps = !holds(step.compare, flow.numbers[step.field.slot], step.value); break;
      case DecisionOp::unless_true: jumps = !value.boolean; break;
      case DecisionOp::if_null: jumps = value.kind == rules::CellKind::null; break;
      case DecisionOp::jump: jumps = true; break;
      case DecisionOp::finish:
        end = text.overflowed() ? DecisionEnd::too_large : DecisionEnd::written;
        return text.overflowed() ? 0 : text.used();
    }
    if (jumps) pc = step.jump;
  }
}

}  // namespace weir::transform
