// nfdump_flows.h — What nfcapd and nfdump make of datagrams that are sent to them.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/process.h"

namespace weir::truth {

/// An nfcapd on a free port of 127.0.0.1.
class Nfcapd {
 public:
  static bool is_installed();
  Nfcapd();

  bool is_listening();
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  /// Ends it; all records that it kept, as `nfdump -o json` has them.
  std::vector<nlohmann::json> finish();
  /// What it said on the way.
  std::string words() const { return said_; }

 private:
  test::TemporaryFolder folder_;
  uint16_t port_;
  std::unique_ptr<test::Process> process_;
  std::string said_;
};

}  // namespace weir::truth
