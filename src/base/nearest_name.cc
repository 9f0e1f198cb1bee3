#include "base/nearest_name.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace weir {

namespace {

/// How many letters must change to make one word of the other (Levenshtein).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view nearest_name(std::string_view wrong, std::span<const std::string_view> names) {
  constexpr size_t kNameOctetsMax = 64;
  if (wrong.size() > kNameOctetsMax) return {};
  std::string_view best;
  size_t least = std::max<size_t>(2, wrong.size() / 3) + 1;
  for (const std::string_view name : names) {
    if (name.size() > kNameOctetsMax) continue;
    const size_t distance = edit_distance(wrong, name);
    if (distance < least) {
      best = name;
      least = distance;
    }
  }
  return best;
}

}  // namespace weir
