// prefix_list.cc — Lists of prefixes with names.
#include <fmt/format.h>

#include <unordered_map>
#include <utility>

#include "base/printable.h"
#include "base/read_file.h"
#include "base/utf8.h"
#include "enrich/csv.h"
#include "enrich/data_set.h"

namespace weir::enrich {

namespace {

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// Some editors and spreadsheets put one before the text.
std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  return text.substr(0, kMark.size()) == kMark ? text.substr(kMark.size()) : text;
}

}  // namespace

Result<DataSet> parse_list(std::string_view text, const std::string& path, DataSetKind kind) {
  DataSet set;
  set.kind = kind;
  set.path = path;
  set.type = name_of(kind);
  set.version = set.digest = version_of(text);
  set.entries.emplace_back();
  std::unordered_map<std::string, uint32_t> values;
  size_t number = 0;
  bool is_first = true;  // of those that say something
  for (std::string_view rest = without_byte_order_mark(text); !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const size_t comma = line.find(',');
    const std::string_view prefix_text = trimmed(line.substr(0, comma));
    std::string_view name = comma == std::string_view::npos ? std::string_view() : trimmed(line.substr(comma + 1));
    if (std::exchange(is_first, false) && prefix_text == "prefix") continue;  // a heading
    auto prefix = parse_prefix(prefix_text);
    const auto wrong = [&](std::string_view why) { return Error{fmt::format("{}:{}: {}", path, number, why)}; };
    if (!prefix) return wrong(fmt::format("{} is no prefix, as 192.0.2.0/24 and 2001:db8::/32 are", printable(prefix_text.substr(0, 60))));
    const bool is_quoted = name.size() >= 2 && name.front() == '"' && name.back() == '"';
    if (is_quoted) name = name.substr(1, name.size() - 2);
    if (name.empty()) return wrong("behind the prefix there is no name");
    if (name.size() > kNameOctetsMax) return wrong(fmt::format("a name has at most {} octets", kNameOctetsMax));
    if (set.prefixes.size() == kPrefixesMax) return wrong(fmt::format("a list has at most {} prefixes", kPrefixesMax));
    std::string fit(name);
    for (size_t at = 0; is_quoted && (at = fit.find("\"\"", at)) != std::string::npos; ++at) fit.erase(at, 1);
    make_utf8(reinterpret_cast<uint8_t*>(fit.data()), fit.size());
    const auto [at, is_new] = values.try_emplace(fit, static_cast<uint32_t>(set.entries.size()));
    if (is_new) {
      Entry entry;
      (kind == DataSetKind::cloud ? entry.cloud : entry.threat) = fit;
      set.entries.push_back(std::move(entry));
    }
    prefix->value = at->second;
    set.prefixes.push_back(*prefix);
  }
  return set;
}

Result<DataSet> read_list(const std::string& path, DataSetKind kind) {
  const auto text = read_file(path, kListOctetsMax);
  if (!text) return text.error();
  return parse_list(*text, path, kind);
}

}  // namespace weir::enrich
