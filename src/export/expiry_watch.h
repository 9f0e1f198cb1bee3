// expiry_watch.h — What went from a stream before a consumer got it: the jumps of sequence numbers that nothing else explains.
//
// Spec:     a durable consumer numbers its first deliveries 1, 2, 3, …; each message has its place in the stream as well.
// Runs on:  one thread. Pure.
//
// Between two deliveries whose numbers follow one another lies what the consumer's subject does not match, what was removed
// one by one, and what the stream's limits or a purge took. The first sequence that the stream has tells the last of them
// from the others; where the consumer takes the whole stream, no other is possible. Of several processes at one consumer
// each counts what lies in front of its own deliveries, so that their sum counts nothing twice; what lies between the
// deliveries to two of them is seen by neither, unless the looks at the consumer showed it.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weir::outbound {

class ExpiryWatch {
 public:
  /// As the server says: its last delivery's two numbers, and the stream's first sequence, asked for before.
  void on_look(uint64_t consumer_sequence, uint64_t stream_sequence, uint64_t first_in_stream) noexcept {
    first_in_stream_ = std::max(first_in_stream_, first_in_stream);
    // The same delivery with a later place: a purge moved it. What was seen before is what it was.
    if (is_known_ && consumer_sequence <= consumer_sequence_) return;
    know(consumer_sequence, stream_sequence);
  }

  /// How many messages are gone that would have come before this first delivery.
  uint64_t on_delivery(uint64_t consumer_sequence, uint64_t stream_sequence, bool takes_whole_stream) noexcept {
    uint64_t gone = 0;
    const bool follows = is_known_ && consumer_sequence == consumer_sequence_ + 1;
    // In front of the very first one there is nothing that was to come.
    if (follows && consumer_sequence > 1 && stream_sequence > stream_sequence_ + 1) {
      const uint64_t first_missing = stream_sequence_ + 1;
      const uint64_t end = takes_whole_stream ? stream_sequence : std::min(stream_sequence, first_in_stream_);
      gone = end > first_missing ? end - first_missing : 0;
    }
    if (!is_known_ || consumer_sequence > consumer_sequence_) know(consumer_sequence, stream_sequence);
    return gone;
  }

  /// Another consumer, or another stream, under the same name.
  void forget() noexcept { *this = ExpiryWatch(); }

 private:
  void know(uint64_t consumer_sequence, uint64_t stream_sequence) noexcept {
    is_known_ = true;
    consumer_sequence_ = consumer_sequence;
    stream_sequence_ = stream_sequence;
  }

  bool is_known_ = false;
  uint64_t consumer_sequence_ = 0;
  uint64_t stream_sequence_ = 0;
  uint64_t first_in_stream_ = 0;
};

}  // namespace weir::outbound
