// yaml_reader.h — What files of rules have in common: keys that are checked, errors with file and line, sets, expressions.
//
// Runs on:  any thread, when rules are read.
// Failure:  the first mistake is kept, with file and line; everything after it is for nothing.
#pragma once

#include <openssl/evp.h>
#include <yaml-cpp/yaml.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rules/compiler.h"

namespace weir::rules {

inline constexpr size_t kRuleFilesMax = 1000;
inline constexpr std::string_view kRuleFileEnding = ".yaml";
/// The file itself; of a folder the files in it that end so, by their names.
Result<std::vector<std::string>> rule_files_of(const std::string& path);
/// Letters, digits and _, not beginning with a digit.
bool is_name(const std::string& text);

/// What all that was read comes to.
class Digest {
 public:
  void add(std::string_view text);
  std::string hex();

 private:
  static EVP_MD_CTX* begun();
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{begun(), EVP_MD_CTX_free};
};

class YamlReader {
 protected:
  explicit YamlReader(std::string name) : name_(std::move(name)) {}

  /// Of a file, both from 1.
  struct Place {
    size_t line = 1, column = 1;
  };
  static Place place_of(const YAML::Mark& mark) {
    if (mark.line < 0 || mark.column < 0) return {};
    return {static_cast<size_t>(mark.line) + 1, static_cast<size_t>(mark.column) + 1};
  }
  static Place place_of(const YAML::Node& node) { return place_of(node.Mark()); }
  static size_t line_of(const YAML::Node& node) { return place_of(node).line; }
  bool fail(Place place, const std::string& what);
  bool fail(const YAML::Node& node, const std::string& what) { return fail(place_of(node), what); }
  /// What is wrong with the expression that the node has; where that begins with its place in it (`at 7: `), in the file.
  bool fail_in(const YAML::Node& node, const std::string& where, const Error& error);
  /// Whether it is UTF-8, or says that it is UTF-16.
  bool check_text(const std::string& text);
  /// Of a file: the only one. Throws as YAML::Load does.
  YAML::Node only_document(const std::string& text);
  /// A mapping with these keys and no others, none twice.
  bool check_keys(const YAML::Node& map, const std::string& where, const std::vector<std::string_view>& allowed);
  std::vector<std::string> scalars(const YAML::Node& list, const std::string& where);
  void read_sets(const YAML::Node& sets, Environment& environment);
  /// Null where it is none. Its constants are as flows have them.
  NodePtr expression(const YAML::Node& node, const std::string& where, const Environment& environment);

  /// What comes is of another file, or once more of one. `text` outlives it.
  void turn_to(const std::string& name, std::string_view text) {
    name_ = name;
    text_ = text;
  }

  std::string name_;
  std::string error_;

 private:
  Place place_in(const YAML::Node& scalar, size_t octets) const;
  std::string_view text_;  // the file's, while it is read
};

}  // namespace weir::rules
