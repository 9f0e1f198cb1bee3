#include "query/rollups.h"

#include <algorithm>
#include <array>
#include <span>

namespace weir::query {
namespace {

// From the one with the fewest rows to the one with the most: the first that fits answers.
constexpr Rollup kRollups[] = {
    {"interface", "f.sampler_address f.in_if f.out_if"},
    {"service", "f.protocol_num f.dst_endpoint_port f.app"},
    {"as", "f.src_as f.dst_as f.src_country f.dst_country"},
    {"src", "f.src_endpoint_addr"},
    {"dst", "f.dst_endpoint_addr"},
};

struct Grain {
  std::string_view name;
  int64_t us;
  int64_t worth_us;  // less of it is not worth another table
  std::optional<int64_t> from_us = {};  // older sums are gone
};
constexpr Grain kGrains[] = {{"1d", 86'400 * kUsPerSec, 86'400 * kUsPerSec}, {"1h", 3600 * kUsPerSec, 3 * 3600 * kUsPerSec}, {"1m", 60 * kUsPerSec, 60 * kUsPerSec}};

template <class Each>
void for_each_word(std::string_view words, Each each) {
  while (!words.empty()) {
    const size_t blank = std::min(words.find(' '), words.size());
    each(words.substr(0, blank));
    words.remove_prefix(std::min(words.size(), blank + 1));
  }
}

void add_columns(const Predicate& predicate, std::vector<std::string_view>& out) {
  for (const Predicate& part : predicate.parts) add_columns(part, out);
  if (predicate.field == nullptr) return;
  if (predicate.column == predicate.field->column) {
    for_each_word(predicate.field->sources(), [&](std::string_view column) { out.push_back(column); });
  } else {
    out.push_back(predicate.column);
  }
}

bool has_sums_for(const Aggregate& a) {
  if (a.field == nullptr) return true;
  if (a.function != Function::sum && a.function != Function::avg && a.function != Function::rate) return false;
  constexpr std::array<std::string_view, 4> kSums = {"f.bytes_total", "f.packets_total", "f.bytes_raw", "f.packets_raw"};
  return std::find(kSums.begin(), kSums.end(), a.field->column) != kSums.end();
}

/// Buckets must not cut a grain in two.
bool fits(const Plan& plan, const Grain& grain) {
  if (!plan.bucket) return true;
  const int64_t width = plan.bucket->seconds * kUsPerSec;
  if (width % grain.us != 0) return false;
  for (const TimeZone::Transition& t : plan.bucket->transitions) {
    if (t.offset * kUsPerSec % grain.us != 0) return false;
  }
  return plan.bucket->offset_secs * kUsPerSec % grain.us == 0;
}

void add_pieces(std::optional<int64_t> start, std::optional<int64_t> end, std::span<const Grain> grains, std::vector<Piece>& out) {
  if (start && end && *start >= *end) return;
  if (grains.empty()) {
    out.push_back({{}, start, end});
    return;
  }
  const Grain& grain = grains.front();
  const auto rest = grains.subspan(1);
  std::optional<int64_t> first = grain.from_us, last;
  if (start) first = std::max(*start, first.value_or(*start));
  if (first) first = (*first + grain.us - 1) / grain.us * grain.us;
  if (end) last = *end / grain.us * grain.us;
  const bool is_worth_it = !first || !last || *last - *first >= grain.worth_us;
  if (!is_worth_it) return add_pieces(start, end, rest, out);
  if (first && start != first) add_pieces(start, first, rest, out);
  out.push_back({grain.name, first, last});
  if (end && *last < *end) add_pieces(last, end, rest, out);
}

}  // namespace

std::vector<std::string_view> columns_of(const Plan& plan) {
  std::vector<std::string_view> columns;
  add_columns(plan.filter, columns);
  for (const Key& key : plan.keys) {
    for_each_word(key.field->sources(), [&](std::string_view column) { columns.push_back(column); });
  }
  return columns;
}

const Rollup* rollup_for(const Plan& plan) noexcept {
  if (plan.shape == Shape::rows) return nullptr;
  if (!std::all_of(plan.aggregates.begin(), plan.aggregates.end(), has_sums_for)) return nullptr;
  if (std::none_of(std::begin(kGrains), std::end(kGrains), [&](const Grain& grain) { return fits(plan, grain); })) return nullptr;
  const auto columns = columns_of(plan);
  for (const Rollup& rollup : kRollups) {
    bool has_all = true;
    for (const std::string_view column : columns) {
      bool has = false;
      for_each_word(rollup.columns, [&](std::string_view own) { has |= own == column; });
      has_all &= has;
    }
    if (has_all) return &rollup;
  }
  return nullptr;
}

std::vector<Piece> pieces_of(const Plan& plan) {
  std::vector<Grain> grains;
  const RollupsKept& kept = plan.rollups_kept;
  for (Grain grain : kGrains) {
    grain.from_us = grain.name == "1d" ? kept.days_from_us : grain.name == "1h" ? kept.hours_from_us : kept.minutes_from_us;
    if (fits(plan, grain)) grains.push_back(grain);
  }
  std::vector<Piece> pieces;
  add_pieces(plan.window.start_us, plan.window.end_us, grains, pieces);
  return pieces;
}

}  // namespace weir::query
