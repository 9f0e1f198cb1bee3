#include "control/config/config_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "control/config/config_values.h"
#include "decode/elements.h"
#include "export/batcher.h"
#include "export/element_names.h"
#include "service/config_findings.h"

namespace weir::control {
namespace {

constexpr uint32_t kIanaElementsEnd = 1024;

template <class Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

std::optional<classify::ElementKey> parse_element(std::string_view text) {
  classify::ElementKey key;
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    if (!read_number(text.substr(0, slash), key.enterprise)) return std::nullopt;
    text.remove_prefix(slash + 1);
  }
  if (read_number(text, key.id)) return key;
  for (uint32_t id = 1; id < kIanaElementsEnd && key.enterprise == 0; ++id) {
    const auto known = outbound::find_element(0, id);
    if (known && known->name == text) return classify::ElementKey{0, static_cast<uint16_t>(id)};
  }
  return std::nullopt;
}

/// Where rules send records is checked as a listener's subject is.
void check_routes(const ApplianceConfig& config, Findings& findings) {
  for (const classify::Rule& rule : config.rule_set->rules()) {
    if (rule.route.empty()) continue;
    const auto wrong = [&](const std::string& what) {
      findings.error("classification.rules", {}, fmt::format("{}:{}: rule {}: route: {}", rule.file, rule.line, rule.id, what));
    };
    if (!is_subject_template(rule.route)) {
      wrong(fmt::format("{} is no NATS subject without wildcards", rule.route));
      continue;
    }
    for (const ListenerConfig& listener : config.listeners) {
      if (!admits_sflow(listener)) continue;
      for (const std::string& other : {listener.counters_subject, listener.discards_subject}) {
        if (other.empty() || !outbound::overlap(outbound::stream_pattern(rule.route), outbound::stream_pattern(other))) continue;
        wrong(fmt::format("{} is for records of another kind", other));
      }
    }
  }
}

/// A core keeps batches of so many subjects open.
void check_open_batches(const ApplianceConfig& config, Findings& findings) {
  const size_t subjects = route_subjects(config).size();
  if (config.rule_set->routes().empty() || subjects <= outbound::kOpenRoutesMax) return;
  findings.warning("classification.rules",
                   fmt::format("records go to {} subjects; a core has batches of {} open: beyond these each record may end another's batch, and batches are small",
                               subjects, outbound::kOpenRoutesMax));
}

/// Records carry names of interfaces and VRFs only where somebody asks for them.
void check_names(const ApplianceConfig& config, Findings& findings) {
  using classify::LookPlace;
  const bool has_names = std::any_of(config.listeners.begin(), config.listeners.end(), [](const auto& l) { return l.inline_names; });
  for (const classify::Rule& rule : config.rule_set->rules()) {
    const bool is_application = rule.look == LookPlace::application_name;
    const bool needs_names = rule.look >= LookPlace::in_if_name && rule.look <= LookPlace::egress_vrf_name;
    if ((!needs_names && !is_application) || has_names) continue;
    findings.warning("classification.rules",
                     fmt::format("{}:{}: rule {} looks in {}, which records carry where {}a listener has inline_names; none has", rule.file,
                                 rule.line, rule.id, name_of(rule.look), is_application ? "an exporter sends it in each, or where " : ""));
  }
}

}  // namespace

Result<classify::ElementKey> find_classified_element(std::string_view name) {
  const auto key = parse_element(name);
  if (!key) return Error{};
  if (!decode::uses_of(key->enterprise, key->id, false).empty() || decode::structure_order(key->enterprise, key->id) != 0) {
    return Error{fmt::format("element {} is no element on its own, but goes into fields of records: a pattern looks in the field, "
                             "such as server_name, or in payload", name)};
  }
  return *key;
}

void read_rule_set(LoadedConfig& loaded, Keeping keeping, service::ConfigReport& report) {
  ApplianceConfig& config = loaded.config;
  if (config.classification.rules.empty()) return;
  classify::RuleSetOptions options{.find_element = find_classified_element, .cache = {}};
  if (!config.state_dir.empty()) options.cache = {config.state_dir + "/patterns", keeping == Keeping::compiled_patterns};
  Findings findings(loaded.origins, report);
  auto rules = classify::RuleSet::read(config.classification.rules, options);
  if (!rules) return findings.error("classification.rules", {}, rules.error().message);
  config.rule_set = std::move(*rules);
  for (const std::string& warning : config.rule_set->warnings()) findings.warning("classification.rules", warning);
  check_routes(config, findings);
  check_names(config, findings);
  check_open_batches(config, findings);
}

}  // namespace weir::control
