#include "control/http/capture_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "base/value_named.h"
#include "control/http/routes_json.h"
#include "control/taps/capture_pcap.h"
#include "service/log.h"

namespace weir::control {
namespace {

using nlohmann::json;
using service::HttpAccess;
using service::HttpRequest;
using service::HttpResponse;

constexpr const char* kPcapContentType = "application/vnd.tcpdump.pcap";
constexpr size_t kHexOctetsMax = 128;  // of a datagram: headers, and the first records

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

template <class Enum>
std::string names_of() {
  std::vector<std::string> names;
  for (size_t i = 0; i < static_cast<size_t>(Enum::count_); ++i) names.emplace_back(name_of(static_cast<Enum>(i)));
  return listed(names);
}

/// What somebody wrote, as far as a message has room for it.
std::string shown(const json& value) {
  constexpr size_t kShownMax = 60;
  const std::string text = value.dump();
  return text.size() <= kShownMax ? text : text.substr(0, kShownMax) + "…";
}

/// The key's whole number between 1 and `max`; `value` stays where the key is absent.
template <class Number>
Result<void> take_number(const json& body, const char* key, uint64_t max, Number& value) {
  const auto it = body.find(key);
  if (it == body.end()) return {};
  if (!it->is_number_unsigned() || it->template get<uint64_t>() == 0 || it->template get<uint64_t>() > max)
    return Error{fmt::format("{} is {}, must be a whole number from 1 to {}", key, shown(*it), max)};
  value = it->template get<Number>();
  return {};
}

json capture_json(const CaptureView& c) {
  return {{"id", c.id},
          {"state", name_of(c.state)},
          {"ended_by", c.ended_by ? json(name_of(*c.ended_by)) : json()},
          {"exporter", c.spec.exporters ? json(c.spec.exporters->to_string()) : json()},
          {"listener", c.spec.listener.empty() ? json() : json(c.spec.listener)},
          {"only", name_of(c.spec.only)},
          {"count", c.spec.count},
          {"octets", c.spec.octets},
          {"seconds", c.spec.seconds},
          {"until_templates", c.spec.until_templates},
          {"asked_ns", c.asked_ns},
          {"ended_ns", c.ended_ns == 0 ? json() : json(c.ended_ns)},
          {"datagrams",
           {{"kept", c.datagrams},
            {"octets", c.payload_octets},
            {"with_templates", c.with_templates},
            {"rejected", c.rejected},
            {"missed", c.missed}}}};
}

HttpResponse pcap_response(std::vector<dataplane::DatagramView> datagrams) {
  auto pcap = pcap_of(std::move(datagrams));
  if (!pcap) return service::http_error(500, pcap.error().message);
  return {.status = 200, .content_type = kPcapContentType, .body = std::move(*pcap)};
}

// ── captures ─────────────────────────────────────────────────────────────────────────────────────

HttpResponse begin_capture(CaptureDesk& desk, const HttpRequest& request) {
  const auto ground = desk.ground();
  if (!ground) return service::http_error(503, "the appliance is starting");
  const auto spec = capture_spec_of(request.body, *ground);
  if (!spec) return service::http_error(400, spec.error().message);
  const auto capture = desk.begin(*spec);
  if (!capture) {
    return service::http_error(409, fmt::format("{} captures are running, limit {}: DELETE one, or wait until it ends",
                                                kCapturesMax, kCapturesMax));
  }
  service::log_info("capture {}: up to {} datagrams of {} in {} s, for uid {}", capture->id, spec->count,
                    spec->exporters ? spec->exporters->to_string() : "all exporters", spec->seconds,
                    request.peer_uid);
  HttpResponse response = json_response(capture_json(*capture));
  response.status = 201;
  return response;
}

HttpResponse no_capture(const HttpRequest& request) {
  return service::http_error(404, fmt::format("no capture {}: it was removed, made place for a newer one, or never was",
                                              request.tail));
}

std::optional<uint64_t> id_of(const HttpRequest& request) {
  uint64_t id = 0;
  const char* const end = request.tail.data() + request.tail.size();
  const auto [parsed_to, error] = std::from_chars(request.tail.data(), end, id);
  return error == std::errc() && parsed_to == end ? std::optional(id) : std::nullopt;
}

/// `answer` takes the id that the path names.
template <class Answer>
auto with_id(Answer answer) {
  return [answer](const HttpRequest& request) -> HttpResponse {
    const auto id = id_of(request);
    if (!id) return service::http_error(400, fmt::format("'{}' is not a capture's id", request.tail));
    return answer(*id, request);
  };
}

// ── quarantine ───────────────────────────────────────────────────────────────────────────────────

json row_json(const QuarantineRow& row, const CaptureGround* ground, const ApplianceView* view) {
  const dataplane::DatagramNote& note = row.datagram.note;
  const std::span<const uint8_t> payload = row.datagram.view().payload();
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const uint8_t octet : payload.first(std::min(payload.size(), kHexOctetsMax))) {
    hex += kDigits[octet >> 4];
    hex += kDigits[octet & 15];
  }
  const bool is_known = ground != nullptr && note.listener.value < ground->listeners.size();
  return {{"reason", name_of(row.datagram.reason)},
          {"exporter", note.source.to_string()},
          {"exporter_name", view != nullptr ? exporter_name_json(*view, note.source) : json()},
          {"port", note.source_port},
          {"listener", is_known ? json(ground->listeners[note.listener.value]) : json()},
          {"local_port", note.local_port},
          {"core", row.core},
          {"received_ns", note.received_ns},
          {"octets", note.payload_octets},
          {"is_whole", note.kept_octets == note.octets},
          {"hex", std::move(hex)}};
}

/// The rows that the query's reason leaves.
Result<std::vector<const QuarantineRow*>> rows_asked_for(const QuarantineView& view, const HttpRequest& request) {
  std::optional<decode::Fault> reason;
  if (const auto it = request.query.find("reason"); it != request.query.end()) {
    reason = value_named<decode::Fault>(it->second);
    if (!reason) return Error{fmt::format("reason is '{}', must be one of {}", it->second.substr(0, 60), names_of<decode::Fault>())};
  }
  std::vector<const QuarantineRow*> rows;
  for (const QuarantineRow& row : view.rows)
    if (!reason || row.datagram.reason == *reason) rows.push_back(&row);
  return rows;
}

HttpResponse quarantine_list(const QuarantineView& quarantine, const CaptureGround* ground, const ApplianceView* view,
                             const HttpRequest& request) {
  const auto rows = rows_asked_for(quarantine, request);
  if (!rows) return service::http_error(400, rows.error().message);
  json list = json::array();
  for (const QuarantineRow* row : *rows) list.push_back(row_json(*row, ground, view));
  json reasons = json::object();
  for (size_t i = 0; i < dataplane::kFaults; ++i) {
    const auto fault = static_cast<decode::Fault>(i);
    reasons[std::string(name_of(fault))] = {{"copied", quarantine.copied[fault]}, {"passed_over", quarantine.passed_over[fault]}};
  }
  return json_response({{"datagrams", std::move(list)}, {"reasons", std::move(reasons)}, {"taken_ns", quarantine.taken_ns}});
}

HttpResponse quarantine_pcap(const QuarantineView& view, const HttpRequest& request) {
  const auto rows = rows_asked_for(view, request);
  if (!rows) return service::http_error(400, rows.error().message);
  std::vector<dataplane::DatagramView> datagrams;
  for (const QuarantineRow* row : *rows) datagrams.push_back(row->datagram.view());
  return pcap_response(std::move(datagrams));
}

}  // namespace

Result<CaptureSpec> capture_spec_of(std::string_view text, const CaptureGround& ground) {
  CaptureSpec spec;
  const json body = text.empty() ? json::object() : json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) return Error{"the body is not a JSON object"};
  for (const auto& [key, value] : body.items()) {
    constexpr std::string_view kKeys[] = {"exporter", "listener", "only",           "count",
                                             "octets",   "seconds",  "until_templates"};
    if (std::find(std::begin(kKeys), std::end(kKeys), key) == std::end(kKeys))
      return Error{fmt::format("there is no key '{}'; there are exporter, listener, only, count, octets, seconds, "
                               "until_templates",
                               key.substr(0, 60))};
  }
  if (const auto it = body.find("exporter"); it != body.end()) {
    if (it->is_string()) spec.exporters = AddressPrefix::parse(it->get<std::string>());
    if (!spec.exporters)
      return Error{fmt::format("exporter is {}, must be an address or a prefix, such as 192.0.2.7, 192.0.2.0/24 or "
                               "2001:db8::/32",
                               shown(*it))};
  }
  if (const auto it = body.find("listener"); it != body.end()) {
    if (it->is_string()) spec.listener = it->get<std::string>();
    const bool is_known = std::find(ground.listeners.begin(), ground.listeners.end(), spec.listener) != ground.listeners.end();
    if (spec.listener.empty() || !is_known)
      return Error{fmt::format("listener is {}, must be one of {}", shown(*it), listed(ground.listeners))};
  }
  if (const auto it = body.find("only"); it != body.end()) {
    const auto only = it->is_string() ? value_named<dataplane::TapWants>(it->get<std::string>()) : std::nullopt;
    if (!only) return Error{fmt::format("only is {}, must be one of {}", shown(*it), names_of<dataplane::TapWants>())};
    spec.only = *only;
  }
  if (auto taken = take_number(body, "count", kCaptureDatagramsMax, spec.count); !taken) return taken.error();
  if (auto taken = take_number(body, "octets", kCaptureMemoryOctets, spec.octets); !taken) return taken.error();
  if (auto taken = take_number(body, "seconds", kCaptureSecondsMax, spec.seconds); !taken) return taken.error();
  if (const auto it = body.find("until_templates"); it != body.end()) {
    if (!it->is_boolean()) return Error{fmt::format("until_templates is {}, must be true or false", shown(*it))};
    spec.until_templates = it->get<bool>();
  }
  return spec;
}

std::vector<service::HttpRoute> capture_routes(CaptureDesk& captures, const QuarantineDesk& quarantine,
                                               const Snapshot<ApplianceView>& view) {
  std::vector<service::HttpRoute> routes;
  routes.push_back({.method = "POST",
                    .path = "/v1/captures",
                    .handle = [&captures](const HttpRequest& request) { return begin_capture(captures, request); },
                    .access = HttpAccess::admin});
  routes.push_back({.method = "GET", .path = "/v1/captures", .handle = [&captures](const HttpRequest&) {
                      json rows = json::array();
                      for (const CaptureView& capture : captures.list()) rows.push_back(capture_json(capture));
                      return json_response({{"captures", std::move(rows)}});
                    }});
  routes.push_back({.method = "GET",
                    .path = "/v1/captures/{id}",
                    .handle = with_id([&captures](uint64_t id, const HttpRequest& request) {
                      const auto capture = captures.find(id);
                      return capture ? json_response(capture_json(*capture)) : no_capture(request);
                    })});
  routes.push_back({.method = "GET",
                    .path = "/v1/captures/{id}/pcap",
                    .handle = with_id([&captures](uint64_t id, const HttpRequest& request) {
                      auto datagrams = captures.datagrams(id);
                      return datagrams ? pcap_response(std::move(*datagrams)) : no_capture(request);
                    }),
                    .access = HttpAccess::admin});
  routes.push_back({.method = "DELETE",
                    .path = "/v1/captures/{id}",
                    .handle = with_id([&captures](uint64_t id, const HttpRequest& request) {
                      const auto capture = captures.remove(id);
                      return capture ? json_response(capture_json(*capture)) : no_capture(request);
                    }),
                    .access = HttpAccess::admin});
  routes.push_back({.method = "GET",
                    .path = "/v1/quarantine",
                    .handle = [&captures, &quarantine, &view](const HttpRequest& request) {
                      return quarantine_list(*quarantine.view(), captures.ground().get(), view.read().get(), request);
                    },
                    .access = HttpAccess::admin,
                    .parameters = {"reason"}});
  routes.push_back({.method = "GET",
                    .path = "/v1/quarantine/pcap",
                    .handle = [&quarantine](const HttpRequest& request) {
                      return quarantine_pcap(*quarantine.view(), request);
                    },
                    .access = HttpAccess::admin,
                    .parameters = {"reason"}});
  return routes;
}

}  // namespace weir::control
