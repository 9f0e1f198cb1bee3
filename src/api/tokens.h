// tokens.h — Who may ask: bearer tokens by name, from a file.
//
// Spec:     RFC 6750 §2.1.
// Runs on:  any thread; constant once read.
// Bounds:   kTokensMax, kTokenOctetsMax.
// Failure:  an Error with file and line.
//
//     # name   token, or sha256: and its digest
//     grafana  6f1c…
//     noc      sha256:9f86d081884c7d65…
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::api {

inline constexpr size_t kTokensMax = 1024;
inline constexpr size_t kTokenOctetsMin = 16;
inline constexpr size_t kTokenOctetsMax = 512;

class Tokens {
 public:
  static Result<std::shared_ptr<const Tokens>> read(const std::string& path);
  static Result<std::shared_ptr<const Tokens>> parse(std::string_view text, const std::string& name);

  bool empty() const noexcept { return entries_.empty(); }
  size_t size() const noexcept { return entries_.size(); }
  /// The name that a token goes by; empty: nobody's. Takes as long whichever it is, and whether it is one.
  std::string_view name_of(std::string_view token) const;

 private:
  struct Entry {
    std::string name;
    std::array<uint8_t, 32> digest;
  };
  std::vector<Entry> entries_;
};

}  // namespace weir::api
