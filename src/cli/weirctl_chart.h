// weirctl_chart.h — Bars and columns in a terminal: from zero, to one scale, no wider than the terminal is.
//
// Runs on:  any thread. Pure, but for terminal_look.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::cli {

struct Look {
  size_t width = 80;
  bool is_terminal = false;
  bool has_colour = false;
  bool has_blocks = true;  // else # and *: the locale is not UTF-8
};

/// Of standard output: its width (COLUMNS, or what the terminal says), colour unless NO_COLOR is set.
Look terminal_look();

/// `value` of `largest` in `width` characters, to an eighth of one. Empty for nothing and what is below zero.
std::string bar(double value, double largest, size_t width, const Look& look);

/// 1234567 → 1.23 M
std::string short_number(double value);

struct Series {
  std::string name;
  std::vector<std::optional<double>> values;  // one for each bucket; none: nothing is known of it
};

/// Columns of several lines' height, with what the scale goes to at the left and the ends of time below. Where there are more
/// buckets than columns, each shows the mean of several, and the chart says so.
std::vector<std::string> column_chart(const Series& series, const std::string& from, const std::string& to, const Look& look);

/// A line for each, all to one scale. The largest `lines_max`, and how many are not shown.
std::vector<std::string> spark_lines(const std::vector<Series>& series, const std::string& from, const std::string& to, size_t lines_max,
                                     const Look& look);

}  // namespace weir::cli
