// element_names.h — What information elements are called and what their octets mean.
//
// Spec:     IANA's registry of IPFIX information elements (iana_elements.inc, generated), RFC 5103 §6.1
//           (reverse elements); enterprises' own as far as they are known (enterprise_elements.inc).
// Runs on:  any thread. Constant tables.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::outbound {

/// RFC 7012 §3.1 and RFC 6313 §4.5, in their spelling.
enum class ElementDataType : uint8_t {
  octetArray,
  unsigned8,
  unsigned16,
  unsigned32,
  unsigned64,
  unsigned256,
  signed8,
  signed16,
  signed32,
  signed64,
  float32,
  float64,
  boolean,
  macAddress,
  string,
  dateTimeSeconds,
  dateTimeMilliseconds,
  dateTimeMicroseconds,
  dateTimeNanoseconds,
  ipv4Address,
  ipv6Address,
  basicList,
  subTemplateList,
  subTemplateMultiList,
};

struct ElementName {
  std::string_view name;
  ElementDataType type = ElementDataType::octetArray;
  bool reverse = false;  // of a biflow's other direction: "reverse" stands before the name
};

/// Empty where nobody told us.
std::optional<ElementName> find_element(uint32_t enterprise, uint32_t id) noexcept;

}  // namespace weir::outbound
