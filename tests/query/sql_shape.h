// sql_shape.h — What must be true of every statement, whoever asked: as many placeholders as parameters, and no text of the
// user's in it.
#pragma once

#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <string_view>

#include "query/fields.h"
#include "query/translate.h"

namespace weir::query {

/// Literals that may stand in SQL: names of values, and the few that the dialect has.
inline bool is_own_literal(std::string_view text) {
  for (const Field& field : fields()) {
    for (const ValueName& value : field.names) {
      if (value.name == text) return true;
    }
  }
  for (const FlagName& flag : tcp_flag_names()) {
    if (flag.name == text) return true;
  }
  if (text.starts_with("/") && text.size() <= 4) return std::all_of(text.begin() + 1, text.end(), [](unsigned char c) { return std::isdigit(c); });
  return text == "none" || text == " <-> " || text == ":" || text == "\\" || text == ",";
}

/// What is wrong with it; nothing if it is as it must be.
inline std::optional<std::string> trouble_in(const Statement& statement) {
  const std::string& sql = statement.sql;
  size_t placeholders = 0;
  int depth = 0;
  for (size_t i = 0; i < sql.size(); ++i) {
    const char c = sql[i];
    if (c == '\'' || c == '"') {
      const size_t end = sql.find(c, i + 1);
      if (end == std::string::npos) return "a quote is not closed";
      const std::string_view inside = std::string_view(sql).substr(i + 1, end - i - 1);
      if (c == '\'' && !is_own_literal(inside)) return "a literal that is not ours: " + std::string(inside);
      if (c == '"' && !std::all_of(inside.begin(), inside.end(), [](unsigned char x) { return std::isalnum(x) || x == '_' || x == '.'; })) {
        return "a name that is no identifier: " + std::string(inside);
      }
      i = end;
      continue;
    }
    if (c == '?') ++placeholders;
    if (c == '(') ++depth;
    if (c == ')' && --depth < 0) return "parentheses";
    if (c == ';' || sql.compare(i, 2, "--") == 0 || sql.compare(i, 2, "/*") == 0) return "a comment or a second statement";
    if (static_cast<unsigned char>(c) >= 0x80 || c < ' ') return "an octet that is not ours";
  }
  if (depth != 0) return "parentheses";
  if (placeholders != statement.parameters.size()) {
    return std::to_string(placeholders) + " placeholders, " + std::to_string(statement.parameters.size()) + " parameters";
  }
  return std::nullopt;
}

}  // namespace weir::query
