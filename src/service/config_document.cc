#include "service/config_document.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace weir::service {
namespace {

/// Carries an Error out of yaml-cpp's callbacks.
struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const std::string& name) : name_(name) {}

  ConfigNode take() { return std::move(root_); }
  const std::optional<YAML::Mark>& last_quoted() const { return last_quoted_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    place(node(ConfigNode::Kind::null, mark));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "aliases (*name) are not supported");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (tag == "!") last_quoted_ = mark;
    ConfigNode scalar = node(ConfigNode::Kind::scalar, mark);
    scalar.text = value;
    place(std::move(scalar));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(ConfigNode::Kind::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(ConfigNode::Kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  [[noreturn]] void refuse(const YAML::Mark& mark, std::string_view what) const {
    throw Refusal(fmt::format("{}:{}:{}: {}", name_, mark.line + 1, mark.column + 1, what));
  }
  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) const {
    if (anchor != YAML::NullAnchor) refuse(mark, "anchors (&name) are not supported");
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
    // "?" is what has no tag, "!" what is quoted.
    if (!tag.empty() && tag != "?" && tag != "!") refuse(mark, "tags (!name) are not supported");
  }

  ConfigNode node(ConfigNode::Kind kind, const YAML::Mark& mark) {
    if (++nodes_ > kConfigNodesMax) {
      refuse(mark, fmt::format("more than {} values", kConfigNodesMax));
    }
    ConfigNode n;
    n.kind = kind;
    n.origin = {Origin::Kind::file, name_, mark.line + 1, mark.column + 1};
    return n;
  }
  void open(ConfigNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (open_.size() >= kConfigDepthMax) {
      refuse(mark, fmt::format("nested deeper than {} levels", kConfigDepthMax));
    }
    open_.push_back(node(kind, mark));
  }
  void close() {
    ConfigNode done = std::move(open_.back());
    open_.pop_back();
    place(std::move(done));
  }
  void place(ConfigNode n) {
    if (open_.empty()) {
      root_ = std::move(n);
      return;
    }
    ConfigNode& parent = open_.back();
    if (parent.kind == ConfigNode::Kind::map && parent.keys.size() == parent.values.size()) {
      parent.keys.push_back(std::move(n));
    } else {
      parent.values.push_back(std::move(n));
    }
  }

  const std::string& name_;
  ConfigNode root_;
  std::vector<ConfigNode> open_;
  size_t nodes_ = 0;
  std::optional<YAML::Mark> last_quoted_;  // where it begins
};

/// YAML allows none of them, and yaml-cpp takes 0x04 for the end of the file: what follows would be
/// ignored in silence.
std::optional<Error> find_control_character(std::string_view text, const std::string& name) {
  int line = 1, column = 1;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if ((octet < 0x20 && c != '\t' && c != '\n' && c != '\r') || octet == 0x7F) {
      return Error{fmt::format("{}:{}:{}: control character 0x{:02x}; UTF-8 text is expected", name,
                               line, column, octet)};
    }
    column = c == '\n' ? 1 : column + 1;
    line += c == '\n' ? 1 : 0;
  }
  return std::nullopt;
}

/// yaml-cpp lets a quoted text run into the end of the file, which swallows every key behind it.
/// Only the last quoted text can. Marks count octets behind the byte order mark.
bool ends_within_quotes(std::string_view text, const YAML::Mark& begin) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  const size_t skipped =
      text.substr(0, kByteOrderMark.size()) == kByteOrderMark ? kByteOrderMark.size() : 0;
  const size_t at = static_cast<size_t>(begin.pos) + skipped;
  if (at >= text.size() || (text[at] != '"' && text[at] != '\'')) return false;
  const char quote = text[at];
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      const bool is_doubled = quote == '\'' && i + 1 < text.size() && text[i + 1] == quote;
      if (!is_doubled) return false;
      ++i;
    }
  }
  return true;
}

}  // namespace

std::string Origin::to_string() const {
  switch (kind) {
    case Kind::file: return fmt::format("{}:{}:{}", name, line, column);
    case Kind::environment: return "environment " + name;
    case Kind::command_line: return "command line";
    case Kind::built_in: break;
  }
  return "default";
}

Result<ConfigNode> parse_config_document(std::string_view text, const std::string& name) {
  if (text.size() > kConfigOctetsMax) {
    return Error{fmt::format("{}: {} octets, limit {}", name, text.size(), kConfigOctetsMax)};
  }
  if (auto error = find_control_character(text, name)) return *error;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(name);
    ConfigNode root;
    root.kind = ConfigNode::Kind::map;
    root.origin = {Origin::Kind::file, name, 1, 1};
    if (parser.HandleNextDocument(builder)) {
      const auto& quoted = builder.last_quoted();
      if (quoted && ends_within_quotes(text, *quoted)) {
        return Error{fmt::format("{}:{}:{}: the quote that begins here is never closed", name,
                                 quoted->line + 1, quoted->column + 1)};
      }
      ConfigNode document = builder.take();
      if (document.kind != ConfigNode::Kind::null) root = std::move(document);
      TreeBuilder second(name);
      if (parser.HandleNextDocument(second)) {
        return Error{name + ": a second document (---) follows; one is expected"};
      }
    }
    return root;
  } catch (const Refusal& refusal) {
    return Error{refusal.what()};
  } catch (const YAML::Exception& e) {
    if (e.mark.is_null()) return Error{fmt::format("{}: {}", name, e.msg)};
    return Error{fmt::format("{}:{}:{}: {}", name, e.mark.line + 1, e.mark.column + 1, e.msg)};
  }
}

Result<std::string> read_config_file(const std::string& path, size_t octets_max) {
  const auto failed = [&] { return Error{fmt::format("{}: {}", path, std::strerror(errno))}; };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not hang us
  if (fd < 0) return failed();
  struct stat s {};
  std::optional<Error> error;
  std::string text;
  if (fstat(fd, &s) != 0) {
    error = failed();
  } else if (!S_ISREG(s.st_mode)) {
    error = Error{path + ": not a regular file"};
  } else {
    // One octet more than allowed is asked for: a file that grows meanwhile is refused later.
    text.resize(octets_max + 1);
    size_t filled = 0;
    while (filled < text.size()) {
      const ssize_t n = read(fd, text.data() + filled, text.size() - filled);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) error = failed();
      if (n <= 0) break;
      filled += static_cast<size_t>(n);
    }
    text.resize(filled);
    if (filled > octets_max) {
      error = Error{fmt::format("{}: larger than {} octets", path, octets_max)};
    }
  }
  close(fd);
  if (error) return *error;
  return text;
}

}  // namespace weir::service
