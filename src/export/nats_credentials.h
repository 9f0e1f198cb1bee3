// nats_credentials.h — Who we are to a NATS server, from files: a user's NKey seed, or a credentials file.
//
// Spec:     NKeys: base32 of prefix, Ed25519 seed and CRC-16/XMODEM. Credentials: a user's JWT and its
//           seed, each between lines of dashes.
// Runs on:  start-up, and whoever connects.
// Failure:  an Error that names the file and what is wrong with it; never what is in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::outbound {

/// The user that a seed stands for: `U…`. The text may hold the seed alone, or between lines of dashes.
Result<std::string> public_key_of_seed(std::string_view text);

/// The seed of a user in a file, as the client library wants it.
Result<std::string> read_user_seed(const std::string& path);

struct CredentialsFile {
  std::string user;         // the JWT's subject: U…
  uint64_t expires_at = 0;  // seconds since the epoch; 0: never
};
Result<CredentialsFile> read_credentials_file(const std::string& path);

}  // namespace weir::outbound
