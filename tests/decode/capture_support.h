// capture_support.h — The datagrams of a capture file, and where captures are.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "decode_support.h"
#include "support/captures.h"
#include "support/payloads.h"

namespace weir::decode {

using test::captures_folder;

using test::Payload;

inline std::vector<Payload> read_payloads(const std::filesystem::path& path) {
  auto payloads = test::read_payloads(path);
  EXPECT_TRUE(payloads.has_value()) << path;
  return payloads ? std::move(*payloads) : std::vector<Payload>{};
}

/// Captures' own stamps are often made up: exporters' times are believed.
inline DecoderConfig capture_config() {
  DecoderConfig config = Bench::default_config();
  config.limits.time_future_max_ns = 50ull * 366 * 86'400 * 1'000'000'000;
  return config;
}

}  // namespace weir::decode
