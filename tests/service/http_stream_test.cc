// http_stream_test.cc — Answers that come into being while they are sent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <optional>
#include <thread>

#include "raw_client.h"
#include "service/http_server.h"

namespace weir::service {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

/// What the server's thread and the test both see.
struct Tap {
  std::atomic<int> looks{0};
  std::atomic<int> open{0};
};

class TestStream final : public HttpStream {
 public:
  using Say = std::function<bool(int look, std::string& out)>;
  TestStream(Tap& tap, Say say) : tap_(tap), say_(std::move(say)) { ++tap_.open; }
  ~TestStream() override { --tap_.open; }
  bool next(std::string& out) override { return say_(++tap_.looks, out); }

 private:
  Tap& tap_;
  const Say say_;
};

class TestLater final : public HttpLater {
 public:
  using Say = std::function<std::optional<HttpResponse>(int look)>;
  TestLater(Tap& tap, Say say) : tap_(tap), say_(std::move(say)) { ++tap_.open; }
  ~TestLater() override { --tap_.open; }
  std::optional<HttpResponse> look() override { return say_(++tap_.looks); }

 private:
  Tap& tap_;
  const Say say_;
};

class HttpStreamTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/weir-http-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/control.sock";
  }
  void TearDown() override {
    server_.reset();
    rmdir(directory_.c_str());
  }

  void serve(TestStream::Say say) {
    std::vector<HttpRoute> routes;
    routes.push_back({.method = "GET", .path = "/v1/live", .handle = [this, say](const HttpRequest&) {
                        HttpResponse response{.body = "first\n"};
                        response.stream = std::make_shared<TestStream>(tap_, say);
                        return response;
                      }});
    routes.push_back({.method = "GET", .path = "/v1/status", .handle = [](const HttpRequest&) {
                        return HttpResponse{.body = "well"};
                      }});
    auto server = HttpServer::start({.unix_path = path_}, std::move(routes));
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  void serve_later(TestLater::Say say) {
    std::vector<HttpRoute> routes;
    routes.push_back({.method = "GET", .path = "/v1/live", .handle = [this, say](const HttpRequest&) {
                        HttpResponse response;
                        response.later = std::make_shared<TestLater>(tap_, say);
                        return response;
                      }});
    routes.push_back({.method = "GET", .path = "/v1/status", .handle = [](const HttpRequest&) { return HttpResponse{.body = "well"}; }});
    auto server = HttpServer::start({.unix_path = path_}, std::move(routes));
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  RawClient ask(std::string_view request) {
    RawClient client = RawClient::local(path_);
    EXPECT_TRUE(client.connected());
    client.send(request);
    return client;
  }
  static bool eventually(const std::function<bool()>& done) {
    for (int i = 0; i < 2000 && !done(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return done();
  }

  Tap tap_;
  std::string directory_, path_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpStreamTest, SendsEachPieceAsAChunkWhenItIsThereAndTheConnectionGoesOn) {
  serve([](int look, std::string& out) {
    if (look == 1) out += "second\n";  // beside what was there at once
    if (look == 3) out += "third\n";   // nothing at the look between
    return look < 4;
  });
  RawClient client = ask("GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string answer = client.read_until("0\r\n\r\n");
  EXPECT_THAT(answer, AllOf(HasSubstr("Transfer-Encoding: chunked"), Not(HasSubstr("Content-Length"))));
  EXPECT_THAT(answer, EndsWith("d\r\nfirst\nsecond\n\r\n" "6\r\nthird\n\r\n" "0\r\n\r\n"));
  EXPECT_EQ(tap_.open, 0);
  client.send("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_all(), EndsWith("well"));
}

TEST_F(HttpStreamTest, TheLastWordsOfAStreamAreSent) {
  serve([](int, std::string& out) {
    out += "last\n";
    return false;
  });
  RawClient client = ask("GET /v1/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_all(), EndsWith("first\nlast\n\r\n0\r\n\r\n"));
}

TEST_F(HttpStreamTest, ForAnOldClientTheEndOfTheConnectionIsTheEndOfTheBody) {
  serve([](int look, std::string& out) {
    if (look == 2) out += "last\n";
    return look < 2;
  });
  RawClient client = ask("GET /v1/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const std::string answer = client.read_all();
  EXPECT_THAT(answer, AllOf(EndsWith("\r\n\r\nfirst\nlast\n"), Not(HasSubstr("chunked"))));
}

TEST_F(HttpStreamTest, HeadHasNoBodyAndLeavesNothingOpen) {
  serve([](int, std::string&) { return true; });
  RawClient client = ask("HEAD /v1/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_all(), EndsWith("\r\n\r\n"));
  EXPECT_TRUE(eventually([&] { return tap_.open == 0; }));
  EXPECT_EQ(tap_.looks, 0);
}

TEST_F(HttpStreamTest, IsOverWhenTheClientHasGone) {
  serve([](int, std::string& out) {
    out += "more\n";
    return true;
  });
  {
    RawClient client = ask("GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n");
    client.read_until("more", 2);
    EXPECT_EQ(tap_.open, 1);
  }
  EXPECT_TRUE(eventually([&] { return tap_.open == 0; }));
}

TEST_F(HttpStreamTest, AClientThatDoesNotReadIsNotLookedForAndHoldsNobodyUp) {
  serve([](int, std::string& out) {
    out += std::string(4 << 20, 'x');
    return true;
  });
  RawClient stuck = ask("GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return tap_.looks == 1; }));
  for (int i = 0; i < 20; ++i) {
    RawClient other = ask("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(other.read_all(), EndsWith("well"));
  }
  EXPECT_EQ(tap_.looks, 1) << "what the client has not taken is all that is kept for it";
  EXPECT_EQ(tap_.open, 1);
}

TEST_F(HttpStreamTest, AStreamThatThrowsIsCutAndTheServerGoesOn) {
  serve([](int, std::string&) -> bool { throw std::runtime_error("broken stream"); });
  RawClient client = ask("GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.read_all(), Not(EndsWith("0\r\n\r\n")));
  RawClient other = ask("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(other.read_all(), EndsWith("well"));
  EXPECT_EQ(tap_.open, 0);
}

TEST_F(HttpStreamTest, EndsWithTheServer) {
  serve([](int, std::string&) { return true; });
  RawClient client = ask("GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return tap_.looks > 2; }));
  server_.reset();
  EXPECT_EQ(tap_.open, 0);
}

TEST_F(HttpStreamTest, AnAnswerMayComeLaterWithItsStatus) {
  serve_later([](int look) {
    if (look < 4) return std::optional<HttpResponse>();
    HttpResponse response{.status = 507, .body = "too much"};
    response.headers.emplace_back("Weir-Said", "yes");
    return std::optional(response);
  });
  RawClient client = ask("GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string answers = client.read_all();
  EXPECT_THAT(answers, AllOf(HasSubstr("HTTP/1.1 507"), HasSubstr("Weir-Said: yes"), HasSubstr("too much"), EndsWith("well")));
  EXPECT_EQ(tap_.open, 0);
}

TEST_F(HttpStreamTest, AnAnswerThatComesLaterMayBeAStream) {
  serve_later([this](int) {
    HttpResponse response{.body = "first\n"};
    response.stream = std::make_shared<TestStream>(tap_, [](int, std::string& out) {
      out += "last\n";
      return false;
    });
    return std::optional(response);
  });
  EXPECT_THAT(ask("GET /v1/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").read_all(), EndsWith("first\nlast\n\r\n0\r\n\r\n"));
  EXPECT_EQ(tap_.open, 0);
}

TEST_F(HttpStreamTest, WhoHasGoneIsWaitedForByNobodyThoughNothingIsSaid) {
  serve_later([](int) { return std::optional<HttpResponse>(); });
  {
    RawClient client = ask("GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(eventually([&] { return tap_.looks >= 3; }));
    for (int i = 0; i < 3; ++i) EXPECT_THAT(ask("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").read_all(), EndsWith("well"));
    EXPECT_EQ(tap_.open, 1);
  }
  EXPECT_TRUE(eventually([&] { return tap_.open == 0; }));
  server_.reset();
  serve([](int, std::string&) { return true; });  // a stream that says nothing
  {
    RawClient client = ask("GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n");
    client.read_until("first");
    EXPECT_EQ(tap_.open, 1);
  }
  EXPECT_TRUE(eventually([&] { return tap_.open == 0; }));
}

}  // namespace
}  // namespace weir::service
