#include "decode/sampling.h"

#include <bit>
#include <cmath>
#include <new>

#include "base/byte_order.h"

namespace weir::decode {

bool SamplingTable::reserve() noexcept {
  return memory_.reserve(places_max_ * sizeof(KeyedRate)) && chains_.reserve(places_, places_max_);
}

uint64_t SamplingTable::hash_of_key(const Exporter& exporter, const Domain* domain, RateKey kind,
                                    uint64_t key) const noexcept {
  const uint64_t scope = exporter.hash ^ (domain != nullptr ? domain->hash : 0);
  return mix_hash(mix_hash(scope ^ seed_) ^
                  (key + static_cast<uint64_t>(kind)) * 0x9E3779B97F4A7C15ull);
}

KeyedRate* SamplingTable::find(const Exporter& exporter, const Domain* domain, RateKey kind,
                               uint64_t key) const noexcept {
  return chains_.find(hash_of_key(exporter, domain, kind, key), [&](const KeyedRate& r) {
    return r.key == key && r.domain == domain && r.exporter == &exporter && r.kind == kind;
  });
}

KeyedRate* SamplingTable::find_or_add(Exporter& exporter, const Domain* domain, RateKey kind,
                                      uint64_t key) noexcept {
  if (KeyedRate* r = find(exporter, domain, kind, key); r != nullptr) return r;
  if (exporter.rates.size() >= kRatesPerExporter || !shares_.admits(exporter.rates.size(), 1)) {
    remove(exporter, *exporter.rates.front());
  }
  KeyedRate* r = free_;
  if (r != nullptr) {
    free_ = r->hash_next;
  } else {
    r = static_cast<KeyedRate*>(static_cast<void*>(memory_.data())) + untouched_++;
  }
  shares_.change(exporter.rates.size(), exporter.rates.size() + 1);
  r = new (r) KeyedRate{};
  r->hash = hash_of_key(exporter, domain, kind, key);
  r->exporter = &exporter;
  r->domain = domain;
  r->key = key;
  r->kind = kind;
  chains_.insert(r);
  exporter.rates.push_back(r);
  ++exporter.rates_of[static_cast<size_t>(kind)];
  return r;
}

void SamplingTable::remove(Exporter& exporter, KeyedRate& r) noexcept {
  shares_.change(exporter.rates.size(), exporter.rates.size() - 1);
  chains_.erase(&r);
  exporter.rates.erase(&r);
  --exporter.rates_of[static_cast<size_t>(r.kind)];
  r.hash_next = free_;
  free_ = &r;
}

void SamplingTable::set_keyed(Domain& domain, RateKey kind, uint64_t key, RateEntry rate) noexcept {
  Exporter& exporter = *domain.exporter;
  if (KeyedRate* own = find_or_add(exporter, &domain, kind, key); own != nullptr) {
    note_change(own->rate.rate, rate.rate);
    own->rate = rate;
  }
  if (kind == RateKey::template_) return;  // their numbers mean something in their domain only
  KeyedRate* any = find_or_add(exporter, nullptr, kind, key);
  if (any == nullptr) return;
  if (any->last_writer != nullptr && any->last_writer != &domain && any->rate.rate != rate.rate) {
    any->disagreed_ns = rate.changed_ns;
  }
  any->last_writer = &domain;
  any->rate = rate;
}

void SamplingTable::set_domain(Domain& domain, RateEntry rate) noexcept {
  Exporter& exporter = *domain.exporter;
  note_change(domain.rate.rate, rate.rate);
  domain.rate = rate;
  if (exporter.any_rate_writer != nullptr && exporter.any_rate_writer != &domain &&
      exporter.any_rate != rate.rate) {
    exporter.any_rate_disagreed_ns = rate.changed_ns;
  }
  exporter.any_rate_writer = &domain;
  exporter.any_rate = rate.rate;
}

uint64_t SamplingTable::find_keyed(const Domain& domain, RateKey kind,
                                   uint64_t key) const noexcept {
  const KeyedRate* r = find(*domain.exporter, &domain, kind, key);
  return r != nullptr ? r->rate.rate : 0;
}

uint64_t SamplingTable::find_anywhere(const Exporter& exporter, RateKey kind, uint64_t key,
                                      uint64_t now_ns) const noexcept {
  const KeyedRate* r = find(exporter, nullptr, kind, key);
  if (r == nullptr) return 0;
  const bool ambiguous = r->disagreed_ns != 0 && now_ns < r->disagreed_ns + kDisagreementNs;
  return ambiguous ? 0 : r->rate.rate;
}

uint64_t SamplingTable::find_anywhere(const Exporter& exporter, uint64_t now_ns) noexcept {
  const bool ambiguous = exporter.any_rate_disagreed_ns != 0 &&
                         now_ns < exporter.any_rate_disagreed_ns + kDisagreementNs;
  return ambiguous ? 0 : exporter.any_rate;
}

void SamplingTable::drop_domain(Domain& domain) noexcept {
  Exporter& exporter = *domain.exporter;
  for (KeyedRate* r = exporter.rates.front(); r != nullptr;) {
    KeyedRate* following = exporter.rates.next(r);
    if (r->last_writer == &domain) r->last_writer = nullptr;
    if (r->domain == &domain) remove(exporter, *r);
    r = following;
  }
  if (exporter.any_rate_writer == &domain) exporter.any_rate_writer = nullptr;
}

void SamplingTable::drop_exporter(Exporter& exporter) noexcept {
  while (KeyedRate* r = exporter.rates.front()) remove(exporter, *r);
}

void SamplingTable::set_sequence(Domain& domain, uint64_t sequence,
                                 std::span<const uint64_t> selectors, uint64_t now_ns) noexcept {
  for (size_t n = 0; n < std::size(kSelectorsOfSequence); ++n) {
    const RateKey place = kSelectorsOfSequence[n];
    const uint64_t selector = n < selectors.size() ? selectors[n] : 0;
    if (selector == 0 && find_keyed(domain, place, sequence) == 0) continue;
    set_keyed(domain, place, sequence, {selector, now_ns});
  }
}

/// A sequence's own, or what those of its selectors come to: a filter has none, and takes all that it is
/// for.
template <class Find>
uint64_t MessageRates::rate_of_sampler(SamplerKind kind, uint64_t id, Find find) noexcept {
  if (kind == SamplerKind::sampler) return find(RateKey::sampler, id);
  if (const uint64_t own = find(RateKey::sequence, id); own != 0) return own;
  uint64_t product = 0;
  for (const RateKey place : kSelectorsOfSequence) {
    const uint64_t selector = find(place, id);
    if (selector == 0) break;
    const uint64_t rate = find(RateKey::sampler, selector);
    if (rate == 0) continue;
    if (__builtin_mul_overflow(product == 0 ? 1 : product, rate, &product)) return 0;
  }
  return product;
}

RateResolver::Rate MessageRates::resolve(SamplerKind kind, uint64_t sampler, bool has_interface,
                                         uint32_t interface) const noexcept {
  const Exporter& exporter = *domain_.exporter;
  if (exporter.rate_override != 0) return {exporter.rate_override, SamplingSource::override_};
  const auto known = [&exporter](RateKey key) {
    return exporter.rates_of[static_cast<size_t>(key)] != 0;
  };
  // Sampler 0 means: not sampled by any.
  const bool has_sampler =
      sampler != 0 && ((kind == SamplerKind::sampler && known(RateKey::sampler)) ||
                       (kind == SamplerKind::sequence &&
                        (known(RateKey::sequence) || known(RateKey::first_selector))));
  has_interface = has_interface && known(RateKey::interface);
  Rate found;  // or the first doubtful one
  const auto take = [&found](uint64_t rate, SamplingSource source) {
    if (rate == 0) return false;
    const bool plausible = rate <= kRatePlausibleMax;
    if (plausible || found.rate == 0) found = {rate, source};
    return plausible;
  };
  const auto of_domain = [this](RateKey key, uint64_t id) {
    return table_.find_keyed(domain_, key, id);
  };
  if (has_sampler && take(rate_of_sampler(kind, sampler, of_domain), SamplingSource::sampler)) {
    return found;
  }
  if (has_interface &&
      take(table_.find_keyed(domain_, RateKey::interface, interface), SamplingSource::interface_)) {
    return found;
  }
  if (known(RateKey::template_) &&
      take(table_.find_keyed(domain_, RateKey::template_, template_id_), SamplingSource::domain)) {
    return found;
  }
  if (take(domain_.rate.rate, SamplingSource::domain)) return found;
  const auto of_exporter = [&](RateKey key, uint64_t id) {
    return table_.find_anywhere(exporter, key, id, now_ns_);
  };
  if (has_sampler && take(rate_of_sampler(kind, sampler, of_exporter), SamplingSource::exporter)) {
    return found;
  }
  if (has_interface && take(table_.find_anywhere(exporter, RateKey::interface, interface, now_ns_),
                            SamplingSource::exporter)) {
    return found;
  }
  if (take(SamplingTable::find_anywhere(exporter, now_ns_), SamplingSource::exporter)) return found;
  if (default_rate_ != 0) return {default_rate_, SamplingSource::default_};
  return found;
}

namespace {

/// float64 or, in reduced size, float32 (RFC 7011 §6.2).
double read_float(const uint8_t* p, uint32_t width) noexcept {
  if (width == 8) return std::bit_cast<double>(load_be64(p));
  if (width == 4) return static_cast<double>(std::bit_cast<float>(load_be32(p)));
  return 0;
}

uint64_t ratio(uint64_t all, uint64_t part) noexcept {
  if (part == 0) return 0;
  return all / part + (all % part >= part - part / 2 ? 1 : 0);
}

/// Of `sampled` + `skipped` packets (or of as much time) the first are taken.
uint64_t systematic(bool has_sampled, uint64_t sampled, uint64_t skipped) noexcept {
  if (!has_sampled) sampled = 1;
  uint64_t all;
  return __builtin_add_overflow(sampled, skipped, &all) ? 0 : ratio(all, sampled);
}

}  // namespace

OptionsValues read_options(const Template& t, const Row& row) noexcept {
  namespace bit = options_bit;
  OptionsValues v{};
  uint32_t offset = 0;
  const std::span<const FieldSpec> fields = t.plan.fields;
  for (size_t i = 0; i < fields.size(); ++i) {
    const FieldSpec& f = fields[i];
    const uint32_t width = row.widths != nullptr ? row.widths[i] : f.length;
    const uint8_t* p = row.octets + (row.offsets != nullptr ? row.offsets[i] : offset);
    offset += f.length;
    if (f.enterprise != 0 || width == 0 || width > 8) continue;
    const uint64_t value = load_be(p, width);
    const auto take = [&v, value](uint64_t& to, uint32_t which) {
      to = value;
      v.present |= which;
    };
    const bool scope = i < t.scope_fields;
    if (scope && t.format == TemplateFormat::netflow_v9) {
      // RFC 3954 §6.1: scope types are numbers of their own. System, line card and cache speak for
      // the source id as a whole, of which a line card has its own.
      if (f.id == 2) take(v.scope_interface, bit::kInterface);
      if (f.id == 5) take(v.scope_template, bit::kTemplate);
      continue;
    }
    switch (f.id) {
      case 10:
      case 14:
      case 252:
      case 253:
        if (scope) take(v.scope_interface, bit::kInterface);
        break;
      case 145:
        if (scope) take(v.scope_template, bit::kTemplate);
        break;
      case 149:
        if (scope) take(v.scope_domain, bit::kDomain);
        break;
      case 48: take(v.sampler_id, bit::kSampler); break;
      case 301: take(v.sequence_id, bit::kSequence); break;
      case 302:
        take(v.selector_id, bit::kSelector);
        if (v.selector_count < std::size(v.selectors)) v.selectors[v.selector_count] = value;
        ++v.selector_count;
        break;
      case 34: take(v.sampling_interval, bit::kInterval); break;
      case 50: take(v.sampler_interval, bit::kSamplerInterval); break;
      case 304: take(v.algorithm, bit::kAlgorithm); break;
      case 305: take(v.packets_sampled, bit::kSampled); break;
      case 306: take(v.packets_skipped, bit::kSkipped); break;
      case 307: take(v.time_sampled, bit::kTimeSampled); break;
      case 308: take(v.time_skipped, bit::kTimeSkipped); break;
      case 309: take(v.sample_size, bit::kSize); break;
      case 310: take(v.sample_population, bit::kPopulation); break;
      case 311:
        v.probability = read_float(p, width);
        v.present |= bit::kProbability;
        break;
      case 160: take(v.system_init_ms, bit::kSystemInit); break;
      default: break;
    }
  }
  return v;
}

uint64_t rate_of(const OptionsValues& v) noexcept {
  namespace bit = options_bit;
  // What is 0 is not known (PTX); another field may tell.
  if (v.sampler_interval != 0) return v.sampler_interval;
  if (v.sampling_interval != 0) return v.sampling_interval;
  const auto has = [&v](uint32_t bits) { return (v.present & bits) == bits; };
  const auto counted = [&] {
    return has(bit::kSkipped) ? systematic(has(bit::kSampled), v.packets_sampled, v.packets_skipped)
                              : 0;
  };
  const auto timed = [&] {
    return has(bit::kTimeSampled | bit::kTimeSkipped)
               ? systematic(true, v.time_sampled, v.time_skipped)
               : 0;
  };
  const auto random = [&] {
    return has(bit::kPopulation | bit::kSize) ? ratio(v.sample_population, v.sample_size) : 0;
  };
  const auto probable = [&]() -> uint64_t {
    static constexpr double kLeast = 1e-12;
    return v.probability >= kLeast && v.probability <= 1
               ? static_cast<uint64_t>(std::llround(1 / v.probability))
               : 0;
  };
  // RFC 5477 §8.2.1; others leave the algorithm out, or name another than they describe.
  const uint64_t by_algorithm = v.algorithm == 1   ? counted()
                                : v.algorithm == 2 ? timed()
                                : v.algorithm == 3 ? random()
                                : v.algorithm == 4 ? probable()
                                                   : 0;
  for (const uint64_t rate : {by_algorithm, counted(), random(), probable(), timed()}) {
    if (rate != 0) return rate;
  }
  return 0;
}

}  // namespace weir::decode
