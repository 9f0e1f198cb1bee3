#include "classify/port_set.h"

#include <fmt/format.h>

#include <charconv>

namespace weir::classify {
namespace {

bool read(std::string_view text, uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace

Result<void> PortSet::add(std::string_view text) {
  const size_t dash = text.find('-');
  PortRange range;
  const bool is_read = read(text.substr(0, dash), range.first) &&
                       read(dash == std::string_view::npos ? text : text.substr(dash + 1), range.last);
  if (!is_read || range.last < range.first) return Error{fmt::format("'{}' is neither a port nor a range as 8000-8999", text)};
  if (ranges_.size() == kPortRangesMax) return Error{fmt::format("more than {} ports and ranges", kPortRangesMax)};
  ranges_.push_back(range);
  return {};
}

}  // namespace weir::classify
