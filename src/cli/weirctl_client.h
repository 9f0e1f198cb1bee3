// weirctl_client.h — One question to a running appliance, over its control socket.
//
// Failure:  Answer::exit_code and what to tell the operator.
#pragma once

#include <functional>
#include <string>
#include <string_view>

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

/// An answer of lines that come as they come into being, for as long as that takes. Ends early, and well, when either
/// function returns false: the first has a line without its end, the second is asked now and then and at signals.
Answer follow(const std::string& socket_path, const std::string& target,
              const std::function<bool(std::string_view line)>& on_line, const std::function<bool()>& goes_on);

/// As a value in a target.
std::string url_encoded(const std::string& text);

}  // namespace weir::cli
