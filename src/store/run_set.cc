#include "store/run_set.h"

#include <algorithm>
#include <charconv>

namespace weir::store {
namespace {

/// Takes a number from the front of `text`.
template <class T>
bool take_number(std::string_view& text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

/// Between two: never at the end.
bool take_blank(std::string_view& text) {
  if (text.size() < 2 || text.front() != ' ') return false;
  text.remove_prefix(1);
  return true;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

bool RunSet::has(BatchPlace place) const noexcept {
  const Run wanted = run_of(place);
  const auto at = std::lower_bound(runs_.begin(), runs_.end(), wanted.last, [](const Run& run, Position p) { return run.last < p; });
  return at != runs_.end() && at->first <= wanted.first;
}

Verdict RunSet::add(BatchPlace place, size_t runs_max) {
  const auto [first, last] = run_of(place);
  if (first < floor_) return Verdict::unsure;

  // Mostly it is the next one.
  if (!runs_.empty() && first == runs_.back().last + 1) {
    runs_.back().last = last;
    return Verdict::fresh;
  }
  // The first run that ends at or behind it: what it may touch or overlap, as none before can.
  auto at = std::lower_bound(runs_.begin(), runs_.end(), first, [](const Run& run, Position p) { return run.last + 1 < p; });
  if (at == runs_.end() || at->first > last + 1) {
    runs_.insert(at, {first, last});
    if (runs_.size() > runs_max) {
      runs_.erase(runs_.begin());
      floor_ = runs_.front().first;
    }
    return Verdict::fresh;
  }
  if (at->first <= first && last <= at->last) return Verdict::repeated;
  auto end = at;
  bool overlaps = false;
  Run joined{first, last};
  for (; end != runs_.end() && end->first <= last + 1; ++end) {
    overlaps |= end->first <= last && first <= end->last;
    joined.first = std::min(joined.first, end->first);
    joined.last = std::max(joined.last, end->last);
  }
  *at = joined;
  runs_.erase(at + 1, end);
  return overlaps ? Verdict::unsure : Verdict::fresh;
}

std::string RunSet::to_text() const {
  std::string text;
  const auto put = [&](Position p, uint32_t whole_part) {
    text += std::to_string(sequence_of(p));
    if (const auto part = static_cast<uint32_t>(p & kPartMask); part != whole_part) text += '.' + std::to_string(part);
  };
  if (floor_ != 0) {
    text = "floor ";
    put(floor_, 0);
    text += ';';
  }
  for (const Run& run : runs_) {
    if (!text.empty()) text += ' ';
    put(run.first, 0);
    text += '-';
    put(run.last, BatchPlace::kWhole);
  }
  return text;
}

std::optional<RunSet> RunSet::parse(std::string_view text) {
  RunSet set;
  const auto take_position = [&](Position& p, uint32_t part) {
    uint64_t sequence = 0;
    if (!take_number(text, sequence) || (take(text, ".") && !take_number(text, part))) return false;
    p = Position{sequence} << 32 | part;
    return true;
  };
  if (take(text, "floor ")) {
    if (!take_position(set.floor_, 0) || !take(text, ";") || !(text.empty() || take_blank(text))) return std::nullopt;
  }
  while (!text.empty()) {
    Run run{};
    if (!take_position(run.first, 0) || !take(text, "-") || !take_position(run.last, BatchPlace::kWhole)) return std::nullopt;
    const bool is_behind = set.runs_.empty() ? run.first >= set.floor_ : run.first > set.runs_.back().last + 1;
    if (run.last < run.first || !is_behind || !(text.empty() || take_blank(text))) return std::nullopt;
    set.runs_.push_back(run);
  }
  return set;
}

}  // namespace weir::store
