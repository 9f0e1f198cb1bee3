#include "decode/state_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/byte_order.h"

namespace weir::decode {
namespace {

constexpr uint16_t kFirstTemplateId = 256;

/// What of a record cannot be; empty if nothing.
std::string_view trouble_of(const StateRecord& r, uint32_t left, bool in_exporter,
                            bool in_domain) noexcept {
  const uint32_t octets = r.octets();
  if (octets < kStateHeaderOctets || octets > left) return "a length that cannot be";
  if (r.u16(6) != 0) return "a header that is none";
  switch (r.type()) {
    case StateRecordType::exporter:
      if (octets != kStateExporterOctets) return "an exporter of the wrong length";
      if ((r.flags() & ~state_flag::kExporterAll) != 0) return "an exporter with unknown flags";
      return {};
    case StateRecordType::domain:
      if (octets != kStateDomainOctets) return "a domain of the wrong length";
      if (!in_exporter) return "a domain without its exporter";
      if ((r.flags() & ~state_flag::kDomainAll) != 0) return "a domain with unknown flags";
      if (r.u16(12) != 9 && r.u16(12) != 10) return "a domain of no protocol with templates";
      if (r.u8(14) >= static_cast<uint8_t>(SequenceUnit::count_) || r.u8(15) != 0) {
        return "a domain that counts what nobody counts";
      }
      return {};
    case StateRecordType::template_: {
      if (octets < kStateTemplateOctets || octets % kStateFieldOctets != 0) {
        return "a template of the wrong length";
      }
      if (!in_domain) return "a template without its domain";
      if (r.flags() != 0) return "a template with unknown flags";
      const uint32_t fields = r.field_count();
      const auto kind = static_cast<TemplateKind>(r.u8(14));
      const bool known = kind == TemplateKind::data || kind == TemplateKind::options ||
                         kind == TemplateKind::not_decodable;
      if (r.u16(8) < kFirstTemplateId || fields > kTemplateFieldsLimit || r.u16(12) > fields ||
          !known || r.u8(15) > static_cast<uint8_t>(TemplateFormat::ipfix)) {
        return "a template that cannot be";
      }
      return {};
    }
    case StateRecordType::rate:
      if (octets != kStateRateOctets) return "a rate of the wrong length";
      if (!in_domain) return "a rate without its domain";
      if (r.flags() >= static_cast<uint8_t>(RateKey::count_)) return "a rate of nothing known";
      return {};
    case StateRecordType::name: {
      if (octets < kStateNameOctets) return "a name of the wrong length";
      const uint32_t key = r.u8(16);
      const uint32_t texts = uint32_t{r.u8(17)} + r.u8(18);
      if (octets != kStateNameOctets + key + texts || key > kNameKeyOctetsMax ||
          r.u8(17) > kNameOctetsMax || texts > kNameTextOctetsMax) {
        return "a name of the wrong length";
      }
      if (!in_exporter) return "a name without its exporter";
      if (r.flags() >= static_cast<uint8_t>(NameKind::count_) || r.u8(19) > 3 || r.u32(20) != 0) {
        return "a name of nothing known";
      }
      return {};
    }
  }
  return "a record of unknown type";
}

}  // namespace

Result<std::shared_ptr<const StateImage>> StateImage::parse(std::vector<uint8_t> octets) {
  if (octets.size() > kStateOctetsMax) {
    return Error{fmt::format("{} octets of state, limit {}", octets.size(), kStateOctetsMax)};
  }
  auto image = std::make_shared<StateImage>();
  const auto size = static_cast<uint32_t>(octets.size());
  std::vector<Piece>& pieces = image->pieces_;
  bool in_domain = false;
  for (uint32_t at = 0; at < size;) {
    const uint32_t left = size - at;
    const StateRecord r{octets.data() + at};
    const std::string_view trouble = left < kStateHeaderOctets
                                         ? std::string_view("a record that was cut off")
                                         : trouble_of(r, left, !pieces.empty(), in_domain);
    if (!trouble.empty()) return Error{fmt::format("octet {}: {}", at, trouble)};
    switch (r.type()) {
      case StateRecordType::exporter: {
        const IpAddress address = IpAddress::from_v6(r.p + 8);
        const bool incomplete = (r.flags() & state_flag::kIncomplete) != 0;
        in_domain = false;
        if (!pieces.empty() && pieces.back().address == address) {
          pieces.back().incomplete |= incomplete;  // the next slice of the same
          break;
        }
        if (!pieces.empty()) pieces.back().end = at;
        pieces.push_back({address, r.u64(24), at, size, incomplete});
        break;
      }
      case StateRecordType::domain: in_domain = true; break;
      case StateRecordType::template_: ++image->contents_.templates; break;
      case StateRecordType::rate: ++image->contents_.rates; break;
      case StateRecordType::name: ++image->contents_.names; break;
    }
    at += r.octets();
  }
  std::stable_sort(pieces.begin(), pieces.end(),
                   [](const Piece& a, const Piece& b) { return a.address < b.address; });
  for (size_t i = 0; i < pieces.size(); ++i) {
    image->contents_.exporters += i == 0 || pieces[i].address != pieces[i - 1].address;
  }
  image->octets_ = std::move(octets);
  return std::shared_ptr<const StateImage>(std::move(image));
}

uint32_t StateImage::find(const IpAddress& address) const noexcept {
  const auto at =
      std::lower_bound(pieces_.begin(), pieces_.end(), address,
                       [](const Piece& p, const IpAddress& a) { return p.address < a; });
  const bool found = at != pieces_.end() && at->address == address;
  return static_cast<uint32_t>((found ? at : pieces_.end()) - pieces_.begin());
}

uint8_t* StateWriter::begin(StateRecordType type, uint32_t octets, uint8_t flags) noexcept {
  assert(has_room(octets));
  uint8_t* p = out_.data() + used_;
  used_ += octets;
  store_be32(p, octets);
  p[4] = static_cast<uint8_t>(type);
  p[5] = flags;
  store_be16(p + 6, 0);
  return p;
}

void StateWriter::exporter(const Exporter& e, uint8_t flags) noexcept {
  if (e.has_system_init) flags |= state_flag::kHasBootTime;
  uint8_t* p = begin(StateRecordType::exporter, kStateExporterOctets, flags);
  std::memcpy(p + 8, e.stats.address.octets.data(), e.stats.address.octets.size());
  store_be64(p + 24, wall(e.stats.last_seen_ns));
  store_be64(p + 32, e.has_system_init ? e.system_init_ms : 0);
}

void StateWriter::exporter(const IpAddress& address, uint64_t last_seen_ns) noexcept {
  uint8_t* p = begin(StateRecordType::exporter, kStateExporterOctets, 0);
  std::memcpy(p + 8, address.octets.data(), address.octets.size());
  store_be64(p + 24, last_seen_ns);
  store_be64(p + 32, 0);
}

void StateWriter::name(const StateName& n) noexcept {
  uint8_t* p = begin(StateRecordType::name, octets_of(n), static_cast<uint8_t>(n.kind));
  store_be64(p + 8, n.rate);
  p[16] = static_cast<uint8_t>(n.key.size());
  p[17] = static_cast<uint8_t>(n.name.size());
  p[18] = static_cast<uint8_t>(n.description.size());
  p[19] = static_cast<uint8_t>((n.has_name ? state_flag::kHasName : 0) |
                               (n.has_description ? state_flag::kHasDescription : 0));
  store_be32(p + 20, 0);
  p += kStateNameOctets;
  for (const std::string_view text : {n.key, n.name, n.description}) {
    if (!text.empty()) std::memcpy(p, text.data(), text.size());
    p += text.size();
  }
}

void StateWriter::domain(const Domain& d) noexcept {
  const auto flags = static_cast<uint8_t>((d.has_system_init ? state_flag::kHasBootTime : 0) |
                                          (d.split ? state_flag::kSplit : 0));
  uint8_t* p = begin(StateRecordType::domain, kStateDomainOctets, flags);
  store_be32(p + 8, d.id);
  store_be16(p + 12, d.version);
  p[14] = static_cast<uint8_t>(d.sequence.unit());
  p[15] = 0;
  store_be64(p + 16, d.has_system_init ? d.system_init_ms : 0);
  store_be64(p + 24, d.rate.rate);
  store_be64(p + 32, wall(d.rate.changed_ns));
}

void StateWriter::rate(const KeyedRate& r) noexcept {
  uint8_t* p = begin(StateRecordType::rate, kStateRateOctets, static_cast<uint8_t>(r.kind));
  store_be64(p + 8, r.key);
  store_be64(p + 16, r.rate.rate);
  store_be64(p + 24, wall(r.rate.changed_ns));
}

void StateWriter::template_(const Template& t, uint8_t flags) noexcept {
  uint8_t* p = begin(StateRecordType::template_, octets_of(t), flags);
  store_be16(p + 8, t.id);
  // Where somebody looks at it, a session's is told from others' of its number by the exporter's port.
  store_be16(p + 10, t.domain->session != 0 ? t.domain->session_port : t.port);
  store_be16(p + 12, t.scope_fields);
  p[14] = static_cast<uint8_t>(t.kind);
  p[15] = static_cast<uint8_t>(t.format);
  store_be64(p + 16, wall(t.defined_ns));
  p += kStateTemplateOctets;
  for (const FieldSpec& f : t.plan.fields) {
    store_be32(p, f.enterprise);
    store_be16(p + 4, f.id);
    store_be16(p + 6, f.length);
    p += kStateFieldOctets;
  }
}

}  // namespace weir::decode
