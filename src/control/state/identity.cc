#include "control/state/identity.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <cctype>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>

#include "service/log.h"

namespace weir::control {

namespace {

std::string make_uuid() {
  uint8_t b[16];
  if (getrandom(b, sizeof b, 0) != sizeof b) {
    std::random_device device;
    for (uint8_t& octet : b) octet = static_cast<uint8_t>(device());
  }
  b[6] = static_cast<uint8_t>((b[6] & 0x0f) | 0x40);  // version 4
  b[8] = static_cast<uint8_t>((b[8] & 0x3f) | 0x80);  // RFC 4122's variant
  std::string text;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", b[i]);
  }
  return text;
}

}  // namespace

bool is_uuid(const std::string& text) noexcept {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !std::isxdigit(static_cast<unsigned char>(text[i]))) return false;
  }
  return true;
}

std::string load_or_make_appliance_uuid(const std::string& state_dir) {
  if (state_dir.empty()) return make_uuid();
  namespace fs = std::filesystem;
  const fs::path path = fs::path(state_dir) / "appliance_id";
  std::string text;
  if (std::ifstream in(path); in && std::getline(in, text)) {
    if (is_uuid(text)) return text;
    service::log_warning("{}: '{}' is not a UUID; a new one is written", path.string(),
                         text.substr(0, 64));
  }
  const std::string uuid = make_uuid();
  std::error_code error;
  fs::create_directories(state_dir, error);
  // Written beside and renamed, so that a crash leaves the old file or the new one.
  const fs::path beside = path.string() + ".new";
  {
    std::ofstream out(beside, std::ios::trunc);
    out << uuid << '\n';
    out.close();
    if (!out) error = std::make_error_code(std::errc::io_error);
  }
  if (!error) fs::rename(beside, path, error);
  if (error) {
    service::log_warning("state_dir {}: cannot keep the appliance's id: {}; this run has its own",
                         state_dir, error.message());
  }
  return uuid;
}

}  // namespace weir::control
