#include "export/json_flow.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "export/protocol_names.h"

namespace weir::outbound {
namespace {

using google::protobuf::FieldDescriptor;
using nlohmann::json;

std::optional<std::string> octets_of_hex(const std::string& text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string octets;
  for (size_t i = 0; i < text.size(); i += 2) {
    unsigned v = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, v, 16);
    if (error != std::errc() || end != text.data() + i + 2) return std::nullopt;
    octets += static_cast<char>(v);
  }
  return octets;
}

std::optional<std::string> octets_of_address(const std::string& text) {
  char octets[16];
  if (inet_pton(AF_INET, text.c_str(), octets) == 1) return std::string(octets, 4);
  if (inet_pton(AF_INET6, text.c_str(), octets) == 1) return std::string(octets, 16);
  return octets_of_hex(text);  // as other octets are written; "" is none
}

/// A number where the line has a name for it.
std::optional<uint64_t> number_of(const std::string& field, const std::string& text) {
  if (field == "src_mac" || field == "dst_mac") {
    std::string digits;
    for (const char c : text) {
      if (c != ':') digits += c;
    }
    uint64_t mac = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), mac, 16);
    if (digits.size() != 12 || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return mac;
  }
  if (field == "etype") {
    if (text == "IPv4") return 0x0800;
    if (text == "IPv6") return 0x86dd;
    if (text == "ARP") return 0x0806;
  }
  if (field == "proto" && !text.empty()) {
    for (unsigned i = 0; i < 256; ++i) {
      if (protocol_name(static_cast<uint8_t>(i)) == text) return i;
    }
  }
  if (field == "src_net" || field == "dst_net") {
    if (text.empty()) return 0;
    const size_t slash = text.find('/');
    uint64_t length = 0;
    if (slash == std::string::npos) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data() + slash + 1, text.data() + text.size(), length);
    if (error != std::errc() || end != text.data() + text.size() || length > 128) return std::nullopt;
    return length;
  }
  return std::nullopt;
}

/// Sets fields of one message by their names.
class FlowSetter {
 public:
  explicit FlowSetter(flowpb::FlowMessage& flow) : flow_(flow), reflection_(*flow.GetReflection()) {}

  Result<void> set(const std::string& key, const json& value) {
    const FieldDescriptor* const field = flow_.GetDescriptor()->FindFieldByName(key);
    if (field == nullptr) return Error{fmt::format("{} is no field of a flow", key)};
    if (!field->is_repeated()) return one(*field, value);
    if (!value.is_array()) return Error{fmt::format("{} is {}, not a list", key, value.dump())};
    for (const json& item : value) {
      if (auto added = one(*field, item); !added) return added;
    }
    return {};
  }

 private:
  Result<void> one(const FieldDescriptor& field, const json& value) {
    if (put(field, value)) return {};
    return Error{fmt::format("{} cannot be {}", field.name(), value.dump(-1, ' ', true, json::error_handler_t::replace))};
  }

  bool put(const FieldDescriptor& field, const json& value) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_UINT32:
      case FieldDescriptor::CPPTYPE_UINT64: return put_number(field, value);
      case FieldDescriptor::CPPTYPE_ENUM: return put_enumerator(field, value);
      case FieldDescriptor::CPPTYPE_STRING: return value.is_string() && put_octets(field, value);
      case FieldDescriptor::CPPTYPE_MESSAGE: return put_element(value);
      default: return false;
    }
  }

  bool put_number(const FieldDescriptor& field, const json& value) {
    std::optional<uint64_t> v;
    if (value.is_number_unsigned()) v = value.get<uint64_t>();
    if (value.is_string()) v = number_of(field.name(), value);
    if (!v) return false;
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64) {
      reflection_.SetUInt64(&flow_, &field, *v);
      return true;
    }
    if (*v > UINT32_MAX) return false;
    const auto narrow = static_cast<uint32_t>(*v);
    field.is_repeated() ? reflection_.AddUInt32(&flow_, &field, narrow) : reflection_.SetUInt32(&flow_, &field, narrow);
    return true;
  }

  bool put_enumerator(const FieldDescriptor& field, const json& value) {
    int number = 0;
    if (value.is_string()) {
      const auto* const named = field.enum_type()->FindValueByName(value);
      if (named == nullptr) return false;
      number = named->number();
    } else if (value.is_number_unsigned() && value.get<uint64_t>() <= INT32_MAX) {
      number = value.get<int>();
    } else {
      return false;
    }
    field.is_repeated() ? reflection_.AddEnumValue(&flow_, &field, number)
                        : reflection_.SetEnumValue(&flow_, &field, number);
    return true;
  }

  bool put_octets(const FieldDescriptor& field, const std::string& text) {
    std::optional<std::string> octets = text;
    if (field.type() == FieldDescriptor::TYPE_BYTES) {
      const bool is_hex = field.name() == "application_id" || field.name() == "bgp_extended_communities";
      octets = is_hex ? octets_of_hex(text) : octets_of_address(text);
    }
    if (!octets) return false;
    field.is_repeated() ? reflection_.AddString(&flow_, &field, *octets) : reflection_.SetString(&flow_, &field, *octets);
    return true;
  }

  bool put_element(const json& value) {
    if (!value.is_object()) return false;
    const auto number = [&](const char* key) {
      const auto at = value.find(key);
      return at != value.end() && at->is_number_unsigned() ? at->get<uint32_t>() : 0u;
    };
    const auto text = value.find("value");
    const auto octets = text != value.end() && text->is_string() ? octets_of_hex(*text) : std::nullopt;
    if (!octets) return false;
    flowpb::UnmappedElement* const element = flow_.add_unmapped();
    element->set_enterprise(number("enterprise"));
    element->set_id(number("id"));
    element->set_value(*octets);
    return true;
  }

  flowpb::FlowMessage& flow_;
  const google::protobuf::Reflection& reflection_;
};

}  // namespace

Result<flowpb::FlowMessage> parse_json_line(std::string_view line) {
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) return Error{"it is no JSON object"};
  flowpb::FlowMessage flow;
  FlowSetter setter(flow);
  for (const auto& [key, value] : object.items()) {
    if (auto set = setter.set(key, value); !set) return set.error();
  }
  return flow;
}

}  // namespace weir::outbound
