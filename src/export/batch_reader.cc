#include "export/batch_reader.h"

namespace weir::outbound {

bool BatchWalk::next(BatchEntry& entry) noexcept {
  if (rest_.size() < 2 || rest_[0] != 0x0a) return false;
  // Five octets of length are more than any batch has.
  constexpr size_t kLengthOctetsMax = 5;
  uint64_t length = 0;
  size_t at = 1;
  for (unsigned shift = 0;; shift += 7) {
    if (at == rest_.size() || at > kLengthOctetsMax) return false;
    const uint8_t octet = rest_[at++];
    length |= uint64_t{octet & 0x7fu} << shift;
    if (octet < 0x80) break;
  }
  if (length > rest_.size() - at) return false;
  const auto message_octets = static_cast<size_t>(length);
  entry.framed = rest_.first(at + message_octets);
  entry.message = rest_.subspan(at, message_octets);
  rest_ = rest_.subspan(at + message_octets);
  return true;
}

}  // namespace weir::outbound
