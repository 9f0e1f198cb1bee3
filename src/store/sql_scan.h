// sql_scan.h — What a statement's text shows before anybody parses it: where it ends, how deep it goes.
//
// Spec:     DuckDB's tokens: '…', E'…', "…", $tag$…$tag$, --, nested /* */.
// Runs on:  any thread. Pure.
// Missing:  a text that these tokens do not fit is looked at to its end all the same; DuckDB refuses it.
#pragma once

#include <string_view>

namespace weir::store {

struct SqlLook {
  std::string_view statement;  // without what is before its first token and behind its last, semicolons among them
  unsigned nesting = 0;        // brackets of all kinds, the deepest
  unsigned with_nesting = 0;   // WITH within a bracket within WITH …
};
SqlLook look_at_sql(std::string_view text);

}  // namespace weir::store
