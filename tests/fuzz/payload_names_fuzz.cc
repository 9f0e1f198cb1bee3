// payload_names_fuzz.cc — Any octets as what TLS, HTTP or DNS carries: the name that is asked for.
//
// The first octet says which, the second how much of the rest is cut off. Oracles: nothing behind the octets is read; a name is of
// printable ASCII in lower case and no longer than names are; its labels are in the payload; of a payload that is cut off, the
// same name is told or none.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "classify/payload_names.h"
#include "guarded_octets.h"

namespace {

using weir::classify::Extract;
using weir::classify::ExtractedName;

void require(bool holds) {
  if (!holds) std::abort();
}

char lower(uint8_t c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); }

void check(const ExtractedName& name, Extract what, std::span<const uint8_t> payload) {
  require(name.size <= weir::classify::kNameOctetsMax);
  std::string all;
  for (const uint8_t c : payload) all += lower(c);
  std::string_view rest = name.name();
  for (const char c : rest) require(c > ' ' && c <= '~' && !(c >= 'A' && c <= 'Z'));
  if (what != Extract::dns) return require(all.find(rest) != std::string::npos);
  while (!rest.empty()) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    require(all.find(rest.substr(0, dot)) != std::string::npos);
    rest.remove_prefix(std::min(dot + 1, rest.size()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static weir::decode::GuardedOctets memory;
  if (size < 2 || size > weir::decode::GuardedOctets::kOctetsMax) return 0;
  const auto what = static_cast<Extract>(1 + data[0] % 3);
  const uint8_t proto = (data[0] & 0x80) != 0 ? 6 : 17;
  const std::span<const uint8_t> given(data + 2, size - 2);
  const auto payload = memory.hold(given);
  ExtractedName name;
  weir::classify::extract(what, payload, proto, name);
  check(name, what, payload);
  const std::string whole(name.name());
  const auto cut = memory.hold(given.first(given.size() - std::min<size_t>(given.size(), data[1])));
  ExtractedName of_cut;
  weir::classify::extract(what, cut, proto, of_cut);
  require(of_cut.size == 0 || of_cut.name() == whole);
  return 0;
}
