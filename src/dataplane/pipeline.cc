#include "dataplane/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/clock.h"
#include "classify/stages.h"
#include "packet/joined_packet.h"

namespace weir::dataplane {
namespace {

constexpr uint64_t kTickIntervalNs = kNsPerSec;
// What was received so long ago at most, as lanes and sockets hold it, is of this machine'"'"'s clocks.
constexpr uint64_t kOfNowNs = 60 * kNsPerSec;
constexpr size_t kExporterRowsPerPoll = 64;  // about 10 KiB copied between two bursts
constexpr size_t kDomainRowsPerPoll = 256;   // as many as an exporter may have, unless configured
RateLimits packet_limits(const RateLimits& limits) noexcept { return {.per_exporter = limits.packets_per_exporter}; }

/// Each slice moves its cursor on or is the last; the bound holds should a decoder not do so.
constexpr size_t kSlicesAtEndMax = size_t{1} << 20;

}  // namespace

Result<std::shared_ptr<const PlaneRules>> PipelineConfig::rules(size_t cores, const PlaneRules* before) const {
  PlaneRules made;
  made.listeners = listeners;
  made.rate_limits = rate_limits;
  made.decoder.sampling_override = decoder.sampling_override;
  made.decoder.sampling_default = decoder.sampling_default;
  made.decoder.access = decoder.access;
  made.decoder.sites = decoder.sites;
  made.decoder.labels = decoder.labels;
  made.decoder.exporters_max = decoder.limits.exporters_max;
  made.splits = batcher.splits;
  made.buffers_in_reserve = batcher.buffers_in_reserve;
  made.rule_routes = rule_routes;
  if (before != nullptr && before->stages != nullptr && before->stages->rules() == classification) {
    made.stages = before->stages;
  } else if (classification != nullptr) {
    auto stages = classify::Stages::make(classification, cores);
    if (!stages) return Error{"classification: " + stages.error().message};
    made.stages = std::move(*stages);
  }
  return PlaneRules::make(std::move(made));
}

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
  if (!pipeline->rate_limiter_.is_ready() || !pipeline->packet_limiter_.is_ready())
    return Error{fmt::format("no address space for rates of {} exporters", config.decoder.limits.exporters_most())};
  decoder_config.fuser = pipeline.get();
  Result<std::unique_ptr<decode::Decoder>> decoder = decode::Decoder::create(decoder_config);
  if (!decoder) return decoder.error();
  pipeline->decoder_ = std::move(*decoder);
  const RoleScope role(rx_lcore);  // no core has it yet
  pipeline->choose_way();
  return pipeline;
}

Pipeline::Pipeline(std::shared_ptr<const PlaneRules> rules, std::unique_ptr<EventRing> events,
                   const PipelineConfig& config)
    : first_rules_(std::move(rules)),
      rules_(first_rules_.get()),
      wanted_rules_(rules_),
      rules_in_use_(rules_),
      events_(std::move(events)),
      why_unfused_(config.may_fuse ? decode::FuseVerdict::left_out : decode::FuseVerdict::switched_off),
      fused_way_(config.may_fuse ? fuse::FusedWay::create(config.batcher.kernel) : nullptr),
      batcher_(std::make_unique<outbound::Batcher>(config.batcher)),
      sflow_encoder_(config.batcher.kernel),
      rate_limiter_(config.rate_limits, config.decoder.limits.exporters_max, config.decoder.hash_seed,
                    config.decoder.limits.exporters_most()),
      packet_limiter_(packet_limits(config.rate_limits), config.decoder.limits.exporters_max, config.decoder.hash_seed,
                      config.decoder.limits.exporters_most()),
      core_(config.batcher.core),
      verdicts_(std::make_unique<classify::Verdict[]>(kBurstRecords)),
      reassembler_(config.reassembly, config.decoder.hash_seed),
      fragments_of_others_(config.reassembly.timeout_ns, config.decoder.hash_seed) {
  choose_stage();
}

Pipeline::~Pipeline() = default;

/// Between two bursts.
void Pipeline::take_rules(const PlaneRules& rules) noexcept {
  rules_ = &rules;
  decoder_->set_rules(rules.decoder);
  batcher_->set_splits(rules.splits);
  batcher_->set_reserve(rules.buffers_in_reserve);
  rate_limiter_.set_limits(rules.rate_limits);
  packet_limiter_.set_limits(packet_limits(rules.rate_limits));
  rate_limiter_.set_exporters_max(rules.decoder.exporters_max);
  packet_limiter_.set_exporters_max(rules.decoder.exporters_max);
  choose_stage();
  choose_way();
  rules_in_use_.store(&rules, std::memory_order_release);
}

void Pipeline::take_tap(const TapSet* set) noexcept {
  tap_ = set;
  choose_way();
  tap_in_use_.store(set, std::memory_order_release);
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
    decoder_->decode(datagram, *this);
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
  decoder_->decode(datagram, *this);
  const decode::Faults faults = decoder_->faults();
  datagram_taps_->offer(datagram, arrival,
               {.is_rejected = faults != 0,
                .has_templates = templates_told() != told_before ||
                                 (faults & bit_of(decode::Fault::skipped_bad_template)) != 0});
}

void Pipeline::on_records(const RecordBurst& burst) noexcept {
  assert(burst.listener.value < rules_->listeners.size());
  const bool go_together = stage_ == nullptr || stage_->look(burst, {verdicts_.get(), burst.records.size()});
  if (tap_ != nullptr) [[unlikely]] tap_->look(burst);
  const RouteId route = rules_->listeners[burst.listener.value].route;
  if (!go_together) return sort_records(burst, route);
  pass_records(burst, route);
}

/// By what rules said: those of one verdict that lie together go on together.
void Pipeline::sort_records(const RecordBurst& burst, RouteId route) noexcept {
  size_t end = 0;
  for (size_t begin = 0; begin < burst.records.size(); begin = end) {
    const classify::Verdict verdict = verdicts_[begin];
    end = begin + 1;
    while (end < burst.records.size() && verdicts_[end] == verdict) ++end;
    const size_t count = end - begin;
    if (verdict.fate == classify::Fate::dropped) {
      batcher_->drop(outbound::RecordDrop::dropped_by_rule, count);
    } else if (verdict.fate == classify::Fate::sampled_away) {
      batcher_->drop(outbound::RecordDrop::sampled_by_rule, count);
    } else {
      pass_records({burst.header, burst.records.subspan(begin, count), burst.arena, burst.listener, burst.packets,
                    burst.stage_arena},
                   verdict.route == 0 ? route : rules_->rule_routes[verdict.route - 1u]);
    }
  }
}

void Pipeline::pass_records(const RecordBurst& burst, RouteId route) noexcept {
  if (!rate_limiter_.is_off() &&
      !rate_limiter_.admit(burst.header.exporter_address, burst.records.size())) {
    return batcher_->drop(outbound::RecordDrop::rate_limited, burst.records.size(), burst.header,
                          route);
  }
  batcher_->add(burst, route);
}

void Pipeline::choose_stage() noexcept {
  stage_ = rules_->stages != nullptr ? &rules_->stages->of_core(core_) : nullptr;
}

/// Who looks at flows needs them as records, as do rules that ask for what each of them has; rate limits count by
/// bursts of them.
void Pipeline::choose_way() noexcept {
  RecordReaderKinds readers = 0;
  const auto note = [&readers](RecordReaderKind kind, bool reads) {
    if (reads) readers = static_cast<RecordReaderKinds>(readers | 1u << static_cast<unsigned>(kind));
  };
  note(RecordReaderKind::live_tail, tap_ != nullptr);
  note(RecordReaderKind::rate_limit, !rate_limiter_.is_off());
  note(RecordReaderKind::rules, stage_ != nullptr && stage_->rules().asks_every_record());
  const bool may_fuse = fused_way_ != nullptr && readers == 0;
  // Neither NetFlow v5 nor most templates have what these ask for.
  const bool asks_elements = stage_ != nullptr && stage_->rules().asks_elements();
  note(RecordReaderKind::element_rules, asks_elements);
  decoder_->set_fusing(!may_fuse       ? decode::Fusing::none
                       : asks_elements ? decode::Fusing::without_elements
                                       : decode::Fusing::all);
  // That is by listener, and the decoder's to mind.
  const auto& listeners = rules_->decoder.listeners;
  note(RecordReaderKind::inline_names, std::any_of(listeners.begin(), listeners.end(),
                                                   [](const auto& listener) { return listener.inline_names; }));
  record_readers_ = readers;
}

decode::RecordFuser::Compiled Pipeline::compile(const decode::Plan& plan) noexcept {
  if (fused_way_ == nullptr) return {.verdict = why_unfused_, .form = {}};
  return fused_way_->compile(plan);
}

decode::FuseRefusal Pipeline::on_laid_out(const decode::LaidOutRecords& records) noexcept {
  assert(records.listener.value < rules_->listeners.size());
  const fuse::FusedWay::Added added =
      fused_way_->add(records, rules_->listeners[records.listener.value].route, *batcher_);
  counters_.records_fused.add(added.fused);
  return added.refusal;
}

void Pipeline::on_counters(const SflowCounters& sample) noexcept {
  deliver(sample, outbound::RecordKind::sflow_counters,
          rules_->listeners[sample.listener.value].counters_route);
}

void Pipeline::on_discard(const SflowDiscard& discard) noexcept {
  deliver(discard, outbound::RecordKind::sflow_discard,
          rules_->listeners[discard.listener.value].discards_route);
}

template <class Sample>
void Pipeline::deliver(const Sample& sample, outbound::RecordKind kind,
                       std::optional<RouteId> route) noexcept {
  if (!route) return batcher_->drop(outbound::RecordDrop::filtered);
  if (!rate_limiter_.is_off() && !rate_limiter_.admit(sample.header.exporter_address, 1)) {
    return batcher_->drop(outbound::RecordDrop::rate_limited, 1, sample.header, *route);
  }
  batcher_->add_message(sflow_encoder_.encode(sample), kind, *route, sample.header);
}

void Pipeline::poll(uint64_t steady_now_ns, const Moment& now) noexcept {
  catch_up();
  if (const TapSet* wanted = wanted_tap_.load(std::memory_order_acquire); wanted != tap_) take_tap(wanted);
  if (tap_ != nullptr) [[unlikely]] tap_->tick(steady_now_ns);
  if (const DatagramTaps* wanted = wanted_datagram_taps_.load(std::memory_order_acquire); wanted != datagram_taps_) {
    datagram_taps_ = wanted;
    datagram_taps_in_use_.store(wanted, std::memory_order_release);
  }
  batcher_->poll(steady_now_ns);
  rate_limiter_.tick(steady_now_ns);
  packet_limiter_.tick(steady_now_ns);
  if (replica_ != nullptr) replica_->end_burst();
  quarantine_.poll(steady_now_ns);
  const Moment datagram_now = datagram_clock(steady_now_ns, now);
  if (steady_now_ns >= next_tick_ns_) {
    next_tick_ns_ = steady_now_ns + kTickIntervalNs;
    decoder_->tick(datagram_now);
    reassembler_.expire(datagram_now.aged_ns);
  }
  answer(exporter_inquiry_, 1);
  answer(state_inquiry_, 1);
  answer(quarantine_inquiry_, 1);
  answer(detail_inquiry_, 1);
}

template <class Query>
void Pipeline::answer(Inquiry<Query>& inquiry, size_t slices_max) noexcept {
  Query* const query = inquiry.open();
  if (query == nullptr) return;
  for (size_t i = 0; i < slices_max; ++i) {
    if (!answer_slice(*query)) continue;
    inquiry.answer();
    return;
  }
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

Ledger Pipeline::ledger() const noexcept {
  const decode::DecoderCounters& d = decoder_->counters();
  const outbound::BatcherCounters& b = batcher_->counters();
  Ledger ledger;
  ledger.frames = counters_.frames.value();
  ledger.verdicts = Tally(counters_.verdicts);
  ledger.fragments = Tally(reassembler_.counters().fragments);
  ledger.fragments_waiting = reassembler_.counters().waiting.value();
  ledger.reassembled = Tally(reassembler_.counters().datagrams);
  ledger.no_listener = counters_.no_listener.value();
  ledger.exceptions = Tally(counters_.exceptions);
  ledger.handed = Tally(counters_.handover.handed);
  ledger.worker_full = Tally(counters_.handover.full);
  ledger.taken = Tally(counters_.taken);
  ledger.datagrams = d.datagrams.value();
  ledger.datagrams_decoded = d.datagrams_decoded.value();
  ledger.datagram_errors = Tally(d.datagram_errors);
  ledger.sets = d.sets.value();
  ledger.set_octets = d.set_octets.value();
  ledger.set_outcomes = Tally(d.set_outcomes);
  ledger.set_outcome_octets = Tally(d.set_outcome_octets);
  ledger.sequence_lost = d.sequence_lost.value();
  ledger.records = d.records.value();
  ledger.counter_records = d.counter_records.value();
  ledger.discard_records = d.discard_records.value();
  ledger.encoded = b.encoded.value();
  ledger.record_drops = Tally(b.drops);
  return ledger;
}

bool Pipeline::answer_slice(ExporterQuery& query) noexcept {
  if (!query.has_books) {
    query.books = {ledger(), batcher_->open_records(),
                   batcher_->counters().records_sealed.value()};
    query.has_books = true;
  }
  const std::span<decode::ExporterStats> room =
      std::span(query.rows)
          .subspan(query.filled)
          .first(std::min(kExporterRowsPerPoll, query.rows.size() - query.filled));
  if (!query.exporters_done) {
    if (!room.empty()) query.filled += decoder_->copy_exporters(query.cursor, room);
    query.exporters_done = query.cursor == 0 || query.filled == query.rows.size();
    const uint64_t exporters = decoder_->counters().exporters.value();
    query.omitted = exporters > query.filled ? exporters - query.filled : 0;
    if (!query.exporters_done || !query.domains.empty()) return false;
  } else {
    const auto rows = std::span(query.domains).subspan(query.domains_filled);
    const size_t n = decoder_->copy_domains(query.domains_cursor,
                                            rows.first(std::min(rows.size(), kDomainRowsPerPoll)));
    query.domains_filled += n;
    const bool is_over = query.domains_cursor == 0 || query.domains_filled == query.domains.size();
    if (!is_over && n != 0) return false;
  }
  return true;
}

bool Pipeline::answer_slice(StateQuery& query) noexcept {
  const auto room = std::span(query.octets).subspan(query.filled);
  query.filled += decoder_->copy_state(query.cursor, room);
  const bool has_room = query.octets.size() - query.filled >= decode::kStateChunkOctetsMin;
  return query.cursor.is_over || !has_room;
}

bool Pipeline::answer_slice(DetailQuery& query) noexcept {
  const auto room = std::span(query.octets).subspan(query.filled);
  if (room.size() < decode::kStateChunkOctetsMin) {
    query.is_cut = true;
    return true;
  }
  query.filled += decoder_->copy_exporter(query.exporter, query.cursor, room);
  query.record_readers = record_readers_;
  return query.cursor.is_over;
}

bool Pipeline::has_open_question() const noexcept {
  return exporter_inquiry_.is_open() || state_inquiry_.is_open() || quarantine_inquiry_.is_open() ||
         detail_inquiry_.is_open();
}

bool Pipeline::is_quiet() const noexcept {
  return !has_open_question() && !batcher_->has_open_batches();
}

void Pipeline::finish() noexcept {
  reassembler_.give_up_all();
  batcher_->seal_all();
  answer(exporter_inquiry_, kSlicesAtEndMax);
  answer(state_inquiry_, kSlicesAtEndMax);
  answer(quarantine_inquiry_, kSlicesAtEndMax);
  answer(detail_inquiry_, kSlicesAtEndMax);
}

}  // namespace weir::dataplane
