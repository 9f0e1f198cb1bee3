#include "cli/weirctl_client.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

namespace weir::cli {

using nlohmann::json;

namespace {

constexpr long kTimeoutMs = 10'000;
constexpr long kSilenceMaxSecs = 10;  // of an answer that comes line by line: an appliance says something every second
constexpr size_t kAnswerOctetsMax = 64 << 20;

size_t append_body(char* data, size_t size, size_t count, void* body) {
  auto& text = *static_cast<std::string*>(body);
  const size_t octets = size * count;
  if (text.size() + octets > kAnswerOctetsMax) return 0;
  text.append(data, octets);
  return octets;
}

/// Says why a connection cannot be made, better than libcurl can.
Answer explain_socket(const std::string& socket_path) {
  Answer answer;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) {
    return {kWrongUsage,
            0,
            {},
            fmt::format("{}: a socket's path has at most {} octets", socket_path,
                        sizeof address.sun_path - 1)};
  }
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  struct stat what {};
  if (stat(socket_path.c_str(), &what) == 0 && !S_ISSOCK(what.st_mode)) {
    return {kNoAppliance, 0, {}, fmt::format("{}: {}, not a socket", socket_path, S_ISDIR(what.st_mode) ? "a folder" : "a file")};
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int rc = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = rc == 0 ? 0 : errno;
  close(fd);
  switch (error) {
    case 0: return answer;
    case EACCES:
    case EPERM:
      return {kNoPermission,
              0,
              {},
              fmt::format("{}: no permission; run as root or as a member of the socket's group",
                          socket_path)};
    case ENOENT:
      return {
          kNoAppliance,
          0,
          {},
          fmt::format("{}: no such socket; is weir running, and is control_socket.path this one? "
                      "(--socket PATH names another)",
                      socket_path)};
    case ECONNREFUSED:
      return {
          kNoAppliance,
          0,
          {},
          fmt::format("{}: nobody answers; the weir that made this socket has ended", socket_path)};
    default: return {kNoAppliance, 0, {}, fmt::format("{}: {}", socket_path, std::strerror(error))};
  }
}

/// What the status says; an error has its words in the body.
void judge(CURL* curl, Answer& answer) {
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.http_status);
  if (answer.http_status >= 400) {
    answer.exit_code = answer.http_status == 403 ? kNoPermission : kRefused;
    const json said = json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
    answer.trouble = said.is_object() && said.contains("error") && said["error"].is_string()
                         ? said["error"].get<std::string>()
                         : fmt::format("the appliance answered with status {}", answer.http_status);
  }
}

/// Cuts what comes into lines.
struct Lines {
  const std::function<bool(std::string_view)>& on_line;
  const std::function<bool()>& goes_on;
  CURL* curl;
  Answer& answer;
  std::string begun{};
  bool is_enough = false;

  static size_t take(char* data, size_t size, size_t count, void* self) {
    auto& lines = *static_cast<Lines*>(self);
    long status = 0;
    curl_easy_getinfo(lines.curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) return append_body(data, size, count, &lines.answer.body);
    lines.begun.append(data, size * count);
    size_t at = 0;
    for (size_t end; !lines.is_enough && (end = lines.begun.find('\n', at)) != std::string::npos; at = end + 1) {
      lines.is_enough = !lines.on_line(std::string_view(lines.begun).substr(at, end - at));
    }
    lines.begun.erase(0, at);
    return lines.is_enough || lines.begun.size() > kAnswerOctetsMax ? 0 : size * count;
  }
  static int look(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& lines = *static_cast<Lines*>(self);
    lines.is_enough |= !lines.goes_on();
    return lines.is_enough ? 1 : 0;
  }
};

}  // namespace

Answer get(const std::string& socket_path, const std::string& target) {
  return send(socket_path, "GET", target, {});
}

Answer send(const std::string& socket_path, const std::string& method, const std::string& target,
            const std::string& body) {
  if (Answer answer = explain_socket(socket_path); answer.exit_code != kAnswered) return answer;
  Answer answer;
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 curl_easy_cleanup);
  const std::string url = "http://localhost" + target;
  curl_easy_setopt(curl.get(), CURLOPT_UNIX_SOCKET_PATH, socket_path.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  if (method != "GET") {
    curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, method.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body.c_str());
  }
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, kTimeoutMs);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append_body);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer.body);
  const CURLcode rc = curl_easy_perform(curl.get());
  if (rc != CURLE_OK) {
    answer.exit_code = kNoAppliance;
    answer.trouble = fmt::format("{}: {}", socket_path,
                                 rc == CURLE_OPERATION_TIMEDOUT ? "no answer for 10 seconds; it may be stuck, or stopped" : curl_easy_strerror(rc));
    return answer;
  }
  judge(curl.get(), answer);
  return answer;
}

Answer follow(const std::string& socket_path, const std::string& target,
              const std::function<bool(std::string_view line)>& on_line, const std::function<bool()>& goes_on) {
  if (Answer answer = explain_socket(socket_path); answer.exit_code != kAnswered) return answer;
  Answer answer;
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  const std::string url = "http://localhost" + target;
  Lines lines{on_line, goes_on, curl.get(), answer};
  curl_easy_setopt(curl.get(), CURLOPT_UNIX_SOCKET_PATH, socket_path.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, kSilenceMaxSecs);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, Lines::look);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &lines);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Lines::take);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &lines);
  const CURLcode rc = curl_easy_perform(curl.get());
  if (rc != CURLE_OK && !lines.is_enough) {
    const bool has_ended = rc == CURLE_PARTIAL_FILE || rc == CURLE_RECV_ERROR || rc == CURLE_GOT_NOTHING;
    answer.exit_code = kNoAppliance;
    answer.trouble = fmt::format("{}: {}", socket_path,
                                 has_ended                          ? "the appliance has ended"
                                 : rc == CURLE_OPERATION_TIMEDOUT ? "the appliance has said nothing for 10 seconds"
                                                                    : curl_easy_strerror(rc));
    return answer;
  }
  judge(curl.get(), answer);
  return answer;
}

std::string url_encoded(const std::string& text) {
  const std::unique_ptr<char, decltype(&curl_free)> encoded(
      curl_easy_escape(nullptr, text.c_str(), static_cast<int>(text.size())), curl_free);
  return encoded ? encoded.get() : "";
}

}  // namespace weir::cli
