#include "dataplane/pipeline_config.h"

#include <utility>

#include "classify/stages.h"

namespace weir::dataplane {

Result<std::shared_ptr<const PlaneRules>> PipelineConfig::rules(size_t cores, const PlaneRules* before) const {
  PlaneRules made;
  made.listeners = listeners;
  made.rate_limits = rate_limits;
  made.decoder.sampling_override = decoder.sampling_override;
  made.decoder.sampling_default = decoder.sampling_default;
  made.decoder.access = decoder.access;
  made.decoder.sites = decoder.sites;
  made.decoder.labels = decoder.labels;
  made.decoder.exporters_max = decoder.limits.exporters_max;
  made.splits = batcher.splits;
  made.buffers_in_reserve = batcher.buffers_in_reserve;
  made.rule_routes = rule_routes;
  if (before != nullptr && before->stages != nullptr && before->stages->rules() == classification) {
    made.stages = before->stages;
  } else if (classification != nullptr) {
    auto stages = classify::Stages::make(classification, cores);
    if (!stages) return Error{"classification: " + stages.error().message};
    made.stages = std::move(*stages);
  }
  return PlaneRules::make(std::move(made));
}

}  // namespace weir::dataplane
