#include "store/sql_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/ip_address.h"
#include "base/value_named.h"

namespace weir::store {
namespace {

using nlohmann::json;

/// `2025-08-19T20:46:05.839794Z`: UTC only.
std::optional<TimeMicros> parse_time(const std::string& text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, used = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &used) != 6) {
    return std::nullopt;
  }
  int64_t fraction = 0, scale = 1'000'000;
  auto at = static_cast<size_t>(used);
  if (at < text.size() && text[at] == '.') {
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      scale /= 10;
      fraction += (text[at] - '0') * scale;
    }
  }
  if (text.substr(at) != "Z" || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) {
    return std::nullopt;
  }
  tm parts{};
  parts.tm_year = year - 1900;
  parts.tm_mon = month - 1;
  parts.tm_mday = day;
  parts.tm_hour = hour;
  parts.tm_min = minute;
  parts.tm_sec = second;
  return TimeMicros{static_cast<int64_t>(timegm(&parts)) * 1'000'000 + fraction};
}

Result<SqlValue> value_of(const json& v) {
  if (v.is_null()) return SqlValue(std::monostate());
  if (v.is_boolean()) return SqlValue(v.get<bool>());
  if (v.is_number_unsigned() && v.get<uint64_t>() > INT64_MAX) return Error{"an integer is beyond 2^63-1"};
  if (v.is_number_integer()) return SqlValue(v.get<int64_t>());
  if (v.is_number()) return SqlValue(v.get<double>());
  if (v.is_string()) return SqlValue(v.get<std::string>());
  if (v.is_object() && v.size() == 1) {
    const std::string& key = v.begin().key();
    const json& inner = v.begin().value();
    if (key == "addr" && inner.is_string()) {
      const auto address = IpAddress::parse(inner.get<std::string>());
      if (!address) return Error{fmt::format("{} is no address", inner.get<std::string>())};
      AddressOctets octets;
      std::copy(address->octets.begin(), address->octets.end(), octets.begin());
      return SqlValue(octets);
    }
    if (key == "time" && inner.is_string()) {
      const auto time = parse_time(inner.get<std::string>());
      if (!time) return Error{fmt::format("{} is no time such as 2025-08-19T20:46:05Z", inner.get<std::string>())};
      return SqlValue(*time);
    }
  }
  return Error{"is to be a text, a number, true, false, null, {\"addr\": …} or {\"time\": …}"};
}

/// A positive integer up to `max`; nothing where the key is not there.
Result<uint64_t> limit_of(const json& body, const char* key, uint64_t max) {
  const auto found = body.find(key);
  if (found == body.end()) return uint64_t{0};
  if (!found->is_number_unsigned() || found->get<uint64_t>() == 0 || found->get<uint64_t>() > max) {
    return Error{fmt::format("{}: an integer from 1 to {}", key, max)};
  }
  return found->get<uint64_t>();
}

/// `[["2025-11-08T00:00:00Z", null], …]`
Result<std::vector<TimeRange>> ranges_of(const json& list) {
  const Error wrong{fmt::format("reads: a list of at most {} pairs of times such as [\"2025-08-19T20:46:05Z\", null]", kReadsMax)};
  if (!list.is_array() || list.size() > kReadsMax) return wrong;
  std::vector<TimeRange> ranges;
  for (const json& pair : list) {
    if (!pair.is_array() || pair.size() != 2) return wrong;
    TimeRange& range = ranges.emplace_back();
    for (const auto& [text, micros] : {std::pair(&pair[0], &range.from_micros), std::pair(&pair[1], &range.until_micros)}) {
      if (text->is_null()) continue;
      const auto time = text->is_string() ? parse_time(text->get<std::string>()) : std::nullopt;
      if (!time) return wrong;
      *micros = time->value;
    }
  }
  return ranges;
}

/// `{"src": ["192.0.2.0", "192.0.2.255"]}`; nothing where it is something else.
std::optional<EndRange> end_of(const json& object) {
  if (!object.is_object() || object.size() != 1 || !object.front().is_array() || object.front().size() != 2) return std::nullopt;
  const auto end = value_named<End>(object.begin().key());
  if (!end) return std::nullopt;
  EndRange range{.end = *end};
  for (const auto& [text, octets] : {std::pair(&object.front()[0], &range.first), std::pair(&object.front()[1], &range.last)}) {
    const auto address = text->is_string() ? IpAddress::parse(text->get<std::string>()) : std::nullopt;
    if (!address) return std::nullopt;
    *octets = address->octets;
  }
  return range;
}

/// `[[{"src": ["192.0.2.0", "192.0.2.255"]}, {"dst": […]}], …]`
Result<std::vector<EndClause>> ends_of(const json& list) {
  const Error wrong{fmt::format("ends: a list of at most {} lists of 1 to {} ranges such as {{\"src\": [\"192.0.2.0\", \"192.0.2.255\"]}}, src or dst", kEndClausesMax, kEndRangesMax)};
  if (!list.is_array() || list.size() > kEndClausesMax) return wrong;
  std::vector<EndClause> ends;
  for (const json& ranges : list) {
    if (!ranges.is_array() || ranges.empty() || ranges.size() > kEndRangesMax) return wrong;
    EndClause& clause = ends.emplace_back();
    for (const json& object : ranges) {
      const auto range = end_of(object);
      if (!range) return wrong;
      clause.push_back(*range);
    }
  }
  return ends;
}

Result<std::vector<std::string>> notes_of(const json& list) {
  const Error wrong{fmt::format("notes: a list of at most {} texts of {} octets together", kNotesMax, kNotesOctetsMax)};
  if (!list.is_array() || list.size() > kNotesMax) return wrong;
  std::vector<std::string> notes;
  size_t octets = 0;
  for (const json& note : list) {
    if (!note.is_string()) return wrong;
    octets += notes.emplace_back(note.get<std::string>()).size();
  }
  if (octets > kNotesOctetsMax) return wrong;
  return notes;
}

}  // namespace

Result<SqlRequest> parse_sql_request(std::string_view text) {
  const json body = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) return Error{"the body is to be a JSON object with \"sql\""};
  for (auto at = body.begin(); at != body.end(); ++at) {
    const std::string& key = at.key();
    constexpr std::string_view kKeys[] = {"sql", "parameters", "format", "max_rows", "timeout_ms", "reads", "ends", "notes"};
    if (std::find(std::begin(kKeys), std::end(kKeys), key) == std::end(kKeys)) {
      return Error{fmt::format("{} is no key; allowed: sql, parameters, format, max_rows, timeout_ms, reads, ends, notes", key)};
    }
  }
  SqlRequest request;
  const auto sql = body.find("sql");
  if (sql == body.end() || !sql->is_string()) return Error{"sql: a text is needed"};
  request.sql = sql->get<std::string>();
  if (const auto format = body.find("format"); format != body.end()) {
    const auto named = format->is_string() ? value_named<SqlFormat>(format->get<std::string>()) : std::nullopt;
    if (!named) return Error{"format: one of json, ndjson, csv, parquet"};
    request.format = *named;
  }
  if (const auto list = body.find("parameters"); list != body.end()) {
    if (!list->is_array() || list->size() > kParametersMax) {
      return Error{fmt::format("parameters: a list of at most {}", kParametersMax)};
    }
    for (size_t i = 0; i < list->size(); ++i) {
      auto value = value_of((*list)[i]);
      if (!value) return Error{fmt::format("parameters[{}]: {}", i, value.error().message)};
      request.parameters.push_back(std::move(*value));
    }
  }
  const auto max_rows = limit_of(body, "max_rows", INT64_MAX);
  if (!max_rows) return max_rows.error();
  request.max_rows = *max_rows;
  const auto timeout_ms = limit_of(body, "timeout_ms", 3'600'000);
  if (!timeout_ms) return timeout_ms.error();
  request.timeout_ms = static_cast<uint32_t>(*timeout_ms);
  if (const auto list = body.find("reads"); list != body.end()) {
    auto ranges = ranges_of(*list);
    if (!ranges) return ranges.error();
    request.reads = std::move(*ranges);
  }
  if (const auto list = body.find("ends"); list != body.end()) {
    auto ends = ends_of(*list);
    if (!ends) return ends.error();
    request.ends = std::move(*ends);
  }
  if (const auto list = body.find("notes"); list != body.end()) {
    auto notes = notes_of(*list);
    if (!notes) return notes.error();
    request.notes = std::move(*notes);
  }
  return request;
}

}  // namespace weir::store
