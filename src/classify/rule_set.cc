#include "classify/rule_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/read_file.h"
#include "classify/rule_groups.h"
#include "rules/yaml_reader.h"

namespace weir::classify {
namespace {

constexpr uint8_t kTcp = 6, kUdp = 17;

/// FNV-1a: the same for the same rule in whatever set it is.
uint64_t salt_of(const std::string& id) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (const char c : id) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return h;
}

void append_text(std::string& list, std::string_view text) {
  const auto length = static_cast<uint16_t>(text.size());
  list.append(reinterpret_cast<const char*>(&length), sizeof length);
  list.append(text);
}

}  // namespace

Result<std::shared_ptr<const RuleSet>> RuleSet::read(const std::vector<std::string>& paths, const RuleSetOptions& options) {
  std::vector<std::pair<std::string, std::string>> texts;
  for (const std::string& path : paths) {
    const auto files = rules::rule_files_of(path);
    if (!files) return files.error();
    for (const std::string& file : *files) {
      if (texts.size() == kRuleFilesMax) return Error{fmt::format("{}: more than {} files of rules", path, kRuleFilesMax)};
      auto text = read_file(file, kRulesFileOctetsMax);
      if (!text) return text.error();
      texts.emplace_back(file, std::move(*text));
    }
  }
  return parse(texts, options);
}

Result<std::shared_ptr<const RuleSet>> RuleSet::parse(const std::vector<std::pair<std::string, std::string>>& files,
                                                      const RuleSetOptions& options) {
  auto set = std::make_shared<RuleSet>();
  rules::Digest digest;
  for (const auto& [name, text] : files) {
    digest.add(name);
    digest.add(text);
    set->files_.push_back(name);
    if (auto read = read_rule_file(text, name, options.find_element, set->rules_, set->program_); !read) return read.error();
  }
  set->hash_ = digest.hex();
  std::map<std::string_view, const Rule*> ids;
  for (const Rule& rule : set->rules_) {
    const auto [at, is_new] = ids.emplace(rule.id, &rule);
    if (!is_new) {
      return Error{fmt::format("{}:{}: there is a rule {} already, at {}:{}", rule.file, rule.line, rule.id, at->second->file,
                               at->second->line)};
    }
  }
  std::stable_sort(set->rules_.begin(), set->rules_.end(),
                   [](const Rule& a, const Rule& b) { return a.priority > b.priority; });
  auto fields = RecordFields::of(set->program_);
  if (!fields) return fields.error();
  set->fields_ = std::move(*fields);
  if (auto prepared = set->prepare_actions(); !prepared) return prepared.error();
  if (auto compiled = set->compile(options); !compiled) return compiled.error();
  return std::shared_ptr<const RuleSet>(std::move(set));
}

Result<void> RuleSet::prepare_actions() {
  for (const Rule& rule : rules_) {
    Action action;
    std::string& text = texts_of_actions_.emplace_back();
    std::set<std::string_view> labels;
    for (const std::string& label : rule.labels)
      if (labels.insert(label).second) append_text(text, label);
    const size_t of_labels = text.size();
    append_text(text, rule.id);
    const size_t of_id = text.size() - of_labels;
    text += rule.application;
    action.labels = std::string_view(text).substr(0, of_labels);
    action.rule_id = std::string_view(text).substr(of_labels, of_id);
    action.application = std::string_view(text).substr(of_labels + of_id);
    action.sample = static_cast<uint32_t>(rule.sample);
    action.extracts = rule.extracts;
    action.drops = rule.drops;
    // A payload is looked into by its protocol's own patterns.
    const bool asks_protocol = rule.protocol && rule.look != LookPlace::payload;
    action.asks_more = asks_protocol || rule.ports || rule.exporters || rule.entry;
    salts_.push_back(salt_of(rule.id));
    if (!rule.route.empty()) {
      auto at = std::find(routes_.begin(), routes_.end(), rule.route);
      if (at == routes_.end() && routes_.size() == kRuleRoutesMax) {
        return Error{fmt::format("{}:{}: rule {}: route: rules go to {} subjects already, which is the limit", rule.file, rule.line, rule.id, kRuleRoutesMax)};
      }
      if (at == routes_.end()) at = routes_.insert(routes_.end(), rule.route);
      action.route = static_cast<uint16_t>(at - routes_.begin() + 1);
    }
    actions_.push_back(std::move(action));
  }
  return {};
}

Result<void> RuleSet::compile(const RuleSetOptions& options) {
  std::vector<uint16_t> tcp, udp;
  std::map<std::pair<LookPlace, bool>, std::vector<uint16_t>> texts;  // and whether they are UTF-8's
  std::map<ElementKey, std::vector<uint16_t>> elements;
  for (size_t i = 0; i < rules_.size(); ++i) {
    const Rule& rule = rules_[i];
    const auto index = static_cast<uint16_t>(i);
    switch (rule.look) {
      case LookPlace::payload:
        if (rule.protocol != kUdp) tcp.push_back(index);
        if (rule.protocol != kTcp) udp.push_back(index);
        break;
      case LookPlace::nothing: plain_.push_back(index); break;
      case LookPlace::element: elements[rule.element].push_back(index); break;
      default: texts[{rule.look, (rule.pattern.flags & pattern_flag::kUtf8) != 0}].push_back(index); break;
    }
    patterns_ += rule.has_pattern();
  }
  sort_into_groups(rules_, tcp, tcp_);
  sort_into_groups(rules_, udp, udp_);
  for (auto& [place, rules] : texts) texts_.emplace_back(place.first, Lookout{.rules = std::move(rules), .is_utf8 = place.second});
  for (auto& [element, rules] : elements) elements_.emplace_back(element, Lookout{.rules = std::move(rules)});

  std::vector<Lookout*> lookouts;
  for_each_lookout(*this, [&](Lookout& lookout) { lookouts.push_back(&lookout); });
  if (lookouts.empty()) return {};
  std::vector<Pattern> patterns;
  std::vector<uint16_t> owners;
  for (size_t group = 0; group < lookouts.size(); ++group) {
    for (const uint16_t rule : lookouts[group]->rules) {
      patterns.push_back(rules_[rule].pattern);
      patterns.back().group = static_cast<uint32_t>(group);
      owners.push_back(rule);
    }
  }
  const auto told = [&](size_t pattern, const std::string& message) {
    const Rule& rule = rules_[owners[pattern]];
    return Error{fmt::format("{}:{}: rule {}: pattern: {}", rule.file, rule.line, rule.id, message)};
  };
  if (pattern_engine().empty()) return told(0, "there is no Hyperscan here: this build, or this CPU, is without it");
  Databases databases;
  std::string trouble;
  if (const auto error = compile_or_recall(patterns, options.cache, databases, trouble)) {
    if (error->pattern && *error->pattern < owners.size()) return told(*error->pattern, error->message);
    return Error{fmt::format("the patterns of {}: {}", rules_[owners[0]].file, error->message)};
  }
  if (!trouble.empty()) warnings_.push_back("compiled patterns cannot be kept, and are compiled at each start: " + trouble);
  if (databases.size() != lookouts.size()) return Error{"the patterns were not all compiled"};
  for (size_t group = 0; group < lookouts.size(); ++group) {
    auto loaded = PatternDatabase::load(databases[group].database);
    if (!loaded) return loaded.error();
    lookouts[group]->database = std::move(*loaded);
    lookouts[group]->width_max = databases[group].width_max;
  }
  return {};
}

size_t RuleSet::database_octets() const noexcept {
  size_t octets = 0;
  for_each_lookout(*this, [&octets](const Lookout& lookout) { octets += lookout.database->octets(); });
  return octets;
}

}  // namespace weir::classify
