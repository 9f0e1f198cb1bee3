// structured_data.h — Elements that hold others: lists, and the octets of packets.
//
// Spec:     RFC 6313 §4.5 (basicList, subTemplateList, subTemplateMultiList); RFC 8549 (BGP
//           communities); RFC 9487 (SRv6); RFC 7133, RFC 5477 (sections of packets).
// Runs on:  the decoder's thread, for records whose template has such elements.
// Bounds:   kListDepthMax, kListValuesMax, kListTemplateFieldsMax; each step consumes an octet.
// Failure:  a list that is malformed, too deep, too long or of an unknown template stays whole, as an
//           element without a column, and counts as opaque_list.
//
// What a list holds fills the columns that the record has not got; the rest of its members become
// unmapped elements of their own numbers.
#pragma once

#include <span>

#include "decode/header_columns.h"
#include "decode/plan.h"

namespace weir::decode {

inline constexpr uint32_t kListDepthMax = 4;      // YAF needs 3
inline constexpr uint32_t kListValuesMax = 1024;  // of all lists of a record
inline constexpr uint32_t kListTemplateFieldsMax = 256;

inline constexpr uint32_t kUnmappedHeaderOctets = 8;  // in the arena: enterprise, id, length

/// What the structured elements of a record of `octets` octets may take of the arena at most, without
/// its unmapped elements.
constexpr uint32_t structure_octets_bound(uint32_t octets) noexcept {
  constexpr uint32_t kTexts = 9 * static_cast<uint32_t>(kStringOctetsMax);
  constexpr uint32_t kNumbers = 4 * static_cast<uint32_t>(kAsPathMax + kCommunitiesMax) +
                                4 * static_cast<uint32_t>(kMplsLabelsMax) + 3 * 4;
  constexpr uint32_t kCommunities = (12 + 2) * static_cast<uint32_t>(kCommunitiesMax);
  constexpr uint32_t kSegments = static_cast<uint32_t>(kSegmentsMax * sizeof(IpAddress));
  constexpr uint32_t kAll = kTexts + kNumbers + kCommunities + kSegments + kHeaderArenaOctetsMax;
  static_assert(kAll < kArenaOctets / 2);
  // No value takes more than four times what it has on the wire, but for alignment.
  const uint32_t by_size = 4 * octets + 3 * 4 + kHeaderArenaOctetsMax;
  return octets < kAll && by_size < kAll ? by_size : kAll;
}

/// Reads the structured elements of one record, in the order of structure_order.
class StructureReader {
 public:
  StructureReader(const Plan& plan, const Row& row, PlanContext& context,
                  FlowRecord& record) noexcept
      : plan_(plan), row_(row), context_(context), r_(record) {}

  void read(uint32_t enterprise, uint16_t id, std::span<const uint8_t> octets) noexcept {
    member({enterprise, id}, octets, 0);
  }
  /// Writes what was gathered. At the end, once.
  void finish() noexcept;
  /// As in the arena.
  std::span<const uint8_t> unmapped() const noexcept { return {unmapped_, unmapped_octets_}; }

 private:
  using Octets = std::span<const uint8_t>;
  struct BasicList {
    FieldSpec element;
    Octets values;
    uint32_t count;
  };
  struct Numbers {
    uint32_t count = 0;
    uint32_t values[kAsPathMax];
  };
  static_assert(kCommunitiesMax <= kAsPathMax && kMplsLabelsMax <= kAsPathMax);
  struct Element {
    uint32_t enterprise;
    uint16_t id;
  };

  void structured(uint16_t id, Octets octets, uint32_t depth) noexcept;
  void member(Element e, Octets value, uint32_t depth) noexcept;

  // Lists of any content; false: they stay whole.
  bool basic_list(Octets octets, uint32_t depth) noexcept;
  bool sub_template_list(Octets octets, uint32_t depth) noexcept;
  bool sub_template_multi_list(Octets octets, uint32_t depth) noexcept;
  bool records(std::span<const FieldSpec> fields, Octets octets, uint32_t depth) noexcept;
  bool read_basic_list(Octets octets, BasicList& list) noexcept;

  // Lists of a known meaning.
  bool numbers(Octets octets, Numbers& to, uint32_t depth) noexcept;
  bool communities(Octets octets, uint32_t width) noexcept;
  bool segment_list(Octets octets) noexcept;
  bool segment_routing_header(Octets octets) noexcept;
  bool section(uint16_t id, Octets octets) noexcept;
  bool is_whole_frame(uint16_t id) const noexcept;

  bool add_number(Octets value, Numbers& to) noexcept;
  bool add_community(Octets value, uint32_t width) noexcept;
  bool add_segments(Octets octets) noexcept;
  bool add_label(Octets value) noexcept;

  // One value into its column, where the record has not got it.
  bool to_column(Element e, Octets value) noexcept;
  bool use_value(const ElementUse& use, Octets value) noexcept;
  void store(Field field, uint64_t value) noexcept;
  bool store_text(Field field, Octets value) noexcept;

  void keep(Element e, Octets value, Octets before = {}) noexcept;
  void overflow() noexcept { context_.quirks.note(Quirk::arena_overflow); }
  void write_numbers(const Numbers& list, Field field) noexcept;
  void write_octets(const uint8_t* octets, uint32_t size, uint32_t count, Field field) noexcept;

  const Plan& plan_;
  const Row& row_;
  PlanContext& context_;
  FlowRecord& r_;
  uint32_t values_left_ = kListValuesMax;
  Presence filled_;  // here
  Numbers as_path_;
  Numbers communities_;
  Numbers labels_;
  bool stack_ended_ = false;
  bool has_yaf_tcp_flags_ = false;
  uint8_t yaf_tcp_flags_ = 0;
  uint32_t segment_count_ = 0;
  uint32_t extended_octets_ = 0;
  uint32_t unmapped_octets_ = 0;
  uint8_t segments_[kSegmentsMax * sizeof(IpAddress)];
  uint8_t extended_[(12 + 2) * kCommunitiesMax];  // each with its length
  uint8_t unmapped_[kUnmappedOctetsMax];
};

}  // namespace weir::decode
