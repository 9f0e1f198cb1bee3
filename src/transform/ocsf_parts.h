// ocsf_parts.h — What the files that write OCSF events share: objects whose members may all be absent, and the parts of
// an event that have files of their own.
//
// Every member is written with a comma behind it; whoever ends an object puts its brace in the last one's place, and
// takes an object back that has got none.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "flow/flow_parser.h"
#include "export/json_parts.h"
#include "export/text_buffer.h"
#include "flow/flow_view.h"
#include "transform/decisions.h"
#include "transform/flow_facts.h"
#include "transform/verdict.h"

namespace weir::transform::parts {

using outbound::TextBuffer;

/// An object (or list) that is taken back where nothing was put into it. `opening`: its key and bracket.
class Scope {
 public:
  Scope(TextBuffer& out, std::string_view opening, char closing = '}') noexcept
      : out_(out), before_(out.used()), closing_(closing) {
    out.put(opening);
    first_ = out.used();
  }
  ~Scope() {
    if (out_.overflowed()) return;
    if (out_.used() == first_) {
      out_.cut(before_);
    } else {
      out_.last() = closing_;
      out_.put(',');
    }
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  TextBuffer& out_;
  const size_t before_;
  size_t first_;
  const char closing_;
};

inline constexpr size_t kMacTextOctets = 17;

/// Of one that something was put into.
inline void close_object(TextBuffer& out) noexcept {
  if (out.overflowed()) return;
  out.last() = '}';
  out.put(',');
}

// What stands behind a key, and the comma behind it; there is room at `p`.
char* write_number(char* p, uint64_t v) noexcept;
char* write_quoted_number(char* p, uint64_t v) noexcept;
char* write_plain(char* p, std::string_view text) noexcept;
char* write_mac(char* p, uint64_t mac) noexcept;
/// Other octets than an address's as hexadecimal digits.
char* write_address(char* p, std::string_view octets) noexcept;

/// `key` with its quotes and colon, and at most `octets` that `write` puts behind it.
// PERF: one check of the room for both, and the key, which is a constant, a few moves (event/mixed_10_exporters, perf/bench_transform).
template <class Write>
__attribute__((always_inline)) inline void put_member(TextBuffer& out, std::string_view key, size_t octets, Write write) {
  char* const p = out.room_for(key.size() + octets);
  if (p == nullptr) return;
  copy_short(reinterpret_cast<uint8_t*>(p), reinterpret_cast<const uint8_t*>(key.data()), key.size());
  out.end_at(write(p + key.size()));
}
__attribute__((always_inline)) inline void put_number(TextBuffer& out, std::string_view key, uint64_t v) {
  put_member(out, key, kDecimalTextRoom + 1, [v](char* p) { return write_number(p, std::min(v, kLongMax)); });
}
__attribute__((always_inline)) inline void put_quoted_number(TextBuffer& out, std::string_view key, uint64_t v) {
  put_member(out, key, kDecimalTextRoom + 3, [v](char* p) { return write_quoted_number(p, v); });
}
__attribute__((always_inline)) inline void put_mac(TextBuffer& out, std::string_view key, uint64_t mac) {
  put_member(out, key, kMacTextOctets + 3, [mac](char* p) { return write_mac(p, mac); });
}
inline void put_text(TextBuffer& out, std::string_view key, std::string_view text) {
  out.put(key);
  outbound::parts::put_string(out, text);
  out.put(',');
}
inline void put_text_if_any(TextBuffer& out, std::string_view key, std::string_view text) {
  if (!text.empty()) put_text(out, key, text);
}
/// Text that needs no escapes.
__attribute__((always_inline)) inline void put_plain(TextBuffer& out, std::string_view key, std::string_view text) {
  put_member(out, key, text.size() + 3, [text](char* p) { return write_plain(p, text); });
}
__attribute__((always_inline)) inline void put_address(TextBuffer& out, std::string_view key, std::string_view octets) {
  put_member(out, key, std::max(kIpv6TextRoom, 2 * octets.size()) + 3, [octets](char* p) { return write_address(p, octets); });
}

/// Protocols whose ports are ports: TCP, UDP, DCCP, SCTP, UDP-Lite; and flows whose exporter did not say the protocol.
inline bool has_ports(uint64_t proto) noexcept {
  return proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136 || proto == 0;
}
inline constexpr uint64_t kPortMax = 65'535;
/// Whether the endpoint of a flow says its port, or `unmapped` does.
inline bool is_port(const FlowView& flow, NumberSlot port) noexcept {
  return flow[port] != 0 && flow[port] <= kPortMax && has_ports(flow[NumberSlot::proto]);
}

/// Which of the fields that may go to `unmapped` are written; of all others nothing.
struct FieldChoice {
  std::array<bool, static_cast<size_t>(NumberSlot::count_)> numbers{};
  std::array<bool, static_cast<size_t>(OctetsSlot::count_)> octets{};
  std::array<bool, static_cast<size_t>(ListSlot::count_)> lists{};
  uint64_t targets_elsewhere = 0;  // of rules: by their places

  bool wants(NumberSlot slot) const noexcept { return numbers[static_cast<size_t>(slot)]; }
  bool wants(OctetsSlot slot) const noexcept { return octets[static_cast<size_t>(slot)]; }
  bool wants(ListSlot slot) const noexcept { return lists[static_cast<size_t>(slot)]; }
  bool wants_target(size_t place) const noexcept { return place >= 64 || (targets_elsewhere >> place & 1) == 0; }
};
void put_fields(TextBuffer& out, const FlowView& flow, const Decisions& decisions, const FieldChoice& choice);

void put_endpoints(TextBuffer& out, const FlowView& flow, const Decisions& decisions, const Inside& inside);
void put_connection(TextBuffer& out, const FlowView& flow, const Decisions& decisions, const Inside& inside, bool with_community_id);
void put_traffic(TextBuffer& out, const FlowView& flow);
/// What was counted since the flow began, where its exporter tells that beside what is new.
void put_cumulative_traffic(TextBuffer& out, const FlowView& flow);
/// Both directions of octets and packets, where there are any.
void put_volumes(TextBuffer& out, const Volume& bytes, const Volume& packets);
void put_unmapped(TextBuffer& out, const FlowView& flow, const Decisions& decisions);
/// `enrichments` and `osint`.
void put_enrichments(TextBuffer& out, const FlowView& flow, const Decisions& decisions);
/// But for the flow's ends.
void put_enrichments_of_others(TextBuffer& out, const FlowView& flow, const Decisions& decisions);

}  // namespace weir::transform::parts
