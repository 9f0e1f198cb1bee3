// record_maker.h — FlowRecords with random, zero and edge values in every field, and what
// protobuf's own classes make of them.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "flow.pb.h"
#include "flow/export_header.h"
#include "flow/flow_record.h"

namespace weir::outbound::testing {

struct Unmapped {
  uint32_t enterprise;
  uint16_t id;
  std::string value;
};

/// An arena that is filled from the start; what does not fit is left out (an empty reference).
class ArenaWriter {
 public:
  const uint8_t* data() const { return octets_.data(); }

  ArenaRef octets(std::string_view text) { return append(text, text.size()); }
  ArenaRef numbers(std::span<const uint32_t> values) {
    return append({reinterpret_cast<const char*>(values.data()), values.size_bytes()},
                  values.size());
  }
  ArenaRef addresses(std::span<const IpAddress> values) {
    return append({reinterpret_cast<const char*>(values.data()), values.size_bytes()},
                  values.size());
  }
  ArenaRef strings(std::span<const std::string> values) {
    std::string all;
    for (const std::string& v : values) {
      append_integer(all, static_cast<uint16_t>(v.size()));
      all += v;
    }
    return append(all, all.size());
  }
  ArenaRef unmapped(std::span<const Unmapped> elements) {
    std::string all;
    for (const Unmapped& e : elements) {
      append_integer(all, e.enterprise);
      append_integer(all, e.id);
      append_integer(all, static_cast<uint16_t>(e.value.size()));
      all += e.value;
    }
    return append(all, all.size());
  }

 private:
  template <class Integer>
  static void append_integer(std::string& out, Integer v) {
    out.append(reinterpret_cast<const char*>(&v), sizeof v);
  }
  ArenaRef append(std::string_view octets, size_t count) {
    if (octets.empty() || octets.size() > kArenaOctets - used_) return {};
    std::memcpy(octets_.data() + used_, octets.data(), octets.size());
    const ArenaRef ref{static_cast<uint16_t>(used_), static_cast<uint16_t>(count)};
    used_ += octets.size();
    return ref;
  }

  std::vector<uint8_t> octets_ = std::vector<uint8_t>(kArenaOctets + kStageArenaOctets);  // on the heap: ASan guards it
  size_t used_ = 0;
};

enum class Arena : uint8_t { none, some };

class RecordMaker {
 public:
  explicit RecordMaker(uint64_t seed) : random_(seed) {}

  uint64_t below(uint64_t n) { return random_() % n; }
  bool one_in(uint64_t n) { return below(n) == 0; }

  /// Zero, an edge of a varint's length, all ones, or anything of a random width; of `bits` bits.
  uint64_t number(unsigned bits) {
    const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    switch (below(4)) {
      case 0: return 0;
      case 1: {
        const uint64_t edge = uint64_t{1} << (7 * below(10)) % 64;
        return (edge + below(3) - 1) & mask;
      }
      case 2: return one_in(4) ? mask : below(300) & mask;
      default: return random_() >> below(64) & mask;
    }
  }

  IpAddress address() {
    IpAddress a;
    if (one_in(8)) return one_in(2) ? a : IpAddress::from_v4(0u);
    if (one_in(2)) return IpAddress::from_v4(static_cast<uint32_t>(random_()));
    for (uint8_t& o : a.octets) o = static_cast<uint8_t>(random_());
    // Nearly mapped addresses are the ones that a careless test takes for IPv4.
    if (one_in(4)) {
      a = IpAddress::from_v4(static_cast<uint32_t>(random_()));
      a.octets[below(12)] ^= static_cast<uint8_t>(1 + below(255));
    }
    return a;
  }

  std::string text(size_t octets_max) {
    static constexpr std::string_view kPieces[] = {"a", "Z", "-", " ", "é", "流", "🌊", "\"", "\n"};
    std::string s;
    const size_t octets = below(octets_max);
    while (s.size() + 4 <= octets) s += kPieces[below(std::size(kPieces))];
    return s;
  }

  std::string any_octets(size_t octets_max) {
    std::string s(below(octets_max), '\0');
    for (char& c : s) c = static_cast<char>(random_());
    return s;
  }

  /// Every field may be set; `blocks`, `addresses` and `arena_parts` are as tight as a decoder makes
  /// them.
  FlowRecord record(ArenaWriter& arena, Arena with_arena) {
    FlowRecord r{};
#define WEIR_SET64_(member, field) r.member = number(64);
#define WEIR_SET32_(member, field) r.member = static_cast<uint32_t>(number(32));
    WEIR_BLOCK_COUNTERS(WEIR_SET64_)
    if (one_in(2)) {  // all of them small, which is what the quick way takes
#define WEIR_SMALL_(member, field) r.member &= (uint64_t{1} << 42) - 1;
      WEIR_BLOCK_COUNTERS(WEIR_SMALL_)
#undef WEIR_SMALL_
    }
#define WEIR_BLOCK_(BIT, LIST) \
  if (one_in(2)) {             \
    LIST(WEIR_SET32_)          \
    r.blocks |= block::BIT;    \
  }
    WEIR_BLOCK_(kBasic, WEIR_BLOCK_BASIC)
    WEIR_BLOCK_(kSecond, WEIR_BLOCK_SECOND)
    WEIR_BLOCK_(kHeaders, WEIR_BLOCK_HEADERS)
    WEIR_BLOCK_(kContext, WEIR_BLOCK_CONTEXT)
    WEIR_BLOCK_(kNat, WEIR_BLOCK_NAT)
    WEIR_BLOCK_(kRare, WEIR_BLOCK_RARE)
    // Enumerations; protobuf writes those of 32 bits as negative numbers, which no enumerator is.
    r.sampling_source &= 0x7fffffff;
    r.time_source &= 0x7fffffff;
#undef WEIR_BLOCK_
#undef WEIR_SET64_
#undef WEIR_SET32_
    if (one_in(2)) {
      r.time_flow_start_ns = 1'755'245'595'022'470'127 + number(50);
      r.time_flow_end_ns = 1'755'245'595'022'470'127 + number(50);
    } else {
      r.time_flow_start_ns = number(64);
      r.time_flow_end_ns = number(64);
    }
    if (one_in(2)) {
      r.src_mac = number(48);
      r.dst_mac = number(48);
    }
    static constexpr uint32_t kEtypes[] = {0x0800, 0x86dd, 0x0806, 0, 0xffff, 0xffffffff};
    r.etype = kEtypes[one_in(4) ? below(std::size(kEtypes)) : below(2)];
    r.proto = static_cast<uint16_t>(one_in(8) ? number(16) : below(256));
    if (r.proto != 0 || one_in(2)) r.present.set(Field::proto);
    r.addresses = static_cast<uint8_t>(random_());
#define WEIR_ADDRESS_(member, field) \
  if ((r.addresses & address::bit(address::k_##member)) != 0) r.member = address();
    WEIR_ADDRESSES(WEIR_ADDRESS_)
#undef WEIR_ADDRESS_
    if (with_arena == Arena::some) fill_arena_fields(r, arena);
    return r;
  }

  ExportHeader header() {
    ExportHeader h;
    static constexpr FlowType kTypes[] = {FlowType::unknown, FlowType::netflow_v5, FlowType::ipfix,
                                          FlowType::sflow_4};
    h.type = kTypes[below(std::size(kTypes))];
    h.sequence_num = static_cast<uint32_t>(number(32));
    h.time_received_ns = one_in(2) ? 1'755'636'366'839'794'752 : number(64);
    h.sampler_address = address();
    h.exporter_address = one_in(2) ? h.sampler_address : address();
    h.exporter_port = static_cast<uint32_t>(number(16));
    h.observation_domain_id = static_cast<uint32_t>(number(32));
    h.engine = static_cast<uint32_t>(number(16));
    h.sub_agent_id = static_cast<uint32_t>(number(32));
    return h;
  }

 private:
  void fill_arena_fields(FlowRecord& r, ArenaWriter& arena) {
    const uint64_t kinds = below(32);  // all of them seldom, none sometimes
    if ((kinds & arena_part::kStrings) != 0) fill_strings(r, arena);
    if ((kinds & arena_part::kNumberLists) != 0) fill_number_lists(r, arena);
    if ((kinds & arena_part::kAddressLists) != 0) fill_address_lists(r, arena);
    if ((kinds & arena_part::kStringLists) != 0) fill_string_lists(r, arena);
    if ((kinds & arena_part::kUnmapped) != 0) {
      std::vector<Unmapped> elements(below(5));
      for (Unmapped& e : elements) {
        e = {static_cast<uint32_t>(number(32)), static_cast<uint16_t>(number(16)),
             any_octets(one_in(4) ? 200 : 9)};
      }
      r.unmapped = arena.unmapped(elements);
    }
    const auto* refs = &r.application_id;
    for (const auto* ref = refs; ref <= &r.unmapped; ++ref) {
      if (ref->count != 0) r.arena_parts |= arena_part_of(r, *ref);
    }
  }

  void fill_strings(FlowRecord& r, ArenaWriter& arena) {
#define WEIR_STRING_(member, field)                                                           \
  if (one_in(2)) {                                                                            \
    r.member = arena.octets(Field::member == Field::application_id ? any_octets(12)           \
                                                                   : text(kStringOctetsMax)); \
  }
    WEIR_STRINGS(WEIR_STRING_)
#undef WEIR_STRING_
  }

  void fill_number_lists(FlowRecord& r, ArenaWriter& arena) {
    const unsigned bits_max = one_in(2) ? 7 : 32;  // all of them an octet each, as layers are
    const auto numbers = [&](size_t max, unsigned bits = 32) {
      bits = std::min(bits, bits_max);
      std::vector<uint32_t> values(below(max + 1));
      for (uint32_t& v : values) v = static_cast<uint32_t>(number(bits));
      return arena.numbers(values);
    };
    if (one_in(2)) r.bgp_communities = numbers(kCommunitiesMax);
    if (one_in(2)) r.as_path = numbers(kAsPathMax);
    if (one_in(2)) r.mpls_ttl = numbers(kMplsLabelsMax);
    if (one_in(2)) r.mpls_label = numbers(kMplsLabelsMax);
    if (one_in(2)) r.layer_stack = numbers(kLayersMax, 31);
    if (one_in(2)) r.layer_size = numbers(kLayersMax);
  }

  void fill_address_lists(FlowRecord& r, ArenaWriter& arena) {
#define WEIR_LIST_(member, field)                             \
  if (one_in(2)) {                                            \
    std::vector<IpAddress> values(below(kMplsLabelsMax + 1)); \
    for (IpAddress & v : values) v = address();               \
    r.member = arena.addresses(values);                       \
  }
    WEIR_ADDRESS_LISTS(WEIR_LIST_)
#undef WEIR_LIST_
  }

  void fill_string_lists(FlowRecord& r, ArenaWriter& arena) {
    const auto strings = [&](auto make) {
      std::vector<std::string> values(below(kLabelsMax + 1));
      for (std::string& v : values) v = make();
      return arena.strings(values);
    };
    if (one_in(2)) r.labels = strings([&] { return text(40); });
    if (one_in(2)) r.rule_ids = strings([&] { return text(160); });
    if (one_in(2)) r.bgp_extended_communities = strings([&] { return any_octets(13); });
  }

  std::mt19937_64 random_;
};

inline std::string wire_form(const IpAddress& a) {
  return {reinterpret_cast<const char*>(a.wire_data()), a.wire_octets()};
}

/// The message that a record means, set field by field through protobuf's generated classes. Field
/// names stand in the lists of flow_record.h; each must be a field of the message for this to
/// compile.
inline flowpb::FlowMessage message_of(const ExportHeader& h, const FlowRecord& r,
                                      const uint8_t* arena, std::string_view protocol_name) {
  flowpb::FlowMessage m;
  m.set_type(static_cast<flowpb::FlowType>(h.type));
  m.set_sequence_num(h.sequence_num);
  m.set_time_received_ns(h.time_received_ns);
  const IpAddress none;
  if (h.sampler_address != none) m.set_sampler_address(wire_form(h.sampler_address));
  if (h.exporter_address != none && h.exporter_address != h.sampler_address) {
    m.set_exporter_address(wire_form(h.exporter_address));
  }
  m.set_exporter_port(h.exporter_port);
  m.set_observation_domain_id(h.observation_domain_id);
  m.set_engine(h.engine);
  m.set_sub_agent_id(h.sub_agent_id);
  m.set_partition(std::string(h.partition));
  m.set_site(std::string(h.site));

  m.set_time_flow_start_ns(r.time_flow_start_ns);
  m.set_time_flow_end_ns(r.time_flow_end_ns);
  m.set_src_mac(r.src_mac);
  m.set_dst_mac(r.dst_mac);
  m.set_etype(r.etype);
  m.set_proto(r.proto);
  m.set_protocol_name(std::string(protocol_name));

#define WEIR_SET_(member, field) m.set_##member(static_cast<decltype(m.member())>(r.member));
  WEIR_BLOCK_COUNTERS(WEIR_SET_)
  WEIR_BLOCK_BASIC(WEIR_SET_)
  WEIR_BLOCK_SECOND(WEIR_SET_)
  WEIR_BLOCK_HEADERS(WEIR_SET_)
  WEIR_BLOCK_CONTEXT(WEIR_SET_)
  WEIR_BLOCK_NAT(WEIR_SET_)
  WEIR_BLOCK_RARE(WEIR_SET_)
#undef WEIR_SET_
#define WEIR_SET_(member, field) \
  if ((r.addresses & address::bit(address::k_##member)) != 0) m.set_##member(wire_form(r.member));
  WEIR_ADDRESSES(WEIR_SET_)
#undef WEIR_SET_
  if (r.arena_parts == 0) return m;

  const auto* at = reinterpret_cast<const char*>(arena);
#define WEIR_SET_(member, field) m.set_##member(std::string(at + r.member.offset, r.member.count));
  WEIR_STRINGS(WEIR_SET_)
#undef WEIR_SET_
#define WEIR_SET_(member, field)                           \
  for (size_t i = 0; i < r.member.count; ++i) {            \
    uint32_t v;                                            \
    std::memcpy(&v, at + r.member.offset + 4 * i, 4);      \
    m.add_##member(static_cast<decltype(m.member(0))>(v)); \
  }
  WEIR_NUMBER_LISTS(WEIR_SET_)
#undef WEIR_SET_
#define WEIR_SET_(member, field)                        \
  for (size_t i = 0; i < r.member.count; ++i) {         \
    IpAddress v;                                        \
    std::memcpy(&v, at + r.member.offset + 16 * i, 16); \
    m.add_##member(wire_form(v));                       \
  }
  WEIR_ADDRESS_LISTS(WEIR_SET_)
#undef WEIR_SET_
#define WEIR_SET_(member, field)                                       \
  for (size_t i = 0; i < r.member.count;) {                            \
    uint16_t octets;                                                   \
    std::memcpy(&octets, at + r.member.offset + i, 2);                 \
    m.add_##member(std::string(at + r.member.offset + i + 2, octets)); \
    i += 2u + octets;                                                  \
  }
  WEIR_STRING_LISTS(WEIR_SET_)
#undef WEIR_SET_
  for (size_t i = 0; i < r.unmapped.count;) {
    const char* e = at + r.unmapped.offset + i;
    uint32_t enterprise;
    uint16_t id, octets;
    std::memcpy(&enterprise, e, 4);
    std::memcpy(&id, e + 4, 2);
    std::memcpy(&octets, e + 6, 2);
    auto* element = m.add_unmapped();
    element->set_enterprise(enterprise);
    element->set_id(id);
    element->set_value(std::string(e + 8, octets));
    i += 8u + octets;
  }
  return m;
}

}  // namespace weir::outbound::testing
