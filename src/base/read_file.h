// read_file.h — All of a regular file, without waiting for anything but its disk: a pipe that nobody writes to would stop whoever reads.
//
// Runs on:  any thread that may wait for a disk.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace weir {

/// The Error says what is wrong with it: `PATH: is no regular file`.
Result<std::string> read_file(const std::string& path, size_t octets_max);
/// Likewise, for whoever names it himself: `is no regular file`.
Result<std::string> read_unnamed_file(const std::string& path, size_t octets_max);

}  // namespace weir
