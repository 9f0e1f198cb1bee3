// common_values.h — Types of values that several programs' configurations have: names, file modes, NATS subjects and servers.
//
// Runs on:  start-up and reload. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "service/config_reader.h"

namespace weir::service {

/// What metrics, subjects and tables can carry: no separator of any of them.
bool is_name(std::string_view text);
ValueType<std::string> name_text();
ValueType<uint32_t> file_mode();
/// NATS subjects: tokens between dots, of what a subject may hold, and of `also_tokens` (`*>`).
bool is_subject(std::string_view text, std::string_view also_tokens);
/// `nats://host:4222,tls://user:password@[2001:db8::1]:4222`
bool is_nats_url_list(std::string_view text);

}  // namespace weir::service
