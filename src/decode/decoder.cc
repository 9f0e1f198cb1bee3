#include "decode/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/byte_order.h"
#include "base/prefetch.h"
#include "decode/decoder_state.h"
#include "decode/message_framer.h"

namespace weir::decode {
namespace {

// A uint16_t counts the fields, and a set of 64 KiB has no room for more.
static_assert(kTemplateOctetsPerCoreMin >= Slab::kBlockOctetsMax);

bool admits(ProtocolFilter filter, ProtocolFilter protocol) noexcept {
  return filter == ProtocolFilter::any || filter == protocol;
}

/// What a listener allows, but no more than the decoder does.
ExporterLimits within(const DecoderLimits& all, const std::optional<ExporterLimits>& own) noexcept {
  const ExporterLimits most{
      .templates_max = all.templates_per_exporter_max,
      .template_fields_max = all.template_fields_max,
      .template_lifetime_ns = all.template_lifetime_ns,
      .pending_sets_max = all.pending_sets_per_exporter_max,
      .pending_sets_per_template = all.pending_entries_per_template_max,
      .pending_set_octets_max = all.pending_entry_octets_max,
      .pending_ttl_ns = all.pending_ttl_ns,
  };
  if (!own) return most;
  ExporterLimits limits = *own;
  limits.templates_max = std::clamp(limits.templates_max, 1u, most.templates_max);
  limits.template_fields_max = std::min(limits.template_fields_max, most.template_fields_max);
  limits.pending_sets_max = std::min(limits.pending_sets_max, most.pending_sets_max);
  limits.pending_sets_per_template =
      std::min(limits.pending_sets_per_template, most.pending_sets_per_template);
  limits.pending_set_octets_max =
      std::min(limits.pending_set_octets_max, most.pending_set_octets_max);
  return limits;
}

/// The longest lifetime that a template may have: 0 where none grows too old.
uint64_t longest_lifetime_ns(const DecoderLimits& limits, const DecoderRules& rules) noexcept {
  uint64_t longest = limits.template_lifetime_ns;
  for (const ListenerRules& listener : rules.listeners) {
    if (listener.limits) longest = std::max(longest, listener.limits->template_lifetime_ns);
  }
  return longest;
}

NameTable::Keep keep_of(const DecoderConfig& config) noexcept {
  for (const ListenerRules& rules : config.listeners) {
    if (rules.inline_names) return NameTable::Keep::names;
  }
  return NameTable::Keep::changes;
}

/// What is wrong with what a transport session gave as one message (RFC 7011 §9.1); count_: nothing. It is cut off where
/// the session ended within it.
DatagramError session_error(std::span<const uint8_t> message) noexcept {
  if (message.size() < 2) return DatagramError::truncated_message;
  if (load_be16(message.data()) != 10) return DatagramError::unknown_version;
  if (message.size() < 4) return DatagramError::truncated_message;
  const uint16_t length = load_be16(message.data() + 2);
  if (length < kIpfixHeaderOctets) return DatagramError::bad_length;
  return message.size() < length ? DatagramError::truncated_message : DatagramError::count_;
}

constexpr size_t kPrefetchedOctetsMax = 2048;  // a datagram's; longer ones are read in order

}  // namespace

Result<std::unique_ptr<Decoder>> Decoder::create(const DecoderConfig& config) {
  const DecoderLimits& l = config.limits;
  if (config.cores == 0) return Error{"decoder: cores is 0, at least 1 is needed"};
  if (l.exporters_max == 0) return Error{"decoder: exporters_max is 0, at least 1 is needed"};
  if (l.domains_per_exporter_max == 0) {
    return Error{"decoder: domains_per_exporter_max is 0, at least 1 is needed"};
  }
  if (l.templates_per_exporter_max == 0) {
    return Error{"decoder: templates_per_exporter_max is 0, at least 1 is needed"};
  }
  if (l.template_fields_max == 0 || l.template_fields_max > kTemplateFieldsLimit) {
    return Error{fmt::format("decoder: template_fields_max is {}, must be 1 to {}",
                             l.template_fields_max, kTemplateFieldsLimit)};
  }
  if (l.template_octets_total / config.cores < kTemplateOctetsPerCoreMin) {
    return Error{
        fmt::format("decoder: template_octets_total is {} for {} cores, at least {} a core "
                    "are needed",
                    l.template_octets_total, config.cores, kTemplateOctetsPerCoreMin)};
  }
  std::unique_ptr<DecoderState> state(new (std::nothrow) DecoderState(config));
  if (state == nullptr || !state->reserve()) {
    return Error{
        fmt::format("decoder: no address space for {} exporters, {} octets of templates and "
                    "{} octets of waiting data",
                    l.exporters_most(), l.template_octets_total, l.pending_octets_total)};
  }
  return std::unique_ptr<Decoder>(std::move(state));
}

DecoderState::DecoderState(const DecoderConfig& config) noexcept
    : config_(config),
      first_rules_{config.listeners, config.sampling_override, config.sampling_default, config.access,
                   config.sites, config.labels, config.limits.exporters_max},
      rules_(&first_rules_),
      quirks_(counters_.quirks),
      ledger_(counters_, quirks_, faults_),
      events_(config.events, counters_),
      pending_(config.limits, config.cores, ledger_),
      templates_(config.limits, config.limits.template_octets_total / config.cores,
                 config.hash_seed, ledger_, pending_, events_, config.fuser),
      rates_(config.limits.exporters_max, config.limits.exporters_most(), config.hash_seed, counters_),
      names_(config.limits.names_per_exporter_max, config.limits.exporters_max, config.limits.exporters_most(), keep_of(config),
             config.hash_seed),
      exporters_(config.limits, config.hash_seed, counters_, templates_, rates_, names_) {}

bool DecoderState::reserve() noexcept {
  limits_.reset(new (std::nothrow) ExporterLimits[kListenersMax]);
  if (limits_ == nullptr) return false;
  set_rules(first_rules_);
  const size_t fields = config_.limits.template_fields_max;
  fields_.reset(new (std::nothrow) FieldSpec[fields]);
  offsets_.reset(new (std::nothrow) uint32_t[fields]);
  widths_.reset(new (std::nothrow) uint16_t[fields]);
  return fields_ != nullptr && offsets_ != nullptr && widths_ != nullptr && pending_.reserve() &&
         templates_.reserve() && rates_.reserve() && names_.reserve() && exporters_.reserve() &&
         sflow_sources_.reserve() && adopt(config_.restored);
}

void DecoderState::set_rules(const DecoderRules& rules) noexcept {
  rules_ = &rules;
  for (size_t i = 0; i < kListenersMax; ++i) {
    limits_[i] = within(config_.limits,
                        i < rules.listeners.size() ? rules.listeners[i].limits : std::nullopt);
  }
  exporters_.set_rules(rules, longest_lifetime_ns(config_.limits, rules));
}

namespace {

constexpr FlowType flow_type_of(Protocol p) noexcept {
  switch (p) {
    case Protocol::netflow_v1: return FlowType::netflow_v1;
    case Protocol::netflow_v5: return FlowType::netflow_v5;
    case Protocol::netflow_v7: return FlowType::netflow_v7;
    case Protocol::netflow_v9: return FlowType::netflow_v9;
    case Protocol::ipfix: return FlowType::ipfix;
    case Protocol::sflow_5: return FlowType::sflow_5;
    case Protocol::count_: break;
  }
  return FlowType::unknown;
}

}  // namespace

Message::Message(Protocol p) noexcept : protocol(p) { header.type = flow_type_of(p); }

bool DecoderState::decode(const Datagram& d, RecordSink& sink) noexcept {
  // PERF: it comes from memory, or from the cache that the NIC writes to; lines asked for one by one,
  // when they are read, take 5 to 10 % longer (decode_only/netflow_v9, decode_encode/ipfix).
  prefetch(d.payload.data(), std::min(d.payload.size(), kPrefetchedOctetsMax));
  faults_ = 0;
  quirks_.close();  // whose they were may make room for another
  counters_.datagrams.increment();
  counters_.octets.add(d.payload.size());
  if (d.payload.empty()) return reject(d, DatagramError::empty);
  if (d.payload.size() < 4 && d.session == 0) return reject(d, DatagramError::truncated_header);
  if (!rules_->access.is_open() && !rules_->access.admits(d.source)) {
    return reject(d, DatagramError::exporter_not_allowed);
  }
  if (d.session != 0) {
    if (const DatagramError error = session_error(d.payload); error != DatagramError::count_) return reject(d, error);
  }
  const ProtocolFilter filter = d.listener.value < rules_->listeners.size()
                                    ? rules_->listeners[d.listener.value].protocol
                                    : ProtocolFilter::any;
  const uint16_t version = load_be16(d.payload.data());
  switch (version) {
    case 1:
      if (!admits(filter, ProtocolFilter::netflow)) break;
      return decode_netflow_fixed(Protocol::netflow_v1, d, sink);
    case 5:
      if (!admits(filter, ProtocolFilter::netflow)) break;
      return decode_netflow_fixed(Protocol::netflow_v5, d, sink);
    case 7:
      if (!admits(filter, ProtocolFilter::netflow)) break;
      return decode_netflow_fixed(Protocol::netflow_v7, d, sink);
    case 9:
      if (!admits(filter, ProtocolFilter::netflow)) break;
      return decode_netflow_v9(d, sink);
    case 10:
      // IPFIX is NetFlow's successor; a listener for NetFlow takes it too.
      if (filter == ProtocolFilter::sflow) break;
      return decode_ipfix(d, sink);
    case 6:
    case 8:
      if (!admits(filter, ProtocolFilter::netflow)) break;
      return reject(d, DatagramError::unsupported_version);
    case 0: {
      // sFlow's version has four octets.
      const uint32_t sflow = load_be32(d.payload.data());
      if (sflow != 2 && sflow != 4 && sflow != 5) {
        return reject(d, DatagramError::unknown_version);
      }
      if (!admits(filter, ProtocolFilter::sflow)) break;
      return sflow == 5 ? decode_sflow_v5(d, sink) : reject(d, DatagramError::unsupported_version);
    }
    default: return reject(d, DatagramError::unknown_version);
  }
  return reject(d, DatagramError::protocol_not_allowed);
}

void DecoderState::refuse(const Datagram& d, DatagramError error) noexcept {
  faults_ = 0;
  counters_.datagrams.increment();
  counters_.octets.add(d.payload.size());
  reject(d, error);
}

bool DecoderState::reject(const Datagram& d, DatagramError error) noexcept {
  counters_.datagram_errors[error].increment();
  counters_.listeners[place_of(d.listener)].rejected.increment();
  faults_ |= bit_of(fault_of(error));
  // What says nothing sensible makes no entry, but is told of exporters that are known.
  if (Exporter* e = exporters_.find(d.source); e != nullptr) {
    ++e->stats.datagrams;
    e->stats.octets += d.payload.size();
    ++e->stats.datagrams_rejected;
    e->stats.last_error = error;
    exporters_.hear(*e, d.age_time_ns());
  }
  return false;
}

bool DecoderState::begin(const Datagram& d, uint16_t version, uint32_t domain_id, Message& m,
                         const IpAddress& agent) noexcept {
  const uint64_t now_ns = d.age_time_ns();
  keep_time(now_ns, d.received_ns - now_ns);
  m.exporter = exporters_.find_or_add(d.source, now_ns);
  if (m.exporter == nullptr) return reject(d, DatagramError::exporter_table_full);
  exporters_.prefetch_state(*m.exporter, fusing_ != Fusing::none);
  quirks_.open(m.exporter->stats.quirks);
  if (m.exporter->stats.datagrams == 0) [[unlikely]] {
    begin_restore(*m.exporter);
  }
  m.domain = exporters_.find_or_add_domain(*m.exporter, version, domain_id, now_ns, agent,
                                           {d.session, d.session != 0 ? d.source_port : uint16_t{0}});
  // sFlow needs no state of its own but for its sequence: a relay of many agents is decoded
  // without.
  if (m.domain == nullptr && m.protocol != Protocol::sflow_5) {
    return reject(d, DatagramError::domain_table_full);
  }
  ExporterStats& s = m.exporter->stats;
  if (s.datagrams_decoded == 0 && !events_.is_closed()) tell_exporter(d, version, domain_id);
  s.port = d.source_port;
  ++s.datagrams;
  s.octets += d.payload.size();
  s.last_seen_ns = now_ns;
  ++s.datagrams_decoded;
  s.protocols |= 1u << static_cast<uint32_t>(m.protocol);
  counters_.datagrams_decoded.increment();
  counters_.datagrams_by_protocol[m.protocol].increment();
  ListenerCounters& of_listener = counters_.listeners[place_of(d.listener)];
  of_listener.datagrams[m.protocol].increment();
  of_listener.octets[m.protocol].add(d.payload.size());
  m.header.time_received_ns = d.received_ns;
  m.header.sampler_address = d.source;
  m.header.exporter_address = d.source;
  m.header.exporter_port = d.source_port;
  m.header.partition = config_.partition;
  m.header.site = m.exporter->site;
  m.times.received_ns = d.received_ns;
  m.times.aged_ns = now_ns;
  m.times.past_max_ns = config_.limits.time_past_max_ns;
  m.times.future_max_ns = config_.limits.time_future_max_ns;
  m.listener = d.listener;
  m.inline_names = has_inline_names(d.listener);
  m.limits = &limits_of(d.listener);
  s.templates_max = m.limits->templates_max;
  s.sampling_rate_default = default_rate(m);
  m.source_port = d.source_port;
  return true;
}

void DecoderState::count_records(Message& m, uint32_t records) noexcept {
  counters_.records.add(records);
  counters_.records_by_protocol[m.protocol].add(records);
  counters_.listeners[place_of(m.listener)].records[m.protocol].add(records);
  m.exporter->stats.records += records;
}

void DecoderState::tell_exporter(const Datagram& d, uint16_t version, uint32_t domain_id) noexcept {
  Event e;
  e.kind = EventKind::exporter_seen;
  e.version = version;
  e.domain = domain_id;
  e.port = d.source_port;
  e.exporter = d.source;
  e.exporter_since_ns = d.age_time_ns();
  events_.emit(e);
}

void DecoderState::observe_clock(const Message& m) noexcept {
  // A clock that was set is followed at once; what the network delays is smoothed.
  static constexpr int64_t kStepNs = 60ll * static_cast<int64_t>(kNsPerSec);
  static constexpr int64_t kSmoothing = 16;
  ExporterStats& s = m.exporter->stats;
  if (!m.times.plausible(m.times.export_ns)) {
    ++s.clock_implausible;
    quirks_.note(Quirk::implausible_clock);
    return;
  }
  const auto skew = static_cast<int64_t>(m.times.received_ns - m.times.export_ns);
  const int64_t change = skew - s.clock_skew_ns;
  const bool step = s.clock_samples == 0 || change > kStepNs || change < -kStepNs;
  s.clock_skew_ns = step ? skew : s.clock_skew_ns + change / kSmoothing;
  ++s.clock_samples;
}

RateResolver::Rate DecoderState::rate_of_header(const Message& m, uint64_t said,
                                                SamplingSource source) const noexcept {
  if (m.exporter->rate_override != 0) {
    return {m.exporter->rate_override, SamplingSource::override_};
  }
  if (said != 0) return {said, source};
  if (const uint64_t rate = default_rate(m); rate != 0) return {rate, SamplingSource::default_};
  return {};
}

void DecoderState::observe_sequence(Message& m, SequenceMessage content) noexcept {
  // An exporter that restarts begins anew; datagrams that overtook each other are seconds apart.
  static constexpr uint32_t kRestartMs = 60'000;
  static constexpr uint32_t kAboutToWrapMs = 0xF000'0000;
  Domain& domain = *m.domain;
  if (m.times.has_uptime && m.protocol != Protocol::ipfix) {
    const uint32_t last = domain.last_uptime_ms;
    const uint32_t now = m.times.uptime_ms;
    content.restarted = domain.has_last_uptime && now < last && last - now > kRestartMs &&
                        last - now < kAboutToWrapMs;
    if (content.restarted || now > last || !domain.has_last_uptime || last - now > kRestartMs) {
      domain.last_uptime_ms = now;
      domain.has_last_uptime = true;
    }
  }
  content.received_ns = m.times.aged_ns;
  const uint64_t lost = domain.sequence.observe(content);
  if (lost != 0) {
    counters_.sequence_lost.add(lost);
    domain.sequence_lost += lost;
    m.exporter->stats.sequence_lost += lost;
  }
}

/// State ages by a clock that nobody sets; what is told outside is by the wall clock, as it stands now.
void DecoderState::keep_time(uint64_t aged_ns, uint64_t wall_offset_ns) noexcept {
  aged_now_ns_ = aged_ns;
  wall_offset_ns_ = wall_offset_ns;
  exporters_.set_wall_offset(wall_offset_ns);
  events_.set_now(aged_ns, wall_offset_ns);
}

void DecoderState::tick(const Moment& now) noexcept {
  keep_time(now.aged_ns, now.wall_ns - now.aged_ns);
  templates_.expire(now.aged_ns);
  exporters_.tick(now.aged_ns);
}

}  // namespace weir::decode
