// enrichment.h — What is known of addresses, ports and MAC addresses, from all sources at once.
//
// Spec:     docs/ENRICHMENT.md.
// Runs on:  loaded by whoever reads the configuration; constant from then on, asked on any thread without an allocation.
// Failure:  an Error that names the file: what was loaded before goes on.
//
// Sources are asked in their order: what an earlier one says of an address a later one does not say differently.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_stamp.h"
#include "base/result.h"
#include "enrich/address_table.h"
#include "enrich/applications.h"
#include "enrich/data_set.h"
#include "enrich/mac_vendors.h"

namespace weir::enrich {

struct EnrichConfig {
  std::vector<std::string> databases;  // MaxMind's format: country, city, ASN
  std::vector<std::string> cloud;      // lists: a prefix, a provider
  std::vector<std::string> threats;    // lists: a prefix, a name of what is there
  std::string applications;            // a file; empty: none
  std::vector<std::string> mac_vendors;
  bool empty() const noexcept {
    return databases.empty() && cloud.empty() && threats.empty() && applications.empty() && mac_vendors.empty();
  }
  /// Adds all files, as they are now.
  void look_at_all(StampedFiles* files) const;
  friend bool operator==(const EnrichConfig&, const EnrichConfig&) = default;
};

/// A view of somebody else's text, in 12 octets instead of 16.
class __attribute__((packed, aligned(4))) ShortView {
 public:
  constexpr ShortView() = default;
  constexpr ShortView(std::string_view text) : data_(text.data()), size_(static_cast<uint32_t>(text.size())) {}  // NOLINT: by intent
  constexpr ShortView(const char* text) : ShortView(std::string_view(text)) {}                                    // NOLINT: by intent
  constexpr operator std::string_view() const noexcept { return {data_, size_}; }                                 // NOLINT: by intent
  constexpr bool empty() const noexcept { return size_ == 0; }
  friend constexpr bool operator==(ShortView a, std::string_view b) noexcept { return std::string_view(a) == b; }

 private:
  const char* data_ = nullptr;
  uint32_t size_ = 0;
};

/// Views into what the Enrichment holds. Empty and 0: nothing is known.
// PERF: of a million combinations hardly one is in a cache, so each is one line of it (enriched, perf/bench_transform).
struct alignas(64) AddressFacts {
  ShortView country, city, as_name, cloud, threat;
  uint32_t as_number = 0;
};
static_assert(sizeof(AddressFacts) == 64);

struct SourceLook {
  DataSetKind kind = DataSetKind::database;
  std::string path, type, version, digest;
  uint64_t prefixes = 0;  // or lines, or blocks

  /// What tells it from all others that were in its place: two databases may be built in one second, or by hand.
  std::string uid() const { return version == digest || digest.empty() ? version : version + " " + digest.substr(0, 8); }
};

class Enrichment {
 public:
  /// A large database takes seconds. `gives_up`: asked between two sources; then it is an Error.
  static Result<std::shared_ptr<const Enrichment>> load(const EnrichConfig& config, const std::atomic<bool>* gives_up = nullptr);
  /// What tests make without files.
  static Result<std::shared_ptr<const Enrichment>> make(std::vector<DataSet> sets);

  /// Null where no source is about addresses.
  const AddressFacts* find(std::string_view octets) const noexcept {
    return facts_.empty() ? nullptr : &facts_[table_.find(octets)];
  }
  void prefetch(std::string_view octets) const noexcept {
    if (!facts_.empty()) table_.prefetch(octets);
  }
  /// Null: none were loaded. Likewise below.
  const ApplicationTable* applications() const noexcept { return applications_ ? &*applications_ : nullptr; }
  const VendorTable* mac_vendors() const noexcept { return vendors_ ? &*vendors_ : nullptr; }
  const std::vector<SourceLook>& sources() const noexcept { return sources_; }
  size_t ranges() const noexcept { return table_.ranges(); }

 private:
  static Result<std::shared_ptr<Enrichment>> make_table(std::vector<DataSet> sets);
  Result<void> load_applications(const std::string& path);
  Result<void> load_vendors(const std::string& path);

  std::vector<std::unique_ptr<char[]>> texts_;  // what facts are views of: each text once
  AddressTable table_;
  std::vector<AddressFacts> facts_;  // by the table's combinations
  std::optional<ApplicationTable> applications_;
  std::optional<VendorTable> vendors_;
  std::vector<SourceLook> sources_;
};

}  // namespace weir::enrich
