#include "classify/rule_groups.h"

#include <algorithm>

namespace weir::classify {
namespace {

constexpr size_t kSelectiveMax = 128;  // octets that a pattern may begin with, for one that tells something by them
/// Beyond, comparing takes longer than a scan (1000 words at a fixed place: 2 µs a sample, by the engine 29 ns).
constexpr size_t kGroupWaysMax = 16;
constexpr size_t kDraftsMax = 1024;

struct Draft {
  std::vector<PortRange> ports;  // all of its rules'
  bool is_selective = false;
  bool is_exact = false;  // each can be met octet by octet
  uint32_t flags = 0;     // of all
  std::vector<uint16_t> rules;
  std::vector<std::optional<PatternHead>> heads;

  void take(Draft&& other) {
    // None: any.
    if (ports.empty() || other.ports.empty()) {
      ports.clear();
    } else if (ports != other.ports) {
      ports.insert(ports.end(), other.ports.begin(), other.ports.end());
    }
    rules.insert(rules.end(), other.rules.begin(), other.rules.end());
    heads.insert(heads.end(), other.heads.begin(), other.heads.end());
    is_selective = is_selective && other.is_selective;
    is_exact = is_exact && other.is_exact;
  }
};

/// What a single rule would be scanned for in.
Draft draft_of(const Rule& rule) {
  const auto head = head_of(rule.pattern);
  Draft draft;
  if (rule.ports) draft.ports = rule.ports->ranges();
  draft.is_selective = head && std::min((*head)[0].count(), (*head)[1].count()) <= kSelectiveMax;
  draft.is_exact = exact_ways_of(rule.pattern).has_value();
  draft.flags = rule.pattern.flags;
  draft.heads.push_back(head);
  return draft;
}

bool belong_together(const Draft& draft, const Draft& one) {
  if (draft.ports != one.ports || draft.is_selective != one.is_selective || draft.is_exact != one.is_exact) return false;
  // PERF: with patterns of other flags a scan of an HTTP request took twice the time of two scans (sflow_all_known).
  if (!one.is_exact && draft.flags != one.flags) return false;
  if (!one.ports.empty() || !one.is_selective) return true;
  return std::any_of(draft.heads.begin(), draft.heads.end(), [&](const auto& other) { return overlap(one.heads[0].value(), other.value()); });
}

/// Drafts for which `may` says so into the one before for which it does, as long as that has `fits`.
template <class May, class Fits>
void join(std::vector<Draft>& drafts, May may, Fits fits) {
  std::vector<Draft> joined;
  std::optional<size_t> open;
  for (Draft& draft : drafts) {
    const bool is_one = may(draft);
    if (is_one && open && fits(joined[*open], draft)) {
      joined[*open].take(std::move(draft));
      continue;
    }
    if (is_one) open = joined.size();
    joined.push_back(std::move(draft));
  }
  drafts = std::move(joined);
}

/// As many ports together as a gate looks at one by one.
template <class May>
void join_ports(std::vector<Draft>& drafts, May may) {
  join(drafts, [&](const Draft& draft) { return !draft.ports.empty() && may(draft); },
       [](const Draft& open, const Draft& draft) { return open.ports.size() + draft.ports.size() <= kGatePortsMax; });
}

/// In one, whatever the port.
template <class May>
void join_all(std::vector<Draft>& drafts, May may) {
  join(drafts, may, [](const Draft&, const Draft&) { return true; });
}

/// To what a gate has room for: what has ports goes together first, and what then still tells something by its first octets.
void make_room(std::vector<Draft>& drafts) {
  const auto is_full = [&] { return drafts.size() > kGateGroupsMax; };
  for (const bool is_selective : {true, false})
    for (const bool is_exact : {false, true})
      if (is_full()) join_ports(drafts, [&](const Draft& draft) { return draft.is_selective == is_selective && draft.is_exact == is_exact; });
  if (is_full()) join_all(drafts, [&](const Draft& draft) { return draft.is_selective && !draft.ports.empty(); });
  if (is_full()) join_all(drafts, [&](const Draft& draft) { return !draft.ports.empty(); });
  while (is_full()) {
    drafts[drafts.size() - 2].take(std::move(drafts.back()));
    drafts.pop_back();
  }
}

/// Nothing where the engine is faster, or needed.
std::optional<ExactMatch> exact_match_of(std::span<const Rule> rules, const std::vector<uint16_t>& which) {
  ExactMatch made;
  size_t count = 0;
  for (size_t i = 0; i < which.size(); ++i) {
    const auto ways = exact_ways_of(rules[which[i]].pattern);
    if (!ways || (count += ways->size()) > kGroupWaysMax) return std::nullopt;
    made.add(static_cast<uint16_t>(i), *ways);
  }
  return made;
}

}  // namespace

void sort_into_groups(std::span<const Rule> rules, std::span<const uint16_t> which, PayloadGate& gate) {
  std::vector<Draft> drafts;
  for (const uint16_t index : which) {
    Draft one = draft_of(rules[index]);
    one.rules.push_back(index);
    const auto at = std::find_if(drafts.begin(), drafts.end(), [&](const Draft& draft) { return belong_together(draft, one); });
    if (at != drafts.end()) {
      at->take(std::move(one));
    } else if (drafts.size() < kDraftsMax) {
      drafts.push_back(std::move(one));
    } else {
      drafts.back().take(std::move(one));
    }
  }
  make_room(drafts);
  for (Draft& draft : drafts) {
    GateGroup group;
    group.is_anchored = std::all_of(draft.heads.begin(), draft.heads.end(), [](const auto& head) { return head.has_value(); });
    group.exact = exact_match_of(rules, draft.rules);
    group.lookout.rules = std::move(draft.rules);
    gate.add(std::move(group), draft.heads, draft.ports);
  }
}

}  // namespace weir::classify
