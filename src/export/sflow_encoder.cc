#include "export/sflow_encoder.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string_view>

#include "base/utf8.h"
#include "export/wire.h"

namespace weir::outbound {
namespace {

using wire::put_tag;
using wire::put_varint;
using wire::tag;
using wire::WireType;

// SflowCounters' own fields.
enum CountersField : uint32_t {
  kTimeReceived = 1,
  kSamplerAddress = 2,
  kExporterAddress = 3,
  kExporterPort = 4,
  kSubAgent = 5,
  kSequence = 6,
  kUptime = 7,
  kSampleSequence = 8,
  kSourceClass = 9,
  kSourceIndex = 10,
  kPartition = 11,
  kSite = 12,
  kUnmapped = 100,
};
// SflowDiscard's.
enum DiscardField : uint32_t {
  kPacket = 2,
  kReason = 3,
  kDrops = 4,
  kDiscardSequence = 5,
  kDiscardClass = 6,
  kDiscardIndex = 7,
  kDiscardUptime = 8,
};

constexpr uint32_t kFixed32 = 5;  // the wire type of a float

uint8_t* put_octets(uint8_t* p, uint32_t field, std::span<const uint8_t> octets) noexcept {
  p = put_varint(put_tag(p, tag(field, WireType::octets)), octets.size());
  if (!octets.empty()) std::memcpy(p, octets.data(), octets.size());
  return p + octets.size();
}

uint8_t* put_address(uint8_t* p, uint32_t field, const IpAddress& address) noexcept {
  return put_octets(p, field, {address.wire_data(), address.wire_octets()});
}

uint8_t* put_text(uint8_t* p, uint32_t field, std::span<const uint8_t> text) noexcept {
  text = text.first(std::min(text.size(), kStringOctetsMax));
  p = put_octets(p, field, text);
  make_utf8(p - text.size(), text.size());
  return p;
}

uint8_t* put_text(uint8_t* p, uint32_t field, std::string_view text) noexcept {
  if (text.empty()) return p;
  return put_text(p, field, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

/// Nothing where it is 0, as proto3 has it.
uint8_t* put_number(uint8_t* p, uint32_t field, uint64_t v) noexcept {
  return wire::put_field(p, tag(field, WireType::varint), v);
}

/// A message whose length is known when it ends. One octet is left for it; most of them need two.
class Nested {
 public:
  Nested() = default;
  Nested(uint8_t* p, uint32_t field) noexcept
      : begin_(put_tag(p, tag(field, WireType::octets)) + 1) {}
  uint8_t* begin() const noexcept { return begin_; }
  uint8_t* finish(uint8_t* end) const noexcept {
    const auto octets = static_cast<size_t>(end - begin_);
    const size_t more = wire::varint_octets(octets) - 1;
    if (more != 0) std::memmove(begin_ + more, begin_, octets);
    put_varint(begin_ - 1, octets);
    return end + more;
  }

 private:
  uint8_t* begin_ = nullptr;
};

/// Writes the values of a block as they are told.
class BlockWriter {
 public:
  explicit BlockWriter(uint8_t* p) noexcept : p_(p) {}
  uint8_t* end() const noexcept { return p_; }

  void on_value(uint32_t field, CounterType type, const CounterValue& value) noexcept {
    switch (type) {
      case CounterType::u32:
        if (value.number != UINT32_MAX) put(field, value.number);
        break;
      case CounterType::u64:
        if (value.number != UINT64_MAX) put(field, value.number);
        break;
      case CounterType::i32:
      case CounterType::mac: put(field, value.number); break;
      case CounterType::f32: {
        *p_++ = static_cast<uint8_t>(field << 3 | kFixed32);
        const auto bits = static_cast<uint32_t>(value.number);
        std::memcpy(p_, &bits, sizeof bits);  // little end first, as this machine has it
        p_ += sizeof bits;
        break;
      }
      case CounterType::macs:
      case CounterType::i32s: put_list(field, type, value.octets); break;
      case CounterType::uuid: p_ = put_octets(p_, field, value.octets); break;
      case CounterType::text: {
        auto text = value.octets;
        while (!text.empty() && text.back() == 0) text = text.first(text.size() - 1);
        p_ = put_text(p_, field, text);
        break;
      }
    }
  }
  void begin_element(uint32_t field) noexcept {
    element_ = Nested(p_, field);
    p_ = element_.begin();
  }
  void end_element() noexcept { p_ = element_.finish(p_); }

 private:
  void put(uint32_t field, uint64_t v) noexcept {
    p_ = put_varint(put_tag(p_, tag(field, WireType::varint)), v);
  }
  void put_list(uint32_t field, CounterType type, std::span<const uint8_t> octets) noexcept {
    if (octets.empty()) return;
    const bool macs = type == CounterType::macs;
    const Nested packed(p_, field);
    p_ = packed.begin();
    for (const size_t each = macs ? 8 : 4; octets.size() >= each; octets = octets.subspan(each)) {
      const auto number = static_cast<int32_t>(load_be32(octets.data()));
      p_ = put_varint(p_, macs ? load_be(octets.data(), 6) : static_cast<uint64_t>(number));
    }
    p_ = packed.finish(p_);
  }

  uint8_t* p_;
  Nested element_;
};

uint8_t* put_block(uint8_t* p, const CounterBlock& block) noexcept {
  const Nested message(p, block.layout->field);
  BlockWriter writer(message.begin());
  XdrReader in(block.octets);
  [[maybe_unused]] const bool whole = walk_counters(*block.layout, in, writer);
  assert(whole);  // the decoder has walked it
  return message.finish(writer.end());
}

uint8_t* put_unmapped(uint8_t* p, const CounterBlock& block) noexcept {
  const Nested message(p, kUnmapped);
  uint8_t* q = message.begin();
  q = put_number(q, 1, block.enterprise);
  q = put_number(q, 2, block.format);
  if (!block.octets.empty()) q = put_octets(q, 3, block.octets);
  return message.finish(q);
}

uint8_t* put_header(uint8_t* p, const SflowCounters& sample) noexcept {
  const ExportHeader& h = sample.header;
  const IpAddress none;
  p = put_number(p, kTimeReceived, h.time_received_ns);
  if (h.sampler_address != none) p = put_address(p, kSamplerAddress, h.sampler_address);
  if (h.exporter_address != none && h.exporter_address != h.sampler_address) {
    p = put_address(p, kExporterAddress, h.exporter_address);
  }
  p = put_number(p, kExporterPort, h.exporter_port);
  p = put_number(p, kSubAgent, h.sub_agent_id);
  p = put_number(p, kSequence, h.sequence_num);
  p = put_number(p, kUptime, sample.origin.agent_uptime_ms);
  p = put_number(p, kSampleSequence, sample.origin.sequence);
  p = put_number(p, kSourceClass, sample.origin.source_class);
  p = put_number(p, kSourceIndex, sample.origin.source_index);
  p = put_text(p, kPartition, h.partition);
  return put_text(p, kSite, h.site);
}

}  // namespace

SflowEncoder::SflowEncoder(Kernel kernel)
    : encoder_(kernel), room_(new uint8_t[kSampleMessageOctetsMax + kStoreSlackOctets]) {}

std::span<const uint8_t> SflowEncoder::encode(const SflowCounters& sample) noexcept {
  uint8_t* p = put_header(room_.get(), sample);
  // Layouts lie in the order of their fields; samples have a handful of blocks.
  for (const CounterLayout& layout : kCounterLayouts) {
    for (const CounterBlock& block : sample.blocks) {
      if (block.layout == &layout) p = put_block(p, block);
    }
  }
  for (const CounterBlock& block : sample.blocks) {
    if (block.layout == nullptr) p = put_unmapped(p, block);
  }
  assert(p <= room_.get() + kSampleMessageOctetsMax);
  return {room_.get(), static_cast<size_t>(p - room_.get())};
}

std::span<const uint8_t> SflowEncoder::encode(const SflowDiscard& discard) noexcept {
  const HeaderPrefix prefix(discard.header);
  assert(Encoder::octets_max(prefix, discard.packet) < kSampleMessageOctetsMax / 2);
  uint8_t* p = room_.get();
  p += encoder_.encode(prefix, {&discard.packet, 1}, discard.arena, p);
  // The encoder frames it as a batch's field 1; here it is another field, of as short a tag.
  room_[0] = static_cast<uint8_t>(kPacket << 3 | static_cast<uint32_t>(WireType::octets));
  p = put_number(p, kReason, discard.reason);
  p = put_number(p, kDrops, discard.drops);
  p = put_number(p, kDiscardSequence, discard.origin.sequence);
  p = put_number(p, kDiscardClass, discard.origin.source_class);
  p = put_number(p, kDiscardIndex, discard.origin.source_index);
  p = put_number(p, kDiscardUptime, discard.origin.agent_uptime_ms);
  return {room_.get(), static_cast<size_t>(p - room_.get())};
}

}  // namespace weir::outbound
