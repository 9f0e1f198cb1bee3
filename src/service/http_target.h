// http_target.h — What a request asks for: path and query of its target, decoded.
//
// Spec:     RFC 3986 §2.1 (percent-encoding); of queries + is a space. RFC 9112 §3.2 (forms of a target).
// Runs on:  any thread. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace weir::service {

enum class PlusIs : uint8_t { plus, space };  // a space only in a query

/// Nothing for a broken escape or an encoded NUL.
std::optional<std::string> percent_decoded(std::string_view text, PlusIs plus);

/// `/v1/status?a=1` of `http://weir/v1/status?a=1`, as proxies write it; any other form unchanged.
std::string_view origin_form(std::string_view target);

struct HttpTarget {
  std::string path;
  std::map<std::string, std::string> query;
  std::string repeated;  // the first name that the query has twice: neither of its values is known to be the one that is meant
};
/// Nothing where it is malformed.
std::optional<HttpTarget> read_target(std::string_view target);

}  // namespace weir::service
