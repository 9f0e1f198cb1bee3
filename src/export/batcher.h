// batcher.h — One core's open batches: records in, sealed batches out.
//
// Runs on:  rx_lcore (add, poll, seal_all); the control thread gives buffers back by give_back.
// Owns:     all buffers of the core, made when it is made.
// Bounds:   buffers × octets each; at most kOpenRoutesMax open batches, beyond it the oldest is
//           sealed.
// Failure:  no free buffer: the records are counted under RecordDrop::no_buffer. Receiving never
//           waits.
//
// Batches that are out when the Batcher goes die with it: take them back first.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/counter.h"
#include "base/named_enum.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "base/waker.h"
#include "export/addressing.h"
#include "export/drop_rows.h"
#include "export/encoder.h"
#include "export/outbound_batch.h"

namespace weir::outbound {

inline constexpr size_t kOpenRoutesMax = 64;
inline constexpr size_t kOriginsMax = 64;   // that a batch names, runs of one exporter's records
inline constexpr size_t kScarceShare = 4;  // fewer free buffers than this part of all are few

struct BatcherConfig {
  uint16_t core = 0;
  uint32_t buffers = 64;              // owned by this core
  uint32_t batch_octets = 64 * 1024;  // a batch is sealed when the next record might not fit
  uint32_t batch_records_max = 0;     // 0: no bound
  // Sealed this long after the first poll that saw it open, unless buffers are scarce.
  uint64_t linger_ns = 50'000'000;
  std::vector<RouteSplit> splits;  // by RouteId; routes beyond it are not split
  // With fewer free buffers has_room says no: for who would rather wait than drop.
  uint32_t buffers_in_reserve = 0;
  Kernel kernel = best_kernel();
  // Woken by each batch that is sealed while an eighth of the buffers, or 32, wait to be taken already: for who looks for them
  // now and then. It outlives the batcher.
  Waker* on_many_sealed = nullptr;
};

/// records = encoded + Σ drops, for what was given to add() and its like.
struct BatcherCounters {
  Counter records;
  Counter encoded;
  Counter encoded_octets;
  CounterArray<RecordDrop> drops;
  Counter batches_sealed;
  Counter records_sealed;  // in them
  Counter buffers_free;  // gauge, as the core sees it
};

/// Where records go that are written by somebody else.
struct BatchRoom {
  uint8_t* at = nullptr;      // null: there is none
  uint8_t* last = nullptr;    // no record may begin behind it
  uint32_t records_max = 0;   // at least 1
  size_t place = 0;           // the batch's
  RecordDrop why_not = RecordDrop::no_buffer;
};

class alignas(kCacheLineBytes) Batcher {
 public:
  explicit Batcher(const BatcherConfig& config);

  /// Encodes the burst's records into the open batch of `route`; seals what is full.
  void add(const RecordBurst& burst, RouteId route) noexcept WEIR_RUNS_ON(rx_lcore);
  /// Puts a message of another kind, as it is, into the open batch of `route`, which takes that kind
  /// only. `header` is of the datagram that it came in.
  void add_message(std::span<const uint8_t> message, RecordKind kind, RouteId route,
                   const ExportHeader& header) noexcept WEIR_RUNS_ON(rx_lcore);
  /// Room in the open batch of `route` for records of `octets_max` octets at most, and kStoreSlackOctets behind
  /// them; seals what has none. Until commit, which follows with one record at least, or with nothing written.
  BatchRoom room(size_t octets_max, const ExportHeader& header, RouteId route) noexcept
      WEIR_RUNS_ON(rx_lcore);
  void commit(const BatchRoom& room, uint32_t records, size_t octets,
              const ExportHeader& header) noexcept WEIR_RUNS_ON(rx_lcore);
  /// Records that are not to be encoded.
  void drop(RecordDrop why, uint64_t records = 1) noexcept WEIR_RUNS_ON(rx_lcore);
  /// The same where it is to be told whose they were.
  void drop(RecordDrop why, uint64_t records, const ExportHeader& header, RouteId route) noexcept
      WEIR_RUNS_ON(rx_lcore);
  /// By RouteId, with what was there before at the beginning; they stay until there are others.
  void set_splits(std::span<const RouteSplit> splits) noexcept WEIR_RUNS_ON(rx_lcore);
  /// BatcherConfig::buffers_in_reserve from now on.
  void set_reserve(uint32_t buffers) noexcept WEIR_RUNS_ON(rx_lcore);
  /// Whether a burst of records would find buffers.
  bool has_room() noexcept WEIR_RUNS_ON(rx_lcore);
  /// Seals what has lingered. `steady_now_ns` is the burst's one look at the clock.
  void poll(uint64_t steady_now_ns) noexcept WEIR_RUNS_ON(rx_lcore);
  void seal_all() noexcept WEIR_RUNS_ON(rx_lcore);
  bool has_open_batches() const noexcept WEIR_RUNS_ON(rx_lcore);
  /// Records in batches that are being filled: encoded = these + records_sealed.
  uint64_t open_records() const noexcept WEIR_RUNS_ON(rx_lcore);

  /// Control thread: the next sealed batch, in the order sealed; then give_back when done with it.
  bool take_sealed(OutboundBatch*& batch) noexcept WEIR_RUNS_ON(control_thread);
  /// Control thread: what was dropped up to about a second ago, or until seal_all; filtered is no loss and
  /// not among it.
  bool take_drops(DropRow& row) noexcept WEIR_RUNS_ON(control_thread);
  void give_back(OutboundBatch* batch) noexcept WEIR_RUNS_ON(control_thread);
  size_t sealed_waiting() const noexcept;
  size_t buffers() const noexcept;  // in all

  const BatcherCounters& counters() const noexcept;
  ~Batcher();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir::outbound
