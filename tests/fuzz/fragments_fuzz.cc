// fragments_fuzz.cc — Fragments of a few datagrams in any order, with any offsets, sizes and times.
//
// Four octets of the input are a fragment: which of eight datagrams (of two sources) it belongs to and
// whether it lies about its octets, whether its source is known, its offset, its size, and how much time passed.
//
// Oracle: a plain model, which keeps what came in maps and lists, says of each fragment what becomes of
// it and of which others, and what a datagram is made of.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "packet/reassembly.h"

namespace {

using weir::IpAddress;
using weir::packet::FragmentOutcome;
using weir::packet::FrameVerdict;
using weir::packet::FrameView;
using weir::packet::Reassembler;
using weir::packet::Standing;

constexpr weir::packet::ReassemblyLimits kLimits = {
    .datagrams_max = 5, .datagrams_per_source_max = 3, .timeout_ns = 1024};  // all of them within reach
constexpr size_t kOutcomes = static_cast<size_t>(FragmentOutcome::count_);

void require(bool holds) {
  if (!holds) std::abort();
}

/// What a datagram of `id` is made of: a UDP header without a checksum, then what tells its place. A lie
/// differs from it everywhere.
uint8_t octet_of(uint32_t id, size_t at, bool lies) {
  const uint16_t udp_length = id < 4 ? 72 : 2000;
  const std::array<uint8_t, 8> header = {
      7, 7, 8, 7, static_cast<uint8_t>(udp_length >> 8), static_cast<uint8_t>(udp_length), 0, 0};
  const auto told =
      at < header.size() ? header[at] : static_cast<uint8_t>(id * 37 + at * 11 + at / 251);
  return lies ? static_cast<uint8_t>(~told) : told;
}

struct Fragment {
  uint32_t id;
  bool lies;
  bool is_of_known;
  bool is_last;
  size_t offset;
  size_t size;
};

class Model {
 public:
  using Units = std::map<size_t, bool>;  // of 8 octets that are here, and whether they lie

  /// The units of the datagram that the fragment completes.
  std::optional<Units> add(const Fragment& f, uint64_t now_ns) {
    const size_t end = f.offset + f.size;
    if (f.size == 0 || end > 65515 || (!f.is_last && f.size % 8 != 0)) return lost(FragmentOutcome::malformed);
    if (f.offset == 0 && f.size < weir::packet::kFirstFragmentOctetsMin) return lost(FragmentOutcome::tiny);
    auto part = parts_.begin();
    while (part != parts_.end() && part->id != f.id) ++part;
    if (part != parts_.end() && is_over(*part, now_ns)) {
      drop(part, FragmentOutcome::expired);
      part = parts_.end();
    }
    if (part == parts_.end()) part = begin(f, now_ns);
    if (part == parts_.end()) return lost(FragmentOutcome::table_limit);
    if (part->why) return lost(*part->why);

    const auto refuse = [&](FragmentOutcome why) {
      give_up(*part, why);
      return lost(why);
    };
    if (f.is_last && part->end && *part->end != end) return refuse(FragmentOutcome::overlapping);
    if (!f.is_last && part->end && end > *part->end) return refuse(FragmentOutcome::overlapping);
    if (f.is_last && part->reach > end) return refuse(FragmentOutcome::overlapping);
    size_t units = 0, there = 0, alike = 0;
    for (size_t unit = f.offset / 8; unit * 8 < end; ++unit, ++units) {
      const auto found = part->units.find(unit);
      there += found != part->units.end();
      alike += found != part->units.end() && found->second == f.lies;
    }
    if (there != 0) {
      if (alike < units || (f.is_last && !part->end)) return refuse(FragmentOutcome::overlapping);
      return lost(FragmentOutcome::duplicate);
    }
    if (part->fragments == weir::packet::kFragmentsPerDatagramMax) return refuse(FragmentOutcome::tiny);
    for (size_t unit = f.offset / 8; unit * 8 < end; ++unit) part->units[unit] = f.lies;
    part->reach = std::max(part->reach, end);
    ++part->fragments;
    if (f.is_last) part->end = end;
    if (!part->end || part->units.size() * 8 < *part->end) return std::nullopt;
    Units whole = part->units;
    outcomes[static_cast<size_t>(FragmentOutcome::joined)] += part->fragments;
    parts_.erase(part);
    return whole;
  }
  void expire(uint64_t now_ns) {
    for (const bool known : {false, true}) {
      for (auto oldest = oldest_of(known); oldest != parts_.end(); oldest = oldest_of(known)) {
        oldest->first_ns = std::min(oldest->first_ns, now_ns);
        if (!is_over(*oldest, now_ns)) break;
        drop(oldest, FragmentOutcome::expired);
      }
    }
  }
  void end() {
    while (!parts_.empty()) drop(parts_.begin(), FragmentOutcome::expired);
  }
  uint64_t waiting() const {
    uint64_t n = 0;
    for (const Part& part : parts_) n += part.fragments;
    return n;
  }

  std::array<uint64_t, kOutcomes> outcomes{};

 private:
  struct Part {
    uint32_t id;
    uint64_t first_ns;
    bool is_of_known;
    Units units{};
    std::optional<size_t> end{};
    size_t reach = 0;
    uint64_t fragments = 0;
    std::optional<FragmentOutcome> why{};
  };
  using Parts = std::list<Part>;  // oldest first

  static bool is_over(const Part& part, uint64_t now_ns) {
    const auto apart_ns = static_cast<int64_t>(now_ns - part.first_ns);
    return apart_ns > int64_t{kLimits.timeout_ns} || -apart_ns > int64_t{kLimits.timeout_ns};
  }

  Parts::iterator oldest_of(bool known) {
    return std::find_if(parts_.begin(), parts_.end(), [&](const Part& part) { return part.is_of_known == known; });
  }

  /// The end: there is no room for it.
  Parts::iterator begin(const Fragment& f, uint64_t now_ns) {
    size_t of_source = 0;
    auto oldest = parts_.end();
    for (auto part = parts_.begin(); part != parts_.end(); ++part) {
      if (part->id % 2 != f.id % 2) continue;
      if (of_source++ == 0) oldest = part;
    }
    if (of_source == kLimits.datagrams_per_source_max) {
      drop(oldest, FragmentOutcome::source_limit);
    } else if (parts_.size() == kLimits.datagrams_max) {
      auto victim = oldest_of(false);
      if (victim == parts_.end() && (f.is_of_known || is_over(parts_.front(), now_ns))) victim = parts_.begin();
      if (victim == parts_.end()) return victim;
      drop(victim, FragmentOutcome::table_limit);
    }
    return parts_.insert(parts_.end(), {.id = f.id, .first_ns = now_ns, .is_of_known = f.is_of_known});
  }
  std::nullopt_t lost(FragmentOutcome why) {
    ++outcomes[static_cast<size_t>(why)];
    return std::nullopt;
  }
  void give_up(Part& part, FragmentOutcome why) {
    if (part.why) return;
    outcomes[static_cast<size_t>(why)] += part.fragments;
    part.fragments = 0;
    part.why = why;
  }
  void drop(Parts::iterator part, FragmentOutcome why) {
    give_up(*part, why);
    parts_.erase(part);
  }

  Parts parts_;
};

/// The counters go on from input to input; nothing else does.
Reassembler reassembler(kLimits, 7);
std::array<uint64_t, kOutcomes> before{};

void require_alike(const Model& model) {
  for (size_t i = 0; i < kOutcomes; ++i) {
    const uint64_t counted = reassembler.counters().fragments[static_cast<FragmentOutcome>(i)].value();
    require(counted - before[i] == model.outcomes[i]);
  }
  require(reassembler.counters().waiting.value() == model.waiting());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Model model;
  uint64_t now_ns = 1'000'000;
  std::vector<uint8_t> octets;
  for (size_t i = 0; i < kOutcomes; ++i) {
    before[i] = reassembler.counters().fragments[static_cast<FragmentOutcome>(i)].value();
  }
  for (; size >= 4; data += 4, size -= 4) {
    // Both near the beginning and all over; sizes of whole units and not.
    const Fragment f = {.id = data[0] % 8u,
                        .lies = (data[0] & 0x08) != 0,
                        .is_of_known = (data[0] & 0x80) != 0,
                        .is_last = (data[0] & 0x10) != 0,
                        .offset = (data[0] & 0x20) != 0 ? size_t{data[1]} * 256 : size_t{data[1]} % 32 * 8,
                        .size = (data[0] & 0x40) != 0 ? size_t{data[2]} * 8 : size_t{data[2]}};
    if (data[3] % 16 == 0) now_ns += data[3] * 8u;
    if (data[3] % 16 == 1) now_ns -= data[3] / 16 * 128u;
    if (data[3] >= 128) {
      reassembler.expire(now_ns);
      model.expire(now_ns);
    }

    octets.resize(f.size);
    for (size_t i = 0; i < f.size; ++i) octets[i] = octet_of(f.id, f.offset + i, f.lies);
    FrameView view;
    view.verdict = FrameVerdict::fragment;
    view.src = IpAddress::from_v4(0xC0000201u + f.id % 2);
    view.dst = IpAddress::from_v4(0xC6336401u);
    view.payload = octets;
    view.fragment = {.id = f.id,
                     .offset_octets = static_cast<uint16_t>(f.offset),
                     .next_header = 17,
                     .is_last = f.is_last};
    const bool is_whole = reassembler.add(view, now_ns, f.is_of_known ? Standing::known : Standing::stranger);
    const std::optional<Model::Units> expected = model.add(f, now_ns);
    require(is_whole == expected.has_value());
    require_alike(model);
    if (!is_whole) continue;
    require(view.verdict != FrameVerdict::fragment && view.verdict < FrameVerdict::count_);
    for (size_t i = 0; i < view.payload.size(); ++i) {
      require(view.payload[i] == octet_of(f.id, i + 8, expected->at(i / 8 + 1)));
    }
  }
  reassembler.give_up_all();
  model.end();
  require_alike(model);
  return 0;
}
