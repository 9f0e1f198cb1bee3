// http.h — Requests and answers as routes see them: an answer may come later, and may come into being while it is sent.
//
// Runs on:  api_thread, which is one: nothing here waits.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::api {

struct Request {
  std::string method;
  std::string path;
  std::map<std::string, std::string> query;
  std::string body;
  std::string content_type;
  std::string accept;
  std::string caller;  // for the log: a token's name, a certificate's subject, uid 1000, an address
};

/// A body's next part. Broken: what was sent so far is not the whole, and the client must see it.
struct Piece {
  std::string octets;
  enum class State : uint8_t { more, over, broken } state = State::more;
  std::string is_truncated = {};  // with the last one: the value of kTruncatedHeader
};

/// Whether rows are missing, where the body has no place to say so: a header, or behind a body that comes in chunks.
inline constexpr const char* kTruncatedHeader = "X-Weir-Truncated";
/// What the store has of the window and cannot read: `files=2; rows=300; from=…; to=…`.
inline constexpr const char* kLeftOutHeader = "X-Weir-Left-Out";
/// A list of texts, as JSON in ASCII: how the query was taken, and which flows of its window are no longer kept.
inline constexpr const char* kNotesHeader = "X-Weir-Notes";

/// Asked for one piece after the other, the next when the last is on its way. Destroyed when it is over or the client has gone.
class Body {
 public:
  virtual ~Body() = default;
  virtual void next(std::function<void(Piece)> done) = 0;
};

struct Response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::shared_ptr<Body> stream = {};  // instead of `body`
};

/// Called once. What a route returns is kept until then, and let go when the client has gone.
using Done = std::function<void(Response)>;
using Work = std::shared_ptr<void>;

struct Route {
  std::string method;
  std::string path;
  std::vector<std::string> parameters;  // of the query; others are refused
  bool is_open = false;                 // for whoever can connect: health and the like
  std::function<Work(const Request&, Done)> handle;
};

/// {"error": "…"}
Response error_response(unsigned status, std::string_view message);

}  // namespace weir::api
