// weirctl_client.h — One question to a running appliance, over its control socket.
//
// Failure:  Answer::exit_code and what to tell the operator.
#pragma once

#include <string>

namespace weir::cli {

inline constexpr int kAnswered = 0;
inline constexpr int kRefused = 1;
inline constexpr int kWrongUsage = 2;
inline constexpr int kNoAppliance = 3;
inline constexpr int kNoPermission = 4;

struct Answer {
  int exit_code = kAnswered;
  long http_status = 0;
  std::string body;
  std::string trouble;  // in the operator's words, where exit_code is not kAnswered
};

Answer get(const std::string& socket_path, const std::string& target);
/// With another method, and a body (may be empty).
Answer send(const std::string& socket_path, const std::string& method, const std::string& target,
            const std::string& body);

}  // namespace weir::cli
