// config_values.h — Types of values that only an appliance's configuration has, as text and back.
//
// Runs on:  start-up and reload. Pure.
//
// Private to src/control.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "control/config/config.h"

namespace weir::control {

service::ValueType<decode::ProtocolFilter> protocol_type();
/// What metrics, subjects and tables can carry: no separator of any of them.
bool is_name(std::string_view text);
service::ValueType<std::string> name_text();
service::ValueType<IpAddress> ip_address();
service::ValueType<SocketAddress> udp_address();
service::ValueType<AddressPrefix> address_prefix();
service::ValueType<dataplane::InterfaceAddress> interface_address();
/// Of an interface of the kernel's, or nothing.
service::ValueType<std::string> interface_name();
service::ValueType<uint32_t> file_mode();
/// NATS subjects: tokens between dots, of what a subject may hold, and of `also_tokens` (`*>`).
bool is_subject(std::string_view text, std::string_view also_tokens);
/// The same without wildcards, and with {protocol}, {exporter} and {partition} as parts of tokens.
bool is_subject_template(std::string_view text);
service::ValueType<std::string> subject_or_nothing();
/// `weir.{subject}`: what a Kafka topic's name may hold, and the placeholder.
bool is_topic_pattern(std::string_view text);
/// `nats://host:4222,tls://user:password@[2001:db8::1]:4222`
bool is_nats_url_list(std::string_view text);

}  // namespace weir::control
