#include "store/exporter_tables.h"

#include <algorithm>
#include <array>

#include "exporter.pb.h"
#include "feed/names_reader.h"

namespace weir::store {
namespace {

SqlValue text_or_null(const std::string& text) {
  if (text.empty()) return std::monostate();
  return text;
}

}  // namespace

Result<void> store_exporter(Connection& connection, const IpAddress& exporter, const flowpb::ExporterInfo& info) {
  const AddressOctets address = exporter.octets;
  return retry_conflicts(connection, [&]() -> Result<void> {
    auto done = connection.query("INSERT OR REPLACE INTO exporters VALUES (?, ?, ?)",
                                 std::array<SqlValue, 3>{address, text_or_null(info.name()), text_or_null(info.site())});
    if (!done) return done.error();
    auto insert = connection.prepare("INSERT OR REPLACE INTO exporter_interfaces VALUES (?, ?, ?, ?, ?)");
    if (!insert) return insert.error();
    for (int i = 0; i < std::min(info.interfaces_size(), feed::kInterfacesMax); ++i) {
      const flowpb::InterfaceInfo& interface = info.interfaces(i);
      const SqlValue values[] = {address, static_cast<int64_t>(interface.if_index()), text_or_null(interface.name()),
                                 text_or_null(interface.description()),
                                 static_cast<int64_t>(std::min<uint64_t>(interface.speed_bps(), INT64_MAX))};
      for (size_t at = 0; at < std::size(values); ++at) {
        if (auto bound = insert->bind(at, values[at]); !bound) return bound;
      }
      if (auto ran = insert->run(); !ran) return ran.error();
    }
    return {};
  });
}

}  // namespace weir::store
