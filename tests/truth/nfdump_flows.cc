#include "truth/nfdump_flows.h"

#include <fmt/format.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include "support/ports.h"
#include "support/program.h"

namespace weir::truth {
namespace {

/// Of the socket at a port of 127.0.0.1, what is not read yet; nothing where there is no such socket.
std::optional<uint64_t> octets_waiting(uint16_t port) {
  const std::string local = fmt::format(" 0100007F:{:04X} ", port);
  std::ifstream sockets("/proc/net/udp");
  for (std::string line; std::getline(sockets, line);) {
    if (line.find(local) == std::string::npos) continue;
    // sl local rem st tx_queue:rx_queue …
    const size_t colon = line.find(':', line.find(local) + local.size() + 14 + 3);
    return std::stoull(line.substr(colon + 1, 8), nullptr, 16);
  }
  return std::nullopt;
}

}  // namespace

bool Nfcapd::is_installed() {
  return test::run_program({"nfdump", "-V"}).status == 0 && test::run_program({"nfcapd", "-V"}).status == 0;
}

Nfcapd::Nfcapd() : port_(test::free_udp_port()) {
  std::filesystem::create_directory(folder_ / "flows");
  process_ = std::make_unique<test::Process>(
      // With memory that is not zero at first it may hang on a name of an interface.
      folder_, std::vector<std::string>{"env", "-u", "MALLOC_PERTURB_", "nfcapd", "-w", folder_ / "flows", "-p", std::to_string(port_), "-b",
                                        "127.0.0.1", "-B", "8388608", "-t", "3600"});
}

bool Nfcapd::is_listening() {
  return test::eventually([&] { return octets_waiting(port_).has_value(); });
}

std::vector<nlohmann::json> Nfcapd::finish() {
  // It ends without reading what waits.
  static_cast<void>(test::eventually([&] { return octets_waiting(port_).value_or(0) == 0; }));
  process_->signal(SIGTERM);
  process_->wait();
  said_ = process_->err() + process_->out();
  std::vector<nlohmann::json> records;
  for (const auto& file : std::filesystem::directory_iterator(folder_ / "flows")) {
    const test::Outcome shown = test::run_program({"nfdump", "-q", "-r", file.path().string(), "-o", "json"});
    std::string text = shown.out;
    // Objects with commas between them: a list without its brackets.
    if (!text.empty() && text.front() != '[') text = fmt::format("[{}]", text);
    const auto list = nlohmann::json::parse(text, nullptr, false);
    if (!list.is_array()) continue;
    records.insert(records.end(), list.begin(), list.end());
  }
  return records;
}

}  // namespace weir::truth
