#include "cli/weirctl_query.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/printable.h"
#include "cli/weirctl_chart.h"
#include "cli/weirctl_client.h"

namespace weir::cli {
namespace {

using nlohmann::ordered_json;

constexpr size_t kQueryOctetsMax = 256 * 1024;
constexpr size_t kTableOctetsMax = 256u << 20;
constexpr size_t kErrorOctetsMax = 64 * 1024;
constexpr size_t kSparkLinesMax = 16;
constexpr size_t kBarCharactersMin = 8, kBarCharactersMax = 60;

void say(const std::string& what) { std::fprintf(stderr, "weirctl: %s\n", what.c_str()); }

// ── the question ─────────────────────────────────────────────────────────────────────────────────

struct Reply {
  CURL* curl = nullptr;
  bool is_table = false;
  std::string body;  // of a table or an error; else it goes to standard output as it comes
  bool is_truncated = false;  // as a header, or behind the body
  std::string left_out;       // empty: nothing
  std::string notes;          // a list of texts, as JSON

  static size_t take(char* data, size_t size, size_t count, void* self) {
    auto& reply = *static_cast<Reply*>(self);
    const size_t octets = size * count;
    long status = 0;
    curl_easy_getinfo(reply.curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
      reply.body.append(data, std::min(octets, kErrorOctetsMax - std::min(kErrorOctetsMax, reply.body.size())));
      return octets;
    }
    if (!reply.is_table) return std::fwrite(data, 1, octets, stdout);
    if (reply.body.size() + octets > kTableOctetsMax) return 0;
    reply.body.append(data, octets);
    return octets;
  }
};

/// Trailers come here too.
size_t take_header(char* data, size_t size, size_t count, void* self) {
  const std::string_view line(data, size * count);
  const auto begins = [line](std::string_view with) {
    return line.size() >= with.size() && std::equal(with.begin(), with.end(), line.begin(), [](char a, char b) {
      return a == b || (b >= 'A' && b <= 'Z' && a == b - 'A' + 'a');
    });
  };
  constexpr std::string_view kLeftOut = "x-weir-left-out: ", kNotes = "x-weir-notes: ";
  const auto behind = [line](std::string_view name) { return line.substr(name.size(), line.find_last_not_of("\r\n") + 1 - name.size()); };
  auto& reply = *static_cast<Reply*>(self);
  if (begins("x-weir-truncated: true")) reply.is_truncated = true;
  if (begins(kLeftOut)) reply.left_out = behind(kLeftOut);
  if (begins(kNotes)) reply.notes = behind(kNotes);
  return size * count;
}

std::string read_text(const QueryOptions& options) {
  if (!options.text.empty() && options.text != "-") return options.text;
  std::string text;
  for (char c; text.size() < kQueryOctetsMax && std::cin.get(c);) text += c;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

/// `             ^^^` below the place of the query.
void point_at(const std::string& text, const ordered_json& error) {
  if (!error.contains("position") || !error["position"].is_number_unsigned()) return;
  const auto position = error["position"].get<size_t>();
  const auto length = error.value("length", size_t{1});
  std::string line = text;
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::replace(line.begin(), line.end(), '\t', ' ');
  std::fprintf(stderr, "  %s\n  %s%s\n", printable(line).c_str(), std::string(position - std::min<size_t>(position, 1), ' ').c_str(),
               std::string(std::clamp<size_t>(length, 1, 200), '^').c_str());
}

int explain_status(long status, const std::string& body, const QueryOptions& options, const std::string& text) {
  const auto json = ordered_json::parse(body, nullptr, /*allow_exceptions=*/false);
  const bool has_error = json.is_object() && json.contains("error") && json["error"].is_string();
  say(has_error ? json["error"].get<std::string>() : fmt::format("{} answered with status {}; is it weir-api's?", options.api, status));
  if (has_error) point_at(text, json);
  if (status == 401) say("WEIR_API_TOKEN holds the token that is shown");
  return status == 401 || status == 403 ? kNoPermission : kRefused;
}

int ask(const QueryOptions& options, const std::string& text, std::string& table) {
  const bool is_url = options.api.starts_with("http://") || options.api.starts_with("https://");
  if (!is_url && access(options.api.c_str(), F_OK) != 0) {
    say(fmt::format("{}: no such socket; is weir-api running, and is listen.unix this one? (--api PATH or URL names another)", options.api));
    return kNoAppliance;
  }
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  const std::string format = options.format == "table" ? "json" : options.format;
  std::string base = is_url ? options.api : "http://localhost";
  while (base.ends_with('/')) base.pop_back();
  const std::string url = fmt::format("{}{}?format={}", base, options.is_sql ? "/api/sql" : "/api/query", format);
  const std::string body = ordered_json{{options.is_sql ? "sql" : "query", text}}.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  curl_slist* list = curl_slist_append(nullptr, "Content-Type: application/json");
  if (const char* const token = std::getenv("WEIR_API_TOKEN"); token != nullptr && *token != '\0') {
    list = curl_slist_append(list, fmt::format("Authorization: Bearer {}", token).c_str());
  }
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, curl_slist_free_all);
  Reply reply{curl.get(), options.format == "table", {}, false};
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  if (!is_url) curl_easy_setopt(curl.get(), CURLOPT_UNIX_SOCKET_PATH, options.api.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, 5L);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, 1L);  // of an answer that comes, however long it takes
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.timeout_secs));
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  if (!options.ca_file.empty()) curl_easy_setopt(curl.get(), CURLOPT_CAINFO, options.ca_file.c_str());
  if (!options.cert_file.empty()) curl_easy_setopt(curl.get(), CURLOPT_SSLCERT, options.cert_file.c_str());
  if (!options.key_file.empty()) curl_easy_setopt(curl.get(), CURLOPT_SSLKEY, options.key_file.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Reply::take);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &reply);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &reply);
  const CURLcode rc = curl_easy_perform(curl.get());
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (rc == CURLE_WRITE_ERROR && reply.is_table) {
    say(fmt::format("the answer is larger than {} MiB; --format csv and ndjson write it as it comes", kTableOctetsMax >> 20));
    return kRefused;
  }
  if (rc == CURLE_OPERATION_TIMEDOUT) {
    say(fmt::format("{}: nothing came for {} s (--timeout)", options.api, options.timeout_secs));
    return kNoAppliance;
  }
  if (rc != CURLE_OK && status == 200) {
    say("the answer was cut: the store failed, or weir-api has ended; what came is not all of it");
    return kRefused;
  }
  if (rc != CURLE_OK) {
    say(fmt::format("{}: {}", options.api, rc == CURLE_COULDNT_CONNECT ? "nobody answers, or there is no permission" : curl_easy_strerror(rc)));
    return kNoAppliance;
  }
  if (status != 200) return explain_status(status, reply.body, options, text);
  // A table shows them itself, and in JSON they are where people look.
  const bool has_notes_inside = options.format == "table" || options.format == "json";
  const auto notes = has_notes_inside ? ordered_json() : ordered_json::parse(reply.notes, nullptr, /*allow_exceptions=*/false);
  for (const auto& note : notes.is_array() ? notes : ordered_json::array()) {
    if (note.is_string()) say(printable(note.get<std::string>()));
  }
  // In a table the body itself says so, with how many there are.
  if (reply.is_truncated && options.format != "table") say(options.is_sql ? "there are more rows than these" : "there are more rows than these (limit:)");
  if (!reply.left_out.empty()) say("the store cannot read all that it has of this time, and left out: " + printable(reply.left_out));
  table = std::move(reply.body);
  return kAnswered;
}

// ── what is shown ────────────────────────────────────────────────────────────────────────────────

struct Column {
  std::string name, type, unit, function;
  bool is_number() const { return type == "integer" || type == "number"; }
  /// What bars and charts are of. The time that a group was last seen is a value, too, but no length.
  bool is_value() const { return !function.empty() && type != "time"; }
};

struct Rows {
  std::vector<Column> columns;
  std::vector<ordered_json> rows;  // lists
};

Rows rows_of(const ordered_json& answer) {
  Rows out;
  for (const auto& c : answer.at("columns")) {
    out.columns.push_back({c.value("name", ""), c.value("type", ""), c.value("unit", ""), c.value("function", "")});
  }
  const bool has_lists = answer.contains("rows");
  for (const auto& row : answer.at(has_lists ? "rows" : "results")) {
    if (has_lists) {
      out.rows.push_back(row);
      continue;
    }
    ordered_json list = ordered_json::array();
    for (const Column& column : out.columns) list.push_back(row.value(column.name, ordered_json()));
    out.rows.push_back(std::move(list));
  }
  return out;
}

std::string cell_text(const ordered_json& cell) {
  if (cell.is_null()) return "-";
  if (cell.is_string()) return printable(cell.get<std::string>());
  if (cell.is_number_float()) return fmt::format("{:.6g}", cell.get<double>());
  return printable(cell.dump());
}

size_t characters_in(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// The value that rows come by, the largest first; else the first that there is.
size_t value_shown(const Rows& rows) {
  size_t first = rows.columns.size();
  for (size_t i = 0; i < rows.columns.size(); ++i) {
    if (!rows.columns[i].is_value()) continue;
    first = std::min(first, i);
    const bool is_sorted = std::is_sorted(rows.rows.begin(), rows.rows.end(), [i](const auto& a, const auto& b) {
      return a[i].is_number() && b[i].is_number() && a[i].template get<double>() > b[i].template get<double>();
    });
    if (is_sorted) return i;
  }
  return first;
}

/// A table, with bars behind it of one value where groups are shown and there is room.
void print_table(const Rows& rows, bool with_bars, const Look& look) {
  const size_t n = rows.columns.size();
  std::vector<size_t> widths(n);
  std::vector<std::vector<std::string>> cells;
  std::vector<bool> is_right(n);
  for (size_t i = 0; i < n; ++i) {
    widths[i] = characters_in(rows.columns[i].name);
    is_right[i] = rows.columns[i].is_number() ||
                  (!rows.rows.empty() && std::all_of(rows.rows.begin(), rows.rows.end(), [&](const auto& r) { return r.at(i).is_number() || r.at(i).is_null(); }));
  }
  for (const auto& row : rows.rows) {
    auto& line = cells.emplace_back();
    for (size_t i = 0; i < n; ++i) {
      line.push_back(i < row.size() ? cell_text(row[i]) : "");
      widths[i] = std::max(widths[i], characters_in(line.back()));
    }
  }
  const size_t value_at = value_shown(rows);
  size_t used = 0;
  for (const size_t width : widths) used += width + 2;
  size_t room = look.width > used ? std::min(look.width - used, kBarCharactersMax) : 0;
  if (!with_bars || value_at == n || room < kBarCharactersMin) room = 0;
  double largest = 0;
  if (room > 0) {
    for (const auto& row : rows.rows) largest = std::max(largest, row[value_at].is_number() ? row[value_at].get<double>() : 0.0);
  }
  const auto print_line = [&](const std::vector<std::string>& line, const std::string& tail) {
    std::string text;
    for (size_t i = 0; i < n; ++i) {
      const std::string blanks(widths[i] - characters_in(line[i]), ' ');
      if (i != 0) text += "  ";
      text += is_right[i] ? blanks : line[i];
      text += is_right[i] ? line[i] : blanks;
    }
    if (!tail.empty()) text.append("  ").append(tail);
    text.erase(text.find_last_not_of(' ') + 1);
    std::puts(text.c_str());
  };
  std::vector<std::string> heads;
  for (const Column& column : rows.columns) heads.push_back(printable(column.name));
  for (size_t i = 0; i < n; ++i) widths[i] = std::max(widths[i], characters_in(heads[i]));
  print_line(heads, "");
  for (size_t r = 0; r < cells.size(); ++r) {
    const auto& number = room > 0 ? rows.rows[r][value_at] : ordered_json();
    print_line(cells[r], number.is_number() ? bar(number.get<double>(), largest, room, look) : std::string());
  }
}

/// Buckets that nothing fell into have no row: nothing was sent then, unless it is a mean, of which nothing is known.
std::vector<Series> series_of(const Rows& rows, size_t value_at, const std::vector<std::string>& times) {
  const std::string& function = rows.columns[value_at].function;
  const bool is_sum = function == "sum" || function == "count" || function == "rate";
  std::map<std::string, size_t> place;
  for (size_t i = 0; i < times.size(); ++i) place[times[i]] = i;
  std::vector<Series> all;
  std::map<std::string, size_t> by_name;
  for (const auto& row : rows.rows) {
    std::string name;
    for (size_t i = 1; i < value_at; ++i) {
      if (!rows.columns[i].function.empty()) continue;
      if (!name.empty()) name += ' ';
      name += cell_text(row[i]);
    }
    const auto [at, is_new] = by_name.emplace(name, all.size());
    if (is_new) all.push_back({name, std::vector<std::optional<double>>(times.size(), is_sum ? std::optional<double>(0) : std::nullopt)});
    const auto found = place.find(row[0].is_string() ? row[0].get<std::string>() : "");
    if (found != place.end() && row[value_at].is_number()) all[at->second].values[found->second] = row[value_at].get<double>();
  }
  return all;
}

int64_t seconds_of(const std::string& time) {
  std::tm tm{};
  std::string text = time;
  if (text.size() > 10) text[10] = 'T';
  return strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &tm) == nullptr ? 0 : timegm(&tm);
}

/// All buckets from the first that has a row to the last, whether they have one or not; the places are those of texts that there are.
bool print_chart(const Rows& rows, int64_t bucket_secs, const Look& look) {
  if (rows.rows.empty() || rows.columns.size() < 2 || rows.columns[0].type != "time" || bucket_secs <= 0) return false;
  const auto value = std::find_if(rows.columns.begin(), rows.columns.end(), [](const Column& c) { return c.is_value(); });
  if (value == rows.columns.end()) return false;
  std::set<std::string> known;
  for (const auto& row : rows.rows) {
    if (row[0].is_string()) known.insert(row[0].get<std::string>());
  }
  if (known.empty()) return false;
  std::vector<std::string> times;
  constexpr size_t kBucketsMax = 100'000;
  for (const std::string& time : known) {
    // Days of 23 and 25 hours are not that many seconds behind one another: half a bucket is near enough.
    while (!times.empty() && times.size() < kBucketsMax) {
      const int64_t gap = seconds_of(time) - seconds_of(*known.begin()) - static_cast<int64_t>(times.size()) * bucket_secs;
      if (gap < bucket_secs / 2 + 1) break;
      times.emplace_back(fmt::format("-{}", times.size()));  // nobody's
    }
    times.push_back(time);
  }
  const auto all = series_of(rows, static_cast<size_t>(value - rows.columns.begin()), times);
  const size_t shown = bucket_secs % 60 == 0 ? 16 : 19;  // to the minute, to the second
  const std::string from = known.begin()->substr(0, shown), to = known.rbegin()->substr(0, shown);
  std::printf("%s\n", fmt::format("{}{}{}, a column {}", value->function, value->unit.empty() ? "" : " of ", value->unit,
                                  bucket_secs % 86'400 == 0 ? fmt::format("{} d", bucket_secs / 86'400) : bucket_secs % 3600 == 0 ? fmt::format("{} h", bucket_secs / 3600)
                                  : bucket_secs % 60 == 0 ? fmt::format("{} min", bucket_secs / 60) : fmt::format("{} s", bucket_secs)).c_str());
  const auto lines = all.size() == 1 ? column_chart(all[0], from, to, look) : spark_lines(all, from, to, kSparkLinesMax, look);
  for (const std::string& line : lines) std::puts(line.c_str());
  return true;
}

int show(const QueryOptions& options, const std::string& body) {
  const auto answer = ordered_json::parse(body, nullptr, /*allow_exceptions=*/false);
  try {
    const Rows rows = rows_of(answer);
    const Look look = terminal_look();
    const bool has_charts = options.chart == "on" || (options.chart == "auto" && look.is_terminal);
    if (!has_charts || !print_chart(rows, answer.value("bucket_seconds", int64_t{0}), look)) print_table(rows, has_charts, look);
    for (const auto& note : answer.value("notes", ordered_json::array())) std::fprintf(stderr, "%s\n", note.get<std::string>().c_str());
    if (rows.rows.empty()) std::fprintf(stderr, "no flows\n");
    if (answer.value("truncated", false)) std::fprintf(stderr, "%zu rows; there are more%s\n", rows.rows.size(), options.is_sql ? "" : " (limit:)");
    return kAnswered;
  } catch (const ordered_json::exception& e) {
    say(fmt::format("the answer has another shape than this weirctl knows: {}", e.what()));
    return kRefused;
  }
}

}  // namespace

int run_query(const QueryOptions& options) {
  if (options.format == "parquet" && isatty(STDOUT_FILENO) != 0) {
    say("Parquet is not for terminals: > file.parquet");
    return kWrongUsage;
  }
  const std::string text = read_text(options);
  if (text.empty()) {
    say(options.is_sql ? "no statement, as argument or on standard input" : "no query, as argument or on standard input; such as 'in:flows time:last_1h groupby:src_ip'");
    return kWrongUsage;
  }
  std::string body;
  const int status = ask(options, text, body);
  if (status != kAnswered || options.format != "table") return status;
  return show(options, body);
}

}  // namespace weir::cli
