#include "control/exporters/exporter_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "control/exporters/csv_reader.h"
#include "service/config_document.h"
#include "service/log.h"

namespace weir::control {
namespace {

enum class Column : uint8_t { address, name, site, if_index, if_name, speed, boundary, count_ };
constexpr size_t kColumns = static_cast<size_t>(Column::count_);
constexpr std::array<std::string_view, kColumns> kColumnNames = {"address", "name",  "site",    "ifIndex",
                                                                 "ifName",  "speed", "boundary"};
constexpr const char* kAllColumns = "address, name, site, ifIndex, ifName, speed, boundary";
// What an interface costs in a message beside its name: its number, its speed, and their tags.
constexpr size_t kInterfaceOverheadOctets = 32;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool is_word(std::string_view text, std::string_view word) {
  return std::equal(text.begin(), text.end(), word.begin(), word.end(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

/// What is wrong with it as a text of one line; empty when nothing is.
std::string trouble_of_text(std::string_view text) {
  if (text.size() > kExporterListFieldOctetsMax) {
    return fmt::format("{} octets; at most {}", text.size(), kExporterListFieldOctetsMax);
  }
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  for (size_t i = 0; i < text.size();) {
    const size_t octets = utf8_character_octets(p + i, text.size() - i);
    if (octets == 0) return "not UTF-8";
    const bool is_control = p[i] < 0x20 || p[i] == 0x7f || (p[i] == 0xc2 && p[i + 1] < 0xa0);
    if (is_control) return "a control character";
    i += octets;
  }
  return {};
}

std::optional<uint32_t> parse_index(std::string_view text) {
  uint32_t index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size() || index == 0) return std::nullopt;
  return index;
}

/// 1000000000, 10G, 2.5G, 400M, 64k: bits a second, by thousands.
std::optional<uint64_t> parse_speed(std::string_view text) {
  uint64_t unit = 1;
  if (!text.empty()) {
    switch (lower(text.back())) {
      case 'k': unit = 1'000; break;
      case 'm': unit = 1'000'000; break;
      case 'g': unit = 1'000'000'000; break;
      case 't': unit = 1'000'000'000'000; break;
      default: break;
    }
  }
  if (unit > 1) text.remove_suffix(1);
  const size_t point = std::min(text.find('.'), text.size());
  uint64_t whole = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + point, whole);
  if (error != std::errc() || end != text.data() + point || whole > kInterfaceSpeedMax / unit) return std::nullopt;
  uint64_t speed = whole * unit;
  if (point < text.size()) {
    const std::string_view digits = text.substr(point + 1);
    if (digits.empty()) return std::nullopt;
    for (const char c : digits) {
      unit /= 10;
      if (c < '0' || c > '9' || unit == 0) return std::nullopt;  // parts of a bit
      speed += static_cast<uint64_t>(c - '0') * unit;
    }
  }
  if (speed == 0 || speed > kInterfaceSpeedMax) return std::nullopt;
  return speed;
}

std::optional<InterfaceBoundary> parse_boundary(std::string_view text) {
  if (is_word(text, "yes") || is_word(text, "external")) return InterfaceBoundary::external;
  if (is_word(text, "no") || is_word(text, "internal")) return InterfaceBoundary::internal;
  return std::nullopt;
}

/// Rows → exporters, and which line said what.
class ListBuilder {
 public:
  explicit ListBuilder(Mistakes& mistakes) : mistakes_(mistakes) {}

  bool read_header(const std::vector<CsvField>& fields) {
    for (const CsvField& field : fields) {
      size_t column = 0;
      while (column < kColumns && !is_word(field.text, kColumnNames[column])) ++column;
      if (column == kColumns) {
        mistakes_.add(field.at, fmt::format("\"{}\" is no column; the first line names the columns, in any order, of: {}",
                                            service::printable(field.text), kAllColumns));
      } else if (std::find(columns_.begin(), columns_.end(), static_cast<Column>(column)) != columns_.end()) {
        mistakes_.add(field.at, fmt::format("column {} stands there twice", kColumnNames[column]));
      }
      columns_.push_back(static_cast<Column>(column));
    }
    if (!mistakes_.any() && std::find(columns_.begin(), columns_.end(), Column::address) == columns_.end()) {
      mistakes_.add(fields.front().at, "no column address");
    }
    return !mistakes_.any();
  }

  void read_row(const std::vector<CsvField>& fields) {
    if (fields.size() != columns_.size()) {
      mistakes_.add(fields.front().at,
                    fmt::format("{} fields, and the first line names {}", fields.size(), columns_.size()));
      return;
    }
    std::array<const CsvField*, kColumns> row{};
    bool is_right = true;
    for (size_t i = 0; i < fields.size(); ++i) {
      row[static_cast<size_t>(columns_[i])] = &fields[i];
      if (const std::string trouble = trouble_of_text(fields[i].text); !trouble.empty()) {
        is_right = false;
        mistakes_.add(fields[i].at, fmt::format("{}: {}", kColumnNames[static_cast<size_t>(columns_[i])], trouble));
      }
    }
    if (is_right) take(row);
  }

  std::vector<ListedExporter> finish(size_t& interfaces) {
    std::vector<ListedExporter> all;
    all.reserve(exporters_.size());
    for (auto& [address, entry] : exporters_) {
      ListedExporter& exporter = all.emplace_back();
      exporter.address = address;
      exporter.name = std::move(entry.name.text);
      exporter.site = std::move(entry.site.text);
      for (auto& [index, interface] : entry.interfaces) exporter.interfaces.push_back(std::move(interface.said));
      interfaces += exporter.interfaces.size();
    }
    return all;
  }

 private:
  using Row = std::array<const CsvField*, kColumns>;
  struct Said {
    std::string text;
    size_t line = 0;
  };
  struct SaidInterface {
    ListedInterface said;
    size_t line = 0;
  };
  struct Entry {
    Said name;
    Said site;
    size_t own_line = 0;  // of its row without ifIndex
    size_t octets = 0;
    std::map<uint32_t, SaidInterface> interfaces;
  };

  static const CsvField* given(const Row& row, Column column) {
    const CsvField* field = row[static_cast<size_t>(column)];
    return field != nullptr && !field->text.empty() ? field : nullptr;
  }
  void refuse(const CsvField& field, Column column, std::string_view allowed) {
    mistakes_.add(field.at, fmt::format("{} \"{}\" is not allowed; allowed: {}", kColumnNames[static_cast<size_t>(column)],
                                        service::printable(field.text), allowed));
  }

  void take(const Row& row) {
    const CsvField& address_field = *row[static_cast<size_t>(Column::address)];
    const auto address = IpAddress::parse(address_field.text);
    if (!address || address->is_unspecified()) {
      return refuse(address_field, Column::address, "an address, such as 192.0.2.1 or 2001:db8::1");
    }
    Entry& entry = exporters_[*address];
    agree(entry.name, given(row, Column::name), Column::name, *address);
    agree(entry.site, given(row, Column::site), Column::site, *address);
    if (const CsvField* index = given(row, Column::if_index)) return take_interface(entry, *address, *index, row);
    for (const Column column : {Column::if_name, Column::speed, Column::boundary}) {
      if (const CsvField* field = given(row, column)) {
        mistakes_.add(field->at, fmt::format("{} without an ifIndex", kColumnNames[static_cast<size_t>(column)]));
      }
    }
    if (entry.own_line != 0) {
      mistakes_.add(address_field.at,
                    fmt::format("{} has a row without ifIndex in line {} already", address->to_string(), entry.own_line));
    }
    entry.own_line = address_field.at.line;
  }

  /// Every row of an exporter may name it, as tables that were joined do; they must not differ.
  void agree(Said& said, const CsvField* field, Column column, const IpAddress& address) {
    if (field == nullptr || field->text == said.text) return;
    if (said.line != 0) {
      mistakes_.add(field->at, fmt::format("{} \"{}\": line {} has \"{}\" for {}",
                                           kColumnNames[static_cast<size_t>(column)], service::printable(field->text),
                                           said.line, service::printable(said.text), address.to_string()));
      return;
    }
    said = {field->text, field->at.line};
  }

  void take_interface(Entry& entry, const IpAddress& address, const CsvField& index_field, const Row& row) {
    SaidInterface interface;
    interface.line = index_field.at.line;
    const auto index = parse_index(index_field.text);
    if (!index) return refuse(index_field, Column::if_index, "1 to 4294967295, or nothing: a row of the exporter itself");
    interface.said.index = *index;
    if (const CsvField* name = given(row, Column::if_name)) interface.said.name = name->text;
    if (const CsvField* field = given(row, Column::speed)) {
      const auto speed = parse_speed(field->text);
      if (!speed) return refuse(*field, Column::speed, "bits a second from 1 to 1000T, such as 10G, 2.5G, 400M or 1544000");
      interface.said.speed_bps = *speed;
    }
    if (const CsvField* field = given(row, Column::boundary)) {
      const auto boundary = parse_boundary(field->text);
      if (!boundary) return refuse(*field, Column::boundary, "yes or external, no or internal, or nothing: not known");
      interface.said.boundary = *boundary;
    }
    entry.octets += interface.said.name.size() + kInterfaceOverheadOctets;
    if (entry.interfaces.size() == kListedInterfacesMax || entry.octets > kListedOctetsMax) {
      if (std::exchange(is_too_large_, true)) return;  // said once
      mistakes_.add(index_field.at, fmt::format("{} has too many interfaces; at most {}, and {} octets of names",
                                                address.to_string(), kListedInterfacesMax, kListedOctetsMax));
      return;
    }
    const auto [before, is_new] = entry.interfaces.emplace(*index, std::move(interface));
    if (!is_new) {
      mistakes_.add(index_field.at, fmt::format("{} has a row for ifIndex {} in line {} already", address.to_string(),
                                                *index, before->second.line));
    }
  }

  Mistakes& mistakes_;
  std::vector<Column> columns_;
  std::map<IpAddress, Entry> exporters_;
  bool is_too_large_ = false;
};

std::shared_ptr<const decode::ExporterLabels> labels_of(const std::vector<ListedExporter>& exporters) {
  std::vector<decode::ExporterLabel> labels;
  for (const ListedExporter& exporter : exporters) {
    decode::ExporterLabel label{.address = exporter.address, .site = exporter.site, .interfaces = {}};
    for (const ListedInterface& interface : exporter.interfaces) {
      if (!interface.name.empty()) label.interfaces.push_back({interface.index, interface.name});
    }
    if (!label.site.empty() || !label.interfaces.empty()) labels.push_back(std::move(label));
  }
  return std::make_shared<const decode::ExporterLabels>(std::move(labels));
}

}  // namespace

Result<ExporterList> ExporterList::parse(std::string_view text, const std::string& name) {
  Mistakes mistakes(name, kMistakesToldMax);
  CsvReader reader(text, mistakes);
  ListBuilder builder(mistakes);
  std::vector<CsvField> fields;
  const bool has_header = reader.next(fields);
  if (!has_header && !mistakes.any()) {
    mistakes.add({}, fmt::format("empty; the first line names the columns, of: {}", kAllColumns));
  }
  if (has_header && builder.read_header(fields)) {
    size_t rows = 0;
    while (reader.next(fields)) {
      if (++rows > kExporterListRowsMax) {
        mistakes.add(fields.front().at, fmt::format("more than {} rows", kExporterListRowsMax));
        break;
      }
      builder.read_row(fields);
    }
  }
  if (mistakes.any()) return mistakes.to_error();
  ExporterList list;
  list.exporters_ = builder.finish(list.interfaces_);
  list.labels_ = labels_of(list.exporters_);
  return list;
}

Result<std::shared_ptr<const ExporterList>> ExporterList::read(const std::string& path) {
  // Before its octets: what is written meanwhile shows as another stamp.
  const auto stamp = stamp_of(path);
  if (!stamp) return stamp.error();
  const auto text = service::read_config_file(path, kExporterListOctetsMax);
  if (!text) return text.error();
  auto list = parse(*text, path);
  if (!list) return list.error();
  list->stamp_ = *stamp;
  return std::make_shared<const ExporterList>(std::move(*list));
}

const ListedExporter* ExporterList::find(const IpAddress& address) const noexcept {
  const auto it = std::lower_bound(exporters_.begin(), exporters_.end(), address,
                                   [](const ListedExporter& e, const IpAddress& a) { return e.address < a; });
  return it != exporters_.end() && it->address == address ? &*it : nullptr;
}

const ListedInterface* find_interface(const ListedExporter& exporter, uint32_t index) noexcept {
  const auto it = std::lower_bound(exporter.interfaces.begin(), exporter.interfaces.end(), index,
                                   [](const ListedInterface& i, uint32_t wanted) { return i.index < wanted; });
  return it != exporter.interfaces.end() && it->index == index ? &*it : nullptr;
}

bool say_the_same(const std::shared_ptr<const ExporterList>& a, const std::shared_ptr<const ExporterList>& b) {
  const auto is_empty = [](const auto& list) { return list == nullptr || list->exporters().empty(); };
  if (is_empty(a) || is_empty(b)) return is_empty(a) == is_empty(b);
  return a == b || a->says_the_same(*b);
}

}  // namespace weir::control
