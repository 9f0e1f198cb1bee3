#include "service/http_server.h"

#include <grp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include "raw_client.h"
#include "support/refused_threads.h"

namespace weir::service {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

/// What a process of another user is answered. In a child, for only root can become another user.
std::string ask_as(uid_t uid, gid_t gid, const std::vector<gid_t>& groups, const std::string& path,
                   const std::string& request) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    std::string answer;
    if (setgroups(groups.size(), groups.data()) == 0 && setgid(gid) == 0 && setuid(uid) == 0) {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
      const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
      if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
          write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
        char octets[4096];
        for (ssize_t n; (n = read(fd, octets, sizeof octets)) > 0;) answer.append(octets, static_cast<size_t>(n));
      }
    }
    [[maybe_unused]] const ssize_t n = write(ends[1], answer.data(), answer.size());
    _exit(0);
  }
  close(ends[1]);
  std::string answer;
  char octets[4096];
  for (ssize_t n; (n = read(ends[0], octets, sizeof octets)) > 0;) answer.append(octets, static_cast<size_t>(n));
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return answer;
}

/// A process of another user that holds silent connections; it has them all on return.
pid_t hold_as(uid_t uid, const std::string& path, size_t connections) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    // The server's, too, which would stay open here after it has closed them.
    for (int fd = 3; fd < 1024; ++fd) {
      if (fd != ends[1]) close(fd);
    }
    if (setgroups(0, nullptr) != 0 || setgid(uid) != 0 || setuid(uid) != 0) _exit(1);
    for (size_t i = 0; i < connections; ++i) {
      const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
      if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) _exit(1);
    }
    if (write(ends[1], "x", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  close(ends[1]);
  char octet;
  EXPECT_EQ(read(ends[0], &octet, 1), 1);
  close(ends[0]);
  return child;
}

class HttpServerTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/weir-http-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/control.sock";
  }
  void TearDown() override {
    server_.reset();
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }

  HttpServerConfig config() const {
    HttpServerConfig c;
    c.unix_path = path_;
    c.tcp_address = "127.0.0.1:0";
    return c;
  }

  static std::vector<HttpRoute> routes() {
    return {
        {"GET", "/v1/status", false,
         [](const HttpRequest& r) {
           HttpResponse response;
           response.body = "uid=" + std::to_string(r.peer_uid) + " local=" + (r.local ? "1" : "0") +
                           " q=" + (r.query.count("q") ? r.query.at("q") : "-");
           return response;
         },
         HttpAccess::read, {"q"}},
        {"POST", "/v1/echo", false,
         [](const HttpRequest& r) {
           HttpResponse response;
           response.body = r.body;
           return response;
         }},
        {"GET", "/v1/exporters/{address}", false,
         [](const HttpRequest& r) {
           HttpResponse response;
           response.body = "one:" + r.tail;
           return response;
         }},
        {"GET", "/v1/exporters/{address}/names", false,
         [](const HttpRequest& r) {
           HttpResponse response;
           response.body = "names of:" + r.tail;
           return response;
         }},
        {"GET", "/v1/exporters/all", false,
         [](const HttpRequest&) {
           HttpResponse response;
           response.body = "all";
           return response;
         }},
        {"GET", "/v1/large", false,
         [](const HttpRequest&) {
           HttpResponse response;
           response.body = std::string(20 << 20, 'x');
           return response;
         }},
        {"GET", "/v1/throws", false,
         [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("broken handler"); }},
        {"GET", "/metrics", true,
         [](const HttpRequest&) {
           HttpResponse response;
           response.content_type = "text/plain";
           response.body = "weir_up 1\n";
           return response;
         }},
    };
  }

  void start() {
    auto server = HttpServer::start(config(), routes());
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }

  /// One request on a connection of its own; the whole answer.
  std::string ask(std::string_view request) {
    RawClient client = RawClient::local(path_);
    EXPECT_TRUE(client.connected());
    client.send(request);
    return client.read_all();
  }
  std::string get(const std::string& target) {
    return ask("GET " + target + " HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n");
  }

  std::string directory_, path_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersOverTheUnixSocketAndKnowsItsPeer) {
  start();
  const std::string answer = get("/v1/status?q=a%20b+c");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("uid=" + std::to_string(geteuid()) + " local=1 q=a b c"));
}

TEST_F(HttpServerTest, ServesOnTcpOnlyWhatIsMarkedForIt) {
  start();
  for (const auto& [target, status] :
       {std::pair{"/metrics", "200"}, {"/v1/status", "404"}, {"/v1/exporters/192.0.2.1", "404"}}) {
    RawClient client = RawClient::tcp(server_->tcp_port());
    ASSERT_TRUE(client.connected());
    client.send(std::string("GET ") + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(client.read_all(), StartsWith(std::string("HTTP/1.1 ") + status)) << target;
  }
}

TEST_F(HttpServerTest, LeadsARequestToItsRoute) {
  start();
  EXPECT_THAT(get("/v1/exporters/2001:db8::1"), HasSubstr("one:2001:db8::1"));
  EXPECT_THAT(get("/v1/exporters/2001%3Adb8%3A%3A1"), HasSubstr("one:2001:db8::1"));
  EXPECT_THAT(get("/v1/exporters/192.0.2.1/names"), HasSubstr("names of:192.0.2.1"));
  EXPECT_THAT(get("/v1/exporters//names"), HasSubstr("404"));
  EXPECT_THAT(get("/v1/exporters/1/2/names"), HasSubstr("404"));
  EXPECT_THAT(get("/v1/exporters/1/nam"), HasSubstr("404"));
  EXPECT_THAT(get("/v1/exporters/all"), HasSubstr("\r\n\r\nall"));
  EXPECT_THAT(get("/v1/exporters/a/b"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(get("/v1/exporters/"), StartsWith("HTTP/1.1 404"));
}

TEST_F(HttpServerTest, RefusesAParameterThatTheRouteHasNotButNotFromAProbe) {
  start();
  EXPECT_THAT(get("/v1/status?q=1"), HasSubstr("q=1"));
  EXPECT_THAT(get("/v1/status?Q=1"), AllOf(StartsWith("HTTP/1.1 400"), HasSubstr("/v1/status has no parameter 'Q', only q")));
  EXPECT_THAT(get("/v1/exporters/all?limit=1"), AllOf(StartsWith("HTTP/1.1 400"), HasSubstr("it has none")));
  EXPECT_THAT(get("/metrics?verbose=1"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, RefusesInWords) {
  start();
  const std::string big(2 << 20, 'b');
  const struct {
    std::string request;
    const char* status;
    const char* detail;
  } cases[] = {
      {"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404", "no such route: /nowhere"},
      {"PUT /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405", "Allow: GET, HEAD\r\n"},
      {"BREW /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405", "Allow: GET, HEAD\r\n"},
      {"GET /v1/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405", "Allow: POST\r\n"},
      {"HEAD /v1/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405", "Content-Length"},
      {"GET /v1/throws HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "500", "broken handler"},
      {"GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400", "malformed"},
      {"GET /v1/status?q=%0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400", "malformed"},
      {"GET /v1/status?q=1&q=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400", "the parameter 'q' is there twice"},
      {"GET /a%00b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400", "malformed"},
      {"GET ftp://weir/v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400", "malformed"},
      {"GET /v1/status HTTP/1.1\r\n\r\n", "400", "one Host field"},
      {"GET /v1/status HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400", "one Host field"},
      {"this is no http\r\n\r\n", "400", "not an HTTP/1.1 request"},
      {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), "400", "not an HTTP"},
      {"GET / HTTP/9.9\r\n\r\n", "400", "not an HTTP"},
      {"GET / HTTP/1.1\r\nno colon\r\n\r\n", "400", "not an HTTP"},
      {"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400", "not an HTTP"},
      {"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n", "400",
       "not an"},
      {"POST /v1/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400", "not an HTTP"},
      {"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", "413", "larger than 1 MiB"},
      {"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n" + big, "413",
       "larger than 1 MiB"},
      {"POST /v1/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" + big +
           "\r\n0\r\n\r\n",
       "413", "larger than 1 MiB"},
      {"GET / HTTP/1.1\r\nX: " + std::string(20'000, 'h') + "\r\n\r\n", "431",
       "larger than 16 KiB"},
      {"GET /" + std::string(20'000, 'h') + " HTTP/1.1\r\nHost: x\r\n\r\n", "431", "larger than 16 KiB"},
  };
  for (const auto& c : cases) {
    const std::string answer = ask(c.request);
    EXPECT_THAT(answer, StartsWith(std::string("HTTP/1.1 ") + c.status)) << c.request.substr(0, 80);
    EXPECT_THAT(answer, HasSubstr(c.detail)) << c.request.substr(0, 80);
  }
}

TEST_F(HttpServerTest, TakesATargetAsProxiesWriteIt) {
  start();
  const auto status_of = [&](const std::string& target) {
    return ask("GET " + target + " HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n");
  };
  EXPECT_THAT(status_of("http://weir/v1/status?q=1"), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("q=1")));
  EXPECT_THAT(status_of("HTTP://weir:80/v1/exporters/a"), HasSubstr("one:a"));
  EXPECT_THAT(status_of("http://weir"), AllOf(StartsWith("HTTP/1.1 404"), HasSubstr("no such route: /\"")));
  EXPECT_THAT(status_of("http://weir?q=1"), StartsWith("HTTP/1.1 400"));
}

TEST_F(HttpServerTest, TellsWhoWaitsToGoOn) {
  start();
  RawClient client = RawClient::local(path_);
  client.send("POST /v1/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("body");
  EXPECT_THAT(client.read_all(), AllOf(StartsWith("HTTP/1.1 200"), testing::EndsWith("\r\n\r\nbody")));
  EXPECT_THAT(ask("POST /v1/echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n"),
              StartsWith("HTTP/1.1 413")) << "what would be refused is not asked for";
}

TEST_F(HttpServerTest, AnswersHeadWithTheHeaderOfTheGet) {
  start();
  const std::string answer = ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Content-Length: 10\r\n"));
  EXPECT_THAT(answer, testing::EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, KeepsAConnectionForSeveralRequests) {
  start();
  RawClient client = RawClient::local(path_);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_THAT(client.read_until("weir_up 1\n"), StartsWith("HTTP/1.1 200"));
  }
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInTheirOrder) {
  start();
  RawClient client = RawClient::local(path_);
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    requests += "GET /v1/exporters/" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  requests += "GET /v1/exporters/last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  client.send(requests);
  const std::string answers = client.read_all();
  size_t at = 0;
  for (int i = 0; i < 20; ++i) {
    at = answers.find("one:" + std::to_string(i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_THAT(answers.substr(at), HasSubstr("one:last"));
}

TEST_F(HttpServerTest, SpeaksToOldClients) {
  start();
  EXPECT_THAT(ask("GET /metrics HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.0 200"));
}

TEST_F(HttpServerTest, SendsAndTakesLargeBodies) {
  start();
  const std::string answer = get("/v1/large");
  const size_t body = answer.find("\r\n\r\n");
  ASSERT_NE(body, std::string::npos);
  EXPECT_EQ(answer.size() - body - 4, size_t{20} << 20);

  const std::string sent(1 << 20, 'e');  // just what is allowed
  const std::string echoed =
      ask("POST /v1/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1048576\r\n\r\n" + sent);
  EXPECT_THAT(echoed, StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(echoed.substr(echoed.find("\r\n\r\n") + 4), sent);
}

TEST_F(HttpServerTest, CutsOffClientsThatDripOrStall) {
  start();
  RawClient silent = RawClient::local(path_);
  RawClient dripping = RawClient::local(path_);
  dripping.send("GET /metrics HTTP/1.1\r\nHost: x\r\n");
  // Far beyond the deadline of 3 s if each line renewed it; ends as soon as the server closes.
  bool cut = false;
  for (int i = 0; i < 300 && !cut; ++i) {
    cut = !dripping.send("X-Drip: 1\r\n") || dripping.is_closed_by_peer();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(cut);
  EXPECT_EQ(silent.read_all(), "");
  EXPECT_THAT(get("/metrics"), HasSubstr("weir_up 1"));
}

TEST_F(HttpServerTest, BoundsConnectionsAndServesTheOtherSocketMeanwhile) {
  start();
  std::vector<RawClient> held;
  for (size_t i = 0; i < kConnectionsMax; ++i) {
    held.push_back(RawClient::local(path_));
    ASSERT_TRUE(held.back().connected());
    held.back().send("GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_NE(held.back().read_until("\r\n\r\n"), "") << "it is being answered";
  }
  // Those that are told so are bounded too.
  std::vector<RawClient> crowd;
  size_t answered = 0, closed = 0;
  for (size_t i = 0; i < 4 * kConnectionsMax; ++i) {
    crowd.push_back(RawClient::local(path_));
    const std::string refusal = crowd.back().read_until("\r\n\r\n");
    if (refusal.empty()) {
      ++closed;
      continue;
    }
    ++answered;
    EXPECT_THAT(refusal, StartsWith("HTTP/1.1 503"));
  }
  EXPECT_GT(answered, 0u);
  EXPECT_GT(closed, 0u);
  RawClient other = RawClient::tcp(server_->tcp_port());
  other.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(other.read_all(), StartsWith("HTTP/1.1 200")) << "TCP has its own slots";

  // Who does not take the answer makes room in the end.
  crowd.clear();
  std::string answer;
  for (int i = 0; i < 1000 && answer.find(" 200 ") == std::string::npos; ++i) {
    answer = get("/v1/status");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, IsAnErrorWhereThereIsNoThread) {
  const test::RefusedThreads refused;
  const auto server = HttpServer::start(config(), routes());
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().message, HasSubstr("http: no thread: "));
}

TEST_F(HttpServerTest, SilentConnectionsShutNobodyOut) {
  start();
  const auto over_tcp = [&] {
    RawClient client = RawClient::tcp(server_->tcp_port());
    client.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return client.read_all();
  };
  std::vector<RawClient> silent;
  for (size_t i = 0; i < 3 * kConnectionsMax; ++i) {
    silent.push_back(RawClient::tcp(server_->tcp_port()));
    silent.push_back(RawClient::local(path_));
    if (i % 8 != 7) continue;
    EXPECT_THAT(over_tcp(), StartsWith("HTTP/1.1 200")) << i;
    EXPECT_THAT(get("/v1/status"), StartsWith("HTTP/1.1 200")) << i;
  }
  EXPECT_TRUE(silent.front().is_closed_by_peer()) << "the one that was silent longest made room";
}

TEST_F(HttpServerTest, WhoMayNotReadTakesNobodysPlace) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  HttpServerConfig c = config();
  c.unix_mode = 0666;
  c.unix_group = "root";
  auto server = HttpServer::start(c, routes());
  ASSERT_TRUE(server) << server.error().message;
  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  EXPECT_THAT(ask_as(65534, 65534, {}, path_, "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 403"));
  // A guest at work, whom nobody may push out, and strangers who hold all that they are given.
  RawClient guest = RawClient::local(path_);
  guest.send("GET /v1/status HTTP/1.1\r\nHost: x\r\n");
  const pid_t strangers = hold_as(65534, path_, 4 * kConnectionsMax);
  guest.send("\r\n");
  EXPECT_THAT(guest.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200")) << "it was not made to go";
  kill(strangers, SIGKILL);
  waitpid(strangers, nullptr, 0);
}

TEST_F(HttpServerTest, IsNotStalledByAClientThatDoesNotRead) {
  start();
  std::vector<RawClient> stuck;
  for (int i = 0; i < 4; ++i) {
    stuck.push_back(RawClient::local(path_));
    stuck.back().send("GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  EXPECT_THAT(get("/v1/status"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, GivesTheSocketItsModeAndRemovesItAtTheEnd) {
  HttpServerConfig c = config();
  c.unix_mode = 0600;
  auto server = HttpServer::start(c, routes());
  ASSERT_TRUE(server) << server.error().message;
  struct stat s {};
  ASSERT_EQ(stat(path_.c_str(), &s), 0);
  EXPECT_TRUE(S_ISSOCK(s.st_mode));
  EXPECT_EQ(s.st_mode & 0777u, 0600u);
  *server = nullptr;
  EXPECT_NE(stat(path_.c_str(), &s), 0);
}

TEST_F(HttpServerTest, ReplacesASocketThatNobodyAnswersOn) {
  const int left_over = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(bind(left_over, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(left_over);
  start();
  EXPECT_THAT(get("/metrics"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, RefusesWhatItCannotBindAndSaysWhy) {
  start();
  auto second = HttpServer::start(config(), routes());
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("another process listens there"));
  EXPECT_THAT(get("/metrics"), StartsWith("HTTP/1.1 200")) << "the first is untouched";

  HttpServerConfig c;
  c.unix_path = directory_ + "/file";
  std::ofstream(c.unix_path) << "precious";
  auto over_file = HttpServer::start(c, routes());
  ASSERT_FALSE(over_file);
  EXPECT_THAT(over_file.error().message,
              AllOf(HasSubstr("control_socket.path: " + c.unix_path), HasSubstr("not a socket")));
  unlink(c.unix_path.c_str());

  c.unix_path = "/tmp/" + std::string(200, 'n');
  auto too_long = HttpServer::start(c, routes());
  ASSERT_FALSE(too_long);
  EXPECT_THAT(too_long.error().message, HasSubstr("205 octets, limit 107"));

  c.unix_path = directory_ + "/other.sock";
  c.unix_group = "no-such-group-at-all";
  auto group = HttpServer::start(c, routes());
  ASSERT_FALSE(group);
  EXPECT_THAT(group.error().message, AllOf(HasSubstr("control_socket.group:"),
                                           HasSubstr("group no-such-group-at-all does not exist")));
  EXPECT_NE(access(c.unix_path.c_str(), F_OK), 0) << "nothing is left behind";

  HttpServerConfig tcp;
  tcp.tcp_address = "127.0.0.1:" + std::to_string(server_->tcp_port());
  auto taken = HttpServer::start(tcp, routes());
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message, AllOf(HasSubstr("metrics_addr: 127.0.0.1:"), HasSubstr("in use")));
  tcp.tcp_address = "localhost";
  EXPECT_FALSE(HttpServer::start(tcp, routes()));
}

TEST_F(HttpServerTest, LooksForTroubleWithoutLeavingATrace) {
  EXPECT_TRUE(find_listen_trouble(config()).empty());
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
  const auto trouble = [](const HttpServerConfig& c) {
    const auto found = find_listen_trouble(c);
    EXPECT_EQ(found.size(), 1u);
    return found.empty() ? ListenTrouble{} : found[0];
  };
  HttpServerConfig c;
  for (const auto& [path, why] : std::vector<std::pair<std::string, std::string>>{
           {directory_ + "/no/such/folder/x.sock", "No such file"},
           {directory_ + "/", "names a folder"},
           {directory_ + "/file/x.sock", "is not a folder"}}) {
    std::ofstream(directory_ + "/file") << "x";
    c.unix_path = path;
    const ListenTrouble found = trouble(c);
    EXPECT_EQ(found.key, ListenTrouble::Key::unix_path) << path;
    EXPECT_THAT(found.what, AllOf(HasSubstr(path), HasSubstr(why)));
    EXPECT_FALSE(found.may_pass) << path;
  }
  unlink((directory_ + "/file").c_str());
  c.unix_path = directory_ + "/made/x.sock";
  EXPECT_TRUE(find_listen_trouble(c).empty()) << "one folder is made at start";
  EXPECT_NE(access((directory_ + "/made").c_str(), F_OK), 0);

  start();
  EXPECT_TRUE(trouble({.unix_path = path_}).may_pass) << "a weir that runs";
  EXPECT_TRUE(
      trouble({.tcp_address = "127.0.0.1:" + std::to_string(server_->tcp_port())}).may_pass);
  EXPECT_FALSE(trouble({.tcp_address = "192.0.2.1:9"}).may_pass) << "not this machine's";
}

TEST_F(HttpServerTest, StopsAtOnceWithClientsInTheMiddle) {
  start();
  RawClient reading = RawClient::local(path_);
  reading.send("GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n");
  RawClient writing = RawClient::local(path_);
  writing.send("POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
  server_.reset();
  EXPECT_EQ(writing.read_all(), "");
}

TEST_F(HttpServerTest, OnlyMembersOfTheAdminGroupChangeSomethingAndOnlyReadersRead) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can ask as another user";
  constexpr uid_t kNobody = 65534;
  const struct group* readers = getgrnam("adm");
  const struct group* admins = getgrnam("staff");
  if (readers == nullptr || admins == nullptr) GTEST_SKIP() << "no groups adm and staff";
  const gid_t reader = readers->gr_gid, admin = getgrnam("staff")->gr_gid;
  const gid_t read_by = getgrnam("adm")->gr_gid;
  HttpServerConfig c = config();
  c.unix_mode = 0666;
  c.unix_group = "adm";
  c.admin_group = "staff";
  std::vector<HttpRoute> doors = routes();
  for (HttpRoute& route : doors) {
    if (route.method == "POST") route.access = HttpAccess::admin;
  }
  chmod(directory_.c_str(), 0755);
  auto server = HttpServer::start(c, std::move(doors));
  ASSERT_TRUE(server) << server.error().message;
  server_ = std::move(*server);
  const std::string get = "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const std::string post =
      "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
  const auto status = [&](gid_t gid, const std::vector<gid_t>& groups, const std::string& request) {
    const std::string answer = ask_as(kNobody, gid, groups, path_, request);
    return answer.size() > 12 ? answer.substr(9, 3) : "none: " + answer;
  };
  EXPECT_EQ(status(kNobody, {}, get), "403") << "neither";
  EXPECT_EQ(status(kNobody, {}, post), "403");
  EXPECT_EQ(status(reader, {}, get), "200") << "by the group it runs as";
  EXPECT_EQ(status(kNobody, {read_by}, get), "200") << "by a further group";
  EXPECT_EQ(status(kNobody, {read_by}, post), "403");
  EXPECT_EQ(status(kNobody, {admin}, post), "200");
  EXPECT_EQ(status(kNobody, {admin}, get), "200") << "who may change may read";
  const std::string refused = ask_as(kNobody, kNobody, {read_by}, path_, post);
  EXPECT_NE(refused.find("control_socket.admin_group"), std::string::npos) << refused;
}

TEST_F(HttpServerTest, RefusesAnAdminGroupThatIsNotThere) {
  HttpServerConfig c = config();
  c.admin_group = "no-such-group-here";
  const auto server = HttpServer::start(c, routes());
  ASSERT_FALSE(server);
  EXPECT_NE(server.error().message.find("control_socket.admin_group: group no-such-group-here does not exist"),
            std::string::npos)
      << server.error().message;
}

TEST(HttpServerTurns, UnlessAHandlerHoldsIt) {
  std::atomic<bool> is_held{true};
  HttpRoute route;
  route.method = "GET";
  route.path = "/hold";
  route.also_on_tcp = true;
  route.handle = [&](const HttpRequest&) {
    while (is_held) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return HttpResponse{};
  };
  auto server = HttpServer::start({.tcp_address = "127.0.0.1:0"}, {route});
  ASSERT_TRUE(server) << server.error().message;
  const auto turns_after = [&](uint64_t then) {
    for (int i = 0; i < 1000 && (*server)->turned_steady_ns() <= then; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return (*server)->turned_steady_ns() > then;
  };
  EXPECT_TRUE(turns_after((*server)->turned_steady_ns()));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons((*server)->tcp_port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  constexpr std::string_view kRequest = "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_EQ(write(fd, kRequest.data(), kRequest.size()), static_cast<ssize_t>(kRequest.size()));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const uint64_t held = (*server)->turned_steady_ns();
  std::this_thread::sleep_for(3 * kHttpTurnEvery);
  EXPECT_EQ((*server)->turned_steady_ns(), held);
  is_held = false;
  EXPECT_TRUE(turns_after(held));
  close(fd);
}

}  // namespace
}  // namespace weir::service
