#include "export/element_names.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace weir::outbound {
namespace {

struct Row {
  uint32_t enterprise;
  uint16_t id;
  ElementDataType type;
  std::string_view name;

  constexpr uint64_t key() const noexcept { return uint64_t{enterprise} << 16 | id; }
};

constexpr Row kRows[] = {
#define X(id, name, type) {0, id, ElementDataType::type, #name},
#include "export/iana_elements.inc"
#undef X
#define X(enterprise, id, name, type) {enterprise, id, ElementDataType::type, #name},
#include "export/enterprise_elements.inc"
#undef X
};
static_assert([] {
  for (size_t i = 1; i < std::size(kRows); ++i) {
    if (kRows[i - 1].key() >= kRows[i].key()) return false;
  }
  return true;
}());

constexpr uint32_t kReverse = 29305;  // RFC 5103: IANA's elements of the other direction
constexpr uint32_t kCert = 6871;      // numbers its reverse elements with a bit of their own
constexpr uint32_t kCertReverse = 0x4000;
constexpr uint32_t kNtop = 35632;
constexpr uint32_t kNtopTypesV9 = 57472;  // in NetFlow v9
constexpr uint32_t kNtopTypes = 1000;

const Row* find_row(uint32_t enterprise, uint32_t id) noexcept {
  const uint64_t key = uint64_t{enterprise} << 16 | id;
  const Row* row = std::lower_bound(std::begin(kRows), std::end(kRows), key,
                                    [](const Row& r, uint64_t k) { return r.key() < k; });
  return id <= UINT16_MAX && row != std::end(kRows) && row->key() == key ? row : nullptr;
}

}  // namespace

std::optional<ElementName> find_element(uint32_t enterprise, uint32_t id) noexcept {
  bool reverse = false;
  if (enterprise == kReverse) {
    enterprise = 0;
    reverse = true;
  } else if (enterprise == kCert && (id & kCertReverse) != 0) {
    id &= ~kCertReverse;
    reverse = true;
  } else if (enterprise == 0 && id >= kNtopTypesV9 && id < kNtopTypesV9 + kNtopTypes) {
    enterprise = kNtop;
    id -= kNtopTypesV9;
  }
  const Row* row = find_row(enterprise, id);
  if (row == nullptr) return std::nullopt;
  return ElementName{row->name, row->type, reverse};
}

}  // namespace weir::outbound
