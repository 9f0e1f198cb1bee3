// weirctl_exporters.h — Exporters as tables: all of them in a row each, or one with all that it said.
//
// Failure:  nlohmann::json's exceptions, where an answer has another shape than this weirctl knows.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

namespace weir::cli {

/// Whether each field of each template has a line.
enum class TemplateFields : uint8_t { counted, shown };

/// `not_listed`: exporters that have no row.
void print_exporters(const nlohmann::json& rows, uint64_t not_listed);
void print_one_exporter(const nlohmann::json& exporter, TemplateFields fields);

}  // namespace weir::cli
