// pattern.h — Patterns and what is made of them: a database, the scratch that a core scans with, what was found.
//
// Spec:     the Hyperscan API, 5.4 (hs.h), which Vectorscan has as well. Built without either (-Dhyperscan=disabled)
//           there is no engine, and no database can be had.
// Runs on:  made on any thread; scan: rx_lcore. A database is constant and shared, a scratch is one core's.
// Bounds:   kPatternOctetsMax, kPatternsMax; a scan tells of each pattern once at most.
// Failure:  an Error with the engine's words, and which pattern it is about.
//
// hs_compile cannot be interrupted and may take any time and memory: only compile_apart (pattern_compiler.h) calls
// compile_here, in a process of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

struct hs_database;
struct hs_scratch;

namespace weir::classify {

inline constexpr size_t kPatternOctetsMax = 4096;
inline constexpr size_t kPatternsMax = 10'000;

/// Hyperscan's flags by letter; `s` unless something else is said.
namespace pattern_flag {
inline constexpr uint32_t kCaseless = 1 << 0;   // i
inline constexpr uint32_t kDotAll = 1 << 1;     // s
inline constexpr uint32_t kMultiline = 1 << 2;  // m
inline constexpr uint32_t kUtf8 = 1 << 3;       // u
inline constexpr uint32_t kUcp = 1 << 4;        // p
}  // namespace pattern_flag
std::optional<uint32_t> pattern_flags_of(std::string_view letters) noexcept;

struct Pattern {
  std::string expression;
  uint32_t flags = pattern_flag::kDotAll;
  uint32_t group = 0;  // those of one are compiled into a database of their own
};

/// Why patterns were not compiled.
struct PatternError {
  std::optional<size_t> pattern;  // which, where one is to blame
  std::string message;
  bool is_out_of_memory = false;  // then the engine does not know which
};

/// What names engine, version and kind of CPU: databases of another do not go. Empty: there is no engine.
std::string pattern_engine();

struct CompiledPatterns {
  std::vector<uint8_t> database;      // serialised
  uint32_t width_max = UINT32_MAX;    // octets that the longest match may have
};

/// Here and now, however long it takes.
std::optional<PatternError> compile_here(std::span<const Pattern> patterns, CompiledPatterns& compiled);

class PatternScratch;

class PatternDatabase {
 public:
  /// Of what compile_here made, by this engine on this kind of CPU.
  static Result<std::unique_ptr<const PatternDatabase>> load(std::span<const uint8_t> serialised);
  ~PatternDatabase();
  PatternDatabase(const PatternDatabase&) = delete;
  PatternDatabase& operator=(const PatternDatabase&) = delete;

  /// Tells `found` of the patterns that match, by their places in the list that was compiled; each once, in no order that
  /// anybody may count on: by how many there are no sender ends a scan. False: the engine did not scan all of it.
  template <class Found>
  bool scan(std::span<const uint8_t> octets, const PatternScratch& scratch, Found found) const noexcept {
    const auto tell = [](void* use, uint16_t pattern) noexcept { (*static_cast<Found*>(use))(pattern); };
    return scan_with(octets, scratch, tell, &found);
  }
  size_t octets() const noexcept;

 private:
  friend class PatternScratch;
  using Tell = void (*)(void* use, uint16_t pattern) noexcept;
  bool scan_with(std::span<const uint8_t> octets, const PatternScratch& scratch, Tell tell, void* use) const noexcept;
  explicit PatternDatabase(hs_database* database) noexcept : database_(database) {}
  hs_database* const database_;
};

class PatternScratch {
 public:
  PatternScratch() = default;
  ~PatternScratch();
  PatternScratch(const PatternScratch&) = delete;
  PatternScratch& operator=(const PatternScratch&) = delete;

  /// Makes room for scans of this one, too.
  Result<void> fit(const PatternDatabase& database);

 private:
  friend class PatternDatabase;
  hs_scratch* scratch_ = nullptr;
};

}  // namespace weir::classify
