// Files of what is known, each octet of them changed and each end cut off: refused with a line, or what they say is found.
#include <gtest/gtest.h>

#include <random>

#include "enrich/good_lists.h"
#include "fuzz/lists_oracle.h"

namespace weir::enrich {
namespace {

using namespace std::literals;

TEST(Damage, OfListsIsRefusedWithItsLineOrWhatTheySayIsFound) {
  ListsOracle oracle;
  std::mt19937_64 random(285);
  constexpr auto kOctets = "\",.:/-#\t\r\n 0159fF\0\x80\xc3\xff"sv;
  for (const auto& [kind, good] : testing::good_lists()) {
    const auto check = [&oracle, kind = kind](const std::string& text) {
      switch (kind) {
        case 0: return oracle.check_prefixes(text);
        case 1: return oracle.check_applications(text);
        case 2: return oracle.check_vendors(text);
        case 3: return oracle.check_dictionary(text);
        default: return oracle.check_database(text);
      }
    };
    check(good);
    for (size_t length = 0; length < good.size(); ++length) check(good.substr(0, length));
    for (size_t at = 0; at < good.size(); ++at) {
      for (int i = 0; i < 3; ++i) {
        std::string bad = good;
        bad[at] = i == 0 ? static_cast<char>(random()) : kOctets[random() % kOctets.size()];
        if (i == 2) bad.insert(random() % bad.size(), good.substr(at, random() % 12));
        check(bad);
      }
    }
  }
}

}  // namespace
}  // namespace weir::enrich
