#include "query/posix_zone.h"

#include <algorithm>
#include <chrono>

namespace weir::query {
namespace {

constexpr int64_t kHourSecs = 3600, kDaySecs = 86'400;

/// M3.5.0, J60, 59, and the time of day.
struct ChangeDay {
  enum class Form : uint8_t { weekday_of_month, day_without_february_29, day } form = Form::day;
  int month = 1, week = 1, weekday = 0, day = 0;
  int64_t time_secs = 2 * kHourSecs;
};

class RuleReader {
 public:
  explicit RuleReader(std::string_view text) : rest_(text) {}

  bool is_over() const { return rest_.empty(); }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool name() {
    const bool is_bracketed = take('<');
    size_t n = 0;
    while (n < rest_.size() && (is_bracketed ? rest_[n] != '>' : (rest_[n] >= 'A' && rest_[n] <= 'Z') || (rest_[n] >= 'a' && rest_[n] <= 'z'))) ++n;
    rest_.remove_prefix(n);
    return n >= 3 && (!is_bracketed || take('>'));
  }
  bool number(int max, int& out) {
    size_t n = 0;
    out = 0;
    for (; n < rest_.size() && n < 3 && rest_[n] >= '0' && rest_[n] <= '9'; ++n) out = out * 10 + (rest_[n] - '0');
    rest_.remove_prefix(n);
    return n > 0 && out <= max;
  }
  /// [+-]h[:mm[:ss]]
  bool clock(int hours_max, int64_t& secs) {
    const bool is_negative = take('-');
    if (!is_negative) take('+');
    int hours = 0, minutes = 0, seconds = 0;
    if (!number(hours_max, hours)) return false;
    if (take(':') && !number(59, minutes)) return false;
    if (take(':') && !number(59, seconds)) return false;
    secs = hours * kHourSecs + minutes * 60 + seconds;
    if (is_negative) secs = -secs;
    return true;
  }
  bool day(ChangeDay& out) {
    if (take('M')) {
      out.form = ChangeDay::Form::weekday_of_month;
      if (!number(12, out.month) || out.month < 1 || !take('.') || !number(5, out.week) || out.week < 1 || !take('.') || !number(6, out.weekday)) return false;
    } else if (take('J')) {
      out.form = ChangeDay::Form::day_without_february_29;
      if (!number(365, out.day) || out.day < 1) return false;
    } else if (!number(365, out.day)) {
      return false;
    }
    return !take('/') || clock(167, out.time_secs);
  }

 private:
  std::string_view rest_;
};

/// As if its clocks were UTC's.
int64_t secs_of(const ChangeDay& change, int year) {
  using namespace std::chrono;
  const auto y = std::chrono::year(year);
  sys_days day = sys_days(y / January / 1);
  switch (change.form) {
    case ChangeDay::Form::weekday_of_month: {
      const auto m = y / month(static_cast<unsigned>(change.month));
      const auto wanted = weekday(static_cast<unsigned>(change.weekday));
      day = change.week == 5 ? sys_days(m / wanted[last]) : sys_days(m / wanted[static_cast<unsigned>(change.week)]);
      break;
    }
    case ChangeDay::Form::day_without_february_29: day += days(change.day - 1 + (y.is_leap() && change.day >= 60)); break;
    case ChangeDay::Form::day: day += days(change.day); break;
  }
  return day.time_since_epoch().count() * kDaySecs + change.time_secs;
}

}  // namespace

std::optional<std::vector<TimeZone::Transition>> transitions_of_rule(std::string_view rule, int64_t behind_secs) {
  RuleReader in(rule);
  std::vector<TimeZone::Transition> transitions;
  int64_t west = 0;
  if (!in.name() || !in.clock(24, west)) return std::nullopt;
  const int64_t standard = -west;
  if (in.is_over()) return transitions;
  int64_t summer = standard + kHourSecs;
  if (!in.name()) return std::nullopt;
  if (!in.take(',')) {
    if (!in.clock(24, west) || !in.take(',')) return std::nullopt;
    summer = -west;
  }
  ChangeDay begins, ends;
  if (!in.day(begins) || !in.take(',') || !in.day(ends) || !in.is_over()) return std::nullopt;
  const auto first = std::chrono::year_month_day(std::chrono::sys_days(std::chrono::days(behind_secs / kDaySecs - 1))).year();
  for (int year = std::max(1970, static_cast<int>(first)); year <= kRuleYearMax; ++year) {
    transitions.push_back({secs_of(begins, year) - standard, summer});
    transitions.push_back({secs_of(ends, year) - summer, standard});
  }
  std::sort(transitions.begin(), transitions.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  std::erase_if(transitions, [&](const auto& t) { return t.at <= behind_secs; });
  return transitions;
}

}  // namespace weir::query
