// message_framer.h — The IPFIX Messages of a stream of octets.
//
// Spec:     RFC 7011 §3.1 (the length in the Message Header), §10.4.2 (a TCP connection carries nothing else).
// Runs on:  any thread; one framer a stream.
// Bounds:   kMessageOctetsMax octets are held, what one message may have. An octet is copied once at most, however the
//           stream is cut, and not at all where its message came as a whole.
// Failure:  a header that makes no sense: from there on nobody knows where messages begin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::decode {

inline constexpr size_t kIpfixHeaderOctets = 16;

class MessageFramer {
 public:
  static constexpr size_t kMessageOctetsMax = 65'535;

  enum class Step : uint8_t {
    message,
    wait,       // for more octets
    malformed,  // not version 10, or too short for its own header; `message` is what is there from it on
  };

  MessageFramer() = default;
  /// `room`: kMessageOctetsMax octets, which outlive the framer.
  explicit MessageFramer(uint8_t* room) noexcept : room_(room) {}

  /// Takes one message, or what there is of it, off `octets`. `message` is valid until the next call, and as long as what
  /// was given.
  Step next(std::span<const uint8_t>& octets, std::span<const uint8_t>& message) noexcept;

  /// What waits for the rest of its message.
  std::span<const uint8_t> held() const noexcept { return {room_, held_}; }

 private:
  static constexpr size_t kHeadOctets = 4;  // version and length

  Step next_held(std::span<const uint8_t>& octets, std::span<const uint8_t>& message) noexcept;
  void hold(std::span<const uint8_t>& octets, size_t count) noexcept;

  uint8_t* room_ = nullptr;
  size_t held_ = 0;
};

}  // namespace weir::decode
