// lists_fuzz.cc — Any octets as a file of what is known: the first octet says of which kind. The oracle is in lists_oracle.h; tests/enrich
// runs it over changes of good ones.
#include "fuzz/lists_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static weir::enrich::ListsOracle oracle;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0: oracle.check_prefixes(text); break;
    case 1: oracle.check_applications(text); break;
    case 2: oracle.check_vendors(text); break;
    case 3: oracle.check_dictionary(text); break;
    default: oracle.check_database(text);
  }
  return 0;
}
