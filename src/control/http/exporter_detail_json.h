// exporter_detail_json.h — What one exporter said of itself, as the control socket tells it: templates with their
// fields, and where its sampling rates come from.
//
// Runs on:  http_thread. Pure.
// Shapes:   docs/REST.md.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "control/exporters/exporter_details.h"
#include "decode/decoder.h"

namespace weir::control {

/// The word for a domain's version.
std::string_view protocol_of_version(uint16_t version) noexcept;

/// Adds `sampling`, `templates` and what is missing of them. Null: the cores were not even asked in time.
void add_detail(nlohmann::json& body, const DetailAnswer* answer, const decode::ExporterStats& exporter);

}  // namespace weir::control
