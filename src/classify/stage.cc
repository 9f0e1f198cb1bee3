#include "classify/stage.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/prefetch.h"
#include "base/utf8.h"

namespace weir::classify {
namespace {

constexpr uint8_t kTcp = 6;

ArenaRef text_ref(const FlowRecord& r, LookPlace place) noexcept {
  switch (place) {
    case LookPlace::application_id: return r.application_id;
    case LookPlace::application_name: return r.application_name;
    case LookPlace::user_name: return r.user_name;
    case LookPlace::server_name: return r.server_name;
    case LookPlace::in_if_name: return r.in_if_name;
    case LookPlace::out_if_name: return r.out_if_name;
    case LookPlace::ingress_vrf_name: return r.ingress_vrf_name;
    case LookPlace::egress_vrf_name: return r.egress_vrf_name;
    default: return {};
  }
}

/// The same for both directions of a flow, wherever it is asked; another for each salt.
uint64_t hash_of(const FlowRecord& r, uint64_t salt) noexcept {
  const uint64_t ends = hash_of(r.src_addr, salt ^ r.src_port * 0x9E3779B97F4A7C15ull) +
                        hash_of(r.dst_addr, salt ^ r.dst_port * 0x9E3779B97F4A7C15ull);
  uint64_t h = (ends ^ r.proto) * 0xD6E8FEB86659FD93ull;
  return h ^ h >> 32;
}

struct Ends {
  uint32_t src_port, dst_port;
};
/// Whether the record tells of a header in a tunnel, with a payload behind it or none. With one, the payload's counts.
bool is_inner(const FlowRecord& r) noexcept {
  return (r.arena_parts & arena_part::kPayload) != 0 ? r.payload.is_inner != 0 : r.present.has(Field::inner_proto);
}

/// Of the innermost header.
Ends ends_of(const FlowRecord& r) noexcept {
  return is_inner(r) ? Ends{r.inner_src_port, r.inner_dst_port} : Ends{r.src_port, r.dst_port};
}

uint32_t protocol_of(const FlowRecord& r) noexcept {
  if ((r.arena_parts & arena_part::kPayload) != 0) return r.payload.proto;
  return is_inner(r) ? r.inner_proto : r.proto;
}

/// Of the first of a list's items, with its length.
size_t item_octets(std::string_view list) noexcept {
  uint16_t length = 0;
  std::memcpy(&length, list.data(), sizeof length);
  return sizeof length + length;
}

}  // namespace

void Stage::Matches::add(uint16_t rule, StageCounters& counters) noexcept {
  size_t place = count;
  while (place > 0 && rules[place - 1] > rule) --place;
  if (place > 0 && rules[place - 1] == rule) return;
  if (count == rules.size()) {
    // Whatever a sender makes match, those of the highest priority stay.
    counters.matches_left_out.increment();
    if (place == count) return;
    --count;
  }
  std::copy_backward(rules.begin() + place, rules.begin() + count, rules.begin() + count + 1);
  rules[place] = rule;
  ++count;
}

void Stage::Matches::keep(const Matches& other) noexcept {
  std::copy_n(other.rules.begin(), other.count, rules.begin());
  count = other.count;
  method = other.method;
}

bool Stage::Matches::is_same(const Matches& other) const noexcept {
  return count == other.count && method.data() == other.method.data() &&
         std::equal(rules.begin(), rules.begin() + count, other.rules.begin());
}

Stage::Stage(std::shared_ptr<const RuleSet> rules)
    : rules_(std::move(rules)), rule_counters_(std::make_unique<RuleCounters[]>(rules_->rules().size())) {}

Result<std::unique_ptr<Stage>> Stage::make(std::shared_ptr<const RuleSet> rules) {
  std::unique_ptr<Stage> stage(new Stage(std::move(rules)));
  const RuleSet& set = *stage->rules_;
  Result<void> fits;
  RuleSet::for_each_lookout(set, [&](const Lookout& lookout) {
    if (fits) fits = stage->scratch_.fit(*lookout.database);
  });
  if (!fits) return fits.error();
  return stage;
}

bool Stage::look(const RecordBurst& burst, std::span<Verdict> verdicts) noexcept {
  used_ = 0;
  has_written_ = false;
  counters_.records.add(burst.records.size());
  // PERF: the decoder has read headers only; all payloads are fetched at once.
  uint32_t parts = 0;
  for (const FlowRecord& record : burst.records) {
    parts |= record.arena_parts;
    if ((record.arena_parts & arena_part::kPayload) != 0) prefetch(burst.packets + record.payload.offset, record.payload.octets);
  }
  // Most records of NetFlow have nothing that somebody looks into.
  const uint32_t looked_into =
      arena_part::kPayload | arena_part::kStrings | (rules_->asks_elements() ? arena_part::kUnmapped : 0u);
  if (!rules_->asks_every_record() && (parts & looked_into) == 0) return true;
  bool is_plain = true;
  for (size_t i = 0; i < burst.records.size(); ++i) {
    const Verdict verdict = look_at(burst, burst.records[i]);
    if (is_plain) {
      if (verdict == Verdict{}) continue;
      is_plain = false;
      std::fill_n(verdicts.begin(), i, Verdict{});
    }
    verdicts[i] = verdict;
  }
  return is_plain;
}

Verdict Stage::look_at(const RecordBurst& burst, FlowRecord& record) noexcept {
  const RuleSet& set = *rules_;
  matches_.count = 0;
  matches_.method = {};
  is_view_shown_ = false;
  if ((record.arena_parts & arena_part::kPayload) != 0) scan_payload(burst, record);
  if (!set.texts_.empty() && (record.arena_parts & arena_part::kStrings) != 0) scan_texts(burst, record);
  if (!set.elements_.empty() && (record.arena_parts & arena_part::kUnmapped) != 0) scan_elements(burst, record);
  for (const uint16_t rule : set.plain_) consider(rule, burst, record);
  return matches_.count == 0 ? Verdict{} : apply(burst, record);
}

void Stage::consider(uint16_t rule, const RecordBurst& burst, const FlowRecord& record) noexcept {
  if (!rules_->actions_[rule].asks_more || holds(rules_->rules_[rule], rule, burst, record)) matches_.add(rule, counters_);
}

void Stage::scan(const Lookout& lookout, std::span<const uint8_t> octets, const RecordBurst& burst,
                 const FlowRecord& record) noexcept {
  const auto found = [&](uint16_t pattern) { consider(lookout.rules[pattern], burst, record); };
  if (!lookout.database->scan(octets, scratch_, found)) counters_.scan_errors.increment();
}

void Stage::scan_payload(const RecordBurst& burst, FlowRecord& record) noexcept {
  if (burst.packets == nullptr) return;
  const PayloadGate& gate = record.payload.proto == kTcp ? rules_->tcp_ : rules_->udp_;
  const std::span<const uint8_t> payload(burst.packets + record.payload.offset, record.payload.octets);
  const Ends ends = ends_of(record);
  uint64_t candidates = gate.candidates(payload, ends.src_port, ends.dst_port);
  if (candidates == 0) return;
  for (; candidates != 0; candidates &= candidates - 1) {
    const GateGroup& group = gate.groups()[static_cast<size_t>(std::countr_zero(candidates))];
    if (group.exact) {
      group.exact->find(payload, [&](uint16_t pattern) { consider(group.lookout.rules[pattern], burst, record); });
      continue;
    }
    counters_.scans.increment();
    const size_t octets = group.is_anchored ? std::min<size_t>(payload.size(), group.lookout.width_max) : payload.size();
    scan(group.lookout, payload.first(octets), burst, record);
  }
  if (matches_.count != 0) extract_name(burst, record, payload);
}

/// By the first rule that has something to take out; what the exporter said itself stays.
void Stage::extract_name(const RecordBurst& burst, FlowRecord& record, std::span<const uint8_t> payload) noexcept {
  for (size_t i = 0; i < matches_.count; ++i) {
    const Extract what = rules_->actions_[matches_.rules[i]].extracts;
    if (what == Extract::none) continue;
    ExtractedName name;
    extract(what, payload, record.payload.proto, name);
    matches_.method = name.method;
    if (name.size == 0 || record.server_name.count != 0) return;
    uint8_t* const at = take(burst, name.size, record.server_name);
    if (at == nullptr) return;
    std::memcpy(at, name.octets.data(), name.size);
    record.arena_parts |= arena_part::kStrings;
    counters_.names.increment();
    is_view_shown_ = false;
    return;
  }
}

void Stage::scan_texts(const RecordBurst& burst, const FlowRecord& record) noexcept {
  for (const auto& [place, lookout] : rules_->texts_) {
    const ArenaRef ref = text_ref(record, place);
    if (ref.count == 0) continue;
    const std::span<const uint8_t> text(burst.arena + ref.offset, ref.count);
    if (lookout.is_utf8) {
      scan_utf8(lookout, text, burst, record);
    } else {
      scan(lookout, text, burst, record);
    }
  }
}

/// As the record will have it: what is no UTF-8 becomes so in the encoder.
void Stage::scan_utf8(const Lookout& lookout, std::span<const uint8_t> text, const RecordBurst& burst,
                      const FlowRecord& record) noexcept {
  std::array<uint8_t, kStringOctetsMax> copy;
  const size_t octets = std::min(text.size(), copy.size());
  std::copy_n(text.begin(), octets, copy.begin());
  make_utf8(copy.data(), octets);
  scan(lookout, {copy.data(), octets}, burst, record);
}

void Stage::scan_elements(const RecordBurst& burst, const FlowRecord& record) noexcept {
  constexpr size_t kElementHeadOctets = 8;  // as FlowRecord::unmapped says
  std::span<const uint8_t> rest(burst.arena + record.unmapped.offset, record.unmapped.count);
  while (rest.size() >= kElementHeadOctets) {
    ElementKey key;
    uint16_t length = 0;
    std::memcpy(&key.enterprise, rest.data(), 4);
    std::memcpy(&key.id, rest.data() + 4, 2);
    std::memcpy(&length, rest.data() + 6, 2);
    rest = rest.subspan(kElementHeadOctets);
    if (length > rest.size()) return;
    for (const auto& [element, lookout] : rules_->elements_)
      if (element == key) scan(lookout, rest.first(length), burst, record);
    rest = rest.subspan(length);
  }
}

/// What the rule asks beside its pattern.
bool Stage::holds(const Rule& rule, uint16_t index, const RecordBurst& burst, const FlowRecord& record) noexcept {
  if (rule.protocol && *rule.protocol != protocol_of(record)) return false;
  if (rule.ports) {
    const Ends ends = ends_of(record);
    if (!rule.ports->has_either(ends.src_port, ends.dst_port)) return false;
  }
  if (rule.exporters && !rule.exporters->contains(burst.header.exporter_address) &&
      !rule.exporters->contains(burst.header.sampler_address)) {
    return false;
  }
  if (!rule.entry) return true;
  if (!is_view_shown_) {
    rules_->fields_.show(burst.header, record, burst.arena, view_);
    is_view_shown_ = true;
  }
  rules_->program_.run(view_, condition_scratch_, outcome_, {}, *rule.entry);
  if (outcome_.errors != 0) rule_counters_[index].errors.increment();
  return outcome_.is_dropped;
}

Verdict Stage::apply(const RecordBurst& burst, FlowRecord& record) noexcept {
  Verdict verdict;
  counters_.matched.increment();
  for (size_t i = 0; i < matches_.count; ++i) {
    const uint16_t index = matches_.rules[i];
    const RuleSet::Action& action = rules_->actions_[index];
    RuleCounters& counters = rule_counters_[index];
    counters.hits.increment();
    const bool is_sampled_away = action.sample > 1 && hash_of(record, rules_->salts_[index]) % action.sample != 0;
    if (action.drops || is_sampled_away) {
      counters.drops.increment();
      return {action.drops ? Fate::dropped : Fate::sampled_away, 0};
    }
    if (action.sample > 1) {
      // What is not known counts as every packet.
      const uint64_t rate = std::max<uint64_t>(record.sampling_rate, 1);
      if (__builtin_mul_overflow(rate, uint64_t{action.sample}, &record.sampling_rate)) record.sampling_rate = UINT64_MAX;
    }
    if (verdict.route == 0) verdict.route = action.route;
  }
  write(burst, matches_.count, record);
  return verdict;
}

bool Stage::is_in_draft(std::string_view label) const noexcept {
  for (std::string_view rest(draft_.data(), draft_octets_); !rest.empty();) {
    const size_t octets = item_octets(rest);
    if (rest.substr(0, octets) == label) return true;
    rest.remove_prefix(octets);
  }
  return false;
}

/// `label`: its length before it, as records have it.
void Stage::append_label(std::string_view label) noexcept {
  if (is_in_draft(label)) return;
  if (draft_items_ == kLabelsMax || draft_octets_ + label.size() > draft_.size()) return counters_.labels_left_out.increment();
  std::memcpy(draft_.data() + draft_octets_, label.data(), label.size());
  draft_octets_ += label.size();
  ++draft_items_;
}

void Stage::keep_draft(const RecordBurst& burst, ArenaRef& ref) noexcept {
  uint8_t* const at = draft_octets_ != 0 ? take(burst, draft_octets_, ref) : nullptr;
  if (at != nullptr) {
    std::memcpy(at, draft_.data(), draft_octets_);
  } else if (draft_items_ > 1) {
    counters_.labels_left_out.add(draft_items_ - 1);  // one is counted
  }
  draft_octets_ = draft_items_ = 0;
}

/// PERF: most records that match at all match one rule, whose texts are as they will be: one copy (sflow_all_known).
bool Stage::write_of_one(const RecordBurst& burst) noexcept {
  const RuleSet::Action& action = rules_->actions_[matches_.rules[0]];
  const size_t octets = action.labels.size() + action.rule_id.size() + action.application.size();
  if (burst.stage_arena == nullptr || octets > kStageArenaOctets - used_) return false;
  std::memcpy(burst.stage_arena + used_, action.labels.data(), octets);
  const auto ref = [&](std::string_view text) {
    const ArenaRef made{static_cast<uint16_t>(text.empty() ? 0 : kArenaOctets + used_), static_cast<uint16_t>(text.size())};
    used_ += text.size();
    return made;
  };
  written_.labels = ref(action.labels);
  written_.rule_ids = ref(action.rule_id);
  written_.application = ref(action.application);
  written_.left_out = 0;
  return true;
}

void Stage::write_anew(const RecordBurst& burst, size_t rules) noexcept {
  has_written_ = true;
  written_for_.keep(matches_);
  if (matches_.count == 1 && rules == 1 && matches_.method.empty() && write_of_one(burst)) return;
  const uint64_t before = counters_.labels_left_out.value();
  written_ = {};
  draft_octets_ = draft_items_ = 0;
  for (size_t i = 0; i < rules; ++i) {
    for (std::string_view rest = rules_->actions_[matches_.rules[i]].labels; !rest.empty();) {
      const size_t octets = item_octets(rest);
      append_label(rest.substr(0, octets));
      rest.remove_prefix(octets);
    }
  }
  if (!matches_.method.empty()) {
    constexpr std::string_view kHead = "http-";
    char label[32];
    const auto size = static_cast<uint16_t>(kHead.size() + matches_.method.size());
    std::memcpy(label, &size, 2);
    std::memcpy(label + 2, kHead.data(), kHead.size());
    std::memcpy(label + 2 + kHead.size(), matches_.method.data(), matches_.method.size());
    append_label({label, size + 2u});
  }
  keep_draft(burst, written_.labels);
  for (size_t i = 0; i < rules; ++i) append_label(rules_->actions_[matches_.rules[i]].rule_id);
  keep_draft(burst, written_.rule_ids);
  for (size_t i = 0; i < rules && written_.application.count == 0; ++i) {
    const std::string_view application = rules_->actions_[matches_.rules[i]].application;
    if (application.empty()) continue;
    uint8_t* const at = take(burst, application.size(), written_.application);
    if (at == nullptr) break;
    std::memcpy(at, application.data(), application.size());
  }
  written_.left_out = counters_.labels_left_out.value() - before;
}

/// Labels, rule ids and the application of the first `rules` that matched.
void Stage::write(const RecordBurst& burst, size_t rules, FlowRecord& record) noexcept {
  if (!has_written_ || !matches_.is_same(written_for_)) {
    write_anew(burst, rules);
  } else if (written_.left_out != 0) {
    counters_.labels_left_out.add(written_.left_out);  // this record's, too
  }
  record.labels = written_.labels;
  record.rule_ids = written_.rule_ids;
  if (written_.labels.count != 0 || written_.rule_ids.count != 0) record.arena_parts |= arena_part::kStringLists;
  if (record.application_name.count == 0 && written_.application.count != 0) {
    record.application_name = written_.application;
    record.arena_parts |= arena_part::kStrings;
  }
}

/// Room behind the arena; null, and counted, where there is none.
uint8_t* Stage::take(const RecordBurst& burst, size_t octets, ArenaRef& ref) noexcept {
  if (burst.stage_arena == nullptr || octets > kStageArenaOctets - used_) {
    counters_.labels_left_out.increment();
    return nullptr;
  }
  uint8_t* const at = burst.stage_arena + used_;
  ref = {static_cast<uint16_t>(kArenaOctets + used_), static_cast<uint16_t>(octets)};
  used_ += octets;
  return at;
}

}  // namespace weir::classify
