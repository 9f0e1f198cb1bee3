#include "service/metrics.h"

#include <prometheus/text_serializer.h>

#include <cassert>

namespace weir::service {
namespace {

/// The serializer writes help as it is; a line break in it would end the comment.
std::string escaped_help(std::string_view help) {
  std::string out;
  for (const char c : help) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

prometheus::ClientMetric& MetricPage::add(std::string_view name, std::string_view help,
                                          prometheus::MetricType type, const Labels& labels) {
  auto place = family_by_name_.find(name);
  if (place == family_by_name_.end()) {
    place = family_by_name_.emplace(std::string(name), families_.size()).first;
    families_.push_back({std::string(name), escaped_help(help), type, {}});
  }
  prometheus::MetricFamily& family = families_[place->second];
  assert(family.type == type);
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  for (const auto& [label, value] : labels) {
    metric.label.push_back({std::string(label), std::string(value)});
  }
  return metric;
}

void MetricPage::counter(std::string_view name, std::string_view help, const Labels& labels,
                         uint64_t value) {
  add(name, help, prometheus::MetricType::Counter, labels).counter.value =
      static_cast<double>(value);
}

void MetricPage::seconds_counter(std::string_view name, std::string_view help, const Labels& labels, uint64_t ns) {
  add(name, help, prometheus::MetricType::Counter, labels).counter.value = static_cast<double>(ns) / 1e9;
}

void MetricPage::gauge(std::string_view name, std::string_view help, const Labels& labels,
                       double value) {
  add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void MetricPage::histogram(std::string_view name, std::string_view help, const Labels& labels,
                           const std::vector<double>& upper_bounds,
                           const std::vector<uint64_t>& counts, double sum) {
  assert(counts.size() == upper_bounds.size() + 1);
  auto& histogram = add(name, help, prometheus::MetricType::Histogram, labels).histogram;
  uint64_t total = 0;
  for (size_t i = 0; i < upper_bounds.size(); ++i) {
    total += counts[i];
    histogram.bucket.push_back({total, upper_bounds[i]});
  }
  histogram.sample_count = total + counts.back();
  histogram.sample_sum = sum;
}

std::string MetricPage::render() const { return prometheus::TextSerializer{}.Serialize(families_); }

}  // namespace weir::service
