#include "query/parse_clauses.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "query/parser.h"

namespace weir::query {
namespace {

struct ClauseName {
  std::string_view name;
  std::string_view meaning;
};
constexpr std::array kClauses = {
    ClauseName{"in", "in"},           ClauseName{"time", "time"},       ClauseName{"timeframe", "time"},
    ClauseName{"tz", "tz"},           ClauseName{"limit", "limit"},     ClauseName{"sort", "sort"},
    ClauseName{"order", "sort"},      ClauseName{"stats", "stats"},     ClauseName{"bucket", "bucket"},
    ClauseName{"downsample", "bucket"}, ClauseName{"agg", "agg"},       ClauseName{"value_field", "value_field"},
    ClauseName{"series", "series"},   ClauseName{"having", "having"},   ClauseName{"groupby", "groupby"},
    ClauseName{"group_by", "groupby"}, ClauseName{"raw", "raw"},        ClauseName{"fields", "fields"},
};

std::string_view meaning_of(std::string_view key) noexcept {
  for (const ClauseName& c : kClauses) {
    if (c.name == key) return c.meaning;
  }
  return {};
}

void check_room(size_t used, Place place, std::string_view what) {
  if (used >= kClauseItemsMax) refuse(place, fmt::format("more than {} {}", kClauseItemsMax, what));
}

/// Runs `read` over what is in quotes or brackets, or over what stands bare and ends by itself.
template <class Read>
void in_quotes_or_bare(Scanner& in, const Text& key, Read read) {
  Place inside;
  if (in.is_at_quote()) {
    inside = in.quoted().place;
  } else if (in.peek() == '(' || in.peek() == '[') {
    inside = in.bracketed();
  } else {
    read(in);
    return;
  }
  Scanner part = in.part(inside);
  part.skip_blanks();
  if (part.is_over()) refuse(key.place, fmt::format("{}: says nothing", key.text));
  read(part);
  part.skip_blanks();
  if (!part.is_over()) refuse(part.here(), fmt::format("{} is unexpected in {}:", part.what_is_here(), key.text));
}

FieldName field_name(Scanner& in, std::string_view what) {
  FieldName field;
  const size_t begin_name = in.at();
  if (in.take('*')) {
    field.name = in.text_at({begin_name, 1});
    return field;
  }
  field.name = in.name();
  if (field.name.text.empty()) refuse(in.here(), fmt::format("{} is no name of a field; {}", in.what_is_here(), what));
  field.name.text = lower(field.name.text);
  if (in.peek() == ':' && in.peek(1) >= '0' && in.peek(1) <= '9') {
    in.take(':');
    const size_t begin = in.at();
    while (in.peek() >= '0' && in.peek() <= '9') in.take(in.peek());
    field.bits = in.text_at({begin, in.at() - begin});
  }
  return field;
}

/// Whether a comma follows, blanks around it or not; behind it the next item.
bool take_comma(Scanner& in) {
  const size_t behind = in.at();
  in.skip_blanks();
  if (in.take(',')) {
    in.skip_blanks();
    return true;
  }
  in.go_to(behind);
  return false;
}

void field_names(Scanner& in, std::vector<FieldName>& out, std::string_view what) {
  do {
    check_room(out.size(), in.here(), "fields");
    out.push_back(field_name(in, what));
  } while (take_comma(in));
}

// ── stats ────────────────────────────────────────────────────────────────────────────────────────

constexpr std::string_view kStatsForm = "allowed: function(field) as alias, with commas between several, then: by field, field";

StatsItem stats_item(Scanner& in) {
  StatsItem item;
  item.function = in.name();
  if (item.function.text.empty()) refuse(in.here(), fmt::format("{} is no function; {}", in.what_is_here(), kStatsForm));
  item.function.text = lower(item.function.text);
  in.skip_blanks();
  const Place open = in.here();
  if (!in.take('(')) refuse(in.here(), fmt::format("behind {} comes its field in parentheses, as in sum(bytes_total)", item.function.text));
  in.skip_blanks();
  if (!in.take('*') && in.peek() != ')') {
    Text argument = in.name();
    if (argument.text.empty()) refuse(in.here(), fmt::format("{} is no name of a field", in.what_is_here()));
    argument.text = lower(argument.text);
    item.argument = std::move(argument);
  }
  in.skip_blanks();
  if (!in.take(')')) refuse(open, "this ( is not closed by )");
  const size_t behind = in.at();
  in.skip_blanks();
  if (!in.take_word("as")) {
    in.go_to(behind);
    return item;
  }
  in.skip_blanks();
  item.alias = in.word(",");
  if (!is_identifier(item.alias->text) || item.alias->text.size() > 63) {
    refuse({item.alias->place.at, std::max<size_t>(1, item.alias->text.size())},
           fmt::format("'{}' is no alias; allowed: letters, digits and _, not beginning with a digit, at most 63", item.alias->text));
  }
  return item;
}

void stats_clause(Scanner& in, StatsClause& clause) {
  do {
    check_room(clause.items.size(), in.here(), "functions in stats:");
    clause.items.push_back(stats_item(in));
  } while (take_comma(in));
  const size_t behind = in.at();
  in.skip_blanks();
  if (!in.take_word("by")) {
    in.go_to(behind);
    return;
  }
  in.skip_blanks();
  field_names(in, clause.by, "behind by come fields, with commas between them");
}

// ── sort, having ─────────────────────────────────────────────────────────────────────────────────

void sort_items(Scanner& in, std::vector<SortItem>& out) {
  do {
    check_room(out.size(), in.here(), "fields in sort:");
    SortItem item;
    item.name = in.name();
    if (item.name.text.empty()) refuse(in.here(), fmt::format("{} is no name of a field; allowed: field, field:asc, field:desc", in.what_is_here()));
    item.name.text = lower(item.name.text);
    if (in.take(':')) {
      const Text way = in.word(",");
      const bool is_ascending = same_word(way.text, "asc");
      if (!is_ascending && !same_word(way.text, "desc")) {
        refuse({way.place.at, std::max<size_t>(1, way.text.size())}, fmt::format("'{}' is no way to sort; allowed: asc, desc", way.text));
      }
      item.is_descending = !is_ascending;
    }
    out.push_back(std::move(item));
  } while (take_comma(in));
}

Comparison take_comparison(Scanner& in) {
  if (in.take('>')) return in.take('=') ? Comparison::at_least : Comparison::greater;
  if (in.take('<')) return in.take('=') ? Comparison::at_most : Comparison::less;
  if (in.peek() == '!' && in.peek(1) == '=') {
    in.take('!');
    in.take('=');
    return Comparison::unequal;
  }
  if (in.take('=')) in.take('=');
  return Comparison::equal;
}

void having_items(Scanner& in, std::vector<HavingItem>& out) {
  for (;;) {
    check_room(out.size(), in.here(), "comparisons in having:");
    HavingItem item;
    item.alias = in.name();
    if (item.alias.text.empty()) refuse(in.here(), fmt::format("{} is no alias; allowed: alias>number, as in having:total>1000", in.what_is_here()));
    item.alias.text = lower(item.alias.text);
    in.skip_blanks();
    in.take(':');
    in.skip_blanks();
    const Place place = in.here();
    const bool has_operator = in.peek() == '>' || in.peek() == '<' || in.peek() == '=' || in.peek() == '!';
    if (!has_operator) refuse(place, fmt::format("{} compares nothing; allowed: >, >=, <, <=, =, !=", in.what_is_here()));
    item.comparison = take_comparison(in);
    in.skip_blanks();
    item.number = in.word(",");
    if (item.number.text.empty()) refuse(in.here(), "a number is missing here");
    out.push_back(std::move(item));
    const size_t behind = in.at();
    if (take_comma(in)) continue;
    in.skip_blanks();
    if (!in.take_word("and")) {
      in.go_to(behind);
      return;
    }
    in.skip_blanks();
  }
}

// ── values ───────────────────────────────────────────────────────────────────────────────────────

/// Splits what is in brackets at its commas; open ends of times are empty.
std::vector<Text> list_items(Scanner in) {
  std::vector<Text> items;
  for (;;) {
    if (items.size() == kListMax) refuse(in.here(), fmt::format("the list has more than {} items", kListMax));
    in.skip_blanks();
    if (in.is_at_quote()) {
      items.push_back(in.quoted());
    } else {
      const size_t begin = in.at();
      size_t end = begin;
      while (!in.is_over() && in.peek() != ',') {
        const bool is_blank = in.is_blank();
        in.go_to(in.at() + 1);
        if (!is_blank) end = in.at();
      }
      items.push_back(in.text_at({begin, end - begin}));
    }
    in.skip_blanks();
    if (in.is_over()) return items;
    if (!in.take(',')) refuse(in.here(), fmt::format("{} is unexpected: items have commas between them", in.what_is_here()));
  }
}

Text single_value(Scanner& in, const Text& key) {
  Text value = in.is_at_quote() ? in.quoted() : in.word();
  if (value.text.empty()) refuse({key.place.at, in.at() - key.place.at}, fmt::format("{}: has no value", key.text));
  return value;
}

void set_once(std::optional<Text>& slot, const Text& key, Scanner& in) {
  if (slot) refuse(key.place, fmt::format("{}: is said twice", key.text));
  slot = single_value(in, key);
}

}  // namespace

void parse_field_names(Scanner& in, std::vector<FieldName>& fields) { field_names(in, fields, "allowed: fields, with commas between them"); }

bool is_clause(std::string_view key) noexcept { return !meaning_of(key).empty(); }

Condition parse_condition(Scanner& in, Text key, size_t begin, bool is_negated) {
  Condition condition;
  condition.is_negated = is_negated;
  if (in.take('~')) {
    condition.comparison = Comparison::matches;
  } else if (in.peek() == '>' || in.peek() == '<' || in.peek() == '=') {
    condition.comparison = take_comparison(in);
  }
  // A pattern may begin as a list does.
  if (condition.comparison != Comparison::matches && (in.peek() == '(' || in.peek() == '[')) {
    const Place open = in.here();
    condition.kind = in.peek() == '(' ? Values::any : Values::bracketed;
    if (condition.comparison != Comparison::equal) refuse(open, "a list cannot be compared; allowed here: one value");
    const Place inside = in.bracketed();
    condition.values = list_items(in.part(inside));
    const bool has_empty = std::any_of(condition.values.begin(), condition.values.end(), [](const Text& v) { return v.text.empty() && !v.is_quoted; });
    if (has_empty && meaning_of(key.text) != "time" && !(condition.kind == Values::bracketed && condition.values.size() == 2)) {
      refuse({open.at, in.at() - open.at}, "the list has an empty item");
    }
  } else {
    condition.values.push_back(single_value(in, key));
  }
  if (!in.is_over() && !in.is_blank() && in.peek() != ')') {
    refuse(in.here(), fmt::format("{} follows without a blank", in.what_is_here()));
  }
  condition.key = std::move(key);
  condition.place = {begin, in.at() - begin};
  return condition;
}

void parse_clause(Scanner& in, const Text& key, Query& query) {
  const std::string_view meaning = meaning_of(key.text);
  if (in.is_over() || in.is_blank()) refuse({key.place.at, in.at() - key.place.at}, fmt::format("{}: has no value", key.text));
  if (meaning == "in") return set_once(query.entity, key, in);
  if (meaning == "tz") return set_once(query.tz, key, in);
  if (meaning == "limit") return set_once(query.limit, key, in);
  if (meaning == "bucket") return set_once(query.bucket, key, in);
  if (meaning == "agg") return set_once(query.agg, key, in);
  if (meaning == "value_field") return set_once(query.value_field, key, in);
  if (meaning == "raw") return set_once(query.raw, key, in);
  if (meaning == "time") {
    check_room(query.times.size(), key.place, "times");
    query.times.push_back(parse_condition(in, key, key.place.at, /*is_negated=*/false));
    return;
  }
  if (meaning == "stats") {
    check_room(query.stats.size(), key.place, "stats:");
    StatsClause& clause = query.stats.emplace_back();
    const size_t begin = key.place.at;
    in_quotes_or_bare(in, key, [&](Scanner& part) { stats_clause(part, clause); });
    clause.place = {begin, in.at() - begin};
    return;
  }
  const auto once = [&](bool is_empty) {
    if (!is_empty) refuse(key.place, fmt::format("{}: is said twice", key.text));
  };
  if (meaning == "sort") {
    once(query.sort.empty());
    in_quotes_or_bare(in, key, [&](Scanner& part) { sort_items(part, query.sort); });
  } else if (meaning == "having") {
    in_quotes_or_bare(in, key, [&](Scanner& part) { having_items(part, query.having); });
  } else if (meaning == "groupby") {
    once(query.group_by.empty());
    in_quotes_or_bare(in, key, [&](Scanner& part) { field_names(part, query.group_by, "groupby: takes fields"); });
  } else if (meaning == "fields") {
    once(query.fields.empty());
    in_quotes_or_bare(in, key, [&](Scanner& part) { field_names(part, query.fields, "fields: takes fields"); });
  } else if (meaning == "series") {
    once(!query.series);
    in_quotes_or_bare(in, key, [&](Scanner& part) { query.series = field_name(part, "series: takes a field"); });
  }
}

}  // namespace weir::query
