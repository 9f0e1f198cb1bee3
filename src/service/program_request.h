// program_request.h — What somebody asks of a program that runs.
#pragma once

#include <cstdint>

namespace weir::service {

enum class ProgramRequest : uint8_t { none, reload, stop };

}  // namespace weir::service
