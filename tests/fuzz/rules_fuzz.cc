// rules_fuzz.cc — Any text as a file of rules, an expression or a decision file: the first octet says which. The oracle is in
// rules_oracle.h; tests/rules runs it over changes of good ones.
#include "fuzz/rules_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static weir::rules::RulesOracle oracle;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: oracle.check_expression(text); break;
    case 1: oracle.check_file(text); break;
    default: oracle.check_decision(text);
  }
  return 0;
}
