// metrics.h — What a snapshot has to say to Prometheus, as exposition text.
//
// Spec:     Prometheus text format 0.0.4.
// Runs on:  http_thread, from immutable snapshots.
// Bounds:   the caller's label sets; nothing here lives longer than one scrape.
//
//     MetricPage page;
//     page.counter("weir_frames_total", "Frames received.", {{"core", "0"}}, snapshot.frames);
//     return HttpResponse{200, std::string(kMetricsContentType), page.render()};
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::service {

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

/// Collects samples into families, in the order in which their names first come. A name always
/// comes with the same kind and help. Values are doubles on the page: counts are exact up to 2^53.
class MetricPage {
 public:
  void counter(std::string_view name, std::string_view help, const Labels& labels, uint64_t value);
  /// Of time that was spent.
  void seconds_counter(std::string_view name, std::string_view help, const Labels& labels, uint64_t ns);
  void gauge(std::string_view name, std::string_view help, const Labels& labels, double value);
  /// `upper_bounds` ascend; `counts` has one more: how many fell at or below each bound (not summed
  /// up) and beyond the last.
  void histogram(std::string_view name, std::string_view help, const Labels& labels,
                 const std::vector<double>& upper_bounds, const std::vector<uint64_t>& counts,
                 double sum);

  const std::vector<prometheus::MetricFamily>& families() const noexcept { return families_; }
  std::string render() const;

 private:
  prometheus::ClientMetric& add(std::string_view name, std::string_view help,
                                prometheus::MetricType type, const Labels& labels);

  std::vector<prometheus::MetricFamily> families_;
  std::map<std::string, size_t, std::less<>> family_by_name_;
};

}  // namespace weir::service
