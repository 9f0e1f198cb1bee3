#include "decode/sflow_sources.h"

#include "base/clock.h"
#include "decode/exporter_table.h"
#include "decode/intrusive.h"

namespace weir::decode {
namespace {

constexpr uint32_t kGapHoldMs = 2000;
constexpr uint32_t kIdleMs = static_cast<uint32_t>(kIdleNs / kNsPerMs);
constexpr uint32_t kJumpMax = 1u << 16;    // a larger step is a restart, not a loss
constexpr uint32_t kReorderMax = 1024;     // how far back a late sample may lie
constexpr uint32_t kBackwards = 1u << 31;  // a counter's step that is one backwards

/// What a counter that wraps at 32 bits has grown by; 0 where it was reset.
uint32_t growth(uint32_t before, uint32_t now) noexcept {
  const uint32_t step = now - before;
  return step < kBackwards ? step : 0;
}

}  // namespace

SflowSourceKey sflow_source_key(uint64_t domain_hash, SflowSampleKind kind, uint32_t source_class,
                                uint32_t source_index) noexcept {
  constexpr uint64_t kSpread = 0x9E37'79B9'7F4A'7C15;
  const uint64_t source = uint64_t{source_class} << 32 | source_index;
  // The domain's hash is a secret number, so that sources of different domains meet by chance only; those
  // of one domain never do.
  const uint64_t hash =
      mix_hash(domain_hash + source + kSpread * (1 + static_cast<uint64_t>(kind)));
  return {hash != 0 ? hash : 1};
}

bool SflowSourceTable::reserve() noexcept {
  return memory_.reserve(kSflowSourcesMax * sizeof(Entry));
}

/// Null where every place is taken by a source at work.
SflowSourceTable::Entry* SflowSourceTable::find_or_add(SflowSourceKey key,
                                                       uint32_t now_ms) noexcept {
  Entry* const set = set_of(key);
  Entry* place = nullptr;
  for (uint32_t i = 0; i < kSourcesPerSet; ++i) {
    if (set[i].key == key.hash) return &set[i];
    const bool is_free = set[i].key == 0 || now_ms - set[i].seen_ms >= kIdleMs;
    if (place == nullptr && is_free) place = &set[i];
  }
  if (place != nullptr) *place = {.key = key.hash, .seen_ms = now_ms};
  return place;
}

SflowSourceTable::News SflowSourceTable::observe(SflowSourceKey key,
                                                 const Sample& sample) noexcept {
  const auto now_ms = static_cast<uint32_t>(sample.received_ns / kNsPerMs);
  Entry* const e = find_or_add(key, now_ms);
  News news;
  if (e == nullptr) {
    news.tracked = false;
    return news;
  }
  e->seen_ms = now_ms;
  const auto begin = [&] {
    e->is_known = 1;
    e->expected = sample.sequence + 1;
    e->pool = sample.pool;
    e->drops = sample.drops;
  };
  // The next one, nothing missing: nearly always.
  if (e->is_known != 0 && sample.sequence == e->expected && e->missing == 0) [[likely]] {
    news.taken = 1;
    news.pool = growth(e->pool, sample.pool);
    news.dropped = growth(e->drops, sample.drops);
    begin();
    return news;
  }
  if (e->is_known == 0) {
    begin();
    return news;
  }
  const auto give_up = [&] {
    news.lost += e->missing;
    e->missing = 0;
  };
  if (e->missing != 0 && now_ms - e->gap_ms > kGapHoldMs) give_up();

  const uint32_t ahead = sample.sequence - e->expected;
  if (ahead >= kJumpMax) {
    if (0u - ahead <= kReorderMax) {  // late: later ones were here already
      if (e->missing != 0) --e->missing;
      return news;
    }
    give_up();
    begin();
    return news;
  }
  if (ahead != 0) {
    if (e->missing + ahead > UINT16_MAX) give_up();
    if (e->missing == 0) e->gap_ms = now_ms;
    e->missing = static_cast<uint16_t>(e->missing + ahead);
  }
  news.taken = uint64_t{ahead} + 1;
  news.pool = growth(e->pool, sample.pool);
  news.dropped = growth(e->drops, sample.drops);
  begin();
  return news;
}

}  // namespace weir::decode
