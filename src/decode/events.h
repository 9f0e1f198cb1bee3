// events.h — What a decoder has to tell besides records: exporters met, what happened to templates,
// names that options data carry.
//
// Runs on:  the decoder's thread. An EventSink takes a copy and returns at once; it does no I/O.
// Bounds:   at most one event for each template, set or options record of a datagram.
// Failure:  what the sink does not take is counted (events_dropped). A name that was not taken is told
//           again when the exporter repeats it.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "base/ip_address.h"
#include "base/named_enum.h"

namespace weir::decode {

struct DecoderCounters;

/// A definition that was known already is no event. `conflict`: two ports of one exporter contradict
/// each other, and the older definition keeps to its own port. `missing`: the first set of an id
/// whose template is not known.
// clang-format off
#define WEIR_EVENT_KINDS(X)                                                            \
  X(exporter_seen) X(template_learned) X(template_redefined) X(template_conflict)      \
  X(template_evicted) X(template_expired) X(template_withdrawn) X(template_missing)    \
  X(template_refused) X(name_learned) X(name_changed)
// clang-format on
WEIR_NAMED_ENUM(EventKind, uint8_t, WEIR_EVENT_KINDS)

#define WEIR_NAME_KINDS(X) X(interface) X(vrf) X(application) X(sampler)
WEIR_NAMED_ENUM(NameKind, uint8_t, WEIR_NAME_KINDS)

#define WEIR_TEMPLATE_USES(X) X(unknown) X(data) X(options) X(not_decodable)
WEIR_NAMED_ENUM(TemplateUse, uint8_t, WEIR_TEMPLATE_USES)

inline constexpr size_t kNameKeyOctetsMax = 16;    // RFC 6759's application ids have up to 9
inline constexpr size_t kNameOctetsMax = 128;      // what is longer is cut
inline constexpr size_t kNameTextOctetsMax = 256;  // name and description together

struct Event {
  EventKind kind = EventKind::count_;
  NameKind name_kind = NameKind::count_;
  TemplateUse use = TemplateUse::unknown;
  uint8_t key_octets = 0;
  uint16_t version = 0;  // of the domain's protocol: 5, 9, 10; sFlow: 6343
  uint16_t port = 0;     // UDP source port of the datagram at hand; 0: of none
  uint16_t template_id = 0;
  uint16_t fields = 0;      // of the template
  uint16_t other_port = 0;  // conflict: whose definition keeps to itself
  bool has_name = false;    // said, if only to be empty
  bool has_description = false;
  uint8_t name_octets = 0;
  uint8_t description_octets = 0;
  uint32_t domain = 0;
  uint64_t at_ns = 0;              // of the datagram at hand, or of the tick
  uint64_t exporter_since_ns = 0;  // when this core met it
  IpAddress exporter;
  uint64_t rate = 0;  // sampler: 0: not said
  // A number's octets in network order, without leading zeros; an application id as it came.
  uint8_t key[kNameKeyOctetsMax];
  uint8_t text[kNameTextOctetsMax];  // the name, then the description

  std::string_view key_text() const noexcept {
    return {reinterpret_cast<const char*>(key), key_octets};
  }
  std::string_view name() const noexcept {
    return {reinterpret_cast<const char*>(text), name_octets};
  }
  std::string_view description() const noexcept {
    return {reinterpret_cast<const char*>(text) + name_octets, description_octets};
  }
  /// Of a key that is a number.
  uint64_t id() const noexcept {
    uint64_t value = 0;
    for (size_t i = 0; i < key_octets; ++i) value = value << 8 | key[i];
    return value;
  }
};
static_assert(std::is_trivially_copyable_v<Event>);

/// Takes a decoder's events.
class EventSink {
 public:
  /// Whether there was room for it.
  virtual bool on_event(const Event& event) noexcept = 0;

 protected:
  ~EventSink() = default;
};

/// The decoder's way to its sink: fills in the time, makes the wall clock's of it, counts.
class EventOutlet {
 public:
  EventOutlet(EventSink* sink, DecoderCounters& counters) noexcept
      : sink_(sink), counters_(counters) {}

  /// Nobody listens: there is no need to make an event.
  bool is_closed() const noexcept { return sink_ == nullptr; }
  /// By the clock that state ages by, and from there to the wall clock, which events tell.
  void set_now(uint64_t aged_ns, uint64_t wall_offset_ns) noexcept {
    now_ns_ = aged_ns + wall_offset_ns;
    wall_offset_ns_ = wall_offset_ns;
  }
  /// False where it was lost and has to be told again, if that matters.
  bool emit(Event& event) noexcept;

 private:
  EventSink* const sink_;
  DecoderCounters& counters_;
  uint64_t now_ns_ = 0;
  uint64_t wall_offset_ns_ = 0;
};

}  // namespace weir::decode
