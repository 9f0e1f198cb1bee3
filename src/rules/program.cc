#include "rules/program.h"

#include <algorithm>

#include "flow/flow_parser.h"
#include "rules/cell_functions.h"
#include "rules/rule_set.h"

namespace weir::rules {

Cell Cell::of(bool v) noexcept {
  Cell c;
  c.kind = CellKind::boolean;
  c.boolean = v;
  return c;
}
Cell Cell::of(const Decimal& v) noexcept {
  Cell c;
  c.kind = CellKind::number;
  c.number = v;
  return c;
}
Cell Cell::of(std::string_view v) noexcept {
  Cell c;
  c.kind = CellKind::text;
  c.text = v;
  return c;
}

bool operator==(const Cell& a, const Cell& b) noexcept {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case CellKind::boolean: return a.boolean == b.boolean;
    case CellKind::number: return a.number == b.number;
    case CellKind::text: return a.text == b.text;
    case CellKind::null:
    case CellKind::count_: break;
  }
  return true;
}

namespace {

/// The same for the same record, wherever and however often it is asked, and whatever order its fields came in; different for rules of
/// different salts.
uint64_t hash_of(const FlowView& flow, uint64_t salt) noexcept {
  uint64_t h = (salt + 1) * 0x9E3779B97F4A7C15ull;
  const auto mix = [&h](uint64_t v) {
    h = (h ^ v) * 0x9E3779B97F4A7C15ull;
    h ^= h >> 32;
  };
  for (const uint64_t number : flow.numbers) mix(number);
  for (const OctetsSlot slot : {OctetsSlot::sampler_address, OctetsSlot::src_addr, OctetsSlot::dst_addr}) {
    mix(flow[slot].size());
    for (const char octet : flow[slot]) mix(static_cast<uint8_t>(octet));
  }
  h *= 0xD6E8FEB86659FD93ull;
  return h ^ h >> 32;
}

bool list_has_number(const FlowView& flow, uint8_t slot, uint64_t wanted) noexcept {
  bool found = false;
  for_each_number(flow, static_cast<ListSlot>(slot), [&](uint32_t v) { found |= v == wanted; });
  return found;
}

bool list_has(const FlowView& flow, FieldKind kind, uint8_t slot, const Cell& wanted) noexcept {
  if (kind == FieldKind::numbers) {
    const auto number = wanted.kind == CellKind::number ? wanted.number.to_uint64() : std::nullopt;
    return number && list_has_number(flow, slot, *number);
  }
  if (wanted.kind != CellKind::text) return false;
  bool found = false;
  for_each_octets(flow, static_cast<ListSlot>(slot), [&](std::string_view entry) {
    if (kind == FieldKind::texts) {
      found |= entry == wanted.text;
      return;
    }
    const auto address = address_of(entry);
    if (!address) return;
    char room[kFieldTextMax];
    FlowView one{};
    one.octets[0] = entry;
    found |= text_of(one, {FieldKind::address, 0}, room) == wanted.text;
  });
  return found;
}

uint64_t list_length(const FlowView& flow, FieldKind kind, uint8_t slot) noexcept {
  uint64_t n = 0;
  if (kind == FieldKind::numbers) {
    for_each_number(flow, static_cast<ListSlot>(slot), [&](uint32_t) { ++n; });
  } else {
    for_each_octets(flow, static_cast<ListSlot>(slot), [&](std::string_view) { ++n; });
  }
  return n;
}

void add_label(Outcome& out, std::string_view label) noexcept {
  const auto end = out.label.begin() + out.labels;
  if (std::find(out.label.begin(), end, label) != end) return;
  if (out.labels < kFlowLabelsMax) out.label[out.labels++] = label;
  else ++out.labels_left_out;
}

bool load_field(const FlowView& flow, FieldRef field, Scratch& scratch, Cell& result) noexcept {
  if (field.kind == FieldKind::number) {
    set_number(result, flow.numbers[field.slot]);
    return true;
  }
  char* room = nullptr;
  if (field.kind != FieldKind::text && field.kind != FieldKind::flow_type) {
    room = scratch.take(kFieldTextMax);
    if (room == nullptr) return false;
  }
  result = Cell::of(text_of(flow, field, room));
  return true;
}

}  // namespace

bool is_allowed(const Target& target, const Cell& cell) noexcept {
  switch (target.kind) {
    case TargetKind::text: return cell.kind == CellKind::text;
    case TargetKind::any: return cell.kind == CellKind::number ? cell.number.is_within_int64() : cell.kind != CellKind::null;
    case TargetKind::integer: break;
  }
  const auto v = cell.kind == CellKind::number ? cell.number.to_int64() : std::nullopt;
  if (!v || *v < 0) return false;
  if (target.allowed.empty()) return *v <= int64_t{1} << 53;
  for (const int64_t allowed : target.allowed) {
    if (*v == allowed) return true;
  }
  return false;
}

bool is_left_out(const Target& target, const Cell& cell) noexcept {
  return cell.kind == CellKind::null && target.kind != TargetKind::integer;
}

bool keeps_sample(const FlowView& flow, uint16_t rule, uint64_t n) noexcept { return hash_of(flow, rule) % n == 0; }

namespace {
constexpr size_t kNoWord = SIZE_MAX;
}

void Program::run(const FlowView& flow, Scratch& scratch, Outcome& out, std::span<RuleCounts> counts,
                  size_t begin) const noexcept {
  scratch.clear();
  out.is_dropped = out.is_sampled_out = false;
  out.sampling_factor = 1;
  out.targets_set = 0;
  out.errors = out.labels = 0;
  out.labels_left_out = 0;
  auto& r = scratch.registers;
  uint32_t next_rule = 0;
  uint16_t rule = 0;
  size_t pc = begin;
  size_t word = kNoWord;  // of the candidates, once they are known
  for (;;) {
    const Instruction& i = code[pc++];
    bool good = true;
    bool answer = false;
    switch (i.op) {
      case Op::if_number: answer = holds(static_cast<BinaryOperator>(i.b), flow.numbers[i.a], i.value); break;
      case Op::if_number_in: answer = sets[i.index]->numbers.contains(flow.numbers[i.a]); break;
      case Op::if_address_in: {
        const auto address = address_of(flow.octets[i.a]);
        answer = address && sets[i.index]->prefixes.contains(*address);
        break;
      }
      case Op::if_address_is:
      case Op::if_text_is: answer = flow.octets[i.a] == constants[i.index].text; break;
      case Op::if_list_has: answer = list_has_number(flow, i.a, i.value); break;
      case Op::if_null: answer = r[i.a].kind == CellKind::null; break;
      case Op::if_true:
        good = r[i.a].kind == CellKind::boolean;
        answer = r[i.a].boolean;
        break;
      case Op::jump: pc = i.jump; continue;
      case Op::load_constant: r[i.a] = constants[i.index]; continue;
      case Op::load_field:
        good = load_field(flow, {static_cast<FieldKind>(i.b), i.c}, scratch, r[i.a]);
        goto checked;
      case Op::load_derived: r[i.a] = scratch.derived[i.index]; continue;
      case Op::arithmetic: {
        Cell result;
        good = apply(static_cast<BinaryOperator>(i.index), r[i.b], r[i.c], scratch, result);
        r[i.a] = result;
        goto checked;
      }
      case Op::negate:
        good = r[i.b].kind == CellKind::number;
        if (good) r[i.a] = Cell::of(-r[i.b].number);
        goto checked;
      case Op::invert:
        good = r[i.b].kind == CellKind::boolean;
        if (good) r[i.a] = Cell::of(!r[i.b].boolean);
        goto checked;
      case Op::check_number: good = r[i.a].kind == CellKind::number; goto checked;
      case Op::check_boolean: good = r[i.a].kind == CellKind::boolean; goto checked;
      case Op::member_of_set: {
        const NamedSet& set = *sets[i.index];
        const Cell& v = r[i.b];
        const auto number = v.kind == CellKind::number ? v.number.to_uint64() : std::nullopt;
        r[i.a] = Cell::of(v.kind == CellKind::text ? set.contains(v.text) : number && set.contains(*number));
        continue;
      }
      case Op::address_in_set: {
        const auto address = address_of(flow.octets[i.b]);
        r[i.a] = Cell::of(address && sets[i.index]->prefixes.contains(*address));
        continue;
      }
      case Op::in_interval: {
        const Cell *v = &r[i.b], *low = v + 1, *high = v + 2;
        good = v->kind == CellKind::number && low->kind == CellKind::number && high->kind == CellKind::number;
        if (good) {
          const int to_low = compare(v->number, low->number);
          const int to_high = compare(v->number, high->number);
          r[i.a] = Cell::of(((i.index & 1) != 0 ? to_low > 0 : to_low >= 0) && ((i.index & 2) != 0 ? to_high < 0 : to_high <= 0));
        }
        goto checked;
      }
      case Op::equal_any: r[i.a] = Cell::of(r[i.a].boolean || r[i.b] == r[i.c]); continue;
      case Op::list_length: r[i.a] = Cell::of(Decimal(list_length(flow, static_cast<FieldKind>(i.b), i.c))); continue;
      case Op::list_contains:
        r[i.a] = Cell::of(list_has(flow, static_cast<FieldKind>(i.index), i.c, r[i.b]));
        continue;
      case Op::call: {
        Cell result;
        good = call(static_cast<CellFunction>(i.index), {&r[i.b], i.c}, scratch, result);
        r[i.a] = result;
        goto checked;
      }
      case Op::whole_quotient: {
        good = whole_quotient(static_cast<CellFunction>(i.index), r[i.b], r[i.c], scratch, r[i.a]);
        goto checked;
      }
      case Op::concatenate: {
        std::string_view all;
        for (uint8_t k = 0; k < i.c && good; ++k) {
          std::string_view text;
          good = append_text(r[i.b + k], scratch, text);
          char* const joined = good ? scratch.take(all.size() + text.size()) : nullptr;
          good = joined != nullptr;
          if (!good) break;
          std::copy(all.begin(), all.end(), joined);
          std::copy(text.begin(), text.end(), joined + all.size());
          all = {joined, all.size() + text.size()};
        }
        if (good) r[i.a] = Cell::of(all);
        goto checked;
      }
      case Op::lookup: {
        std::string_view key;
        good = append_text(r[i.b], scratch, key);
        const auto found = good && r[i.b].kind != CellKind::null ? dictionaries[i.index]->find(key, i.c) : std::nullopt;
        r[i.a] = found ? Cell::of(*found) : Cell();
        goto checked;
      }
      case Op::no_value: good = false; goto checked;
      case Op::begin_rule:
        rule = i.index;
        next_rule = i.jump;
        continue;
      case Op::hit:
        if (rule < counts.size()) ++counts[rule].hits;
        continue;
      case Op::drop:
        out.is_dropped = true;
        out.decided_by = rule;
        return;
      case Op::sample:
        if (!keeps_sample(flow, i.index, i.value)) {
          out.is_sampled_out = out.is_dropped = true;
          out.decided_by = rule;
          return;
        }
        if (__builtin_mul_overflow(out.sampling_factor, i.value, &out.sampling_factor)) out.sampling_factor = UINT64_MAX;
        continue;
      case Op::set_target:
        if (is_left_out(targets[i.index], r[i.a])) {
          out.targets_set &= ~(uint64_t{1} << i.index);
          continue;
        }
        good = is_allowed(targets[i.index], r[i.a]);
        if (good) {
          out.targets[i.index] = r[i.a];
          out.targets_set |= uint64_t{1} << i.index;
        }
        goto checked;
      case Op::add_label:
        add_label(out, constants[i.index].text);
        continue;
      case Op::next_rule: {
        if (index.empty()) continue;
        if (word == kNoWord) {
          index.candidates(flow, scratch.candidates.data());
          word = 0;
        }
        while (scratch.candidates[word] == 0) {
          if (++word == index.words()) return;
        }
        uint64_t& bits = scratch.candidates[word];
        pc = rule_begins[64 * word + static_cast<size_t>(__builtin_ctzll(bits))];
        bits &= bits - 1;
        continue;
      }
      case Op::store_derived: scratch.derived[i.index] = r[i.a]; continue;
      case Op::finish: return;
    }
    // A condition.
    if (good) {
      if (answer == i.flag) pc = i.jump;
      continue;
    }
  checked:
    if (good) [[likely]] continue;
    ++out.errors;
    if (rule < counts.size()) ++counts[rule].errors;
    pc = next_rule;
  }
}

}  // namespace weir::rules
