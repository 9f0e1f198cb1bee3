#include "export/batcher.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <new>
#include <vector>

#include "export/encode_parts.h"

namespace weir::outbound {
namespace {

constexpr size_t kNoPlace = SIZE_MAX;
constexpr size_t kManySealed = 32;  // a millisecond of the fastest core
constexpr uint64_t kDropsFlushNs = 1'000'000'000;
constexpr size_t kBufferAlignmentBytes = 64;

/// With the slack, so that stores beyond a batch's last record stay within its own buffer.
constexpr size_t buffer_bytes(const BatcherConfig& config) {
  const size_t bytes = config.batch_octets + kStoreSlackOctets + kBufferAlignmentBytes - 1;
  return bytes / kBufferAlignmentBytes * kBufferAlignmentBytes;
}

struct AlignedDelete {
  void operator()(uint8_t* p) const noexcept {
    ::operator delete[](p, std::align_val_t{kBufferAlignmentBytes});
  }
};

/// How many of the first records surely fit into `octets_left`.
size_t count_fitting(const HeaderPrefix& prefix, std::span<const FlowRecord> records,
                     size_t octets_left) noexcept {
  size_t n = 0;
  for (const FlowRecord& r : records) {
    const size_t octets_max = Encoder::octets_max(prefix, r);
    if (octets_max > octets_left) break;
    octets_left -= octets_max;
    ++n;
  }
  return n;
}

}  // namespace

struct Batcher::State {
  struct Open {
    OutboundBatch* batch;       // holds at least one record
    uint64_t opened_steady_ns;  // 0: since the last poll
  };

  explicit State(const BatcherConfig& c)
      : config(c),
        splits(config.splits),
        buffers_in_reserve(config.buffers_in_reserve),
        encoder(c.kernel),
        // Written once here, so that the pages are there before the first packet.
        storage(new (std::align_val_t{kBufferAlignmentBytes})
                    uint8_t[buffer_bytes(c) * c.buffers]()),
        batches(c.buffers),
        origins(c.buffers * kOriginsMax),
        sealed(c.buffers),
        returned(c.buffers) {
    free.reserve(c.buffers);
    for (size_t i = c.buffers; i-- > 0;) {
      batches[i].core = c.core;
      batches[i].data = storage.get() + i * buffer_bytes(c);
      batches[i].capacity = c.batch_octets;
      batches[i].origin_room = std::span(origins).subspan(i * kOriginsMax, kOriginsMax);
      free.push_back(&batches[i]);
    }
    counters.buffers_free.set(free.size());
  }

  RouteSplit split_of(RouteId route) const noexcept {
    return route.value < splits.size() ? splits[route.value] : RouteSplit{};
  }
  size_t place_of(RouteId route, RecordKind kind, const ExportHeader& header) noexcept;
  void append(size_t place, uint32_t records, size_t octets, const ExportHeader& header) noexcept;
  void lose(RecordDrop why, const ExportHeader& header, RouteId route, uint64_t records = 1) noexcept
      WEIR_RUNS_ON(rx_lcore) {
    counters.drops[why].add(records);
    drop_rows.add(header.exporter_address, route, why, records);
  }
  void seal(size_t place) noexcept;
  void take_back() noexcept;
  /// What is sealed until somebody has woken up finds the other buffers, and publishers' queues have room for it.
  bool has_many_sealed() const noexcept { return sealed.size_approx() > std::min(batches.size() / 8, kManySealed); }

  const BatcherConfig config;
  std::span<const RouteSplit> splits;
  uint32_t buffers_in_reserve;
  const Encoder encoder;
  const std::unique_ptr<uint8_t[], AlignedDelete> storage;
  std::vector<OutboundBatch> batches;
  std::vector<BatchOrigin> origins;         // of all of them
  std::vector<OutboundBatch*> free;         // a stack: the buffer used last is the warmest
  std::array<Open, kOpenRoutesMax> open{};  // oldest first
  size_t open_count = 0;
  uint64_t next_sequence = 1;
  uint64_t steady_now_ns = 0;  // as of the last poll
  DropRows drop_rows;
  uint64_t next_flush_ns = 0;
  // Each ring holds every buffer there is, so neither can be full.
  SpscRing<OutboundBatch*> sealed;    // rx_lcore → control_thread
  SpscRing<OutboundBatch*> returned;  // control_thread → rx_lcore
  BatcherCounters counters;
};

/// Counts records as their exporter's.
void add_origin(OutboundBatch& batch, const IpAddress& exporter, uint32_t records) noexcept {
  BatchOrigin* const last = batch.origin_room.data() + batch.origins - 1;
  if (batch.origins != 0 && last->exporter == exporter) {
    last->records += records;
  } else if (batch.origins + 1u < batch.origin_room.size()) {
    batch.origin_room[batch.origins++] = {exporter, records};
  } else if (batch.origins < batch.origin_room.size()) {
    batch.origin_room[batch.origins++] = {IpAddress{}, records};
  } else {
    last->records += records;
  }
}

/// The place of the open batch of `route`, opened if need be; kNoPlace when there is no buffer. The
/// caller puts a record into it.
size_t Batcher::State::place_of(RouteId route, RecordKind kind,
                                const ExportHeader& header) noexcept {
  const RouteSplit split = split_of(route);
  for (size_t i = open_count; i-- > 0;) {
    const OutboundBatch& batch = *open[i].batch;
    if (batch.route == route && (!split.by_protocol || batch.type == header.type) &&
        (!split.by_exporter || batch.exporter == header.exporter_address)) {
      return i;
    }
  }
  if (free.empty()) take_back();
  if (free.empty()) return kNoPlace;
  if (open_count == kOpenRoutesMax) seal(0);
  OutboundBatch* const batch = free.back();
  free.pop_back();
  counters.buffers_free.set(free.size());
  batch->route = route;
  batch->kind = kind;
  batch->type = header.type;
  batch->exporter = header.exporter_address;
  batch->origins = 0;
  batch->records = 0;
  batch->octets = 0;
  batch->references = 0;
  batch->first_received_ns = header.time_received_ns;
  open[open_count] = {batch, 0};
  return open_count++;
}

/// Counts records that were written behind the others.
void Batcher::State::append(size_t place, uint32_t records, size_t octets,
                            const ExportHeader& header) noexcept {
  OutboundBatch& batch = *open[place].batch;
  assert(octets <= batch.capacity - batch.octets);
  batch.octets += static_cast<uint32_t>(octets);
  batch.records += records;
  add_origin(batch, header.exporter_address, records);
  batch.last_received_ns = header.time_received_ns;
  counters.encoded.add(records);
  counters.encoded_octets.add(octets);
  if (batch.records == config.batch_records_max) seal(place);
}

void Batcher::State::seal(size_t place) noexcept {
  OutboundBatch* const batch = open[place].batch;
  batch->opened_steady_ns = open[place].opened_steady_ns;
  std::copy(open.begin() + place + 1, open.begin() + open_count, open.begin() + place);
  --open_count;
  batch->sequence = next_sequence++;
  batch->sealed_steady_ns = steady_now_ns;
  counters.batches_sealed.increment();
  counters.records_sealed.add(batch->records);  // before it is handed on: never behind who takes it
  [[maybe_unused]] const bool pushed = sealed.push(batch);
  assert(pushed);
  if (config.on_many_sealed != nullptr && has_many_sealed()) [[unlikely]]
    config.on_many_sealed->wake();
}

void Batcher::State::take_back() noexcept {
  OutboundBatch* batch = nullptr;
  while (free.size() < batches.size() && returned.pop(batch)) free.push_back(batch);
  counters.buffers_free.set(free.size());
}

Batcher::Batcher(const BatcherConfig& config) : state_(std::make_unique<State>(config)) {}
Batcher::~Batcher() = default;

void Batcher::add(const RecordBurst& burst, RouteId route) noexcept {
  State& s = *state_;
  std::span<const FlowRecord> records = burst.records;
  if (records.empty()) return;
  s.counters.records.add(records.size());
  const HeaderPrefix prefix(burst.header);

  // Each turn drops a record, seals a batch, or encodes at least one record.
  while (!records.empty()) {
    if (Encoder::octets_max(prefix, records.front()) > s.config.batch_octets) {
      s.lose(RecordDrop::record_too_large, burst.header, route);
      records = records.subspan(1);
      continue;
    }
    const size_t place = s.place_of(route, RecordKind::flow, burst.header);
    if (place == kNoPlace) {
      s.lose(RecordDrop::no_buffer, burst.header, route);
      records = records.subspan(1);
      continue;
    }
    OutboundBatch& batch = *s.open[place].batch;
    size_t fitting = count_fitting(prefix, records, batch.capacity - batch.octets);
    if (s.config.batch_records_max != 0) {
      fitting = std::min<size_t>(fitting, s.config.batch_records_max - batch.records);
    }
    if (fitting == 0) {
      s.seal(place);
      continue;
    }
    const size_t octets =
        s.encoder.encode(prefix, records.first(fitting), burst.arena, batch.data + batch.octets);
    s.append(place, static_cast<uint32_t>(fitting), octets, burst.header);
    records = records.subspan(fitting);
  }
}

BatchRoom Batcher::room(size_t octets_max, const ExportHeader& header, RouteId route) noexcept {
  State& s = *state_;
  if (octets_max > s.config.batch_octets) return {.why_not = RecordDrop::record_too_large};
  for (;;) {
    const size_t place = s.place_of(route, RecordKind::flow, header);
    if (place == kNoPlace) return {};
    OutboundBatch& batch = *s.open[place].batch;
    if (octets_max > batch.capacity - batch.octets) {
      s.seal(place);  // what follows is empty
      continue;
    }
    const uint32_t records_max = s.config.batch_records_max;
    return {.at = batch.data + batch.octets,
            .last = batch.data + batch.capacity - octets_max,
            .records_max = records_max == 0 ? UINT32_MAX : records_max - batch.records,
            .place = place};
  }
}

void Batcher::commit(const BatchRoom& room, uint32_t records, size_t octets,
                     const ExportHeader& header) noexcept {
  state_->counters.records.add(records);
  state_->append(room.place, records, octets, header);
}

void Batcher::add_message(std::span<const uint8_t> message, RecordKind kind, RouteId route,
                          const ExportHeader& header) noexcept {
  State& s = *state_;
  s.counters.records.increment();
  const size_t octets_max = 1 + wire::kVarint32OctetsMax + message.size();
  if (octets_max > s.config.batch_octets) {
    s.lose(RecordDrop::record_too_large, header, route);
    return;
  }
  size_t place = s.place_of(route, kind, header);
  if (place != kNoPlace) {
    const OutboundBatch& open = *s.open[place].batch;
    assert(open.kind == kind);
    if (octets_max > open.capacity - open.octets) {
      s.seal(place);
      place = s.place_of(route, kind, header);
    }
  }
  if (place == kNoPlace) {
    s.lose(RecordDrop::no_buffer, header, route);
    return;
  }
  OutboundBatch& batch = *s.open[place].batch;
  uint8_t* p = batch.data + batch.octets;
  *p++ = parts::kFlowsTag;
  p = wire::put_varint(p, message.size());
  std::memcpy(p, message.data(), message.size());
  p += message.size();
  s.append(place, 1, static_cast<size_t>(p - (batch.data + batch.octets)), header);
}

void Batcher::drop(RecordDrop why, uint64_t records) noexcept {
  state_->counters.records.add(records);
  state_->counters.drops[why].add(records);
}

void Batcher::drop(RecordDrop why, uint64_t records, const ExportHeader& header,
                   RouteId route) noexcept {
  state_->counters.records.add(records);
  state_->lose(why, header, route, records);
}

void Batcher::set_splits(std::span<const RouteSplit> splits) noexcept { state_->splits = splits; }

void Batcher::set_reserve(uint32_t buffers) noexcept { state_->buffers_in_reserve = buffers; }

bool Batcher::has_room() noexcept {
  State& s = *state_;
  if (s.buffers_in_reserve == 0 || s.free.size() >= s.buffers_in_reserve) return true;
  s.take_back();
  return s.free.size() >= s.buffers_in_reserve;
}

void Batcher::poll(uint64_t steady_now_ns) noexcept {
  State& s = *state_;
  s.steady_now_ns = steady_now_ns;
  s.take_back();
  if (steady_now_ns >= s.next_flush_ns) {
    s.next_flush_ns = steady_now_ns + kDropsFlushNs;
    s.drop_rows.flush();
  }
  for (size_t i = 0; i < s.open_count;) {
    State::Open& open = s.open[i];
    if (open.opened_steady_ns == 0) open.opened_steady_ns = std::max<uint64_t>(steady_now_ns, 1);
    // While buffers are short, because somebody downstream is slow or away, a batch that lingers is
    // filled up instead: octets are what memory has room for, not batches of a few records.
    const bool is_short = s.free.size() < s.batches.size() / kScarceShare;
    if (!is_short && steady_now_ns >= open.opened_steady_ns + s.config.linger_ns) {
      s.seal(i);
    } else {
      ++i;
    }
  }
}

void Batcher::seal_all() noexcept {
  while (state_->open_count != 0) state_->seal(0);
  state_->drop_rows.flush();
}

bool Batcher::has_open_batches() const noexcept { return state_->open_count != 0; }

uint64_t Batcher::open_records() const noexcept {
  uint64_t records = 0;
  for (size_t i = 0; i < state_->open_count; ++i) records += state_->open[i].batch->records;
  return records;
}

bool Batcher::take_sealed(OutboundBatch*& batch) noexcept { return state_->sealed.pop(batch); }

bool Batcher::take_drops(DropRow& row) noexcept { return state_->drop_rows.take(row); }

void Batcher::give_back(OutboundBatch* batch) noexcept {
  [[maybe_unused]] const bool pushed = state_->returned.push(batch);
  assert(pushed);
}

size_t Batcher::sealed_waiting() const noexcept { return state_->sealed.size_approx(); }
size_t Batcher::buffers() const noexcept { return state_->batches.size(); }

const BatcherCounters& Batcher::counters() const noexcept { return state_->counters; }

}  // namespace weir::outbound
