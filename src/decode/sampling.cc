#include "decode/sampling.h"

#include <new>

#include "base/byte_order.h"

namespace weir::decode {

bool SamplingTable::reserve() noexcept {
  return memory_.reserve(kRates * sizeof(KeyedRate)) && chains_.reserve(kRates);
}

uint64_t SamplingTable::hash_of_key(const Exporter& exporter, const Domain* domain, bool interface,
                                    uint64_t key) const noexcept {
  const uint64_t scope = exporter.hash ^ (domain != nullptr ? domain->hash : 0);
  return mix_hash(mix_hash(scope ^ seed_) ^ (key + interface) * 0x9E3779B97F4A7C15ull);
}

KeyedRate* SamplingTable::find(const Exporter& exporter, const Domain* domain, bool interface,
                               uint64_t key) const noexcept {
  return chains_.find(hash_of_key(exporter, domain, interface, key), [&](const KeyedRate& r) {
    return r.key == key && r.domain == domain && r.exporter == &exporter &&
           r.is_interface == interface;
  });
}

KeyedRate* SamplingTable::find_or_add(Exporter& exporter, const Domain* domain, bool interface,
                                      uint64_t key) noexcept {
  if (KeyedRate* r = find(exporter, domain, interface, key); r != nullptr) return r;
  if (exporter.rates.size() >= kRatesPerExporter) remove(exporter, *exporter.rates.front());
  KeyedRate* r = free_;
  if (r != nullptr) {
    free_ = r->hash_next;
  } else if (untouched_ < kRates) {
    r = static_cast<KeyedRate*>(static_cast<void*>(memory_.data())) + untouched_++;
  } else if (!exporter.rates.empty()) {
    remove(exporter, *exporter.rates.front());
    r = free_;
    free_ = r->hash_next;
  } else {
    return nullptr;
  }
  r = new (r) KeyedRate{};
  r->hash = hash_of_key(exporter, domain, interface, key);
  r->exporter = &exporter;
  r->domain = domain;
  r->key = key;
  r->is_interface = interface;
  chains_.insert(r);
  exporter.rates.push_back(r);
  exporter.interface_rates += interface;
  return r;
}

void SamplingTable::remove(Exporter& exporter, KeyedRate& r) noexcept {
  chains_.erase(&r);
  exporter.rates.erase(&r);
  exporter.interface_rates -= r.is_interface;
  r.hash_next = free_;
  free_ = &r;
}

void SamplingTable::set_keyed(Domain& domain, Key kind, uint64_t key, uint64_t rate,
                              uint64_t now_ns) noexcept {
  Exporter& exporter = *domain.exporter;
  const bool interface = kind == Key::interface;
  if (KeyedRate* own = find_or_add(exporter, &domain, interface, key); own != nullptr) {
    own->rate = rate;
  }
  KeyedRate* any = find_or_add(exporter, nullptr, interface, key);
  if (any == nullptr) return;
  if (any->last_writer != nullptr && any->last_writer != &domain && any->rate != rate) {
    any->disagreed_ns = now_ns;
  }
  any->last_writer = &domain;
  any->rate = rate;
}

void SamplingTable::set_domain(Domain& domain, uint64_t rate, uint64_t now_ns) noexcept {
  Exporter& exporter = *domain.exporter;
  domain.rate = {rate, now_ns};
  if (exporter.any_rate_writer != nullptr && exporter.any_rate_writer != &domain &&
      exporter.any_rate != rate) {
    exporter.any_rate_disagreed_ns = now_ns;
  }
  exporter.any_rate_writer = &domain;
  exporter.any_rate = rate;
}

uint64_t SamplingTable::find_keyed(const Domain& domain, Key kind, uint64_t key) const noexcept {
  const KeyedRate* r = find(*domain.exporter, &domain, kind == Key::interface, key);
  return r != nullptr ? r->rate : 0;
}

uint64_t SamplingTable::find_anywhere(const Exporter& exporter, Key kind, uint64_t key,
                                      uint64_t now_ns) const noexcept {
  const KeyedRate* r = find(exporter, nullptr, kind == Key::interface, key);
  if (r == nullptr) return 0;
  const bool ambiguous = r->disagreed_ns != 0 && now_ns < r->disagreed_ns + kDisagreementNs;
  return ambiguous ? 0 : r->rate;
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

RateResolver::Rate MessageRates::resolve(bool has_sampler, uint64_t sampler, bool has_interface,
                                         uint32_t interface) const noexcept {
  using Key = SamplingTable::Key;
  const Exporter& exporter = *domain_.exporter;
  const bool keyed = !exporter.rates.empty();
  // Sampler 0 means: not sampled by any.
  has_sampler = has_sampler && sampler != 0 && keyed;
  has_interface = has_interface && exporter.interface_rates != 0;
  if (has_sampler) {
    if (const uint64_t r = table_.find_keyed(domain_, Key::sampler, sampler); r != 0) {
      return {r, SamplingSource::sampler};
    }
  }
  if (has_interface) {
    if (const uint64_t r = table_.find_keyed(domain_, Key::interface, interface); r != 0) {
      return {r, SamplingSource::interface_};
    }
  }
  if (domain_.rate.rate != 0) return {domain_.rate.rate, SamplingSource::domain};
  if (has_sampler) {
    if (const uint64_t r = table_.find_anywhere(exporter, Key::sampler, sampler, now_ns_); r != 0) {
      return {r, SamplingSource::exporter};
    }
  }
  if (has_interface) {
    if (const uint64_t r = table_.find_anywhere(exporter, Key::interface, interface, now_ns_);
        r != 0) {
      return {r, SamplingSource::exporter};
    }
  }
  if (exporter.any_rate != 0 &&
      (exporter.any_rate_disagreed_ns == 0 ||
       now_ns_ >= exporter.any_rate_disagreed_ns + SamplingTable::kDisagreementNs)) {
    return {exporter.any_rate, SamplingSource::exporter};
  }
  if (default_rate_ != 0) return {default_rate_, SamplingSource::default_};
  return {};
}

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
      // RFC 3954 §6.1: scope types are numbers of their own; 2 is an interface.
      if (f.id == 2) take(v.scope_interface, bit::kInterface);
      continue;
    }
    switch (f.id) {
      case 10:
      case 14:
      case 252:
      case 253:
        if (scope) take(v.scope_interface, bit::kInterface);
        break;
      case 149:
        if (scope) take(v.scope_domain, bit::kDomain);
        break;
      case 48: take(v.sampler_id, bit::kSampler); break;
      case 302: take(v.selector_id, bit::kSelector); break;
      case 34: take(v.sampling_interval, bit::kInterval); break;
      case 50: take(v.sampler_interval, bit::kSamplerInterval); break;
      case 305: take(v.packets_sampled, bit::kSampled); break;
      case 306: take(v.packets_skipped, bit::kSkipped); break;
      case 309: take(v.sample_size, bit::kSize); break;
      case 310: take(v.sample_population, bit::kPopulation); break;
      case 160: take(v.system_init_ms, bit::kSystemInit); break;
      default: break;
    }
  }
  return v;
}

uint64_t rate_of(const OptionsValues& v) noexcept {
  namespace bit = options_bit;
  if ((v.present & bit::kSamplerInterval) != 0) return v.sampler_interval;
  if ((v.present & bit::kInterval) != 0) return v.sampling_interval;
  if ((v.present & bit::kSkipped) != 0) {
    // RFC 5477: of `sampled` + `skipped` packets the first are taken.
    const uint64_t sampled = (v.present & bit::kSampled) != 0 ? v.packets_sampled : 1;
    uint64_t all;
    if (sampled == 0 || __builtin_add_overflow(sampled, v.packets_skipped, &all)) return 0;
    return all / sampled;
  }
  if ((v.present & bit::kPopulation) != 0 && (v.present & bit::kSize) != 0) {
    return v.sample_size != 0 ? v.sample_population / v.sample_size : 0;
  }
  return 0;
}

}  // namespace weir::decode
