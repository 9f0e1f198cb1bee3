#include "control/exporters/exporter_directory.h"

#include <algorithm>
#include <utility>

#include "base/byte_order.h"
#include "base/utf8.h"
#include "decode/state_image.h"

namespace weir::control {
namespace {

using decode::Event;
using decode::EventKind;
using decode::NameKind;

// What a name costs beside its octets: the map's node, the strings' own memory.
constexpr uint64_t kNameOverheadOctets = 64;
constexpr uint64_t kNeverSeen = UINT64_MAX;
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

std::string key_of(uint64_t number) {
  uint8_t octets[8];
  store_be64(octets, number);
  return {reinterpret_cast<const char*>(octets), sizeof octets};
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

  const auto it = find_or_add(e.exporter, e.exporter_since_ns);
  Entry& entry = it->second;
  entry.last_seen_ns = std::max(entry.last_seen_ns, e.at_ns);
  const std::string key = sortable(e.name_kind, e.key_text());
  const auto found = entry.names.find({e.name_kind, key});
  Named after = found != entry.names.end() ? found->second : Named{};
  if (e.has_name) after.name = utf8(e.name());
  if (e.has_description) after.description = utf8(e.description());
  if (e.rate != 0) after.rate = e.rate;
  const uint64_t changes = counters_.changes;
  put(it, e.name_kind, key, std::move(after));
  if (counters_.changes == changes) return;
  entry.version = std::max(entry.version + 1, e.at_ns);
  mark_changed(it, steady_now_ns);
  make_room(e.exporter);
}

ExporterDirectory::Entries::iterator ExporterDirectory::find_or_add(const IpAddress& exporter,
                                                                    uint64_t first_seen_ns) {
  const auto [it, is_new] = entries_.try_emplace(exporter);
  Entry& entry = it->second;
  if (is_new) {
    entry.first_seen_ns = first_seen_ns;
    entry.by_change = by_change_.insert(by_change_.end(), exporter);
    ++counters_.exporters;
  }
  entry.first_seen_ns = std::min(entry.first_seen_ns, first_seen_ns);
  return it;
}

/// Has a name be `after`, where that is a change and there is room.
void ExporterDirectory::put(Entries::iterator it, NameKind kind, const std::string& key,
                            Named after) {
  Entry& entry = it->second;
  const auto found = entry.names.find({kind, key});
  const bool was_there = found != entry.names.end();
  if (after == (was_there ? found->second : Named{})) return;
  const auto octets_of = [&key](const Named& named) {
    return key.size() + named.name.size() + named.description.size() + kNameOverheadOctets;
  };
  const bool is_gone = after == Named{};
  const uint64_t octets_before = was_there ? octets_of(found->second) : 0;
  const uint64_t octets_after = is_gone ? 0 : octets_of(after);
  const bool has_room =
      entry.octets - octets_before + octets_after <= limits_.octets_per_exporter &&
      (was_there || entry.names.size() < limits_.names_per_exporter);
  if (!has_room && !is_gone) {
    ++entry.omitted;
    ++counters_.omitted;
    return;
  }
  if (is_gone) {
    entry.names.erase(found);
    --counters_.names;
  } else if (was_there) {
    found->second = std::move(after);
  } else {
    entry.names.emplace(std::pair{kind, key}, std::move(after));
    ++counters_.names;
  }
  entry.octets += octets_after - octets_before;
  counters_.octets += octets_after - octets_before;
  ++counters_.changes;
}

/// Forgets others: the one that is kept is within its own bound. Of one that is listed only the names go.
void ExporterDirectory::make_room(const IpAddress& keep) {
  while (counters_.octets > limits_.octets_total && by_change_.front() != keep) {
    const auto it = entries_.find(by_change_.front());
    Entry& entry = it->second;
    if (listed(it->first) == nullptr) {
      ++counters_.forgotten;
      forget(it);
      continue;
    }
    if (!entry.names.empty()) ++counters_.forgotten;
    counters_.octets -= entry.octets;
    counters_.names -= entry.names.size();
    entry.octets = 0;
    entry.names.clear();
    by_change_.splice(by_change_.end(), by_change_, entry.by_change);
  }
}

/// Without the list, which is read anew.
void ExporterDirectory::save(flowpb::ExporterInfoList& out) const {
  for (const IpAddress& exporter : by_change_) {
    const Entry& entry = entries_.find(exporter)->second;
    if (entry.first_seen_ns != kNeverSeen) write(exporter, entry, *out.add_exporters());
  }
}

void ExporterDirectory::set_list(std::shared_ptr<const ExporterList> list, uint64_t steady_now_ns,
                                 uint64_t wall_now_ns) {
  const std::shared_ptr<const ExporterList> before = std::exchange(list_, std::move(list));
  const auto mark = [&](const IpAddress& exporter) WEIR_RUNS_ON(control_thread) {
    const auto it = find_or_add(exporter, kNeverSeen);
    it->second.version = std::max(it->second.version + 1, wall_now_ns);
    it->second.last_seen_ns = std::max(it->second.last_seen_ns, wall_now_ns);
    mark_changed(it, steady_now_ns);
  };
  if (before != nullptr) {
    for (const ListedExporter& exporter : before->exporters()) {
      if (listed(exporter.address) == nullptr) mark(exporter.address);
    }
  }
  if (list_ == nullptr) return;
  for (const ListedExporter& exporter : list_->exporters()) {
    const ListedExporter* was = before != nullptr ? before->find(exporter.address) : nullptr;
    if (was == nullptr || *was != exporter) mark(exporter.address);
  }
}

const ListedExporter* ExporterDirectory::listed(const IpAddress& exporter) const noexcept {
  return list_ != nullptr ? list_->find(exporter) : nullptr;
}

void ExporterDirectory::restore(const flowpb::ExporterInfoList& list, uint64_t steady_now_ns) {
  for (const flowpb::ExporterInfo& info : list.exporters()) {
    const auto address = address_of(info);
    if (!address) continue;
    const auto it = find_or_add(*address, info.first_seen_ns());
    for (const auto& i : info.interfaces()) {
      put(it, NameKind::interface, key_of(i.if_index()), {i.name(), i.description(), 0});
    }
    for (const auto& v : info.vrfs()) put(it, NameKind::vrf, key_of(v.id()), {v.name(), {}, 0});
    for (const auto& a : info.applications()) {
      put(it, NameKind::application, a.id(), {a.name(), a.description(), 0});
    }
    for (const auto& s : info.samplers()) {
      put(it, NameKind::sampler, key_of(s.id()), {s.name(), {}, s.rate()});
    }
    it->second.last_seen_ns = std::max(it->second.last_seen_ns, info.last_seen_ns());
    it->second.version = std::max(it->second.version, info.version());
    mark_changed(it, steady_now_ns);
    make_room(*address);
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
    write_listed(*it, out);
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
  if (it == entries_.end()) return;
  it->second.is_taken = false;
  // It was listed and is not any more, which is told now; nothing else is known of it.
  const bool is_empty = it->second.first_seen_ns == kNeverSeen && listed(exporter) == nullptr;
  if (is_empty && !it->second.is_changed) forget(it);
}

void ExporterDirectory::append_state(std::vector<uint8_t>& records, size_t octets_max) const {
  std::vector<uint8_t> room(decode::kStateExporterOctets + decode::kStateNameOctets +
                            decode::kNameKeyOctetsMax + decode::kNameTextOctetsMax);
  for (const auto& [address, entry] : entries_) {
    bool begun = false;
    for (const auto& [kind_and_key, named] : entry.names) {
      decode::StateName n;
      n.kind = kind_and_key.first;
      n.key = kind_and_key.second;
      // Numbers without leading zeros, as the exporter's events have them.
      while (n.kind != NameKind::application && n.key.size() > 1 && n.key.front() == '\0') {
        n.key.remove_prefix(1);
      }
      n.name = named.name;
      n.description = named.description;
      n.has_name = !named.name.empty();
      n.has_description = !named.description.empty();
      n.rate = named.rate;
      if (n.name.size() > decode::kNameOctetsMax ||
          n.name.size() + n.description.size() > decode::kNameTextOctetsMax ||
          n.description.size() > UINT8_MAX) {
        continue;
      }
      decode::StateWriter writer(room);
      if (!begun) writer.exporter(address, entry.last_seen_ns);
      writer.name(n);
      if (records.size() + writer.octets() > octets_max) return;
      begun = true;
      records.insert(records.end(), room.begin(),
                     room.begin() + static_cast<ptrdiff_t>(writer.octets()));
    }
  }
}

/// Which of them was unchanged longest stays as it is.
void ExporterDirectory::publish_all_again(uint64_t steady_now_ns) {
  for (size_t i = by_change_.size(); i != 0; --i) mark_changed(entries_.find(by_change_.front()), steady_now_ns);
}

void ExporterDirectory::make_all_due() { all_due_ = true; }

bool ExporterDirectory::find(const IpAddress& exporter, flowpb::ExporterInfo& out) const {
  const auto it = entries_.find(exporter);
  if (it == entries_.end()) return false;
  write(exporter, it->second, out);
  write_listed(exporter, out);
  return true;
}

std::string ExporterDirectory::exporter_name(const IpAddress& exporter) const {
  const ListedExporter* said = listed(exporter);
  return said != nullptr ? said->name : std::string();
}

std::string ExporterDirectory::interface_name(const IpAddress& exporter, uint32_t index) const {
  if (const ListedExporter* said = listed(exporter)) {
    const ListedInterface* interface = find_interface(*said, index);
    if (interface != nullptr && !interface->name.empty()) return interface->name;
  }
  const auto it = entries_.find(exporter);
  if (it == entries_.end()) return {};
  const auto found = it->second.names.find({NameKind::interface, key_of(index)});
  return found == it->second.names.end() ? std::string() : found->second.name;
}

void ExporterDirectory::write(const IpAddress& address, const Entry& entry,
                              flowpb::ExporterInfo& out) const {
  out.Clear();
  out.set_exporter_address(address.wire_data(), address.wire_octets());
  out.set_version(entry.version);
  out.set_first_seen_ns(entry.first_seen_ns == kNeverSeen ? 0 : entry.first_seen_ns);
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

std::optional<IpAddress> address_of(const flowpb::ExporterInfo& info) {
  const auto* octets = reinterpret_cast<const uint8_t*>(info.exporter_address().data());
  switch (info.exporter_address().size()) {
    case 4: return IpAddress::from_v4(octets);
    case 16: return IpAddress::from_v6(octets);
    default: return std::nullopt;
  }
}

std::string subject_token(const IpAddress& address) {
  std::string token = address.to_string();
  std::replace_if(
      token.begin(), token.end(), [](char c) { return c == '.' || c == ':'; }, '-');
  return token;
}

}  // namespace weir::control
