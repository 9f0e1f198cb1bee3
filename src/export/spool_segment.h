// spool_segment.h — One file of the spool: entries one behind the other, each with its checksum.
//
// Runs on:  whoever owns the spool.
// Bounds:   an entry takes at most kSpoolEntryOctetsMax octets.
// Failure:  an entry that was cut or changed, and all behind it in that file, is damaged: nothing says
//           where the next one begins. What is before it is whole.
//
//   file    0 `WEIRSPOL` (8)   8 version (4)   12 zero (4)   16 entries
//   entry   0 octets in all (4)   4 CRC-32C of what follows (4)   8 records (4)   12 kind (1)
//           13 octets of id (1)   14 octets of subject (2)   16 when it was sealed, ns since the epoch (8)
//           24 id, subject, payload
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "export/outbound_batch.h"

namespace weir::outbound {

inline constexpr uint32_t kSpoolVersion = 1;
inline constexpr uint32_t kSpoolFileHeaderOctets = 16;
inline constexpr uint32_t kSpoolEntryHeaderOctets = 24;
inline constexpr uint32_t kSpoolEntryOctetsMax = 64u << 20;

/// A sealed batch with all that publishing it takes.
struct SpoolEntry {
  std::string_view id;  // of its message, up to 255 octets
  std::string_view subject;
  RecordKind kind = RecordKind::flow;
  uint32_t records = 0;
  uint64_t sealed_wall_ns = 0;
  std::span<const uint8_t> payload;

  uint64_t octets() const noexcept {
    return uint64_t{kSpoolEntryHeaderOctets} + id.size() + subject.size() + payload.size();
  }
};

/// Fills `header` for `entry`, which is within the bounds.
void write_spool_header(const SpoolEntry& entry,
                        std::span<uint8_t, kSpoolEntryHeaderOctets> header);

/// What the header of an entry says of its length and records; nothing where it cannot be one.
struct SpoolEntrySize {
  uint32_t octets = 0;
  uint32_t records = 0;
};
std::optional<SpoolEntrySize> spool_entry_size(std::span<const uint8_t> header) noexcept;

/// The entry that `octets` are, whole; nothing where they are damaged. Its views point into them.
std::optional<SpoolEntry> parse_spool_entry(std::span<const uint8_t> octets) noexcept;

/// A file of the spool, to append to and to read from.
class SpoolSegment {
 public:
  enum class Check : uint8_t { headers, checksums };
  /// What a segment holds from some place on, up to what is damaged.
  struct Contents {
    uint64_t entries = 0;
    uint64_t records = 0;
    uint64_t octets = 0;          // of the entries
    uint64_t damaged_octets = 0;  // behind them
  };

  static Result<SpoolSegment> create(const std::string& path);
  static Result<SpoolSegment> open(const std::string& path);
  SpoolSegment(SpoolSegment&& other) noexcept;
  SpoolSegment& operator=(SpoolSegment&& other) noexcept;
  ~SpoolSegment();

  const std::string& path() const noexcept { return path_; }
  uint64_t octets() const noexcept { return octets_; }

  /// Looks through the entries from `offset` on, and takes the segment to end behind the last whole one.
  Result<Contents> look_through(uint64_t offset, Check check);

  /// False where the disk takes no more of it, or nothing: then the segment ends where it did, and
  /// errno says why.
  [[nodiscard]] bool append(const SpoolEntry& entry) noexcept;
  [[nodiscard]] bool sync() noexcept;

  /// The octets of the entry at `offset`, into `room`; nothing at the end, or where they are damaged
  /// (the segment then ends there).
  std::optional<SpoolEntry> read(uint64_t offset, std::vector<uint8_t>& room);

 private:
  SpoolSegment(std::string path, int fd, uint64_t octets) noexcept;

  std::string path_;
  int fd_ = -1;
  uint64_t octets_ = 0;  // that are whole entries, with the file's header
};

}  // namespace weir::outbound
