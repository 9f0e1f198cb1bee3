// json_schema.h — Is a value valid under a JSON Schema? As much of draft-07 as the compiled OCSF schema uses.
//
// A keyword that is not known is an error, so that nothing passes because nobody looked.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <utility>
#include <vector>

namespace weir::test {

/// OCSF's profiles as a schema may see them: those that the event lists, all of them (the server's export without
/// ?profiles=), or none.
enum class Profiles : uint8_t { listed, all, none };

class JsonSchema {
 public:
  explicit JsonSchema(nlohmann::json schema, Profiles profiles = Profiles::listed);

  /// What is wrong with `value`, with the path to it; empty where it is valid.
  std::vector<std::string> errors_of(const nlohmann::json& value) const;

 private:
  using json = nlohmann::json;
  struct Report {
    std::vector<std::string>* errors;  // null: only the verdict is asked for
    bool valid = true;
  };

  void check(const json& value, const json& schema, const std::string& path, Report& report) const;
  void check_object(const json& value, const json& schema, const std::string& path, Report& report) const;
  void check_array(const json& value, const json& schema, const std::string& path, Report& report) const;
  void check_scalar(const json& value, const json& schema, const std::string& path, Report& report) const;
  void check_combined(const json& value, const json& schema, const std::string& path, Report& report) const;
  bool holds(const json& value, const json& schema) const;
  bool condition(const json& value, const json& condition_schema) const;
  bool matches(const json& pattern, const std::string& text) const;

  const json schema_;
  const Profiles profiles_;
  // By the schema's own node. std::regex takes its time.
  mutable std::map<const json*, std::regex> patterns_;
  mutable std::map<std::pair<const json*, std::string>, bool> matched_;
};

}  // namespace weir::test
