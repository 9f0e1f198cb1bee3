// exporter_tables.h — What exporters call themselves and their interfaces, in tables that questions join.
//
// Spec:     docs/STORE.md, tables exporters and exporter_interfaces.
// Runs on:  any thread with a connection of its own.
// Bounds:   feed::kInterfacesMax interfaces of an exporter are taken.
#pragma once

#include "base/ip_address.h"
#include "store/database.h"

namespace flowpb {
class ExporterInfo;
}

namespace weir::store {

/// What it says goes before what was there; interfaces that it does not name stay.
Result<void> store_exporter(Connection& connection, const IpAddress& exporter, const flowpb::ExporterInfo& info);

}  // namespace weir::store
