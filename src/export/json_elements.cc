// json_elements.cc — Elements without a column in JSON: numbers, names, values.
#include <bit>
#include <charconv>
#include <cmath>

#include "export/element_names.h"
#include "export/json_parts.h"
#include "export/sflow_names.h"

namespace weir::outbound::parts {
namespace {

uint64_t load_unsigned(std::string_view octets) {
  uint64_t v = 0;
  for (const char c : octets) v = v << 8 | static_cast<uint8_t>(c);
  return v;
}

void put_signed(TextBuffer& out, std::string_view octets) {
  const unsigned unused = static_cast<unsigned>(64 - 8 * octets.size());
  const auto v = static_cast<int64_t>(load_unsigned(octets) << unused) >> unused;
  if (v < 0) out.put('-');
  out.put_number(v < 0 ? uint64_t{0} - static_cast<uint64_t>(v) : static_cast<uint64_t>(v));
}

/// False where it is no number that JSON can say.
bool put_float(TextBuffer& out, std::string_view octets) {
  double v = 0;
  if (octets.size() == 8) {
    v = std::bit_cast<double>(load_unsigned(octets));
  } else if (octets.size() == 4) {
    v = std::bit_cast<float>(static_cast<uint32_t>(load_unsigned(octets)));
  } else {
    return false;
  }
  if (!std::isfinite(v)) return false;
  char text[32];
  const auto end = octets.size() == 4
                       ? std::to_chars(text, text + sizeof text, static_cast<float>(v)).ptr
                       : std::to_chars(text, text + sizeof text, v).ptr;
  out.put({text, static_cast<size_t>(end - text)});
  return true;
}

/// What the octets say, where the element's type and their number allow it; else nothing.
void put_decoded(TextBuffer& out, ElementDataType type, std::string_view octets) {
  static constexpr std::string_view kKey = ",\"decoded\":";
  const size_t size = octets.size();
  using T = ElementDataType;
  switch (type) {
    case T::unsigned8:
    case T::unsigned16:
    case T::unsigned32:
    case T::unsigned64:
    case T::dateTimeSeconds:
    case T::dateTimeMilliseconds:
      if (size == 0 || size > 8) return;
      out.put(kKey);
      return out.put_number(load_unsigned(octets));
    case T::signed8:
    case T::signed16:
    case T::signed32:
    case T::signed64:
      if (size == 0 || size > 8) return;
      out.put(kKey);
      return put_signed(out, octets);
    case T::float32:
    case T::float64: {
      const size_t before = out.used();
      out.put(kKey);
      if (!put_float(out, octets)) out.cut(before);
      return;
    }
    case T::boolean:  // RFC 7011 §6.1.5
      if (octets == "\x01") out.put(",\"decoded\":true");
      if (octets == "\x02") out.put(",\"decoded\":false");
      return;
    case T::macAddress:
      if (size != 6) return;
      out.put(kKey);
      out.put('"');
      out.put_mac(load_unsigned(octets));
      return out.put('"');
    case T::ipv4Address:
    case T::ipv6Address:
      if (size != (type == T::ipv4Address ? 4 : 16)) return;
      out.put(kKey);
      return put_quoted_address(out, octets);
    case T::string:
      while (!octets.empty() && (octets.back() == '\0' || octets.back() == ' ')) {
        octets.remove_suffix(1);
      }
      out.put(kKey);
      return put_string(out, octets);
    case T::octetArray:
    case T::unsigned256:
    case T::dateTimeMicroseconds:
    case T::dateTimeNanoseconds:
    case T::basicList:
    case T::subTemplateList:
    case T::subTemplateMultiList: return;
  }
}

void put_element_name(TextBuffer& out, const ElementName& element) {
  out.put(",\"name\":\"");
  std::string_view name = element.name;
  if (element.reverse) {  // RFC 5103 §6.1
    out.put("reverse");
    const char first = name.front();
    out.put(first >= 'a' && first <= 'z' ? static_cast<char>(first - 'a' + 'A') : first);
    name.remove_prefix(1);
  }
  out.put(name);
  out.put('"');
}

}  // namespace

void put_unmapped(TextBuffer& out, const ElementText& element) {
  out.put("{\"enterprise\":");
  out.put_number(element.enterprise);
  out.put(",\"id\":");
  out.put_number(element.id);
  const auto known = find_element(element.enterprise, element.id);
  if (known) put_element_name(out, *known);
  out.put(",\"value\":");
  put_quoted_hex(out, element.value);
  if (known) put_decoded(out, known->type, element.value);
  out.put('}');
}

void put_sflow_record(TextBuffer& out, const ElementText& element) {
  out.put("{\"enterprise\":");
  out.put_number(element.enterprise);
  out.put(",\"id\":");
  out.put_number(element.id);
  if (const auto name = sflow_record_name(element.enterprise, element.id); !name.empty()) {
    out.put(",\"name\":\"");
    out.put(name);
    out.put('"');
  }
  out.put(",\"value\":");
  put_quoted_hex(out, element.value);
  out.put('}');
}

}  // namespace weir::outbound::parts
