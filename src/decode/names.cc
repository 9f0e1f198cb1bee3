#include "decode/names.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "base/byte_order.h"
#include "decode/decoder_state.h"

namespace weir::decode {
namespace {

/// The information elements that name something.
enum Element : uint16_t {
  kIngressInterface = 10,
  kEgressInterface = 14,
  kSamplerId = 48,
  kInterfaceName = 82,
  kInterfaceDescription = 83,
  kSamplerName = 84,
  kApplicationDescription = 94,
  kApplicationId = 95,
  kApplicationName = 96,
  kIngressVrf = 234,
  kEgressVrf = 235,
  kVrfName = 236,
  kIngressPhysicalInterface = 252,
  kEgressPhysicalInterface = 253,
  kSelectorId = 302,
  kSelectorName = 335,
};
constexpr uint16_t kScopeInterface = 2;  // RFC 3954 §6.1

uint64_t hash_of_text(std::string_view text, uint64_t seed) noexcept {
  uint64_t h = mix_hash(seed ^ text.size());
  while (!text.empty()) {
    uint64_t eight = 0;
    const size_t n = std::min(text.size(), sizeof eight);
    std::memcpy(&eight, text.data(), n);
    h = mix_hash(h ^ eight) + 0x9E3779B97F4A7C15ull;
    text.remove_prefix(n);
  }
  return h;
}

/// Fixed fields are filled up with zeros or blanks, and some count the zero at the end.
std::string_view text_of(const uint8_t* p, uint32_t octets) noexcept {
  std::string_view text(reinterpret_cast<const char*>(p), octets);
  text = text.substr(0, text.find('\0'));
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// At most `octets`, without half a character of UTF-8 at the end.
std::string_view cut(std::string_view text, size_t octets) noexcept {
  if (text.size() <= octets) return text;
  static constexpr size_t kCharacterOctetsMax = 4;
  size_t end = octets;
  for (size_t back = 0; back < kCharacterOctetsMax && end > 0; ++back, --end) {
    if ((static_cast<uint8_t>(text[end]) & 0xc0) != 0x80) return text.substr(0, end);
  }
  return text.substr(0, octets);
}

}  // namespace

NameKey NameKey::of(uint64_t number) noexcept {
  NameKey key;
  uint8_t octets[8];
  store_be64(octets, number);
  const size_t zeros = std::min<size_t>(static_cast<size_t>(std::countl_zero(number)) / 8, 7);
  key.size = static_cast<uint8_t>(sizeof octets - zeros);
  std::memcpy(key.octets, octets + zeros, key.size);
  return key;
}

NameKey NameKey::of(std::span<const uint8_t> octets) noexcept {
  NameKey key;
  if (octets.size() > kNameKeyOctetsMax) return key;
  key.size = static_cast<uint8_t>(octets.size());
  std::memcpy(key.octets, octets.data(), octets.size());
  return key;
}

bool has_name_fields(std::span<const FieldSpec> fields) noexcept {
  return std::any_of(fields.begin(), fields.end(), [](const FieldSpec& f) {
    if (f.enterprise != 0) return false;
    switch (f.id) {
      case kInterfaceName:
      case kInterfaceDescription:
      case kSamplerName:
      case kSelectorName:
      case kApplicationDescription:
      case kApplicationName:
      case kVrfName:
      // With a rate, if not with a name.
      case kSamplerId:
      case kSelectorId: return true;
      default: return false;
    }
  });
}

NameValues read_names(const Template& t, const Row& row, uint64_t rate) noexcept {
  NameValues values;
  const auto of = [&values](NameKind kind) -> NameValue& {
    return values[static_cast<size_t>(kind)];
  };
  uint32_t offset = 0;
  const std::span<const FieldSpec> fields = t.plan.fields;
  for (size_t i = 0; i < fields.size(); ++i) {
    const FieldSpec& f = fields[i];
    const uint32_t width = row.widths != nullptr ? row.widths[i] : f.length;
    const uint8_t* p = row.octets + (row.offsets != nullptr ? row.offsets[i] : offset);
    offset += f.length;
    if (f.enterprise != 0 || width == 0) continue;
    // The first that says it counts: IOS-XR has the VRF as scope and again among the options.
    const auto take_key = [&](NameKind kind) {
      NameValue& value = of(kind);
      if (value.key.size == 0 && width <= 8) value.key = NameKey::of(load_be(p, width));
    };
    const auto take_text = [&](std::string_view& to) {
      if (to.data() == nullptr) to = text_of(p, width);
    };
    if (i < t.scope_fields && t.format == TemplateFormat::netflow_v9) {
      // Scope types are numbers of their own.
      if (f.id == kScopeInterface) take_key(NameKind::interface);
      continue;
    }
    switch (f.id) {
      case kIngressInterface:
      case kEgressInterface:
      case kIngressPhysicalInterface:
      case kEgressPhysicalInterface: take_key(NameKind::interface); break;
      case kInterfaceName: take_text(of(NameKind::interface).name); break;
      case kInterfaceDescription: take_text(of(NameKind::interface).description); break;
      case kIngressVrf:
      case kEgressVrf: take_key(NameKind::vrf); break;
      case kVrfName: take_text(of(NameKind::vrf).name); break;
      case kApplicationId:
        if (of(NameKind::application).key.size == 0) {
          of(NameKind::application).key = NameKey::of(std::span(p, width));
        }
        break;
      case kApplicationName: take_text(of(NameKind::application).name); break;
      case kApplicationDescription: take_text(of(NameKind::application).description); break;
      case kSamplerId:
      case kSelectorId: take_key(NameKind::sampler); break;
      case kSamplerName:
      case kSelectorName: take_text(of(NameKind::sampler).name); break;
      default: break;
    }
  }
  of(NameKind::sampler).rate = rate;
  return values;
}

bool NameTable::reserve() noexcept {
  return memory_.reserve(places_max_ * sizeof(NameEntry)) && chains_.reserve(places_, places_max_) &&
         (keep_ == Keep::changes || texts_.reserve(places_max_ * Slab::kBlockOctetsMin));
}
static_assert(kNameOctetsMax <= Slab::kBlockOctetsMin);

uint64_t NameTable::hash_of_key(const Exporter& exporter, NameKind kind,
                                const NameKey& key) const noexcept {
  return hash_of_text({reinterpret_cast<const char*>(key.octets), key.size},
                      exporter.hash ^ seed_ ^ static_cast<uint64_t>(kind) << 56);
}

uint64_t NameTable::hash_of_value(const NameValue& value) const noexcept {
  const uint64_t name = hash_of_text(value.name, seed_);
  const uint64_t texts = hash_of_text(value.description, name);
  const uint64_t has =
      (value.name.data() != nullptr ? 2 : 0) + (value.description.data() != nullptr);
  // 0 says that nothing was told.
  return mix_hash(texts ^ mix_hash(value.rate * 4 + has)) | 1;
}

NameEntry* NameTable::find_entry(const Exporter& exporter, NameKind kind,
                                 const NameKey& key) const noexcept {
  return chains_.find(hash_of_key(exporter, kind, key), [&](const NameEntry& e) {
    return e.exporter == &exporter && e.kind == kind && e.key_octets == key.size &&
           std::memcmp(e.key, key.octets, key.size) == 0;
  });
}

NameEntry* NameTable::find_or_add(Exporter& exporter, NameKind kind, const NameKey& key) noexcept {
  if (NameEntry* e = find_entry(exporter, kind, key); e != nullptr) {
    exporter.names.move_to_back(e);
    return e;
  }
  if (per_exporter_max_ == 0) return nullptr;
  if (exporter.names.size() >= per_exporter_max_ || !shares_.admits(exporter.names.size(), 1)) {
    remove(exporter, *exporter.names.front());
  }
  shares_.change(exporter.names.size(), exporter.names.size() + 1);
  NameEntry* e = free_;
  if (e != nullptr) {
    free_ = e->hash_next;
  } else {
    e = static_cast<NameEntry*>(static_cast<void*>(memory_.data())) + untouched_++;
  }
  e = new (e) NameEntry{};
  e->hash = hash_of_key(exporter, kind, key);
  e->exporter = &exporter;
  e->kind = kind;
  e->key_octets = key.size;
  std::memcpy(e->key, key.octets, key.size);
  chains_.insert(e);
  exporter.names.push_back(e);
  return e;
}

void NameTable::remove(Exporter& exporter, NameEntry& entry) noexcept {
  if (entry.name != nullptr) texts_.release(entry.name);
  shares_.change(exporter.names.size(), exporter.names.size() - 1);
  chains_.erase(&entry);
  exporter.names.erase(&entry);
  entry.hash_next = free_;
  free_ = &entry;
}

void NameTable::drop_exporter(Exporter& exporter) noexcept {
  while (NameEntry* e = exporter.names.front()) remove(exporter, *e);
}

void NameTable::keep_name(NameEntry& entry, std::string_view name) noexcept {
  if (entry.name == nullptr) {
    entry.name = static_cast<uint8_t*>(texts_.allocate(kNameOctetsMax));
    if (entry.name == nullptr) return;
  }
  entry.name_octets = static_cast<uint8_t>(name.size());
  std::memcpy(entry.name, name.data(), name.size());
}

NameValue NameTable::within_bounds(NameValue value) noexcept {
  value.name = cut(value.name, kNameOctetsMax);
  value.description = cut(value.description, kNameTextOctetsMax - value.name.size());
  if (value.description.size() > UINT8_MAX) value.description = cut(value.description, UINT8_MAX);
  return value;
}

void NameTable::learn(const Domain& domain, NameKind kind, const NameValue& given,
                      EventOutlet& events) noexcept {
  const NameValue value = within_bounds(given);
  NameEntry* entry = find_or_add(*domain.exporter, kind, value.key);
  const uint64_t said = hash_of_value(value);
  if (entry != nullptr && entry->said == said) return;
  const bool is_new = entry == nullptr || entry->said == 0;
  if (entry != nullptr && keep_ == Keep::names && value.name.data() != nullptr) {
    keep_name(*entry, value.name);
  }

  if (!events.is_closed()) {
    Event e = event_of(is_new ? EventKind::name_learned : EventKind::name_changed, domain);
    e.name_kind = kind;
    e.rate = value.rate;
    e.key_octets = value.key.size;
    std::memcpy(e.key, value.key.octets, value.key.size);
    e.has_name = value.name.data() != nullptr;
    e.has_description = value.description.data() != nullptr;
    e.name_octets = static_cast<uint8_t>(value.name.size());
    e.description_octets = static_cast<uint8_t>(value.description.size());
    std::copy(value.name.begin(), value.name.end(), e.text);
    std::copy(value.description.begin(), value.description.end(), e.text + e.name_octets);
    if (!events.emit(e)) return;  // told again when the exporter repeats it
  }
  if (entry != nullptr) entry->said = said;
}

void NameTable::restore(Exporter& exporter, NameKind kind, const NameValue& given) noexcept {
  NameEntry* entry = find_or_add(exporter, kind, given.key);
  if (entry == nullptr || entry->said != 0) return;
  const NameValue value = within_bounds(given);
  if (keep_ == Keep::names && value.name.data() != nullptr) keep_name(*entry, value.name);
  entry->said = hash_of_value(value);
}

std::string_view NameTable::find(const Exporter& exporter, NameKind kind,
                                 const NameKey& key) const noexcept {
  const NameEntry* e = find_entry(exporter, kind, key);
  if (e == nullptr || e->name == nullptr) return {};
  return {reinterpret_cast<const char*>(e->name), e->name_octets};
}

void DecoderState::learn_names(const Domain& domain, const NameValues& values) noexcept {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].says_something()) {
      names_.learn(domain, static_cast<NameKind>(i), values[i], events_);
    }
  }
}

void DecoderState::fill_names(const Message& m, std::span<FlowRecord> records) noexcept {
  if (m.exporter->names.empty() && m.exporter->label == nullptr) return;
  for (FlowRecord& r : records) decode::fill_names(names_, *m.exporter, burst_.arena(), r);
}

void fill_names(const NameTable& names, const Exporter& exporter, Arena& arena,
                FlowRecord& r) noexcept {
  const auto put = [&](std::string_view name, ArenaRef& to, Field field) {
    if (name.empty()) return;
    const auto offset = static_cast<uint16_t>(arena.used());
    uint8_t* p = arena.take(static_cast<uint32_t>(name.size()));
    if (p == nullptr) return;
    std::memcpy(p, name.data(), name.size());
    to = {offset, static_cast<uint16_t>(name.size())};
    r.arena_parts |= arena_part::kStrings;
    r.present.set(field);
  };
  const auto fill = [&](NameKind kind, const NameKey& key, ArenaRef& to, Field field) {
    if (to.count == 0) put(names.find(exporter, kind, key), to, field);  // else the record said it itself
  };
  const auto fill_interface = [&](Field of, uint32_t index, ArenaRef& to, Field field) {
    if (!r.present.has(of) || to.count != 0) return;
    if (exporter.label != nullptr) put(exporter.label->interface_name(index), to, field);
    fill(NameKind::interface, NameKey::of(index), to, field);
  };
  const auto fill_number = [&](NameKind kind, Field of, uint32_t id, ArenaRef& to, Field field) {
    if (r.present.has(of)) fill(kind, NameKey::of(id), to, field);
  };
  fill_interface(Field::in_if, r.in_if, r.in_if_name, Field::in_if_name);
  fill_interface(Field::out_if, r.out_if, r.out_if_name, Field::out_if_name);
  fill_number(NameKind::vrf, Field::ingress_vrf_id, r.ingress_vrf_id, r.ingress_vrf_name,
              Field::ingress_vrf_name);
  fill_number(NameKind::vrf, Field::egress_vrf_id, r.egress_vrf_id, r.egress_vrf_name,
              Field::egress_vrf_name);
  if (r.application_id.count != 0) {
    fill(NameKind::application,
         NameKey::of(std::span(arena.data() + r.application_id.offset, r.application_id.count)),
         r.application_name, Field::application_name);
  }
}

}  // namespace weir::decode
