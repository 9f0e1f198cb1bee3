#include "service/environment_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "service/config_document.h"

namespace weir::service {
namespace {

constexpr std::string_view kLineEnds = "\n\r";
constexpr std::string_view kBlanks = " \t\n\r";
constexpr std::string_view kEscapedInQuotes = "\"\\`$";

bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

/// A letter or _, then digits too.
bool is_name(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (name.empty() || !is_letter(name.front())) return false;
  for (const char c : name) {
    if (!is_letter(c) && !(c >= '0' && c <= '9')) return false;
  }
  return true;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::vector<std::string> run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (is_one_of(c, kBlanks)) {
        ++at_;
      } else if (c == '#' || c == ';') {
        skip_comment();
      } else {
        read_assignment();
      }
    }
    return std::move(found_);
  }

 private:
  bool is_at_end() const { return at_ == text_.size(); }

  /// Also a comment goes on in the next line where a \ ends this one.
  void skip_comment() {
    for (; !is_at_end() && !is_one_of(text_[at_], kLineEnds); ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
    }
  }

  void read_assignment() {
    const size_t begin = at_;
    while (!is_at_end() && text_[at_] != '=' && !is_one_of(text_[at_], kLineEnds)) ++at_;
    if (is_at_end() || text_[at_] != '=') return;  // a line without one
    std::string_view name = text_.substr(begin, at_ - begin);
    name = name.substr(0, name.find_last_not_of(kBlanks) + 1);
    ++at_;
    std::string value = read_value();
    if (is_name(name)) found_.push_back(fmt::format("{}={}", name, value));
  }

  std::string read_value() {
    std::string value;
    size_t keep = 0;  // of its octets, whatever blanks are at its end
    bool is_begun = false;  // by what is not in quotes: these are octets as others then
    while (!is_at_end() && !is_one_of(text_[at_], kLineEnds)) {
      const char c = text_[at_++];
      if (c == '\\') {
        is_begun = true;
        if (is_at_end()) break;
        if (const char escaped = text_[at_++]; !is_one_of(escaped, kLineEnds)) value += escaped;
        keep = value.size();
      } else if (!is_begun && (c == '"' || c == '\'')) {
        c == '"' ? read_double_quoted(value) : read_single_quoted(value);
        keep = value.size();
      } else if (!is_begun && is_one_of(c, kBlanks)) {
        continue;
      } else {
        is_begun = true;
        value += c;
        if (!is_one_of(c, kBlanks)) keep = value.size();
      }
    }
    value.resize(keep);
    return value;
  }

  void read_single_quoted(std::string& value) {
    while (!is_at_end() && text_[at_] != '\'') value += text_[at_++];
    if (!is_at_end()) ++at_;
  }

  void read_double_quoted(std::string& value) {
    while (!is_at_end() && text_[at_] != '"') {
      char c = text_[at_++];
      if (c == '\\' && !is_at_end()) {
        c = text_[at_++];
        if (c == '\n') continue;
        if (!is_one_of(c, kEscapedInQuotes)) value += '\\';
      }
      value += c;
    }
    if (!is_at_end()) ++at_;
  }

  const std::string_view text_;
  size_t at_ = 0;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> parse_environment_file(std::string_view text) { return Parser(text).run(); }

Result<std::vector<std::string>> read_environment_file(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return std::vector<std::string>{};
  const auto text = read_config_file(path, kEnvironmentFileOctetsMax);
  if (!text) return text.error();
  return parse_environment_file(*text);
}

}  // namespace weir::service
