#include "control/http/operation_routes.h"

#include "service/operation_routes.h"

namespace weir::control {

std::vector<service::HttpRoute> operation_routes(const Snapshot<EffectiveConfig>& config,
                                                 Reloader& reloader) {
  return service::operation_routes({
      .program = "the appliance",
      .config = [&config] { return config.read(); },
      .reload = [&reloader] { return reloader.view(); },
      .can_reload = [&reloader] { return reloader.has_source(); },
      .ask_reload = [&reloader] { return reloader.ask(); },
  });
}

}  // namespace weir::control
