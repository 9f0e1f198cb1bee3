#include "control/http/live_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/named_enum.h"
#include "control/taps/live_query.h"
#include "export/batch_reader.h"
#include "export/json_lines.h"

namespace weir::control {
namespace {

using service::HttpRequest;
using service::HttpResponse;

constexpr uint64_t kSummaryEveryNs = kNsPerSec;  // also tells that the reader is still there
/// Cores wait for packets for up to 0.1 s; one that has not looked up after so long is not waited for.
constexpr uint64_t kOpenPatienceNs = kNsPerSec;
constexpr size_t kPieceOctetsMax = 256 * 1024;  // a look's lines, of some 1.2 KB each

/// none: it goes on.
#define WEIR_LIVE_ENDS(X) X(none) X(seconds) X(max) X(stopping)
WEIR_NAMED_ENUM(LiveEnd, uint8_t, WEIR_LIVE_ENDS)

class LiveStream final : public service::HttpStream {
 public:
  LiveStream(std::unique_ptr<LiveReader> reader, const LiveQuery& query, std::shared_ptr<const ListenerNames> listeners,
             std::function<uint64_t()> steady_now_ns)
      : reader_(std::move(reader)),
        query_(query),
        listeners_(std::move(listeners)),
        steady_now_ns_(std::move(steady_now_ns)),
        asked_ns_(steady_now_ns_()) {}

  bool next(std::string& out) override {
    const uint64_t now_ns = steady_now_ns_();
    if (!has_begun_) {
      if (!reader_->is_open() && !reader_->is_ending() && now_ns - asked_ns_ < kOpenPatienceNs) return true;
      has_begun_ = true;
      began_ns_ = now_ns;
      append_summary(LiveEnd::none, now_ns, out);
    }
    while (shown_ < query_.flows_max && out.size() < kPieceOctetsMax) {
      const std::unique_ptr<LiveFlow> flow = reader_->take();
      if (!flow) break;
      append_flow(*flow, out);
    }
    const LiveEnd end = shown_ == query_.flows_max                                    ? LiveEnd::max
                        : now_ns - began_ns_ >= uint64_t{query_.seconds} * kNsPerSec ? LiveEnd::seconds
                        : reader_->is_ending()                                       ? LiveEnd::stopping
                                                                                     : LiveEnd::none;
    if (end != LiveEnd::none || now_ns - summed_up_ns_ >= kSummaryEveryNs) append_summary(end, now_ns, out);
    return end == LiveEnd::none;
  }

 private:
  void append_flow(LiveFlow& flow, std::string& out) {
    outbound::read_flows(flow.batch, [&](const flowpb::FlowMessage& message) {
      message_ = message;
      if (message_.in_if_name().empty()) message_.set_in_if_name(std::move(flow.in_interface_name));
      if (message_.out_if_name().empty()) message_.set_out_if_name(std::move(flow.out_interface_name));
      out += "{\"listener\":";
      const bool is_known = listeners_ && flow.listener.value < listeners_->size();
      outbound::append_json_string(is_known ? (*listeners_)[flow.listener.value] : std::string(), out);
      if (!flow.exporter_name.empty()) {
        out += ",\"exporter_name\":";
        outbound::append_json_string(flow.exporter_name, out);
      }
      out += ",\"flow\":";
      outbound::append_json_line(message_, out);
      out.back() = '}';  // around the line
      out += '\n';
      ++shown_;
    });
  }

  void append_summary(LiveEnd end, uint64_t now_ns, std::string& out) {
    summed_up_ns_ = now_ns;
    const LiveCounts c = reader_->counts();
    const uint64_t accounted = shown_ + c.sampled_away + c.too_large + c.no_room;
    const nlohmann::json line = {
        {"summary",
         {{"elapsed_ms", (now_ns - began_ns_) / kNsPerMs},
          {"every_core_looks", reader_->is_open()},
          {"seen", c.seen},
          {"matched", std::max(c.matched, accounted)},
          {"shown", shown_},
          {"not_shown",
           {{"sampled_away", c.sampled_away},
            {"too_large", c.too_large},
            {"no_room", c.no_room},
            {"under_way", c.matched > accounted ? c.matched - accounted : 0}}},
          {"ended_by", end == LiveEnd::none ? nlohmann::json() : nlohmann::json(std::string(name_of(end)))}}}};
    out += line.dump() + "\n";
  }

  const std::unique_ptr<LiveReader> reader_;
  const LiveQuery query_;
  const std::shared_ptr<const ListenerNames> listeners_;
  const std::function<uint64_t()> steady_now_ns_;
  const uint64_t asked_ns_;
  bool has_begun_ = false;
  uint64_t began_ns_ = 0;
  uint64_t summed_up_ns_ = 0;
  uint64_t shown_ = 0;
  flowpb::FlowMessage message_;
};

}  // namespace

std::vector<service::HttpRoute> live_routes(LiveFlows& flows, const Snapshot<ListenerNames>& listeners,
                                            std::function<uint64_t()> steady_now_ns) {
  std::vector<service::HttpRoute> routes;
  routes.push_back({.method = "GET",
                    .path = "/v1/flows/live",
                    .handle = [&flows, &listeners, steady_now_ns](const HttpRequest& request) {
                      const auto names = listeners.read();
                      if (!names) return service::http_error(503, "the appliance is starting");
                      const auto query = read_live_query(request.query, *names);
                      if (!query) return service::http_error(400, query.error().message);
                      auto reader = flows.open(query->filter);
                      if (!reader) {
                        return service::http_error(
                            503, fmt::format("{} look at live flows already, which is the limit: try again when one "
                                             "of them has ended",
                                             dataplane::kTapWatchesMax));
                      }
                      HttpResponse response{.content_type = "application/x-ndjson"};
                      response.stream = std::make_shared<LiveStream>(std::move(reader), *query, names, steady_now_ns);
                      return response;
                    },
                    .parameters = live_query_parameters()});
  return routes;
}

}  // namespace weir::control
