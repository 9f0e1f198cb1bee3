// mmdb_reader.cc — A MaxMind database as a data set.
#include <fcntl.h>
#include <fmt/format.h>
#include <maxminddb.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <limits>
#include <optional>
#include <unordered_map>

#include "base/utf8.h"
#include "enrich/data_set.h"
#include "enrich/file_digest.h"

namespace weir::enrich {

namespace {

constexpr unsigned kAddressBits = 128;
constexpr unsigned kMappedBits = 96;

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

Error errno_error(const std::string& path) { return Error{fmt::format("{}: {}", path, std::strerror(errno))}; }

bool is_same_file(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

/// A copy in memory that nobody else can cut short: libmaxminddb maps what it reads, and a mapped file that
/// becomes shorter ends the process (SIGBUS).
Result<void> copy_file(const std::string& path, const Descriptor& from, const Descriptor& to, std::string& digest) {
  struct stat before {}, after {};
  if (fstat(from.fd, &before) != 0) return errno_error(path);
  if (!S_ISREG(before.st_mode)) return Error{path + ": is no file"};
  if (static_cast<uint64_t>(before.st_size) > kDatabaseOctetsMax) {
    return Error{fmt::format("{} is longer than {} octets", path, kDatabaseOctetsMax)};
  }
  FileDigest sum;
  std::vector<char> block(size_t{1} << 20);
  for (size_t copied = 0;;) {
    const ssize_t n = read(from.fd, block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(path);
    if (n == 0) break;
    if ((copied += static_cast<size_t>(n)) > kDatabaseOctetsMax) return Error{path + ": grows while it is read"};
    sum.add({block.data(), static_cast<size_t>(n)});
    for (ssize_t at = 0; at < n;) {
      const ssize_t written = write(to.fd, block.data() + at, static_cast<size_t>(n - at));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return Error{fmt::format("{}: no room for it in memory: {}", path, std::strerror(errno))};
      at += written;
    }
  }
  if (fstat(from.fd, &after) != 0) return errno_error(path);
  if (!is_same_file(before, after)) return Error{path + ": is written to while it is read"};
  digest = sum.hex();
  return {};
}

/// When it was built. Nothing where that is no time that anybody builds databases at.
std::optional<std::string> time_text(uint64_t epoch_seconds) {
  constexpr uint64_t kYear10000 = 253'402'300'800;
  std::tm utc{};
  const auto at = static_cast<std::time_t>(epoch_seconds);
  if (epoch_seconds >= kYear10000 || gmtime_r(&at, &utc) == nullptr) return std::nullopt;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

struct Database {
  MMDB_s mmdb{};
  bool is_open = false;
  ~Database() {
    if (is_open) MMDB_close(&mmdb);
  }
};

/// The value at a path of keys, if it is there.
std::optional<MMDB_entry_data_s> value_at(MMDB_entry_s& entry, std::initializer_list<const char*> path) {
  std::vector<const char*> keys(path);
  keys.push_back(nullptr);
  MMDB_entry_data_s data{};
  if (MMDB_aget_value(&entry, &data, keys.data()) != MMDB_SUCCESS || !data.has_data) return std::nullopt;
  return data;
}

std::string text_at(MMDB_entry_s& entry, std::initializer_list<std::initializer_list<const char*>> paths) {
  for (const auto& path : paths) {
    const auto data = value_at(entry, path);
    if (!data || data->type != MMDB_DATA_TYPE_UTF8_STRING || data->data_size == 0) continue;
    std::string text(data->utf8_string, std::min<size_t>(data->data_size, kNameOctetsMax));
    make_utf8(reinterpret_cast<uint8_t*>(text.data()), text.size());
    return text;
  }
  return {};
}

uint32_t as_number_at(MMDB_entry_s& entry) {
  for (const auto& path : {std::initializer_list<const char*>{"autonomous_system_number"}, {"asn"}, {"traits", "autonomous_system_number"}}) {
    const auto data = value_at(entry, path);
    if (!data) continue;
    switch (data->type) {
      case MMDB_DATA_TYPE_UINT16: return data->uint16;
      case MMDB_DATA_TYPE_UINT32: return data->uint32;
      case MMDB_DATA_TYPE_UINT64: return data->uint64 <= std::numeric_limits<uint32_t>::max() ? static_cast<uint32_t>(data->uint64) : 0;
      case MMDB_DATA_TYPE_UTF8_STRING: {  // AS64500
        uint64_t number = 0;
        std::string_view text(data->utf8_string, data->data_size);
        if (text.substr(0, 2) == "AS") text.remove_prefix(2);
        for (const char c : text) {
          if (c < '0' || c > '9' || number > std::numeric_limits<uint32_t>::max()) return 0;
          number = number * 10 + static_cast<uint64_t>(c - '0');
        }
        return number <= std::numeric_limits<uint32_t>::max() ? static_cast<uint32_t>(number) : 0;
      }
      default: break;
    }
  }
  return 0;
}

bool is_country(const std::string& text) {
  return text.size() == 2 && text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'A' && text[1] <= 'Z';
}

/// Of GeoLite2 and GeoIP2 databases, and of those of others that use the format.
Entry entry_of(MMDB_entry_s& from) {
  Entry entry;
  entry.country = text_at(from, {{"country", "iso_code"}, {"country_code"}, {"country"}, {"registered_country", "iso_code"}});
  if (!is_country(entry.country)) entry.country.clear();
  entry.city = text_at(from, {{"city", "names", "en"}, {"city"}});
  entry.as_name = text_at(from, {{"autonomous_system_organization"}, {"as_name"}, {"traits", "autonomous_system_organization"}});
  entry.as_number = as_number_at(from);
  return entry;
}

bool says_something(const Entry& entry) {
  return !entry.country.empty() || !entry.city.empty() || !entry.as_name.empty() || entry.as_number != 0;
}

struct Place {
  uint32_t node;
  uint8_t depth;
  IpAddress path;
};

class Walk {
 public:
  Walk(Database& database, DataSet& set) : database_(database), set_(set), is_v6_(database.mmdb.metadata.ip_version == 6) {}

  Result<void> run() {
    set_.entries.emplace_back();
    std::vector<Place> open = {{0, 0, {}}};
    uint64_t nodes = 0;
    while (!open.empty()) {
      const Place place = open.back();
      open.pop_back();
      if (++nodes > database_.mmdb.metadata.node_count) return Error{set_.path + ": its nodes are no tree"};
      MMDB_search_node_s node{};
      if (const int state = MMDB_read_node(&database_.mmdb, place.node, &node); state != MMDB_SUCCESS) {
        return Error{fmt::format("{}: {}", set_.path, MMDB_strerror(state))};
      }
      for (const bool is_right : {true, false}) {
        Place next = {0, static_cast<uint8_t>(place.depth + 1), place.path};
        if (is_right) next.path.octets[place.depth / 8] |= static_cast<uint8_t>(0x80 >> place.depth % 8);
        const uint8_t type = is_right ? node.right_record_type : node.left_record_type;
        if (type == MMDB_RECORD_TYPE_EMPTY) continue;
        if (type == MMDB_RECORD_TYPE_DATA) {
          if (auto put = take(next, is_right ? node.right_record_entry : node.left_record_entry); !put) return put;
          continue;
        }
        if (type != MMDB_RECORD_TYPE_SEARCH_NODE) return Error{set_.path + ": a node of its tree is none"};
        next.node = static_cast<uint32_t>(is_right ? node.right_record : node.left_record);
        if (next.depth >= (is_v6_ ? kAddressBits : kAddressBits - kMappedBits)) return Error{set_.path + ": its tree is deeper than an address"};
        // 6to4, Teredo and mapped addresses lead to IPv4's part again.
        if (is_v6_ && next.node == database_.mmdb.ipv4_start_node.node_value && !is_v4_root(next)) continue;
        open.push_back(next);
      }
    }
    return {};
  }

 private:
  bool is_v4_root(const Place& place) const { return place.depth == kMappedBits && place.path == IpAddress{}; }

  Result<void> take(const Place& place, MMDB_entry_s entry) {
    const auto [at, is_new] = values_.try_emplace(entry.offset, 0);
    if (is_new) {
      Entry made = entry_of(entry);
      if (says_something(made)) {
        at->second = static_cast<uint32_t>(set_.entries.size());
        set_.entries.push_back(std::move(made));
      }
    }
    const uint32_t value = at->second;
    if (value == 0) return {};
    if (set_.prefixes.size() + 2 > kPrefixesMax) return Error{fmt::format("{} has more than {} prefixes", set_.path, kPrefixesMax)};
    if (!is_v6_) {
      IpAddress address = IpAddress::from_v4(place.path.octets.data());
      set_.prefixes.push_back({address, static_cast<uint8_t>(kMappedBits + place.depth), value});
      return {};
    }
    IpAddress begin = place.path;
    std::fill(begin.octets.begin() + kMappedBits / 8, begin.octets.end(), uint8_t{0});
    const bool is_v4 = begin == IpAddress{} && place.depth >= kMappedBits;
    const bool has_v4 = place.path == IpAddress{} && place.depth < kMappedBits;  // all of it
    if (!is_v4) set_.prefixes.push_back({place.path, place.depth, value});
    if (has_v4) set_.prefixes.push_back({IpAddress::from_v4(0u), kMappedBits, value});
    if (is_v4) set_.prefixes.push_back({IpAddress::from_v4(place.path.octets.data() + kMappedBits / 8), place.depth, value});
    return {};
  }

  Database& database_;
  DataSet& set_;
  const bool is_v6_;
  std::unordered_map<uint32_t, uint32_t> values_;  // by their place in the file
};

}  // namespace

Result<DataSet> read_database(const std::string& path) {
  DataSet set;
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) return errno_error(path);
  const Descriptor copy{memfd_create("weir-database", MFD_CLOEXEC)};
  if (copy.fd < 0) return errno_error(path);
  if (auto copied = copy_file(path, file, copy, set.digest); !copied) return copied.error();
  Database database;
  const int state = MMDB_open(fmt::format("/proc/self/fd/{}", copy.fd).c_str(), MMDB_MODE_MMAP, &database.mmdb);
  if (state != MMDB_SUCCESS) {
    return Error{fmt::format("{}: {}", path, MMDB_strerror(state))};
  }
  database.is_open = true;
  set.kind = DataSetKind::database;
  set.path = path;
  set.type = database.mmdb.metadata.database_type != nullptr ? database.mmdb.metadata.database_type : "";
  const auto built = time_text(database.mmdb.metadata.build_epoch);
  if (!built) return Error{fmt::format("{}: says that it was built {} s after 1970", path, database.mmdb.metadata.build_epoch)};
  set.version = *built;
  if (auto walked = Walk(database, set).run(); !walked) return walked.error();
  return set;
}

}  // namespace weir::enrich
