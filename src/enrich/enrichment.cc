#include "enrich/enrichment.h"

#include <algorithm>
#include <unordered_set>

#include "base/read_file.h"
#include "enrich/csv.h"

namespace weir::enrich {

namespace {

/// Puts texts one behind the other, each once: names of networks and cities are of many prefixes, and strewn over the entries of a
/// database they would be in no cache.
class TextKeeper {
 public:
  explicit TextKeeper(std::vector<std::unique_ptr<char[]>>& blocks) : blocks_(blocks) {}

  std::string_view kept(std::string_view text) {
    if (text.empty()) return {};
    if (const auto there = known_.find(text); there != known_.end()) return *there;
    if (left_ < text.size()) {
      left_ = std::max(kBlockOctets, text.size());
      next_ = blocks_.emplace_back(std::make_unique<char[]>(left_)).get();
    }
    std::copy(text.begin(), text.end(), next_);
    const std::string_view copy(next_, text.size());
    next_ += text.size();
    left_ -= text.size();
    known_.insert(copy);
    return copy;
  }

 private:
  static constexpr size_t kBlockOctets = 64 << 10;
  std::vector<std::unique_ptr<char[]>>& blocks_;
  std::unordered_set<std::string_view> known_;
  char* next_ = nullptr;
  size_t left_ = 0;
};

/// What facts say of an entry.
struct KeptEntry {
  std::string_view country, city, as_name, cloud, threat;
  uint32_t as_number = 0;
};

void add(AddressFacts& facts, const KeptEntry& entry) {
  if (facts.country.empty()) facts.country = entry.country;
  if (facts.city.empty()) facts.city = entry.city;
  // A number and another's name would not belong together.
  if (facts.as_number == 0 && facts.as_name.empty()) {
    facts.as_number = entry.as_number;
    facts.as_name = entry.as_name;
  }
  if (facts.cloud.empty()) facts.cloud = entry.cloud;
  if (facts.threat.empty()) facts.threat = entry.threat;
}

}  // namespace

void EnrichConfig::look_at_all(StampedFiles* files) const {
  for (const std::vector<std::string>* const list : {&databases, &cloud, &threats, &mac_vendors}) {
    for (const std::string& path : *list) look_at(path, files);
  }
  look_at(applications, files);
}

Result<std::shared_ptr<const Enrichment>> Enrichment::load(const EnrichConfig& config, const std::atomic<bool>* gives_up) {
  const auto is_given_up = [gives_up] { return gives_up != nullptr && gives_up->load(std::memory_order_relaxed); };
  const Error given_up{"given up before all of it was read"};
  std::vector<DataSet> sets;
  for (const std::string& path : config.databases) {
    if (is_given_up()) return given_up;
    auto set = read_database(path);
    if (!set) return set.error();
    sets.push_back(std::move(*set));
  }
  for (const auto& [paths, kind] : {std::pair(&config.cloud, DataSetKind::cloud), std::pair(&config.threats, DataSetKind::threat)}) {
    for (const std::string& path : *paths) {
      if (is_given_up()) return given_up;
      auto set = read_list(path, kind);
      if (!set) return set.error();
      sets.push_back(std::move(*set));
    }
  }
  if (is_given_up()) return given_up;
  auto made = make_table(std::move(sets));
  if (!made) return made.error();
  if (!config.applications.empty()) {
    if (auto loaded = (*made)->load_applications(config.applications); !loaded) return loaded.error();
  }
  for (const std::string& path : config.mac_vendors) {
    if (auto loaded = (*made)->load_vendors(path); !loaded) return loaded.error();
  }
  return std::shared_ptr<const Enrichment>(std::move(*made));
}

Result<void> Enrichment::load_applications(const std::string& path) {
  const auto text = read_file(path, kApplicationsOctetsMax);
  if (!text) return text.error();
  auto table = ApplicationTable::parse(*text, path);
  if (!table) return table.error();
  applications_ = std::move(*table);
  sources_.push_back({DataSetKind::applications, path, "applications", version_of(*text), version_of(*text), applications_->rows()});
  return {};
}

Result<void> Enrichment::load_vendors(const std::string& path) {
  const auto text = read_file(path, kVendorsOctetsMax);
  if (!text) return text.error();
  if (!vendors_) vendors_.emplace();
  const auto added = vendors_->add(*text, path);
  if (!added) return added.error();
  sources_.push_back({DataSetKind::mac_vendors, path, "mac_vendors", version_of(*text), version_of(*text), *added});
  return {};
}

Result<std::shared_ptr<const Enrichment>> Enrichment::make(std::vector<DataSet> sets) {
  auto made = make_table(std::move(sets));
  if (!made) return made.error();
  return std::shared_ptr<const Enrichment>(std::move(*made));
}

Result<std::shared_ptr<Enrichment>> Enrichment::make_table(std::vector<DataSet> sets) {
  auto made = std::make_shared<Enrichment>();
  std::vector<std::vector<Prefix>> prefixes;
  std::vector<std::vector<KeptEntry>> entries;  // by set
  TextKeeper texts(made->texts_);
  for (DataSet& set : sets) {
    made->sources_.push_back({set.kind, set.path, set.type, set.version, set.digest, set.prefixes.size()});
    std::vector<KeptEntry>& kept = entries.emplace_back();
    kept.reserve(set.entries.size());
    for (const Entry& e : set.entries) {
      kept.push_back({texts.kept(e.country), texts.kept(e.city), texts.kept(e.as_name), texts.kept(e.cloud), texts.kept(e.threat), e.as_number});
    }
    set.entries = {};
    prefixes.push_back(std::move(set.prefixes));
  }
  if (sets.empty()) return made;
  auto table = AddressTable::build(prefixes);
  if (!table) return table.error();
  made->table_ = std::move(*table);
  made->facts_.reserve(made->table_.combinations().size());
  for (const Values& values : made->table_.combinations()) {
    AddressFacts facts;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (values[i] != 0) add(facts, entries[i][values[i]]);
    }
    made->facts_.push_back(facts);
  }
  return made;
}

}  // namespace weir::enrich
