// pattern_compiler.h — Patterns compiled in a process of its own, within bounds of time and memory, and kept on disk.
//
// Runs on:  any thread that may wait; never the receive path or the control thread.
// Bounds:   CompileBounds of CPU time and address space, kCompileWallSecondsMax in all, kDatabaseOctetsMax.
// Failure:  PatternError: the engine's words, or which bound was met; where one pattern is to blame, which.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "classify/pattern.h"

namespace weir::classify {

inline constexpr uint64_t kCompileWallSecondsMax = 120;  // of a machine that has other things to do
inline constexpr size_t kDatabaseOctetsMax = 512u << 20;

/// The program that compiles: it calls serve_patterns. Said once, by a program's main, before rules are read.
struct CompilerProgram {
  std::string path;
  std::vector<std::string> arguments;
};
void set_compiler_program(CompilerProgram program);

struct CompileBounds {
  uint64_t cpu_seconds = 20;
  uint64_t address_bytes = 2ull << 30;
};

/// In the process of its own: reads patterns from standard input, bounds itself, compiles, and writes what came of it to
/// standard output. The exit code of the process.
int serve_patterns(const CompileBounds& bounds = {});

/// Of each group.
using Databases = std::vector<CompiledPatterns>;

/// Of `patterns`, whose groups are one behind the other: 0, 0, 1, 2, 2. An error's place is among all of them.
std::optional<PatternError> compile_apart(std::span<const Pattern> patterns, Databases& databases);

/// Where databases are kept; an empty folder: nowhere.
struct PatternStore {
  std::string folder;
  bool is_written = true;  // else what is there is recalled, and nothing changes
};

/// The same, from the cache where it was compiled before. What is damaged or not whole there is made anew.
/// A file is named by what it was made of, by engine, CPU and the file's format; it is replaced whole. `trouble`: why nothing
/// could be kept; then it is compiled again next time.
std::optional<PatternError> compile_or_recall(std::span<const Pattern> patterns, const PatternStore& cache,
                                              Databases& databases, std::string& trouble);

/// Databases as they are handed over and kept: each behind its width and length. Nothing where the octets are none.
void append_database(std::vector<uint8_t>& to, const CompiledPatterns& compiled);
std::optional<Databases> split_databases(std::span<const uint8_t> octets);

}  // namespace weir::classify
