#include "rules/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "rules/lexer.h"
#include "rules/operators.h"

namespace weir::rules {
namespace {

enum class Mode : uint8_t { expression, cell };

NodePtr make(NodeKind kind, size_t at) {
  auto node = std::make_unique<Node>();
  node->kind = kind;
  node->at = at;
  return node;
}
template <class... Children>
NodePtr make(NodeKind kind, size_t at, Children... children) {
  NodePtr node = make(kind, at);
  (node->children.push_back(std::move(children)), ...);
  return node;
}

/// Whether `$` is asked for anywhere: a cell without it is a value to compare with.
bool has_reference(const Node& node) {
  if (node.kind == NodeKind::reference) return true;
  for (const NodePtr& child : node.children) {
    if (child != nullptr && has_reference(*child)) return true;
  }
  return false;
}

/// An interval by itself, in a cell, asks whether `$` is in it.
void lift_intervals(NodePtr& node) {
  if (node->kind == NodeKind::interval) {
    const size_t at = node->at;
    node = make(NodeKind::membership, at, make(NodeKind::reference, at), std::move(node));
  } else if (node->kind == NodeKind::logical_and || node->kind == NodeKind::logical_or ||
             node->kind == NodeKind::logical_not) {
    for (NodePtr& child : node->children) lift_intervals(child);
  }
}

class Parser {
 public:
  Parser(std::vector<Token> tokens, Mode mode) : tokens_(std::move(tokens)), mode_(mode) {}

  Result<NodePtr> whole() {
    NodePtr node = mode_ == Mode::cell ? cell() : expression(0);
    if (node != nullptr && here().kind != TokenKind::end) node = wrong("an operator or the end");
    if (node == nullptr) return Error{error_};
    if (depth_of(*node) > kTreeDepthMax) return Error{fmt::format("more than {} operators in a row", kTreeDepthMax)};
    return node;
  }

 private:
  const Token& here() const { return tokens_[next_]; }
  bool take(std::string_view symbol) {
    if (!here().is(symbol)) return false;
    ++next_;
    return true;
  }
  bool expect(std::string_view symbol) {
    if (take(symbol)) return true;
    wrong(fmt::format("'{}'", symbol));
    return false;
  }
  NodePtr wrong(const std::string& wanted) {
    if (!error_.empty()) return nullptr;
    const Token& token = here();
    error_ = token.kind == TokenKind::end
                 ? fmt::format("at {}: the expression ends where {} is expected", token.at + 1, wanted)
                 : fmt::format("at {}: '{}' stands where {} is expected", token.at + 1, token.text, wanted);
    return nullptr;
  }

  NodePtr cell() {
    NodePtr any;
    do {
      NodePtr one = expression(0);
      if (one == nullptr) return nullptr;
      lift_intervals(one);
      const size_t at = one->at;
      if (!has_reference(*one)) one = make(NodeKind::binary, at, make(NodeKind::reference, at), std::move(one));
      any = any == nullptr ? std::move(one) : make(NodeKind::logical_or, at, std::move(any), std::move(one));
    } while (take(","));
    return any;
  }

  const Infix* infix_here() const {
    if (here().kind != TokenKind::symbol && here().kind != TokenKind::name) return nullptr;
    for (const Infix& infix : kInfixes) {
      if (here().text == infix.symbol) return &infix;
    }
    return nullptr;
  }

  NodePtr expression(int power) {
    if (++depth_ > kDepthMax) {
      --depth_;
      if (error_.empty()) error_ = fmt::format("at {}: deeper than {} brackets and operators", here().at + 1, kDepthMax);
      return nullptr;
    }
    NodePtr left = prefix();
    while (left != nullptr && error_.empty()) {
      const size_t at = here().at;
      if (power <= kConditionalPower && here().is("?")) {
        ++next_;
        NodePtr yes = expression(kConditionalPower);
        if (yes == nullptr || !expect(":")) return fail();
        NodePtr no = expression(kConditionalPower);
        if (no == nullptr) return fail();
        left = make(NodeKind::conditional, at, std::move(left), std::move(yes), std::move(no));
        continue;
      }
      if (power < kComparisonPower && here().is("not") && tokens_[next_ + 1].is("in")) {
        next_ += 2;
        NodePtr right = expression(kComparisonPower);
        if (right == nullptr) return fail();
        left = make(NodeKind::not_membership, at, std::move(left), std::move(right));
        continue;
      }
      const Infix* const infix = infix_here();
      if (infix == nullptr || infix->power <= power) break;
      ++next_;
      NodePtr right = expression(infix->right ? infix->power - 1 : infix->power);
      if (right == nullptr) return fail();
      left = make(infix->kind, at, std::move(left), std::move(right));
      left->op = infix->op;
    }
    --depth_;
    return error_.empty() ? std::move(left) : nullptr;
  }
  NodePtr fail() {
    --depth_;
    return nullptr;
  }

  NodePtr prefix() {
    const size_t at = here().at;
    if (take("not") || take("!")) return unary(NodeKind::logical_not, kNotPower, at);
    if (take("-")) return unary(NodeKind::unary_minus, kSignPower, at);
    if (take("+")) return expression(kSignPower);  // it asks nothing of its operand, in the engine too
    if (mode_ == Mode::cell) {
      const Infix* const infix = infix_here();
      if (infix != nullptr && infix->power == kComparisonPower && infix->kind == NodeKind::binary) {
        ++next_;
        NodePtr right = expression(kComparisonPower);
        if (right == nullptr) return nullptr;
        NodePtr node = make(NodeKind::binary, at, make(NodeKind::reference, at), std::move(right));
        node->op = infix->op;
        return node;
      }
    }
    const Token& first = here();
    NodePtr node = primary();
    if (node == nullptr || !may_be_followed(first, *node)) return node;
    bool is_path = first.kind == TokenKind::name &&  // neither in brackets, nor what a closure calls its element
                   (node->kind == NodeKind::name || node->kind == NodeKind::reference || node->kind == NodeKind::root) &&
                   std::find(aliases_.begin(), aliases_.end(), first.text) == aliases_.end();
    while (node != nullptr && error_.empty() && (here().is(".") || here().is("["))) node = postfix(std::move(node), is_path);
    return node;
  }

  /// By a member or an index. Texts, numbers, objects and templates are not, as in the engine, but in brackets.
  static bool may_be_followed(const Token& first, const Node& node) {
    if (first.kind == TokenKind::name) return node.kind != NodeKind::boolean_literal && node.kind != NodeKind::null_literal;
    return first.kind == TokenKind::symbol && (first.text == "(" || first.text == "[");
  }

  NodePtr unary(NodeKind kind, int power, size_t at) {
    NodePtr operand = expression(power);
    return operand == nullptr ? nullptr : make(kind, at, std::move(operand));
  }

  /// `is_path`: all of it so far is a name and constants behind it.
  NodePtr postfix(NodePtr of, bool& is_path) {
    const size_t at = here().at;
    if (take(".")) {
      if (here().kind != TokenKind::name) return wrong("the name of a member");
      NodePtr node = make(NodeKind::member, at, std::move(of));
      node->text = tokens_[next_++].text;
      return node;
    }
    ++next_;  // [
    NodePtr from, to;
    const bool is_constant = (here().kind == TokenKind::number || here().kind == TokenKind::string) && tokens_[next_ + 1].is("]");
    is_path &= is_constant;
    if (!here().is(":")) {
      from = expression(0);
      if (from == nullptr) return nullptr;
      if (take("]")) {
        NodePtr node = make(NodeKind::index, at, std::move(of), std::move(from));
        node->flag = is_path;
        return node;
      }
    }
    if (!expect(":")) return nullptr;
    if (!here().is("]")) {
      to = expression(0);
      if (to == nullptr) return nullptr;
    }
    if (!expect("]")) return nullptr;
    return make(NodeKind::slice, at, std::move(of), std::move(from), std::move(to));
  }

  NodePtr primary() {
    const Token& token = here();
    const size_t at = token.at;
    switch (token.kind) {
      case TokenKind::number: {
        NodePtr node = make(NodeKind::number_literal, at);
        node->number = token.number;
        ++next_;
        return node;
      }
      case TokenKind::string: {
        NodePtr node = make(NodeKind::string_literal, at);
        node->text = token.text;
        ++next_;
        return node;
      }
      case TokenKind::templated: ++next_; return templated(token);
      case TokenKind::name: return name();
      case TokenKind::symbol:
        if (token.text == "@") return set_name();
        if (token.text == "(" || token.text == "[") return bracket();
        if (token.text == "{") return object();
        break;
      case TokenKind::end:
      case TokenKind::count_: break;
    }
    return wrong("a value");
  }

  NodePtr set_name() {
    const size_t at = here().at;
    ++next_;
    if (here().kind != TokenKind::name) return wrong("the name of a set");
    NodePtr node = make(NodeKind::set_name, at);
    node->text = tokens_[next_++].text;
    return node;
  }

  NodePtr name() {
    const Token token = here();
    ++next_;
    if (token.text == "true" || token.text == "false") {
      NodePtr node = make(NodeKind::boolean_literal, token.at);
      node->flag = token.text == "true";
      return node;
    }
    if (token.text == "null") return make(NodeKind::null_literal, token.at);
    if (token.text == "$") return make(NodeKind::reference, token.at);
    if (token.text == "$root") return make(NodeKind::root, token.at);
    if (token.text == "#") return make(NodeKind::element, token.at);
    if (infix_word(token.text)) {
      --next_;
      return wrong("a value");
    }
    NodePtr node = make(NodeKind::name, token.at);
    node->text = token.text;
    if (!take("(")) return node;
    node->kind = NodeKind::call;
    if (take(")")) return node;
    do {
      NodePtr argument = expression(0);
      if (argument == nullptr) return nullptr;
      node->children.push_back(std::move(argument));
      if (node->children.size() == 1 && take("as")) {  // map(orders as o, o.id)
        NodePtr alias = make(NodeKind::name, here().at);
        if (here().kind != TokenKind::name) return wrong("a name for the element");
        alias->text = tokens_[next_++].text;
        aliases_.push_back(alias->text);
        node->children.push_back(std::move(alias));
        node->flag = true;
      }
    } while (take(","));
    if (node->flag) aliases_.pop_back();
    return expect(")") ? std::move(node) : nullptr;
  }
  static bool infix_word(std::string_view word) {
    return word == "and" || word == "or" || word == "in" || word == "not" || word == "as";
  }

  /// ( … ), or an interval or an array by what is behind the first value.
  NodePtr bracket() {
    const Token token = here();
    ++next_;
    const bool is_round = token.text == "(";
    if (!is_round && take("]")) return make(NodeKind::array, token.at);
    NodePtr first = expression(0);
    if (first == nullptr) return nullptr;
    if (take("..")) {
      NodePtr last = expression(0);
      if (last == nullptr) return nullptr;
      NodePtr node = make(NodeKind::interval, token.at, std::move(first), std::move(last));
      node->flag = is_round;
      node->flag2 = here().is(")");
      return take(")") || expect("]") ? std::move(node) : nullptr;
    }
    if (is_round) return expect(")") ? std::move(first) : nullptr;
    NodePtr node = make(NodeKind::array, token.at, std::move(first));
    while (take(",")) {
      NodePtr item = expression(0);
      if (item == nullptr) return nullptr;
      node->children.push_back(std::move(item));
    }
    return expect("]") ? std::move(node) : nullptr;
  }

  NodePtr object() {
    NodePtr node = make(NodeKind::object, here().at);
    ++next_;
    if (take("}")) return node;
    do {
      NodePtr key;
      if (take("[")) {
        key = expression(0);
        if (key == nullptr || !expect("]")) return nullptr;
      } else if (here().kind == TokenKind::name || here().kind == TokenKind::string ||
                 here().kind == TokenKind::number) {
        key = make(NodeKind::string_literal, here().at);
        key->text = tokens_[next_++].text;
      } else {
        return wrong("a key");
      }
      if (!expect(":")) return nullptr;
      NodePtr value = expression(0);
      if (value == nullptr) return nullptr;
      node->children.push_back(std::move(key));
      node->children.push_back(std::move(value));
    } while (take(","));
    return expect("}") ? std::move(node) : nullptr;
  }

  NodePtr templated(const Token& token) {
    NodePtr node = make(NodeKind::template_string, token.at);
    const std::string_view text = token.text;
    size_t plain = 0;
    const auto put_plain = [&](size_t end) {
      if (end == plain) return;
      NodePtr part = make(NodeKind::string_literal, token.at + 1 + plain);
      part->text = text.substr(plain, end - plain);
      node->children.push_back(std::move(part));
    };
    for (size_t i = 0; i + 1 < text.size(); ++i) {
      if (text[i] != '$' || text[i + 1] != '{') continue;
      put_plain(i);
      int depth = 1;
      size_t end = i + 2;
      for (; end < text.size(); ++end) {
        depth += text[end] == '{' ? 1 : text[end] == '}' ? -1 : 0;
        if (depth == 0) break;
      }
      auto tokens = tokens_of(text.substr(i + 2, end - i - 2));
      if (!tokens) {
        error_ = tokens.error().message;
        return nullptr;
      }
      Parser inner(std::move(*tokens), Mode::expression);
      inner.depth_ = depth_;
      auto value = inner.whole();
      if (!value) {
        error_ = value.error().message;
        return nullptr;
      }
      node->children.push_back(std::move(*value));
      i = end;
      plain = end + 1;
    }
    put_plain(text.size());
    return node;
  }

  const std::vector<Token> tokens_;
  const Mode mode_;
  size_t next_ = 0;
  unsigned depth_ = 0;
  std::vector<std::string> aliases_;  // of closures that are open
  std::string error_;
};

Result<NodePtr> parse(std::string_view text, Mode mode) {
  if (text.size() > kExpressionOctetsMax) {
    return Error{fmt::format("the expression has {} octets, limit {}", text.size(), kExpressionOctetsMax)};
  }
  auto tokens = tokens_of(text);
  if (!tokens) return tokens.error();
  return Parser(std::move(*tokens), mode).whole();
}

}  // namespace

Result<NodePtr> parse_expression(std::string_view text) { return parse(text, Mode::expression); }

Result<NodePtr> parse_cell(std::string_view text) { return parse(text, Mode::cell); }

}  // namespace weir::rules
