#include "rules/rule_set.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "base/read_file.h"
#include "rules/compile_parts.h"
#include "rules/parser.h"
#include "rules/yaml_reader.h"

namespace weir::rules {
namespace {

template <class Item>
std::string joined(const std::vector<Item>& items) {
  std::string text;
  for (const Item& item : items) text += fmt::format("{}{}", text.empty() ? "" : ", ", item);
  return text;
}

/// What is written beside the fields where `unmapped` is: of all events, or of what a store has no column for (src/transform).
constexpr std::array<std::string_view, 19> kWritten = {
    "elements", "decision", "enrichments", "osint", "flow_type", "severity_id", "message", "boundary_id", "src_name", "src_hostname",
    "src_svc_name", "src_zone", "dst_name", "dst_hostname", "dst_svc_name", "dst_zone", "device_name", "device_hostname", "tenant_uid"};

}  // namespace

std::string allowed_of(const Target& target) {
  if (target.kind == TargetKind::text) return "it is a text, in quotes: \"'web'\"";
  if (target.kind == TargetKind::any) return fmt::format("it is a text, true or false, or a number from -{0} to {0}; string() makes a text of larger ones", INT64_MAX);
  if (target.allowed.empty()) return "it is a whole number";
  return fmt::format("it is one of {}", joined(target.allowed));
}

/// Reads all files. The first error is kept, and everything after it is for nothing.
class RuleReader : private YamlReader {
 public:
  RuleReader(const std::string& name, const std::string& folder, const std::vector<Target>& targets, StampedFiles* files)
      : YamlReader(name), all_(name), folder_(folder), stamped_(files), set_(std::make_unique<RuleSet>()) {
    set_->program_.targets = targets;
  }

  /// One of them, or more.
  void add_file(std::string path, std::string text) { files_.push_back({std::move(path), std::move(text), {}}); }

  Result<std::unique_ptr<const RuleSet>> read() {
    set_->name_ = name_.substr(name_.rfind('/') + 1);
    for (File& file : files_) {
      if (error_.empty()) read_document(file);
    }
    if (error_.empty()) read_all();
    if (!error_.empty()) return Error{error_};
    set_->hash_ = digest_.hex();
    return std::unique_ptr<const RuleSet>(std::move(set_));
  }

 private:
  struct File {
    std::string path, text;
    YAML::Node root;
  };

  void read_document(File& file) {
    digest_.add(file.text);
    turn_to(file.path, file.text);
    if (!check_text(file.text)) return;
    try {
      file.root = only_document(file.text);
    } catch (const YAML::Exception& e) {
      return void(fail(place_of(e.mark), e.msg));
    }
    const YAML::Node& root = file.root;
    if (!error_.empty() ||
        !check_keys(root, "the file", {"version", "sets", "dictionaries", "local_prefixes", "derive", "rules", "decision"})) {
      return;
    }
    const YAML::Node version = root["version"];
    if (!version || !version.IsScalar() || version.Scalar() != "1") fail(version ? place_of(version) : Place(), "version is to be 1");
  }

  /// Of each file that has it, in their order.
  template <class Read>
  void each(const char* key, Read read) {
    for (const File& file : files_) {
      const YAML::Node node = file.root[key];
      if (!node || !error_.empty()) continue;
      turn_to(file.path, file.text);
      try {
        read(node);
      } catch (const YAML::Exception& e) {
        fail(place_of(e.mark), e.msg);
      }
    }
  }

  void read_all() {
    each("sets", [&](const YAML::Node& node) { read_sets(node, set_->environment_); });
    each("local_prefixes", [&](const YAML::Node& node) {
      if (set_->local_ != nullptr) return void(fail(node, "there are local_prefixes in another file, too"));
      read_local(node);
    });
    each("dictionaries", [&](const YAML::Node& node) { read_dictionaries(node); });
    Compiler compiler(set_->environment_, set_->program_);
    each("derive", [&](const YAML::Node& node) { read_derived(node, compiler); });
    each("rules", [&](const YAML::Node& node) { read_rules(node, compiler); });
    if (has_rules_) end_rules();
    each("decision", [&](const YAML::Node& node) {
      if (set_->decision_ != nullptr) return void(fail(node, "there is a decision in another file, too"));
      read_decision(node);
    });
    compiler.emit({.op = Op::finish});
    if (error_.empty() && (set_->program_.code.size() > kInstructionsMax || set_->program_.constants.size() > UINT16_MAX ||
                           set_->program_.sets.size() > UINT16_MAX)) {
      error_ = fmt::format("{}: the rules come to {} instructions (limit {}), {} constants and {} sets (limit {} each)", all_, set_->program_.code.size(),
                           kInstructionsMax, set_->program_.constants.size(), set_->program_.sets.size(), UINT16_MAX);
    }
  }

  void read_local(const YAML::Node& node) {
    if (node.IsScalar() && node.Scalar().starts_with("@")) {
      const auto at = set_->environment_.sets.find(node.Scalar().substr(1));
      if (at == set_->environment_.sets.end()) return void(fail(node, fmt::format("there is no set {}", node.Scalar())));
      set_->local_ = at->second;
    } else {
      const auto items = scalars(node, "local_prefixes");
      if (!error_.empty()) return;
      size_t wrong_item = 0;
      auto set = NamedSet::make("local_prefixes", items, &wrong_item);
      if (!set) return void(fail(node[wrong_item], set.error().message));
      set_->local_ = std::make_shared<const NamedSet>(std::move(*set));
    }
    if (set_->local_->kind != SetKind::prefixes && !set_->local_->is_empty()) fail(node, "local_prefixes is to be prefixes, or @a-set of them");
  }

  void read_dictionaries(const YAML::Node& node) {
    if (!node.IsMap()) return void(fail(node, "dictionaries is to be a mapping of names to CSV files"));
    for (const auto& entry : node) {
      const std::string name = entry.first.Scalar();
      if (!entry.second.IsScalar()) return void(fail(entry.second, fmt::format("dictionary {} is to be a file", name)));
      const std::string& file = entry.second.Scalar();
      const std::string path = beside(file);
      look_at(path, stamped_);
      const auto text = read_file(path, kDictionaryOctetsMax);
      if (!text) return void(fail(entry.second, text.error().message));
      digest_.add(*text);
      auto dictionary = Dictionary::parse(path, *text);
      if (!dictionary) return void(fail(entry.second, dictionary.error().message));
      if (!set_->environment_.dictionaries.emplace(name, std::make_shared<const Dictionary>(std::move(*dictionary))).second) {
        return void(fail(entry.first, fmt::format("there are two dictionaries {}", name)));
      }
    }
  }

  void read_decision(const YAML::Node& node) {
    if (!node.IsScalar() || node.Scalar().empty()) return void(fail(node, "decision is to be a decision file (JDM)"));
    const std::string path = beside(node.Scalar());
    look_at(path, stamped_);
    const auto text = read_file(path, kDecisionOctetsMax);
    if (!text) return void(fail(node, text.error().message));
    digest_.add(*text);
    auto plain = Decision::parse(*text);
    if (!plain) return void(fail(node, fmt::format("{}: {}", path, plain.error().message)));
    auto program = DecisionProgram::compile(*plain);
    if (!program) return void(fail(node, fmt::format("{}: {}; of flows that cannot be asked", path, program.error().message)));
    program->name = path.substr(path.rfind('/') + 1);
    set_->decision_ = std::make_unique<const DecisionFile>(DecisionFile{std::move(*plain), std::move(*program)});
  }

  std::string beside(const std::string& file) const {
    return file.starts_with('/') || folder_.empty() ? file : folder_ + "/" + file;
  }

  void read_derived(const YAML::Node& node, Compiler& compiler) {
    if (!node.IsMap()) return void(fail(node, "derive is to be a mapping of names to expressions"));
    const size_t all = set_->environment_.derived.size() + node.size();
    if (all > kDerivedMax) return void(fail(node, fmt::format("{} derived values, limit {}", all, kDerivedMax)));
    auto& later = set_->environment_.derived_later;
    for (const auto& entry : node) later.push_back(entry.first.Scalar());
    for (const auto& entry : node) {
      const std::string name = entry.first.Scalar();
      const std::string where = "derive " + name;
      if (!is_name(name)) return void(fail(entry.first, fmt::format("'{}' is no name: letters, digits and _", name)));
      auto& derived = set_->environment_.derived;
      if (find_field(name) || set_->environment_.find_derived(name) != nullptr) {
        return void(fail(entry.first, fmt::format("{}: there is {} already", where, name)));
      }
      NodePtr value = expression(entry.second, where, set_->environment_);
      if (value == nullptr) return;
      compiler.grant(entry.second.Scalar().size());
      // Null first, so that one that has no value for a flow is null.
      const auto place = static_cast<uint16_t>(derived.size());
      const size_t begin = compiler.emit({.op = Op::begin_rule, .index = UINT16_MAX});
      auto& constants = set_->program_.constants;
      constants.push_back(Cell());
      compiler.emit({.op = Op::load_constant, .index = static_cast<uint16_t>(constants.size() - 1)});
      compiler.emit({.op = Op::store_derived, .index = place});
      const auto types = compiler.value(*value);
      if (!types) return void(fail_in(entry.second, where, types.error()));
      compiler.emit({.op = Op::store_derived, .index = place});
      compiler.bind({begin});
      derived.push_back({name, *types, value.get()});
      later.erase(later.begin());
      if (compile::field_of(*value)) set_->environment_.aliases.emplace(name, value->text);
      set_->derived_.push_back(std::move(value));
    }
  }

  void read_rules(const YAML::Node& node, Compiler& compiler) {
    if (!node.IsSequence()) return void(fail(node, "rules is to be a list"));
    const size_t all = set_->rules_.size() + node.size();
    if (all > kRulesMax) return void(fail(node, fmt::format("{} rules, limit {}", all, kRulesMax)));
    if (!std::exchange(has_rules_, true)) compiler.emit({.op = Op::next_rule});
    for (const YAML::Node& each : node) {
      const auto begin = static_cast<uint32_t>(set_->program_.code.size());
      read_rule(each, compiler);
      if (!error_.empty()) return;
      extents_.push_back({begin, static_cast<uint32_t>(compiler.emit({.op = Op::next_rule}))});
      const std::string& id = set_->rules_.back().id;
      if (const auto [there, is_new] = ids_.emplace(id, name_); !is_new) {
        const bool is_here = there->second == name_;
        return void(fail(each, is_here ? fmt::format("there are two rules {}", id) : fmt::format("there is a rule {} in {}, too", id, there->second)));
      }
    }
  }

  void end_rules() {
    set_->program_.rules = set_->rules_.size();
    set_->program_.index = RuleIndex::make(set_->program_, extents_);
    for (const RuleExtent& extent : extents_) set_->program_.rule_begins.push_back(extent.begin);
  }

  void read_rule(const YAML::Node& node, Compiler& compiler) {
    if (!check_keys(node, "a rule", {"id", "when", "then", "description"})) return;
    if (!node["id"] || !node["id"].IsScalar() || node["id"].Scalar().empty()) return void(fail(node, "a rule needs an id"));
    Rule rule;
    rule.id = node["id"].Scalar();
    rule.line = line_of(node);
    const std::string where = "rule " + rule.id;
    if (!node["then"]) return void(fail(node, fmt::format("{} does nothing: it needs 'then'", where)));
    const auto index = static_cast<uint16_t>(set_->rules_.size());
    Label next;
    if (node["when"]) {
      rule.when = expression(node["when"], where + ": when", set_->environment_);
      if (rule.when == nullptr) return;
      rule.condition = node["when"].Scalar();
      compiler.grant(rule.condition.size());
      const size_t before = set_->program_.code.size();
      auto compiled = compiler.jump_if(*rule.when, false, next);
      if (compiled && may_fail_from(before)) {
        // Then whose it is must be known first. Nearly all rules of nearly all flows end in conditions that cannot fail.
        set_->program_.code.resize(before);
        next = {compiler.emit({.op = Op::begin_rule, .index = index})};
        compiled = compiler.jump_if(*rule.when, false, next);
      } else {
        next.push_back(compiler.emit({.op = Op::begin_rule, .index = index}));
      }
      if (!compiled) return void(fail_in(node["when"], where + ": when", compiled.error()));
    } else {
      next.push_back(compiler.emit({.op = Op::begin_rule, .index = index}));
    }
    compiler.emit({.op = Op::hit});
    read_actions(node["then"], rule, index, where, compiler);
    compiler.bind(next);
    set_->rules_.push_back(std::move(rule));
  }

  /// Whether code from there on has instructions that a flow can have no value for.
  bool may_fail_from(size_t place) const {
    const auto& code = set_->program_.code;
    return std::any_of(code.begin() + static_cast<std::ptrdiff_t>(place), code.end(),
                       [](const Instruction& i) { return i.op > Op::if_list_has && i.op != Op::jump; });
  }

  void read_actions(const YAML::Node& then, Rule& rule, uint16_t index, const std::string& where, Compiler& compiler) {
    if (!check_keys(then, where + ": then", {"drop", "sample", "set", "labels"})) return;
    if (then.size() == 0) return void(fail(then, fmt::format("{}: then: needs drop, sample, set or labels", where)));
    if (const YAML::Node drop = then["drop"]) {
      if (!drop.IsScalar() || drop.Scalar() != "true") return void(fail(drop, fmt::format("{}: drop is true, or not there", where)));
      if (then.size() > 1) return void(fail(then, fmt::format("{}: what is dropped is nothing else", where)));
      rule.drops = true;
      compiler.emit({.op = Op::drop});
    }
    if (const YAML::Node sample = then["sample"]) {
      const std::string text = sample.IsScalar() ? sample.Scalar() : "";
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rule.sample);
      if (error != std::errc() || end != text.data() + text.size() || rule.sample == 0 || rule.sample > kSampleMax) {
        return void(fail(sample, fmt::format("{}: sample is '{}', allowed are 1 to {}: one in so many", where, text, kSampleMax)));
      }
      compiler.emit({.op = Op::sample, .index = index, .value = rule.sample});
    }
    if (then["set"]) read_assignments(then["set"], rule, where, compiler);
    if (then["labels"] && error_.empty()) {
      rule.labels = scalars(then["labels"], where + ": labels");
      for (const std::string& label : rule.labels) {
        if (label.empty() || label.size() > kStringOctetsMax) {
          return void(fail(then["labels"], fmt::format("{}: a label has 1 to {} octets", where, kStringOctetsMax)));
        }
        compiler.emit({.op = Op::add_label, .index = compiler.text_constant(label)});
      }
    }
  }

  void read_assignments(const YAML::Node& set, Rule& rule, const std::string& where, Compiler& compiler) {
    if (!set.IsMap()) return void(fail(set, fmt::format("{}: set is to be a mapping of attributes to expressions", where)));
    for (const auto& entry : set) {
      const std::string name = entry.first.Scalar();
      const auto target = target_of(name);
      if (!target) {
        std::vector<std::string_view> names = {"unmapped.<a name that no field has>"};
        for (const Target& t : set_->program_.targets) names.push_back(t.name);
        return void(fail(entry.first, fmt::format("{}: {} cannot be set; {} can", where, name, joined(names))));
      }
      if (std::any_of(rule.set.begin(), rule.set.end(), [&](const Rule::Assignment& a) { return a.target == *target; })) {
        return void(fail(entry.first, fmt::format("{}: set has {} twice", where, name)));
      }
      NodePtr value = expression(entry.second, fmt::format("{}: set {}", where, name), set_->environment_);
      if (value == nullptr) return;
      compiler.grant(entry.second.Scalar().size());
      const auto types = compiler.value(*value);
      if (!types) return void(fail_in(entry.second, fmt::format("{}: set {}", where, name), types.error()));
      if (compile::is_constant(*value)) {
        const auto v = compiler.folded(*value);
        if (!v) return void(fail(entry.second, fmt::format("{}: set {}: constants take more than a file may", where, name)));
        const auto cell = compile::cell_of(*v);
        if (!cell || !is_allowed(set_->program_.targets[*target], *cell)) {
          return void(fail(entry.second, fmt::format("{}: {} cannot be {}; {}", where, name, v->to_json(),
                                                     allowed_of(set_->program_.targets[*target]))));
        }
      } else if ((*types & compile::types_of(set_->program_.targets[*target])) == 0) {
        return void(fail(entry.second, fmt::format("{}: {} cannot be {}; {}", where, name, compile::describe(*types),
                                                   allowed_of(set_->program_.targets[*target]))));
      }
      compiler.emit({.op = Op::set_target, .index = static_cast<uint16_t>(*target)});
      rule.set.push_back({*target, entry.second.Scalar(), std::move(value)});
    }
  }

  std::optional<size_t> target_of(const std::string& name) {
    auto& targets = set_->program_.targets;
    const auto at = std::find_if(targets.begin(), targets.end(), [&](const Target& t) { return t.name == name; });
    if (at != targets.end()) return static_cast<size_t>(at - targets.begin());
    constexpr std::string_view kOpen = "unmapped.";
    if (!name.starts_with(kOpen) || targets.size() >= kTargetsMax) return std::nullopt;
    const std::string own = name.substr(kOpen.size());
    if (!is_name(own) || find_field(own) || std::find(kWritten.begin(), kWritten.end(), own) != kWritten.end()) return std::nullopt;
    targets.push_back({.name = name, .kind = TargetKind::any, .allowed = {}});
    return targets.size() - 1;
  }

  const std::string all_;  // the file, or the folder that they are in
  const std::string folder_;
  StampedFiles* const stamped_;  // null: nobody wants them
  std::vector<File> files_;
  std::map<std::string, std::string, std::less<>> ids_;  // of rules, and the files that they are in
  std::vector<RuleExtent> extents_;
  bool has_rules_ = false;
  std::unique_ptr<RuleSet> set_;
  Digest digest_;
};

Result<std::unique_ptr<const RuleSet>> RuleSet::parse(const std::string& text, const std::string& name,
                                                      const std::string& folder, const std::vector<Target>& targets, StampedFiles* files) {
  RuleReader reader(name, folder, targets, files);
  reader.add_file(name, text);
  return reader.read();
}

Result<std::unique_ptr<const RuleSet>> RuleSet::read(const std::string& path, const std::vector<Target>& targets, StampedFiles* files) {
  look_at_folder(path, kRuleFileEnding, files);
  const auto paths = rule_files_of(path);
  if (!paths) return paths.error();
  if (paths->empty()) return Error{fmt::format("{}: a folder without a file that ends in {}", path, kRuleFileEnding)};
  const bool is_folder = paths->front() != path;
  const size_t slash = path.rfind('/');
  RuleReader reader(path.substr(0, path.find_last_not_of('/') + 1), is_folder ? path : slash == std::string::npos ? "" : path.substr(0, slash), targets, files);
  size_t octets = 0;
  for (const std::string& each : *paths) {
    if (is_folder) look_at(each, files);
    auto text = read_file(each, kRulesFileOctetsMax);
    if (!text) return text.error();
    octets += text->size();
    if (octets > kRulesFileOctetsMax) return Error{fmt::format("{}: its files have more than {} octets", path, kRulesFileOctetsMax)};
    reader.add_file(each, std::move(*text));
  }
  return reader.read();
}

}  // namespace weir::rules
