#include "service/common_values.h"

#include <charconv>
#include <optional>

#include "base/ip_address.h"

namespace weir::service {

namespace {

constexpr size_t kNameOctetsMax = 64;

}  // namespace

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameOctetsMax &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
             std::string_view::npos;
}

ValueType<std::string> name_text() {
  return text_where("a name of letters, digits, - and _, at most 64", is_name);
}

ValueType<uint32_t> file_mode() {
  return {"an octal file mode from 0000 to 0777, such as 0660",
          [](std::string_view text) -> std::optional<uint32_t> {
            uint32_t mode = 0;
            const auto [end, error] =
                std::from_chars(text.data(), text.data() + text.size(), mode, 8);
            if (text.size() < 3 || text.size() > 4 || error != std::errc{} ||
                end != text.data() + text.size() || mode > 0777) {
              return std::nullopt;
            }
            return mode;
          },
          [](const uint32_t& mode) { return fmt::format("{:04o}", mode); },
          {}};
}

bool is_subject(std::string_view text, std::string_view also_tokens) {
  constexpr size_t kSubjectOctetsMax = 200;
  if (text.empty() || text.size() > kSubjectOctetsMax) return false;
  while (true) {
    const std::string_view token = text.substr(0, text.find('.'));
    if (token.empty()) return false;
    const bool wildcard = token == "*" || (token == ">" && token.size() == text.size());
    if (wildcard && also_tokens.find(token) == std::string_view::npos) return false;
    for (const char c : token) {
      const bool printable_ascii = c > 0x20 && c < 0x7F;
      if (!printable_ascii || c == '{' || c == '}') return false;
      if (!wildcard && (c == '*' || c == '>')) return false;
    }
    if (token.size() == text.size()) return true;
    text.remove_prefix(token.size() + 1);
  }
}

namespace {

/// `host`, `host:4222`, `[2001:db8::1]:4222`, with a user before an @.
bool is_nats_server(std::string_view text) {
  if (const size_t at = text.rfind('@'); at != std::string_view::npos) text.remove_prefix(at + 1);
  if (text.size() > 1 && text.back() == '/') text.remove_suffix(1);
  const bool bracketed = !text.empty() && text.front() == '[';
  const size_t host_end = bracketed ? text.find(']') : text.find(':');
  if (bracketed) {
    if (host_end == std::string_view::npos || !IpAddress::parse(text.substr(1, host_end - 1))) {
      return false;
    }
    text.remove_prefix(host_end + 1);
  } else {
    const std::string_view host = text.substr(0, host_end);
    if (host.empty() || host.find_first_of("/?#[]") != std::string_view::npos) return false;
    text.remove_prefix(host.size());
  }
  if (text.empty()) return true;
  if (text.front() != ':') return false;
  const auto port = service::parse_decimal(text.substr(1));
  return port && *port >= 1 && *port <= 65'535;
}

}  // namespace

bool is_nats_url_list(std::string_view text) {
  while (true) {
    const std::string_view url = text.substr(0, text.find(','));
    const std::string_view scheme = url.substr(0, std::min(url.find("://"), url.size()));
    if ((scheme != "nats" && scheme != "tls") || scheme.size() == url.size() ||
        url.find_first_of(" \t") != std::string_view::npos ||
        !is_nats_server(url.substr(scheme.size() + 3))) {
      return false;
    }
    if (url.size() == text.size()) return true;
    text.remove_prefix(url.size() + 1);
  }
}

}  // namespace weir::service
