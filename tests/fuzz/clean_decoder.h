// clean_decoder.h — A decoder under small limits that is as new for each round, without being made anew.
//
// Making one takes dozens of system calls. Instead each round has exporters of addresses never seen
// before, and ends with the eviction of all of them, which is itself tested by it: nothing of theirs
// may be left. After kRoundsMax rounds the decoder is made anew, so that what is kept by hash (the
// sequences of sFlow's data sources) never fills up.
//
// Oracles: the ledgers balance; state stays within its limits.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "decode/decoder.h"
#include "fuzz/oracle_sink.h"

namespace weir::decode {

/// Small enough that a short input reaches every bound.
inline DecoderConfig oracle_config() {
  DecoderConfig c;
  c.hash_seed = 0x5eed;
  c.limits.exporters_max = 3;
  c.limits.domains_per_exporter_max = 3;
  c.limits.templates_per_exporter_max = 6;
  c.limits.names_per_exporter_max = 4;
  c.limits.template_fields_max = 64;
  c.limits.template_octets_total = 1 << 20;
  c.limits.pending_sets_per_exporter_max = 5;
  c.limits.pending_entries_per_template_max = 3;
  c.limits.pending_entry_octets_max = 2000;
  c.limits.pending_octets_per_exporter = 3000;
  c.limits.pending_octets_total = 8000;
  c.limits.pending_ttl_ns = 60ull * 1'000'000'000;
  c.limits.template_lifetime_ns = 600ull * 1'000'000'000;
  c.listeners.resize(1);
  return c;
}

/// What the counters say alone.
inline void check_ledgers(const DecoderCounters& c, const DecoderLimits& limits) {
  require(c.datagrams.value() == c.datagrams_decoded.value() + c.datagram_errors.total(),
          "datagrams balance");
  require(c.datagrams_decoded.value() == c.datagrams_by_protocol.total(), "protocols balance");
  require(c.records.value() == c.records_by_protocol.total(), "records by protocol balance");
  require(c.sets.value() == c.set_outcomes.total(), "sets balance");
  require(c.set_octets.value() == c.set_outcome_octets.total(), "octets of sets balance");
  require(c.pending_octets.value() <= limits.pending_octets_total, "octets that wait");
  require(c.exporters.value() <= limits.exporters_max, "exporters");
}

/// `room` is for as many exporters as the limits allow.
inline void check_state(const Decoder& decoder, const DecoderLimits& limits,
                        std::span<ExporterStats> room) {
  const DecoderCounters& c = decoder.counters();
  check_ledgers(c, limits);
  uint32_t cursor = 0;
  const size_t n = decoder.copy_exporters(cursor, room);
  require(cursor == 0 && n == c.exporters.value(), "exporters listed");
  uint64_t waiting = 0;
  uint64_t templates = 0;
  for (const ExporterStats& s : room.first(n)) {
    require(s.domains <= limits.domains_per_exporter_max, "domains");
    require(s.templates <= limits.templates_per_exporter_max, "templates");
    require(s.templates == s.data_templates.size + s.options_templates.size, "templates by kind");
    require(s.sets_waiting <= limits.pending_sets_per_exporter_max, "sets that wait");
    require(s.datagrams == s.datagrams_decoded + s.datagrams_rejected, "datagrams of an exporter");
    waiting += s.sets_waiting;
    templates += s.templates;
  }
  require(waiting == c.set_outcomes[SetOutcome::waiting_for_template].value(), "gauge of waiting");
  require(waiting != 0 || c.pending_octets.value() == 0, "nothing waits that has octets");
  require(templates == c.templates.value(), "gauge of templates");
}

class CleanDecoder {
 public:
  static constexpr uint64_t kStart = 1'760'000'000ull * 1'000'000'000;

  /// `config` without events: they go to each round's sink.
  explicit CleanDecoder(const DecoderConfig& config)
      : config_(config), stats_(config.limits.exporters_max) {
    config_.events = &events_;
    renew();
  }

  Decoder* operator->() noexcept { return decoder_.get(); }
  const Decoder& operator*() const noexcept { return *decoder_; }
  void check_ledgers() { decode::check_ledgers(decoder_->counters(), config_.limits); }
  void check() { check_state(*decoder_, config_.limits, stats_); }

  /// The round's exporters, as many as are wanted below kFiller.
  IpAddress exporter(uint8_t index) const noexcept {
    uint8_t octets[16] = {0x20, 0x01, 0x0d, 0xb8};
    store_be32(octets + 8, round_);
    octets[15] = index;
    return IpAddress::from_v6(octets);
  }

  void begin_round(OracleSink& sink) noexcept { events_.sink = &sink; }

  /// What was met by the round is forgotten: at once, or where there is place for one exporter only, which
  /// costs half as much, mostly when the next comes.
  void end_round(uint8_t exporters_used) {
    events_.sink = nullptr;
    forget(0, exporters_used);
    if (config_.limits.exporters_max != 1 || round_ % 16 == 0) fill();
    if (++round_ % kRoundsMax == 0) renew();
  }

 private:
  static constexpr uint32_t kRoundsMax = 2048;
  static constexpr uint8_t kFiller = 0x80;

  struct Events final : EventSink {
    OracleSink* sink = nullptr;
    bool on_event(const Event& e) noexcept override { return sink == nullptr || sink->on_event(e); }
  };
  struct NoRecords final : RecordSink {
    void on_records(const RecordBurst&) noexcept override { require(false, "a record of nothing"); }
  };

  void fill() {
    static constexpr uint8_t kEmpty[20] = {0, 9};
    const auto fillers = static_cast<uint8_t>(config_.limits.exporters_max);
    for (uint8_t i = 0; i < fillers; ++i) {
      require(send(static_cast<uint8_t>(kFiller + i), kEmpty, kStart), "a new exporter's place");
    }
    forget(kFiller, fillers);
    const DecoderCounters& c = decoder_->counters();
    require(c.templates.value() == 0 && c.pending_octets.value() == 0 &&
                c.set_outcomes[SetOutcome::waiting_for_template].value() == 0,
            "nothing is left of exporters that went");
  }
  bool send(uint8_t exporter_index, std::span<const uint8_t> payload, uint64_t received_ns) {
    NoRecords sink;
    Datagram d;
    d.payload = payload;
    d.source = exporter(exporter_index);
    d.received_ns = received_ns;
    return decoder_->decode(d, sink);
  }
  /// An exporter that was heard last at the beginning of time is idle.
  void forget(uint8_t first, uint8_t count) {
    for (uint8_t i = 0; i < count; ++i) send(static_cast<uint8_t>(first + i), {}, 0);
  }
  void renew() {
    auto made = Decoder::create(config_);
    require(made.has_value(), "a decoder");
    decoder_ = std::move(*made);
  }

  DecoderConfig config_;
  Events events_;
  std::vector<ExporterStats> stats_;
  std::unique_ptr<Decoder> decoder_;
  uint32_t round_ = 0;
};

}  // namespace weir::decode
