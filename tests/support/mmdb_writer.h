// mmdb_writer.h — MaxMind databases for tests and benchmarks.
//
// Spec:     MaxMind DB file format 2.0: a tree of nodes of two 32-bit records, sixteen zero octets, data, metadata.
#pragma once

#include <array>
#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_order.h"
#include "base/ip_address.h"

namespace weir::test {

class MmdbWriter {
 public:
  explicit MmdbWriter(std::string type, uint16_t ip_version = 6, uint64_t build_epoch = 1'767'225'600)
      : type_(std::move(type)), ip_version_(ip_version), build_epoch_(build_epoch), nodes_(1) {}

  // What entries are, as octets of the data section.
  static std::string country(std::string_view code) { return map({{"country", map({{"iso_code", text(code)}})}}); }
  static std::string city(std::string_view code, std::string_view name) {
    return map({{"country", map({{"iso_code", text(code)}})}, {"city", map({{"names", map({{"en", text(name)}})}})}});
  }
  static std::string as_number(uint32_t number, std::string_view name) {
    return map({{"autonomous_system_number", unsigned32(number)}, {"autonomous_system_organization", text(name)}});
  }

  static std::string text(std::string_view value) { return control(2, value.size()) + std::string(value); }
  static std::string unsigned32(uint32_t value) { return number(6, value, 4); }
  static std::string map(const std::vector<std::pair<std::string, std::string>>& members) {
    std::string octets = control(7, members.size());
    for (const auto& [key, value] : members) octets += text(key) + value;
    return octets;
  }

  /// `length` of the address's own family. Longer prefixes come after shorter ones that they lie in.
  void add(const IpAddress& address, unsigned length, const std::string& entry) {
    const auto [at, is_new] = places_.try_emplace(entry, static_cast<uint32_t>(data_.size()));
    if (is_new) data_ += entry;
    // IPv4 lies in ::/96 of a tree of IPv6.
    std::array<uint8_t, 16> path{};
    unsigned depth = length;
    unsigned begin = 0;
    if (address.is_v4()) {
      std::copy(address.octets.begin() + 12, address.octets.end(), path.begin() + 12);
      begin = ip_version_ == 6 ? 0 : 96;
      depth = 96 + length;
    } else {
      path = address.octets;
    }
    uint32_t node = 0;
    for (unsigned bit = begin; bit < depth; ++bit) {
      const bool is_right = (path[bit / 8] >> (7 - bit % 8) & 1) != 0;
      if (bit + 1 == depth) {
        nodes_[node][is_right] = {Record::Kind::data, at->second};
        return;
      }
      const Record here = nodes_[node][is_right];
      if (here.kind != Record::Kind::node) {
        // What held for all of it holds for both halves.
        const auto made = static_cast<uint32_t>(nodes_.size());
        nodes_.push_back({here, here});
        nodes_[node][is_right] = {Record::Kind::node, made};
      }
      node = nodes_[node][is_right].value;
    }
  }
  /// Leads a prefix of IPv6 to IPv4's part, as databases do with 2002::/16.
  void add_alias(const IpAddress& address, unsigned length) {
    uint32_t v4 = 0;
    for (int i = 0; i < 96; ++i) v4 = nodes_[v4][0].value;
    uint32_t node = 0;
    for (unsigned bit = 0; bit < length; ++bit) {
      const bool is_right = (address.octets[bit / 8] >> (7 - bit % 8) & 1) != 0;
      if (bit + 1 == length) {
        nodes_[node][is_right] = {Record::Kind::node, v4};
        return;
      }
      if (nodes_[node][is_right].kind != Record::Kind::node) {
        const auto made = static_cast<uint32_t>(nodes_.size());
        nodes_.push_back({});
        nodes_[node][is_right] = {Record::Kind::node, made};
      }
      node = nodes_[node][is_right].value;
    }
  }

  std::string octets() const {
    const auto count = static_cast<uint32_t>(nodes_.size());
    std::string out(nodes_.size() * 8, '\0');
    auto* at = reinterpret_cast<uint8_t*>(out.data());
    for (const auto& node : nodes_) {
      for (const Record& record : node) {
        const uint32_t value = record.kind == Record::Kind::none   ? count
                               : record.kind == Record::Kind::node ? record.value
                                                                   : count + 16 + record.value;
        store_be32(at, value);
        at += 4;
      }
    }
    out += std::string(16, '\0') + data_ + "\xAB\xCD\xEFMaxMind.com";
    out += map({{"binary_format_major_version", number(5, 2, 2)},
                {"binary_format_minor_version", number(5, 0, 2)},
                {"build_epoch", number(9, build_epoch_, 8)},
                {"database_type", text(type_)},
                {"description", map({{"en", text("for tests")}})},
                {"ip_version", number(5, ip_version_, 2)},
                {"languages", control(11, 1) + text("en")},
                {"node_count", number(6, count, 4)},
                {"record_size", number(5, 32, 2)}});
    return out;
  }
  void write(const std::string& path) const { std::ofstream(path, std::ios::binary) << octets(); }

 private:
  struct Record {
    enum class Kind : uint8_t { none, node, data };
    Kind kind = Kind::none;
    uint32_t value = 0;
  };

  static std::string control(unsigned type, size_t size) {
    std::string octets;
    const auto first = [&](size_t low) {
      octets += static_cast<char>((type <= 7 ? type << 5 : 0) | low);
      if (type > 7) octets += static_cast<char>(type - 7);
    };
    if (size < 29) {
      first(size);
    } else if (size < 29 + 256) {
      first(29);
      octets += static_cast<char>(size - 29);
    } else {
      first(30);
      octets += static_cast<char>((size - 285) >> 8);
      octets += static_cast<char>(size - 285);
    }
    return octets;
  }
  static std::string number(unsigned type, uint64_t value, size_t width) {
    std::string octets = control(type, width);
    for (size_t i = width; i-- > 0;) octets += static_cast<char>(value >> 8 * i);
    return octets;
  }

  const std::string type_;
  const uint16_t ip_version_;
  const uint64_t build_epoch_;
  std::vector<std::array<Record, 2>> nodes_;
  std::string data_;
  std::map<std::string, uint32_t> places_;
};

}  // namespace weir::test
