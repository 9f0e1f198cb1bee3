// exporter_rates.h — How much each exporter sends in a second, from looks at rows that are renewed at their own pace.
//
// Bounds:   one entry a row of the last look.
// Failure:  nlohmann::json's exceptions, where a row has another shape than this weirctl knows.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace weir::cli {

class ExporterRates {
 public:
  struct Rate {
    double records = 0;
    double datagrams = 0;
  };

  /// `rows`: of /v1/exporters. Who is not among them is forgotten.
  void look(const nlohmann::json& rows);
  /// In a second, between the last two times at which its row was counted, however many looks found the same; nothing
  /// before there were two.
  std::optional<Rate> of(const std::string& address) const;

 private:
  struct Counted {
    uint64_t taken_ns = 0;
    uint64_t records = 0;
    uint64_t datagrams = 0;
    std::optional<Rate> rate;
  };

  std::map<std::string, Counted> exporters_;
};

}  // namespace weir::cli
