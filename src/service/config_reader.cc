#include "service/config_reader.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "base/nearest_name.h"
#include "service/log.h"

namespace weir::service {
namespace {

constexpr size_t kShownOctetsMax = 80;  // of a wrong value

std::string shown(std::string_view value) {
  const bool cut = value.size() > kShownOctetsMax;
  return fmt::format("\"{}{}\"", printable(value.substr(0, kShownOctetsMax)), cut ? "…" : "");
}

std::string join_path(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

std::string unknown_key(std::string_view name, const std::vector<ObjectSchema::Key>& keys) {
  std::vector<std::string_view> names;
  for (const auto& key : keys) names.push_back(key.name);
  const std::string_view nearest = nearest_name(name, names);
  if (!nearest.empty()) return fmt::format("unknown key; did you mean {}?", nearest);
  std::string known;
  for (const auto& key : keys) known += (known.empty() ? "" : ", ") + key.name;
  return "unknown key; known are " + known;
}

/// WEIR_LOG_LEVEL for log.level
std::string environment_name(std::string_view path) {
  std::string name = "WEIR_";
  for (const char c : path) {
    name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

struct EnvironmentKey {
  const ObjectSchema::Key* key;
  void* object;
  std::string path;
  bool is_alias;
};

void collect_environment_keys(const ObjectSchema& schema, void* object, const std::string& path,
                              std::map<std::string, EnvironmentKey, std::less<>>& keys) {
  using Shape = ObjectSchema::Key::Shape;
  for (const auto& key : schema.keys()) {
    const std::string key_path = join_path(path, key.name);
    if (key.shape == Shape::object) {
      collect_environment_keys(*key.nested, key.member(object), key_path, keys);
    } else if (key.shape == Shape::value || key.shape == Shape::values) {
      keys[environment_name(key_path)] = {&key, object, key_path, false};
      if (!key.environment_alias.empty())
        keys[key.environment_alias] = {&key, object, key_path, true};
    }
  }
}

ConfigNode environment_node(const ObjectSchema::Key& key, const Origin& origin,
                            std::string_view value) {
  ConfigNode node;
  node.origin = origin;
  if (key.shape == ObjectSchema::Key::Shape::value) {
    node.kind = ConfigNode::Kind::scalar;
    node.text = value;
    return node;
  }
  node.kind = ConfigNode::Kind::list;
  while (!value.empty()) {
    const std::string_view item = value.substr(0, value.find(','));
    value.remove_prefix(std::min(value.size(), item.size() + 1));
    ConfigNode& scalar = node.values.emplace_back();
    scalar.kind = ConfigNode::Kind::scalar;
    scalar.text = trimmed(item);
    scalar.origin = origin;
  }
  return node;
}

Origin origin_of(const Origins& origins, const std::string& path) {
  const auto found = origins.find(path);
  return found == origins.end() ? Origin{} : found->second;
}

void collect_effective(const ObjectSchema& schema, const void* object, const std::string& path,
                       const Origins& origins, std::vector<EffectiveValue>& out) {
  using Shape = ObjectSchema::Key::Shape;
  for (const auto& key : schema.keys()) {
    const std::string key_path = join_path(path, key.name);
    switch (key.shape) {
      case Shape::value:
      case Shape::values:
        out.push_back(
            {key_path, masked(key.print(object), key.secrecy), origin_of(origins, key_path)});
        break;
      case Shape::object:
        // member() only forms an address.
        collect_effective(*key.nested, key.member(const_cast<void*>(object)), key_path, origins,
                          out);
        break;
      case Shape::objects: {
        const size_t count = key.count(object);
        if (count == 0) out.push_back({key_path, "[]", origin_of(origins, key_path)});
        for (size_t i = 0; i < count; ++i) {
          collect_effective(*key.nested, key.at(object, i), fmt::format("{}[{}]", key_path, i),
                            origins, out);
        }
        break;
      }
      case Shape::ignored: break;
    }
  }
}

}  // namespace

// ── report ───────────────────────────────────────────────────────────────────────────────────────

namespace {
std::string line_of(const Origin& at, std::string_view path, std::string_view what) {
  const std::string place =
      at.kind == Origin::Kind::built_in ? std::string() : at.to_string() + ": ";
  return fmt::format("{}{}{}{}", place, path, path.empty() ? "" : ": ", what);
}

}  // namespace

void ConfigReport::error(const Origin& at, std::string_view path, std::string_view what) {
  if (++errors_count_ > kConfigErrorsMax) return;
  errors_.push_back(line_of(at, path, what));
  error_paths_.emplace(path);
}

namespace {
/// Whether `inner` is `outer` or stands in it: listeners[0].port in listeners[0] and in listeners.
bool stands_in(std::string_view inner, std::string_view outer) {
  if (inner.substr(0, outer.size()) != outer) return false;
  return inner.size() == outer.size() || inner[outer.size()] == '.' || inner[outer.size()] == '[';
}
}  // namespace

bool ConfigReport::has_error_at(std::string_view path) const {
  return std::any_of(error_paths_.begin(), error_paths_.end(), [&](const std::string& wrong) {
    return stands_in(wrong, path) || stands_in(path, wrong);
  });
}

void ConfigReport::warning(const Origin& at, std::string_view path, std::string_view what) {
  warnings_.push_back(line_of(at, path, what));
}

Error ConfigReport::to_error() const {
  std::string all;
  for (const auto& error : errors_) all += (all.empty() ? "" : "\n") + error;
  if (errors_count_ > errors_.size()) {
    all += fmt::format("\nand {} more", errors_count_ - errors_.size());
  }
  return Error{all};
}

namespace {

/// The first URL of a list. What a query has may have commas: one goes up to the next URL that says its scheme.
std::string_view first_url(std::string_view list) {
  const size_t query = list.substr(0, list.find(',')).find('?');
  if (query == std::string_view::npos) return list.substr(0, list.find(','));
  for (size_t comma = list.find(',', query); comma != std::string_view::npos; comma = list.find(',', comma + 1)) {
    const std::string_view next = list.substr(comma + 1);
    const size_t scheme = next.find("://");
    if (scheme != std::string_view::npos && scheme < next.find_first_of(",?/@=&")) return list.substr(0, comma);
  }
  return list;
}

/// nats://user:password@host?token: all up to the @ and all behind the ? may be secrets; with the @ behind the ? nobody
/// can tell which it is.
std::string masked_url(std::string_view url) {
  const size_t scheme = url.find("://");
  const size_t host = scheme == std::string_view::npos ? 0 : scheme + 3;
  const size_t query = url.find('?', host);
  const std::string_view place = url.substr(0, query);
  const size_t at = place.rfind('@');
  std::string out(url.substr(0, host));
  if (query != std::string_view::npos && url.find('@', query) != std::string_view::npos) return out + "****";
  out += at == std::string_view::npos || at < host ? std::string(place.substr(host)) : fmt::format("****{}", place.substr(at));
  if (query != std::string_view::npos) out += query + 1 < url.size() ? "?****" : "?";
  return out;
}

}  // namespace

std::string masked(std::string_view value, Secrecy secrecy) {
  if (secrecy == Secrecy::open || value.empty()) return std::string(value);
  if (secrecy == Secrecy::secret) return "****";
  std::string out;
  while (!value.empty()) {
    const std::string_view url = first_url(value);
    value.remove_prefix(std::min(value.size(), url.size() + 1));
    if (!out.empty()) out += ',';
    out += masked_url(url);
  }
  return out;
}

// ── reading ──────────────────────────────────────────────────────────────────────────────────────

bool expect_scalar(const ConfigNode& node, const std::string& path, std::string_view allowed,
                   ReadContext& context) {
  if (node.kind == ConfigNode::Kind::scalar) return true;
  const char* what = node.kind == ConfigNode::Kind::null   ? "has no value"
                     : node.kind == ConfigNode::Kind::list ? "is a list"
                                                           : "is a map of keys";
  context.report.error(node.origin, path, fmt::format("{}; allowed: {}", what, allowed));
  return false;
}

bool expect_list(const ConfigNode& node, const std::string& path, ReadContext& context) {
  if (node.kind == ConfigNode::Kind::list) {
    context.origins[path] = node.origin;
    return true;
  }
  context.report.error(node.origin, path,
                       node.kind == ConfigNode::Kind::null
                           ? "has no value; allowed: a list (an empty one is [])"
                           : "is not a list; write [a, b], or one item a line with - before it");
  return false;
}

std::optional<TextMap> read_text_map(const ConfigNode& node, const std::string& path,
                                     ReadContext& context) {
  if (node.kind != ConfigNode::Kind::map) {
    context.report.error(node.origin, path, "a map of keys is expected (key: value)");
    return std::nullopt;
  }
  context.origins[path] = node.origin;
  TextMap map;
  bool is_whole = true;
  for (size_t i = 0; i < node.keys.size(); ++i) {
    const std::string& name = node.keys[i].text;
    const std::string key_path = join_path(path, printable(name));
    const auto has_name = [&](const auto& entry) { return entry.first == name; };
    if (std::any_of(map.begin(), map.end(), has_name)) {
      context.report.error(node.keys[i].origin, key_path, "repeated");
      is_whole = false;
    } else if (!expect_scalar(node.values[i], key_path, "a text", context)) {
      is_whole = false;
    } else {
      context.origins[key_path] = node.values[i].origin;
      map.emplace_back(name, node.values[i].text);
    }
  }
  if (!is_whole) return std::nullopt;
  return map;
}

std::string print_text_map(const TextMap& map, bool (*is_secret)(std::string_view)) {
  std::string out;
  for (const auto& [name, value] : map) {
    out += (out.empty() ? "" : ", ") + name + ": " +
           masked(value, is_secret(name) ? Secrecy::secret : Secrecy::open);
  }
  return "{" + out + "}";
}

void refuse_value(const ConfigNode& node, const std::string& path, Secrecy secrecy,
                  std::string_view allowed,
                  const std::vector<std::pair<std::string, std::string>>& refused,
                  ReadContext& context) {
  std::string_view why = "is not allowed";
  for (const auto& [word, reason] : refused) {
    if (word == node.text) why = reason;
  }
  // A wrong URL may hold a password where no rule would find it.
  std::string value = "the value";
  if (node.text.empty()) value = "an empty value";
  if (!node.text.empty() && secrecy == Secrecy::open) value = shown(node.text);
  context.report.error(node.origin, path, fmt::format("{} {}; allowed: {}", value, why, allowed));
}

void ObjectSchema::read(void* object, const ConfigNode& node, const std::string& path,
                        ReadContext& context) const {
  if (node.kind != ConfigNode::Kind::map) {
    context.report.error(node.origin, path, "a map of keys is expected (key: value)");
    return;
  }
  std::map<std::string, const ConfigNode*> seen;
  for (size_t i = 0; i < node.keys.size(); ++i) {
    const ConfigNode& name = node.keys[i];
    const ConfigNode& value = node.values[i];
    if (name.kind != ConfigNode::Kind::scalar) {
      context.report.error(name.origin, path, "a key must be a word");
      continue;
    }
    const std::string key_path = join_path(path, printable(name.text));
    const auto [first, is_new] = seen.emplace(name.text, &name);
    if (!is_new) {
      context.report.error(
          name.origin, key_path,
          fmt::format("repeated; it stands in line {} already", first->second->origin.line));
      continue;
    }
    const auto key =
        std::find_if(keys_.begin(), keys_.end(), [&](const Key& k) { return k.name == name.text; });
    if (key == keys_.end()) {
      context.report.error(name.origin, key_path, unknown_key(name.text, keys_));
      continue;
    }
    switch (key->shape) {
      case Key::Shape::value:
      case Key::Shape::values: key->read(object, value, key_path, context); break;
      case Key::Shape::object:
        context.origins[key_path] = name.origin;
        key->nested->read(key->member(object), value, key_path, context);
        break;
      case Key::Shape::objects:
        if (!expect_list(value, key_path, context)) break;
        key->clear(object);
        for (size_t item = 0; item < value.values.size(); ++item) {
          const std::string item_path = fmt::format("{}[{}]", key_path, item);
          context.origins[item_path] = value.values[item].origin;
          key->nested->read(key->append(object), value.values[item], item_path, context);
        }
        break;
      case Key::Shape::ignored:
        context.report.warning(name.origin, key_path, "means nothing here: " + key->doc);
        break;
    }
  }
}

void ObjectSchema::read_environment(void* object, std::span<const char* const> environment,
                                    ReadContext& context) const {
  std::map<std::string, EnvironmentKey, std::less<>> keys;
  collect_environment_keys(*this, object, "", keys);
  // Aliases first, so that WEIR_<KEY>, being more to the point, wins over them.
  for (const bool aliases : {true, false}) {
    for (const char* entry : environment) {
      if (entry == nullptr) break;
      const std::string_view variable(entry);
      const size_t equals = variable.find('=');
      if (equals == std::string_view::npos) continue;
      const std::string_view name = variable.substr(0, equals);
      const auto found = keys.find(name);
      const Origin origin{Origin::Kind::environment, std::string(name), 0, 0};
      if (found == keys.end()) {
        if (!aliases && name.substr(0, 5) == "WEIR_") {
          context.report.warning(origin, "", "names no key of the configuration and is ignored");
        }
        continue;
      }
      const EnvironmentKey& target = found->second;
      if (target.is_alias != aliases) continue;
      const ConfigNode node = environment_node(*target.key, origin, variable.substr(equals + 1));
      target.key->read(target.object, node, target.path, context);
    }
  }
}

std::vector<EffectiveValue> ObjectSchema::effective(const void* object,
                                                    const Origins& origins) const {
  std::vector<EffectiveValue> out;
  collect_effective(*this, object, "", origins, out);
  return out;
}

namespace {

void collect_differences(const ObjectSchema& schema, const void* a, const void* b,
                         const std::string& path, std::vector<std::string>& out) {
  using Shape = ObjectSchema::Key::Shape;
  for (const auto& key : schema.keys()) {
    const std::string key_path = join_path(path, key.name);
    switch (key.shape) {
      case Shape::value:
      case Shape::values:
        if (key.compare(a) != key.compare(b)) out.push_back(key_path);
        break;
      case Shape::object:
        // member() only forms an address.
        collect_differences(*key.nested, key.member(const_cast<void*>(a)),
                            key.member(const_cast<void*>(b)), key_path, out);
        break;
      case Shape::objects:
        if (key.count(a) != key.count(b)) {
          out.push_back(key_path);
          break;
        }
        for (size_t i = 0; i < key.count(a); ++i) {
          collect_differences(*key.nested, key.at(a, i), key.at(b, i),
                              fmt::format("{}[{}]", key_path, i), out);
        }
        break;
      case Shape::ignored: break;
    }
  }
}

}  // namespace

std::vector<std::string> ObjectSchema::differences(const void* a, const void* b) const {
  std::vector<std::string> out;
  collect_differences(*this, a, b, "", out);
  return out;
}

std::vector<KeyDoc> ObjectSchema::document(const void* defaults) const {
  std::vector<KeyDoc> out;
  for (const Key& key : keys_) {
    if (key.shape == Key::Shape::ignored) continue;
    const bool is_value = key.shape == Key::Shape::value || key.shape == Key::Shape::values;
    out.push_back({key.name, key.allowed, is_value ? masked(key.print(defaults), key.secrecy) : "",
                   key.doc, is_value ? environment_name(key.name) : ""});
    if (is_value) continue;
    const bool in_list = key.shape == Key::Shape::objects;
    const auto item = in_list ? key.nested->make_default_() : nullptr;
    const void* nested_defaults = in_list ? item.get() : key.member(const_cast<void*>(defaults));
    for (KeyDoc& row : key.nested->document(nested_defaults)) {
      row.path = key.name + (in_list ? "[]." : ".") + row.path;
      const bool settable = !in_list && !row.environment.empty();
      row.environment = settable ? environment_name(row.path) : "";
      out.push_back(std::move(row));
    }
  }
  return out;
}

}  // namespace weir::service
