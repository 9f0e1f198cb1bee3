#include "cli/weirctl_chart.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace weir::cli {
namespace {

constexpr size_t kChartLines = 8;
constexpr size_t kWidthMin = 20, kWidthMax = 1000;
constexpr size_t kNameCharactersMax = 32;
constexpr std::string_view kColour = "\x1b[36m", kPlain = "\x1b[0m";
constexpr const char* kAcross[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
constexpr const char* kUp[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

bool says_utf8(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr || *value == '\0') return false;
  const std::string_view text(value);
  return text.find("UTF-8") != std::string_view::npos || text.find("utf8") != std::string_view::npos || text.find("UTF8") != std::string_view::npos;
}
bool is_set(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

std::string coloured(std::string text, const Look& look) {
  return look.has_colour && !text.empty() ? fmt::format("{}{}{}", kColour, text, kPlain) : text;
}

size_t characters_in(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string cut_name(const std::string& name) {
  if (characters_in(name) <= kNameCharactersMax) return name;
  size_t at = 0;
  for (size_t n = 0; at < name.size(); ++at) {
    if ((static_cast<unsigned char>(name[at]) & 0xc0) != 0x80 && ++n == kNameCharactersMax) break;
  }
  return name.substr(0, at) + "…";
}

double largest_of(const Series& series) {
  double largest = 0;
  for (const auto& value : series.values) largest = std::max(largest, value.value_or(0));
  return largest;
}

/// Several buckets a column where there are more than `width`: how many.
size_t buckets_a_column(size_t buckets, size_t width) { return buckets <= width ? 1 : (buckets + width - 1) / width; }

std::vector<std::optional<double>> columns_of(const Series& series, size_t each) {
  std::vector<std::optional<double>> columns;
  for (size_t at = 0; at < series.values.size(); at += each) {
    double sum = 0;
    size_t known = 0;
    for (size_t i = at; i < std::min(at + each, series.values.size()); ++i) {
      if (!series.values[i]) continue;
      sum += *series.values[i];
      ++known;
    }
    columns.push_back(known == 0 ? std::nullopt : std::optional<double>(sum / static_cast<double>(known)));
  }
  return columns;
}

/// How many eighths of a line there are between `bottom` and the value, all in lines.
std::string cell(double lines, size_t bottom, const Look& look) {
  const double part = std::clamp(lines - static_cast<double>(bottom), 0.0, 1.0);
  if (!look.has_blocks) return part >= 0.5 ? "#" : " ";
  auto eighths = static_cast<size_t>(std::lround(part * 8));
  if (eighths == 0 && bottom == 0 && lines > 0) eighths = 1;  // a little is not nothing
  return kUp[eighths];
}

std::string time_axis(const std::string& from, const std::string& to, size_t width) {
  if (from.size() + to.size() + 1 > width) return from;
  return from + std::string(width - from.size() - to.size(), ' ') + to;
}

}  // namespace

Look terminal_look() {
  Look look;
  look.is_terminal = isatty(STDOUT_FILENO) != 0;
  winsize size{};
  if (const char* const columns = std::getenv("COLUMNS"); columns != nullptr && std::atoi(columns) > 0) {
    look.width = static_cast<size_t>(std::atoi(columns));
  } else if (look.is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    look.width = size.ws_col;
  }
  look.width = std::clamp(look.width, kWidthMin, kWidthMax);
  const char* const terminal = std::getenv("TERM");
  look.has_colour = look.is_terminal && !is_set("NO_COLOR") && terminal != nullptr && std::string_view(terminal) != "dumb";
  // The first of these that is set is what goes.
  look.has_blocks = is_set("LC_ALL") ? says_utf8("LC_ALL") : is_set("LC_CTYPE") ? says_utf8("LC_CTYPE") : says_utf8("LANG");
  return look;
}

std::string bar(double value, double largest, size_t width, const Look& look) {
  if (!(value > 0) || !(largest > 0) || width == 0) return {};
  const double characters = value / largest * static_cast<double>(width);
  if (!look.has_blocks) return coloured(std::string(std::max<size_t>(1, static_cast<size_t>(std::lround(characters))), '#'), look);
  const auto eighths = std::max<size_t>(1, static_cast<size_t>(std::lround(characters * 8)));
  std::string text;
  for (size_t i = 0; i < eighths / 8; ++i) text += kAcross[8];
  return coloured(text + kAcross[eighths % 8], look);
}

std::string short_number(double value) {
  constexpr const char* kUnits[] = {"", " k", " M", " G", " T", " P", " E"};
  size_t unit = 0;
  double n = value;
  while (std::fabs(n) >= 999.5 && unit + 1 < std::size(kUnits)) {
    n /= 1000;
    ++unit;
  }
  if (unit == 0 && n == std::floor(n)) return fmt::format("{:.0f}", n);
  return fmt::format("{:.{}f}{}", n, std::fabs(n) < 9.995 ? 2 : std::fabs(n) < 99.95 ? 1 : 0, kUnits[unit]);
}

std::vector<std::string> column_chart(const Series& series, const std::string& from, const std::string& to, const Look& look) {
  const double largest = largest_of(series);
  const std::string top = short_number(largest);
  const size_t left = std::max<size_t>(characters_in(top), 1);
  const size_t width = look.width - std::min(look.width - 1, left + 2);
  const size_t each = buckets_a_column(series.values.size(), width);
  const auto columns = columns_of(series, each);
  const size_t wide = std::max<size_t>(1, width / std::max<size_t>(1, columns.size()));
  std::vector<std::string> lines;
  for (size_t line = kChartLines; line-- > 0;) {
    std::string drawn;
    for (const auto& column : columns) {
      const double height = largest > 0 ? column.value_or(0) / largest * kChartLines : 0;
      for (size_t i = 0; i < wide; ++i) drawn += cell(height, line, look);
    }
    drawn.erase(drawn.find_last_not_of(' ') + 1);
    const std::string label = line + 1 == kChartLines ? top : line == 0 ? "0" : "";
    lines.push_back(fmt::format("{}{} {}{}", std::string(left - characters_in(label), ' '), label, look.has_blocks ? "│" : "|", coloured(drawn, look)));
  }
  lines.push_back(std::string(left + 2, ' ') + time_axis(from, to, columns.size() * wide));
  if (each > 1) lines.push_back(fmt::format("each column is the mean of {} buckets", each));
  return lines;
}

std::vector<std::string> spark_lines(const std::vector<Series>& series, const std::string& from, const std::string& to, size_t lines_max, const Look& look) {
  std::vector<const Series*> order;
  for (const Series& s : series) order.push_back(&s);
  const auto sum = [](const Series* s) {
    double total = 0;
    for (const auto& v : s->values) total += v.value_or(0);
    return total;
  };
  std::stable_sort(order.begin(), order.end(), [&](const Series* a, const Series* b) { return sum(a) > sum(b); });
  const size_t left_out = order.size() > lines_max ? order.size() - lines_max : 0;
  order.resize(order.size() - left_out);
  double largest = 0;
  size_t names = 0, buckets = 0;
  for (const Series* s : order) {
    largest = std::max(largest, largest_of(*s));
    names = std::max(names, characters_in(cut_name(s->name)));
    buckets = std::max(buckets, s->values.size());
  }
  const size_t right = 10;  // two blanks and the line's own largest
  const size_t width = look.width > names + 2 + right ? look.width - names - 2 - right : 10;
  const size_t each = buckets_a_column(buckets, width);
  const size_t columns = (buckets + each - 1) / each;
  const size_t wide = std::max<size_t>(1, width / std::max<size_t>(1, columns));
  std::vector<std::string> lines;
  for (const Series* s : order) {
    std::string drawn;
    for (const auto& column : columns_of(*s, each)) {
      for (size_t i = 0; i < wide; ++i) drawn += cell(largest > 0 ? column.value_or(0) / largest : 0, 0, look);
    }
    const std::string name = cut_name(s->name);
    lines.push_back(fmt::format("{}{}  {}  {}", name, std::string(names - characters_in(name), ' '), coloured(drawn, look), short_number(largest_of(*s))));
  }
  lines.push_back(std::string(names + 2, ' ') + time_axis(from, to, columns * wide));
  lines.push_back(fmt::format("all to one scale, 0 to {}{}{}", short_number(largest), each > 1 ? fmt::format("; each column is the mean of {} buckets", each) : "",
                              left_out > 0 ? fmt::format("; {} smaller ones are not shown", left_out) : ""));
  return lines;
}

}  // namespace weir::cli
