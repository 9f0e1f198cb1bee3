// sampling.h — Sampling rates that options data name, and which of them a record has.
//
// Spec:     docs/FLOW_MESSAGE.md; RFC 5477 §8.2 (selectors), RFC 5476 §6.5.1 (selection sequences),
//           RFC 7270 and NetFlow v9's samplers.
// Bounds:   kRatesPerExporter keyed rates an exporter (its own oldest goes), kRates in all beside those
//           that are kept for each (shares.h).
//
// A record's rate is what the operator says, else its own, its sampler's, its interface's, its
// template's or domain's. Options often come under another source id than the data: what another
// domain says is taken, as the exporter's, while no two domains contradict each other. A rate beyond
// kRatePlausibleMax yields to any other, the default included.
#pragma once

#include <iterator>
#include <span>

#include "decode/exporter_state.h"
#include "decode/shares.h"
#include "decode/slab.h"

namespace weir::decode {

class SamplingTable {
 public:
  static constexpr uint32_t kRatesPerExporter = 4096;
  static constexpr uint32_t kRates = 1u << 16;
  /// So long a contradiction between domains is remembered.
  static constexpr uint64_t kDisagreementNs = 3600ull * 1'000'000'000;

  /// Places are kept for each exporter, by how many there may be to begin with; `exporters_room` of them find as many.
  SamplingTable(uint32_t exporters_max, uint32_t exporters_room, uint64_t seed, DecoderCounters& counters) noexcept
      : places_(kRates + uint64_t{places_kept(exporters_max)} * exporters_max),
        places_max_(kRates + uint64_t{places_kept(exporters_max)} * exporters_room),
        shares_(places_kept(exporters_max), kRates),
        seed_(seed),
        counters_(counters) {}
  [[nodiscard]] bool reserve() noexcept;

  void set_keyed(Domain& domain, RateKey kind, uint64_t key, RateEntry rate) noexcept;
  void set_domain(Domain& domain, RateEntry rate) noexcept;
  /// The rate that the domain itself was told; 0 if none.
  uint64_t find_keyed(const Domain& domain, RateKey kind, uint64_t key) const noexcept;
  /// The rate that some domain of the exporter was told, if they agree; 0 if none.
  uint64_t find_anywhere(const Exporter& exporter, RateKey kind, uint64_t key,
                         uint64_t now_ns) const noexcept;
  /// A selection sequence of these selectors, in their order; what it had before is forgotten.
  void set_sequence(Domain& domain, uint64_t sequence, std::span<const uint64_t> selectors,
                    uint64_t now_ns) noexcept;
  /// The rate of other domains as a whole, if they agree; 0 if none.
  static uint64_t find_anywhere(const Exporter& exporter, uint64_t now_ns) noexcept;

  void drop_domain(Domain& domain) noexcept;
  void drop_exporter(Exporter& exporter) noexcept;

 private:
  KeyedRate* find(const Exporter& exporter, const Domain* domain, RateKey kind,
                  uint64_t key) const noexcept;
  KeyedRate* find_or_add(Exporter& exporter, const Domain* domain, RateKey kind,
                         uint64_t key) noexcept;
  uint64_t hash_of_key(const Exporter& exporter, const Domain* domain, RateKey kind,
                       uint64_t key) const noexcept;
  void remove(Exporter& exporter, KeyedRate& r) noexcept;
  void note_change(uint64_t before, uint64_t now) noexcept {
    if (before != now) counters_.rate_changes.increment();
  }

  const uint64_t places_;      // to begin with
  const uint64_t places_max_;
  Shares shares_;
  const uint64_t seed_;
  DecoderCounters& counters_;
  Reservation memory_;
  HashChains<KeyedRate> chains_;
  KeyedRate* free_ = nullptr;
  uint32_t untouched_ = 0;
};

/// Of a selection sequence: more primitive selectors than a filter, a sampler and another are not followed.
inline constexpr RateKey kSelectorsOfSequence[] = {
    RateKey::first_selector, RateKey::second_selector, RateKey::third_selector};

/// Answers for the records of one set.
class MessageRates final : public RateResolver {
 public:
  MessageRates(const SamplingTable& table, const Domain& domain, uint16_t template_id,
               uint64_t default_rate, uint64_t now_ns) noexcept
      : table_(table),
        domain_(domain),
        template_id_(template_id),
        default_rate_(default_rate),
        now_ns_(now_ns) {}

  bool is_override() const noexcept override { return domain_.exporter->rate_override != 0; }
  bool by_interface() const noexcept override {
    return domain_.exporter->rates_of[static_cast<size_t>(RateKey::interface)] != 0;
  }
  Rate resolve(SamplerKind kind, uint64_t sampler, bool has_interface,
               uint32_t interface) const noexcept override;

 private:
  /// `find(kind, key)` is the rate that the domain, or the whole exporter, was told.
  template <class Find>
  static uint64_t rate_of_sampler(SamplerKind kind, uint64_t id, Find find) noexcept;

  const SamplingTable& table_;
  const Domain& domain_;
  const uint16_t template_id_;
  const uint64_t default_rate_;
  const uint64_t now_ns_;
};

/// What one record of options data says of rates (and when the system booted).
struct OptionsValues {
  uint64_t sampler_id;         // 48
  uint64_t selector_id;        // 302; the last of several
  uint64_t sequence_id;        // 301
  uint64_t sampling_interval;  // 34
  uint64_t sampler_interval;   // 50
  uint64_t algorithm;          // 304
  uint64_t packets_sampled;    // 305
  uint64_t packets_skipped;    // 306
  uint64_t time_sampled;       // 307
  uint64_t time_skipped;       // 308
  uint64_t sample_size;        // 309
  uint64_t sample_population;  // 310
  double probability;          // 311
  uint64_t system_init_ms;     // 160
  uint64_t scope_interface;
  uint64_t scope_domain;
  uint64_t scope_template;
  uint32_t present;         // options_bit
  uint32_t selector_count;  // of 302: perhaps more than there are selectors
  uint64_t selectors[std::size(kSelectorsOfSequence)];
};

/// Reads the record's fields; scope fields of v9 are RFC 3954's types.
OptionsValues read_options(const Template& t, const Row& row) noexcept;
/// The rate that they amount to; 0 if they name none.
uint64_t rate_of(const OptionsValues& v) noexcept;

namespace options_bit {
inline constexpr uint32_t kSampler = 1 << 0, kSelector = 1 << 1, kInterval = 1 << 2,
                          kSamplerInterval = 1 << 3, kAlgorithm = 1 << 4, kSampled = 1 << 5,
                          kSkipped = 1 << 6, kTimeSampled = 1 << 7, kTimeSkipped = 1 << 8,
                          kSize = 1 << 9, kPopulation = 1 << 10, kProbability = 1 << 11,
                          kSystemInit = 1 << 12, kInterface = 1 << 13, kDomain = 1 << 14,
                          kTemplate = 1 << 15, kSequence = 1 << 16;
}  // namespace options_bit

}  // namespace weir::decode
