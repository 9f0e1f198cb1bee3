// export_payload.h — Telling export datagrams from other octets, and one from the next.
//
// For captures and files of payloads only: a listener knows by its configuration what it listens
// to.
//
// Spec:     RFC 5655 (IPFIX files: messages back to back).
#pragma once

#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::lab {

/// Whether exporters commonly send to this port: NetFlow, IPFIX or sFlow.
bool is_export_port(uint16_t port) noexcept;

/// Whether a datagram's version, counts and lengths are those of NetFlow v1 to v9, IPFIX or sFlow.
bool looks_like_export(std::span<const uint8_t> payload) noexcept;

/// Whether a file begins with an export message rather than with a capture's header: IPFIX files
/// (RFC 5655), or UDP payloads back to back. False where it cannot be read.
bool is_payload_file(const std::string& path);

/// Octets of the first of several export messages back to back; all that is there where it cannot
/// be told. Not 0 unless `octets` is empty.
size_t first_message_octets(std::span<const uint8_t> octets) noexcept;

/// Seconds since the epoch that a message says it was made; 0 where it does not say.
uint32_t export_seconds(std::span<const uint8_t> payload) noexcept;

/// Messages of a file that holds UDP payloads back to back, without any frame around them.
///
/// Bounds:   twice the longest UDP payload in memory.
class PayloadReader {
 public:
  static Result<PayloadReader> open(const std::string& path);

  /// The next message, valid until the next call; empty at the end of the file.
  Result<std::span<const uint8_t>> next();

 private:
  PayloadReader(std::string path, std::ifstream file);

  std::string path_;
  std::ifstream file_;
  std::vector<uint8_t> octets_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace weir::lab
