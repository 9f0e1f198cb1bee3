// docs/PROTOCOLS.md names files, functions and tests: each exists, so that the document cannot rot.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace weir::decode {
namespace {

namespace fs = std::filesystem;

fs::path root() {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  return root != nullptr ? root : ".";
}

std::string contents_of(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::set<std::string> all_tests() {
  static const std::regex test(R"(TEST(?:_F|_P)?\((\w+),\s*(\w+)\))");
  std::set<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(root() / "tests")) {
    if (entry.path().extension() != ".cc") continue;
    const std::string text = contents_of(entry.path());
    for (std::sregex_iterator at(text.begin(), text.end(), test), end; at != end; ++at) {
      names.insert((*at)[1].str() + "." + (*at)[2].str());
    }
  }
  return names;
}

/// The words in backticks of a cell, or of a line of text.
std::vector<std::string> words_of(const std::string& cell) {
  static const std::regex quoted("`([^`]+)`");
  std::vector<std::string> words;
  for (std::sregex_iterator at(cell.begin(), cell.end(), quoted), end; at != end; ++at) {
    words.push_back((*at)[1]);
  }
  return words;
}

TEST(ProtocolsDocument, NamesFilesFunctionsAndTestsThatExist) {
  static const std::regex file(R"((src|tests|docs|scripts|proto|conf|perf)/[\w./-]+\.\w+)");
  static const std::regex test(R"([A-Z]\w+\.[A-Z]\w+)");
  static const std::regex function(R"(\w+\(\))");
  const std::set<std::string> tests = all_tests();
  ASSERT_GT(tests.size(), 100u);
  std::istringstream lines(contents_of(root() / "docs" / "PROTOCOLS.md"));
  size_t files_named = 0;
  size_t tests_named = 0;
  size_t functions_named = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, '|');) {
      SCOPED_TRACE(cell);
      std::string code;  // of the files that the cell has named so far
      for (const std::string& word : words_of(cell)) {
        if (std::regex_match(word, file)) {
          ++files_named;
          EXPECT_TRUE(fs::exists(root() / word)) << word;
          code += contents_of(root() / word);
        } else if (std::regex_match(word, test)) {
          ++tests_named;
          EXPECT_TRUE(tests.contains(word)) << word;
        } else if (std::regex_match(word, function)) {
          ++functions_named;
          EXPECT_NE(code.find(word.substr(0, word.size() - 1)), std::string::npos) << word;
        }
      }
    }
  }
  EXPECT_GT(files_named, 20u);
  EXPECT_GT(tests_named, 100u);
  EXPECT_GT(functions_named, 20u);
}

/// The list of habits has a test in every row, or says that and why it is not done.
TEST(ProtocolsDocument, HasATestForEveryHabit) {
  static const std::regex test(R"(`[A-Z]\w+\.[A-Z]\w+`)");
  std::istringstream lines(contents_of(root() / "docs" / "PROTOCOLS.md"));
  bool inside = false;
  size_t rows = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## ")) inside = line.find("What exporters do") != std::string::npos;
    if (!inside || !line.starts_with("| ") || line.starts_with("| #")) continue;
    ++rows;
    EXPECT_TRUE(std::regex_search(line, test)) << line;
  }
  EXPECT_GT(rows, 80u);
}

}  // namespace
}  // namespace weir::decode
