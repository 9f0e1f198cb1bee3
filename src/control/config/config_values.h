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
#include "service/common_values.h"

namespace weir::control {

using service::file_mode;
using service::is_name;
using service::is_nats_url_list;
using service::is_subject;
using service::name_text;

service::ValueType<decode::ProtocolFilter> protocol_type();
service::ValueType<IpAddress> ip_address();
service::ValueType<SocketAddress> udp_address();
service::ValueType<AddressPrefix> address_prefix();
service::ValueType<dataplane::InterfaceAddress> interface_address();
/// Of an interface of the kernel's, or nothing.
service::ValueType<std::string> interface_name();
/// A NATS subject without wildcards, and with {protocol}, {exporter} and {partition} as parts of tokens.
bool is_subject_template(std::string_view text);
service::ValueType<std::string> subject_or_nothing();
/// `weir.{subject}`: what a Kafka topic's name may hold, and the placeholder.
bool is_topic_pattern(std::string_view text);

}  // namespace weir::control
