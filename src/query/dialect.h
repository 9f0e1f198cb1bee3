// dialect.h — What databases say differently. Everything else of a query is plain SQL (translate.h).
//
// Runs on:  any thread. Constant.
//
// Expressions and placeholders are given as SQL; none of the texts comes from a user.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "query/fields.h"

namespace weir::query {

enum class ListOf : uint8_t { numbers, texts };

class Dialect {
 public:
  virtual ~Dialect() = default;

  /// Of the n-th parameter, from 1.
  virtual std::string placeholder(size_t n) const = 0;
  /// A name of a column in the answer: letters, digits, _ and dots.
  virtual std::string quoted(std::string_view name) const = 0;

  virtual std::string address_text(const std::string& address) const = 0;
  /// The network of so many bits that an address is in; of IPv4 addresses at most 32.
  virtual std::string masked(const std::string& address, int bits) const = 0;
  /// `network` with the length behind it.
  virtual std::string network_text(const std::string& network, int bits) const = 0;
  virtual std::string mac_text(const std::string& mac) const = 0;
  virtual std::string as_text(const std::string& number) const = 0;

  /// In any case; \ takes the next character literally.
  virtual std::string like(const std::string& text, const std::string& pattern) const = 0;
  virtual std::string matches(const std::string& text, const std::string& pattern) const = 0;
  virtual std::string bits(const std::string& number, const std::string& mask) const = 0;
  virtual std::string has_all(const std::string& list, ListOf kind, const std::vector<std::string>& values) const = 0;
  virtual std::string has_any(const std::string& list, ListOf kind, const std::vector<std::string>& values) const = 0;
  virtual std::string has_like(const std::string& list, const std::string& pattern) const = 0;
  virtual std::string has_match(const std::string& list, const std::string& pattern) const = 0;

  /// Microseconds since the epoch, as an integer, and back.
  virtual std::string epoch_us(const std::string& instant) const = 0;
  virtual std::string instant(const std::string& us) const = 0;
  /// `number` rounded down to a multiple of `width`.
  virtual std::string multiple(const std::string& number, int64_t width) const = 0;

  /// Integers' sum, at most 2^63-1; 0 of nothing.
  virtual std::string sum(const std::string& number) const = 0;
  virtual std::string percentile(const std::string& number, double fraction) const = 0;
  /// 63 bits that are the same for the same values.
  virtual std::string hash(const std::vector<std::string>& values) const = 0;
};

/// DuckDB 1.4 with weir-store's functions ip_text, ip_mask, mac_text.
const Dialect& duckdb_dialect();

}  // namespace weir::query
