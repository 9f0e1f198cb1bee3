// framer_oracle.h — A stream of octets is the same messages however it is cut.
//
// Oracle: the messages, what waits at the end, and where the stream makes no sense are as a reader finds them that sees
// all octets at once; the framer keeps to its room.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "decode/message_framer.h"
#include "fuzz/oracle_sink.h"

namespace weir::decode {

class FramerOracle {
 public:
  /// The first octet says how it is cut.
  void check(const uint8_t* data, size_t size) {
    if (size == 0) return;
    const std::span<const uint8_t> stream(data + 1, size - 1);
    const Whole whole = read_whole(stream);
    check_cut(stream, whole, data[0]);
    check_cut(stream, whole, 0);
  }

  /// `cut`: 0: octet by octet; else so many at most, as a generator says that begins with it.
  void check_cut(std::span<const uint8_t> stream, uint8_t cut) { check_cut(stream, read_whole(stream), cut); }

 private:
  struct Whole {
    std::vector<std::span<const uint8_t>> messages;
    size_t end = 0;             // of the last of them
    bool is_malformed = false;  // there
  };

  static Whole read_whole(std::span<const uint8_t> stream) {
    Whole whole;
    while (stream.size() - whole.end >= 4) {
      const uint8_t* head = stream.data() + whole.end;
      const size_t length = static_cast<size_t>(head[2]) << 8 | head[3];
      if (head[0] != 0 || head[1] != 10 || length < 16) {
        whole.is_malformed = true;
        break;
      }
      if (length > stream.size() - whole.end) break;
      whole.messages.push_back(stream.subspan(whole.end, length));
      whole.end += length;
    }
    return whole;
  }

  void check_cut(std::span<const uint8_t> stream, const Whole& whole, uint8_t cut) {
    using Step = MessageFramer::Step;
    std::fill_n(room_.get() + MessageFramer::kMessageOctetsMax, kGuardOctets, uint8_t{0xA5});
    MessageFramer framer(room_.get());
    uint32_t random = cut;
    size_t count = 0;
    bool is_malformed = false;
    for (size_t at = 0; at < stream.size() && !is_malformed;) {
      random = random * 1'664'525u + 1'013'904'223u;
      const size_t octets = std::min<size_t>(cut == 0 ? 1 : 1 + (random >> 16) % (size_t{cut} * 4), stream.size() - at);
      // A copy of its own, so that a sanitizer sees each look beyond it.
      const std::vector<uint8_t> part(stream.begin() + static_cast<ptrdiff_t>(at),
                                      stream.begin() + static_cast<ptrdiff_t>(at + octets));
      at += octets;
      std::span<const uint8_t> left(part), message;
      for (Step step = framer.next(left, message); step != Step::wait; step = framer.next(left, message)) {
        if (step == Step::malformed) {
          is_malformed = true;
          require(!message.empty() && message.size() >= 4, "what is malformed can be looked at");
          break;
        }
        require(count < whole.messages.size(), "no message too many");
        require(std::equal(message.begin(), message.end(), whole.messages[count].begin(), whole.messages[count].end()),
                "a message's octets");
        ++count;
      }
      require(is_malformed || left.empty(), "all is taken");
    }
    require(count == whole.messages.size(), "no message too few");
    require(is_malformed == whole.is_malformed, "what makes no sense");
    if (!is_malformed) {
      const std::span<const uint8_t> rest = stream.subspan(whole.end);
      const std::span<const uint8_t> held = framer.held();
      require(std::equal(held.begin(), held.end(), rest.begin(), rest.end()), "what waits");
    }
    for (size_t i = 0; i < kGuardOctets; ++i)
      require(room_[MessageFramer::kMessageOctetsMax + i] == 0xA5, "nothing is written beyond the room");
  }

  static constexpr size_t kGuardOctets = 64;
  std::unique_ptr<uint8_t[]> room_ = std::make_unique<uint8_t[]>(MessageFramer::kMessageOctetsMax + kGuardOctets);
};

}  // namespace weir::decode
