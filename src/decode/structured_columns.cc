// structured_columns.cc — Values of structured elements into columns, and what was gathered into the
// arena.
#include <algorithm>
#include <cstring>

#include "base/byte_order.h"
#include "decode/plan_columns.h"
#include "decode/plan_parts.h"
#include "decode/structured_data.h"

namespace weir::decode {

// ---- One value into its column ----

bool StructureReader::to_column(Element e, Octets value) noexcept {
  bool used = false;
  for (const ElementUse& use : uses_of(e.enterprise, e.id, context_.netflow_v9)) {
    used |= use_value(use, value);
  }
  return used;
}

bool StructureReader::use_value(const ElementUse& use, Octets value) noexcept {
  const auto width = static_cast<uint16_t>(std::min<size_t>(value.size(), UINT16_MAX));
  if (r_.present.has(use.field) || !width_fits(use.kind, width)) return false;
  // The rate goes with where it came from, which a list does not say.
  if (use.field == Field::sampling_rate || use.field == Field::sampler_id) return false;
  const uint8_t* p = value.data();
  switch (use.kind) {
    case ElementClass::number:
    case ElementClass::merge: store(use.field, load_be(p, width)); return true;
    case ElementClass::dscp: store(use.field, load_be(p, width) << 2 & 0xff); return true;
    case ElementClass::type_code:
      store(Field::icmp_type, p[width - 2]);
      store(Field::icmp_code, p[width - 1]);
      return true;
    case ElementClass::mac: store(use.field, width == 6 ? load_be(p, 6) : mac_of_8(p)); return true;
    case ElementClass::address_v4:
    case ElementClass::address_v6:
      if (all_zero(p, width)) return false;
      column<IpAddress>(r_, column_of(use.field).offset) =
          width == 4 ? IpAddress::from_v4(p) : IpAddress::from_v6(p);
      r_.addresses |= column_of(use.field).address_bit;
      r_.present.set(use.field);
      filled_.set(use.field);
      return true;
    case ElementClass::octets: return store_text(use.field, value);
    case ElementClass::text: return store_text(use.field, value.first(text_octets(p, width)));
    case ElementClass::mpls_label: return add_label(value);
    case ElementClass::mpls_ttl:
    case ElementClass::mpls_ip_v4:
    case ElementClass::mpls_ip_v6: return false;
  }
  return false;
}

void StructureReader::store(Field field, uint64_t value) noexcept {
  const Column& c = column_of(field);
  if (c.octets == 8) {
    column<uint64_t>(r_, c.offset) = value;
  } else if (c.octets == 2) {
    column<uint16_t>(r_, c.offset) = static_cast<uint16_t>(std::min<uint64_t>(value, UINT16_MAX));
  } else {
    column<uint32_t>(r_, c.offset) = saturated(value);
  }
  r_.blocks |= c.block_bit;
  r_.present.set(field);
  filled_.set(field);
}

bool StructureReader::store_text(Field field, Octets value) noexcept {
  if (value.empty()) return true;
  if (value.size() > kStringOctetsMax) return false;  // whole, in an element of its own
  write_octets(value.data(), static_cast<uint32_t>(value.size()),
               static_cast<uint32_t>(value.size()), field);
  return true;
}

bool StructureReader::add_label(Octets value) noexcept {
  if (stack_ended_ || labels_.count == kMplsLabelsMax) return false;
  const auto entry = static_cast<uint32_t>(load_be(value.data(), 3));
  labels_.values[labels_.count++] = entry >> 4;
  stack_ended_ = (entry & 1) != 0;
  return true;
}

// ---- What was gathered ----

void StructureReader::keep(Element e, Octets value, Octets before) noexcept {
  const size_t octets = before.size() + value.size();
  if (octets + kUnmappedHeaderOctets > kUnmappedOctetsMax - unmapped_octets_) return overflow();
  uint8_t* d = unmapped_ + unmapped_octets_;
  const auto length = static_cast<uint16_t>(octets);
  std::memcpy(d, &e.enterprise, 4);
  std::memcpy(d + 4, &e.id, 2);
  std::memcpy(d + 6, &length, 2);
  d += kUnmappedHeaderOctets;
  if (!before.empty()) std::memcpy(d, before.data(), before.size());
  if (!value.empty()) std::memcpy(d + before.size(), value.data(), value.size());
  unmapped_octets_ += kUnmappedHeaderOctets + static_cast<uint32_t>(octets);
}

void StructureReader::write_octets(const uint8_t* octets, uint32_t size, uint32_t count,
                                   Field field) noexcept {
  if (count == 0) return;
  const uint32_t at = context_.arena.used();
  uint8_t* d = context_.arena.take(size);
  if (d == nullptr) return overflow();
  std::memcpy(d, octets, size);
  column<ArenaRef>(r_, column_of(field).offset) = {static_cast<uint16_t>(at),
                                                   static_cast<uint16_t>(count)};
  r_.arena_parts |= arena_part_at(column_of(field).offset);
  r_.present.set(field);
  filled_.set(field);
}

void StructureReader::write_numbers(const Numbers& list, Field field) noexcept {
  if (list.count == 0) return;
  context_.arena.align4();
  write_octets(static_cast<const uint8_t*>(static_cast<const void*>(list.values)), list.count * 4,
               list.count, field);
}

void StructureReader::finish() noexcept {
  if (!stack_ended_) {
    while (labels_.count != 0 && labels_.values[labels_.count - 1] == 0) --labels_.count;
  }
  write_numbers(as_path_, Field::as_path);
  write_numbers(communities_, Field::bgp_communities);
  write_numbers(labels_, Field::mpls_label);
  if (segment_count_ != 0) {
    write_octets(segments_, segment_count_ * static_cast<uint32_t>(sizeof(IpAddress)),
                 segment_count_, Field::srv6_segments);
  }
  write_octets(extended_, extended_octets_, extended_octets_, Field::bgp_extended_communities);

  if (has_yaf_tcp_flags_ && !r_.present.has(Field::tcp_flags)) {
    store(Field::tcp_flags, yaf_tcp_flags_);
  }
  // What follows from columns that the template itself did not fill.
  if (filled_.has(Field::src_addr) && r_.etype == 0) {
    r_.etype = r_.src_addr.is_v4() ? 0x0800 : 0x86dd;
    r_.present.set(Field::etype);
  }
  const bool ports = filled_.has(Field::proto) || filled_.has(Field::dst_port);
  if (ports && is_icmp(r_.proto)) move_icmp_out_of_ports(r_, !r_.present.has(Field::icmp_type));
  const auto directional = [this](Field in, Field out, Field sum) {
    if (!filled_.has(in) || !r_.present.has(sum) || r_.present.has(out)) return;
    store(out, column<uint64_t>(r_, column_of(sum).offset));
  };
  directional(Field::bytes_in, Field::bytes_out, Field::bytes);
  directional(Field::packets_in, Field::packets_out, Field::packets);
}

}  // namespace weir::decode
