// state_image.h — What decoders knew of their exporters when it was last saved: domains, templates,
// sampling rates, and what exporters call things.
//
// Runs on:  made before the receive cores start; immutable, and read by all of them from then on.
// Owns:     the octets and an index of them by exporter.
// Bounds:   kStateOctetsMax octets; each record is checked whole when the image is made.
// Failure:  parse() says what is wrong and where; there is no image then.
//
// An image is records back to back, numbers in network order:
//
//   0  4  octets of the record, this header included     4  1  type     5  1  flags     6  2  zero
//
//   exporter   8 address (16)     24 last seen, ns (8)     32 boot time, ms (8)
//   domain     8 id (4)   12 version (2)   14 sequence unit (1)   15 zero (1)   16 boot time, ms (8)
//              24 sampling rate (8)   32 when it was told, ns (8)
//   template   8 id (2)   10 port of its scope (2)   12 scope fields (2)   14 kind (1)   15 format (1)
//              16 when it was defined, ns (8)   24 fields of 8: enterprise (4), id (2), length (2)
//   rate       8 key (8)   16 sampling rate (8)   24 when it was told, ns (8)     flags: RateKey
//
//   name       8 sampling rate (8)   16 octets of key, name, description (1 each)   19 which are there (1)
//              20 zero (4)   24 key, name, description     flags: NameKind
//
// A name and a domain belong to the exporter before it, a template or rate to the domain before it. The same
// exporter or domain may come again; the first that says something of a template wins.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "decode/exporter_state.h"

namespace weir::decode {

/// A million templates of some fields; the file's bound, too.
inline constexpr uint64_t kStateOctetsMax = 64ull << 20;

enum class StateRecordType : uint8_t {
  exporter = 1,
  domain = 2,
  template_ = 3,
  rate = 4,
  name = 5
};

namespace state_flag {
inline constexpr uint8_t kHasBootTime = 1;  // exporter, domain
inline constexpr uint8_t kIncomplete = 2;   // exporter: its decoder has not taken all of it up yet
inline constexpr uint8_t kSplit = 2;        // domain
inline constexpr uint8_t kExporterAll = 3, kDomainAll = 3;
inline constexpr uint8_t kHasName = 1, kHasDescription = 2;  // octet 19 of a name
}  // namespace state_flag

inline constexpr uint32_t kStateHeaderOctets = 8;
inline constexpr uint32_t kStateExporterOctets = 40;
inline constexpr uint32_t kStateDomainOctets = 40;
inline constexpr uint32_t kStateTemplateOctets = 24;  // without its fields
inline constexpr uint32_t kStateFieldOctets = 8;
inline constexpr uint32_t kStateRateOctets = 32;
inline constexpr uint32_t kStateNameOctets = 24;  // without its texts

/// Room for any template with the records before it.
inline constexpr size_t kStateChunkOctetsMin = 256 * 1024;

/// Where a walk that saves stands. Default: at the beginning.
struct StateCursor {
  uint32_t epoch = 0;
  uint32_t slot = 0;
  bool is_over = false;
};

class StateImage {
 public:
  /// What lies together of one exporter: from `begin` up to another exporter's record, or the end.
  struct Piece {
    IpAddress address;
    uint64_t last_seen_ns;
    uint32_t begin;
    uint32_t end;
    bool incomplete;
  };
  struct Contents {
    uint64_t exporters = 0;
    uint64_t templates = 0;
    uint64_t rates = 0;
    uint64_t names = 0;
  };

  static Result<std::shared_ptr<const StateImage>> parse(std::vector<uint8_t> octets);

  const Contents& contents() const noexcept { return contents_; }
  /// By address; those of one address are in the order in which they were written.
  std::span<const Piece> pieces() const noexcept { return pieces_; }
  /// The first of `address`, as an index of pieces(); pieces().size() if there is none.
  uint32_t find(const IpAddress& address) const noexcept;
  std::span<const uint8_t> octets() const noexcept { return octets_; }
  std::span<const uint8_t> octets(const Piece& piece) const noexcept {
    return octets().subspan(piece.begin, piece.end - piece.begin);
  }

 private:
  std::vector<uint8_t> octets_;
  std::vector<Piece> pieces_;
  Contents contents_;
};

/// One record of an image.
struct StateRecord {
  const uint8_t* p;
  uint32_t octets() const noexcept { return load_be32(p); }
  StateRecordType type() const noexcept { return static_cast<StateRecordType>(p[4]); }
  uint8_t flags() const noexcept { return p[5]; }
  uint8_t u8(size_t at) const noexcept { return p[at]; }
  uint16_t u16(size_t at) const noexcept { return load_be16(p + at); }
  uint32_t u32(size_t at) const noexcept { return load_be32(p + at); }
  uint64_t u64(size_t at) const noexcept { return load_be64(p + at); }
  uint32_t field_count() const noexcept {
    return (octets() - kStateTemplateOctets) / kStateFieldOctets;
  }
  FieldSpec field(uint32_t i) const noexcept {
    const size_t at = kStateTemplateOctets + size_t{i} * kStateFieldOctets;
    return {u32(at), u16(at + 4), u16(at + 6)};
  }
};

/// What a device calls one of its interfaces, VRFs, applications or samplers.
struct StateName {
  NameKind kind = NameKind::interface;
  std::string_view key;  // up to kNameKeyOctetsMax octets
  std::string_view name;
  std::string_view description;  // with the name up to kNameTextOctetsMax
  bool has_name = true;
  bool has_description = true;
  uint64_t rate = 0;
};

/// Writes records into what it was given, and nothing beyond.
class StateWriter {
 public:
  /// `wall_offset_ns`: from the clock that a decoder's state ages by to the wall clock, which an image has.
  explicit StateWriter(std::span<uint8_t> out, uint64_t wall_offset_ns = 0) noexcept
      : out_(out), wall_offset_ns_(wall_offset_ns) {}

  size_t octets() const noexcept { return used_; }
  bool has_room(size_t octets) const noexcept { return out_.size() - used_ >= octets; }

  // The caller has asked has_room.
  void exporter(const Exporter& e, uint8_t flags) noexcept;
  void domain(const Domain& d) noexcept;
  void rate(const KeyedRate& r) noexcept;
  /// `flags`: 0, but in an exporter's detail FuseState.
  void template_(const Template& t, uint8_t flags = 0) noexcept;
  void exporter(const IpAddress& address, uint64_t last_seen_ns) noexcept;
  void name(const StateName& n) noexcept;
  static uint32_t octets_of(const StateName& n) noexcept {
    return kStateNameOctets +
           static_cast<uint32_t>(n.key.size() + n.name.size() + n.description.size());
  }
  static uint32_t octets_of(const Template& t) noexcept {
    return kStateTemplateOctets + static_cast<uint32_t>(t.plan.fields.size()) * kStateFieldOctets;
  }

 private:
  uint8_t* begin(StateRecordType type, uint32_t octets, uint8_t flags) noexcept;
  uint64_t wall(uint64_t aged_ns) const noexcept { return aged_ns != 0 ? aged_ns + wall_offset_ns_ : 0; }

  std::span<uint8_t> out_;
  uint64_t wall_offset_ns_;
  size_t used_ = 0;
};

}  // namespace weir::decode
