#include "dataplane/exception_lane.h"

#include <algorithm>
#include <cstring>

#include "base/byte_order.h"
#include "base/clock.h"
#include "packet/joined_packet.h"
#include "packet/reassembly.h"

namespace weir::dataplane {
namespace {

constexpr size_t kMacsOctets = 12;
constexpr size_t kVlanTagOctets = 4;
constexpr size_t kEtherTypeOctets = 2;
constexpr uint16_t kArp = 0x0806;
constexpr uint16_t kIpv6 = 0x86dd;
constexpr size_t kIpv6HeaderOctets = 40;
constexpr size_t kIpv6NextHeaderAt = 6;
constexpr size_t kJoinedOctetsMax = packet::kJoinedHeaderOctetsMax + packet::kReassembledOctetsMax;
constexpr uint8_t kIcmpv6 = 58;
constexpr uint8_t kRouterSolicitation = 133;  // to Redirect, RFC 4861 §4
constexpr uint8_t kRedirect = 137;

/// Without it nobody finds the appliance, exporters' routers included.
bool finds_neighbours(std::span<const uint8_t> frame, size_t vlan_tags) noexcept {
  const size_t at = kMacsOctets + kVlanTagOctets * vlan_tags;
  if (frame.size() < at + kEtherTypeOctets) return false;
  const uint16_t ether_type = load_be16(frame.data() + at);
  if (ether_type == kArp) return true;
  const std::span<const uint8_t> packet = frame.subspan(at + kEtherTypeOctets);
  if (ether_type != kIpv6 || packet.size() <= kIpv6HeaderOctets || packet[kIpv6NextHeaderAt] != kIcmpv6) return false;
  const uint8_t type = packet[kIpv6HeaderOctets];
  return type >= kRouterSolicitation && type <= kRedirect;
}

}  // namespace

FrameCredit::FrameCredit(uint32_t frames_per_second) noexcept
    : cost_ns_(frames_per_second == 0 ? 0 : kNsPerSec / frames_per_second), credit_ns_(kBurst * cost_ns_) {}

void FrameCredit::refill(uint64_t steady_now_ns) noexcept {
  const uint64_t since_ns = steady_now_ns - std::min(refilled_ns_, steady_now_ns);
  credit_ns_ = std::min(kBurst * cost_ns_, credit_ns_ + std::min(since_ns, kBurst * cost_ns_));
  refilled_ns_ = steady_now_ns;
}

bool FrameCredit::take(uint64_t reserve, uint64_t frames) noexcept {
  if (credit_ns_ < (frames + reserve) * cost_ns_) return false;
  credit_ns_ -= frames * cost_ns_;
  return true;
}

ExceptionLane::ExceptionLane(const Config& config, Waker& consumer)
    : config_(config),
      consumer_(consumer),
      octets_(std::make_unique_for_overwrite<uint8_t[]>(kFrames * config.frame_octets_max + kJoinedOctetsMax)),  // touched as it is used
      longest_(config.frame_octets_max),
      credit_(config.frames_per_second) {}

ExceptionOutcome ExceptionLane::take_in(std::span<const uint8_t> head, std::span<const uint8_t> rest,
                                        const packet::FrameView& view) noexcept {
  const bool is_to_group = (view.dst_mac[0] & 1) != 0;
  if (!is_to_group && view.dst_mac != config_.mac) return ExceptionOutcome::other_mac;
  size_t tag_octets = 0;
  if (config_.vlan != 0) {
    if (view.vlan_tags == 0 || view.vlan_ids[0] != config_.vlan) return ExceptionOutcome::other_vlan;
    tag_octets = kVlanTagOctets;
  }
  const size_t octets = head.size() + rest.size() - tag_octets;
  if (octets > (rest.empty() ? longest_.load(std::memory_order_relaxed) : kJoinedOctetsMax)) return ExceptionOutcome::too_long;
  const size_t places = places_of(octets);
  const auto kept_of = [&](size_t whole) -> size_t {
    if (view.verdict == packet::FrameVerdict::udp || view.verdict == packet::FrameVerdict::fragment) return whole / kKeptFromUdp;
    return finds_neighbours(head, view.vlan_tags) ? 0 : whole / kKeptFromOthers;
  };
  if (!credit_.take(kept_of(FrameCredit::kBurst), places)) return ExceptionOutcome::rate_limited;
  const size_t tail = tail_.load(std::memory_order_relaxed);
  const size_t free = kFrames - (tail - head_.load(std::memory_order_acquire));
  if (free < kept_of(kFrames) + places) return ExceptionOutcome::no_room;

  uint8_t* const to = place(tail);
  const size_t head_octets = head.size() - tag_octets;
  std::memcpy(to, head.data(), kMacsOctets);
  std::memcpy(to + kMacsOctets, head.data() + kMacsOctets + tag_octets, head_octets - kMacsOctets);
  if (!rest.empty()) std::memcpy(to + head_octets, rest.data(), rest.size());
  lengths_[tail % kFrames] = static_cast<uint32_t>(octets);
  tail_.store(tail + places, std::memory_order_release);
  has_news_ = true;
  return ExceptionOutcome::passed;
}

std::span<const uint8_t> ExceptionLane::front() const noexcept {
  const size_t head = head_.load(std::memory_order_relaxed);
  if (head == tail_.load(std::memory_order_acquire)) return {};
  return {place(head), lengths_[head % kFrames]};
}

}  // namespace weir::dataplane
