// taken_up.h — What a reload took up, in the words that weirctl prints: rules, enrichment, and keys.
//
// Runs on:  the control thread. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "enrich/enrichment.h"
#include "service/operation_routes.h"

namespace weir::feed {

/// Of the files that flows go by: the same where they say the same.
struct FilesIdentity {
  std::string rules;  // SHA-256; empty: none
  std::string enrichment;
};
/// `enrichment` may be null.
FilesIdentity identity_of(std::string rules_hash, const enrich::Enrichment* enrichment);

/// Says in `view` which of the files are others and which of the keys that differ go now: `also_live` is what those begin with that do in this
/// program; empty: none. True where what flows go by is to be replaced.
bool tell_taken_up(const FilesIdentity& now, const FilesIdentity& wanted, const std::vector<std::string>& differing_keys,
                   std::string_view also_live, service::ReloadView& view);

}  // namespace weir::feed
