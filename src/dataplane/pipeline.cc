#include "dataplane/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/clock.h"
#include "packet/joined_packet.h"

namespace weir::dataplane {
namespace {

constexpr uint64_t kTickIntervalNs = kNsPerSec;
// What was received so long ago at most, as lanes and sockets hold it, is of this machine's clocks.
constexpr uint64_t kOfNowNs = 60 * kNsPerSec;
RateLimits packet_limits(const RateLimits& limits) noexcept { return {.per_exporter = limits.packets_per_exporter}; }

}  // namespace

Result<std::unique_ptr<Pipeline>> Pipeline::create(const PipelineConfig& config) {
  auto rules = config.rules(config.batcher.core + size_t{1});
  if (!rules) return rules.error();
  return create(config, std::move(*rules));
}

Result<std::unique_ptr<Pipeline>> Pipeline::create(const PipelineConfig& config,
                                                   std::shared_ptr<const PlaneRules> rules) {
  decode::DecoderConfig decoder_config = config.decoder;
  decoder_config.listeners = rules->decoder.listeners;
  auto events = std::make_unique<EventRing>();
  decoder_config.events = events.get();
  std::unique_ptr<Pipeline> pipeline(new Pipeline(std::move(rules), std::move(events), config));
  if (!pipeline->records_.is_ready() || !pipeline->packet_limiter_.is_ready())
    return Error{fmt::format("no address space for rates of {} exporters", config.decoder.limits.exporters_most())};
  decoder_config.fuser = &pipeline->records_;
  Result<std::unique_ptr<decode::Decoder>> decoder = decode::Decoder::create(decoder_config);
  if (!decoder) return decoder.error();
  pipeline->decoder_ = std::move(*decoder);
  const RoleScope role(rx_lcore);  // no core has it yet
  pipeline->records_.serve(*pipeline->decoder_);
  return pipeline;
}

Pipeline::Pipeline(std::shared_ptr<const PlaneRules> rules, std::unique_ptr<EventRing> events,
                   const PipelineConfig& config)
    : first_rules_(std::move(rules)),
      rules_(first_rules_.get()),
      wanted_rules_(rules_),
      rules_in_use_(rules_),
      events_(std::move(events)),
      records_(config, *first_rules_, counters_.records_fused),
      packet_limiter_(packet_limits(config.rate_limits), config.decoder.limits.exporters_max, config.decoder.hash_seed,
                      config.decoder.limits.exporters_most()),
      reassembler_(config.reassembly, config.decoder.hash_seed),
      fragments_of_others_(config.reassembly.timeout_ns, config.decoder.hash_seed) {}

Pipeline::~Pipeline() = default;

/// Between two bursts.
void Pipeline::take_rules(const PlaneRules& rules) noexcept {
  rules_ = &rules;
  decoder_->set_rules(rules.decoder);
  records_.take_rules(rules);
  packet_limiter_.set_limits(packet_limits(rules.rate_limits));
  packet_limiter_.set_exporters_max(rules.decoder.exporters_max);
  rules_in_use_.store(&rules, std::memory_order_release);
}

namespace {

/// The frame as its port sees it.
packet::FrameView view_of(std::span<const uint8_t> frame, packet::LinkType link, FrameRules rules) noexcept {
  using packet::FrameVerdict;
  packet::FrameView view = packet::parse_frame(frame, link, rules.checksums);
  if (rules.vlans != nullptr && (view.verdict == FrameVerdict::udp || view.verdict == FrameVerdict::fragment)) [[unlikely]] {
    const uint16_t vlan = view.vlan_tags != 0 ? view.vlan_ids[0] : uint16_t{0};
    if (!(*rules.vlans)[vlan % kVlanIds]) view.verdict = FrameVerdict::other_vlan;
  }
  return view;
}

}  // namespace

void Pipeline::on_frame(std::span<const uint8_t> frame, packet::LinkType link, const Moment& received,
                        ExceptionLane* kernel, FrameRules rules) noexcept {
  using packet::FrameVerdict;
  counters_.frames.increment();
  counters_.frame_octets.add(frame.size());
  packet::FrameView view = view_of(frame, link, rules);
  counters_.verdicts[view.verdict].increment();
  if (view.verdict == FrameVerdict::udp) [[likely]] {
    if (!on_udp(view, {frame, link, view.vlan_tags, &view.dst}, received)) pass_on(frame, view, kernel);
  } else if (view.verdict == FrameVerdict::fragment) {
    if (!pass_fragment(frame, view, received.aged_ns, kernel)) on_fragment(frame, view, received, kernel);
  } else if (view.verdict == FrameVerdict::not_ip || view.verdict == FrameVerdict::not_udp ||
             view.verdict == FrameVerdict::other_vlan) {
    pass_on(frame, view, kernel);
  }
}

bool Pipeline::sort_frame(std::span<const uint8_t> frame, packet::LinkType link, ExceptionLane* kernel,
                          HandedFrame& handed, IpAddress& source, FrameRules rules) noexcept {
  using packet::FrameVerdict;
  counters_.frames.increment();
  counters_.frame_octets.add(frame.size());
  const packet::FrameView view = view_of(frame, link, rules);
  counters_.verdicts[view.verdict].increment();
  switch (view.verdict) {
    case FrameVerdict::udp: {
      const uint16_t listener_plus_one = rules_->listener_by_port[view.dst_port];
      if (listener_plus_one == 0) {
        counters_.no_listener.increment();
        pass_on(frame, view, kernel);
        return false;
      }
      handed.kind = HandedKind::datagram;
      handed.listener = {static_cast<uint16_t>(listener_plus_one - 1)};
      break;
    }
    case FrameVerdict::fragment:
      if (pass_fragment(frame, view, handed.received.aged_ns, kernel)) return false;
      fragments_of_others_.note(view, packet::FragmentOwner::worker, handed.received.aged_ns);
      handed.kind = HandedKind::fragment;
      break;
    case FrameVerdict::not_ip:
    case FrameVerdict::not_udp:
    case FrameVerdict::other_vlan: pass_on(frame, view, kernel); return false;
    default: return false;
  }
  handed.link = link;
  source = view.src;
  return true;
}

void Pipeline::catch_up() noexcept {
  if (const PlaneRules* wanted = wanted_rules_.load(std::memory_order_acquire); wanted != rules_)
    take_rules(*wanted);
}

void Pipeline::on_handed_frame(std::span<const uint8_t> frame, const HandedFrame& handed, ExceptionLane* kernel) noexcept {
  counters_.taken[handed.kind].increment();
  packet::FrameView view = packet::parse_frame(frame, handed.link);
  if (handed.kind == HandedKind::fragment) return on_fragment(frame, view, handed.received, kernel);
  const Arrival arrival{frame, handed.link, view.vlan_tags, &view.dst};
  // A listener that is gone keeps its place; one that is not there yet can only be when two cores hand frames to
  // each other.
  if (handed.listener.value < rules_->listeners.size()) [[likely]] {
    on_listened(view, arrival, handed.listener, handed.received);
  } else if (!on_udp(view, arrival, handed.received)) {
    counters_.exceptions[ExceptionOutcome::no_interface].increment();
  }
}

bool Pipeline::pass_fragment(std::span<const uint8_t> frame, const packet::FrameView& view, uint64_t aged_ns,
                             ExceptionLane* kernel) noexcept {
  using packet::FragmentOwner;
  if (const std::optional<uint16_t> port = packet::port_of_first(view); port) {
    if (rules_->listener_by_port[*port] != 0) {
      fragments_of_others_.forget(view);
      return false;
    }
    // Pieces of it have come before it, and wait, here or at a worker: with them it is put together, and then given on.
    if (reassembler_.has_some_of(view, aged_ns)) return false;
    if (fragments_of_others_.owner_of(view, aged_ns) == FragmentOwner::worker) return false;
    fragments_of_others_.note(view, FragmentOwner::host, aged_ns);
  } else if (fragments_of_others_.owner_of(view, aged_ns) != FragmentOwner::host) {
    return false;
  }
  reassembler_.refuse(packet::FragmentOutcome::no_listener);
  pass_on(frame, view, kernel);
  return true;
}

void Pipeline::on_fragment(std::span<const uint8_t> frame, packet::FrameView& view, const Moment& received,
                           ExceptionLane* kernel) noexcept {
  using packet::FrameVerdict;
  if (!join(view, received)) return;
  if (view.verdict != FrameVerdict::udp && view.verdict != FrameVerdict::not_udp) return;
  if (view.verdict == FrameVerdict::udp && on_udp(view, {.destination = &view.dst}, received)) return;
  ExceptionOutcome outcome = ExceptionOutcome::joined;
  if (kernel != nullptr) {
    std::array<uint8_t, packet::kJoinedHeaderOctetsMax> headers;
    const std::span<const uint8_t> whole = reassembler_.joined();
    const size_t octets = packet::write_joined_headers(frame, view, whole.size(), headers);
    outcome = kernel->offer_joined({headers.data(), octets}, whole, view);
  }
  counters_.exceptions[outcome].increment();
}

void Pipeline::pass_on(std::span<const uint8_t> frame, const packet::FrameView& view,
                       ExceptionLane* kernel) noexcept {
  const ExceptionOutcome outcome = kernel == nullptr ? ExceptionOutcome::no_interface : kernel->offer(frame, view);
  counters_.exceptions[outcome].increment();
}

/// Whether the fragment completed a datagram, which `view` is then. Who may not export takes nobody's place.
bool Pipeline::join(packet::FrameView& view, const Moment& received) noexcept {
  last_received_ns_ = received.aged_ns;
  const decode::AccessList& access = rules_->decoder.access;
  if (!access.is_open() && !access.admits(view.src)) {
    reassembler_.refuse(packet::FragmentOutcome::not_allowed);
    return false;
  }
  const bool is_known = decoder_->has_decoded(view.src);
  return reassembler_.add(view, received.aged_ns, is_known ? packet::Standing::known : packet::Standing::stranger);
}

bool Pipeline::on_udp(const packet::FrameView& view, const Arrival& arrival, const Moment& received) noexcept {
  const uint16_t listener_plus_one = rules_->listener_by_port[view.dst_port];
  if (listener_plus_one == 0) {
    counters_.no_listener.increment();
    return false;
  }
  on_listened(view, arrival, {static_cast<uint16_t>(listener_plus_one - 1)}, received);
  return true;
}

void Pipeline::on_listened(const packet::FrameView& view, const Arrival& arrival, ListenerId listener,
                           const Moment& received) noexcept {
  decode({.payload = view.payload,
          .source = view.src,
          .source_port = view.src_port,
          .local_port = view.dst_port,
          .listener = listener,
          .received_ns = received.wall_ns,
          .aged_ns = received.aged_ns},
         arrival);
}

void Pipeline::on_datagram(const Datagram& datagram) noexcept {
  assert(datagram.listener.value < rules_->listeners.size());
  decode(datagram, {});
}

void Pipeline::decode(const Datagram& datagram, const Arrival& arrival) noexcept {
  counters_.datagrams.increment();
  last_received_ns_ = datagram.age_time_ns();
  // What a session loses it would not say again: TCP has the exporter wait instead.
  if (!packet_limiter_.is_off() && datagram.session == 0 && !packet_limiter_.admit(datagram.source, 1)) [[unlikely]]
    return decoder_->refuse(datagram, decode::DatagramError::rate_limited);
  if (datagram_taps_ != nullptr) [[unlikely]] {
    decode_tapped(datagram, arrival);
  } else {
    decoder_->decode(datagram, records_);
  }
  const decode::Faults faults = decoder_->faults();
  if (replica_ != nullptr && datagram.session == 0 && (faults & bit_of(decode::Fault::exporter_not_allowed)) == 0)
    replica_->offer(datagram, arrival.destination);
  if (faults != 0) [[unlikely]]
    quarantine_.take(faults, datagram, arrival);
}

/// Definitions and withdrawals of templates, whatever became of them.
uint64_t Pipeline::templates_told() const noexcept {
  using decode::TemplateEvent;
  const auto& events = decoder_->counters().template_events;
  return events[TemplateEvent::learned].value() + events[TemplateEvent::refreshed].value() +
         events[TemplateEvent::redefined].value() + events[TemplateEvent::withdrawn].value() +
         events[TemplateEvent::refused].value();
}

void Pipeline::decode_tapped(const Datagram& datagram, const Arrival& arrival) noexcept {
  const uint64_t told_before = templates_told();
  decoder_->decode(datagram, records_);
  const decode::Faults faults = decoder_->faults();
  datagram_taps_->offer(datagram, arrival,
               {.is_rejected = faults != 0,
                .has_templates = templates_told() != told_before ||
                                 (faults & bit_of(decode::Fault::skipped_bad_template)) != 0});
}

void Pipeline::poll(uint64_t steady_now_ns, const Moment& now) noexcept {
  catch_up();
  if (const DatagramTaps* wanted = wanted_datagram_taps_.load(std::memory_order_acquire); wanted != datagram_taps_) {
    datagram_taps_ = wanted;
    datagram_taps_in_use_.store(wanted, std::memory_order_release);
  }
  records_.poll(steady_now_ns);
  packet_limiter_.tick(steady_now_ns);
  if (replica_ != nullptr) replica_->end_burst();
  quarantine_.poll(steady_now_ns);
  const Moment datagram_now = datagram_clock(steady_now_ns, now);
  if (steady_now_ns >= next_tick_ns_) {
    next_tick_ns_ = steady_now_ns + kTickIntervalNs;
    decoder_->tick(datagram_now);
    reassembler_.expire(datagram_now.aged_ns);
  }
  inquiries_.answer(answerer());
}

// The decoder's waiting data and templates age by the clock that its datagrams carry. That is one
// that nobody sets, except for replayed captures, which bring their own: there the time goes on from the
// newest datagram, or everything that waits would be years old at the first tick. A capture's time is the wall clock's as
// well; what came just now stands to the wall clock as this does, which may have been set since.
Moment Pipeline::datagram_clock(uint64_t steady_now_ns, const Moment& now) noexcept {
  if (last_received_ns_ != last_received_seen_ns_) {
    last_received_seen_ns_ = last_received_ns_;
    last_received_steady_ns_ = steady_now_ns;
  }
  if (last_received_ns_ == 0) return now;
  const uint64_t aged_ns = last_received_ns_ + (steady_now_ns - last_received_steady_ns_);
  const bool is_of_now = aged_ns + kOfNowNs - now.aged_ns < 2 * kOfNowNs;
  return {is_of_now ? aged_ns + (now.wall_ns - now.aged_ns) : aged_ns, aged_ns};
}

Answerer Pipeline::answerer() noexcept {
  return {.counters = counters_,
          .reassembly = reassembler_.counters(),
          .decoder = *decoder_,
          .batcher = records_.batcher(),
          .quarantine = quarantine_,
          .record_readers = records_.record_readers()};
}

Ledger Pipeline::ledger() const noexcept {
  return ledger_of(counters_, reassembler_.counters(), decoder_->counters(), records_.batcher().counters());
}

bool Pipeline::is_quiet() const noexcept {
  return !has_open_question() && !records_.batcher().has_open_batches();
}

void Pipeline::finish() noexcept {
  reassembler_.give_up_all();
  records_.batcher().seal_all();
  inquiries_.finish(answerer());
}

}  // namespace weir::dataplane
