#include "dataplane/device_name.h"

namespace weir::dataplane {
namespace {

bool is_hex(std::string_view text) noexcept {
  return text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

}  // namespace

bool is_pci_address(std::string_view text) noexcept {
  if (text.size() == 12 && text[4] == ':' && is_hex(text.substr(0, 4))) text.remove_prefix(5);
  return text.size() == 7 && is_hex(text.substr(0, 2)) && text[2] == ':' &&
         is_hex(text.substr(3, 2)) && text[5] == '.' && text[6] >= '0' && text[6] <= '7';
}

}  // namespace weir::dataplane
