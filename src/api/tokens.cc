#include "api/tokens.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/printable.h"

namespace weir::api {
namespace {

constexpr size_t kFileOctetsMax = 1 << 20;

std::array<uint8_t, 32> digest_of(std::string_view text) {
  std::array<uint8_t, 32> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

bool read_hex(std::string_view text, std::array<uint8_t, 32>& out) {
  if (text.size() != 64) return false;
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  for (size_t i = 0; i < 32; ++i) {
    const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

std::string_view next_word(std::string_view& line) {
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  const size_t end = std::min(line.find_first_of(" \t\r"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

}  // namespace

Result<std::shared_ptr<const Tokens>> Tokens::read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.good() && text.empty()) return Error{fmt::format("{}: cannot be read", printable(path))};
  if (text.size() > kFileOctetsMax) return Error{fmt::format("{}: {} octets, limit {}", printable(path), text.size(), kFileOctetsMax)};
  return parse(text, path);
}

Result<std::shared_ptr<const Tokens>> Tokens::parse(std::string_view text, const std::string& name) {
  auto tokens = std::make_shared<Tokens>();
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    const std::string_view who = next_word(line);
    if (who.empty() || who.front() == '#') continue;
    const std::string_view token = next_word(line);
    // The token itself is never shown.
    const auto wrong = [&](std::string_view what) { return Error{fmt::format("{}:{}: {}: {}", printable(name), number, printable(who), what)}; };
    if (!next_word(line).empty()) return wrong("a line has a name and a token, nothing else");
    Entry entry{std::string(who), {}};
    if (token.starts_with("sha256:")) {
      if (!read_hex(token.substr(7), entry.digest)) return wrong("behind sha256: come 64 hexadecimal digits");
    } else if (token.size() < kTokenOctetsMin || token.size() > kTokenOctetsMax) {
      return wrong(fmt::format("a token has {} to {} octets; `openssl rand -hex 24` makes one", kTokenOctetsMin, kTokenOctetsMax));
    } else {
      entry.digest = digest_of(token);
    }
    for (const Entry& other : tokens->entries_) {
      if (other.name == entry.name) return wrong("has two lines");
    }
    if (tokens->entries_.size() == kTokensMax) return wrong(fmt::format("more than {} tokens", kTokensMax));
    tokens->entries_.push_back(std::move(entry));
  }
  if (tokens->entries_.empty()) return Error{fmt::format("{}: has no token", printable(name))};
  return std::shared_ptr<const Tokens>(std::move(tokens));
}

std::string_view Tokens::name_of(std::string_view token) const {
  const auto digest = digest_of(token.substr(0, kTokenOctetsMax + 1));
  std::string_view name;
  for (const Entry& entry : entries_) {
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) name = entry.name;
  }
  return name;
}

}  // namespace weir::api
