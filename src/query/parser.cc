#include "query/parser.h"

#include <fmt/format.h>

#include <array>

#include "base/utf8.h"
#include "query/parse_clauses.h"
#include "query/scanner.h"

namespace weir::query {
namespace {

constexpr std::string_view kTokenForm = "a token is key:value, such as src_ip:192.0.2.1 or time:last_1h";

class Parser {
 public:
  Parser(std::string_view text, Query& query) : in_(text, 0, text.size()), query_(query) {}

  void run() {
    in_.skip_blanks();
    if (in_.take_word("show")) {
      in_.skip_blanks();
      const size_t at = in_.at();
      Text entity = in_.name();
      if (entity.text.empty()) refuse(in_.here(), fmt::format("SHOW what? {} is no entity; allowed: flows", in_.what_is_here()));
      entity.place = {at, entity.text.size()};
      query_.entity = std::move(entity);
    }
    query_.filter = all(0);
    if (!in_.is_over()) refuse(in_.here(), "this ) closes nothing");
  }

 private:
  /// Elements one behind the other: all must hold. Ends at ) or the end.
  Node all(unsigned depth) {
    Node node;
    bool wants_more = false;  // behind AND
    bool last_is_or = false;
    Place and_place;
    for (;;) {
      in_.skip_blanks();
      if (in_.is_over() || in_.peek() == ')') {
        if (wants_more) refuse(in_.here(), "behind AND a token must follow; " + std::string(kTokenForm));
        return node;
      }
      const Place place = in_.here(3);
      if (in_.take_word("and")) {
        and_place = place;
        if (wants_more || node.children.empty()) refuse(place, "AND stands between two conditions");
        if (last_is_or) refuse(place, kMixed);
        wants_more = true;
        continue;
      }
      auto element = any(depth, last_is_or);
      if (wants_more && (!element || last_is_or)) refuse(and_place, element ? kMixed : "AND joins conditions; this is none");
      wants_more = false;
      if (element) node.children.push_back(std::move(*element));
    }
  }
  static constexpr const char* kMixed = "AND and OR without parentheses: say which belong together, as in a AND (b OR c)";

  /// One element, or several with OR between them, which binds closer than standing side by side.
  std::optional<Node> any(unsigned depth, bool& is_or) {
    is_or = false;
    const Place first_place = in_.here();
    auto first = unary(depth);
    Node node;
    for (;;) {
      const size_t behind = in_.at();
      in_.skip_blanks();
      const Place place = in_.here(2);
      if (!in_.take_word("or")) {
        in_.go_to(behind);
        break;
      }
      is_or = true;
      in_.skip_blanks();
      if (!first) refuse(first_place, "OR joins conditions; this is none, it is about the whole query");
      if (in_.is_over() || in_.peek() == ')') refuse(place, "behind OR a condition must follow");
      const Place next_place = in_.here();
      auto next = unary(depth);
      if (!next) refuse(next_place, "OR joins conditions; this is none, it is about the whole query");
      node.children.push_back(std::move(*next));
    }
    if (!is_or) return first;
    node.kind = Node::Kind::any;
    node.children.insert(node.children.begin(), std::move(*first));
    return node;
  }

  /// Nothing where it was a clause, which is kept.
  std::optional<Node> unary(unsigned depth) {
    if (depth > kNestingMax) refuse(in_.here(), fmt::format("parentheses and negations are nested more than {} deep", kNestingMax));
    const size_t begin = in_.at();
    const bool is_bang = in_.take('!');
    if (is_bang || in_.take_word("not")) {
      in_.skip_blanks();
      if (is_bang && in_.is_at_key()) return token(begin, depth, /*is_negated=*/true);
      auto inner = unary(depth + 1);
      if (!inner) refuse({begin, in_.at() - begin}, "only conditions can be negated");
      Node node;
      node.kind = Node::Kind::none;
      node.children.push_back(std::move(*inner));
      return node;
    }
    if (in_.peek() == '(') {
      in_.take('(');
      Node node = all(depth + 1);
      if (!in_.take(')')) refuse({begin, 1}, "this ( is not closed");
      if (node.children.empty()) refuse({begin, in_.at() - begin}, "these parentheses have no condition in them");
      return node;
    }
    return token(begin, depth, /*is_negated=*/false);
  }

  std::optional<Node> token(size_t begin, unsigned depth, bool is_negated) {
    if (!in_.is_at_key()) {
      refuse(in_.here(std::max<size_t>(1, Scanner(in_).word().text.size())), fmt::format("{} is no token; {}", in_.what_is_here(), kTokenForm));
    }
    Text key = in_.name();
    key.text = lower(key.text);
    in_.take(':');
    if (is_clause(key.text)) {
      const Place place{begin, in_.at() - begin};
      if (is_negated) refuse(place, key.text + ": cannot be negated");
      if (depth > 0) refuse(place, key.text + ": is about the whole query and stands outside of parentheses");
      parse_clause(in_, key, query_);
      return std::nullopt;
    }
    if (++conditions_ > kConditionsMax) refuse({begin, in_.at() - begin}, fmt::format("more than {} conditions", kConditionsMax));
    Node node;
    node.kind = Node::Kind::condition;
    node.condition = parse_condition(in_, std::move(key), begin, is_negated);
    return node;
  }

  Scanner in_;
  Query& query_;
  size_t conditions_ = 0;
};

void check_text(std::string_view text) {
  if (text.size() > kQueryOctetsMax) {
    refuse({kQueryOctetsMax, 0}, fmt::format("the query has {} octets, limit {}", text.size(), kQueryOctetsMax));
  }
  for (size_t i = 0; i < text.size();) {
    const auto* p = reinterpret_cast<const uint8_t*>(text.data()) + i;
    const size_t octets = utf8_character_octets(p, text.size() - i);
    if (octets == 0) refuse({i, 1}, "the query is not UTF-8 here");
    if (*p < 0x20 && !Scanner::is_blank(text[i])) refuse({i, 1}, "the query has a control character here");
    i += octets;
  }
}

template <class Read>
std::optional<QueryError> refusal_of(std::string_view text, Read read) {
  try {
    check_text(text);
    read();
    return std::nullopt;
  } catch (QueryError& error) {
    return std::move(error);
  }
}

}  // namespace

std::optional<QueryError> parse(std::string_view text, Query& query) {
  return refusal_of(text, [&] { Parser(text, query).run(); });
}

std::optional<QueryError> parse_value(std::string_view key, std::string_view value, Condition& condition) {
  return refusal_of(value, [&] {
    Scanner in(value, 0, value.size());
    condition = parse_condition(in, Text{lower(key), {0, value.size()}, false}, 0, /*is_negated=*/false);
    in.skip_blanks();
    if (!in.is_over()) refuse(in.here(), fmt::format("{} is unexpected behind the value", in.what_is_here()));
  });
}

std::optional<QueryError> parse_fields(std::string_view text, std::vector<FieldName>& fields) {
  return refusal_of(text, [&] {
    Scanner in(text, 0, text.size());
    parse_field_names(in, fields);
    in.skip_blanks();
    if (!in.is_over()) refuse(in.here(), fmt::format("{} is unexpected; fields have commas between them", in.what_is_here()));
  });
}

}  // namespace weir::query
