// program.h — Run a program to its end and look at what it wrote.
#pragma once

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "support/process.h"

namespace weir::test {

inline void write_file(const std::string& file, const std::string& contents) {
  std::ofstream(file, std::ios::binary) << contents;
}

struct Outcome {
  int status = -1;  // as Process::wait has it
  std::string out;
  std::string err;
};

/// Runs `arguments` (the program first, found in PATH) without a shell.
inline Outcome run_program(const std::vector<std::string>& arguments) {
  const TemporaryFolder folder;
  Process process(folder, arguments);
  const int status = process.wait(std::chrono::minutes(2));
  return {status, process.out(), process.err()};
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

}  // namespace weir::test
