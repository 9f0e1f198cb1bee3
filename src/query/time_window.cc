#include "query/time_window.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "query/scanner.h"

namespace weir::query {
namespace {

constexpr int64_t kDaySecs = 86'400;
constexpr int64_t kYearsSecsMax = 200ll * 366 * kDaySecs;

constexpr std::string_view kWindowForms =
    "allowed: last_5m, last_24h, 7d, today, yesterday, [start,end] with 2026-11-01, \"2026-11-01 10:00:00\" or 2026-11-01T10:00:00Z, and >= or < before one of these";
constexpr std::string_view kInstantForms = "allowed: 2026-11-01, 2026-11-01 10:00:00, 2026-11-01T10:00:00Z with an offset for Z, now";

/// Reads digits and separators from the left.
class Digits {
 public:
  explicit Digits(std::string_view text) : text_(text) {}
  bool number(size_t digits, int& out) {
    if (text_.size() < digits) return false;
    out = 0;
    for (size_t i = 0; i < digits; ++i) {
      if (text_[i] < '0' || text_[i] > '9') return false;
      out = out * 10 + (text_[i] - '0');
    }
    text_.remove_prefix(digits);
    return true;
  }
  bool take(std::string_view any_of) {
    if (text_.empty() || any_of.find(text_.front()) == std::string_view::npos) return false;
    text_.remove_prefix(1);
    return true;
  }
  /// .123456: microseconds; further digits are cut off.
  bool fraction(int64_t& us) {
    size_t digits = 0;
    for (int64_t unit = kUsPerSec / 10; digits < text_.size() && text_[digits] >= '0' && text_[digits] <= '9'; ++digits, unit /= 10) {
      us += (text_[digits] - '0') * unit;
    }
    text_.remove_prefix(digits);
    return digits > 0 && digits <= 9;
  }
  std::string_view rest() const { return text_; }

 private:
  std::string_view text_;
};

/// Local time, and the offset if it says one.
struct Clock {
  int64_t local_secs = 0;
  int64_t us = 0;
  std::optional<int64_t> offset_secs;
};

bool read_offset(std::string_view text, std::optional<int64_t>& out) {
  if (text == "Z" || text == "z") {
    out = 0;
    return true;
  }
  Digits in(text);
  int hours = 0, minutes = 0;
  const bool is_west = text.front() == '-';
  if (!in.take("+-") || !in.number(2, hours) || !in.take(":") || !in.number(2, minutes) || !in.rest().empty()) return false;
  if (hours > 18 || minutes > 59) return false;
  out = (is_west ? -1 : 1) * (hours * 3600 + minutes * 60);
  return true;
}

std::optional<Clock> read_clock(std::string_view text) {
  Digits in(text);
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!in.number(4, year) || !in.take("-") || !in.number(2, month) || !in.take("-") || !in.number(2, day)) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || year < 1970) return std::nullopt;
  Clock clock;
  clock.local_secs = std::chrono::sys_days(date).time_since_epoch().count() * kDaySecs;
  if (in.rest().empty()) return clock;
  if (!in.take("Tt ") || !in.number(2, hour) || !in.take(":") || !in.number(2, minute)) return std::nullopt;
  if (in.take(":") && !in.number(2, second)) return std::nullopt;
  if (in.take(".") && !in.fraction(clock.us)) return std::nullopt;
  if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
  clock.local_secs += hour * 3600 + minute * 60 + second;
  if (!in.rest().empty() && !read_offset(in.rest(), clock.offset_secs)) return std::nullopt;
  return clock;
}

Place place_of(const Text& text) { return {text.place.at, text.place.octets == 0 ? 1 : text.place.octets}; }

/// Midnight of the day in which `now` is, so many days on.
int64_t midnight_us(const TimeZone& zone, int64_t now_us, int64_t days) {
  const int64_t now_secs = now_us / kUsPerSec;
  const int64_t local = now_secs + zone.offset_at(now_secs);
  return zone.to_utc((local / kDaySecs + days) * kDaySecs) * kUsPerSec;
}

TimeWindow named_window(const Condition& condition, const TimeZone& zone, int64_t now_us) {
  const Text& value = condition.values[0];
  if (same_word(value.text, "today")) return {midnight_us(zone, now_us, 0), now_us};
  if (same_word(value.text, "yesterday")) return {midnight_us(zone, now_us, -1), midnight_us(zone, now_us, 0)};
  std::string_view text = value.text;
  if (text.size() > 5 && same_word(text.substr(0, 4), "last") && (text[4] == '_' || text[4] == ' ')) text.remove_prefix(5);
  const auto secs = read_duration_secs(text);
  if (!secs) refuse(place_of(value), fmt::format("'{}' is no time; {}", value.text, kWindowForms));
  if (*secs * kUsPerSec > now_us) refuse(place_of(value), fmt::format("'{}' begins before 1970", value.text));
  return {now_us - *secs * kUsPerSec, now_us};
}

TimeWindow bracketed_window(const Condition& condition, const TimeZone& zone, int64_t now_us) {
  if (condition.kind != Values::bracketed || condition.values.size() != 2) {
    refuse(condition.place, fmt::format("a window is [start,end]; {}", kWindowForms));
  }
  TimeWindow window;
  if (!condition.values[0].text.empty()) window.start_us = read_instant(condition.values[0], zone, now_us);
  if (!condition.values[1].text.empty()) window.end_us = read_instant(condition.values[1], zone, now_us);
  if (!window.start_us && !window.end_us) refuse(condition.place, "a window needs a start or an end");
  return window;
}

TimeWindow compared_window(const Condition& condition, const TimeZone& zone, int64_t now_us) {
  const int64_t us = read_instant(condition.values[0], zone, now_us);
  switch (condition.comparison) {
    case Comparison::at_least: return {us, std::nullopt};
    case Comparison::greater: return {std::min(us + 1, kInstantMaxUs), std::nullopt};
    case Comparison::less: return {std::nullopt, us};
    case Comparison::at_most: return {std::nullopt, std::min(us + 1, kInstantMaxUs)};
    default: refuse(condition.place, fmt::format("time: cannot be matched; {}", kWindowForms));
  }
}

}  // namespace

std::optional<int64_t> read_duration_secs(std::string_view text) {
  size_t digits = 0;
  int64_t number = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    if (digits > 9) return std::nullopt;
    number = number * 10 + (text[digits] - '0');
  }
  if (digits == 0 || number == 0) return std::nullopt;
  text.remove_prefix(digits);
  while (!text.empty() && (text.front() == ' ' || text.front() == '_')) text.remove_prefix(1);
  struct Unit {
    std::string_view words;
    int64_t secs;
  };
  static constexpr Unit kUnits[] = {{"s sec secs second seconds", 1},
                                    {"m min mins minute minutes", 60},
                                    {"h hr hrs hour hours", 3600},
                                    {"d day days", kDaySecs},
                                    {"w week weeks", 7 * kDaySecs}};
  for (const Unit& unit : kUnits) {
    std::string_view words = unit.words;
    while (!words.empty()) {
      const size_t blank = std::min(words.find(' '), words.size());
      if (same_word(words.substr(0, blank), text)) {
        return number * unit.secs <= kYearsSecsMax ? std::optional<int64_t>(number * unit.secs) : std::nullopt;
      }
      words.remove_prefix(std::min(words.size(), blank + 1));
    }
  }
  return std::nullopt;
}

int64_t read_instant(const Text& text, const TimeZone& zone, int64_t now_us) {
  if (same_word(text.text, "now")) return now_us;
  const auto clock = read_clock(text.text);
  if (!clock) refuse(place_of(text), fmt::format("'{}' is no time; {}", text.text, kInstantForms));
  const int64_t secs = clock->offset_secs ? clock->local_secs - *clock->offset_secs : zone.to_utc(clock->local_secs);
  const int64_t us = secs * kUsPerSec + clock->us;
  if (us < 0 || us > kInstantMaxUs) refuse(place_of(text), fmt::format("'{}' is before 1970 or after 9999 in UTC", text.text));
  return us;
}

std::optional<int64_t> instant_of(std::string_view text) {
  const auto clock = read_clock(text);
  if (!clock || !clock->offset_secs) return std::nullopt;
  const int64_t us = (clock->local_secs - *clock->offset_secs) * kUsPerSec + clock->us;
  return us < 0 || us > kInstantMaxUs ? std::nullopt : std::optional<int64_t>(us);
}

TimeWindow read_window(const std::vector<Condition>& times, const TimeZone& zone, int64_t now_us) {
  if (times.empty()) return {now_us - kDefaultWindowSecs * kUsPerSec, now_us};
  TimeWindow window;
  bool has_whole = false;
  for (const Condition& condition : times) {
    const bool is_plain = condition.comparison == Comparison::equal;
    if (is_plain && has_whole) refuse(condition.place, "time: is said twice");
    has_whole |= is_plain;
    const TimeWindow one = !is_plain                       ? compared_window(condition, zone, now_us)
                           : condition.kind == Values::one ? named_window(condition, zone, now_us)
                                                           : bracketed_window(condition, zone, now_us);
    if (one.start_us && (!window.start_us || *one.start_us > *window.start_us)) window.start_us = one.start_us;
    if (one.end_us && (!window.end_us || *one.end_us < *window.end_us)) window.end_us = one.end_us;
  }
  if (window.start_us && window.end_us && *window.start_us >= *window.end_us) {
    refuse(times.back().place, fmt::format("the window is empty: it begins at {} and ends at {}", instant_text(*window.start_us),
                                           instant_text(*window.end_us)));
  }
  return window;
}

std::string instant_text(int64_t us) {
  using namespace std::chrono;
  const auto day = floor<days>(sys_time<microseconds>(microseconds(us)));
  const year_month_day date(day);
  const int64_t in_day = us - duration_cast<microseconds>(day.time_since_epoch()).count();
  std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", int(date.year()), unsigned(date.month()), unsigned(date.day()),
                                 in_day / (3600 * kUsPerSec), in_day / (60 * kUsPerSec) % 60, in_day / kUsPerSec % 60);
  if (const int64_t fraction = in_day % kUsPerSec; fraction != 0) {
    text += fraction % 1000 == 0 ? fmt::format(".{:03}", fraction / 1000) : fmt::format(".{:06}", fraction);
  }
  return text + "Z";
}

}  // namespace weir::query
