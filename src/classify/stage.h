// stage.h — What one core does with the rules of classification: records between decoder and encoder.
//
// Spec:     docs/CLASSIFICATION.md.
// Runs on:  made on any thread; look: rx_lcore, one stage a core. Counters are read by any thread.
// Owns:     the scratch that it scans with, and the rules' counters on its core.
// Bounds:   kMatchesMax rules a record, those of the highest priority; kLabelsMax labels and ids; what a burst's records are given takes at most
//           kStageArenaOctets. No allocation, no lock.
// Failure:  what does not fit is counted: matches_left_out, labels_left_out. What the engine did not scan: scan_errors.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "base/counter.h"
#include "base/result.h"
#include "base/thread_roles.h"
#include "classify/rule_set.h"
#include "flow/export_header.h"
#include "rules/program.h"

namespace weir::classify {

inline constexpr size_t kMatchesMax = 64;

/// What becomes of a record.
enum class Fate : uint8_t { kept, dropped, sampled_away };
struct Verdict {
  Fate fate = Fate::kept;
  uint16_t route = 0;  // place in RuleSet::routes() + 1; 0: the listener's
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

/// Of one rule on one core.
struct RuleCounters {
  Counter hits;    // records that it matched and that no rule before had dropped
  Counter drops;   // of these, those that it dropped or sampled away
  Counter errors;  // times its condition had no value
};

struct StageCounters {
  Counter records;  // looked at
  Counter scans;    // of payloads, with a database each
  Counter scan_errors;  // scans that the engine did not end
  Counter matched;  // records that some rule matched
  Counter names;    // extracted
  Counter matches_left_out;
  Counter labels_left_out;  // labels, rule ids, applications and names
};

class Stage {
 public:
  static Result<std::unique_ptr<Stage>> make(std::shared_ptr<const RuleSet> rules);

  /// Gives the burst's records labels, names and rates, and says in `verdicts`, one a record, what becomes of them.
  /// True where all are kept and go their listener's way: then the verdicts say nothing more.
  bool look(const RecordBurst& burst, std::span<Verdict> verdicts) noexcept WEIR_RUNS_ON(rx_lcore);

  const RuleSet& rules() const noexcept { return *rules_; }
  std::shared_ptr<const RuleSet> shared_rules() const noexcept { return rules_; }
  const RuleCounters& counters(size_t rule) const noexcept { return rule_counters_[rule]; }
  const StageCounters& counters() const noexcept { return counters_; }

 private:
  struct Matches {
    std::array<uint16_t, kMatchesMax> rules;  // in the order of their priorities
    size_t count = 0;
    std::string_view method;  // HTTP's, where a rule extracts

    void add(uint16_t rule, StageCounters& counters) noexcept;
    void keep(const Matches& other) noexcept;  // all that other has of them
    bool is_same(const Matches& other) const noexcept;
  };
  /// What one outcome looks like in the arena: records with the same share it.
  struct Written {
    ArenaRef labels, rule_ids, application;
    uint64_t left_out = 0;
  };

  explicit Stage(std::shared_ptr<const RuleSet> rules);

  Verdict look_at(const RecordBurst& burst, FlowRecord& record) noexcept;
  void scan_payload(const RecordBurst& burst, FlowRecord& record) noexcept;
  void scan_texts(const RecordBurst& burst, const FlowRecord& record) noexcept;
  void scan_utf8(const Lookout& lookout, std::span<const uint8_t> text, const RecordBurst& burst,
                 const FlowRecord& record) noexcept;
  void scan_elements(const RecordBurst& burst, const FlowRecord& record) noexcept;
  void scan(const Lookout& lookout, std::span<const uint8_t> octets, const RecordBurst& burst,
            const FlowRecord& record) noexcept;
  void consider(uint16_t rule, const RecordBurst& burst, const FlowRecord& record) noexcept;
  bool holds(const Rule& rule, uint16_t index, const RecordBurst& burst, const FlowRecord& record) noexcept;
  void extract_name(const RecordBurst& burst, FlowRecord& record, std::span<const uint8_t> payload) noexcept;
  Verdict apply(const RecordBurst& burst, FlowRecord& record) noexcept;
  void write(const RecordBurst& burst, size_t rules, FlowRecord& record) noexcept;
  bool write_of_one(const RecordBurst& burst) noexcept;
  void write_anew(const RecordBurst& burst, size_t rules) noexcept;
  uint8_t* take(const RecordBurst& burst, size_t octets, ArenaRef& ref) noexcept;
  void append_label(std::string_view label) noexcept;
  bool is_in_draft(std::string_view label) const noexcept;
  void keep_draft(const RecordBurst& burst, ArenaRef& ref) noexcept;

  const std::shared_ptr<const RuleSet> rules_;
  PatternScratch scratch_;
  rules::Scratch condition_scratch_;
  rules::Outcome outcome_;
  FlowView view_{};
  bool is_view_shown_ = false;  // of the record at hand
  size_t used_ = 0;             // of the burst's stage arena
  Matches matches_;
  Matches written_for_;
  Written written_;
  bool has_written_ = false;
  std::array<char, kLabelsMax*(kStringOctetsMax + 2)> draft_;
  size_t draft_octets_ = 0;
  size_t draft_items_ = 0;
  std::unique_ptr<RuleCounters[]> rule_counters_;
  StageCounters counters_;
};

}  // namespace weir::classify
