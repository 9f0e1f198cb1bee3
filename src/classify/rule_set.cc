#include "classify/rule_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "classify/pattern_compiler.h"
#include "rules/yaml_reader.h"

namespace weir::classify {
namespace {

namespace fs = std::filesystem;

constexpr uint8_t kTcp = 6, kUdp = 17;

Result<std::vector<std::string>> files_of(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
    if (files.size() > kRuleFilesMax) return Error{fmt::format("{}: more than {} files", path, kRuleFilesMax)};
  }
  if (error) return Error{fmt::format("{}: {}", path, error.message())};
  std::sort(files.begin(), files.end());
  return files;
}

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
    const auto files = files_of(path);
    if (!files) return files.error();
    for (const std::string& file : *files) {
      if (texts.size() == kRuleFilesMax) return Error{fmt::format("{}: more than {} files of rules", path, kRuleFilesMax)};
      auto text = rules::contents_of(file, kRulesFileOctetsMax);
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
  set->prepare_actions();
  if (auto compiled = set->compile(options); !compiled) return compiled.error();
  return std::shared_ptr<const RuleSet>(std::move(set));
}

void RuleSet::prepare_actions() {
  for (const Rule& rule : rules_) {
    Action action;
    for (const std::string& label : rule.labels) append_text(action.labels, label);
    action.label_count = static_cast<uint16_t>(rule.labels.size());
    append_text(action.rule_id, rule.id);
    action.salt = salt_of(rule.id);
    if (!rule.route.empty()) {
      auto at = std::find(routes_.begin(), routes_.end(), rule.route);
      if (at == routes_.end()) at = routes_.insert(routes_.end(), rule.route);
      action.route = static_cast<uint16_t>(at - routes_.begin() + 1);
    }
    actions_.push_back(std::move(action));
  }
}

Result<void> RuleSet::compile(const RuleSetOptions& options) {
  std::vector<uint16_t> tcp, udp;
  std::map<LookPlace, std::vector<uint16_t>> texts;
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
      default: texts[rule.look].push_back(index); break;
    }
  }
  // Elements without a column travel by fused plans as well.
  asks_every_record_ = !plain_.empty() || !elements.empty();
  if (auto made = compile(tcp_, options, tcp); !made) return made;
  if (auto made = compile(udp_, options, udp); !made) return made;
  for (const auto& [place, rules] : texts) {
    texts_.emplace_back(place, Lookout{});
    if (auto made = compile(texts_.back().second, options, rules); !made) return made;
  }
  for (const auto& [element, rules] : elements) {
    elements_.emplace_back(element, Lookout{});
    if (auto made = compile(elements_.back().second, options, rules); !made) return made;
  }
  return {};
}

Result<void> RuleSet::compile(Lookout& lookout, const RuleSetOptions& options, const std::vector<uint16_t>& rules) {
  if (rules.empty()) return {};
  const auto told = [&](size_t pattern, const std::string& message) {
    const Rule& rule = rules_[rules[pattern]];
    return Error{fmt::format("{}:{}: rule {}: pattern: {}", rule.file, rule.line, rule.id, message)};
  };
  if (pattern_engine().empty()) return told(0, "there is no Hyperscan here: this build, or this CPU, is without it");
  std::vector<Pattern> patterns;
  for (const uint16_t rule : rules) patterns.push_back(rules_[rule].pattern);
  std::vector<uint8_t> serialised;
  if (const auto error = compile_or_recall(patterns, options.cache_folder, serialised)) {
    if (error->pattern && *error->pattern < rules.size()) return told(*error->pattern, error->message);
    return Error{fmt::format("{}: the patterns that look in {}: {}", rules_[rules[0]].file, name_of(rules_[rules[0]].look), error->message)};
  }
  auto loaded = PatternDatabase::load(serialised);
  if (!loaded) return loaded.error();
  lookout.database = std::move(*loaded);
  lookout.rules = rules;
  patterns_ += rules.size();
  return {};
}

size_t RuleSet::database_octets() const noexcept {
  size_t octets = 0;
  const auto add = [&octets](const Lookout& lookout) {
    if (lookout.database != nullptr) octets += lookout.database->octets();
  };
  add(tcp_);
  add(udp_);
  for (const auto& each : texts_) add(each.second);
  for (const auto& each : elements_) add(each.second);
  return octets;
}

}  // namespace weir::classify
