#include "decode/message_framer.h"

#include <algorithm>
#include <cstring>

#include "base/byte_order.h"

namespace weir::decode {
namespace {

constexpr uint16_t kVersion = 10;

/// Octets of the message that begins here; 0: none can.
size_t octets_of_message(const uint8_t* head) noexcept {
  const size_t octets = load_be16(head + 2);
  return load_be16(head) == kVersion && octets >= kIpfixHeaderOctets ? octets : 0;
}

}  // namespace

/// Moves so many to those that are held.
void MessageFramer::hold(std::span<const uint8_t>& octets, size_t count) noexcept {
  std::memcpy(room_ + held_, octets.data(), count);
  held_ += count;
  octets = octets.subspan(count);
}

MessageFramer::Step MessageFramer::next(std::span<const uint8_t>& octets, std::span<const uint8_t>& message) noexcept {
  if (octets.empty()) return Step::wait;
  if (held_ != 0) return next_held(octets, message);
  if (octets.size() >= kHeadOctets) {
    const size_t length = octets_of_message(octets.data());
    if (length == 0) {
      message = octets;
      return Step::malformed;
    }
    if (length <= octets.size()) {
      message = octets.first(length);
      octets = octets.subspan(length);
      return Step::message;
    }
  }
  hold(octets, octets.size());
  return Step::wait;
}

MessageFramer::Step MessageFramer::next_held(std::span<const uint8_t>& octets,
                                             std::span<const uint8_t>& message) noexcept {
  if (held_ < kHeadOctets) {
    hold(octets, std::min(kHeadOctets - held_, octets.size()));
    if (held_ < kHeadOctets) return Step::wait;
  }
  const size_t length = octets_of_message(room_);
  if (length == 0) {
    message = {room_, held_};
    held_ = 0;
    return Step::malformed;
  }
  hold(octets, std::min(length - held_, octets.size()));
  if (held_ < length) return Step::wait;
  message = {room_, length};
  held_ = 0;
  return Step::message;
}

}  // namespace weir::decode
