// datagram_tap.h — Datagrams that an operator wants to see, copied to memory that was reserved for them.
//
// Runs on:  rx_lcore records, and looks at a tap only while there is one; any thread reads what has been recorded.
// Bounds:   kDatagramTapsMax taps at a time; each has a tape of fixed size.
// Failure:  a datagram that its tape has no room for is counted there.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/counter.h"
#include "base/named_enum.h"
#include "base/thread_roles.h"
#include "dataplane/datagram_copy.h"
#include "decode/decoder_rules.h"

namespace weir::dataplane {

/// More look at the same datagrams than operators work on one appliance at a time.
inline constexpr size_t kDatagramTapsMax = 4;

/// rejected: as a whole, or with a set that made no sense. templates: that define or withdraw some.
#define WEIR_TAP_WANTS(X) X(all) X(rejected) X(templates)
WEIR_NAMED_ENUM(TapWants, uint8_t, WEIR_TAP_WANTS)

/// What the decoder made of a datagram.
struct DatagramOutcome {
  bool is_rejected = false;
  bool has_templates = false;
};

/// Fixed memory that one core fills from the front and that nobody empties, so that what it holds can be read
/// while it is being filled.
class DatagramTape {
 public:
  struct Bounds {
    uint32_t datagrams = 0;
    uint64_t payload_octets = 0;
    uint32_t more_with_templates = 0;  // beyond `datagrams`
  };

  /// Takes the memory, page by page, on the caller's thread: what the bounds need, but no more than `octets_max`.
  DatagramTape(const Bounds& bounds, size_t octets_max);

  void record(const DatagramView& view, const DatagramOutcome& outcome) noexcept WEIR_RUNS_ON(rx_lcore);

  // Any thread.
  /// Those recorded so far, in the order of their coming. They stay valid as long as the tape.
  std::vector<DatagramView> read() const;
  uint64_t datagrams() const noexcept { return datagrams_.value(); }
  uint64_t payload_octets() const noexcept { return payload_octets_.value(); }
  uint64_t rejected() const noexcept { return rejected_.value(); }
  uint64_t with_templates() const noexcept { return with_templates_.value(); }
  /// Not recorded although they were asked for.
  uint64_t missed() const noexcept { return missed_.value(); }
  /// Why the first of these was: memory ran out before the octets that were asked for.
  bool is_out_of_memory() const noexcept { return is_out_of_memory_.value() != 0; }

 private:
  static constexpr size_t kAlign = alignof(DatagramNote);

  const Bounds bounds_;
  const size_t size_;
  const std::unique_ptr<uint8_t[]> memory_;
  std::atomic<size_t> filled_{0};  // stored behind what it covers
  Counter datagrams_;
  Counter payload_octets_;
  Counter rejected_;
  Counter with_templates_;
  Counter missed_;
  Counter is_out_of_memory_;
};

struct DatagramTap {
  decode::ExporterPrefix exporters{};  // of no bits: all
  std::optional<ListenerId> listener{};
  TapWants wants = TapWants::all;
  DatagramTape* tape = nullptr;

  bool matches(const Datagram& datagram, const DatagramOutcome& outcome) const noexcept;
};

/// Those of one core; constant while it goes by them.
struct DatagramTaps {
  size_t count = 0;
  std::array<DatagramTap, kDatagramTapsMax> taps{};

  void offer(const Datagram& datagram, const Arrival& arrival, const DatagramOutcome& outcome) const noexcept
      WEIR_RUNS_ON(rx_lcore);
};

}  // namespace weir::dataplane
