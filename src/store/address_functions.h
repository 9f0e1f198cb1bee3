// address_functions.h — ip_text, ip_parse, ip_mask and mac_text in SQL.
//
// Spec:     docs/STORE.md, "Functions".
// Runs on:  DuckDB's threads, once registered with a database's connection. Pure.
#pragma once

#include "base/result.h"
#include "store/database.h"

namespace weir::store {

/// Once a database; all its connections know them.
Result<void> register_address_functions(Connection& connection);

}  // namespace weir::store
