#include "packet/reassembly.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

namespace weir::packet {
namespace {

constexpr size_t kIpv4HeaderOctetsMin = 20;

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

uint64_t key_hash(const IpAddress& src, const IpAddress& dst, uint32_t id, uint64_t seed) noexcept {
  return hash_of(src, hash_of(dst, seed ^ id));
}

}  // namespace

Reassembler::Reassembler(const ReassemblyLimits& limits, uint64_t hash_seed)
    : limits_(limits),
      hash_seed_(hash_seed),
      partials_(limits.datagrams_max),
      units_(limits.datagrams_max),
      octets_(new uint8_t[limits.datagrams_max * kBufferOctets]),  // not cleared: not touched
      chains_(std::bit_ceil(2 * limits.datagrams_max), kNone),
      sources_(limits.datagrams_max),
      source_chains_(chains_.size(), kNone) {
  assert(limits.datagrams_max > 0 && limits.datagrams_max <= ReassemblyLimits::kDatagramsMax);
  assert(limits.datagrams_per_source_max > 0);
  for (auto* list : {&free_, &free_sources_}) {
    list->reserve(limits.datagrams_max);
    for (size_t i = limits.datagrams_max; i-- > 0;) list->push_back(static_cast<Index>(i));
  }
}

Reassembler::Index& Reassembler::chain_of(const FrameView& v) noexcept {
  return chains_[key_hash(v.src, v.dst, v.fragment.id, hash_seed_) & (chains_.size() - 1)];
}

Reassembler::Index& Reassembler::chain_of(const Partial& p) noexcept {
  return chains_[key_hash(p.src, p.dst, p.id, hash_seed_) & (chains_.size() - 1)];
}

Reassembler::Index& Reassembler::source_chain_of(const IpAddress& address) noexcept {
  return source_chains_[hash_of(address, hash_seed_) & (source_chains_.size() - 1)];
}

Reassembler::Index Reassembler::find(const FrameView& v) noexcept {
  Index i = chain_of(v);
  const auto is_it = [&](const Partial& p) {
    return p.id == v.fragment.id && p.src == v.src && p.dst == v.dst && p.vlan_ids == v.vlan_ids;
  };
  while (i != kNone && !is_it(partials_[i])) i = partials_[i].chain_next;
  return i;
}

Reassembler::Index Reassembler::find_source(const IpAddress& address) noexcept {
  Index i = source_chain_of(address);
  while (i != kNone && sources_[i].address != address) i = sources_[i].chain_next;
  return i;
}

/// Whose place a datagram takes where none is free; kNone: nobody's. What is known to come of exporters does not make
/// room for what anybody may have sent, unless its own time is up.
Reassembler::Index Reassembler::who_makes_room(Standing newcomer, uint64_t now_ns) const noexcept {
  if (const Index stranger = ages_[static_cast<size_t>(Standing::stranger)].oldest; stranger != kNone) return stranger;
  const Index known = ages_[static_cast<size_t>(Standing::known)].oldest;
  return newcomer == Standing::known || is_over(partials_[known], now_ns) ? known : kNone;
}

/// kNone: there is no room for it.
Reassembler::Index Reassembler::begin(const FrameView& view, uint64_t now_ns, Standing standing) noexcept {
  Index source = find_source(view.src);
  if (source != kNone && sources_[source].partials >= limits_.datagrams_per_source_max) {
    remove(sources_[source].oldest, FragmentOutcome::source_limit);
  } else if (free_.empty()) {
    const Index other = who_makes_room(standing, now_ns);
    if (other == kNone) return kNone;
    remove(other, FragmentOutcome::table_limit);
  }
  source = find_source(view.src);  // it may have gone with its last datagram
  if (source == kNone) {
    source = free_sources_.back();
    free_sources_.pop_back();
    Index& chain = source_chain_of(view.src);
    sources_[source] = {view.src, 0, kNone, kNone, chain};
    chain = source;
  }

  const Index index = free_.back();
  free_.pop_back();
  Source& s = sources_[source];
  Ages& ages = ages_of(standing);
  Index& chain = chain_of(view);
  partials_[index] = {.src = view.src,
                      .dst = view.dst,
                      .vlan_ids = view.vlan_ids,
                      .id = view.fragment.id,
                      .octets = 0,
                      .reach = 0,
                      .units_here = 0,
                      .first_ns = now_ns,
                      .fragments = 0,
                      .next_header = 0,
                      .given_up = FragmentOutcome::count_,
                      .standing = standing,
                      .source = source,
                      .chain_next = chain,
                      .older = ages.newest,
                      .newer = kNone,
                      .source_older = s.newest,
                      .source_newer = kNone};
  units_[index].fill(0);
  chain = index;
  (ages.newest == kNone ? ages.oldest : partials_[ages.newest].newer) = index;
  ages.newest = index;
  (s.newest == kNone ? s.oldest : partials_[s.newest].source_newer) = index;
  s.newest = index;
  ++s.partials;
  return index;
}

/// Its fragments stop waiting; the entry stays.
void Reassembler::give_up(Partial& partial, FragmentOutcome why) noexcept {
  if (partial.given_up != FragmentOutcome::count_) return;
  partial.given_up = why;
  counters_.datagrams_given_up.increment();
  counters_.fragments[why].add(partial.fragments);
  counters_.waiting.set(counters_.waiting.value() - partial.fragments);
  partial.fragments = 0;
}

void Reassembler::release(Index index) noexcept {
  const Partial& p = partials_[index];
  Index* link = &chain_of(p);
  while (*link != index) link = &partials_[*link].chain_next;
  *link = p.chain_next;
  Ages& ages = ages_of(p.standing);
  (p.older == kNone ? ages.oldest : partials_[p.older].newer) = p.newer;
  (p.newer == kNone ? ages.newest : partials_[p.newer].older) = p.older;
  Source& s = sources_[p.source];
  (p.source_older == kNone ? s.oldest : partials_[p.source_older].source_newer) = p.source_newer;
  (p.source_newer == kNone ? s.newest : partials_[p.source_newer].source_older) = p.source_older;
  if (--s.partials == 0) {
    link = &source_chain_of(s.address);
    while (*link != p.source) link = &sources_[*link].chain_next;
    *link = s.chain_next;
    free_sources_.push_back(p.source);
  }
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
  if (const size_t there = bits_set(units_[index], first_unit, units); there != 0) {
    if (there != units || std::memcmp(octets_of(index) + offset, view.payload.data(), size) != 0 ||
        (view.fragment.is_last && p.octets == 0)) {
      return refuse(FragmentOutcome::overlapping);
    }
    counters_.fragments[FragmentOutcome::duplicate].increment();
    return false;
  }
  if (p.fragments == kFragmentsPerDatagramMax) return refuse(FragmentOutcome::tiny);

  std::memcpy(octets_of(index) + offset, view.payload.data(), size);
  for_bits(units_[index], first_unit, units, [](uint64_t& word, uint64_t mask) { word |= mask; });
  p.units_here += static_cast<uint32_t>(units);
  p.reach = std::max(p.reach, static_cast<uint32_t>(end));
  ++p.fragments;
  counters_.waiting.add(1);
  if (offset == 0) p.next_header = view.fragment.next_header;
  if (view.fragment.is_last) p.octets = static_cast<uint32_t>(end);
  return p.octets != 0 && p.units_here == (p.octets + kUnitOctets - 1) / kUnitOctets;
}

bool Reassembler::has_some_of(const FrameView& view, uint64_t now_ns) noexcept {
  const Index index = find(view);
  return index != kNone && partials_[index].fragments != 0 && !is_over(partials_[index], now_ns);
}

bool Reassembler::add(FrameView& view, uint64_t now_ns, Standing standing) noexcept {
  assert(view.verdict == FrameVerdict::fragment);
  const FragmentPlace& place = view.fragment;
  const size_t size = view.payload.size();
  const size_t octets_max = kReassembledOctetsMax - (view.src.is_v4() ? kIpv4HeaderOctetsMin : 0);
  if (size == 0 || place.offset_octets + size > octets_max ||
      (!place.is_last && size % kUnitOctets != 0)) {
    refuse(FragmentOutcome::malformed);
    return false;
  }
  if (place.offset_octets == 0 && size < kFirstFragmentOctetsMin) {
    refuse(FragmentOutcome::tiny);
    return false;
  }
  Index index = find(view);
  if (index != kNone && is_over(partials_[index], now_ns)) {
    remove(index, FragmentOutcome::expired);
    index = kNone;
  }
  if (index == kNone) index = begin(view, now_ns, standing);
  if (index == kNone) {
    refuse(FragmentOutcome::table_limit);
    return false;
  }
  Partial& p = partials_[index];
  if (p.given_up != FragmentOutcome::count_) {
    refuse(p.given_up);
    return false;
  }
  if (!fill(index, view)) return false;

  counters_.fragments[FragmentOutcome::joined].add(p.fragments);
  counters_.waiting.set(counters_.waiting.value() - p.fragments);
  view.payload = joined_ = {octets_of(index), p.octets};
  view.fragment = {.next_header = p.next_header};
  release(index);  // what it held stays until the next fragment comes
  parse_reassembled(view);
  counters_.datagrams[view.verdict].increment();
  return true;
}

/// Clocks go back: what began long after now is as little of this time as what began long ago.
bool Reassembler::is_over(const Partial& p, uint64_t now_ns) const noexcept {
  const uint64_t apart_ns = now_ns > p.first_ns ? now_ns - p.first_ns : p.first_ns - now_ns;
  return apart_ns > limits_.timeout_ns;
}

void Reassembler::expire(uint64_t now_ns) noexcept {
  for (const Ages& ages : ages_) {
    while (ages.oldest != kNone) {
      Partial& p = partials_[ages.oldest];
      // A clock that went back does not keep for hours what came before it did.
      p.first_ns = std::min(p.first_ns, now_ns);
      if (!is_over(p, now_ns)) break;
      remove(ages.oldest, FragmentOutcome::expired);
    }
  }
}

void Reassembler::give_up_all() noexcept {
  for (const Ages& ages : ages_)
    while (ages.oldest != kNone) remove(ages.oldest, FragmentOutcome::expired);
}

}  // namespace weir::packet
