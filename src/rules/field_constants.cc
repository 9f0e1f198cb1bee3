#include "rules/field_constants.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "flow/enumerator_names.h"
#include "rules/compile_parts.h"
#include "rules/field_forms.h"
#include "rules/mac_text.h"

namespace weir::rules {
namespace {

using compile::field_of;

constexpr uint64_t kFlowTypeNumberMax = 2000;  // beyond all that have a name
constexpr size_t kBranchesMax = 64;  // of an expression that is one field or another: derived values can be of derived values

/// Text → the text that fields have; an Error where none can have it.
Result<std::string> address_form(std::string_view field, const std::string& text) {
  if (text.empty()) return text;
  if (auto form = address_as_field(text)) return std::move(*form);
  if (PrefixSet().add(text)) return Error{fmt::format("'{0}' is a prefix, no address: ask cidr({1}, '{0}')", text, field)};
  return Error{fmt::format("'{}' is no address; {} is '192.0.2.1', '2001:db8::1', or ''", text, field)};
}

Result<std::string> mac_form(std::string_view field, const std::string& text) {
  const auto form = mac_as_field(text);
  if (!form) {
    return Error{fmt::format("'{}' is no MAC address; {} is '02:00:00:00:00:01', and '00:00:00:00:00:00' where there is none", text, field)};
  }
  if (*form != text) return Error{fmt::format("{} is never '{}'; write '{}'", field, text, *form)};
  return text;
}

Result<std::string> flow_type_form(std::string_view field, const std::string& text) {
  std::string names;
  for (uint64_t number = 0; number <= kFlowTypeNumberMax; ++number) {
    const std::string_view name = flow_type_name(number);
    if (name == text) return text;  // '' is that of a number without a name
    if (!name.empty()) names += fmt::format("{}'{}'", names.empty() ? "" : ", ", name);
  }
  return Error{fmt::format("{} is never '{}'; it is one of {}", field, text, names)};
}

Result<std::string> hex_form(std::string_view field, const std::string& text) {
  const bool is_hex = text.size() % 2 == 0 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
  return is_hex ? Result<std::string>(text) : Error{fmt::format("{} is never '{}'; it is octets in hexadecimal, as '0d00ff'", field, text)};
}

using Form = Result<std::string> (*)(std::string_view field, const std::string& text);
/// Null of fields that any text, or none, can be.
Form form_of(FieldKind kind) {
  switch (kind) {
    case FieldKind::address:
    case FieldKind::addresses: return address_form;
    case FieldKind::mac: return mac_form;
    case FieldKind::flow_type: return flow_type_form;
    case FieldKind::octets: return hex_form;
    default: return nullptr;
  }
}

class Fitting {
 public:
  explicit Fitting(const Environment& environment) : environment_(environment) {}

  Result<void> all(Node& node) {
    for (const NodePtr& child : node.children) {
      if (child == nullptr) continue;
      if (const auto fitted = all(*child); !fitted) return fitted;
    }
    switch (node.kind) {
      case NodeKind::binary:
        if (node.op != BinaryOperator::equal && node.op != BinaryOperator::not_equal) return {};
        if (const auto right = beside(*node.children[0], *node.children[1]); !right) return right;
        return beside(*node.children[1], *node.children[0]);
      case NodeKind::membership:
      case NodeKind::not_membership: return membership(*node.children[0], *node.children[1]);
      case NodeKind::call:
        if (node.text == "mac" && node.children.size() == 1) return constant_mac(node);
        if (node.text == "lookup" && node.children.size() >= 2) return key(*node.children[0], *node.children[1]);
        if (node.text != "contains" || node.children.size() != 2) return {};
        return in_list(*node.children[0], *node.children[1]);
      default: return {};
    }
  }

 private:
  static Error at(const Node& node, const std::string& what) { return Error{fmt::format("at {}: {}", node.at + 1, what)}; }

  /// What an expression's value is one of, where these are fields that have a form, and constants; nothing where it may be anything.
  std::vector<const Node*> branches_of(const Node& expression) const {
    std::vector<const Node*> branches = {&expression};
    for (size_t i = 0; i < branches.size();) {
      const Node& n = *branches[i];
      const bool is_conditional = n.kind == NodeKind::conditional;
      const Derived* const derived = n.kind == NodeKind::name ? environment_.find_derived(n.text) : nullptr;
      if (derived != nullptr) {
        branches[i] = derived->tree;
      } else if (is_conditional || n.kind == NodeKind::coalesce) {
        branches[i] = n.children[is_conditional ? 1 : 0].get();
        branches.push_back(n.children[is_conditional ? 2 : 1].get());
      } else {
        const auto field = field_of(n);
        const bool has_form = field && form_of(field->kind) != nullptr;
        if (!has_form && n.kind != NodeKind::string_literal && n.kind != NodeKind::null_literal) return {};
        ++i;
      }
      if (branches.size() > kBranchesMax) return {};
    }
    return branches;
  }

  /// `mac('02-00-00-00-00-0A')` is what a flow would have in its place; of what is no MAC address it would be null in all flows.
  static Result<void> constant_mac(Node& node) {
    const Node& of = *node.children[0];
    if (of.kind != NodeKind::string_literal && of.kind != NodeKind::number_literal) return {};
    const auto number = of.kind == NodeKind::number_literal ? of.number.to_uint64() : std::nullopt;
    const auto mac = of.kind == NodeKind::string_literal ? parse_mac(of.text) : number && *number <= kMacMax ? number : std::nullopt;
    if (!mac) return at(of, fmt::format("{} is no MAC address: twelve hexadecimal digits, as '02-00-00-00-00-0a' or '0200.0000.000a', or a number below 2^48",
                                        of.kind == NodeKind::string_literal ? "'" + of.text + "'" : of.number.to_string()));
    node.kind = NodeKind::string_literal;
    node.text = mac_as_field(*mac);
    node.children.clear();
    return {};
  }

  Result<void> beside(const Node& expression, Node& constant) const {
    if (constant.kind != NodeKind::string_literal) return {};
    std::optional<Error> first;
    for (const Node* const branch : branches_of(expression)) {
      if (branch->kind == NodeKind::string_literal && branch->text == constant.text) return {};
      const auto field = field_of(*branch);
      if (!field) continue;
      auto form = form_of(field->kind)(branch->text, constant.text);
      if (form) {
        constant.text = std::move(*form);
        return {};
      }
      if (!first) first = at(constant, form.error().message);
    }
    return first ? Result<void>(*first) : Result<void>();
  }

  /// Of a dictionary that is asked for addresses, or for MAC addresses, the keys that are some in another form would never be found.
  Result<void> key(const Node& name, const Node& expression) const {
    const auto found = environment_.dictionaries.find(name.text);
    if (name.kind != NodeKind::string_literal || found == environment_.dictionaries.end()) return {};
    for (const Node* const branch : branches_of(expression)) {
      const auto field = field_of(*branch);
      if (!field || (field->kind != FieldKind::address && field->kind != FieldKind::mac)) continue;
      const bool is_mac = field->kind == FieldKind::mac;
      const Dictionary::OtherForm& other = is_mac ? found->second->other_mac() : found->second->other_address();
      if (other.key.empty()) continue;
      return at(expression, fmt::format("{} is never '{}', a key of {}; write '{}' there{}", branch->text, other.key, found->second->name(), other.as_field,
                                        is_mac ? ", or look up what upper() makes of it" : ""));
    }
    return {};
  }

  Result<void> in_list(const Node& list, Node& constant) const {
    const auto field = field_of(list);
    return field && compile::is_list(field->kind) ? beside(list, constant) : Result<void>();
  }

  Result<void> membership(Node& what, Node& in) const {
    if (in.kind == NodeKind::name) return in_list(in, what);
    if (in.kind == NodeKind::set_name) return in_set(what, in);
    if (in.kind != NodeKind::array) return {};
    for (const NodePtr& item : in.children) {
      if (const auto fitted = beside(what, *item); !fitted) return fitted;
    }
    return {};
  }

  Result<void> in_set(const Node& expression, const Node& in) const {
    const auto found = environment_.sets.find(in.text);
    if (found == environment_.sets.end() || found->second->is_empty()) return {};
    std::optional<Error> first;
    for (const Node* const branch : branches_of(expression)) {
      if (branch->kind == NodeKind::null_literal) continue;
      const auto field = field_of(*branch);
      if (!field) return {};
      const auto fitted = field_in_set(*branch, *field, in, *found->second);
      if (fitted) return {};
      if (!first) first = fitted.error();
    }
    return first ? Result<void>(*first) : Result<void>();
  }

  static Result<void> field_in_set(const Node& name, FieldRef field, const Node& in, const NamedSet& set) {
    const Form form = form_of(field.kind);
    const bool is_address = field.kind == FieldKind::address;
    if (set.kind == (is_address ? SetKind::prefixes : SetKind::texts)) {
      for (const auto& [text, is_there] : set.texts) {
        if (const auto fitted = form(name.text, text); !fitted) return at(in, fmt::format("@{}: {}", in.text, fitted.error().message));
      }
      return {};
    }
    if (set.kind == SetKind::texts) {
      const auto prefix = PrefixSet().add(set.first_item);
      return at(in, fmt::format("{} is never in @{}, a set of texts by its first item: {}", name.text, in.text,
                                prefix ? set.first_item : prefix.error().message));
    }
    return at(in, fmt::format("{} is never in @{}, a set of {} by its first item, {}", name.text, in.text, name_of(set.kind), set.first_item));
  }

  const Environment& environment_;
};

}  // namespace

Result<void> fit_constants(Node& expression, const Environment& environment) { return Fitting(environment).all(expression); }

}  // namespace weir::rules
