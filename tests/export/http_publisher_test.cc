#include "export/http_publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <set>
#include <thread>

#include "base/clock.h"
#include "export/json_lines.h"
#include "support/http_server.h"
#include "support/program.h"
#include "support/publisher_driver.h"

namespace weir::outbound {
namespace {

using test::BatchBox;
using test::HttpReply;
using test::HttpRequest;
using test::HttpServer;
using Way = test::HttpReply::Way;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string lines_of(const BatchBox& box) {
  std::string lines;
  for (const auto& flow : box.flows.flows()) append_json_line(flow, lines);
  return lines;
}

constexpr uint32_t kManyRecords = 2000;  // too many for a server that takes little

class HttpPublisherTest : public test::PublisherDriver<HttpPublisher> {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    ::setenv("no_proxy", "*", 1);
  }

  HttpPublisherConfig config(const std::string& url) const {
    HttpPublisherConfig c;
    c.http.url = url;
    c.subjects = {"flows.raw.netflow", "flows.raw.sflow"};
    c.identity = kIdentity;
    c.retry_first_ms = 5;
    c.retry_max_ms = 40;
    return c;
  }
};

TEST_F(HttpPublisherTest, PostsLinesWithWhatTheyAreAndWhoseTheyAre) {
  std::vector<HttpRequest> seen;
  HttpServer server([&](const HttpRequest& r) {
    seen.push_back(r);
    return HttpReply{201, {}, "ok"};
  });
  make(config(server.url("/in?tenant=7")));
  submit(1);
  ASSERT_TRUE(poll_until_settled());
  EXPECT_EQ(ledger_.acknowledged, 1u);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].method, "POST");
  EXPECT_EQ(seen[0].target, "/in?tenant=7");
  EXPECT_EQ(seen[0].body, lines_of(boxes_[0]));
  auto& h = seen[0].headers;
  EXPECT_EQ(h["content-type"], "application/x-ndjson");
  EXPECT_EQ(h["idempotency-key"], id_of(boxes_[0]));
  EXPECT_EQ(h["weir-framing"], "json");
  EXPECT_EQ(h["weir-compression"], "none");
  EXPECT_EQ(h["weir-records"], "3");
  EXPECT_EQ(h["weir-kind"], "flow");
  EXPECT_EQ(h["weir-subject"], "flows.raw.netflow");
  EXPECT_FALSE(h.contains("authorization"));
  EXPECT_FALSE(h.contains("expect"));
  EXPECT_EQ(publisher_->counters().octets.value(), seen[0].body.size());
  EXPECT_THAT(publisher_->last_error(), IsEmpty());
  drain(0);
}

TEST_F(HttpPublisherTest, PostsAFlowBatchAsItIs) {
  std::vector<HttpRequest> seen;
  HttpServer server([&](const HttpRequest& r) {
    seen.push_back(r);
    return HttpReply{};
  });
  auto c = config(server.url());
  c.format = StreamFormat::flow_batch;
  make(c);
  submit(1);
  ASSERT_TRUE(poll_until_settled());
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(seen[0].body == boxes_[0].octets);
  EXPECT_EQ(seen[0].headers["content-type"], "application/x-protobuf");
  EXPECT_EQ(seen[0].headers["weir-framing"], "batch");
  drain(0);
}

TEST_F(HttpPublisherTest, AServerThatFailsHalfOfTheCallsStoresEachBatchOnce) {
  std::map<std::string, std::string> stored;  // by key
  size_t calls = 0, again = 0;
  HttpServer server([&](const HttpRequest& r) {
    const size_t call = calls++;
    const std::string& key = r.headers.at("idempotency-key");
    if (call % 2 == 0) {
      // Half of the calls: refused, or stored and the answer is lost.
      switch (call / 2 % 6) {
        case 0: return HttpReply{500, {}, "oh"};
        case 1: return HttpReply{503, {"Retry-After: 0"}};
        case 2: return HttpReply{429};
        case 3: return HttpReply{.way = Way::unanswered};
        case 4: stored.emplace(key, r.body); return HttpReply{.way = Way::unanswered};
        default: stored.emplace(key, r.body); return HttpReply{.way = Way::cut};
      }
    }
    again += stored.emplace(key, r.body).second ? 0 : 1;
    return HttpReply{};
  });
  make(config(server.url()));
  constexpr size_t kBatches = 300;
  submit(kBatches);
  ASSERT_TRUE(poll_until_settled());
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, kBatches);
  EXPECT_EQ(stored.size(), kBatches);
  for (const BatchBox& box : boxes_) EXPECT_TRUE(stored[id_of(box)] == lines_of(box));
  const PublisherCounters& counters = publisher_->counters();
  // A kept connection that dies before any answer makes libcurl itself send that once more.
  EXPECT_LE(counters.messages.value(), calls);
  EXPECT_EQ(counters.retries.value(), counters.messages.value() - kBatches);
  EXPECT_GT(again, 0u) << "some came twice, and the key told";
  EXPECT_EQ(counters.acknowledgements.value(), kBatches);
  EXPECT_GT(counters.negative_acknowledgements.value(), 0u);
}

TEST_F(HttpPublisherTest, SendsAgainWhatAServerThatHangsDoesNotAnswerInTime) {
  std::set<std::string> stored;
  size_t calls = 0;
  HttpServer server([&](const HttpRequest& r) {
    if (++calls <= 3) return HttpReply{.way = Way::hang};
    stored.insert(r.headers.at("idempotency-key"));
    return HttpReply{};
  });
  auto c = config(server.url());
  c.http.timeout_ms = 100;
  c.http.requests_max = 2;
  make(c);
  submit(5);
  ASSERT_TRUE(poll_until([&] { return publisher_->counters().retries.value() > 0; }));
  ASSERT_TRUE(poll_until_settled());
  EXPECT_EQ(ledger_.acknowledged, 5u);
  EXPECT_EQ(stored.size(), 5u);
  drain(0);
}

TEST_F(HttpPublisherTest, NamesTheTimeOutOfAServerThatHangs) {
  HttpServer server([](const HttpRequest&) { return HttpReply{.way = Way::hang}; });
  auto c = config(server.url());
  c.http.timeout_ms = 50;
  make(c);
  submit(1);
  ASSERT_TRUE(poll_until([&] { return !publisher_->last_error().empty(); }));
  EXPECT_THAT(publisher_->last_error(),
              AllOf(HasSubstr("127.0.0.1:" + std::to_string(server.port())), HasSubstr("timed out")));
  EXPECT_EQ(publisher_->counters().connected.value(), 0u);
  drain(0);
}

TEST_F(HttpPublisherTest, GivesUpWhatIsUnderWayAtTheDrainsDeadline) {
  std::atomic<size_t> calls{0};
  HttpServer server([&](const HttpRequest&) {
    ++calls;
    return HttpReply{.way = Way::hang};
  });
  auto c = config(server.url());
  c.http.timeout_ms = 600'000;
  c.http.requests_max = 4;
  make(c);
  submit(10);
  ASSERT_TRUE(poll_until([&] { return calls >= 4; }));
  EXPECT_EQ(calls, 4u) << "more under way than requests_max";
  drain(100);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::shutdown_deadline], 10u);
}

TEST_F(HttpPublisherTest, GivesBackWhatWaitsTooLong) {
  std::atomic<bool> takes{false};
  HttpServer server([&](const HttpRequest&) { return HttpReply{takes ? 200 : 503}; });
  make(config(server.url()));
  publisher_->set_patience(300 * kNsPerMs);
  submit(10);
  ASSERT_TRUE(poll_until_settled());
  EXPECT_EQ(ledger_.failed, 10u);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::rejected], 0u) << "a status 503 is no answer for good";
  takes = true;
  submit(10);
  ASSERT_TRUE(poll_until_settled());
  EXPECT_EQ(ledger_.acknowledged, 10u);
  drain(0);
}

TEST_F(HttpPublisherTest, GivesBackWhatIsUnderWayOnceItHasItsAnswer) {
  HttpServer server([&](const HttpRequest&) { return HttpReply{.way = Way::hang}; });
  auto c = config(server.url());
  c.http.timeout_ms = 200;
  c.http.requests_max = 4;
  make(c);
  publisher_->set_patience(100 * kNsPerMs);
  submit(10);
  ASSERT_TRUE(poll_until_settled());
  EXPECT_EQ(ledger_.failed, 10u);
  drain(0);
}

TEST_F(HttpPublisherTest, DeliversWhatIsInFlightBeforeTheDrainsDeadline) {
  size_t calls = 0;
  HttpServer server([&](const HttpRequest&) { return HttpReply{calls++ < 10 ? 503 : 200}; });
  make(config(server.url()));
  submit(20);
  drain(60'000);
  EXPECT_EQ(ledger_.acknowledged, 20u);
}

TEST_F(HttpPublisherTest, TakesNoMoreThanItsWindow) {
  HttpServer server([](const HttpRequest&) { return HttpReply{.way = Way::hang}; });
  auto c = config(server.url());
  c.window_batches = 3;
  c.http.requests_max = 2;
  make(c);
  submit(3);
  BatchBox more(99, 1);
  {
    const RoleScope role(publisher_thread);
    EXPECT_FALSE(publisher_->submit(more.batch, ledger_));
  }
  EXPECT_EQ(publisher_->in_flight(), 3u);
  drain(0);
}

TEST_F(HttpPublisherTest, WaitsAsLongAsTheServerAsksFor) {
  std::vector<uint64_t> at_ns;
  HttpServer server([&](const HttpRequest&) {
    at_ns.push_back(steady_clock_ns());
    if (at_ns.size() == 1) return HttpReply{429, {"Retry-After: 1"}, "slow down"};
    return HttpReply{};
  });
  auto c = config(server.url());
  c.http.requests_max = 1;
  make(c);
  submit(3);
  ASSERT_TRUE(poll_until([&] { return !publisher_->last_error().empty(); }));
  EXPECT_THAT(publisher_->last_error(), HasSubstr("status 429: slow down"));
  ASSERT_TRUE(poll_until_settled());
  ASSERT_EQ(at_ns.size(), 4u);
  EXPECT_GE(at_ns[1] - at_ns[0], 990 * kNsPerMs) << "neither that batch nor another";
  EXPECT_EQ(ledger_.acknowledged, 3u);
  EXPECT_THAT(publisher_->last_error(), IsEmpty());
  drain(0);
}

TEST_F(HttpPublisherTest, ADefiniteNoCostsThatBatchOnlyAfterSomeTries) {
  std::map<std::string, size_t> calls;
  std::string wrong;
  HttpServer server([&](const HttpRequest& r) {
    const std::string& key = r.headers.at("idempotency-key");
    ++calls[key];
    return key == wrong ? HttpReply{422, {}, "no\r\n\x1b[31msuch \xff record"} : HttpReply{};
  });
  make(config(server.url()));
  BatchBox second(2, 1);
  wrong = id_of(second);
  submit(4);
  ASSERT_TRUE(poll_until_settled());
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, 3u);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::rejected], 1u);
  EXPECT_EQ(calls[wrong], 5u);
}

TEST_F(HttpPublisherTest, ARedirectionIsNotFollowed) {
  size_t calls = 0;
  HttpServer elsewhere([&](const HttpRequest&) {
    ++calls;
    return HttpReply{};
  });
  HttpServer server([&](const HttpRequest&) {
    return HttpReply{302, {"Location: " + elsewhere.url()}};
  });
  make(config(server.url()));
  submit(1);
  ASSERT_TRUE(poll_until_settled());
  drain(0);
  EXPECT_EQ(calls, 0u);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::rejected], 1u);
  EXPECT_THAT(publisher_->last_error(), HasSubstr("status 302"));
}

TEST_F(HttpPublisherTest, WhatIsTooLargeForTheServerIsToldAtOnce) {
  size_t calls = 0;
  HttpServer server([&](const HttpRequest&) {
    ++calls;
    return HttpReply{413};
  });
  make(config(server.url()));
  submit(1);
  ASSERT_TRUE(poll_until_settled());
  drain(0);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::too_large], 1u);
  EXPECT_EQ(calls, 1u);
}

TEST_F(HttpPublisherTest, ShowsWhatTheServerSaysOnOneLine) {
  HttpServer server([&](const HttpRequest&) {
    return HttpReply{503, {}, "no\r\n\x1b[31mroom \xff " + std::string(1000, 'x')};
  });
  make(config(server.url()));
  submit(1);
  ASSERT_TRUE(poll_until([&] { return !publisher_->last_error().empty(); }));
  EXPECT_THAT(publisher_->last_error(), HasSubstr("status 503: no [31mroom xxx"));
  EXPECT_LT(publisher_->last_error().size(), 250u);
  drain(0);
}

TEST_F(HttpPublisherTest, KnowsWhetherTheServerIsThereBeforeThereIsAnythingToSend) {
  std::atomic<size_t> calls{0};
  uint16_t port = 0;
  {
    HttpServer server([&](const HttpRequest&) {
      ++calls;
      return HttpReply{};
    });
    port = server.port();
    make(config(server.url()));
    EXPECT_TRUE(poll_until([&] { return publisher_->counters().connected.value() == 1; }));
    EXPECT_EQ(calls, 0u);
    EXPECT_THAT(publisher_->last_error(), IsEmpty());
  }
  submit(2);
  ASSERT_TRUE(poll_until([&] { return publisher_->counters().connected.value() == 0; }));
  EXPECT_THAT(publisher_->last_error(), HasSubstr("127.0.0.1:" + std::to_string(port)));
  EXPECT_EQ(publisher_->in_flight(), 2u) << "an absent server is survived";
  HttpServer back([&](const HttpRequest&) { return HttpReply{}; }, {}, port);
  ASSERT_TRUE(poll_until_settled());
  EXPECT_EQ(ledger_.acknowledged, 2u);
  EXPECT_EQ(publisher_->counters().reconnects.value(), 1u);
  EXPECT_THAT(publisher_->last_error(), IsEmpty());
  drain(0);
}

TEST_F(HttpPublisherTest, ReadsTheTokenAgainWhenItsFileHasChanged) {
  const test::TemporaryFolder folder;
  const std::string file = folder / "token";
  test::write_file(file, "old-token\n");
  std::set<std::string> seen;
  HttpServer server([&](const HttpRequest& r) {
    const std::string& header = r.headers.at("authorization");
    seen.insert(header);
    return HttpReply{header == "Bearer new-token" ? 200 : 401};
  });
  auto c = config(server.url());
  c.http.token_file = file;
  make(c);
  submit(1);
  // A token that is no longer good loses no batch: sooner or later there is another.
  ASSERT_TRUE(poll_until([&] { return publisher_->counters().negative_acknowledgements.value() > 7; }));
  EXPECT_EQ(publisher_->in_flight(), 1u);
  EXPECT_THAT(publisher_->last_error(), HasSubstr("status 401"));
  test::write_file(folder / "next", "new-token\n");
  std::filesystem::rename(folder / "next", file);
  ASSERT_TRUE(poll_until_settled());
  EXPECT_EQ(ledger_.acknowledged, 1u);
  EXPECT_EQ(seen, (std::set<std::string>{"Bearer old-token", "Bearer new-token"}));

  std::filesystem::remove(file);
  submit(1);
  ASSERT_TRUE(poll_until([&] { return !publisher_->last_error().empty(); }));
  EXPECT_EQ(publisher_->counters().renewals.value(), 1u);
  EXPECT_THAT(publisher_->last_error(), HasSubstr("token_file " + file + ": No such file"));
  test::write_file(file, "new-token");
  ASSERT_TRUE(poll_until_settled());
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, 2u);
}

TEST_F(HttpPublisherTest, SendsInPartsWhatTheServerFindsTooLarge) {
  for (const StreamFormat format : {StreamFormat::json, StreamFormat::flow_batch}) {
    size_t refused = 0;
    std::map<std::string, std::string> stored;
    uint64_t records = 0;
    const BatchBox like(1, kManyRecords);
    const size_t most = (format == StreamFormat::json ? lines_of(like).size() : like.octets.size()) / 3;
    HttpServer server([&](const HttpRequest& r) {
      if (r.body.size() > most) {
        ++refused;
        return HttpReply{413};
      }
      EXPECT_TRUE(stored.emplace(r.headers.at("idempotency-key"), r.body).second);
      records += std::stoull(r.headers.at("weir-records"));
      return HttpReply{};
    });
    auto c = config(server.url());
    c.format = format;
    c.http.requests_max = 1;
    boxes_.clear();
    ledger_ = {};
    make(c);
    submit(1, kManyRecords);
    ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
    EXPECT_EQ(ledger_.acknowledged, 1u);
    EXPECT_EQ(records, kManyRecords);
    EXPECT_GE(stored.size(), 3u);
    EXPECT_GE(refused, 1u);
    EXPECT_THAT(publisher_->last_error(), IsEmpty());
    // Parts are named by their records; in that order they are the batch.
    std::map<unsigned long, std::string> parts;
    for (const auto& [key, body] : stored) {
      ASSERT_TRUE(key.starts_with(id_of(boxes_[0]) + ".")) << key;
      parts[std::stoul(key.substr(id_of(boxes_[0]).size() + 1))] = body;
    }
    std::string all;
    for (const auto& [first, body] : parts) all += body;
    EXPECT_TRUE(all == (format == StreamFormat::json ? lines_of(boxes_[0]) : boxes_[0].octets));

    // It has learnt what is taken.
    const size_t before = refused;
    submit(5, kManyRecords);
    ASSERT_TRUE(poll_until_settled());
    EXPECT_EQ(records, 6 * kManyRecords);
    EXPECT_EQ(refused, before);
    drain(0);
    EXPECT_EQ(ledger_.acknowledged, 6u);
  }
}

TEST_F(HttpPublisherTest, GivesUpAsTooLargeWhatIsRefusedInSmallPartsToo) {
  std::atomic<size_t> asked{0};
  HttpServer server([&](const HttpRequest&) {
    ++asked;
    return HttpReply{413};
  });
  auto c = config(server.url());
  c.format = StreamFormat::flow_batch;  // posted from the batches themselves
  make(c);
  submit(8, kManyRecords);
  ASSERT_TRUE(poll_until_settled());
  EXPECT_EQ(ledger_.failures[DeliveryFailure::too_large], 8u);
  EXPECT_LE(asked.load(), 8 * 2 * boxes_[0].octets.size() / 2048) << "bounded";
  EXPECT_THAT(publisher_->last_error(), HasSubstr("status 413"));
  drain(0);
}

/// Its other parts are still being sent when one is refused for good: its octets stay until they are done.
TEST_F(HttpPublisherTest, KeepsABatchUntilNoPartOfItIsUnderWay) {
  const size_t most = BatchBox(1, kManyRecords).octets.size() / 3;
  HttpServer server([&](const HttpRequest& r) {
    if (r.body.size() > most) return HttpReply{413};
    const bool is_first = r.headers.at("idempotency-key").find(".0-") != std::string::npos;
    return is_first ? HttpReply{400} : HttpReply{.way = Way::hang};
  });
  auto c = config(server.url());
  c.format = StreamFormat::flow_batch;
  c.http.requests_max = 8;
  c.http.timeout_ms = 120'000;
  make(c);
  submit(1, kManyRecords);
  // The whole, its halves, and five times the first quarter.
  EXPECT_TRUE(poll_until([&] { return publisher_->counters().negative_acknowledgements.value() == 8; }));
  EXPECT_EQ(publisher_->in_flight(), 1u);
  drain(0);
  EXPECT_EQ(ledger_.failed, 1u);
}

TEST_F(HttpPublisherTest, RefusesWhatCannotWork) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "empty", "\n");
  const auto message = [&](const std::function<void(HttpConfig&)>& change) {
    auto c = config("http://127.0.0.1:1/x");
    change(c.http);
    const auto made = HttpPublisher::make(c);
    return made ? std::string("taken") : made.error().message;
  };
  EXPECT_EQ(message([](HttpConfig&) {}), "taken");
  EXPECT_THAT(message([](HttpConfig& c) { c.url = "ftp://127.0.0.1/"; }),
              HasSubstr("neither http nor https"));
  EXPECT_THAT(message([](HttpConfig& c) { c.url = "http://user:secret@"; }),
              AllOf(HasSubstr("url: "), ::testing::Not(HasSubstr("secret"))));
  EXPECT_THAT(message([](HttpConfig& c) { 
                c.url = "https://h/";
                c.ca_file = "/nonexistent/ca.pem";
              }),
              HasSubstr("/nonexistent/ca.pem"));
  EXPECT_THAT(message([&](HttpConfig& c) { c.token_file = folder / "empty"; }),
              HasSubstr("holds no token"));
}

// ── TLS ──────────────────────────────────────────────────────────────────────────────────────────

class HttpTlsTest : public HttpPublisherTest {
 protected:
  void SetUp() override {
    HttpPublisherTest::SetUp();
    if (!authority("ca") || !authority("other") || !certificate("server", "ca", "localhost") ||
        !certificate("client", "ca", "weir")) {
      GTEST_SKIP() << "openssl is not there to make certificates with";
    }
  }
  static bool ran(const std::vector<std::string>& command) {
    return test::run_program(command).status == 0;
  }
  bool authority(const std::string& name) {
    return ran({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-subj", "/CN=" + name, "-keyout", folder_ / (name + ".key"), "-out",
                folder_ / (name + ".pem")});
  }
  bool certificate(const std::string& name, const std::string& ca, const std::string& host) {
    test::write_file(folder_ / (name + ".ext"), "subjectAltName=DNS:" + host + "\n");
    return ran({"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/CN=" + host, "-keyout", folder_ / (name + ".key"), "-out", folder_ / (name + ".csr")}) &&
           ran({"openssl", "x509", "-req", "-in", folder_ / (name + ".csr"), "-CA", folder_ / (ca + ".pem"),
                "-CAkey", folder_ / (ca + ".key"), "-CAcreateserial", "-days", "2", "-extfile",
                folder_ / (name + ".ext"), "-out", folder_ / (name + ".pem")});
  }
  std::string pem(const std::string& name) const { return folder_ / (name + ".pem"); }
  std::string key(const std::string& name) const { return folder_ / (name + ".key"); }

  test::TemporaryFolder folder_;
};

TEST_F(HttpTlsTest, SendsOnlyToAServerWhoseCertificateIsOfTheAuthority) {
  std::atomic<size_t> calls{0};
  HttpServer server(
      [&](const HttpRequest&) {
        ++calls;
        return HttpReply{};
      },
      {pem("server"), key("server"), {}});
  auto c = config(server.url());
  c.http.ca_file = pem("other");
  make(c);
  submit(1);
  ASSERT_TRUE(poll_until([&] { return !publisher_->last_error().empty(); }));
  EXPECT_THAT(publisher_->last_error(), HasSubstr("certificate"));
  drain(0);
  EXPECT_EQ(calls, 0u);

  c.http.ca_file = pem("ca");
  make(c);
  submit(1);
  ASSERT_TRUE(poll_until_settled());
  EXPECT_EQ(ledger_.acknowledged, 1u);
}

TEST_F(HttpTlsTest, RefusesACertificateOfAnotherHost) {
  HttpServer server([&](const HttpRequest&) { return HttpReply{}; }, {pem("client"), key("client"), {}});
  auto c = config(server.url());
  c.http.ca_file = pem("ca");
  make(c);
  submit(1);
  ASSERT_TRUE(poll_until([&] { return !publisher_->last_error().empty(); }));
  EXPECT_THAT(publisher_->last_error(), HasSubstr("localhost"));
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, 0u);
}

TEST_F(HttpTlsTest, ShowsItsOwnCertificateWhereTheServerWantsOne) {
  HttpServer server([&](const HttpRequest&) { return HttpReply{}; },
                    {pem("server"), key("server"), pem("ca")});
  auto c = config(server.url());
  c.http.ca_file = pem("ca");
  make(c);
  submit(1);
  ASSERT_TRUE(poll_until([&] { return !publisher_->last_error().empty(); }));
  EXPECT_EQ(ledger_.acknowledged, 0u);
  drain(0);

  c.http.cert_file = pem("client");
  c.http.key_file = key("client");
  make(c);
  submit(3);
  ASSERT_TRUE(poll_until_settled());
  EXPECT_EQ(ledger_.acknowledged, 3u);
}

}  // namespace
}  // namespace weir::outbound
