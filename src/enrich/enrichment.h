// enrichment.h — What is known of an address, from all sources at once.
//
// Spec:     docs/ENRICHMENT.md.
// Runs on:  loaded by whoever reads the configuration; constant from then on, asked on any thread without an allocation.
// Failure:  an Error that names the file: what was loaded before goes on.
//
// Sources are asked in their order: what an earlier one says of an address a later one does not say differently.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "enrich/address_table.h"
#include "enrich/data_set.h"

namespace weir::enrich {

struct EnrichConfig {
  std::vector<std::string> databases;  // MaxMind's format: country, city, ASN
  std::vector<std::string> cloud;      // lists: a prefix, a provider
  std::vector<std::string> threats;    // lists: a prefix, a name of what is there
  bool empty() const noexcept { return databases.empty() && cloud.empty() && threats.empty(); }
  friend bool operator==(const EnrichConfig&, const EnrichConfig&) = default;
};

/// Views into what the Enrichment holds. Empty and 0: nothing is known.
struct AddressFacts {
  std::string_view country, city, as_name, cloud, threat;
  uint32_t as_number = 0;
};

struct SourceLook {
  DataSetKind kind = DataSetKind::database;
  std::string path, type, version;
  uint64_t prefixes = 0;
};

class Enrichment {
 public:
  static Result<std::shared_ptr<const Enrichment>> load(const EnrichConfig& config);
  /// What tests make without files.
  static Result<std::shared_ptr<const Enrichment>> make(std::vector<DataSet> sets);

  /// Never null.
  const AddressFacts* find(std::string_view octets) const noexcept { return &facts_[table_.find(octets)]; }
  const std::vector<SourceLook>& sources() const noexcept { return sources_; }
  size_t ranges() const noexcept { return table_.ranges(); }

 private:
  std::vector<std::vector<Entry>> entries_;  // by set; facts point into them
  AddressTable table_;
  std::vector<AddressFacts> facts_;  // by the table's combinations
  std::vector<SourceLook> sources_;
};

}  // namespace weir::enrich
