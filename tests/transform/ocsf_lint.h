// ocsf_lint.h — What a JSON Schema cannot say of an OCSF event: attributes of profiles that are not listed, also deep
// inside, names of observables, captions beside enumerators, what is deprecated.
//
// Spec:     the rules of ../shared/ocsf/ocsf_lint.py, from the same resolved class and objects.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "transform/json_schema.h"

namespace weir::test {

struct Findings {
  std::vector<std::string> errors;
  std::vector<std::string> warnings;
};

class OcsfLint {
 public:
  explicit OcsfLint(nlohmann::json resolved) : resolved_(std::move(resolved)) {}

  Findings look_at(const nlohmann::json& event) const;

 private:
  using json = nlohmann::json;
  using Names = std::set<std::string>;

  static bool is_live(const json& attribute, const Names& profiles);
  void walk(const json& value, const json& item, const Names& profiles, const std::string& path, Findings& f) const;
  void look_at_enumerator(const json& object, const std::string& key, const json& attribute, const std::string& path,
                          Findings& f) const;
  bool names_an_attribute(const std::string& name, const Names& profiles) const;

  const json resolved_;
};

}  // namespace weir::test
