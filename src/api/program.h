// program.h — weir-api as it runs: one thread that reads requests and asks the store, and main's, which waits for signals.
//
// Runs on:  create, run: main's thread.
// Failure:  an Error from create where a file is wrong or a socket cannot be bound. A reload that is wrong is refused as a
//           whole: what went goes on.
#pragma once

#include <functional>
#include <memory>

#include "api/config.h"
#include "base/result.h"
#include "service/program_request.h"

namespace weir::api {

class ApiProgram {
 public:
  using Load = std::function<Result<LoadedConfig>()>;
  static Result<std::unique_ptr<ApiProgram>> create(const LoadedConfig& loaded, std::shared_ptr<const Tokens> tokens, Load load);
  virtual ~ApiProgram() = default;
  /// Until `poll` says stop; false where its thread could not be started.
  virtual bool run(const std::function<service::ProgramRequest()>& poll) = 0;
  virtual uint16_t tcp_port() const noexcept = 0;
};

}  // namespace weir::api
