// weirctl_capture.h — Datagrams of a running appliance as files: captures, and what could not be decoded.
//
// Failure:  the exit codes of weirctl_client.h; what went wrong is on standard error.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace weir::cli {

struct CaptureOptions {
  std::string exporter;
  std::string listener;
  std::string only = "all";
  uint32_t count = 100;
  uint64_t octets = 0;  // 0: what the appliance has memory for
  uint32_t seconds = 60;
  bool until_templates = false;
  std::string file;  // empty: standard output, where that is no terminal
  bool as_json = false;
};

/// Begins a capture, waits until it ends or somebody interrupts it, and writes what it holds.
int run_capture(const std::string& socket, const CaptureOptions& options);

/// Those of a reason, or all, as a capture file.
int save_quarantine(const std::string& socket, const std::string& reason, const std::string& file);

void print_captures(const nlohmann::json& captures);
void print_quarantine(const nlohmann::json& quarantine);

}  // namespace weir::cli
