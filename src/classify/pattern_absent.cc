// A build without Hyperscan: there is no database, so nothing is ever scanned.
#include "classify/pattern.h"

namespace weir::classify {

std::string pattern_engine() { return {}; }

std::optional<PatternError> compile_here(std::span<const Pattern>, CompiledPatterns&) {
  return PatternError{{}, "this build has no Hyperscan"};
}

Result<std::unique_ptr<const PatternDatabase>> PatternDatabase::load(std::span<const uint8_t>) {
  return Error{"this build has no Hyperscan"};
}

PatternDatabase::~PatternDatabase() = default;
bool PatternDatabase::scan_with(std::span<const uint8_t>, const PatternScratch&, Tell, void*) const noexcept { return true; }
size_t PatternDatabase::octets() const noexcept { return database_ != nullptr ? 1 : 0; }
PatternScratch::~PatternScratch() = default;
Result<void> PatternScratch::fit(const PatternDatabase&) { return {}; }

}  // namespace weir::classify
