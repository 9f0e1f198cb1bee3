// What the control socket tells of exporters: pages of them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "control/exporters/exporter_quirks.h"
#include "control/exporters/exporter_verdict.h"
#include "control/http/routes.h"
#include "control/http/routes_json.h"

namespace weir::control {

using nlohmann::json;
using service::HttpRequest;
using service::HttpResponse;

namespace {

constexpr size_t kExportersPerPageMax = 1000;

json cache_json(const decode::TemplateCacheStats& cache) {
  return {{"size", cache.size},
          {"hits", cache.hits},
          {"misses", cache.misses},
          {"evictions", cache.evictions}};
}

struct Bounds {
  size_t min, max;
};

/// A whole number from the query, or `fallback` where the key is absent; nullopt when it is wrong.
std::optional<size_t> number_in_query(const HttpRequest& request, const char* key, size_t fallback, Bounds bounds) {
  const auto it = request.query.find(key);
  if (it == request.query.end()) return fallback;
  size_t value = 0;
  const char* const end = it->second.data() + it->second.size();
  const auto [parsed_to, error] = std::from_chars(it->second.data(), end, value);
  if (error != std::errc() || parsed_to != end || value < bounds.min || value > bounds.max) return std::nullopt;
  return value;
}

const ListedExporter* listed(const ApplianceView& view, const IpAddress& exporter) {
  return view.exporter_list != nullptr ? view.exporter_list->find(exporter) : nullptr;
}

/// A row's fellow in another list; nothing where that is shorter.
template <class T>
T beside(const std::vector<T>& list, std::optional<size_t> row) {
  return row && *row < list.size() ? list[*row] : T{};
}

json text_or_null(const std::string& text) { return text.empty() ? json() : json(text); }

}  // namespace

HttpResponse exporters_page(const ApplianceView& view, const HttpRequest& request) {
  const auto offset = number_in_query(request, "offset", 0, {0, SIZE_MAX});
  const auto limit = number_in_query(request, "limit", kExportersPerPageMax, {1, kExportersPerPageMax});
  if (!offset || !limit) {
    return service::http_error(
        400, fmt::format("offset and limit are whole numbers; limit is from 1 to {}",
                         kExportersPerPageMax));
  }
  json rows = json::array();
  const size_t end =
      std::min(view.exporters.size(), *offset > SIZE_MAX - *limit ? SIZE_MAX : *offset + *limit);
  for (size_t i = *offset; i < end; ++i) rows.push_back(exporter_json(view, view.exporters[i]));
  json body = {{"exporters", std::move(rows)},
               {"total", view.exporters.size()},
               {"not_listed", view.exporters_not_listed}};
  body["next_offset"] = end < view.exporters.size() ? json(end) : json();
  return json_response(body);
}

json exporter_name_json(const ApplianceView& view, const IpAddress& exporter) {
  const ListedExporter* const said = listed(view, exporter);
  return text_or_null(said != nullptr ? said->name : "");
}

json interfaces_json(const ApplianceView& view, const IpAddress& address) {
  const ListedExporter* const exporter = listed(view, address);
  json rows = json::array();
  if (exporter == nullptr) return rows;
  for (const ListedInterface& i : exporter->interfaces) {
    rows.push_back({{"if_index", i.index},
                    {"name", text_or_null(i.name)},
                    {"description", json()},
                    {"speed_bps", i.speed_bps == 0 ? json() : json(i.speed_bps)},
                    {"boundary", std::string(name_of(i.boundary))}});
  }
  return rows;
}

json exporter_json(const ApplianceView& view, const decode::ExporterStats& e) {
  const ListedExporter* said = listed(view, e.address);
  const std::optional<size_t> row = view.row_of(e.address);
  json verdicts = json::array();
  for (const ExporterVerdict& verdict : verdicts_of(e, beside(view.recent, row), view.taken_ns)) {
    verdicts.push_back({{"about", name_of(verdict.about)}, {"text", verdict.text}});
  }
  json quirks = json::array();
  for (size_t i = 0; i < e.quirks.size(); ++i) {
    const auto quirk = static_cast<decode::Quirk>(i);
    if (e.quirks[i] == 0) continue;
    quirks.push_back({{"quirk", name_of(quirk)}, {"count", e.quirks[i]}, {"text", meaning_of(quirk)}});
  }
  json types = json::array();
  for (uint32_t i = 0; i < static_cast<uint32_t>(decode::Protocol::count_); ++i) {
    if (e.protocols >> i & 1) types.push_back(name_of(static_cast<decode::Protocol>(i)));
  }
  return {{"address", e.address.to_string()},
          {"name", exporter_name_json(view, e.address)},
          {"site", text_or_null(said != nullptr && !said->site.empty() ? said->site
                                                                       : std::string(decode::site_of(view.sites, e.address)))},
          {"verdicts", std::move(verdicts)},
          {"quirks", std::move(quirks)},
          {"protocols", std::move(types)},
          {"taken_ns", beside(view.exporters_taken_ns, row)},
          {"first_seen_ns", e.first_seen_ns},
          {"last_seen_ns", e.last_seen_ns},
          {"datagrams",
           {{"received", e.datagrams},
            {"decoded", e.datagrams_decoded},
            {"rejected", e.datagrams_rejected}}},
          {"octets", e.octets},
          {"records", e.records},
          {"options_records", e.options_records},
          {"sflow",
           {{"counter_records", e.counter_records},
            {"discard_records", e.discard_records},
            {"samples_taken", e.samples_taken},
            {"samples_lost", e.samples_lost},
            {"samples_dropped", e.samples_dropped},
            {"sample_pool", e.sample_pool}}},
          {"sets", {{"waiting", e.sets_waiting}, {"lost", e.sets_lost}}},
          {"domains", e.domains},
          {"port", e.port},
          {"templates", e.templates},
          {"template_cache",
           {{"max", e.templates_max},
            {"hits", e.templates_known},
            {"misses", e.templates_new},
            {"data", cache_json(e.data_templates)},
            {"options", cache_json(e.options_templates)}}},
          {"sequence_lost", e.sequence_lost},
          {"clock",
           {{"skew_ms", e.clock_samples == 0 ? json() : json(e.clock_skew_ns / 1'000'000)},
            {"implausible", e.clock_implausible}}},
          {"sampling_rate_override",
           e.sampling_rate_override == 0 ? json() : json(e.sampling_rate_override)},
          {"last_error",
           e.last_error == decode::DatagramError::count_ ? json() : json(name_of(e.last_error))}};
}

}  // namespace weir::control
