#include "classify/pattern.h"

#include <fmt/format.h>
#include <hs/hs.h>

#include <algorithm>
#include <cstdlib>

namespace weir::classify {
namespace {

unsigned engine_flags(uint32_t flags) noexcept {
  // Once a scan is all that anybody asks.
  unsigned all = HS_FLAG_SINGLEMATCH;
  if ((flags & pattern_flag::kCaseless) != 0) all |= HS_FLAG_CASELESS;
  if ((flags & pattern_flag::kDotAll) != 0) all |= HS_FLAG_DOTALL;
  if ((flags & pattern_flag::kMultiline) != 0) all |= HS_FLAG_MULTILINE;
  if ((flags & pattern_flag::kUtf8) != 0) all |= HS_FLAG_UTF8;
  if ((flags & pattern_flag::kUcp) != 0) all |= HS_FLAG_UCP;
  return all;
}

struct Listener {
  void (*tell)(void* use, uint16_t pattern) noexcept;
  void* use;
};

int on_match(unsigned id, unsigned long long, unsigned long long, unsigned, void* context) noexcept {
  const auto& listener = *static_cast<const Listener*>(context);
  listener.tell(listener.use, static_cast<uint16_t>(id));
  return 0;  // goes on
}

}  // namespace

std::string pattern_engine() {
  hs_platform_info_t platform{};
  if (hs_valid_platform() != HS_SUCCESS || hs_populate_platform(&platform) != HS_SUCCESS) return {};
  return fmt::format("{} tune {} features {:x}", hs_version(), platform.tune, platform.cpu_features);
}

std::optional<PatternError> compile_here(std::span<const Pattern> patterns, CompiledPatterns& compiled) {
  if (patterns.size() > kPatternsMax) return PatternError{{}, fmt::format("more than {} patterns", kPatternsMax)};
  std::vector<const char*> expressions;
  std::vector<unsigned> flags, ids;
  for (const Pattern& pattern : patterns) {
    expressions.push_back(pattern.expression.c_str());
    flags.push_back(engine_flags(pattern.flags));
    ids.push_back(static_cast<unsigned>(ids.size()));
  }
  hs_database_t* made = nullptr;
  hs_compile_error_t* error = nullptr;
  const hs_error_t rc = hs_compile_multi(expressions.data(), flags.data(), ids.data(),
                                         static_cast<unsigned>(patterns.size()), HS_MODE_BLOCK, nullptr, &made, &error);
  if (rc != HS_SUCCESS) {
    PatternError told{{}, error != nullptr ? error->message : fmt::format("error {}", rc)};
    // Where memory is short the engine hands out a constant error, which blames the first pattern.
    told.is_out_of_memory = rc == HS_NOMEM || told.message == "Unable to allocate memory.";
    if (error != nullptr && error->expression >= 0 && !told.is_out_of_memory) told.pattern = static_cast<size_t>(error->expression);
    hs_free_compile_error(error);
    return told;
  }
  char* octets = nullptr;
  size_t size = 0;
  const hs_error_t serialised = hs_serialize_database(made, &octets, &size);
  hs_free_database(made);
  if (serialised != HS_SUCCESS) {
    return PatternError{{}, fmt::format("the database cannot be written: {}", serialised), serialised == HS_NOMEM};
  }
  compiled.database.assign(octets, octets + size);
  std::free(octets);
  compiled.width_max = 0;
  for (size_t i = 0; i < patterns.size(); ++i) {
    hs_expr_info_t* info = nullptr;
    const bool is_told = hs_expression_info(expressions[i], flags[i], &info, &error) == HS_SUCCESS;
    compiled.width_max = std::max(compiled.width_max, is_told ? info->max_width : UINT32_MAX);
    std::free(info);
  }
  return std::nullopt;
}

Result<std::unique_ptr<const PatternDatabase>> PatternDatabase::load(std::span<const uint8_t> serialised) {
  hs_database_t* made = nullptr;
  const hs_error_t rc =
      hs_deserialize_database(reinterpret_cast<const char*>(serialised.data()), serialised.size(), &made);
  if (rc != HS_SUCCESS) return Error{fmt::format("a database of patterns of {} octets does not go here: error {}", serialised.size(), rc)};
  return std::unique_ptr<const PatternDatabase>(new PatternDatabase(made));
}

PatternDatabase::~PatternDatabase() { hs_free_database(database_); }

bool PatternDatabase::scan_with(std::span<const uint8_t> octets, const PatternScratch& scratch, Tell tell, void* use) const noexcept {
  Listener listener{tell, use};
  return hs_scan(database_, reinterpret_cast<const char*>(octets.data()), static_cast<unsigned>(octets.size()), 0,
                 scratch.scratch_, on_match, &listener) == HS_SUCCESS;
}

size_t PatternDatabase::octets() const noexcept {
  size_t size = 0;
  return hs_database_size(database_, &size) == HS_SUCCESS ? size : 0;
}

PatternScratch::~PatternScratch() { hs_free_scratch(scratch_); }

Result<void> PatternScratch::fit(const PatternDatabase& database) {
  if (const hs_error_t rc = hs_alloc_scratch(database.database_, &scratch_); rc != HS_SUCCESS)
    return Error{fmt::format("no memory to scan with: error {}", rc)};
  return {};
}

}  // namespace weir::classify
