// config_text.h — A configuration and its keys in an operator's words: for commands that check, and for the documentation.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "service/config_reader.h"

namespace weir::service {

/// Every value with where it came from, secrets masked: one line each.
std::string describe_values(const ObjectSchema& schema, const void* object, const Origins& origins);
/// All keys as a Markdown table.
std::string describe_keys(const std::vector<KeyDoc>& keys);

/// `NAME=value` each.
std::span<const char* const> process_environment() noexcept;

}  // namespace weir::service
