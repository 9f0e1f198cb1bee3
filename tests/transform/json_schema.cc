#include "transform/json_schema.h"

#include <cmath>
#include <set>

namespace weir::test {
namespace {

using nlohmann::json;

const std::set<std::string> kKnownKeywords = {
    "$comment", "$id",   "$schema",  "$ref",       "definitions",          "allOf", "anyOf",    "oneOf",   "if",      "then",
    "else",     "type",  "required", "properties", "additionalProperties", "items", "contains", "enum",    "const",   "pattern",
    "minimum",  "maximum", "maxLength"};

bool is_integer(const json& v) {
  return v.is_number_integer() || (v.is_number_float() && std::trunc(v.get<double>()) == v.get<double>());
}

bool is_of(const json& v, const std::string& type) {
  if (type == "object") return v.is_object();
  if (type == "array") return v.is_array();
  if (type == "string") return v.is_string();
  if (type == "boolean") return v.is_boolean();
  if (type == "integer") return is_integer(v);
  if (type == "number") return v.is_number();
  return type == "null" && v.is_null();
}

/// Null where there is none: an empty range. (value() copies.)
const json& member(const json& object, const char* name) {
  static const json kNone;
  const auto at = object.find(name);
  return at != object.end() ? *at : kNone;
}

size_t characters(const std::string& utf8) {
  size_t n = 0;
  for (const char c : utf8) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return n;
}

}  // namespace

JsonSchema::JsonSchema(json schema, Profiles profiles) : schema_(std::move(schema)), profiles_(profiles) {}

std::vector<std::string> JsonSchema::errors_of(const json& value) const {
  std::vector<std::string> errors;
  Report report{&errors};
  check(value, schema_, "", report);
  return errors;
}

#define WEIR_FAIL_(text)                                            \
  do {                                                              \
    report.valid = false;                                           \
    if (report.errors == nullptr) return;                           \
    report.errors->push_back((path.empty() ? "/" : path) + ": " + (text)); \
  } while (false)

void JsonSchema::check(const json& value, const json& schema, const std::string& path, Report& report) const {
  if (schema.is_boolean()) {
    if (!schema.get<bool>()) WEIR_FAIL_("is not allowed");
    return;
  }
  for (const auto& [keyword, ignored] : schema.items()) {
    if (kKnownKeywords.count(keyword) == 0) WEIR_FAIL_("the schema's keyword " + keyword + " is not known");
  }
  if (schema.contains("$ref")) {
    const std::string ref = schema["$ref"];
    return check(value, schema_.at(json::json_pointer(ref.substr(1))), path, report);
  }
  if (schema.contains("type") && !is_of(value, schema["type"])) WEIR_FAIL_("is no " + schema["type"].dump());
  check_combined(value, schema, path, report);
  if (value.is_object()) check_object(value, schema, path, report);
  if (value.is_array()) check_array(value, schema, path, report);
  check_scalar(value, schema, path, report);
}

void JsonSchema::check_object(const json& value, const json& schema, const std::string& path, Report& report) const {
  for (const json& name : member(schema, "required")) {
    const auto& key = name.get_ref<const std::string&>();
    if (!value.contains(key)) WEIR_FAIL_(key + " is missing");
  }
  const json& properties = member(schema, "properties");
  for (const auto& [name, of_name] : value.items()) {
    const auto at = properties.find(name);
    if (at != properties.end()) {
      check(of_name, *at, path + "/" + name, report);
    } else if (schema.contains("additionalProperties")) {
      check(of_name, schema["additionalProperties"], path + "/" + name, report);
    }
  }
}

void JsonSchema::check_array(const json& value, const json& schema, const std::string& path, Report& report) const {
  if (schema.contains("items")) {
    for (size_t i = 0; i < value.size(); ++i) {
      check(value[i], schema["items"], path + "/" + std::to_string(i), report);
    }
  }
  if (!schema.contains("contains")) return;
  for (const json& item : value) {
    if (holds(item, schema["contains"])) return;
  }
  WEIR_FAIL_("has no item of " + schema["contains"].dump());
}

void JsonSchema::check_scalar(const json& value, const json& schema, const std::string& path, Report& report) const {
  if (schema.contains("const") && value != schema["const"]) WEIR_FAIL_("is not " + schema["const"].dump());
  if (schema.contains("enum")) {
    bool found = false;
    for (const json& each : schema["enum"]) found |= each == value;
    if (!found) WEIR_FAIL_(value.dump() + " is none of the values allowed");
  }
  if (value.is_number()) {
    if (schema.contains("minimum") && value < schema["minimum"]) WEIR_FAIL_("is below " + schema["minimum"].dump());
    if (schema.contains("maximum") && value > schema["maximum"]) WEIR_FAIL_("is above " + schema["maximum"].dump());
  }
  if (!value.is_string()) return;
  const auto& text = value.get_ref<const std::string&>();
  if (schema.contains("maxLength") && characters(text) > schema["maxLength"].get<size_t>()) WEIR_FAIL_("is too long");
  if (schema.contains("pattern") && !matches(schema["pattern"], text)) WEIR_FAIL_(value.dump() + " does not match");
}

void JsonSchema::check_combined(const json& value, const json& schema, const std::string& path, Report& report) const {
  for (const json& each : member(schema, "allOf")) check(value, each, path, report);
  for (const char* const keyword : {"anyOf", "oneOf"}) {
    if (!schema.contains(keyword)) continue;
    size_t valid = 0;
    for (const json& each : schema[keyword]) valid += holds(value, each);
    if (valid == 0 || (valid > 1 && *keyword == 'o')) WEIR_FAIL_(std::string("holds the wrong number of ") + keyword);
  }
  if (!schema.contains("if")) return;
  const char* const branch = condition(value, schema["if"]) ? "then" : "else";
  if (schema.contains(branch)) check(value, schema[branch], path, report);
}

bool JsonSchema::holds(const json& value, const json& schema) const {
  Report report{nullptr};
  check(value, schema, "", report);
  return report.valid;
}

bool JsonSchema::condition(const json& value, const json& schema) const {
  const json::json_pointer listed("/properties/metadata/properties/profiles/contains");
  if (profiles_ != Profiles::listed && schema.contains(listed)) return profiles_ == Profiles::all;
  return holds(value, schema);
}

bool JsonSchema::matches(const json& pattern, const std::string& text) const {
  const auto [at, is_new] = matched_.try_emplace({&pattern, text}, false);
  if (is_new) {
    auto compiled = patterns_.find(&pattern);
    if (compiled == patterns_.end()) {
      compiled = patterns_.emplace(&pattern, std::regex(pattern.get<std::string>())).first;
    }
    at->second = std::regex_search(text, compiled->second);
  }
  return at->second;
}

}  // namespace weir::test
