// lists_oracle.h — What must hold of any file that somebody takes for a list of what is known: prefixes with names, applications, MAC
// vendors, a dictionary of rules, a database.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "enrich/applications.h"
#include "enrich/csv.h"
#include "enrich/data_set.h"
#include "enrich/mac_vendors.h"
#include "rules/sets.h"

namespace weir::enrich {

class ListsOracle {
 public:
  /// Refused with a line of it, or: of each prefix's first and last address, and their neighbours, the table says what looking at each prefix says.
  void check_prefixes(std::string_view text) {
    const auto set = parse_list(text, kPath, DataSetKind::threat);
    if (!set) return check_place(set.error().message, text);
    check_set(*set, text);
  }

  /// Refused with a line of it, or: the same name whichever end is called the source.
  void check_applications(std::string_view text) {
    const auto table = ApplicationTable::parse(text, kPath);
    if (!table) return check_place(table.error().message, text);
    static const std::string kAddresses[] = {std::string("\xc0\0\2\1", 4), std::string("\x0a\0\0\1", 4),
                                             std::string("\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\7", 16), ""};
    constexpr uint16_t kPorts[] = {0, 53, 443, 6001, 65535};
    for (const uint8_t protocol : {uint8_t{6}, uint8_t{17}, uint8_t{50}}) {
      for (size_t i = 0; i < 20; ++i) {
        const FlowEnd one{kAddresses[i % 4], kPorts[i % 5]}, other{kAddresses[i / 4 % 4], kPorts[i * 3 % 5]};
        const std::string_view name = table->find(protocol, one, other);
        if (name != table->find(protocol, other, one)) fail("an answer's flow has its question's name", text);
        check_name(name, text);
      }
    }
  }

  /// Refused with a line of it, or: as many blocks as were added.
  void check_vendors(std::string_view text) {
    VendorTable table;
    const auto added = table.add(text, kPath);
    if (!added) return check_place(added.error().message, text);
    if (*added != table.size()) fail("what was added is there", text);
    for (uint64_t block = 0; block < 256; ++block) check_name(table.find(0x00000c000001 ^ block << 24 ^ block << 12), text);
  }

  /// Refused with a line of it, or: what the other reader of CSV files finds.
  void check_dictionary(std::string_view text) {
    const auto dictionary = rules::Dictionary::parse(kPath, text);
    if (!dictionary) return check_place(dictionary.error().message, text);
    if (text.find('#') != std::string_view::npos) return;  // which is a comment for the other
    const std::string path = kPath;
    CsvReader csv(text, path);
    std::vector<std::string> cells;
    for (bool is_heading = true;; is_heading = false) {
      const auto next = csv.next(cells);
      if (!next) fail("both readers take it: " + next.error().message, text);
      if (!*next) return;
      for (size_t i = 1; i < cells.size() && !is_heading; ++i) {
        if (dictionary->find(cells[0], i) != cells[i]) fail("both readers find the same", text);
      }
    }
  }

  /// A MaxMind database: refused with a reason, or a set as of a list.
  void check_database(std::string_view octets) {
    if (file_ < 0 || ftruncate(file_, 0) != 0 || pwrite(file_, octets.data(), octets.size(), 0) != static_cast<ssize_t>(octets.size())) std::abort();
    const auto set = read_database("/proc/self/fd/" + std::to_string(file_));
    if (!set && set.error().message.empty()) fail("a message says what is wrong", {});
    if (set) check_set(*set, {});
  }

 private:
  static constexpr const char* kPath = "list";

  [[noreturn]] static void fail(const std::string& what, std::string_view text) {
    std::fprintf(stderr, "does not hold: %s\n%.*s\n", what.c_str(), static_cast<int>(text.size()), text.data());
    std::abort();
  }

  static void check_place(const std::string& why, std::string_view text) {
    const std::string begins = std::string(kPath) + ":";
    if (why.rfind(kPath, 0) != 0) fail("a mistake is a file's: " + why, text);
    if (why.rfind(begins, 0) != 0 || why[begins.size()] == ' ') return;  // of all of it
    const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
    const size_t line = std::strtoull(why.c_str() + begins.size(), nullptr, 10);
    if (line < 1 || line > lines) fail("a mistake has a line of the file: " + why, text);
  }

  static void check_name(std::string_view name, std::string_view text) {
    if (!is_utf8(name)) fail("a name is UTF-8", text);
    if (name.size() > kNameOctetsMax) fail("a name is not longer than names are", text);
  }

  static void check_set(const DataSet& set, std::string_view text) {
    for (const Entry& entry : set.entries) {
      for (const std::string& name : {entry.country, entry.city, entry.as_name, entry.cloud, entry.threat}) check_name(name, text);
    }
    for (const Prefix& prefix : set.prefixes) {
      if (prefix.length > 128 || prefix.value == 0 || prefix.value >= set.entries.size()) fail("a prefix has a length and an entry", text);
    }
    const std::vector<Prefix> sets[] = {set.prefixes};
    const auto table = AddressTable::build(sets);
    if (!table) fail("a set becomes a table: " + table.error().message, text);
    constexpr size_t kLookedAt = 40;
    for (size_t i = 0; i < std::min(set.prefixes.size(), kLookedAt); ++i) {
      const Key host = set.prefixes[i].length == 0 ? ~Key{0} : set.prefixes[i].length == 128 ? 0 : ~Key{0} >> set.prefixes[i].length;
      const Key first = key_of(set.prefixes[i].address) & ~host;
      for (const Key key : {first, first - 1, first | host, (first | host) + 1}) {
        char octets[16];
        for (int at = 0; at < 16; ++at) octets[at] = static_cast<char>(key >> (120 - 8 * at));
        const uint32_t found = table->combinations()[table->find({octets, 16})][0];
        if (found != best_of(set.prefixes, key)) fail("the longest prefix holds", text);
      }
    }
  }

  __extension__ using Key = unsigned __int128;
  static Key key_of(const IpAddress& address) { return static_cast<Key>(load_be64(address.octets.data())) << 64 | load_be64(address.octets.data() + 8); }
  static uint32_t best_of(const std::vector<Prefix>& prefixes, Key key) {
    const Prefix* best = nullptr;
    for (const Prefix& prefix : prefixes) {
      const unsigned host = 128u - prefix.length;
      const bool holds = host == 128 || key >> host == key_of(prefix.address) >> host;
      if (holds && (best == nullptr || prefix.length >= best->length)) best = &prefix;
    }
    return best == nullptr ? 0 : best->value;
  }

  const int file_ = memfd_create("database", MFD_CLOEXEC);
};

}  // namespace weir::enrich
