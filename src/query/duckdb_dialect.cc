#include <fmt/format.h>

#include "query/dialect.h"

namespace weir::query {
namespace {

std::string joined(const std::vector<std::string>& values) {
  std::string out;
  for (const std::string& value : values) out += (out.empty() ? "" : ", ") + value;
  return out;
}

// Where nothing else says what a placeholder is, DuckDB makes no plan before values are bound, and cannot tell the columns
// of the answer by then. Of a placeholder in list_filter's lambda it never makes one.
std::string as_number(const std::string& placeholder) { return fmt::format("CAST({} AS BIGINT)", placeholder); }
std::string as_text_value(const std::string& placeholder) { return fmt::format("CAST({} AS VARCHAR)", placeholder); }

std::string list_of(const std::vector<std::string>& placeholders, ListOf kind) {
  std::vector<std::string> typed;
  for (const std::string& each : placeholders) typed.push_back(kind == ListOf::numbers ? as_number(each) : as_text_value(each));
  return fmt::format("[{}]", joined(typed));
}

class DuckDb final : public Dialect {
 public:
  std::string placeholder(size_t) const override { return "?"; }
  std::string quoted(std::string_view name) const override { return fmt::format("\"{}\"", name); }

  std::string address_text(const std::string& a) const override { return fmt::format("ip_text({})", a); }
  std::string masked(const std::string& a, int bits) const override { return fmt::format("ip_mask({}, {})", a, bits); }
  std::string network_text(const std::string& network, int bits) const override {
    // Only IPv6 addresses have a colon in their text.
    return bits <= 32 ? fmt::format("ip_text({}) || '/{}'", network, bits)
                      : fmt::format("ip_text({0}) || CASE WHEN contains(ip_text({0}), ':') THEN '/{1}' ELSE '/32' END", network, bits);
  }
  std::string mac_text(const std::string& mac) const override { return fmt::format("mac_text({})", mac); }
  std::string as_text(const std::string& number) const override { return fmt::format("CAST({} AS VARCHAR)", number); }

  std::string like(const std::string& text, const std::string& pattern) const override {
    return fmt::format("{} ILIKE {} ESCAPE '\\'", text, pattern);
  }
  std::string matches(const std::string& text, const std::string& pattern) const override {
    return fmt::format("regexp_matches({}, {})", text, pattern);
  }
  std::string bits(const std::string& column, const std::string& mask) const override { return fmt::format("({} & {})", column, as_number(mask)); }
  std::string has_all(const std::string& list, ListOf kind, const std::vector<std::string>& values) const override {
    return fmt::format("list_has_all({}, {})", list, list_of(values, kind));
  }
  std::string has_any(const std::string& list, ListOf kind, const std::vector<std::string>& values) const override {
    return fmt::format("list_has_any({}, {})", list, list_of(values, kind));
  }
  std::string has_like(const std::string& list, const std::string& pattern) const override {
    return fmt::format("list_bool_or(list_transform({}, lambda x: x ILIKE {} ESCAPE '\\'))", list, as_text_value(pattern));
  }
  std::string has_match(const std::string& list, const std::string& pattern) const override {
    return fmt::format("list_bool_or(list_transform({}, lambda x: regexp_matches(x, {})))", list, as_text_value(pattern));
  }

  std::string epoch_us(const std::string& instant) const override { return fmt::format("epoch_us({})", instant); }
  std::string instant(const std::string& us) const override { return fmt::format("make_timestamptz({})", us); }
  // PERF: time_bucket would take six times as long, and with a zone sixty times.
  std::string multiple(const std::string& number, int64_t width) const override { return fmt::format("({}) // {} * {}", number, width, width); }

  std::string sum(const std::string& number) const override {
    return fmt::format("CAST(least(coalesce(sum({}), 0), 9223372036854775807) AS BIGINT)", number);
  }
  std::string percentile(const std::string& number, double fraction) const override {
    return fmt::format("quantile_cont({}, {})", number, fraction);
  }
  std::string hash(const std::vector<std::string>& values) const override {
    return fmt::format("CAST(hash({}) >> 1 AS BIGINT)", joined(values));
  }
};

}  // namespace

const Dialect& duckdb_dialect() {
  static const DuckDb dialect;
  return dialect;
}

}  // namespace weir::query
