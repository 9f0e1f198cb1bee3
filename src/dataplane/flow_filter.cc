#include "dataplane/flow_filter.h"

#include <algorithm>
#include <array>

namespace weir::dataplane {
namespace {

/// What was not exported is 0 in a record, and no value that somebody could look for.
template <class Number>
bool has(const FlowRecord& r, Field field, uint32_t value, Number wanted) noexcept {
  return value == wanted && (value != 0 || r.present.has(field));
}

}  // namespace

PrefixMatch::PrefixMatch(const IpAddress& address, uint8_t bits) noexcept {
  std::array<uint8_t, 16> mask{};
  for (unsigned i = 0; i < mask.size(); ++i) {
    const unsigned left = bits > 8 * i ? std::min(bits - 8 * i, 8u) : 0;
    mask[i] = static_cast<uint8_t>(0xff00u >> left);
  }
  std::memcpy(value_, address.octets.data(), sizeof value_);
  std::memcpy(mask_, mask.data(), sizeof mask_);
}

bool FlowFilter::admits(const ExportHeader& header, ListenerId from) const noexcept {
  if (listener && *listener != from) return false;
  if (type && *type != header.type) return false;
  return !exporter || exporter->covers(header.exporter_address) || exporter->covers(header.sampler_address);
}

bool FlowFilter::admits_numbers(const FlowRecord& r) const noexcept {
  if (source_port && !has(r, Field::src_port, r.src_port, *source_port)) return false;
  if (destination_port && !has(r, Field::dst_port, r.dst_port, *destination_port)) return false;
  if (either_port && !has(r, Field::src_port, r.src_port, *either_port) &&
      !has(r, Field::dst_port, r.dst_port, *either_port)) {
    return false;
  }
  if (protocol && !has(r, Field::proto, r.proto, *protocol)) return false;
  if (in_interface && !has(r, Field::in_if, r.in_if, *in_interface)) return false;
  if (out_interface && !has(r, Field::out_if, r.out_if, *out_interface)) return false;
  if (either_interface && !has(r, Field::in_if, r.in_if, *either_interface) &&
      !has(r, Field::out_if, r.out_if, *either_interface)) {
    return false;
  }
  return true;
}

bool FlowFilter::admits_addresses(const FlowRecord& r) const noexcept {
  const bool has_source = (r.addresses & address::bit(address::k_src_addr)) != 0;
  const bool has_destination = (r.addresses & address::bit(address::k_dst_addr)) != 0;
  if (source && !(has_source && source->covers(r.src_addr))) return false;
  if (destination && !(has_destination && destination->covers(r.dst_addr))) return false;
  return !either || (has_source && either->covers(r.src_addr)) || (has_destination && either->covers(r.dst_addr));
}

}  // namespace weir::dataplane
