// sflow_counters.cc — The blocks of a counter sample, found and checked.
#include <algorithm>

#include "base/xdr.h"
#include "decode/sflow_filler.h"

namespace weir::decode {
namespace {

constexpr uint32_t kBlockHeaderOctets = 8;

struct Ignore {
  void on_value(uint32_t, CounterType, const CounterValue&) noexcept {}
  void begin_element(uint32_t) noexcept {}
  void end_element() noexcept {}
};

}  // namespace

bool read_counter_sample(std::span<const uint8_t> sample, SampleForm form,
                         QuirkBook& quirks, SourceReport& source,
                         std::span<CounterBlock> room, size_t& blocks) noexcept {
  if (sample.size() < source_octets(form)) return false;
  source = peek_source(sample, form);
  XdrReader in(sample.subspan(source_octets(form)));
  uint32_t promised = in.u32();
  if (!in.ok()) return false;

  blocks = 0;
  // Both the block by its layout and, where it holds more than that, its octets take a place.
  const size_t blocks_max = room.size() / 2;
  if (promised > blocks_max) {
    quirks.note(Quirk::count_mismatch);
    promised = static_cast<uint32_t>(blocks_max);
  }
  for (; promised != 0 && in.left() >= kBlockHeaderOctets; --promised) {
    const uint32_t type = in.u32();
    const auto octets = in.variable();
    if (!in.ok()) break;
    CounterBlock block{counter_layout(type), type >> kSflowFormatBits, type & kSflowFormatMask,
                       octets};
    if (block.layout == nullptr) {
      quirks.note(Quirk::unknown_counter_block);
      room[blocks++] = block;
      continue;
    }
    const auto has_layout = [&](const CounterBlock& b) { return b.layout == block.layout; };
    XdrReader values(octets);
    Ignore ignore;
    if (block.layout->blocks == CounterBlocks::one &&
        std::any_of(room.begin(), room.begin() + static_cast<ptrdiff_t>(blocks), has_layout)) {
      quirks.note(Quirk::repeated_element);
      block.layout = nullptr;
    } else if (!walk_counters(*block.layout, values, ignore)) {
      quirks.note(Quirk::truncated_record);
      block.layout = nullptr;
    }
    room[blocks++] = block;
    if (block.layout != nullptr && values.left() != 0) {
      // A newer agent's: what the layout does not know travels with all of the block.
      quirks.note(Quirk::unknown_counter_block);
      block.layout = nullptr;
      room[blocks++] = block;
    }
  }
  if (promised != 0) quirks.note(Quirk::truncated_record);
  return true;
}

}  // namespace weir::decode
