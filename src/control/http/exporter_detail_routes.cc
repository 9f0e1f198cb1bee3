#include "control/http/exporter_detail_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "control/http/exporter_detail_json.h"
#include "control/http/routes.h"
#include "control/http/routes_json.h"

namespace weir::control {
namespace {

using nlohmann::json;
using service::HttpRequest;
using service::HttpResponse;

/// The control thread gives up a core after kDetailPatienceNs; this is for when that thread does not turn, or serves
/// others first.
constexpr uint64_t kAnswerPatienceNs = 3 * kDetailPatienceNs;

struct DomainOf {
  const IpAddress& exporter;
};
const IpAddress& address_of(const DomainOf& of) { return of.exporter; }
const IpAddress& address_of(const decode::DomainStats& d) { return d.exporter; }

json domain_json(const decode::DomainStats& d) {
  json object = {{"protocol", protocol_of_version(d.version)},
                 {"id", d.id},
                 {"last_seen_ns", d.last_seen_ns},
                 {"templates", d.templates},
                 {"options_templates", d.options_templates},
                 {"sampling_rate", d.sampling_rate},
                 {"sequence",
                  {{"unit", std::string(name_of(d.sequence_unit))},
                   {"lost", d.sequence_lost},
                   {"duplicates", d.sequence_duplicates},
                   {"restarts", d.sequence_restarts}}}};
  if (d.session_port != 0) object["session_port"] = d.session_port;
  if (d.agent != IpAddress{}) object["agent"] = d.agent.to_string();
  return object;
}

/// Its domains are of the view; what the decoder has to look up comes from the cores.
json body_of(const ApplianceView& view, const decode::ExporterStats& exporter) {
  json body = exporter_json(view, exporter);
  body["interfaces"] = interfaces_json(view, exporter.address);
  json domains = json::array();
  const auto [first, last] =
      std::equal_range(view.domains.begin(), view.domains.end(), DomainOf{exporter.address},
                       [](const auto& a, const auto& b) { return address_of(a) < address_of(b); });
  for (auto d = first; d != last; ++d) domains.push_back(domain_json(*d));
  body["domain_list"] = std::move(domains);
  return body;
}

class DetailStream final : public service::HttpStream {
 public:
  DetailStream(json body, const decode::ExporterStats& exporter, std::unique_ptr<DetailReader> reader,
               std::function<uint64_t()> steady_now_ns)
      : body_(std::move(body)),
        exporter_(exporter),
        reader_(std::move(reader)),
        steady_now_ns_(std::move(steady_now_ns)),
        asked_ns_(steady_now_ns_()) {}

  bool next(std::string& out) override {
    const DetailAnswer* answer = reader_->answer();
    if (answer == nullptr && steady_now_ns_() - asked_ns_ < kAnswerPatienceNs) return true;
    add_detail(body_, answer, exporter_);
    out += json_response(body_).body;
    return false;
  }

 private:
  json body_;
  const decode::ExporterStats exporter_;
  const std::unique_ptr<DetailReader> reader_;
  const std::function<uint64_t()> steady_now_ns_;
  const uint64_t asked_ns_;
};

}  // namespace

service::HttpRoute exporter_detail_route(const Snapshot<ApplianceView>& view, ExporterDetails& details,
                                         std::function<uint64_t()> steady_now_ns) {
  const auto answer = [&view, &details, steady_now_ns](const HttpRequest& request) -> HttpResponse {
    const auto current = view.read();
    if (!current) return service::http_error(503, "the appliance is starting");
    const std::string text = request.path.substr(request.path.rfind('/') + 1);
    const auto address = IpAddress::parse(text);
    if (!address) return service::http_error(400, fmt::format("'{}' is not an IP address", text));
    const auto& all = current->exporters;
    const auto it = std::find_if(all.begin(), all.end(), [&](const auto& e) { return e.address == *address; });
    if (it == all.end()) {
      return service::http_error(
          404, fmt::format("exporter {} is not known: it has sent nothing, or nothing that had a place "
                           "(exporter_table_full in the ledger)",
                           address->to_string()));
    }
    auto reader = details.ask(*address);
    if (!reader) {
      return service::http_error(503, fmt::format("{} ask for an exporter already: try again in a second", kDetailAsksMax));
    }
    return {.stream = std::make_shared<DetailStream>(body_of(*current, *it), *it, std::move(reader), steady_now_ns)};
  };
  return {.method = "GET", .path = "/v1/exporters/{address}", .handle = answer};
}

}  // namespace weir::control
