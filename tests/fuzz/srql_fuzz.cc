// srql_fuzz.cc — Any text as a query. The oracle is in srql_oracle.h; tests/query runs it over beginnings and changes of
// queries that people type.
#include "fuzz/srql_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weir::query::check_srql({reinterpret_cast<const char*>(data), size});
  return 0;
}
