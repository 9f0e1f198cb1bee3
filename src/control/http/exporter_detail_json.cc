#include "control/http/exporter_detail_json.h"

#include <algorithm>
#include <compare>
#include <map>
#include <string>
#include <vector>

#include "decode/elements.h"
#include "decode/state_image.h"
#include "export/element_names.h"

namespace weir::control {
namespace {

using decode::FuseRefusal;
using decode::RateKey;
using decode::StateRecord;
using decode::StateRecordType;
using decode::TemplateFormat;
using decode::TemplateKind;
using nlohmann::json;

constexpr uint16_t kSamplingInterval = 34;

struct DomainName {
  uint16_t version;
  uint32_t id;
  friend auto operator<=>(const DomainName&, const DomainName&) = default;
};
struct TemplateName {
  DomainName domain;
  uint16_t id;
  uint16_t port;
  friend auto operator<=>(const TemplateName&, const TemplateName&) = default;
};
struct RateName {
  DomainName domain;
  RateKey kind;
  uint64_t key;
  friend auto operator<=>(const RateName&, const RateName&) = default;
};

/// The newest of each, should several cores have met the exporter.
struct Said {
  std::map<DomainName, decode::RateEntry> domains;
  std::map<RateName, decode::RateEntry> rates;
  std::map<TemplateName, StateRecord> templates;

  static uint64_t defined_ns(const StateRecord& r) { return r.u64(16); }

  template <class Name>
  static void keep(std::map<Name, decode::RateEntry>& all, const Name& name, const decode::RateEntry& rate) {
    decode::RateEntry& kept = all[name];
    if (kept.rate == 0 || rate.changed_ns > kept.changed_ns) kept = rate;
  }
  void read(std::span<const uint8_t> octets) {
    DomainName domain{};
    for (size_t at = 0; at < octets.size();) {
      const StateRecord r{octets.data() + at};
      at += r.octets();
      if (r.type() == StateRecordType::domain) {
        domain = {r.u16(12), r.u32(8)};
        keep(domains, domain, {r.u64(24), r.u64(32)});
      } else if (r.type() == StateRecordType::rate) {
        keep(rates, RateName{domain, static_cast<RateKey>(r.flags()), r.u64(8)}, {r.u64(16), r.u64(24)});
      } else if (r.type() == StateRecordType::template_) {
        const auto [it, is_new] = templates.try_emplace(TemplateName{domain, r.u16(8), r.u16(10)}, r);
        if (!is_new && defined_ns(r) > defined_ns(it->second)) it->second = r;
      }
    }
  }
};

bool is_options(const StateRecord& r) noexcept {
  return static_cast<TemplateKind>(r.u8(14)) == TemplateKind::options || r.u16(12) != 0;
}
bool is_v9(const StateRecord& r) noexcept { return static_cast<TemplateFormat>(r.u8(15)) == TemplateFormat::netflow_v9; }

/// RFC 3954 §6.1.
std::string_view v9_scope_name(uint16_t type) noexcept {
  static constexpr std::string_view kNames[] = {"", "System", "Interface", "Line Card", "NetFlow Cache", "Template"};
  return type < std::size(kNames) ? kNames[type] : std::string_view();
}

json field_json(const decode::FieldSpec& field, bool is_v9_scope) {
  std::string name;
  if (is_v9_scope) {
    name = v9_scope_name(field.id);
  } else if (const auto known = outbound::find_element(field.enterprise, field.id)) {
    name = known->name;
    if (known->reverse) {  // RFC 5103 §6.1
      name.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(name.front())));
      name.insert(0, "reverse");
    }
  }
  return {{"enterprise", field.enterprise},
          {"id", field.id},
          {"name", name.empty() ? json() : json(name)},
          {"octets", field.length == decode::kVariableLength ? json() : json(field.length)}};
}

bool is_data(const StateRecord& r) noexcept {
  return !is_options(r) && static_cast<TemplateKind>(r.u8(14)) == TemplateKind::data;
}
json fused_json(const StateRecord& r) {
  return is_data(r) ? json(name_of(decode::FuseState::of(r.flags()).verdict)) : json();
}
json not_now_json(const StateRecord& r) {
  const FuseRefusal refusal = decode::FuseState::of(r.flags()).refusal;
  return is_data(r) && refusal != FuseRefusal::none ? json(name_of(refusal)) : json();
}

json template_json(const TemplateName& name, const StateRecord& r) {
  const uint16_t scopes = r.u16(12);
  const auto kind = static_cast<TemplateKind>(r.u8(14));
  json fields = json::array();
  uint64_t octets = 0;
  bool varies = false;
  for (uint32_t i = 0; i < r.field_count(); ++i) {
    const decode::FieldSpec field = r.field(i);
    varies |= field.length == decode::kVariableLength;
    octets += field.length;
    fields.push_back(field_json(field, is_v9(r) && i < scopes));
  }
  return {{"protocol", protocol_of_version(name.domain.version)},
          {"domain", name.domain.id},
          {"id", name.id},
          {"kind", kind == TemplateKind::not_decodable ? "not_decodable" : is_options(r) ? "options" : "data"},
          {"format", is_v9(r) ? "netflow_v9" : "ipfix"},
          {"port", name.port == 0 ? json() : json(name.port)},
          {"defined_ns", Said::defined_ns(r)},
          {"scope_fields", scopes},
          {"record_octets", varies ? json() : json(octets)},
          {"fused", fused_json(r)},
          {"not_fused_now", not_now_json(r)},
          {"fields", std::move(fields)}};
}

json sampling_json(const char* source, json rate) {
  return {{"source", source},      {"rate", std::move(rate)}, {"protocol", json()}, {"domain", json()},
          {"of", json()},          {"id", json()},            {"told_ns", json()},  {"selectors", json::array()}};
}

json sampling_json(const char* source, json rate, const DomainName& domain) {
  json row = sampling_json(source, std::move(rate));
  row["protocol"] = protocol_of_version(domain.version);
  row["domain"] = domain.id;
  return row;
}

bool is_selector(RateKey kind) noexcept { return kind >= RateKey::first_selector; }

/// A rate by key; of a selection sequence also the selectors that it has.
void add_keyed(json& rows, const Said& said) {
  std::map<RateName, json> sequences;
  const auto sequence = [&](const RateName& name) -> json& {
    json& row = sequences[{name.domain, RateKey::sequence, name.key}];
    if (row.is_null()) {
      row = sampling_json("sampler", json(), name.domain);
      row["of"] = "selection_sequence";
      row["id"] = name.key;
    }
    return row;
  };
  for (const auto& [name, rate] : said.rates) {
    if (rate.rate == 0) continue;
    if (is_selector(name.kind)) {
      sequence(name)["selectors"].push_back(rate.rate);
      continue;
    }
    if (name.kind == RateKey::sequence) {
      sequence(name)["rate"] = rate.rate;
      sequence(name)["told_ns"] = rate.changed_ns;
      continue;
    }
    const char* const of = name.kind == RateKey::sampler     ? "sampler"
                           : name.kind == RateKey::interface ? "interface"
                                                             : "template";
    json row = sampling_json(name.kind == RateKey::template_ ? "domain" : of, rate.rate, name.domain);
    row["of"] = of;
    row["id"] = name.key;
    row["told_ns"] = rate.changed_ns;
    rows.push_back(std::move(row));
  }
  for (auto& [name, row] : sequences) rows.push_back(std::move(row));
}

json sampling_rows(const Said& said, const decode::ExporterStats& e) {
  json rows = json::array();
  if (e.sampling_rate_override != 0) rows.push_back(sampling_json("override", e.sampling_rate_override));
  for (const auto& [name, r] : said.templates) {
    if (is_options(r)) continue;
    for (uint32_t i = 0; i < r.field_count(); ++i) {
      if (r.field(i).enterprise != 0 || r.field(i).id != kSamplingInterval) continue;
      json row = sampling_json("record", json(), name.domain);
      row["of"] = "template";
      row["id"] = name.id;
      rows.push_back(std::move(row));
      break;
    }
  }
  add_keyed(rows, said);
  for (const auto& [name, rate] : said.domains) {
    if (rate.rate == 0) continue;
    // NetFlow v5 has no options; what its domain has is of its headers.
    json row = sampling_json(name.version < 9 ? "header" : "domain", rate.rate, name);
    row["told_ns"] = rate.changed_ns;
    rows.push_back(std::move(row));
  }
  if (e.samples_taken != 0) {
    json row = sampling_json("record", (e.sample_pool + e.samples_taken / 2) / e.samples_taken);
    row["protocol"] = name_of(decode::Protocol::sflow_5);
    row["of"] = "sample_pool";
    rows.push_back(std::move(row));
  }
  if (e.sampling_rate_default != 0) rows.push_back(sampling_json("default", e.sampling_rate_default));
  return rows;
}

}  // namespace

std::string_view protocol_of_version(uint16_t version) noexcept {
  using decode::Protocol;
  switch (version) {
    case 1: return name_of(Protocol::netflow_v1);
    case 5: return name_of(Protocol::netflow_v5);
    case 7: return name_of(Protocol::netflow_v7);
    case 9: return name_of(Protocol::netflow_v9);
    case 10: return name_of(Protocol::ipfix);
    default: return name_of(Protocol::sflow_5);
  }
}

namespace {

json interfaces_of(const flowpb::ExporterInfo& names) {
  const auto text_or_null = [](const std::string& text) { return text.empty() ? json() : json(text); };
  json rows = json::array();
  for (const flowpb::InterfaceInfo& i : names.interfaces()) {
    rows.push_back({{"if_index", i.if_index()},
                    {"name", text_or_null(i.name())},
                    {"description", text_or_null(i.description())},
                    {"speed_bps", i.speed_bps() == 0 ? json() : json(i.speed_bps())},
                    {"boundary", std::string(name_of(i.boundary()))}});
  }
  return rows;
}

/// Why no template is fused just now, whatever its own verdict is.
json record_readers_of(const DetailAnswer& answer) {
  using dataplane::RecordReaderKind;
  json kinds = json::array();
  for (uint8_t i = 0; i < static_cast<uint8_t>(RecordReaderKind::count_); ++i) {
    if ((answer.record_readers >> i & 1) != 0) kinds.push_back(name_of(static_cast<RecordReaderKind>(i)));
  }
  return kinds;
}

}  // namespace

void add_detail(json& body, const DetailAnswer* answer, const decode::ExporterStats& exporter) {
  Said said;
  if (answer != nullptr) {
    for (const auto& octets : answer->octets) said.read(octets);
  }
  json templates = json::array();
  for (const auto& [name, r] : said.templates) templates.push_back(template_json(name, r));
  // Until the control thread answers there are the operator's.
  if (answer != nullptr && answer->names.interfaces_size() != 0) body["interfaces"] = interfaces_of(answer->names);
  body["sampling"] = sampling_rows(said, exporter);
  body["template_list"] = std::move(templates);
  body["detail"] = {{"complete", answer != nullptr && !answer->is_cut && answer->silent_cores.empty()},
                    {"cut", answer != nullptr && answer->is_cut},
                    {"record_readers", answer != nullptr ? record_readers_of(*answer) : json()},
                    {"silent_cores", answer != nullptr ? json(answer->silent_cores) : json()}};
}

}  // namespace weir::control
