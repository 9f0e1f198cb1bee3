// state_view.h — What is kept on disk of the decoders, at one moment, as plain numbers.
#pragma once

#include <cstdint>
#include <string>

namespace weir::control {

/// What is kept of the decoders over a restart.
struct StateView {
  std::string path;  // empty: nothing is kept
  // As it was found at start; exporters take it up when they are heard of again.
  uint64_t loaded_exporters = 0;
  uint64_t loaded_templates = 0;
  uint64_t loaded_rates = 0;
  uint64_t loaded_written_ns = 0;  // 0: there was none
  // As it was last saved.
  uint64_t saved_ns = 0;  // 0: not yet
  uint64_t saved_octets = 0;
  uint64_t saved_exporters = 0;
  uint64_t saved_templates = 0;
  uint64_t saved_rates = 0;
  std::string error;  // why the last attempt failed; empty: it did not
};

}  // namespace weir::control
