#include "store/identity_ledger.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace weir::store {
namespace {

constexpr size_t kApplianceOctetsMax = 64;
/// A longer one is not remembered: a header may have a megabyte, and there are Limits::ids_max of them.
constexpr size_t kIdOctetsMax = 256;

/// Digits only, without a sign or a leading zero: one number has one form.
template <class T>
bool is_number(std::string_view text, T& number) {
  if (text.empty() || text.front() < '0' || text.front() > '9' || (text.size() > 1 && text.front() == '0')) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

/// As a collector makes them: the appliance's name has no dots.
std::optional<MessageName> collectors_name(std::string_view id) {
  std::array<std::string_view, 5> tokens;
  size_t count = 0;
  for (std::string_view rest = id; count < tokens.size();) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    tokens[count++] = rest.substr(0, dot);
    if (dot == rest.size()) break;
    rest.remove_prefix(dot + 1);
    if (count == tokens.size()) return std::nullopt;
  }
  uint64_t start = 0;
  uint32_t core = 0;
  MessageName name;
  if (count < 4 || tokens[0].empty() || tokens[0].size() > kApplianceOctetsMax || !is_number(tokens[1], start) ||
      !is_number(tokens[2], core) || !is_number(tokens[3], name.place.sequence)) {
    return std::nullopt;
  }
  if (count == 5 && (!is_number(tokens[4], name.place.part) || name.place.part == BatchPlace::kWhole)) return std::nullopt;
  name.source = id.substr(0, static_cast<size_t>(tokens[3].data() - id.data()) - 1);
  return name;
}

}  // namespace

MessageName name_of_message(const MessageOrigin& origin) {
  if (auto name = collectors_name(origin.id)) return *name;
  MessageName name;
  if (!origin.id.empty() && origin.id.size() <= kIdOctetsMax) {
    name.id = origin.id;
    return name;
  }
  name.source = std::string(origin.stream) + '@' + std::string(origin.stream_created);
  name.place.sequence = origin.stream_sequence;
  return name;
}

void IdentityLedger::touch(const std::string& name, Source& source) {
  if (source.age != 0) by_age_.erase(source.age);
  source.age = ++last_age_;
  by_age_.emplace(source.age, name);
}

void IdentityLedger::forget_quiet_sources() {
  while (sources_.size() > limits_.sources_max) {
    const auto oldest = by_age_.begin();
    ++sources_forgotten_;
    sources_.erase(oldest->second);
    gone_.push_back(std::move(oldest->second));
    by_age_.erase(oldest);
  }
}

bool IdentityLedger::restore_source(std::string name, std::string_view runs) {
  auto parsed = RunSet::parse(runs);
  if (!parsed) return false;
  Source& source = sources_[name];
  source.runs = std::move(*parsed);
  touch(name, source);
  return true;
}

void IdentityLedger::restore_id(std::string id) {
  if (ids_.insert(id).second) ids_by_age_.push_back(std::move(id));
}

bool IdentityLedger::has(const MessageName& name) const {
  if (name.source.empty()) return ids_.count(name.id) != 0;
  const auto found = sources_.find(name.source);
  return found != sources_.end() && found->second.runs.has(name.place);
}

Verdict IdentityLedger::take(const MessageName& name) {
  if (!name.source.empty()) {
    Source& source = sources_[name.source];
    const Verdict verdict = source.runs.add(name.place, limits_.runs_max);
    if (verdict == Verdict::repeated) return verdict;
    touch(name.source, source);
    if (!std::exchange(source.is_changed, true)) changed_.push_back(name.source);
    forget_quiet_sources();
    return verdict;
  }
  if (!ids_.insert(name.id).second) return Verdict::repeated;
  ids_by_age_.push_back(name.id);
  ids_new_.push_back(name.id);
  if (ids_by_age_.size() > limits_.ids_max) {
    ++ids_forgotten_;
    ids_gone_.push_back(ids_by_age_.front());
    ids_.erase(ids_by_age_.front());
    ids_by_age_.pop_front();
  }
  return Verdict::fresh;
}

IdentityLedger::Changes IdentityLedger::changes() {
  Changes changes;
  for (std::string& name : gone_) changes.sources.push_back({std::move(name), ""});
  std::map<uint64_t, const std::string*> changed;  // quiet longest first, each once
  for (const std::string& name : changed_) {
    if (const auto found = sources_.find(name); found != sources_.end()) changed.emplace(found->second.age, &found->first);
  }
  for (const auto& [age, name] : changed) {
    Source& source = sources_[*name];
    source.is_changed = false;
    changes.sources.push_back({*name, source.runs.to_text()});
  }
  changes.ids = std::move(ids_new_);
  changes.ids_forgotten = std::move(ids_gone_);
  gone_.clear();
  changed_.clear();
  ids_new_.clear();
  ids_gone_.clear();
  return changes;
}

size_t IdentityLedger::runs_most() const noexcept {
  size_t most = 0;
  for (const auto& [name, source] : sources_) most = std::max(most, source.runs.runs());
  return most;
}

}  // namespace weir::store
