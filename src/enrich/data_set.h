// data_set.h — One source of what is known of addresses: a MaxMind database, or a list of prefixes.
//
// Spec:     MaxMind DB file format 2.0 (by libmaxminddb); lists: a prefix and a name a line, with a comma between.
// Runs on:  whoever loads; pure but for the file.
// Bounds:   kPrefixesMax prefixes, kListOctetsMax octets of a list, kDatabaseOctetsMax of a database, kNameOctetsMax of a name. A database's tree is walked once: one
//           whose nodes meet again is refused.
// Failure:  an Error with the file and, in a list, the line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/named_enum.h"
#include "base/result.h"
#include "enrich/address_table.h"

namespace weir::enrich {

inline constexpr size_t kListOctetsMax = 256 << 20;
inline constexpr size_t kDatabaseOctetsMax = size_t{2} << 30;
inline constexpr size_t kNameOctetsMax = 128;

#define WEIR_DATA_SET_KINDS(X) X(database) X(cloud) X(threat) X(applications) X(mac_vendors)
WEIR_NAMED_ENUM(DataSetKind, uint8_t, WEIR_DATA_SET_KINDS)

/// What one entry of a source says. Empty and 0: nothing.
struct Entry {
  std::string country;  // ISO 3166-1 alpha-2
  std::string city;
  std::string as_name;
  uint32_t as_number = 0;
  std::string cloud;    // a provider
  std::string threat;   // a list's name for what is there
};

struct DataSet {
  DataSetKind kind = DataSetKind::database;
  std::string path;
  std::string type;      // what a database says it is
  std::string version;   // of a database: when it was built; of a list: its digest
  std::string digest;    // of what the file holds (FileDigest)
  std::vector<Prefix> prefixes;  // their values are places in `entries`
  std::vector<Entry> entries;    // the first is nobody's
};

Result<DataSet> read_database(const std::string& path);
/// `kind`: cloud or threat, which the names are of.
Result<DataSet> read_list(const std::string& path, DataSetKind kind);
/// The list's text; `path` only for errors.
Result<DataSet> parse_list(std::string_view text, const std::string& path, DataSetKind kind);

}  // namespace weir::enrich
