#include "rules/yaml_reader.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>
#include <sstream>
#include <utility>

#include "base/utf8.h"
#include "rules/compile_parts.h"
#include "rules/field_constants.h"
#include "rules/parser.h"

namespace weir::rules {

Result<std::vector<std::string>> rule_files_of(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  fs::directory_iterator entry(path, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    // What begins with a dot is an editor's or a volume's own.
    const bool is_hidden = entry->path().filename().string().starts_with('.');
    if (entry->path().extension() == kRuleFileEnding && !is_hidden && !entry->is_directory(error)) files.push_back(entry->path().string());
    if (files.size() > kRuleFilesMax) return Error{fmt::format("{}: more than {} files", path, kRuleFilesMax)};
  }
  if (error) return Error{fmt::format("{}: {}", path, error.message())};
  std::sort(files.begin(), files.end());
  return files;
}

bool is_name(const std::string& text) {
  return !text.empty() && (text[0] < '0' || text[0] > '9') &&
         std::all_of(text.begin(), text.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; });
}

EVP_MD_CTX* Digest::begun() {
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  EVP_DigestInit_ex(context, EVP_sha256(), nullptr);
  return context;
}

void Digest::add(std::string_view text) {
  EVP_DigestUpdate(context_.get(), text.data(), text.size());
  EVP_DigestUpdate(context_.get(), "", 1);  // where one text ends
}

std::string Digest::hex() {
  unsigned char octets[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  EVP_DigestFinal_ex(context_.get(), octets, &n);
  std::string text;
  for (unsigned i = 0; i < n; ++i) text += fmt::format("{:02x}", octets[i]);
  return text;
}

namespace {

/// Whether there is something in a document, and where it begins.
class DocumentLook final : public YAML::EventHandler {
 public:
  bool is_empty = true;
  YAML::Mark place;

  void OnDocumentStart(const YAML::Mark& mark) override { place = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { begin(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t, const std::string&) override { begin(mark); }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override { begin(mark); }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override { begin(mark); }
  void OnMapEnd() override {}

 private:
  void begin(const YAML::Mark& mark) {
    if (std::exchange(is_empty, false)) place = mark;
  }
};

}  // namespace

bool YamlReader::fail(Place place, const std::string& what) {
  if (error_.empty()) error_ = fmt::format("{}:{}:{}: {}", name_, place.line, place.column, what);
  return false;
}

bool YamlReader::fail_in(const YAML::Node& node, const std::string& where, const Error& error) {
  constexpr std::string_view kAt = "at ";
  const std::string& message = error.message;
  size_t at = 0;
  if (!message.starts_with(kAt)) return fail(node, fmt::format("{}: {}", where, message));
  const auto [end, trouble] = std::from_chars(message.data() + kAt.size(), message.data() + message.size(), at);
  const std::string_view rest = std::string_view(message).substr(static_cast<size_t>(end - message.data()));
  if (trouble != std::errc() || at == 0 || !rest.starts_with(": ")) return fail(node, fmt::format("{}: {}", where, message));
  return fail(place_in(node, at - 1), fmt::format("{}{}", where, rest));
}

/// Where the scalar's octet is in the file: both are read side by side, for in the file there are quotes, escapes and line ends that the
/// scalar has not. Its beginning, where they do not go together.
YamlReader::Place YamlReader::place_in(const YAML::Node& scalar, size_t octets) const {
  const Place begin = place_of(scalar);
  const std::string& value = scalar.Scalar();
  if (scalar.Mark().pos < 0) return begin;
  size_t at = static_cast<size_t>(scalar.Mark().pos) + (text_.starts_with("\xef\xbb\xbf") ? 3 : 0);
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  if (at >= text_.size()) return begin;
  const char quote = text_[at] == '"' || text_[at] == '\'' ? text_[at] : '\0';
  if (quote != '\0') ++at;
  if (text_[at] == '|' || text_[at] == '>') at = std::min(text_.find('\n', at), text_.size());
  const auto skip_space = [&] {
    while (at < text_.size() && is_space(text_[at])) ++at;
  };
  for (size_t i = 0; i < std::min(octets, value.size()); ++i) {
    if (is_space(value[i])) continue;
    skip_space();
    if (at >= text_.size()) return begin;
    if (text_[at] == value[i] && !(quote == '"' && value[i] == '\\')) {
      at += quote == '\'' && value[i] == quote ? 2 : 1;
    } else if (quote == '"' && text_[at] == '\\' && (value[i] == '"' || value[i] == '\\')) {
      at += 2;
    } else {
      return begin;
    }
  }
  if (octets < value.size() && !is_space(value[octets])) skip_space();
  Place place;
  for (size_t i = 0; i < at && i < text_.size(); ++i) {
    if (text_[i] == '\n') {
      ++place.line;
      place.column = 1;
    } else if ((text_[i] & 0xc0) != 0x80) {
      ++place.column;
    }
  }
  return place;
}

/// Of a file in UTF-16 yaml-cpp knows the mark; what is in no encoding would become labels that nobody can read.
bool YamlReader::check_text(const std::string& text) {
  text_ = text;
  const bool is_utf16 = text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff");
  Place place;
  for (size_t i = 0; i < text.size() && !is_utf16;) {
    const size_t octets = utf8_character_octets(reinterpret_cast<const uint8_t*>(text.data()) + i, text.size() - i);
    if (octets == 0) return fail(place, fmt::format("octet {:02x} is no UTF-8", static_cast<uint8_t>(text[i])));
    place = text[i] == '\n' ? Place{place.line + 1, 1} : Place{place.line, place.column + 1};
    i += octets;
  }
  return true;
}

YAML::Node YamlReader::only_document(const std::string& text) {
  // Not LoadAll: where a character can begin no document (`,` and behind it anything), yaml-cpp finds empty ones there for ever.
  std::istringstream in(text);
  YAML::Parser parser(in);
  DocumentLook look;
  constexpr size_t kEmptyDocumentsMax = 100;
  for (size_t document = 0; parser.HandleNextDocument(look); ++document) {
    const bool is_empty = std::exchange(look.is_empty, true);
    if (document > 0 && !is_empty) {
      fail(place_of(look.place), "another document begins behind '---': one a file");
      return {};
    }
    if (document == kEmptyDocumentsMax) {
      fail(place_of(look.place), "this can begin neither a mapping nor a document");
      return {};
    }
  }
  return YAML::Load(text);
}

bool YamlReader::check_keys(const YAML::Node& map, const std::string& where,
                            const std::vector<std::string_view>& allowed) {
  if (!map.IsMap()) return fail(map, fmt::format("{} is to be a mapping", where));
  std::set<std::string> seen;
  for (const auto& entry : map) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (!seen.insert(key).second) return fail(entry.first, fmt::format("{} has {} twice", where, key));
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) {
      return fail(entry.first, fmt::format("{} has no key '{}'{}", where, key, compile::one_of(allowed)));
    }
  }
  return true;
}

std::vector<std::string> YamlReader::scalars(const YAML::Node& list, const std::string& where) {
  std::vector<std::string> items;
  if (!list.IsSequence()) {
    fail(list, fmt::format("{} is to be a list", where));
    return items;
  }
  for (const YAML::Node& item : list) {
    if (!item.IsScalar()) {
      fail(item, fmt::format("{} has an item that is no text", where));
      return items;
    }
    items.push_back(item.Scalar());
  }
  return items;
}

void YamlReader::read_sets(const YAML::Node& sets, Environment& environment) {
  if (!sets.IsMap()) {
    fail(sets, "sets is to be a mapping of names to lists");
    return;
  }
  for (const auto& entry : sets) {
    const std::string name = entry.first.Scalar();
    if (!is_name(name)) return void(fail(entry.first, fmt::format("'{}' is no name: letters, digits and _", name)));
    const auto items = scalars(entry.second, "set " + name);
    if (!error_.empty()) return;
    size_t wrong_item = 0;
    auto set = NamedSet::make(name, items, &wrong_item);
    if (!set) return void(fail(entry.second[wrong_item], set.error().message));
    if (!environment.sets.emplace(name, std::make_shared<const NamedSet>(std::move(*set))).second) {
      return void(fail(entry.first, fmt::format("there are two sets {}", name)));
    }
  }
}

namespace {

/// Another name of a field means the field, and is held to what the field can be.
void name_fields(Node& node, const Environment& environment) {
  if (node.kind == NodeKind::name) {
    if (const auto alias = environment.aliases.find(node.text); alias != environment.aliases.end()) node.text = alias->second;
  }
  for (const NodePtr& child : node.children) {
    if (child != nullptr) name_fields(*child, environment);
  }
}

}  // namespace

NodePtr YamlReader::expression(const YAML::Node& node, const std::string& where, const Environment& environment) {
  if (!node.IsScalar()) {
    fail(node, fmt::format("{} is to be an expression", where));
    return nullptr;
  }
  auto parsed = parse_expression(node.Scalar());
  if (!parsed) {
    fail_in(node, where, parsed.error());
    return nullptr;
  }
  if (!environment.aliases.empty()) name_fields(**parsed, environment);
  if (const auto fitted = fit_constants(**parsed, environment); !fitted) {
    fail_in(node, where, fitted.error());
    return nullptr;
  }
  return std::move(*parsed);
}

}  // namespace weir::rules
