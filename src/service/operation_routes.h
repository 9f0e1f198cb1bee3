// operation_routes.h — What an operator may ask for and change while a program runs: its configuration, a reload, its log.
//
// Runs on:  http_thread; reads snapshots, and asks the control thread for what takes time.
// Shapes:   docs/REST.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/named_enum.h"
#include "service/config_reader.h"
#include "service/http_server.h"

namespace weir::service {

/// none: none was asked for yet. unchanged: the file says what goes already.
#define WEIR_RELOAD_STATES(X) X(none) X(running) X(applied) X(unchanged) X(refused)
WEIR_NAMED_ENUM(ReloadState, uint8_t, WEIR_RELOAD_STATES)

struct ReloadView {
  uint64_t number = 0;  // 1: the first since the start
  ReloadState state = ReloadState::none;
  uint64_t ended_ns = 0;  // wall clock
  std::vector<std::string> applied;         // keys whose new values go now
  std::vector<std::string> needs_restart;   // keys whose new values do not
  std::vector<std::string> warnings;
  std::string error;  // of a refused one: a line a mistake
};

/// Where the routes take what they show from. All of it outlives the server.
struct OperationSources {
  std::string program;  // as it is called in messages
  std::function<std::shared_ptr<const std::vector<EffectiveValue>>()> config;  // null until it runs
  std::function<std::shared_ptr<const ReloadView>()> reload;
  std::function<bool()> can_reload;
  std::function<std::optional<uint64_t>()> ask_reload;  // its number; nothing while another is under way
};

/// /v1/config, /v1/reload, /v1/log-level.
std::vector<HttpRoute> operation_routes(OperationSources sources);

}  // namespace weir::service
