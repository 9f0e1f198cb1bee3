#include "lab/export_payload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/byte_order.h"

namespace weir::lab {
namespace {

using Span = std::span<const uint8_t>;

constexpr size_t kPayloadOctetsMax = 65'535;
constexpr size_t kV9HeaderOctets = 20;
constexpr size_t kIpfixHeaderOctets = 16;
constexpr size_t kSetHeaderOctets = 4;
constexpr uint32_t kSflowSamplesMax = 10'000;

/// The versions with a count and records of one length. (v1 records come with and without a tail.)
struct FixedVersion {
  uint16_t version;
  uint16_t header_octets;
  uint16_t record_octets;
};
constexpr FixedVersion kFixedVersions[] = {
    {5, 24, 48}, {6, 24, 52}, {7, 24, 52}, {1, 16, 52}, {1, 16, 48}};

bool is_set(Span rest, uint16_t first_template_id, uint16_t last_template_id) noexcept {
  if (rest.size() < kSetHeaderOctets) return false;
  const uint16_t id = load_be16(rest.data());
  const uint16_t length = load_be16(rest.data() + 2);
  const bool known = id >= 256 || (id >= first_template_id && id <= last_template_id);
  return known && length >= kSetHeaderOctets && length <= rest.size();
}

/// v9 has no length. Sets follow each other until a reserved id is really the next one's version.
size_t v9_octets(Span octets) noexcept {
  size_t at = kV9HeaderOctets;
  while (octets.size() - at >= kSetHeaderOctets) {
    const uint16_t id = load_be16(octets.data() + at);
    const uint16_t length = load_be16(octets.data() + at + 2);
    if (id == 5 || id == 9 || id == 10) return at;
    if (length < kSetHeaderOctets || length > octets.size() - at) return octets.size();
    at += length;
  }
  return octets.size();
}

/// Version, agent's address, sub-agent, sequence, uptime, then samples of a type and a length; 0
/// where it is not so.
size_t sflow_octets(Span octets) noexcept {
  if (octets.size() < 28 || load_be32(octets.data()) != 5) return 0;
  const uint32_t address_type = load_be32(octets.data() + 4);
  if (address_type != 1 && address_type != 2) return 0;
  size_t at = 8 + (address_type == 1 ? 4 : 16) + 12;
  if (octets.size() < at + 4) return 0;
  const uint32_t samples = load_be32(octets.data() + at);
  at += 4;
  if (samples > kSflowSamplesMax) return 0;
  for (uint32_t i = 0; i < samples; ++i) {
    if (octets.size() - at < 8) return 0;
    const uint32_t length = load_be32(octets.data() + at + 4);
    if (length > octets.size() - at - 8) return 0;
    at += 8 + length;
  }
  return at;
}

}  // namespace

bool is_export_port(uint16_t port) noexcept {
  constexpr uint16_t kPorts[] = {2055, 2056, 4432, 4739, 6343, 9025, 9026, 9555, 9991, 9995, 9996};
  return std::find(std::begin(kPorts), std::end(kPorts), port) != std::end(kPorts);
}

bool looks_like_export(Span payload) noexcept {
  if (payload.size() < 16) return false;
  const uint16_t version = load_be16(payload.data());
  const uint16_t second = load_be16(payload.data() + 2);  // a count, or IPFIX's length
  if (version == 9) {
    return second != 0 && payload.size() >= kV9HeaderOctets &&
           is_set(payload.subspan(kV9HeaderOctets), 0, 1);
  }
  if (version == 10) {
    return second >= kIpfixHeaderOctets && second <= payload.size() &&
           (payload.size() == kIpfixHeaderOctets ||
            is_set(payload.subspan(kIpfixHeaderOctets), 2, 3));
  }
  for (const FixedVersion& v : kFixedVersions) {
    if (version == v.version && second != 0 &&
        payload.size() == v.header_octets + size_t{second} * v.record_octets) {
      return true;
    }
  }
  return sflow_octets(payload) != 0;
}

size_t first_message_octets(Span octets) noexcept {
  if (octets.size() < 16) return octets.size();
  const uint16_t version = load_be16(octets.data());
  const uint16_t second = load_be16(octets.data() + 2);
  size_t length = octets.size();
  if (version == 9 && octets.size() >= kV9HeaderOctets) {
    length = v9_octets(octets);
  } else if (version == 10) {
    length = std::max<size_t>(second, kIpfixHeaderOctets);
  } else if (version == 5 || version == 6 || version == 7) {
    length = 24 + size_t{second} * (version == 5 ? 48 : 52);
  } else if (const size_t sflow = sflow_octets(octets); sflow != 0) {
    length = sflow;
  }
  return std::min(length, octets.size());
}

uint32_t export_seconds(Span payload) noexcept {
  if (payload.size() < 16) return 0;
  switch (load_be16(payload.data())) {
    case 1:
    case 5:
    case 6:
    case 7:
    case 9: return load_be32(payload.data() + 8);
    case 10: return load_be32(payload.data() + 4);
    default: return 0;
  }
}

bool is_payload_file(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  std::ifstream file(path, std::ios::binary);
  uint8_t octets[16] = {};
  if (!file.read(reinterpret_cast<char*>(octets), sizeof octets)) return false;
  // No capture's magic number begins like this, so nothing more is asked of the message: a damaged
  // one is to be decoded as far as that goes.
  const uint16_t version = load_be16(octets);
  return version == 1 || version == 5 || version == 7 || version == 9 || version == 10 ||
         load_be32(octets) == 5;
}

PayloadReader::PayloadReader(std::string path, std::ifstream file)
    : path_(std::move(path)), file_(std::move(file)), octets_(2 * kPayloadOctetsMax) {}

Result<PayloadReader> PayloadReader::open(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return Error{fmt::format("{}: {}", path, std::strerror(EISDIR))};
  }
  errno = 0;
  std::ifstream file(path == "-" ? "/dev/stdin" : path, std::ios::binary);
  if (!file) return Error{fmt::format("{}: {}", path, std::strerror(errno))};
  return PayloadReader(path, std::move(file));
}

Result<Span> PayloadReader::next() {
  if (end_ - begin_ < kPayloadOctetsMax && file_) {
    std::copy(octets_.begin() + static_cast<ptrdiff_t>(begin_),
              octets_.begin() + static_cast<ptrdiff_t>(end_), octets_.begin());
    end_ -= begin_;
    begin_ = 0;
    file_.read(reinterpret_cast<char*>(octets_.data() + end_),
               static_cast<std::streamsize>(octets_.size() - end_));
    end_ += static_cast<size_t>(file_.gcount());
    if (file_.bad()) return Error{fmt::format("{}: cannot read: {}", path_, std::strerror(errno))};
  }
  const size_t there = std::min(end_ - begin_, kPayloadOctetsMax);
  const Span message = Span(octets_.data() + begin_, there);
  const size_t length = first_message_octets(message);
  begin_ += length;
  return message.first(length);
}

}  // namespace weir::lab
