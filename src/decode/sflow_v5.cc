// sflow_v5.cc — One datagram of sFlow version 5: its header, and what becomes of each sample.
#include "decode/sflow_v5.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/xdr.h"
#include "decode/decoder_state.h"

namespace weir::decode {
namespace {

using Octets = std::span<const uint8_t>;

// Sequences are the agents'; the number keeps their domains apart from NetFlow v5's engines.
constexpr uint16_t kDomainVersion = 6343;

/// enterprise << 12 | format. The enterprise is 0, sFlow's own.
enum SampleType : uint32_t {
  kFlowSample = 1,
  kCounterSample = 2,
  kExpandedFlowSample = 3,
  kExpandedCounterSample = 4,
  kDiscardSample = 5,
};

constexpr uint32_t kSampleHeaderOctets = 8;  // type, length

/// PERF: of a length that it knows the compiler makes `rep stos`, slower than the library
/// (decode_only/sflow_raw_header: 73 to 67 ns).
void clear(FlowRecord& record) noexcept {
  size_t octets = sizeof record;
  asm("" : "+r"(octets));
  std::memset(static_cast<void*>(&record), 0, octets);
}

SflowSourceKey key_of(const Message& m, SflowSampleKind kind, const SourceReport& s) noexcept {
  const uint64_t domain = m.domain != nullptr ? m.domain->hash : 0;
  return sflow_source_key(domain, kind, s.source_class, s.source_index);
}

SampleOrigin origin_of(const Message& m, const SourceReport& source) noexcept {
  return {source.sequence, source.source_class, source.source_index, m.times.uptime_ms};
}

}  // namespace

bool DecoderState::decode_sflow_v5(const Datagram& d, RecordSink& sink) noexcept {
  XdrReader in(d.payload);
  in.u32();  // version
  const uint32_t address_type = in.left() >= 4 ? load_be32(d.payload.data() + 4) : 0;
  if (address_type > 2) return reject(d, DatagramError::bad_agent_address);
  const XdrReader::Address agent = in.address();
  const uint32_t sub_agent = in.u32();
  const uint32_t sequence = in.u32();
  const uint32_t uptime_ms = in.u32();
  const uint32_t promised = in.u32();
  if (!in.ok()) return reject(d, DatagramError::truncated_header);

  Message m(Protocol::sflow_5);
  m.header.sequence_num = sequence;
  m.header.sub_agent_id = sub_agent;
  if (!begin(d, kDomainVersion, sub_agent, m, agent.value)) return false;
  // An agent that does not know its address is known by the datagram's.
  if (agent.known && !agent.value.is_unspecified()) m.header.sampler_address = agent.value;
  m.times.uptime_ms = uptime_ms;
  m.times.has_uptime = true;
  m.times.export_ns = d.received_ns;

  burst_.begin(sink, m.header, d.listener, d.payload.data());
  walk_samples(m, d.payload.last(in.left()), promised, sink);
  burst_.flush();

  count_records(m, m.data_records);
  if (m.domain != nullptr) {
    observe_sequence(m, sequence, 1, true);
  } else {
    quirks_.note(Quirk::sequence_untracked);
  }
  return true;
}

void DecoderState::walk_samples(Message& m, Octets octets, uint32_t promised,
                                RecordSink& sink) noexcept {
  const uint32_t samples_max = samples_per_datagram_max(m.listener);
  for (uint32_t sample = 0; sample != promised; ++sample) {
    if (octets.empty()) {
      quirks_.note(Quirk::count_mismatch);
      return;
    }
    const size_t body_octets =
        octets.size() < kSampleHeaderOctets ? 0 : load_be32(octets.data() + 4);
    if (octets.size() < kSampleHeaderOctets || body_octets > octets.size() - kSampleHeaderOctets) {
      ledger_.enter(*m.exporter, SetOutcome::skipped_bad_length, octets.size());
      return;
    }
    const uint32_t type = load_be32(octets.data());
    const Octets body = octets.subspan(kSampleHeaderOctets, body_octets);
    // What is opaque to XDR fills words up.
    const size_t whole = std::min(kSampleHeaderOctets + (body_octets + 3) / 4 * 4, octets.size());
    octets = octets.subspan(whole);
    ledger_.enter(
        *m.exporter,
        sample < samples_max ? read_sample(m, type, body, sink) : SetOutcome::skipped_sample_limit,
        whole);
  }
  if (octets.empty()) return;
  quirks_.note(all_octets_zero(octets) ? Quirk::zero_filled_tail : Quirk::trailing_octets);
}

SetOutcome DecoderState::read_sample(Message& m, uint32_t type, Octets body,
                                     RecordSink& sink) noexcept {
  switch (type) {
    case kFlowSample: return flow_sample(m, body, SampleForm::compact);
    case kExpandedFlowSample: return flow_sample(m, body, SampleForm::expanded);
    case kCounterSample: return counter_sample(m, body, SampleForm::compact, sink);
    case kExpandedCounterSample: return counter_sample(m, body, SampleForm::expanded, sink);
    case kDiscardSample: return discard_sample(m, body, sink);
    default: return SetOutcome::skipped_unknown_format;
  }
}

SetOutcome DecoderState::flow_sample(Message& m, Octets body, SampleForm form) noexcept {
  if (body.size() < source_octets(form)) return SetOutcome::skipped_bad_length;
  const SflowSourceKey key = key_of(m, SflowSampleKind::flow, peek_source(body, form));
  sflow_sources_.prefetch(key);
  FlowRecord& record = burst_.room_for_one(kSflowArenaOctets + inline_octets(m));
  clear(record);
  const SampleContext context{m.times.received_ns, default_rate(m), burst_.arena(),
                              quirks_};
  SourceReport source;
  if (!read_flow_sample(body, form, context, source, record)) {
    return SetOutcome::skipped_bad_length;
  }
  if (m.exporter->rate_override != 0) {
    record.sampling_rate = m.exporter->rate_override;
    record.sampling_source = static_cast<uint32_t>(SamplingSource::override_);
  }
  if (m.inline_names) fill_names(m, {&record, 1});
  observe_source(m, SflowSampleKind::flow, key, source);
  burst_.commit(1);
  ++m.data_records;
  return SetOutcome::decoded;
}

SetOutcome DecoderState::counter_sample(Message& m, Octets body, SampleForm form,
                                        RecordSink& sink) noexcept {
  std::array<CounterBlock, kCounterBlocksMax> room;
  size_t blocks = 0;
  SourceReport source;
  if (!read_counter_sample(body, form, quirks_, source, room, blocks)) {
    return SetOutcome::skipped_bad_length;
  }
  observe_source(m, SflowSampleKind::counters, key_of(m, SflowSampleKind::counters, source),
                 source);
  counters_.counter_records.increment();
  ++m.exporter->stats.counter_records;
  sink.on_counters({m.header, m.listener, origin_of(m, source), std::span(room).first(blocks)});
  return SetOutcome::decoded;
}

SetOutcome DecoderState::discard_sample(Message& m, Octets body, RecordSink& sink) noexcept {
  // The packet has a record's place, but is not committed: it goes to the sink by itself.
  FlowRecord& packet = burst_.room_for_one(kSflowArenaOctets);
  clear(packet);
  const SampleContext context{m.times.received_ns, 0, burst_.arena(), quirks_};
  SourceReport source;
  uint32_t reason = 0;
  const uint32_t arena_before = burst_.arena().used();
  if (!read_discard_sample(body, context, source, reason, packet)) {
    return SetOutcome::skipped_bad_length;
  }
  observe_source(m, SflowSampleKind::discard, key_of(m, SflowSampleKind::discard, source), source);
  counters_.discard_records.increment();
  ++m.exporter->stats.discard_records;
  sink.on_discard({m.header, m.listener, origin_of(m, source), reason, source.drops, packet,
                   burst_.arena().data()});
  burst_.arena().give_back(burst_.arena().used() - arena_before);
  return SetOutcome::decoded;
}

void DecoderState::observe_source(Message& m, SflowSampleKind kind, SflowSourceKey key,
                                  const SourceReport& source) noexcept {
  if (m.domain == nullptr) return;  // counted once a datagram
  const SflowSourceTable::News news = sflow_sources_.observe(
      key, {source.sequence, source.pool, source.drops, m.times.aged_ns});
  if (!news.tracked) return quirks_.note(Quirk::sequence_untracked);
  ExporterStats& s = m.exporter->stats;
  if (news.lost != 0) {
    counters_.samples_lost.add(news.lost);
    s.samples_lost += news.lost;
  }
  if (news.dropped != 0) {
    counters_.samples_dropped.add(news.dropped);
    s.samples_dropped += news.dropped;
  }
  if (kind == SflowSampleKind::flow) {
    s.samples_taken += news.taken;
    s.sample_pool += news.pool;
  }
}

}  // namespace weir::decode
