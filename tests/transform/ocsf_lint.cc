#include "transform/ocsf_lint.h"

#include <sstream>

namespace weir::test {
namespace {

using nlohmann::json;

const std::set<std::string> kProfiles = {"cloud",         "container", "data_classification", "datetime",
                                         "host",          "incident",  "load_balancer",       "network_proxy",
                                         "osint",         "security_control", "trace",        "linux/linux_users"};

std::string joined(const json& names) {
  std::string text;
  for (const json& name : names) text += (text.empty() ? "" : "/") + name.get<std::string>();
  return text;
}

/// `a.b[x.y].c` by the points that are not in brackets.
std::vector<std::string> parts_of(const std::string& name) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : name) {
    depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    if (c == '.' && depth == 0) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

}  // namespace

bool OcsfLint::is_live(const json& attribute, const Names& profiles) {
  const auto of = attribute.find("profiles");
  if (of == attribute.end() || !of->is_array() || of->empty()) return true;
  for (const json& name : *of) {
    if (profiles.count(name.get<std::string>()) != 0) return true;
  }
  return false;
}

Findings OcsfLint::look_at(const json& event) const {
  Findings f;
  Names profiles;
  const json metadata = event.value("metadata", json::object());
  if (metadata.contains("profiles") && metadata["profiles"].is_array()) {
    for (const json& name : metadata["profiles"]) profiles.insert(name.get<std::string>());
  }
  for (const std::string& name : profiles) {
    if (kProfiles.count(name) == 0) f.errors.push_back("metadata.profiles: unknown " + name);
  }
  walk(event, resolved_["class"], profiles, "", f);
  const json observables = event.value("observables", json::array());
  for (size_t i = 0; i < observables.size(); ++i) {
    const std::string name = observables[i].value("name", "");
    if (!names_an_attribute(name, profiles)) {
      f.errors.push_back("observables[" + std::to_string(i) + "].name: '" + name + "' is no attribute of the class");
    }
  }
  if (event.value("class_uid", json()).is_number_integer() && event.value("activity_id", json(0)).is_number_integer()) {
    const int64_t wanted = event["class_uid"].get<int64_t>() * 100 + event.value("activity_id", int64_t{0});
    if (event.value("type_uid", json()) != wanted) f.errors.push_back("type_uid");
  }
  if (metadata.is_object() && metadata.value("version", json()) != resolved_["version"]) {
    f.errors.push_back("metadata.version is not " + resolved_["version"].get<std::string>());
  }
  return f;
}

void OcsfLint::walk(const json& value, const json& item, const Names& profiles, const std::string& path,
                    Findings& f) const {
  const json& attributes = item["attributes"];
  if (attributes.empty()) return;
  for (const auto& [key, ignored] : value.items()) {
    if (!attributes.contains(key)) {
      f.errors.push_back(path + key + ": unknown attribute");
    } else if (!is_live(attributes[key], profiles)) {
      f.errors.push_back(path + key + ": needs profile " + joined(attributes[key]["profiles"]));
    }
  }
  for (const auto& [key, attribute] : attributes.items()) {
    if (!is_live(attribute, profiles)) continue;
    if (!value.contains(key) || value[key].is_null()) {
      if (attribute["requirement"] == "required") f.errors.push_back(path + key + ": required");
      continue;
    }
    if (attribute.contains("@deprecated")) f.warnings.push_back(path + key + ": deprecated");
    const bool is_array = attribute.value("is_array", false);
    if (attribute.contains("enum") && !is_array) look_at_enumerator(value, key, attribute, path, f);
    if (attribute["type"] != "object_t") continue;
    const json& object = resolved_["objects"][attribute["object_type"].get<std::string>()];
    if (!is_array && value[key].is_object()) walk(value[key], object, profiles, path + key + ".", f);
    if (!is_array || !value[key].is_array()) continue;
    for (size_t i = 0; i < value[key].size(); ++i) {
      if (value[key][i].is_object()) {
        walk(value[key][i], object, profiles, path + key + "[" + std::to_string(i) + "].", f);
      }
    }
  }
}

void OcsfLint::look_at_enumerator(const json& object, const std::string& key, const json& attribute,
                                  const std::string& path, Findings& f) const {
  const json& v = object[key];
  const std::string number = v.is_string() ? v.get<std::string>() : v.dump();
  if (!attribute["enum"].contains(number)) {
    f.errors.push_back(path + key + ": " + number + " not in enum");
    return;
  }
  const json sibling = attribute.value("sibling", json());
  if (!sibling.is_string() || !object.contains(sibling.get<std::string>()) || v == 99) return;
  const json& caption = attribute["enum"][number]["caption"];
  if (object[sibling.get<std::string>()] != caption) {
    f.warnings.push_back(path + sibling.get<std::string>() + ": expected " + caption.dump());
  }
}

bool OcsfLint::names_an_attribute(const std::string& name, const Names& profiles) const {
  if (name.empty()) return true;
  const json* item = &resolved_["class"];
  for (const std::string& part : parts_of(name)) {
    const std::string base = part.substr(0, part.find('['));
    if (item == nullptr || !(*item)["attributes"].contains(base)) return false;
    const json& attribute = (*item)["attributes"][base];
    if (!is_live(attribute, profiles)) return false;
    if (part.find('[') != std::string::npos && !attribute.value("is_array", false)) return false;
    item = attribute["type"] == "object_t" ? &resolved_["objects"][attribute["object_type"].get<std::string>()] : nullptr;
  }
  return true;
}

}  // namespace weir::test
