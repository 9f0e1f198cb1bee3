#include "enrich/mac_vendors.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/utf8.h"
#include "enrich/csv.h"
#include "enrich/data_set.h"

namespace weir::enrich {
namespace {

constexpr unsigned kMacBits = 48;

/// `08-00-27`, `0800271`, `00:1B:C5:00:00:00`: its bits at the top of 48, and how many digits there were.
std::optional<uint64_t> read_digits(std::string_view text, size_t& digits) noexcept {
  uint64_t bits = 0;
  digits = 0;
  for (const char c : text) {
    if (c == ':' || c == '-' || c == '.') continue;
    unsigned digit = 0;
    const auto [end, error] = std::from_chars(&c, &c + 1, digit, 16);
    if (error != std::errc() || end != &c + 1 || ++digits > kMacBits / 4) return std::nullopt;
    bits = bits << 4 | digit;
  }
  if (digits == 0) return std::nullopt;
  return bits << (kMacBits - 4 * digits);
}

/// The IEEE's own blocks are those that it divides among others.
bool is_registry(std::string_view name) noexcept {
  constexpr std::string_view kRegistry = "ieee registration authority";
  return name.size() >= kRegistry.size() && std::equal(kRegistry.begin(), kRegistry.end(), name.begin(), [](char a, char b) {
           return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
         });
}

std::string_view trimmed(std::string_view text) noexcept {
  const size_t first = text.find_first_not_of(" \t\r");
  return first == std::string_view::npos ? std::string_view() : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

Result<size_t> VendorTable::add(std::string_view text, const std::string& path) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text.starts_with("Registry,") ? add_csv(text, path) : add_manuf(text, path);
}

Result<size_t> VendorTable::add_csv(std::string_view text, const std::string& path) {
  CsvReader csv(text, path);
  std::vector<std::string> cells;
  if (auto heading = csv.next(cells); !heading) return heading.error();
  const size_t before = size_;
  for (;;) {
    auto next = csv.next(cells);
    if (!next) return next.error();
    if (!*next) return size_ - before;
    const auto wrong = [&](std::string_view why) { return Error{fmt::format("{}: {}", csv.where(), why)}; };
    if (cells.size() < 3) return wrong("a block has a registry, an assignment and a name");
    size_t digits = 0;
    const auto prefix = read_digits(cells[1], digits);
    if (!prefix || (digits != 6 && digits != 7 && digits != 9)) {
      return wrong(fmt::format("'{}' is no block: 6, 7 or 9 hexadecimal digits are", cells[1].substr(0, 40)));
    }
    if (auto done = put(*prefix, static_cast<unsigned>(4 * digits), trimmed(cells[2])); !done) return wrong(done.error().message);
  }
}

/// Block, short name, name, with tabs between.
Result<size_t> VendorTable::add_manuf(std::string_view text, const std::string& path) {
  const size_t before = size_;
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const auto wrong = [&](std::string_view why) { return Error{fmt::format("{}:{}: {}", path, number, why)}; };
    const size_t tab = line.find('\t');
    if (tab == std::string_view::npos) return wrong("a block and a name have a tab between them");
    std::string_view block = line.substr(0, tab);
    std::string_view name = trimmed(line.substr(tab + 1));
    if (const size_t second = name.find('\t'); second != std::string_view::npos) name = trimmed(name.substr(second + 1));
    if (const size_t note = name.find(" # "); note != std::string_view::npos) name = trimmed(name.substr(0, note));
    unsigned bits = 0;
    if (const size_t slash = block.find('/'); slash != std::string_view::npos) {
      const std::string_view said = trimmed(block.substr(slash + 1));
      std::from_chars(said.data(), said.data() + said.size(), bits);
      block = block.substr(0, slash);
    }
    size_t digits = 0;
    const auto prefix = read_digits(trimmed(block), digits);
    if (bits == 0) bits = static_cast<unsigned>(4 * digits);
    if (!prefix) return wrong(fmt::format("'{}' is no block, as 00:00:0C and 00:1B:C5:00:00:00/36 are", block.substr(0, 40)));
    if (bits != 24 && bits != 28 && bits != 36) continue;  // single addresses, and groups of well-known ones
    if (auto done = put(*prefix, bits, name); !done) return wrong(done.error().message);
  }
  return size_ - before;
}

Result<void> VendorTable::put(uint64_t prefix, unsigned bits, std::string_view name) {
  if (name.empty() || is_registry(name)) return {};
  if (size_ == kVendorsMax) return Error{fmt::format("more than {} blocks", kVendorsMax)};
  if (2 * (size_ + 1) > slots_.size()) grow();
  const uint64_t key = key_of(prefix, bits);
  Slot& slot = slots_[place_of(key)];
  if (slot.key == key) return {};
  size_t octets = std::min(name.size(), kNameOctetsMax);
  while (octets > 0 && octets < name.size() && (static_cast<uint8_t>(name[octets]) & 0xc0) == 0x80) --octets;
  std::string fit(name.substr(0, octets));
  make_utf8(reinterpret_cast<uint8_t*>(fit.data()), fit.size());
  // Neighbours in a file mostly are of different names, and one's many blocks are far apart.
  slot = {key, static_cast<uint32_t>(names_.size())};
  names_.push_back(std::move(fit));
  ++size_;
  has_28_ |= bits == 28;
  has_36_ |= bits == 36;
  return {};
}

size_t VendorTable::place_of(uint64_t key) const noexcept {
  const size_t mask = slots_.size() - 1;
  size_t at = static_cast<size_t>(key * 0x9E3779B97F4A7C15ull >> 20) & mask;
  while (slots_[at].key != 0 && slots_[at].key != key) at = (at + 1) & mask;
  return at;
}

void VendorTable::grow() {
  std::vector<Slot> old = std::move(slots_);
  slots_.assign(std::max<size_t>(1024, 2 * old.size()), {});
  for (const Slot& slot : old) {
    if (slot.key != 0) slots_[place_of(slot.key)] = slot;
  }
}

std::string_view VendorTable::find(uint64_t mac) const noexcept {
  constexpr uint64_t kGroupOrLocal = uint64_t{3} << 40;
  if ((mac & kGroupOrLocal) != 0 || mac >> kMacBits != 0 || mac == 0 || slots_.empty()) return {};
  for (const unsigned bits : {36u, 28u, 24u}) {
    if ((bits == 36 && !has_36_) || (bits == 28 && !has_28_)) continue;
    const uint64_t key = key_of(mac, bits);
    if (const Slot& slot = slots_[place_of(key)]; slot.key == key) return names_[slot.name];
  }
  return {};
}

}  // namespace weir::enrich
