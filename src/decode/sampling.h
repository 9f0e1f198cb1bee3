// sampling.h — Sampling rates that options data name, and which of them a record has.
//
// Spec:     docs/FLOW_MESSAGE.md; RFC 5477 (selectors), RFC 7270 and NetFlow v9's samplers.
// Bounds:   kRatesPerExporter keyed rates an exporter (its own oldest goes), kRates in all.
//
// A record's rate is its own, else its sampler's, its interface's, its domain's. Options often come
// under another source id than the data: what another domain says is taken, as the exporter's,
// while no two domains contradict each other.
#pragma once

#include "decode/exporter_state.h"
#include "decode/slab.h"

namespace weir::decode {

class SamplingTable {
 public:
  static constexpr uint32_t kRatesPerExporter = 4096;
  static constexpr uint32_t kRates = 1u << 16;
  /// So long a contradiction between domains is remembered.
  static constexpr uint64_t kDisagreementNs = 3600ull * 1'000'000'000;

  enum class Key : uint8_t { sampler, interface };

  explicit SamplingTable(uint64_t seed) noexcept : seed_(seed) {}
  [[nodiscard]] bool reserve() noexcept;

  void set_keyed(Domain& domain, Key kind, uint64_t key, uint64_t rate, uint64_t now_ns) noexcept;
  void set_domain(Domain& domain, uint64_t rate, uint64_t now_ns) noexcept;
  /// The rate that the domain itself was told; 0 if none.
  uint64_t find_keyed(const Domain& domain, Key kind, uint64_t key) const noexcept;
  /// The rate that some domain of the exporter was told, if they agree; 0 if none.
  uint64_t find_anywhere(const Exporter& exporter, Key kind, uint64_t key,
                         uint64_t now_ns) const noexcept;

  void drop_domain(Domain& domain) noexcept;
  void drop_exporter(Exporter& exporter) noexcept;

 private:
  KeyedRate* find(const Exporter& exporter, const Domain* domain, bool interface,
                  uint64_t key) const noexcept;
  KeyedRate* find_or_add(Exporter& exporter, const Domain* domain, bool interface,
                         uint64_t key) noexcept;
  uint64_t hash_of_key(const Exporter& exporter, const Domain* domain, bool interface,
                       uint64_t key) const noexcept;
  void remove(Exporter& exporter, KeyedRate& r) noexcept;

  const uint64_t seed_;
  Reservation memory_;
  HashChains<KeyedRate> chains_;
  KeyedRate* free_ = nullptr;
  uint32_t untouched_ = 0;
};

/// Answers for the records of one message.
class MessageRates final : public RateResolver {
 public:
  MessageRates(const SamplingTable& table, const Domain& domain, uint64_t default_rate,
               uint64_t now_ns) noexcept
      : table_(table), domain_(domain), default_rate_(default_rate), now_ns_(now_ns) {}

  bool by_interface() const noexcept override { return domain_.exporter->interface_rates != 0; }
  Rate resolve(bool has_sampler, uint64_t sampler, bool has_interface,
               uint32_t interface) const noexcept override;

 private:
  const SamplingTable& table_;
  const Domain& domain_;
  const uint64_t default_rate_;
  const uint64_t now_ns_;
};

/// What one record of options data says of rates (and when the system booted).
struct OptionsValues {
  uint64_t sampler_id;         // 48
  uint64_t selector_id;        // 302
  uint64_t sampling_interval;  // 34
  uint64_t sampler_interval;   // 50
  uint64_t packets_sampled;    // 305
  uint64_t packets_skipped;    // 306
  uint64_t sample_size;        // 309
  uint64_t sample_population;  // 310
  uint64_t system_init_ms;     // 160
  uint64_t scope_interface;
  uint64_t scope_domain;
  uint32_t present;  // bits in the order above
};

/// Reads the record's fields; `v9_scopes` says that scope fields are RFC 3954's types.
OptionsValues read_options(const Template& t, const Row& row) noexcept;
/// The rate that they amount to; 0 if they name none.
uint64_t rate_of(const OptionsValues& v) noexcept;

namespace options_bit {
inline constexpr uint32_t kSampler = 1 << 0, kSelector = 1 << 1, kInterval = 1 << 2,
                          kSamplerInterval = 1 << 3, kSampled = 1 << 4, kSkipped = 1 << 5,
                          kSize = 1 << 6, kPopulation = 1 << 7, kSystemInit = 1 << 8,
                          kInterface = 1 << 9, kDomain = 1 << 10;
}  // namespace options_bit

}  // namespace weir::decode
