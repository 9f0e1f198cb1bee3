// rule.h — A rule of classification as its file says it.
//
// Spec:     docs/CLASSIFICATION.md.
// Runs on:  read on any thread; constant from then on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/named_enum.h"
#include "base/result.h"
#include "classify/pattern.h"
#include "classify/payload_names.h"
#include "classify/port_set.h"
#include "rules/compiler.h"
#include "rules/sets.h"

namespace weir::classify {

inline constexpr size_t kRulesMax = kPatternsMax;  // of all files together
inline constexpr size_t kRulesFileOctetsMax = 16 << 20;
inline constexpr size_t kRuleFilesMax = 1000;
inline constexpr size_t kRuleIdOctetsMax = 64;
inline constexpr size_t kRuleRoutesMax = 256;  // subjects that the rules of all files go to
inline constexpr uint64_t kSampleMax = 1'000'000'000;

/// Where a pattern looks, by the record's member; `payload` is what TCP or UDP carries in a sampled packet.
#define WEIR_LOOK_PLACES(X)                                                                                    \
  X(nothing) X(payload) X(application_id) X(application_name) X(user_name) X(server_name) X(in_if_name)        \
  X(out_if_name) X(ingress_vrf_name) X(egress_vrf_name) X(element)
WEIR_NAMED_ENUM(LookPlace, uint8_t, WEIR_LOOK_PLACES)

/// An element that no field of the record is for.
struct ElementKey {
  uint32_t enterprise = 0;
  uint16_t id = 0;
  friend bool operator==(const ElementKey&, const ElementKey&) = default;
  friend auto operator<=>(const ElementKey&, const ElementKey&) = default;
};

struct Rule {
  std::string id;
  std::string name;
  std::string file;
  size_t line = 0;
  int64_t priority = 0;  // the higher goes first
  // What must hold, all of it.
  LookPlace look = LookPlace::nothing;
  ElementKey element;  // of LookPlace::element
  Pattern pattern;
  std::optional<uint8_t> protocol;
  std::optional<PortSet> ports;  // either end's
  std::optional<rules::PrefixSet> exporters;
  std::string condition;                    // empty: none
  std::optional<size_t> entry;              // of its condition in RuleFileReader's program
  // What is done.
  Extract extracts = Extract::none;
  std::vector<std::string> labels;
  std::string application;
  std::string route;  // subject; empty: the listener's
  bool drops = false;
  uint64_t sample = 0;  // one in so many; 0: all

  bool has_pattern() const noexcept { return look != LookPlace::nothing; }
};

/// `12356/34`, `34`, or what it is called: the element. An Error says why it is none that a pattern could look in.
using ElementFinder = std::function<Result<ElementKey>(std::string_view name)>;

/// The rules of one file, appended to `rules`; conditions to `program`.
Result<void> read_rule_file(const std::string& text, const std::string& name, const ElementFinder& find,
                            std::vector<Rule>& rules, rules::Program& program);

}  // namespace weir::classify
