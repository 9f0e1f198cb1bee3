// decimal_range.h — What an option that is a decimal number may be.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace weir::cli {

/// CLI::Range, but "nan", which is neither below nor above anything, is in no range.
inline CLI::Validator decimal_range(double least, double most) {
  const CLI::Range range(least, most);
  CLI::Validator validator(
      [range, least, most](std::string& input) {
        double value = 0;
        if (CLI::detail::lexical_cast(input, value) && value >= least && value <= most) return std::string();
        // CLI::Range's own words, which for what is no number at all are the same.
        return "Value " + input + " not in range " + std::to_string(least) + " to " + std::to_string(most);
      },
      range.get_description());
  return validator;
}

}  // namespace weir::cli
