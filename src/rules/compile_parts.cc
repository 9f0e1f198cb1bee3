#include "rules/compile_parts.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/ip_text.h"
#include "base/nearest_name.h"

namespace weir::rules::compile {

uint8_t types_of(CellKind kind) {
  switch (kind) {
    case CellKind::boolean: return kBoolean;
    case CellKind::number: return kNumber;
    case CellKind::text: return kText;
    case CellKind::null:
    case CellKind::count_: break;
  }
  return kNull;
}

uint8_t types_of(const Target& target) {
  switch (target.kind) {
    case TargetKind::text: return kText;
    case TargetKind::integer: return kNumber;
    case TargetKind::any: break;
  }
  return kBoolean | kNumber | kText;
}

uint8_t types_of_entry(FieldKind list) { return list == FieldKind::numbers ? kNumber : kText; }

std::string describe(uint8_t types) {
  std::string text;
  const auto add = [&](uint8_t type, std::string_view word) {
    if ((types & type) == 0) return;
    text += text.empty() ? "" : " or ";
    text += word;
  };
  add(kBoolean, "true or false");
  add(kNumber, "a number");
  add(kText, "a text");
  add(kNull, "null");
  return text;
}

std::string_view symbol_of(BinaryOperator op) {
  constexpr std::array<std::string_view, 12> kSymbols = {"==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "^"};
  return kSymbols[static_cast<size_t>(op)];
}

std::string_view what_is(NodeKind kind) {
  switch (kind) {
    case NodeKind::reference:
    case NodeKind::root: return "$";
    case NodeKind::element: return "#";
    case NodeKind::member: return "a member (.)";
    case NodeKind::index: return "an index ([])";
    case NodeKind::slice: return "a slice";
    case NodeKind::array: return "an array, but behind 'in',";
    case NodeKind::object: return "an object";
    case NodeKind::interval: return "an interval, but behind 'in',";
    case NodeKind::set_name: return "a set, but behind 'in' and in cidr(),";
    default: return name_of(kind);
  }
}

std::string one_of(const std::vector<std::string_view>& names) {
  constexpr size_t kShown = 12;
  if (names.empty()) return "; there are none";
  std::string text = "; there are ";
  for (size_t i = 0; i < names.size() && i < kShown; ++i) text += fmt::format("{}{}", i == 0 ? "" : ", ", names[i]);
  return names.size() > kShown ? text + ", …" : text;
}

std::string nearest(std::string_view wrong, const std::vector<std::string_view>& names) {
  const std::string_view best = nearest_name(wrong, names);
  return best.empty() ? "; docs/RULES.md lists them" : fmt::format("; is it {}?", best);
}

BinaryOperator mirrored(BinaryOperator op) {
  switch (op) {
    case BinaryOperator::less: return BinaryOperator::greater;
    case BinaryOperator::less_equal: return BinaryOperator::greater_equal;
    case BinaryOperator::greater: return BinaryOperator::less;
    case BinaryOperator::greater_equal: return BinaryOperator::less_equal;
    default: return op;
  }
}

bool is_list(FieldKind kind) {
  return kind == FieldKind::numbers || kind == FieldKind::addresses || kind == FieldKind::texts;
}

std::optional<FieldRef> field_of(const Node& node) {
  return node.kind == NodeKind::name ? find_field(node.text) : std::nullopt;
}

bool is_constant(const Node& node) {
  switch (node.kind) {
    case NodeKind::name:
    case NodeKind::set_name:
    case NodeKind::reference:
    case NodeKind::root:
    case NodeKind::element: return false;
    case NodeKind::call:
      if (node.text == "cidr" || node.text == "lookup" || node.text == "is_private" || node.text == "ip_version" ||
          node.text == "bit_and" || node.text == "mac") {
        return false;
      }
      break;
    default: break;
  }
  return std::all_of(node.children.begin(), node.children.end(),
                     [](const NodePtr& child) { return child == nullptr || is_constant(*child); });
}

std::optional<Value> constant_of(const Node& node, uint64_t& left) {
  if (!is_constant(node)) return std::nullopt;
  Scope scope;
  scope.left = &left;
  auto v = interpret(node, scope);
  return v ? std::optional(std::move(*v)) : std::nullopt;
}

std::optional<Cell> cell_of(const Value& value) {
  switch (value.kind) {
    case ValueKind::null: return Cell();
    case ValueKind::boolean: return Cell::of(value.boolean);
    case ValueKind::number: return Cell::of(value.number);
    case ValueKind::string: return Cell::of(std::string_view(value.string));
    case ValueKind::array:
    case ValueKind::object:
    case ValueKind::interval:
    case ValueKind::count_: break;
  }
  return std::nullopt;
}

std::optional<std::string> octets_of_address(const std::string& text) {
  uint8_t octets[16];
  char written[kIpv6TextRoom];
  size_t n = 0;
  const char* end = nullptr;
  if (inet_pton(AF_INET, text.c_str(), octets) == 1) {
    n = 4;
    end = write_ipv4(written, octets);
  } else if (inet_pton(AF_INET6, text.c_str(), octets) == 1) {
    n = 16;
    end = write_ipv6(written, octets);
  }
  if (n == 0 || std::string_view(written, static_cast<size_t>(end - written)) != text) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(octets), n);
}

}  // namespace weir::rules::compile
