#include "export/sflow_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <charconv>
#include <cmath>
#include <vector>

#include "export/json_lines.h"
#include "export/text_buffer.h"

namespace weir::outbound {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

void put_text(std::string_view text, std::string& out) { TextBuffer(out).put(text); }
void put_number(uint64_t v, std::string& out) { TextBuffer(out).put_number(v); }

void put_key(std::string_view name, std::string& out) {
  const bool is_first = out.back() == '{';  // there is an object around every key
  TextBuffer text(out);
  if (!is_first) text.put(',');
  text.put('"');
  text.put(name);
  text.put("\":");
}

void put_float(float v, std::string& out) {
  char digits[32];
  if (!std::isfinite(v)) return put_text("null", out);
  const auto end = std::to_chars(digits, digits + sizeof digits, v).ptr;
  put_text({digits, static_cast<size_t>(end - digits)}, out);
}

void put_octets(const FieldDescriptor& field, const std::string& octets, std::string& out) {
  TextBuffer text(out);
  text.put('"');
  if (ends_with(field.name(), "_address")) {
    text.put_address(octets);
  } else {
    text.put_hex(octets);
  }
  text.put('"');
}

void put_message(const Message& message, std::string& out);

/// One value; `index` is its place in a repeated field, else -1.
void put_value(const Message& message, const FieldDescriptor& field, int index, std::string& out) {
  const Reflection& r = *message.GetReflection();
  const bool many = index >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return put_number(
          many ? r.GetRepeatedUInt32(message, &field, index) : r.GetUInt32(message, &field), out);
    case FieldDescriptor::CPPTYPE_UINT64: {
      const uint64_t v =
          many ? r.GetRepeatedUInt64(message, &field, index) : r.GetUInt64(message, &field);
      if (!ends_with(field.name(), "_mac") && field.name() != "mac_addresses") {
        return put_number(v, out);
      }
      TextBuffer text(out);
      text.put('"');
      text.put_mac(v);
      return text.put('"');
    }
    case FieldDescriptor::CPPTYPE_INT32: {
      const int32_t v =
          many ? r.GetRepeatedInt32(message, &field, index) : r.GetInt32(message, &field);
      if (v < 0) put_text("-", out);
      return put_number(v < 0 ? 0u - static_cast<uint32_t>(v) : static_cast<uint32_t>(v), out);
    }
    case FieldDescriptor::CPPTYPE_FLOAT: return put_float(r.GetFloat(message, &field), out);
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string v =
          many ? r.GetRepeatedString(message, &field, index) : r.GetString(message, &field);
      if (field.type() == FieldDescriptor::TYPE_BYTES) return put_octets(field, v, out);
      return append_json_string(v, out);
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return put_message(
          many ? r.GetRepeatedMessage(message, &field, index) : r.GetMessage(message, &field), out);
    default: return put_text("null", out);  // no message of ours has others
  }
}

void put_fields(const Message& message, std::string& out) {
  const Reflection& r = *message.GetReflection();
  std::vector<const FieldDescriptor*> present;  // in the order of their numbers
  r.ListFields(message, &present);
  for (const FieldDescriptor* field : present) {
    put_key(field->name(), out);
    if (!field->is_repeated()) {
      put_value(message, *field, -1, out);
      continue;
    }
    put_text("[", out);
    for (int i = 0; i < r.FieldSize(message, field); ++i) {
      if (i != 0) put_text(",", out);
      put_value(message, *field, i, out);
    }
    put_text("]", out);
  }
}

void put_message(const Message& message, std::string& out) {
  put_text("{", out);
  put_fields(message, out);
  put_text("}", out);
}

void begin_line(RecordKind kind, std::string& out) {
  TextBuffer text(out);
  text.put("{\"kind\":\"");
  text.put(name_of(kind));
  text.put('"');
}

}  // namespace

void append_json_line(const flowpb::SflowCounters& sample, std::string& out) {
  begin_line(RecordKind::sflow_counters, out);
  put_fields(sample, out);
  put_text("}\n", out);
}

/// All keys in every line: there are few, and whoever counts reasons counts all of them.
void append_json_line(const flowpb::SflowDiscard& discard, std::string& out) {
  begin_line(RecordKind::sflow_discard, out);
  put_key("reason", out);
  const auto reason = static_cast<uint32_t>(discard.reason());
  const std::string& name = flowpb::SflowDropReason_Name(discard.reason());
  if (name.empty()) {
    put_number(reason, out);
  } else {
    append_json_string(name, out);
  }
  const auto number = [&out](std::string_view key, uint64_t v) {
    put_key(key, out);
    put_number(v, out);
  };
  number("reason_code", reason);
  number("drops", discard.drops());
  number("sample_sequence", discard.sample_sequence());
  number("source_class", discard.source_class());
  number("source_index", discard.source_index());
  number("agent_uptime_ms", discard.agent_uptime_ms());
  put_key("packet", out);
  append_json_line(discard.packet(), out);
  out.pop_back();  // the packet's own newline
  put_text("}\n", out);
}

ReadCounts append_json_lines(RecordKind kind, std::span<const uint8_t> payload, std::string& out) {
  const auto append = [&out](const auto& message) { append_json_line(message, out); };
  switch (kind) {
    case RecordKind::flow: return read_messages<flowpb::FlowMessage>(payload, append);
    case RecordKind::sflow_counters: return read_messages<flowpb::SflowCounters>(payload, append);
    case RecordKind::sflow_discard: return read_messages<flowpb::SflowDiscard>(payload, append);
    case RecordKind::count_: break;
  }
  return {0, 1};
}

}  // namespace weir::outbound
