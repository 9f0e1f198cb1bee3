#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/utf8.h"
#include "base/value_named.h"
#include "classify/record_view.h"
#include "classify/rule.h"
#include "flow/flow_record.h"
#include "rules/compile_parts.h"
#include "rules/yaml_reader.h"

namespace weir::classify {
namespace {

using rules::Op;

constexpr size_t kApplicationOctetsMax = 64;

class RuleFileReader : private rules::YamlReader {
 public:
  RuleFileReader(const std::string& name, const ElementFinder& find, std::vector<Rule>& to, rules::Program& program)
      : YamlReader(name), find_(find), rules_(to), program_(program) {}

  Result<void> read(const std::string& text) {
    try {
      if (const YAML::Node root = only_document(text); error_.empty()) read_root(root);
    } catch (const YAML::Exception& e) {
      fail(place_of(e.mark), e.msg);
    }
    if (!error_.empty()) return Error{error_};
    return {};
  }

 private:
  void read_root(const YAML::Node& root) {
    if (!check_keys(root, "the file", {"version", "sets", "rules"})) return;
    if (!root["version"] || !root["version"].IsScalar() || root["version"].Scalar() != "1") {
      return void(fail(root["version"] ? place_of(root["version"]) : Place(), "version is to be 1"));
    }
    if (root["sets"]) read_sets(root["sets"], environment_);
    if (!error_.empty() || !root["rules"] || root["rules"].IsNull()) return;
    if (!root["rules"].IsSequence()) return void(fail(root["rules"], "rules is to be a list"));
    if (rules_.size() + root["rules"].size() > kRulesMax) {
      return void(fail(root["rules"], fmt::format("{} rules in all, limit {}", rules_.size() + root["rules"].size(), kRulesMax)));
    }
    for (const YAML::Node& node : root["rules"]) {
      read_rule(node);
      if (!error_.empty()) return;
    }
  }

  void read_rule(const YAML::Node& node) {
    if (!check_keys(node, "a rule",
                    {"id", "name", "priority", "in", "pattern", "flags", "protocol", "ports", "exporters", "when", "extract",
                     "then"})) {
      return;
    }
    Rule rule;
    rule.file = name_;
    rule.line = line_of(node);
    rule.id = text_of(node, "id", "a rule", kRuleIdOctetsMax);
    if (error_.empty() && rule.id.empty()) fail(node, "a rule needs an id");
    where_ = "rule " + rule.id;
    rule.name = text_of(node, "name", where_, kStringOctetsMax);
    rule.priority = whole_number(node["priority"], "priority", -1'000'000, 1'000'000).value_or(0);
    if (error_.empty()) read_pattern(node, rule);
    if (error_.empty()) read_packet(node, rule);
    if (node["when"] && error_.empty()) read_condition(node["when"], rule);
    if (node["extract"] && error_.empty()) read_extract(node["extract"], rule);
    if (error_.empty()) read_actions(node, rule);
    if (error_.empty()) rules_.push_back(std::move(rule));
  }

  std::string text_of(const YAML::Node& map, const char* key, const std::string& where, size_t octets_max) {
    const YAML::Node node = map[key];
    if (!node) return {};
    if (!node.IsScalar() || node.Scalar().empty() || node.Scalar().size() > octets_max ||
        node.Scalar().find('\0') != std::string::npos) {
      fail(node, fmt::format("{}: {} is to be text of 1 to {} octets", where, key, octets_max));
      return {};
    }
    // A pattern may be of any octets; all else ends in records.
    if (std::string_view(key) != "pattern" && !is_utf8(node.Scalar())) {
      fail(node, fmt::format("{}: {} is no UTF-8", where, key));
      return {};
    }
    return node.Scalar();
  }

  std::vector<std::string> some(const YAML::Node& list, const std::string& where) {
    auto items = scalars(list, where);
    if (items.empty()) fail(list, where + ": has nothing in it");
    return items;
  }

  std::optional<int64_t> whole_number(const YAML::Node& node, const char* key, int64_t least, int64_t most) {
    if (!node) return std::nullopt;
    const std::string text = node.IsScalar() ? node.Scalar() : "";
    int64_t v = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
    if (error == std::errc() && end == text.data() + text.size() && v >= least && v <= most) return v;
    fail(node, fmt::format("{}: {} is '{}', allowed are {} to {}", where_, key, text, least, most));
    return std::nullopt;
  }

  void read_pattern(const YAML::Node& node, Rule& rule) {
    if (!node["pattern"]) {
      for (const char* key : {"in", "flags"}) {
        if (node[key]) return void(fail(node[key], fmt::format("{}: {} is of a pattern, and there is none", where_, key)));
      }
      return;
    }
    if (!node["in"] || !node["in"].IsScalar()) return void(fail(node, fmt::format("{}: in: where does the pattern look?", where_)));
    const std::string& in = node["in"].Scalar();
    const auto place = value_named<LookPlace>(in);
    if (place && *place != LookPlace::nothing && *place != LookPlace::element) {
      rule.look = *place;
    } else if (const auto element = find_ ? find_(in) : Result<ElementKey>(Error{}); element) {
      rule.look = LookPlace::element;
      rule.element = *element;
    } else if (!element.error().message.empty()) {
      fail(node["in"], fmt::format("{}: in: {}", where_, element.error().message));
    } else {
      std::vector<std::string_view> names;
      for (size_t i = 1; i + 1 < static_cast<size_t>(LookPlace::count_); ++i) names.push_back(name_of(static_cast<LookPlace>(i)));
      return void(fail(node["in"], fmt::format("{}: nobody looks in '{}'{}; or an element by its name, number, or enterprise/number",
                                               where_, in, rules::compile::one_of(names))));
    }
    rule.pattern.expression = text_of(node, "pattern", where_, kPatternOctetsMax);
    read_flags(node, rule);
    if (begins_as_utf8(rule.pattern.expression)) rule.pattern.flags |= pattern_flag::kUtf8;
    constexpr uint32_t kOfText = pattern_flag::kUtf8 | pattern_flag::kUcp;
    const bool is_text = rule.look != LookPlace::payload && rule.look != LookPlace::application_id && rule.look != LookPlace::element;
    if (error_.empty() && !is_text && (rule.pattern.flags & kOfText) != 0) {
      fail(node, fmt::format("{}: {} holds octets, which need be no UTF-8: flags u and p are for text", where_, in));
    }
  }

  /// Hyperscan's own way to say flag u.
  static bool begins_as_utf8(std::string_view expression) {
    while (expression.substr(0, 2) == "(*") {
      if (expression.substr(2, 3) == "UTF") return true;
      const size_t end = expression.find(')');
      if (end == std::string_view::npos) return false;
      expression.remove_prefix(end + 1);
    }
    return false;
  }

  void read_flags(const YAML::Node& node, Rule& rule) {
    if (!node["flags"]) return;
    const auto flags = node["flags"].IsScalar() ? pattern_flags_of(node["flags"].Scalar()) : std::nullopt;
    if (!flags) {
      return void(fail(node["flags"], fmt::format("{}: flags are letters: i (caseless), s (. is any octet), m (multiline), "
                                                  "u (UTF-8), p (Unicode's classes)", where_)));
    }
    rule.pattern.flags = *flags;
  }

  void read_packet(const YAML::Node& node, Rule& rule) {
    if (const YAML::Node protocol = node["protocol"]) {
      const std::string text = protocol.IsScalar() ? protocol.Scalar() : "";
      if (text == "tcp") rule.protocol = 6;
      if (text == "udp") rule.protocol = 17;
      if (!rule.protocol) return void(fail(protocol, fmt::format("{}: protocol is '{}', allowed are tcp and udp", where_, text)));
    }
    if (const YAML::Node ports = node["ports"]) {
      rule.ports.emplace();
      for (const std::string& item : some(ports, where_ + ": ports")) {
        if (auto added = rule.ports->add(item); !added) return void(fail(ports, fmt::format("{}: ports: {}", where_, added.error().message)));
      }
    }
    if (const YAML::Node exporters = node["exporters"]) {
      rule.exporters.emplace();
      for (const std::string& item : some(exporters, where_ + ": exporters")) {
        if (auto added = rule.exporters->add(item); !added) {
          return void(fail(exporters, fmt::format("{}: exporters: {}", where_, added.error().message)));
        }
      }
      rule.exporters->finish();
    }
  }

  /// Code that ends in `drop` where the condition holds, and in `finish` where it does not.
  void read_condition(const YAML::Node& node, Rule& rule) {
    const rules::NodePtr when = expression(node, where_ + ": when", environment_);
    if (when == nullptr) return;
    rules::Compiler compiler(environment_, program_);
    rule.condition = node.Scalar();
    rule.entry = program_.code.size();
    rules::Label otherwise{compiler.emit({.op = Op::begin_rule})};
    if (const auto compiled = compiler.jump_if(*when, false, otherwise); !compiled) {
      return void(fail_in(node, where_ + ": when", compiled.error()));
    }
    compiler.emit({.op = Op::drop});
    compiler.bind(otherwise);
    compiler.emit({.op = Op::finish});
    if (program_.code.size() > rules::kInstructionsMax || program_.constants.size() > UINT16_MAX || program_.sets.size() > UINT16_MAX) {
      return void(fail(node, "the conditions are too many for one program"));
    }
    if (const auto fields = RecordFields::of(program_, *rule.entry); !fields) {
      fail(node, fmt::format("{}: when: {}", where_, fields.error().message));
    }
  }

  void read_extract(const YAML::Node& node, Rule& rule) {
    const auto what = node.IsScalar() ? value_named<Extract>(node.Scalar()) : std::nullopt;
    if (!what || *what == Extract::none) return void(fail(node, fmt::format("{}: extract is tls, http or dns", where_)));
    if (rule.look != LookPlace::payload) {
      return void(fail(node, fmt::format("{}: extract: only a pattern in payload has something to take it from", where_)));
    }
    rule.extracts = *what;
  }

  void read_actions(const YAML::Node& node, Rule& rule) {
    const YAML::Node then = node["then"];
    if (!then) return void(fail(node, fmt::format("{} does nothing: it needs 'then'", where_)));
    const std::string where = where_ + ": then";
    if (!check_keys(then, where, {"drop", "sample", "route", "application", "labels"})) return;
    if (then.size() == 0) return void(fail(then, fmt::format("{}: needs drop, sample, route, application or labels", where)));
    if (const YAML::Node drop = then["drop"]) {
      if (!drop.IsScalar() || drop.Scalar() != "true") return void(fail(drop, fmt::format("{}: drop is true, or not there", where)));
      if (then.size() > 1) return void(fail(then, fmt::format("{}: what is dropped is nothing else", where)));
      rule.drops = true;
    }
    rule.sample = static_cast<uint64_t>(whole_number(then["sample"], "sample", 1, kSampleMax).value_or(0));
    rule.application = text_of(then, "application", where, kApplicationOctetsMax);
    rule.route = text_of(then, "route", where, kStringOctetsMax);
    if (!then["labels"] || !error_.empty()) return;
    rule.labels = some(then["labels"], where + ": labels");
    if (rule.labels.size() > kLabelsMax) return void(fail(then["labels"], fmt::format("{}: {} labels, limit {}", where, rule.labels.size(), kLabelsMax)));
    for (const std::string& label : rule.labels) {
      if (label.empty() || label.size() > kStringOctetsMax || !is_utf8(label)) {
        return void(fail(then["labels"], fmt::format("{}: a label has 1 to {} octets of UTF-8", where, kStringOctetsMax)));
      }
    }
  }

  const ElementFinder& find_;
  std::vector<Rule>& rules_;
  rules::Program& program_;
  rules::Environment environment_;
  std::string where_;
};

}  // namespace

Result<void> read_rule_file(const std::string& text, const std::string& name, const ElementFinder& find,
                            std::vector<Rule>& rules, rules::Program& program) {
  return RuleFileReader(name, find, rules, program).read(text);
}

}  // namespace weir::classify
