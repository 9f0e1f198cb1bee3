// config_reader.h — A schema: which keys a configuration has, bound to the members of a struct.
//
// Runs on:  start-up and reload.
// Bounds:   those of config_document.h; kConfigErrorsMax errors are told.
// Failure:  every mistake of a file is reported, each with its place, its key, the value and what
//           is allowed. After a failure the struct holds what could be read and must not be used.
//
//     const auto schema = Schema<LogConfig>()
//         .key("level", &LogConfig::level, named_choice<LogLevel>(), "What is logged.")
//         .key("format", &LogConfig::format, named_choice<LogFormat>(), "text or json.");
//
// One table serves reading, `weir check` (effective values and where they came from) and the
// documentation of the keys. Schemas are immutable after they are built; nested ones must outlive
// those that refer to them.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "service/config_document.h"

namespace weir::service {

inline constexpr size_t kConfigErrorsMax = 50;

/// What was found wrong or strange, in the order of the file.
class ConfigReport {
 public:
  /// `what` ends up as `conf/weir.yaml:12:3: listeners[0].port: what`.
  void error(const Origin& at, std::string_view path, std::string_view what);
  void warning(const Origin& at, std::string_view path, std::string_view what);
  void warning(std::string line) { warnings_.push_back(std::move(line)); }

  bool ok() const noexcept { return errors_count_ == 0; }
  /// Whether `path`, or anything in it or around it, was found wrong.
  bool has_error_at(std::string_view path) const;
  const std::vector<std::string>& errors() const noexcept { return errors_; }
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }
  /// All errors, one a line.
  Error to_error() const;

 private:
  std::vector<std::string> errors_;
  size_t errors_count_ = 0;
  std::set<std::string, std::less<>> error_paths_;
  std::vector<std::string> warnings_;
};

/// Whether a value may be shown.
enum class Secrecy : uint8_t { open, secret, url };  // url: hides user and password in it

/// `value` as it may be shown.
std::string masked(std::string_view value, Secrecy secrecy);
/// Without blanks and tabs at its ends.
std::string_view trimmed(std::string_view text);

// ── types of values ──────────────────────────────────────────────────────────────────────────────

/// How a value of type M is read from text and written back.
template <class M>
struct ValueType {
  std::string allowed;  // in words: `an integer from 1 to 65535`
  /// Nothing: not allowed. An Error says more than `allowed` does.
  std::function<std::optional<M>(std::string_view)> parse;
  std::function<std::string(const M&)> print;
  /// Words that are known and refused, with why: {"spool", "is not supported yet"}.
  std::vector<std::pair<std::string, std::string>> refused;
};

std::optional<uint64_t> parse_decimal(std::string_view text);  // 0 to 2^64-1, no leading 0
std::optional<uint64_t> parse_size(std::string_view text);     // 64KiB, 10GiB, 65536
std::optional<uint64_t> parse_duration_ns(std::string_view text,
                                          uint64_t unit_ns);  // 5000, 5s, 250ms
std::string print_size(uint64_t octets);                      // 64KiB

ValueType<bool> boolean();
ValueType<std::string> any_text();
/// `allowed` in words; `is_allowed` judges the text.
ValueType<std::string> text_where(std::string allowed,
                                  std::function<bool(std::string_view)> is_allowed);

namespace detail {
template <class M>
ValueType<M> ranged(uint64_t min, uint64_t max, std::string allowed,
                    std::function<std::optional<uint64_t>(std::string_view)> parse,
                    std::function<std::string(uint64_t)> print) {
  return {std::move(allowed),
          [=](std::string_view text) -> std::optional<M> {
            const auto value = parse(text);
            if (!value || *value < min || *value > max) return std::nullopt;
            return static_cast<M>(*value);
          },
          [=](const M& value) { return print(static_cast<uint64_t>(value)); },
          {}};
}
std::string plain_number(uint64_t value);
}  // namespace detail

template <class M>
ValueType<M> integer(uint64_t min = 0, uint64_t max = std::numeric_limits<M>::max()) {
  return detail::ranged<M>(min, max, fmt::format("an integer from {} to {}", min, max),
                           parse_decimal, detail::plain_number);
}

/// Octets: 65536 or 64KiB.
template <class M>
ValueType<M> size(uint64_t min, uint64_t max = std::numeric_limits<M>::max()) {
  return detail::ranged<M>(
      min, max,
      fmt::format("octets from {} to {}, such as 65536 or 64KiB", print_size(min), print_size(max)),
      parse_size, print_size);
}

/// A time in the key's own unit (5000 of a key in ms), or with a unit: 250ms, 5s, 2m, 1h.
template <class M>
ValueType<M> duration(uint64_t unit_ns, uint64_t min,
                      uint64_t max = std::numeric_limits<M>::max()) {
  const char* unit = unit_ns == 1'000'000'000 ? "seconds"
                     : unit_ns == 1'000'000   ? "milliseconds"
                                              : "ns";
  return detail::ranged<M>(
      min, max,
      fmt::format("{} from {} to {}, or with a unit such as 250ms, 5s, 2m", unit, min, max),
      [unit_ns](std::string_view text) -> std::optional<uint64_t> {
        const auto ns = parse_duration_ns(text, unit_ns);
        if (!ns || *ns % unit_ns != 0) return std::nullopt;
        return *ns / unit_ns;
      },
      detail::plain_number);
}

/// One of several words.
template <class E>
ValueType<E> choice(std::vector<std::pair<std::string, E>> words,
                    std::vector<std::pair<std::string, std::string>> refused = {}) {
  std::string allowed;
  for (const auto& [word, value] : words) allowed += (allowed.empty() ? "" : ", ") + word;
  return {allowed,
          [words](std::string_view text) -> std::optional<E> {
            for (const auto& [word, value] : words) {
              if (word == text) return value;
            }
            return std::nullopt;
          },
          [words](const E& e) -> std::string {
            for (const auto& [word, value] : words) {
              if (value == e) return word;
            }
            return "?";
          },
          std::move(refused)};
}

/// One of a WEIR_NAMED_ENUM.
template <class E>
ValueType<E> named_choice(std::vector<std::pair<std::string, std::string>> refused = {}) {
  std::vector<std::pair<std::string, E>> words;
  for (size_t i = 0; i < static_cast<size_t>(E::count_); ++i) {
    words.emplace_back(name_of(static_cast<E>(i)), static_cast<E>(i));
  }
  return choice<E>(std::move(words), std::move(refused));
}

/// A value that may be left open, written as `absent` (`auto`).
template <class M>
ValueType<std::optional<M>> optional_of(ValueType<M> type, std::string absent) {
  return {absent + ", or " + type.allowed,
          [=](std::string_view text) {
            std::optional<std::optional<M>> result;
            if (text == absent) {
              result.emplace();
            } else if (auto value = type.parse(text)) {
              result.emplace(std::move(*value));
            }
            return result;
          },
          [=](const std::optional<M>& value) { return value ? type.print(*value) : absent; },
          type.refused};
}

// ── schemas ──────────────────────────────────────────────────────────────────────────────────────

struct ReadContext {
  ConfigReport& report;
  Origins& origins;
};

// What all types of values share; each says in the report what is wrong.
bool expect_scalar(const ConfigNode& node, const std::string& path, std::string_view allowed,
                   ReadContext& context);
bool expect_list(const ConfigNode& node, const std::string& path, ReadContext& context);
/// A map of words to texts, in the order of the file.
using TextMap = std::vector<std::pair<std::string, std::string>>;
std::optional<TextMap> read_text_map(const ConfigNode& node, const std::string& path,
                                     ReadContext& context);
/// `{a: 1, b: ****}`
std::string print_text_map(const TextMap& map, bool (*is_secret)(std::string_view));
void refuse_value(const ConfigNode& node, const std::string& path, Secrecy secrecy,
                  std::string_view allowed,
                  const std::vector<std::pair<std::string, std::string>>& refused,
                  ReadContext& context);

/// One row of the documentation of a schema.
struct KeyDoc {
  std::string path;  // listeners[].port
  std::string allowed;
  std::string default_value;
  std::string doc;
  std::string environment;  // empty: cannot be set from there
};

/// One line of `weir check`.
struct EffectiveValue {
  std::string path;
  std::string value;  // secrets masked
  Origin origin;
};

/// The table of one struct's keys, without its type. Made by Schema<T>.
class ObjectSchema {
 public:
  struct Key {
    enum class Shape : uint8_t { value, values, object, objects, ignored };
    std::string name;
    Shape shape = Shape::value;
    std::string allowed;
    std::string doc;  // of an ignored key: why it means nothing
    Secrecy secrecy = Secrecy::open;
    std::string environment_alias;  // a second variable, beside WEIR_<KEY>
    const ObjectSchema* nested = nullptr;

    // value, values: says in the report what is wrong and returns false.
    std::function<bool(void* object, const ConfigNode&, const std::string& path, ReadContext&)>
        read;
    std::function<std::string(const void* object)> print;
    std::function<std::string(const void* object)> compare;  // all of it, secrets too
    // object: the member. objects: how many, each, and one more (after clear).
    std::function<void*(void* object)> member;
    std::function<size_t(const void* object)> count;
    std::function<const void*(const void* object, size_t)> at;
    std::function<void(void* object)> clear;
    std::function<void*(void* object)> append;
  };

  const std::vector<Key>& keys() const noexcept { return keys_; }

  void read(void* object, const ConfigNode& node, const std::string& path,
            ReadContext& context) const;
  /// Sets what `environment` (`NAME=value` each) names; warns of WEIR_ names that are no key.
  void read_environment(void* object, std::span<const char* const> environment,
                        ReadContext& context) const;
  std::vector<EffectiveValue> effective(const void* object, const Origins& origins) const;
  /// The keys whose values are others in `b` than in `a`, two of the struct: `log.level`, `listeners[1].port`;
  /// of a list that became shorter or longer the list alone.
  std::vector<std::string> differences(const void* a, const void* b) const;
  /// The keys with their defaults, nested ones behind the one that they stand in.
  std::vector<KeyDoc> document() const { return document(make_default_().get()); }

 protected:
  std::vector<KeyDoc> document(const void* defaults) const;

  std::vector<Key> keys_;
  std::function<std::shared_ptr<const void>()> make_default_;
};

/// The schema of a struct T. Each call adds a key.
template <class T>
class Schema : public ObjectSchema {
 public:
  Schema() {
    make_default_ = [] { return std::make_shared<const T>(); };
  }

  struct Options {
    Secrecy secrecy = Secrecy::open;
    std::string environment_alias;
  };

  template <class M>
  Schema& key(std::string name, M T::*member, ValueType<M> type, std::string doc,
              Options options = {}) {
    Key& k =
        add(Key::Shape::value, std::move(name), type.allowed, std::move(doc), std::move(options));
    k.print = [=](const void* object) {
      return type.print(static_cast<const T*>(object)->*member);
    };
    k.compare = k.print;
    k.read = [=, secrecy = k.secrecy](void* object, const ConfigNode& node, const std::string& path,
                                      ReadContext& context) {
      auto value = read_value(type, node, path, secrecy, context);
      if (value) static_cast<T*>(object)->*member = std::move(*value);
      return value.has_value();
    };
    return *this;
  }

  /// A list of values; in the environment with commas between them.
  template <class M>
  Schema& list(std::string name, std::vector<M> T::*member, ValueType<M> type, std::string doc) {
    Key& k = add(Key::Shape::values, std::move(name), "a list, each: " + type.allowed,
                 std::move(doc), {});
    k.print = [=](const void* object) {
      std::string out;
      for (const M& value : static_cast<const T*>(object)->*member) {
        out += (out.empty() ? "" : ", ") + type.print(value);
      }
      return "[" + out + "]";
    };
    k.compare = k.print;
    k.read = [=](void* object, const ConfigNode& node, const std::string& path,
                 ReadContext& context) {
      if (!expect_list(node, path, context)) return false;
      std::vector<M> values;
      for (size_t i = 0; i < node.values.size(); ++i) {
        auto value = read_value(type, node.values[i], fmt::format("{}[{}]", path, i), Secrecy::open,
                                context);
        if (value) values.push_back(std::move(*value));
      }
      const bool whole = values.size() == node.values.size();
      static_cast<T*>(object)->*member = std::move(values);
      return whole;
    };
    return *this;
  }

  /// Keys that are somebody else's, each with a text; values of those that `is_secret` are not shown.
  Schema& text_map(std::string name, TextMap T::*member, bool (*is_secret)(std::string_view),
                   std::string doc) {
    Key& k = add(Key::Shape::values, std::move(name), "a map of keys and texts", std::move(doc), {});
    k.print = [=](const void* object) {
      return print_text_map(static_cast<const T*>(object)->*member, is_secret);
    };
    k.compare = [=](const void* object) {
      return print_text_map(static_cast<const T*>(object)->*member, [](std::string_view) { return false; });
    };
    k.read = [=](void* object, const ConfigNode& node, const std::string& path,
                 ReadContext& context) {
      auto map = read_text_map(node, path, context);
      if (map) static_cast<T*>(object)->*member = std::move(*map);
      return map.has_value();
    };
    return *this;
  }

  template <class U>
  Schema& object(std::string name, U T::*member, const Schema<U>& schema, std::string doc) {
    Key& k = add(Key::Shape::object, std::move(name), "a map of keys", std::move(doc), {});
    k.nested = &schema;
    k.member = [=](void* object) -> void* { return &(static_cast<T*>(object)->*member); };
    return *this;
  }

  template <class U>
  Schema& objects(std::string name, std::vector<U> T::*member, const Schema<U>& schema,
                  std::string doc) {
    Key& k = add(Key::Shape::objects, std::move(name), "a list of maps", std::move(doc), {});
    k.nested = &schema;
    k.count = [=](const void* object) { return (static_cast<const T*>(object)->*member).size(); };
    k.at = [=](const void* object, size_t i) -> const void* {
      return &(static_cast<const T*>(object)->*member)[i];
    };
    k.clear = [=](void* object) { (static_cast<T*>(object)->*member).clear(); };
    k.append = [=](void* object) -> void* {
      return &(static_cast<T*>(object)->*member).emplace_back();
    };
    return *this;
  }

  /// A key of other programs' files that means nothing here: named in a warning.
  Schema& ignored(std::string name, std::string why) {
    add(Key::Shape::ignored, std::move(name), "", std::move(why), {});
    return *this;
  }

 private:
  Key& add(Key::Shape shape, std::string name, std::string allowed, std::string doc,
           Options options) {
    Key& k = keys_.emplace_back();
    k.shape = shape;
    k.name = std::move(name);
    k.allowed = std::move(allowed);
    k.doc = std::move(doc);
    k.secrecy = options.secrecy;
    k.environment_alias = std::move(options.environment_alias);
    return k;
  }

  template <class M>
  static std::optional<M> read_value(const ValueType<M>& type, const ConfigNode& node,
                                     const std::string& path, Secrecy secrecy,
                                     ReadContext& context);
};

template <class T>
template <class M>
std::optional<M> Schema<T>::read_value(const ValueType<M>& type, const ConfigNode& node,
                                       const std::string& path, Secrecy secrecy,
                                       ReadContext& context) {
  if (!expect_scalar(node, path, type.allowed, context)) return std::nullopt;
  auto value = type.parse(node.text);
  if (!value) {
    refuse_value(node, path, secrecy, type.allowed, type.refused, context);
    return std::nullopt;
  }
  context.origins[path] = node.origin;
  return value;
}

}  // namespace weir::service
