#include "feed/taken_up.h"

#include <fmt/format.h>

#include <utility>

#include "feed/settings.h"

namespace weir::feed {
namespace {

constexpr size_t kHashDigitsShown = 12;

/// Keys of files, which are told by what is in them.
bool is_of_files(std::string_view key) { return key == "rules" || key.starts_with("enrichment."); }
/// Keys whose new values go without a restart, in each program that has files.
bool is_live(std::string_view key) { return is_of_files(key) || key == "log.level" || key == kWatchKey; }

}  // namespace

FilesIdentity identity_of(std::string rules_hash, const enrich::Enrichment* enrichment) {
  FilesIdentity identity{std::move(rules_hash), {}};
  if (enrichment == nullptr) return identity;
  for (const enrich::SourceLook& source : enrichment->sources()) {
    identity.enrichment += fmt::format(" {} {} {} {}", source.path, source.type, source.digest, source.prefixes);
  }
  return identity;
}

bool tell_taken_up(const FilesIdentity& now, const FilesIdentity& wanted, const std::vector<std::string>& differing_keys,
                   std::string_view also_live, service::ReloadView& view) {
  if (wanted.rules != now.rules) {
    view.applied.push_back(wanted.rules.empty() ? "no rules" : fmt::format("rules ({})", wanted.rules.substr(0, kHashDigitsShown)));
  }
  if (wanted.enrichment != now.enrichment) view.applied.push_back(wanted.enrichment.empty() ? "no enrichment" : "enrichment");
  bool is_other = !view.applied.empty();
  for (const std::string& key : differing_keys) {
    if (!is_live(key) && (also_live.empty() || !key.starts_with(also_live))) {
      view.needs_restart.push_back(key);
    } else if (!is_of_files(key) || !is_other) {
      view.applied.push_back(key);
      is_other |= key != "log.level" && key != kWatchKey;
    }
  }
  return is_other;
}

}  // namespace weir::feed
