#include "control/exporter_directory.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/utf8.h"

namespace weir::control {
namespace {

using decode::Event;
using decode::EventKind;
using decode::NameKind;

// What a name costs beside its octets: the map's node, the strings' own memory.
constexpr uint64_t kNameOverheadOctets = 64;
constexpr size_t kDueScanMax = 1024;  // exporters looked at in one call

std::string utf8(std::string_view text) {
  std::string out(text);
  make_utf8(reinterpret_cast<uint8_t*>(out.data()), out.size());
  return out;
}

uint64_t number_of(const std::string& key) {
  uint64_t value = 0;
  for (const char c : key) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

/// Maps order keys as text; shorter numbers would stand behind longer ones.
std::string sortable(NameKind kind, std::string_view key) {
  if (kind == NameKind::application) return std::string(key);
  std::string padded(sizeof(uint64_t) - std::min(key.size(), sizeof(uint64_t)), '\0');
  return padded.append(key);
}

}  // namespace

ExporterDirectory::ExporterDirectory(const DirectoryLimits& limits, std::string partition)
    : limits_(limits), partition_(std::move(partition)) {}

void ExporterDirectory::on_event(const Event& e, uint64_t steady_now_ns) {
  if (e.kind != EventKind::name_learned && e.kind != EventKind::name_changed) return;
  const bool fits_field = e.name_kind == NameKind::application || e.key_octets <= 8;
  const bool is_32_bit = e.name_kind == NameKind::interface || e.name_kind == NameKind::vrf;
  if (!fits_field || (is_32_bit && e.id() > UINT32_MAX)) return;

  auto it = entries_.find(e.exporter);
  if (it == entries_.end()) {
    it = entries_.try_emplace(e.exporter).first;
    Entry& fresh = it->second;
    fresh.first_seen_ns = e.exporter_since_ns;
    fresh.by_change = by_change_.insert(by_change_.end(), e.exporter);
    ++counters_.exporters;
  }
  Entry& entry = it->second;
  entry.first_seen_ns = std::min(entry.first_seen_ns, e.exporter_since_ns);
  entry.last_seen_ns = std::max(entry.last_seen_ns, e.at_ns);

  const std::string key = sortable(e.name_kind, e.key_text());
  auto found = entry.names.find({e.name_kind, key});
  const Named before = found != entry.names.end() ? found->second : Named{};
  Named after = before;
  if (e.has_name) after.name = utf8(e.name());
  if (e.has_description) after.description = utf8(e.description());
  if (e.rate != 0) after.rate = e.rate;
  if (after == before) return;

  const auto octets_of = [&](const Named& named) {
    return key.size() + named.name.size() + named.description.size() + kNameOverheadOctets;
  };
  const uint64_t octets_before = found != entry.names.end() ? octets_of(before) : 0;
  const bool is_gone = after == Named{};
  const uint64_t octets_after = is_gone ? 0 : octets_of(after);
  const bool has_room =
      entry.octets - octets_before + octets_after <= limits_.octets_per_exporter &&
      (found != entry.names.end() || entry.names.size() < limits_.names_per_exporter);
  if (!has_room && !is_gone) {
    ++entry.omitted;
    ++counters_.omitted;
    return;
  }
  if (is_gone) {
    entry.names.erase(found);
    --counters_.names;
  } else if (found != entry.names.end()) {
    found->second = std::move(after);
  } else {
    entry.names.emplace(std::pair{e.name_kind, key}, std::move(after));
    ++counters_.names;
  }
  entry.octets += octets_after - octets_before;
  counters_.octets += octets_after - octets_before;
  ++counters_.changes;
  entry.version = std::max(entry.version + 1, e.at_ns);
  mark_changed(it, steady_now_ns);

  // Only others are forgotten: this one is within its own bound.
  while (counters_.octets > limits_.octets_total && by_change_.front() != e.exporter) {
    forget(entries_.find(by_change_.front()));
  }
}

void ExporterDirectory::mark_changed(Entries::iterator it, uint64_t steady_now_ns) {
  Entry& entry = it->second;
  by_change_.splice(by_change_.end(), by_change_, entry.by_change);
  entry.last_change_ns = steady_now_ns;
  if (entry.is_changed) return;
  entry.is_changed = true;
  entry.first_change_ns = steady_now_ns;
  entry.changed = changed_.insert(changed_.end(), it->first);
}

void ExporterDirectory::forget(Entries::iterator it) {
  Entry& entry = it->second;
  counters_.octets -= entry.octets;
  counters_.names -= entry.names.size();
  --counters_.exporters;
  ++counters_.forgotten;
  by_change_.erase(entry.by_change);
  if (entry.is_changed) changed_.erase(entry.changed);
  entries_.erase(it);
}

bool ExporterDirectory::is_due(const Entry& entry, uint64_t now_ns) const {
  return all_due_ || now_ns - entry.last_change_ns >= limits_.settle_ns ||
         now_ns - entry.first_change_ns >= limits_.settle_max_ns;
}

bool ExporterDirectory::take_due(uint64_t steady_now_ns, flowpb::ExporterInfo& out) {
  size_t looked_at = 0;
  for (auto it = changed_.begin(); it != changed_.end() && looked_at < kDueScanMax;
       ++it, ++looked_at) {
    Entry& entry = entries_.find(*it)->second;
    if (entry.is_taken || !is_due(entry, steady_now_ns)) continue;
    write(*it, entry, out);
    entry.is_taken = true;
    entry.is_changed = false;
    changed_.erase(it);
    return true;
  }
  // Those that go on changing must not hide the ones behind them.
  if (looked_at == kDueScanMax) changed_.splice(changed_.end(), changed_, changed_.begin());
  return false;
}

void ExporterDirectory::put_back(const IpAddress& exporter, uint64_t steady_now_ns) {
  const auto it = entries_.find(exporter);
  if (it == entries_.end()) return;
  it->second.is_taken = false;
  mark_changed(it, steady_now_ns);
}

void ExporterDirectory::published(const IpAddress& exporter) {
  const auto it = entries_.find(exporter);
  if (it != entries_.end()) it->second.is_taken = false;
}

void ExporterDirectory::make_all_due() { all_due_ = true; }

bool ExporterDirectory::find(const IpAddress& exporter, flowpb::ExporterInfo& out) const {
  const auto it = entries_.find(exporter);
  if (it == entries_.end()) return false;
  write(exporter, it->second, out);
  return true;
}

void ExporterDirectory::write(const IpAddress& address, const Entry& entry,
                              flowpb::ExporterInfo& out) const {
  out.Clear();
  out.set_exporter_address(address.wire_data(), address.wire_octets());
  out.set_version(entry.version);
  out.set_first_seen_ns(entry.first_seen_ns);
  out.set_last_seen_ns(entry.last_seen_ns);
  out.set_partition(partition_);
  out.set_omitted(entry.omitted);
  for (const auto& [key, named] : entry.names) {
    switch (key.first) {
      case NameKind::interface: {
        flowpb::InterfaceInfo& i = *out.add_interfaces();
        i.set_if_index(static_cast<uint32_t>(number_of(key.second)));
        i.set_name(named.name);
        i.set_description(named.description);
        break;
      }
      case NameKind::vrf: {
        flowpb::VrfInfo& v = *out.add_vrfs();
        v.set_id(static_cast<uint32_t>(number_of(key.second)));
        v.set_name(named.name);
        break;
      }
      case NameKind::application: {
        flowpb::ApplicationInfo& a = *out.add_applications();
        a.set_id(key.second);
        a.set_name(named.name);
        a.set_description(named.description);
        break;
      }
      case NameKind::sampler: {
        flowpb::SamplerInfo& s = *out.add_samplers();
        s.set_id(number_of(key.second));
        s.set_name(named.name);
        s.set_rate(named.rate);
        break;
      }
      case NameKind::count_: break;
    }
  }
}

std::string subject_token(const IpAddress& address) {
  std::string token = address.to_string();
  std::replace_if(
      token.begin(), token.end(), [](char c) { return c == '.' || c == ':'; }, '-');
  return token;
}

namespace {

std::string hex(const std::string& octets) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : octets) {
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

}  // namespace

void append_exporter_json_line(const flowpb::ExporterInfo& info, std::string& out) {
  using Json = nlohmann::ordered_json;
  const auto* octets = reinterpret_cast<const uint8_t*>(info.exporter_address().data());
  const IpAddress address = info.exporter_address().size() == 4    ? IpAddress::from_v4(octets)
                            : info.exporter_address().size() == 16 ? IpAddress::from_v6(octets)
                                                                   : IpAddress{};
  Json line = {{"type", "EXPORTER_INFO"},
               {"exporter_address", address.to_string()},
               {"version", info.version()},
               {"first_seen_ns", info.first_seen_ns()},
               {"last_seen_ns", info.last_seen_ns()},
               {"partition", info.partition()},
               {"omitted", info.omitted()}};
  Json& interfaces = line["interfaces"] = Json::array();
  for (const auto& i : info.interfaces()) {
    interfaces.push_back(
        {{"if_index", i.if_index()}, {"name", i.name()}, {"description", i.description()}});
  }
  Json& vrfs = line["vrfs"] = Json::array();
  for (const auto& v : info.vrfs()) vrfs.push_back({{"id", v.id()}, {"name", v.name()}});
  Json& applications = line["applications"] = Json::array();
  for (const auto& a : info.applications()) {
    applications.push_back(
        {{"id", hex(a.id())}, {"name", a.name()}, {"description", a.description()}});
  }
  Json& samplers = line["samplers"] = Json::array();
  for (const auto& s : info.samplers()) {
    samplers.push_back({{"id", s.id()}, {"name", s.name()}, {"rate", s.rate()}});
  }
  out += line.dump(-1, ' ', false, Json::error_handler_t::replace);
  out += '\n';
}

}  // namespace weir::control
