// captures.h — The captures of real exporters that lie beside the project, where they do.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace weir::test {

inline std::filesystem::path captures_folder() {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  return std::filesystem::path(root != nullptr ? root : ".") / ".." / "shared" / "captures";
}

/// A line of INDEX.tsv.
struct CaptureFile {
  std::string name;       // below captures_folder()
  std::string kind;       // flow, sequence, generated, traffic
  std::string protocols;  // NFv5:3;IPFIX:1 …, with the number of datagrams
  uint64_t data_records = 0;
  uint64_t options_records = 0;
  std::string golden_type;           // json, text, …; none
  std::vector<std::string> goldens;  // expected decodes, below captures_folder()

  std::filesystem::path path() const { return captures_folder() / name; }
  bool has(const char* protocol) const { return protocols.find(protocol) != std::string::npos; }
  bool is_pcap() const { return name.ends_with(".pcap") || name.ends_with(".pcapng"); }
};

/// All of them; empty where the folder is absent.
inline std::vector<CaptureFile> read_captures_index() {
  std::ifstream file(captures_folder() / "INDEX.tsv");
  std::vector<CaptureFile> rows;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::vector<std::string> cells;
    std::istringstream in(line);
    for (std::string cell; std::getline(in, cell, '\t');) cells.push_back(cell);
    if (cells.size() < 8) continue;
    CaptureFile& row = rows.emplace_back();
    row.name = cells[0];
    row.kind = cells[1];
    row.protocols = cells[2];
    row.data_records = std::strtoull(cells[6].c_str(), nullptr, 10);
    row.options_records = std::strtoull(cells[7].c_str(), nullptr, 10);
    if (cells.size() < 13) continue;
    row.golden_type = cells[11];
    std::istringstream paths(cells[12]);
    for (std::string p; std::getline(paths, p, ';');) row.goldens.push_back(p);
  }
  return rows;
}

}  // namespace weir::test
