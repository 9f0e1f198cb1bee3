#include "packet/reassembly.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

namespace weir::packet {
namespace {

/// `count` bits from `first` on, a word at a time.
template <class Words, class Function>
void for_bits(Words& words, size_t first, size_t count, Function&& function) noexcept {
  while (count != 0) {
    const size_t in_word = std::min<size_t>(count, 64 - first % 64);
    const uint64_t ones = in_word == 64 ? ~uint64_t{0} : (uint64_t{1} << in_word) - 1;
    function(words[first / 64], ones << (first % 64));
    first += in_word;
    count -= in_word;
  }
}

template <class Words>
size_t bits_set(const Words& words, size_t first, size_t count) noexcept {
  size_t set = 0;
  for_bits(words, first, count, [&](uint64_t word, uint64_t mask) {
    set += static_cast<size_t>(std::popcount(word & mask));
  });
  return set;
}

}  // namespace

Reassembler::Reassembler(const ReassemblyLimits& limits, uint64_t hash_seed)
    : limits_(limits),
      hash_seed_(hash_seed),
      partials_(limits.datagrams_max),
      octets_(new uint8_t[limits.datagrams_max * kBufferOctets]),  // not cleared: not touched
      chains_(std::bit_ceil(2 * limits.datagrams_max), kNone) {
  assert(limits.datagrams_max > 0 && limits.datagrams_max <= ReassemblyLimits::kDatagramsMax);
  assert(limits.datagrams_per_source_max > 0);
  free_.reserve(limits.datagrams_max);
  for (size_t i = limits.datagrams_max; i-- > 0;) free_.push_back(static_cast<Index>(i));
}

Reassembler::Index& Reassembler::chain_of(const IpAddress& source) noexcept {
  return chains_[hash_of(source, hash_seed_) & (chains_.size() - 1)];
}

Reassembler::Index Reassembler::find(const FrameView& view) const noexcept {
  for (Index i = chains_[hash_of(view.src, hash_seed_) & (chains_.size() - 1)]; i != kNone;
       i = partials_[i].chain_next) {
    const Partial& p = partials_[i];
    if (p.id == view.fragment.id && p.src == view.src && p.dst == view.dst) return i;
  }
  return kNone;
}

Reassembler::Index Reassembler::begin(const FrameView& view, uint64_t now_ns) noexcept {
  size_t of_source = 0;
  Index oldest_of_source = kNone;
  for (Index i = chain_of(view.src); i != kNone; i = partials_[i].chain_next) {
    if (partials_[i].src != view.src) continue;
    ++of_source;
    oldest_of_source = i;
  }
  if (of_source >= limits_.datagrams_per_source_max) {
    remove(oldest_of_source, FragmentOutcome::source_limit);
  } else if (free_.empty()) {
    remove(oldest_, FragmentOutcome::table_limit);
  }

  const Index index = free_.back();
  free_.pop_back();
  Partial& p = partials_[index];
  p = Partial{};
  p.here.fill(0);
  p.src = view.src;
  p.dst = view.dst;
  p.id = view.fragment.id;
  p.first_ns = now_ns;
  Index& chain = chain_of(view.src);
  p.chain_next = chain;
  chain = index;
  p.older = newest_;
  if (newest_ != kNone) partials_[newest_].newer = index;
  newest_ = index;
  if (oldest_ == kNone) oldest_ = index;
  return index;
}

/// Its fragments stop waiting; the entry stays.
void Reassembler::give_up(Partial& partial, FragmentOutcome why) noexcept {
  if (partial.is_given_up) return;
  partial.is_given_up = true;
  partial.why = why;
  counters_.datagrams_given_up.increment();
  counters_.fragments[why].add(partial.fragments);
  counters_.waiting.set(counters_.waiting.value() - partial.fragments);
  partial.fragments = 0;
}

void Reassembler::release(Index index) noexcept {
  Partial& p = partials_[index];
  Index* link = &chain_of(p.src);
  while (*link != index) link = &partials_[*link].chain_next;
  *link = p.chain_next;
  (p.older == kNone ? oldest_ : partials_[p.older].newer) = p.newer;
  (p.newer == kNone ? newest_ : partials_[p.newer].older) = p.older;
  free_.push_back(index);
}

void Reassembler::remove(Index index, FragmentOutcome why) noexcept {
  give_up(partials_[index], why);
  release(index);
}

/// True when nothing is missing any more.
bool Reassembler::fill(Index index, const FrameView& view) noexcept {
  Partial& p = partials_[index];
  const size_t offset = view.fragment.offset_octets;
  const size_t size = view.payload.size();
  const size_t end = offset + size;
  const size_t first_unit = offset / kUnitOctets;
  const size_t units = (size + kUnitOctets - 1) / kUnitOctets;
  const auto refuse = [&](FragmentOutcome why) {
    give_up(p, why);
    counters_.fragments[why].increment();
    return false;
  };

  // The end is where the last fragment says, for all of them.
  const bool ends_elsewhere = p.octets != 0 && (view.fragment.is_last ? end != p.octets : end > p.octets);
  if (ends_elsewhere || (view.fragment.is_last && p.reach > end)) return refuse(FragmentOutcome::overlapping);
  if (const size_t there = bits_set(p.here, first_unit, units); there != 0) {
    if (there != units || std::memcmp(octets_of(index) + offset, view.payload.data(), size) != 0 ||
        (view.fragment.is_last && p.octets == 0)) {
      return refuse(FragmentOutcome::overlapping);
    }
    counters_.fragments[FragmentOutcome::duplicate].increment();
    return false;
  }
  if (p.fragments == kFragmentsPerDatagramMax) return refuse(FragmentOutcome::tiny);

  std::memcpy(octets_of(index) + offset, view.payload.data(), size);
  for_bits(p.here, first_unit, units, [](uint64_t& word, uint64_t mask) { word |= mask; });
  p.units += static_cast<uint32_t>(units);
  p.reach = std::max(p.reach, static_cast<uint32_t>(end));
  ++p.fragments;
  counters_.waiting.add(1);
  if (offset == 0) p.next_header = view.fragment.next_header;
  if (view.fragment.is_last) p.octets = static_cast<uint32_t>(end);
  return p.octets != 0 && p.units == (p.octets + kUnitOctets - 1) / kUnitOctets;
}

bool Reassembler::add(FrameView& view, uint64_t now_ns) noexcept {
  assert(view.verdict == FrameVerdict::fragment);
  expire(now_ns);
  const FragmentPlace& place = view.fragment;
  const size_t size = view.payload.size();
  if (size == 0 || place.offset_octets + size > kReassembledOctetsMax ||
      (!place.is_last && size % kUnitOctets != 0)) {
    counters_.fragments[FragmentOutcome::malformed].increment();
    return false;
  }
  if (place.offset_octets == 0 && size < kFirstFragmentOctetsMin) {
    counters_.fragments[FragmentOutcome::tiny].increment();
    return false;
  }
  Index index = find(view);
  if (index == kNone) index = begin(view, now_ns);
  Partial& p = partials_[index];
  if (p.is_given_up) {
    counters_.fragments[p.why].increment();
    return false;
  }
  if (!fill(index, view)) return false;

  counters_.fragments[FragmentOutcome::joined].add(p.fragments);
  counters_.waiting.set(counters_.waiting.value() - p.fragments);
  view.payload = {octets_of(index), p.octets};
  view.fragment = {.next_header = p.next_header};
  release(index);  // what it held stays until the next fragment comes
  parse_reassembled(view);
  counters_.datagrams[view.verdict].increment();
  return true;
}

// A capture's clock may go back: then nothing has waited for long.
void Reassembler::expire(uint64_t now_ns) noexcept {
  while (oldest_ != kNone) {
    const Partial& p = partials_[oldest_];
    if (now_ns <= p.first_ns || now_ns - p.first_ns <= limits_.timeout_ns) return;
    remove(oldest_, FragmentOutcome::expired);
  }
}

void Reassembler::give_up_all() noexcept {
  while (oldest_ != kNone) remove(oldest_, FragmentOutcome::expired);
}

}  // namespace weir::packet
