// sflow_filler.h — The flow records of one sFlow sample → the columns of one FlowRecord.
//
// Spec:     docs/FLOW_MESSAGE.md, section sFlow: what fills which column, and which source wins.
// Runs on:  rx_lcore. A sample's own: made and gone with it.
// Bounds:   kSflowRecordsMax; what has no column takes at most kUnmappedOctetsMax octets in all.
// Failure:  a flow record that makes no sense is counted as a quirk; its siblings are kept.
//
// sflow_packet.cc has the packet itself, sflow_extended.cc what the device knew of it.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/xdr.h"
#include "decode/sflow_v5.h"
#include "packet/sampled_header.h"

namespace weir::decode {

/// enterprise << 12 | format.
enum SflowRecordType : uint32_t {
  kRawHeader = 1,
  kSampledEthernet = 2,
  kSampledIpv4 = 3,
  kSampledIpv6 = 4,
  kExtendedSwitch = 1001,
  kExtendedRouter = 1002,
  kExtendedGateway = 1003,
  kExtendedUser = 1004,
  kExtendedUrl = 1005,
  kExtendedMpls = 1006,
  kExtendedNat = 1007,
  kExtendedVlanTunnel = 1012,
  kExtendedNatPort = 1020,
  kSocketIpv4 = 2100,
  kSocketIpv6 = 2101,
};

inline constexpr uint32_t kSflowFormatBits = 12;
inline constexpr uint32_t kSflowFormatMask = (1u << kSflowFormatBits) - 1;

/// A flow record as it came. No default initialisers: there are many places and few records.
struct SflowPart {
  uint32_t type;
  uint32_t octets;
  const uint8_t* data;

  std::span<const uint8_t> body() const noexcept { return {data, octets}; }
};

/// The kinds of flow records that have columns, in the order in which they fill them.
enum class SflowKind : uint8_t {
  raw_header,
  ipv4,
  ipv6,
  ethernet,
  vlan,
  router,
  gateway,
  user,
  url,
  mpls,
  nat,
  nat_port,
  vlan_tunnel,
  socket_v4,
  socket_v6,
  count_,  // none of them
};

constexpr SflowKind sflow_kind(uint32_t type) noexcept {
  switch (type) {
    case kRawHeader: return SflowKind::raw_header;
    case kSampledEthernet: return SflowKind::ethernet;
    case kSampledIpv4: return SflowKind::ipv4;
    case kSampledIpv6: return SflowKind::ipv6;
    case kExtendedSwitch: return SflowKind::vlan;
    case kExtendedRouter: return SflowKind::router;
    case kExtendedGateway: return SflowKind::gateway;
    case kExtendedUser: return SflowKind::user;
    case kExtendedUrl: return SflowKind::url;
    case kExtendedMpls: return SflowKind::mpls;
    case kExtendedNat: return SflowKind::nat;
    case kExtendedVlanTunnel: return SflowKind::vlan_tunnel;
    case kExtendedNatPort: return SflowKind::nat_port;
    case kSocketIpv4: return SflowKind::socket_v4;
    case kSocketIpv6: return SflowKind::socket_v6;
    default: return SflowKind::count_;
  }
}

/// The first flow record of each kind that a sample holds.
class SflowParts {
 public:
  /// False where there is one already.
  bool add(SflowKind kind, std::span<const uint8_t> body) noexcept {
    const uint32_t bit = 1u << static_cast<unsigned>(kind);
    if ((found_ & bit) != 0) return false;
    found_ |= bit;
    parts_[static_cast<size_t>(kind)] = {0, static_cast<uint32_t>(body.size()), body.data()};
    return true;
  }
  /// A bit a kind.
  uint32_t found() const noexcept { return found_; }
  std::span<const uint8_t> body(SflowKind kind) const noexcept {
    return parts_[static_cast<size_t>(kind)].body();
  }

 private:
  uint32_t found_ = 0;
  std::array<SflowPart, static_cast<size_t>(SflowKind::count_)> parts_;
};

class SflowFiller {
 public:
  using Octets = std::span<const uint8_t>;

  SflowFiller(const SampleContext& context, FlowRecord& record) noexcept
      : context_(context), r_(record) {}

  void fill(const SflowParts& parts) noexcept;

  /// The record travels as it came: some of it has no column.
  void keep(uint32_t type, Octets body) noexcept {
    if (kept_count_ < kept_.size()) {
      kept_[kept_count_++] = {type, static_cast<uint32_t>(body.size()), body.data()};
    } else {
      quirk(Quirk::arena_overflow);
    }
  }
  /// Last of all: what is kept goes into the arena, one behind the other.
  void write_kept() noexcept {
    if (kept_count_ != 0) write_all_kept();
  }

 private:
  void quirk(Quirk q) noexcept { context_.quirks.note(q); }
  void check(const XdrReader& in) noexcept {
    if (!in.ok()) quirk(Quirk::truncated_record);
  }

  template <class Column>
  void set(Column& column, uint32_t value, Field field, uint8_t blocks = 0) noexcept {
    column = static_cast<Column>(value);
    r_.blocks |= blocks;
    r_.present.set(field);
  }
  void set_address(IpAddress& column, const IpAddress& value, Field field,
                   address::Index index) noexcept {
    column = value;
    r_.addresses |= address::bit(index);
    r_.present.set(field);
  }
  void set_address(IpAddress& column, const XdrReader::Address& value, Field field,
                   address::Index index) noexcept {
    if (value.known) set_address(column, value.value, field, index);
  }
  void set_bytes(uint32_t value) noexcept {
    if (r_.present.has(Field::bytes)) return;
    r_.bytes = value;
    r_.present.set(Field::bytes);
  }
  void set_macs(const uint8_t* src, const uint8_t* dst) noexcept {
    r_.src_mac = load_be48(src);
    r_.dst_mac = load_be48(dst);
    r_.present.set(Field::src_mac);
    r_.present.set(Field::dst_mac);
  }

  uint8_t* place(ArenaRef& ref, size_t octets, size_t count, Field field) noexcept {
    const uint32_t at = context_.arena.used();
    uint8_t* p = context_.arena.take(static_cast<uint32_t>(octets));
    if (p == nullptr) {
      quirk(Quirk::arena_overflow);
      return nullptr;
    }
    ref = {static_cast<uint16_t>(at), static_cast<uint16_t>(count)};
    r_.arena_parts |= arena_part_of(r_, ref);
    r_.present.set(field);
    return p;
  }
  void set_numbers(ArenaRef& ref, const uint32_t* numbers, size_t count, Field field) noexcept {
    if (count == 0) return;
    context_.arena.align4();
    const size_t octets = count * sizeof(uint32_t);
    if (uint8_t* p = place(ref, octets, count, field); p != nullptr) {
      std::memcpy(p, numbers, octets);
    }
  }
  void set_text(ArenaRef& ref, Octets text, Field field) noexcept;
  void write_all_kept() noexcept;

  // sflow_packet.cc
  void raw_header(Octets body) noexcept;
  void sampled_ip(Octets body, uint32_t type) noexcept;
  void sampled_ethernet(Octets body) noexcept;
  void socket(Octets body, uint32_t type) noexcept;

  // sflow_extended.cc
  void extended_switch(Octets body) noexcept;
  void extended_router(Octets body) noexcept;
  void extended_gateway(Octets body) noexcept;
  void extended_user(Octets body) noexcept;
  void extended_url(Octets body) noexcept;
  void extended_mpls(Octets body) noexcept;
  void extended_nat(Octets body) noexcept;
  void extended_nat_port(Octets body) noexcept;
  void extended_vlan_tunnel(Octets body) noexcept;

  const SampleContext& context_;
  FlowRecord& r_;
  size_t kept_count_ = 0;
  std::array<SflowPart, kSflowRecordsMax + 1> kept_;  // and the output interface
};

}  // namespace weir::decode
