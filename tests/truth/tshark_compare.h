// tshark_compare.h — A capture through `weir decode` and through tshark, and every value that both know compared.
//
// tshark is a peer, not the truth: where it is wrong, or says the same thing in another way, the reason stands in
// explain() with the standard's clause, and in docs/PROTOCOLS.md.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/captures.h"

namespace weir::truth {

struct Report {
  uint64_t values = 0;
  uint64_t unexplained = 0;
  uint64_t messages = 0, messages_of_other_size = 0;
  std::map<std::string, uint64_t> explained;
  std::map<std::string, std::pair<uint64_t, std::string>> differences;  // by field; an example

  void differs(const std::string& field, const std::string& example) {
    ++unexplained;
    auto& [count, first] = differences[field];
    if (++count == 1) first = example;
  }
  /// To standard output.
  void print() const;
};

bool has_tshark();
/// What it says of the exports to these ports: `-T json`, as read_tshark() reads it.
nlohmann::ordered_json run_tshark(const std::string& pcap, const std::map<uint16_t, const char*>& ports);

/// Of samples of one sequence number (of several data sources) tshark's objects come one behind the other: they are not
/// in the datagram's order any more. By what they say, they can be brought into one that both have.
enum class SampleOrder : uint8_t { as_shown, by_values };

void compare_capture(const test::CaptureFile& file, Report& report);
/// `name` is what differences are told by.
void compare_pcap(const std::string& name, const std::string& pcap, Report& report,
                  SampleOrder order = SampleOrder::as_shown);

}  // namespace weir::truth
