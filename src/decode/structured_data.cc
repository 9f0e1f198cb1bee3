#include "decode/structured_data.h"

#include <algorithm>
#include <cstring>

#include "base/byte_order.h"
#include "decode/plan_parts.h"
#include "packet/sampled_header.h"

namespace weir::decode {
namespace {

using Octets = std::span<const uint8_t>;
using packet::SampledLink;

constexpr uint8_t kNoneOf = 0;  // semantics: what the list holds is what was not there
constexpr uint16_t kEnterpriseBit = 0x8000;
constexpr uint32_t kExtendedCommunityOctets = 8;
constexpr uint32_t kLargeCommunityOctets = 12;
constexpr uint16_t kSourceAs = 16;
constexpr uint16_t kDestinationAs = 17;
constexpr uint32_t kCert = 6871;
constexpr uint16_t kInitialTcpFlags = 14;
constexpr uint16_t kUnionTcpFlags = 15;
constexpr uint64_t kFrameType80211 = 2;  // dataLinkFrameType's bit

/// Takes the next value of a basicList off `rest`. False: it is not whole.
bool next_value(uint16_t length, Octets& rest, Octets& value) noexcept {
  size_t octets = length;
  size_t header = 0;
  if (length == kVariableLength) {
    octets = rest[0];
    header = 1;
    if (octets == 255) {
      if (rest.size() < 3) return false;
      octets = load_be16(rest.data() + 1);
      header = 3;
    }
  }
  if (rest.size() - header < octets) return false;
  value = rest.subspan(header, octets);
  rest = rest.subspan(header + octets);
  return true;
}

}  // namespace

void StructureReader::structured(uint16_t id, Octets octets, uint32_t depth) noexcept {
  using namespace element;
  if (octets.empty()) return;
  bool told = depth <= kListDepthMax;
  if (told) {
    switch (id) {
      case kBasicList: told = basic_list(octets, depth); break;
      case kSubTemplateList: told = sub_template_list(octets, depth); break;
      case kSubTemplateMultiList: told = sub_template_multi_list(octets, depth); break;
      case kBgpCommunity: told = add_number(octets, communities_); break;
      case kBgpSourceCommunityList:
      case kBgpDestinationCommunityList: told = numbers(octets, communities_, depth); break;
      case kBgpExtendedCommunity: told = add_community(octets, kExtendedCommunityOctets); break;
      case kBgpLargeCommunity: told = add_community(octets, kLargeCommunityOctets); break;
      case kBgpSourceExtendedCommunityList:
      case kBgpDestinationExtendedCommunityList:
        told = communities(octets, kExtendedCommunityOctets);
        break;
      case kBgpSourceLargeCommunityList:
      case kBgpDestinationLargeCommunityList:
        told = communities(octets, kLargeCommunityOctets);
        break;
      case kBgpSourceAsPathList:
      case kBgpDestinationAsPathList:
        if (as_path_.count != 0) return keep({0, id}, octets);  // another path's than the column's
        told = numbers(octets, as_path_, depth);
        break;
      case kSrhSegmentIpv6:
        told = octets.size() == sizeof(IpAddress) && add_segments(octets);
        break;
      case kSrhSegmentIpv6ListSection: told = add_segments(octets); break;
      case kSrhSegmentIpv6BasicList: told = segment_list(octets); break;
      case kSrhIpv6Section: told = segment_routing_header(octets); break;
      default: told = section(id, octets); break;
    }
  }
  if (told) return;
  context_.quirks.note(Quirk::opaque_list);
  keep({0, id}, octets);
}

/// One element of a list's record, or one value of a basicList.
void StructureReader::member(Element e, Octets value, uint32_t depth) noexcept {
  if (value.empty() || (e.enterprise == 0 && e.id == kPaddingOctets)) return;
  if (structure_order(e.enterprise, e.id) != 0) return structured(e.id, value, depth + 1);
  if (to_column(e, value)) return;
  // YAF counts the first packet's flags apart from the others': all of them are the flow's, and each
  // says more than that.
  if (e.enterprise == kCert && (e.id == kInitialTcpFlags || e.id == kUnionTcpFlags)) {
    yaf_tcp_flags_ |= value.back();
    has_yaf_tcp_flags_ = true;
  }
  keep(e, value);
}

// ---- Lists of any content ----

bool StructureReader::read_basic_list(Octets octets, BasicList& list) noexcept {
  // 0 semantic   1 field id   3 element length   5 enterprise number, if the id says so
  if (octets.size() < 5 || octets[0] == kNoneOf) return false;
  list.element = {0, load_be16(octets.data() + 1), load_be16(octets.data() + 3)};
  octets = octets.subspan(5);
  if ((list.element.id & kEnterpriseBit) != 0) {
    if (octets.size() < 4) return false;
    list.element.id = static_cast<uint16_t>(list.element.id & ~kEnterpriseBit);
    list.element.enterprise = load_be32(octets.data());
    octets = octets.subspan(4);
  }
  if (list.element.length == 0) return false;
  list.values = octets;
  list.count = 0;
  Octets value;
  while (!octets.empty()) {
    if (list.count == values_left_ || !next_value(list.element.length, octets, value)) return false;
    ++list.count;
  }
  values_left_ -= list.count;
  return true;
}

bool StructureReader::basic_list(Octets octets, uint32_t depth) noexcept {
  BasicList list;
  if (!read_basic_list(octets, list)) return false;
  const Element e{list.element.enterprise, list.element.id};
  const bool is_as = e.enterprise == 0 && (e.id == kSourceAs || e.id == kDestinationAs);
  const bool is_path = is_as && as_path_.count == 0;
  Octets rest = list.values;
  Octets value;
  while (!rest.empty()) {
    if (!next_value(list.element.length, rest, value)) break;  // never: counted before
    if (!is_as) {
      member(e, value, depth);
    } else if (!is_path || !add_number(value, as_path_)) {
      keep(e, value);  // of another path than the column's
    }
  }
  return true;
}

bool StructureReader::sub_template_list(Octets octets, uint32_t depth) noexcept {
  // 0 semantic   1 template id   3 records
  if (octets.size() < 3 || octets[0] == kNoneOf) return false;
  return records(context_.templates.fields_of(load_be16(octets.data() + 1)), octets.subspan(3),
                 depth);
}

bool StructureReader::sub_template_multi_list(Octets octets, uint32_t depth) noexcept {
  // 0 semantic   then, again and again: 0 template id   2 length with these   4 records
  const Octets semantic = octets.first(1);
  if (semantic[0] == kNoneOf) return false;
  const auto entry_octets = [](Octets rest) -> size_t {
    if (rest.size() < 4) return 0;
    const size_t length = load_be16(rest.data() + 2);
    return length < 4 || length > rest.size() ? 0 : length;
  };
  for (Octets rest = octets.subspan(1); !rest.empty();) {
    const size_t length = entry_octets(rest);
    if (length == 0) return false;
    rest = rest.subspan(length);
  }
  for (Octets rest = octets.subspan(1); !rest.empty();) {
    const Octets entry = rest.first(entry_octets(rest));
    rest = rest.subspan(entry.size());
    if (records(context_.templates.fields_of(load_be16(entry.data())), entry.subspan(4), depth)) {
      continue;
    }
    // Whole as well: the list of that entry alone.
    context_.quirks.note(Quirk::opaque_list);
    keep({0, element::kSubTemplateMultiList}, entry, semantic);
  }
  return true;
}

bool StructureReader::records(std::span<const FieldSpec> fields, Octets octets,
                              uint32_t depth) noexcept {
  if (fields.empty() || fields.size() > kListTemplateFieldsMax) return false;
  uint32_t offsets[kListTemplateFieldsMax];
  uint16_t widths[kListTemplateFieldsMax];
  const auto values = static_cast<uint32_t>(fields.size());
  const auto walk = [&](Octets rest) {
    return walk_fields(fields, rest.data(), static_cast<uint32_t>(rest.size()), {}, offsets,
                       widths);
  };
  uint32_t needed = 0;
  for (Octets rest = octets; !rest.empty();) {
    needed += values;
    if (needed > values_left_) return false;
    const uint32_t n = walk(rest);
    if (n == 0) return false;
    rest = rest.subspan(n);
  }
  values_left_ -= needed;
  for (Octets rest = octets; !rest.empty();) {
    const uint32_t n = walk(rest);
    for (uint32_t i = 0; i < values; ++i) {
      member({fields[i].enterprise, fields[i].id}, rest.subspan(offsets[i], widths[i]), depth);
    }
    rest = rest.subspan(n);
  }
  return true;
}

// ---- Lists of a known meaning ----

/// A basicList of numbers, or of basicLists of numbers, one behind the other.
bool StructureReader::numbers(Octets octets, Numbers& to, uint32_t depth) noexcept {
  BasicList list;
  if (depth > kListDepthMax || !read_basic_list(octets, list)) return false;
  const bool nested = list.element.enterprise == 0 && list.element.id == element::kBasicList;
  const uint32_t before = to.count;
  Octets rest = list.values;
  Octets value;
  while (!rest.empty()) {
    if (!next_value(list.element.length, rest, value)) break;
    if (nested ? numbers(value, to, depth + 1) : add_number(value, to)) continue;
    to.count = before;
    return false;
  }
  return true;
}

bool StructureReader::add_number(Octets value, Numbers& to) noexcept {
  if (value.empty() || value.size() > 8) return false;
  if (to.count == std::size(to.values)) {
    overflow();
  } else {
    to.values[to.count++] = saturated(load_be(value.data(), value.size()));
  }
  return true;
}

bool StructureReader::communities(Octets octets, uint32_t width) noexcept {
  BasicList list;
  if (!read_basic_list(octets, list)) return false;
  const uint32_t before = extended_octets_;
  Octets rest = list.values;
  Octets value;
  while (!rest.empty()) {
    if (!next_value(list.element.length, rest, value)) break;
    if (add_community(value, width)) continue;
    extended_octets_ = before;
    return false;
  }
  return true;
}

bool StructureReader::add_community(Octets value, uint32_t width) noexcept {
  if (value.size() != width) return false;
  if (extended_octets_ + 2 + width > sizeof extended_) {
    overflow();
    return true;
  }
  const auto length = static_cast<uint16_t>(width);
  std::memcpy(extended_ + extended_octets_, &length, 2);
  std::memcpy(extended_ + extended_octets_ + 2, value.data(), width);
  extended_octets_ += 2 + width;
  return true;
}

bool StructureReader::segment_list(Octets octets) noexcept {
  BasicList list;
  if (!read_basic_list(octets, list)) return false;
  return list.element.length == sizeof(IpAddress) && add_segments(list.values);
}

bool StructureReader::add_segments(Octets octets) noexcept {
  if (octets.size() % sizeof(IpAddress) != 0) return false;
  auto count = static_cast<uint32_t>(octets.size() / sizeof(IpAddress));
  if (count > kSegmentsMax - segment_count_) {
    overflow();
    count = static_cast<uint32_t>(kSegmentsMax) - segment_count_;
  }
  std::memcpy(segments_ + segment_count_ * sizeof(IpAddress), octets.data(),
              count * sizeof(IpAddress));
  segment_count_ += count;
  return true;
}

/// RFC 8754 §2.
bool StructureReader::segment_routing_header(Octets octets) noexcept {
  // 0 next header   1 octets / 8 behind the first 8   2 routing type   3 segments left
  // 4 last entry   5 flags   6 tag   8 segment list
  static constexpr uint8_t kSegmentRouting = 4;
  if (segment_count_ != 0) {
    keep({0, element::kSrhIpv6Section}, octets);
    return true;
  }
  if (octets.size() < 8 || octets[2] != kSegmentRouting) return false;
  const size_t listed = std::min<size_t>(size_t{octets[1]} * 8, octets.size() - 8);
  const size_t count = std::min(listed / sizeof(IpAddress), size_t{octets[4]} + 1);
  if (!r_.present.has(Field::ipv6_routing_header_seg_left)) {
    store(Field::ipv6_routing_header_seg_left, octets[3]);
  }
  return add_segments(octets.subspan(8, count * sizeof(IpAddress)));
}

// ---- Sections of packets ----

/// False where the record itself says that the section is no frame's begin, or not Ethernet's.
bool StructureReader::is_whole_frame(uint16_t id) const noexcept {
  using namespace element;
  const auto value = [this](const SectionFact& f) {
    return f.width == 0 ? 0 : load_be(row_.at(f), f.width);
  };
  if (id == kLayer2PacketSection) return value(plan_.layer2_section_offset) == 0;
  if (value(plan_.section_offset) != 0) return false;
  return id != kDataLinkFrameSection || (value(plan_.frame_type) & kFrameType80211) == 0;
}

bool StructureReader::section(uint16_t id, Octets octets) noexcept {
  using namespace element;
  SampledLink link = SampledLink::ethernet;
  if (id == kIpHeaderPacketSection || id == kMplsPayloadPacketSection) {
    link = octets[0] >> 4 == 6 ? SampledLink::ipv6 : SampledLink::ipv4;
  } else if (id == kMplsLabelStackSection) {
    link = SampledLink::mpls;
  }
  packet::SampledHeader header;
  header.layers = 0;
  if (is_whole_frame(id)) packet::parse_sampled_header(octets, link, header);
  if (header.layers == 0) {
    keep({0, id}, octets);
    return true;
  }
  if (link == SampledLink::mpls) {
    header.layers = 0;  // those of the whole packet are another section's to tell
  } else if (!r_.present.has(Field::packets)) {
    store(Field::packets, 1);
  }
  fill_from_header(header, r_, context_.arena, context_.quirks);
  return true;
}

}  // namespace weir::decode
