#include "export/nats_credentials.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <vector>

#include "export/tls_files.h"

namespace weir::outbound {
namespace {

constexpr uint8_t kPrefixSeed = 18 << 3;  // S
constexpr uint8_t kPrefixUser = 20 << 3;  // U
constexpr size_t kKeyOctets = 32;
constexpr size_t kSeedOctets = 2 + kKeyOctets + 2;
constexpr std::string_view kBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::string_view kBase64Url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::optional<std::vector<uint8_t>> decode(std::string_view text, std::string_view alphabet,
                                           unsigned bits_of_letter) {
  std::vector<uint8_t> octets;
  uint32_t pending = 0;
  unsigned bits = 0;
  for (const char letter : text) {
    const size_t value = alphabet.find(letter);
    if (value == std::string_view::npos) return std::nullopt;
    pending = pending << bits_of_letter | static_cast<uint32_t>(value);
    bits += bits_of_letter;
    if (bits >= 8) octets.push_back(static_cast<uint8_t>(pending >> (bits -= 8)));
    pending &= (1u << bits) - 1;
  }
  return octets;
}

std::string encode_base32(std::span<const uint8_t> octets) {
  std::string text;
  uint32_t pending = 0;
  unsigned bits = 0;
  for (const uint8_t octet : octets) {
    pending = pending << 8 | octet;
    for (bits += 8; bits >= 5;) text += kBase32[pending >> (bits -= 5) & 31];
    pending &= (1u << bits) - 1;
  }
  if (bits > 0) text += kBase32[pending << (5 - bits) & 31];
  return text;
}

uint16_t crc16(std::span<const uint8_t> octets) {
  uint16_t crc = 0;
  for (const uint8_t octet : octets) {
    crc = static_cast<uint16_t>(crc ^ octet << 8);
    for (int i = 0; i < 8; ++i) {
      const bool carry = (crc & 0x8000) != 0;
      crc = static_cast<uint16_t>(crc << 1 ^ (carry ? 0x1021 : 0));
    }
  }
  return crc;
}

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};

/// The lines that are neither empty nor of dashes.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) continue;
    line = line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
    if (line.substr(0, 3) != "---") lines.push_back(line);
  }
  return lines;
}

/// What stands behind the line of dashes that names `section`.
std::string_view section_of(std::string_view text, std::string_view section) {
  const size_t title = text.find(section);
  if (title == std::string_view::npos) return {};
  const size_t begin = text.find('\n', title);
  if (begin == std::string_view::npos) return {};
  const auto lines = lines_of(text.substr(begin));
  return lines.empty() ? std::string_view() : lines.front();
}

}  // namespace

Result<std::string> public_key_of_seed(std::string_view text) {
  const auto lines = lines_of(text);
  if (lines.empty() || lines.front().substr(0, 1) != "S") {
    return Error{"holds no NKey seed (a line that begins with SU)"};
  }
  auto octets = decode(lines.front(), kBase32, 5);
  const auto failed = [&](const char* what) -> Result<std::string> {
    if (octets) OPENSSL_cleanse(octets->data(), octets->size());
    return Error{what};
  };
  if (!octets || octets->size() != kSeedOctets ||
      crc16({octets->data(), kSeedOctets - 2}) !=
          ((*octets)[kSeedOctets - 2] | (*octets)[kSeedOctets - 1] << 8)) {
    return failed("the NKey seed in it is damaged");
  }
  const auto kind = static_cast<uint8_t>(((*octets)[0] & 7) << 5 | (*octets)[1] >> 3);
  if (((*octets)[0] & 0xF8) != kPrefixSeed || kind != kPrefixUser) {
    return failed("the NKey seed in it is not a user's (those begin with SU)");
  }
  const std::unique_ptr<EVP_PKEY, KeyDeleter> key(EVP_PKEY_new_raw_private_key(
      EVP_PKEY_ED25519, nullptr, octets->data() + 2, kKeyOctets));
  std::array<uint8_t, 1 + kKeyOctets + 2> user{kPrefixUser};
  size_t size = kKeyOctets;
  if (key == nullptr || EVP_PKEY_get_raw_public_key(key.get(), user.data() + 1, &size) != 1) {
    return failed("the TLS library cannot use the seed in it (Ed25519)");
  }
  OPENSSL_cleanse(octets->data(), octets->size());
  const uint16_t crc = crc16({user.data(), 1 + kKeyOctets});
  user[1 + kKeyOctets] = static_cast<uint8_t>(crc);
  user[2 + kKeyOctets] = static_cast<uint8_t>(crc >> 8);
  return encode_base32(user);
}

Result<std::string> read_user_seed(const std::string& path) {
  auto text = read_secret_file(path);
  if (!text) return Error{"NKey seed file " + path + ": " + text.error().message};
  if (const auto user = public_key_of_seed(*text); !user) {
    return Error{"NKey seed file " + path + ": " + user.error().message};
  }
  return std::string(lines_of(*text).front());
}

Result<CredentialsFile> read_credentials_file(const std::string& path) {
  const auto failed = [&](const std::string& what) -> Result<CredentialsFile> {
    return Error{"credentials file " + path + ": " + what};
  };
  const auto text = read_secret_file(path);
  if (!text) return failed(text.error().message);
  const std::string_view jwt = section_of(*text, "BEGIN NATS USER JWT");
  if (jwt.empty()) return failed("holds no user JWT (-----BEGIN NATS USER JWT-----)");
  const std::string_view seed = section_of(*text, "BEGIN USER NKEY SEED");
  if (seed.empty()) return failed("holds no seed (-----BEGIN USER NKEY SEED-----)");
  const auto key = public_key_of_seed(seed);
  if (!key) return failed(key.error().message);

  const size_t dot = jwt.find('.');
  const size_t end = dot == std::string_view::npos ? dot : jwt.find('.', dot + 1);
  if (end == std::string_view::npos) return failed("the JWT in it is damaged");
  const auto octets = decode(jwt.substr(dot + 1, end - dot - 1), kBase64Url, 6);
  if (!octets) return failed("the JWT in it is damaged");
  const auto claims = nlohmann::json::parse(*octets, nullptr, false);
  if (!claims.is_object() || !claims.contains("sub") || !claims["sub"].is_string()) {
    return failed("the JWT in it is damaged");
  }
  CredentialsFile credentials;
  credentials.user = claims["sub"];
  if (credentials.user != *key) return failed("seed and JWT in it are not of the same user");
  if (claims.contains("exp") && claims["exp"].is_number_unsigned()) {
    credentials.expires_at = claims["exp"];
  }
  return credentials;
}

}  // namespace weir::outbound
