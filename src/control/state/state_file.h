// state_file.h — What is kept of the decoders over a restart, on disk: one file, there whole or not
// at all.
//
// Runs on:  any thread that may block on files; not the receive path, not the control thread's loop.
// Bounds:   decode::kStateOctetsMax octets of records.
// Failure:  an Error that says what is wrong with the file; nothing of it is used then.
//
//   0  8  WEIRSTAT     8  4  version     12  4  CRC-32C of all that follows
//  16  8  octets of the file     24  8  when it was written, ns since the epoch     32  records
//      (decode/state_image.h); numbers in network order
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::control {

inline constexpr uint32_t kStateVersion = 1;
inline constexpr size_t kStateFileHeaderOctets = 32;

struct StateFile {
  std::vector<uint8_t> records;
  uint64_t written_ns = 0;
};

/// From the octets of a file.
Result<StateFile> parse_state_file(std::span<const uint8_t> octets);
std::vector<uint8_t> state_file_header(std::span<const uint8_t> records, uint64_t written_ns);

/// Nothing where there is no file.
Result<std::optional<StateFile>> read_state_file(const std::string& path);

/// Written beside, flushed to the disk, and renamed: a crash leaves the old file or the new one.
Result<void> write_state_file(const std::string& path, std::span<const uint8_t> records,
                              uint64_t written_ns);

/// Gives a file that cannot be used another name, which it returns: whoever wants may look at it.
Result<std::string> set_state_file_aside(const std::string& path);

}  // namespace weir::control
