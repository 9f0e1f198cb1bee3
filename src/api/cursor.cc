#include "api/cursor.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace weir::api {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr size_t kFields = 7;
constexpr size_t kCursorOctetsMax = 256;

/// FNV-1a: against mistakes, not against anybody. Whoever makes one up gets other rows of what he may see anyway.
uint64_t fingerprint_of(std::string_view query) noexcept {
  uint64_t hash = 14695981039346656037ull;
  for (const char c : query) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

std::string base64url(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) out += kDigits[bits >> (count - 6) & 63];
  }
  if (count > 0) out += kDigits[bits << (6 - count) & 63];
  return out;
}

std::optional<std::string> from_base64url(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t value = kDigits.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 255);
    }
  }
  return out;
}

}  // namespace

std::string write_cursor(const Cursor& cursor, std::string_view query) {
  // No start: -1, which no window has.
  return base64url(fmt::format("1.{}.{}.{}.{}.{}.{}", cursor.window.start_us.value_or(-1), cursor.window.end_us.value_or(-1),
                               cursor.start.time_us, cursor.start.tie, cursor.start.skip, fingerprint_of(query)));
}

std::optional<Cursor> read_cursor(std::string_view text, std::string_view query) {
  if (text.size() > kCursorOctetsMax) return std::nullopt;
  const auto plain = from_base64url(text);
  if (!plain) return std::nullopt;
  std::array<std::string_view, kFields> fields;
  std::string_view rest = *plain;
  for (size_t i = 0; i < kFields; ++i) {
    const size_t end = i + 1 == kFields ? rest.size() : rest.find('.');
    if (end == std::string_view::npos) return std::nullopt;
    fields[i] = rest.substr(0, end);
    rest.remove_prefix(std::min(rest.size(), end + 1));
  }
  const auto read = [](std::string_view field, auto& out) {
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), out);
    return error == std::errc() && end == field.data() + field.size();
  };
  int64_t start = 0, end = 0;
  uint64_t fingerprint = 0;
  Cursor cursor;
  if (fields[0] != "1" || !read(fields[1], start) || !read(fields[2], end) || !read(fields[3], cursor.start.time_us) ||
      !read(fields[4], cursor.start.tie) || !read(fields[5], cursor.start.skip) || !read(fields[6], fingerprint)) {
    return std::nullopt;
  }
  if (fingerprint != fingerprint_of(query) || end <= start || end < 0 || end > query::kInstantMaxUs) return std::nullopt;
  if (cursor.start.time_us < 0 || cursor.start.time_us > query::kInstantMaxUs) return std::nullopt;
  if (start >= 0) cursor.window.start_us = start;
  cursor.window.end_us = end;
  return cursor;
}

}  // namespace weir::api
